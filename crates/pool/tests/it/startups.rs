//! Servers that let few log in at once (`MaxStartups`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustle_pool::{Pool, PoolBuilder, Stats};
use rustle_session::SecretString;
use rustle_testserver::{Builder, ConnectionRecord, End, Reply, TestServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{server, setup, shut_down_and_check, way_to};

const NAMES: usize = 100;

/// Registered, each is a host of its own and wants a login of its own.
fn name(n: usize) -> String {
    format!("host-{n}")
}

fn hello() -> Builder {
    server().command("hello", Reply::stdout("hello\n"))
}

/// Runs a command on each at once.
async fn greet_all(pool: &Pool) -> Stats {
    let mut callers = JoinSet::new();
    for n in 0..NAMES {
        let pool = pool.clone();
        callers.spawn(async move {
            let session = pool.get(&name(n)).await.map_err(|error| format!("{}: {error}", name(n)))?;
            session.output("hello").await.map(drop).map_err(|error| format!("{}: {error}", name(n)))
        });
    }
    let outcomes = callers.join_all().await;
    let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
    pool.stats().await
}

fn sum(stats: &Stats, of: fn(&rustle_pool::Logins) -> u64) -> usize {
    usize::try_from(stats.hosts.iter().map(|host| of(&host.logins)).sum::<u64>()).unwrap()
}

/// The same, where the server lets so many be about to log in at once, each for 20 ms and more, and tells others to go.
async fn all_log_in((start, rate, full): (usize, u8, usize), builder: PoolBuilder) {
    let slow = hello().auth_delay(Duration::from_millis(20));
    let server = slow.max_startups(start, rate, full).start().await.unwrap();
    let pool = builder.only_registered().build().unwrap();
    for n in 0..NAMES {
        pool.register(&name(n), setup(&server));
    }
    let stats = greet_all(&pool).await;
    let record = server.record();
    let is_turned_away = |one: &&ConnectionRecord| one.ended() == Some(&End::TurnedAway);
    let turned_away = record.connections().iter().filter(is_turned_away).count();
    assert!(turned_away > 0, "nobody was in anybody's way");
    // Each of them was tried again, and nobody else.
    assert_eq!([sum(&stats, |one| one.failed), sum(&stats, |one| one.retries)], [turned_away; 2]);
    assert_eq!(record.connections_accepted(), NAMES + turned_away);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_hundred_names_of_a_server_with_the_limits_of_openssh_log_in_within_ten_attempts() {
    all_log_in((10, 30, 100), Pool::builder().attempts(10)).await;
}

#[tokio::test]
async fn a_hundred_names_of_a_server_that_lets_three_log_in_at_once_all_do_where_attempts_are_many() {
    all_log_in((3, 100, 3), Pool::builder().attempts(20)).await;
}

/// A way to the server that lets so many be about to log in at once, and hangs up on others without a word.
async fn narrow_way(server: Arc<TestServer>, most: usize) -> (u16, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, turned_away) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let (count, mut tasks) = (Arc::clone(&turned_away), JoinSet::new());
    tasks.spawn(async move {
        let (mut let_in, mut carried) = (0, JoinSet::new());
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            // Who has been let in logs in: nobody leaves before that.
            let record = server.record();
            let logged_in = record.connections().iter().filter(|one| one.user().is_some()).count();
            if let_in - logged_in >= most {
                count.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let_in += 1;
            let mut there = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
            carried.spawn(async move {
                // The end of either is that of both.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut there).await;
            });
        }
    });
    (port, turned_away, tasks)
}

#[tokio::test]
async fn a_hundred_names_of_a_server_that_hangs_up_on_most_without_a_word_all_log_in() {
    let server = Arc::new(hello().start().await.unwrap());
    let (port, turned_away, mut front) = narrow_way(Arc::clone(&server), 3).await;
    let pool = Pool::builder().only_registered().attempts(20).build().unwrap();
    let way = way_to(port).password(SecretString::from("wonderland")).resolve().unwrap();
    for n in 0..NAMES {
        pool.register(&name(n), way.clone());
    }
    let stats = greet_all(&pool).await;
    let turned_away = turned_away.load(Ordering::Relaxed);
    assert!(turned_away > 0, "nobody was in anybody's way");
    assert_eq!([sum(&stats, |one| one.failed), sum(&stats, |one| one.retries)], [turned_away; 2]);
    assert_eq!(server.record().connections_accepted(), NAMES);
    // It has the server as well.
    front.shutdown().await;
    shut_down_and_check(pool, Arc::into_inner(server).unwrap()).await;
}
