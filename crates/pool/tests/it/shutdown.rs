//! The end of a pool, with commands that run: those that end in time are whole, and nobody is waited for any longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustle_pool::Pool;
use rustle_testserver::{Builder, Exit, TestServer};
use tokio::sync::Semaphore;

use crate::support::{pool, pool_with, server, server_shows};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// What a pool's end may take beside the time that it gives, on a machine that is busy with other things.
const MORE: Duration = Duration::from_secs(20);

/// A server whose `work` says that it is at it, goes on once it may, says much and fails.
fn at_work(may_end: &Arc<Semaphore>) -> Builder {
    let may_end = Arc::clone(may_end);
    server().command_fn("work", move |mut call| {
        let may_end = Arc::clone(&may_end);
        async move {
            let (_stdin, stdout, stderr, _signals) = call.streams();
            let working = async {
                stdout.send("at it\n").await?;
                drop(may_end.acquire().await);
                stdout.send(much()).await?;
                stderr.send("not all of it\n").await
            };
            if working.await.is_ok() { Exit::Code(3) } else { Exit::Silent }
        }
    })
}

fn much() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_be_bytes).collect()
}

async fn run_as_many(server: &TestServer, commands: usize) {
    server_shows(server, "the commands run", |record| record.processes_running() == commands).await;
}

/// Nothing is left at the server, now.
async fn is_gone(server: TestServer) {
    let gone = server.wait_until(|record| record.connections_open() == 0, Duration::from_secs(5)).await;
    assert!(gone.is_ok(), "it should be gone when the pool's end is told\n{:#?}", server.record());
    server_shows(&server, "no command left", |record| record.processes_running() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_runs_may_end_by_itself_and_is_whole() {
    let may_end = Arc::new(Semaphore::new(0));
    let server = at_work(&may_end).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let mut child = web.line("work").spawn().await.unwrap();
    let collected = tokio::spawn(async move { web.output("work").await });
    run_as_many(&server, 2).await;
    let begun = Instant::now();
    let ending = tokio::spawn({
        let pool = pool.clone();
        async move { pool.shutdown(10 * LIMIT).await }
    });
    // Nothing new begins, and what is there is not touched.
    let refused = async { while pool.get("web").await.is_ok() {} };
    tokio::time::timeout(LIMIT, refused).await.expect("nothing new begins");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!ending.is_finished());
    run_as_many(&server, 2).await;
    may_end.add_permits(2);
    let whole = [&b"at it\n"[..], &much()].concat();
    let output = collected.await.unwrap().unwrap();
    assert_eq!((output.status.code(), output.stderr_text().as_ref()), (Some(3), "not all of it\n"));
    assert!(output.stdout == whole, "{} bytes", output.stdout.len());
    let mut heard = Vec::new();
    let mut stdout = child.take_stdout().unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut heard).await.unwrap();
    assert!(heard == whole, "{} bytes", heard.len());
    assert_eq!(child.wait().await.unwrap().code(), Some(3));
    drop((stdout, child));
    tokio::time::timeout(LIMIT, ending).await.expect("it ends with what ran").unwrap();
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    is_gone(server).await;
}

/// Three commands that never end, on as many connections or one, and an end of the pool that gives them this time.
async fn cut_after(grace: Duration, pool: Pool, server: &TestServer) {
    let web = pool.get("web").await.unwrap();
    let mut child = web.line("sleep 1000").spawn().await.unwrap();
    let collected = tokio::spawn({
        let web = web.clone();
        async move { web.output("sleep 1000").await }
    });
    let mut on_many = pool.on(["web"]).output("sleep 1000");
    let on_many = tokio::spawn(async move { on_many.next().await });
    run_as_many(server, 3).await;
    drop(web);
    let waited = tokio::spawn(async move { child.wait().await });
    let begun = Instant::now();
    pool.shutdown(grace).await;
    let took = begun.elapsed();
    assert!(took >= grace && took < grace + MORE, "{took:?} for {grace:?}");
    // Each hears that it may have been done.
    let error = waited.await.unwrap().unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_retryable(), "{error}");
    let error = collected.await.unwrap().unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_retryable(), "{error}");
    let error = on_many.await.unwrap().unwrap().outcome.unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_retryable(), "{error}");
    let took = begun.elapsed();
    assert!(took < grace + MORE, "{took:?} for {grace:?}");
}

#[tokio::test]
async fn what_runs_for_longer_is_cut_and_nobody_knows_what_became_of_it() {
    for grace in [Duration::ZERO, Duration::from_millis(700)] {
        let server = server().start().await.unwrap();
        cut_after(grace, pool(&server), &server).await;
        is_gone(server).await;
        let server = self::server().start().await.unwrap();
        cut_after(grace, pool_with(&server, Pool::builder().one_login()), &server).await;
        is_gone(server).await;
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_waited_for_no_longer_than_others() {
    let grace = Duration::from_millis(500);
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let running = tokio::spawn(async move { web.output("sleep 1000").await });
    run_as_many(&server, 1).await;
    server.stall();
    let begun = Instant::now();
    pool.shutdown(grace).await;
    let took = begun.elapsed();
    assert!(took >= grace && took < grace + MORE, "{took:?}");
    assert!(running.await.unwrap().unwrap_err().is_outcome_unknown());
    server.resume();
    is_gone(server).await;
}
