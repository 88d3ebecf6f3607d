//! The same work on many hosts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, Stream as _, StreamExt};
use rustle_pool::{Error, ErrorKind, OnFailure, Pool};
use rustle_session::{BoxFuture, Session};
use rustle_testserver::{Reply, Sftp, TestServer};
use tokio::sync::{Barrier, Semaphore};

use crate::support::{in_fast_motion, pool, server, server_shows, setup, shut_down_and_check};

/// A pool that knows the server by so many names: a host each.
fn hosts(server: &TestServer, count: usize) -> (Pool, Vec<String>) {
    let pool = pool(server);
    let names: Vec<String> = (0..count).map(|number| format!("web-{number}")).collect();
    names.iter().for_each(|name| pool.register(name, setup(server)));
    (pool, names)
}

/// A login takes a machine's time, which in fast motion is long.
async fn connect_all(pool: &Pool, names: &[String]) {
    let connected: Vec<_> = pool.connect_all(names).collect().await;
    assert!(connected.iter().all(|(_, outcome)| outcome.is_ok()), "{connected:?}");
}

#[tokio::test]
async fn each_host_has_one_result() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (pool, mut names) = hosts(&server, 20);
    // One is not known, and one is named twice.
    names.extend(["nobody".to_owned(), "web-3".to_owned()]);
    let mut results = pool.on(names.clone()).at_once(5).output("hello");
    let mut seen = Vec::new();
    while let Some(result) = results.next().await {
        match result.outcome {
            Ok(output) => assert_eq!(output.stdout_text(), "hello\n"),
            Err(error) => {
                assert_eq!((result.host.as_str(), error.kind()), ("nobody", ErrorKind::UnknownHost));
            }
        }
        assert!(result.duration > Duration::ZERO);
        seen.push(result.host);
    }
    seen.sort();
    names.sort();
    assert_eq!(seen, names);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn so_many_are_worked_on_at_once_and_no_more() {
    let server = server().start().await.unwrap();
    let (pool, names) = hosts(&server, 12);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (three, seen) = (Arc::new(Barrier::new(3)), Arc::clone(&most));
    let results = pool.on(names).at_once(3).timeout(Duration::from_secs(60)).each(move |_host, _session| {
        let (now, most, three) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&three));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // None gets further before there are three.
            three.wait().await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Error>(())
        }
    });
    let results: Vec<_> = results.collect().await;
    assert!(results.len() == 12 && results.iter().all(|one| one.outcome.is_ok()), "{results:?}");
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_a_failure_nothing_new_begins_where_that_is_wanted() {
    let server = server().command("fail", Reply::stdout("").exit(3)).start().await.unwrap();
    let (pool, names) = hosts(&server, 6);
    let mut results = pool.on(names).at_once(0).on_failure(OnFailure::BeginNoMore).output("fail");
    let first = results.next().await.unwrap();
    assert_eq!(first.outcome.unwrap().status.code(), Some(3), "what it gave is told as it is");
    let mut others = 0;
    while let Some(result) = results.next().await {
        let error = result.outcome.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotRun, "POOL_NOT_RUN"));
        assert_eq!(
            error.to_string(),
            format!("{}: not begun, since it failed on {}", result.host, first.host)
        );
        assert_eq!(result.duration, Duration::ZERO);
        others += 1;
    }
    assert_eq!((others, server.record().commands().len()), (5, 1));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_a_failure_all_ends_where_that_is_wanted() {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let server = server().start().await.unwrap();
    let (pool, names) = hosts(&server, 4);
    let (turn, begun) = (AtomicUsize::new(0), Arc::new(Semaphore::new(0)));
    let mut results = pool.on(names).at_once(3).on_failure(OnFailure::EndAll).each(move |_host, session| {
        let (is_first, begun) = (turn.fetch_add(1, Ordering::Relaxed) == 0, Arc::clone(&begun));
        async move {
            if is_first {
                begun.acquire_many(2).await?.forget();
                return Err(Failure::from("it broke"));
            }
            let mut sleeper = session.line("sleep 1000").spawn().await?;
            begun.add_permits(1);
            Ok(sleeper.wait().await?)
        }
    });
    let mut told = Vec::new();
    while let Some(result) = results.next().await {
        let error = result.outcome.unwrap_err();
        let is_not_run = error.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::NotRun);
        assert_eq!(is_not_run, !told.is_empty(), "{error}");
        told.push(error.to_string());
    }
    assert_eq!((told.len(), told[0].as_str()), (4, "it broke"));
    assert_eq!(
        told.iter().filter(|text| text.contains("broken off, since it failed on")).count(),
        2,
        "{told:?}"
    );
    assert_eq!(
        told.iter().filter(|text| text.contains("not begun, since it failed on")).count(),
        1,
        "{told:?}"
    );
    server_shows(&server, "no process left", |record| record.processes_running() == 0).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn one_that_takes_too_long_is_told_and_the_others_go_on() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (pool, names) = hosts(&server, 3);
    connect_all(&pool, &names).await;
    let turn = Arc::new(AtomicUsize::new(0));
    let mut outcomes = Vec::new();
    in_fast_motion(async {
        let mut results = pool.on(names).timeout(Duration::from_secs(100)).each(move |_host, session| {
            let line = if turn.fetch_add(1, Ordering::Relaxed) == 0 { "sleep 1000" } else { "hello" };
            async move { session.output(line).await.map_err(Error::from) }
        });
        while let Some(result) = results.next().await {
            outcomes.push(result.outcome);
        }
    })
    .await;
    let late = outcomes.pop().unwrap().unwrap_err();
    assert_eq!((late.kind(), late.code()), (ErrorKind::TimedOut, "POOL_TIMED_OUT"));
    assert!(late.is_outcome_unknown() && !late.is_retryable());
    assert!(late.to_string().ends_with("not done within 100 s"), "{late}");
    assert!(outcomes.iter().all(Result::is_ok));
    server_shows(&server, "no process left", |record| record.processes_running() == 0).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn the_time_of_a_host_begins_with_its_connection_and_not_before() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (pool, names) = hosts(&server, 3);
    connect_all(&pool, &names).await;
    // Together they take longer than each may.
    let most = Duration::from_secs(100);
    let results = pool.on(names.clone()).at_once(1).timeout(most).output("sleep 50");
    let results: Vec<_> = in_fast_motion(results.collect()).await;
    assert!(results.len() == 3 && results.iter().all(|one| one.outcome.is_ok()), "{results:?}");
    assert!(results.iter().all(|one| one.duration < most), "{results:?}");

    pool.retire_idle().await;
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    server.pause_listening().await.unwrap();
    let results = pool.on(names.clone()).timeout(Duration::from_millis(500)).output("hello");
    let results: Vec<_> = in_fast_motion(results.collect()).await;
    assert!(results.len() == 3 && results.iter().all(|one| is_late(&one.outcome)), "{results:?}");
    server.resume_listening().await.unwrap();
    let results: Vec<_> = pool.on(names).output("hello").collect().await;
    assert!(results.iter().all(|one| one.outcome.is_ok()), "{results:?}");
    shut_down_and_check(pool, server).await;
}

fn is_late<T>(outcome: &Result<T, Error>) -> bool {
    // It was at no work yet.
    outcome.as_ref().is_err_and(|error| {
        let is_told = error.to_string().contains("not connected within") && !error.is_outcome_unknown();
        error.kind() == ErrorKind::TimedOut && is_told
    })
}

#[tokio::test]
async fn what_is_cancelled_or_dropped_ends_everywhere() {
    let server = server().start().await.unwrap();
    let (pool, names) = hosts(&server, 4);
    let mut results = pool.on(names.clone()).at_once(3).output("sleep 1000");
    let running = server_shows(&server, "three sleepers", |record| record.processes_running() == 3);
    tokio::select! {
        result = results.next() => panic!("{result:?}"),
        () = running => {}
    }
    results.cancel();
    let mut told = 0;
    while let Some(result) = results.next().await {
        let error = result.outcome.unwrap_err();
        assert!(error.kind() == ErrorKind::NotRun && error.to_string().contains("cancelled"), "{error}");
        assert_eq!(error.is_outcome_unknown(), error.to_string().contains("broken off"), "{error}");
        told += 1;
    }
    assert_eq!(told, 4);
    server_shows(&server, "no process left", |record| record.processes_running() == 0).await;

    let mut results = pool.on(names).output("sleep 1000");
    let running = server_shows(&server, "four sleepers", |record| record.processes_running() == 4);
    tokio::select! {
        result = results.next() => panic!("{result:?}"),
        () = running => {}
    }
    drop(results);
    server_shows(&server, "no process left", |record| record.processes_running() == 0).await;
    shut_down_and_check(pool, server).await;
}

/// The work of a host, which tells when it is done.
fn counted(
    done: &Arc<Semaphore>,
) -> impl Fn(String, Session) -> BoxFuture<'static, Result<String, Error>> + use<> {
    let done = Arc::clone(done);
    move |host, session| {
        let done = Arc::clone(&done);
        Box::pin(async move {
            session.output("hello").await?;
            done.add_permits(1);
            Ok(host)
        })
    }
}

#[tokio::test]
async fn what_was_begun_goes_on_while_nobody_asks_and_nothing_else_begins() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (pool, names) = hosts(&server, 6);
    let done = Arc::new(Semaphore::new(0));
    let mut results = pool.on(names).at_once(3).each(counted(&done));
    assert_eq!((results.size_hint(), server.record().connections_accepted()), ((6, Some(6)), 0));
    results.next().await.unwrap().outcome.unwrap();
    // Two more of the first three are done without being asked for; the place of the one that was taken is free, and so
    // is nobody's before the next is asked for.
    done.acquire_many(3).await.unwrap().forget();
    assert_eq!((server.record().commands().len(), results.size_hint()), (3, (5, Some(5))));
    let mut left = 0;
    while let Some(result) = results.next().await {
        assert_eq!(result.outcome.unwrap(), result.host);
        left += 1;
    }
    assert_eq!((left, results.size_hint()), (5, (0, Some(0))));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_was_done_before_all_was_cancelled_keeps_its_result() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (pool, names) = hosts(&server, 5);
    let done = Arc::new(Semaphore::new(0));
    let mut results = pool.on(names).at_once(3).each(counted(&done));
    results.next().await.unwrap().outcome.unwrap();
    done.acquire_many(3).await.unwrap().forget();
    results.cancel();
    let (mut good, mut not_begun) = (0, 0);
    while let Some(result) = results.next().await {
        match result.outcome {
            Ok(_) => good += 1,
            Err(error) => {
                let message = format!("{}: not begun, since it was cancelled", result.host);
                assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotRun, message));
                not_begun += 1;
            }
        }
    }
    assert_eq!((good, not_begun), (2, 2));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_file_goes_to_each_host_and_one_comes_back() {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let server = server().sftp(Sftp::memory()).start().await.unwrap();
    let (pool, names) = hosts(&server, 6);
    let here = tempfile::tempdir().unwrap();
    let original = here.path().join("original");
    std::fs::write(&original, [7; 100_000]).unwrap();
    let copies = here.path().to_owned();
    let mut results = pool.on(names.clone()).at_once(3).each(move |host, session| {
        let (original, copy) = (original.clone(), copies.join(&host));
        async move {
            let sftp = rustle_sftp::Files::open(&session).await?;
            sftp.put(&original, &*host).await?;
            sftp.get(&*host, &copy).await?;
            sftp.close().await;
            Ok::<_, Failure>(copy)
        }
    });
    let mut seen = Vec::new();
    while let Some(result) = results.next().await {
        assert_eq!(std::fs::read(result.outcome.unwrap()).unwrap(), [7; 100_000]);
        seen.push(result.host);
    }
    seen.sort();
    assert_eq!(seen, names);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_panic_in_the_work_reaches_who_asks_for_the_results() {
    let server = server().start().await.unwrap();
    let (pool, names) = hosts(&server, 2);
    let mut results = pool.on(names).at_once(1).each(|host, _session| async move {
        assert_ne!(host, "web-0", "a mistake in the work");
        Ok::<_, Error>(host)
    });
    let panic = AssertUnwindSafe(results.next()).catch_unwind().await.unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("a mistake in the work"));
    assert_eq!(results.next().await.unwrap().outcome.unwrap(), "web-1", "the others are not lost with it");
    assert!(results.next().await.is_none());
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_the_end_of_the_pool_each_host_is_told_so() {
    let server = server().start().await.unwrap();
    let (pool, names) = hosts(&server, 3);
    pool.shutdown(Duration::ZERO).await;
    let results: Vec<_> = pool.on(names).output("hello").collect().await;
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|one| one.outcome.as_ref().unwrap_err().kind() == ErrorKind::ShutDown));
    server.stop().await.unwrap();
}
