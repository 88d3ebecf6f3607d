//! Channels that were dropped give their places back: OpenSSH grants ten.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use rustle_session::Session;
use rustle_tests::processes::assert_none_left;
use rustle_tests::{Server, interop_within, unique_number};

const DROPPED: usize = 200;
const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn after_200_dropped_idle_channels_the_next_opens_within_a_second() {
    interop_within(DEADLINE, |interop| async move {
        let server = Server::configured(&interop, "MaxSessions 10");
        let session = server.session().await;
        let usual = time_to_open(&session).await;
        let start = Instant::now();
        for _ in 0..DROPPED {
            // It reads its input, which nobody writes.
            drop(session.command("cat").spawn().await.unwrap());
        }
        println!("{DROPPED} opened and dropped in {:?}", start.elapsed());
        assert_opens_within_a_second(&session, usual).await;
    });
}

#[test]
fn after_200_dropped_channels_that_run_sleep_the_next_opens_within_a_second() {
    interop_within(DEADLINE, |interop| async move {
        let server = Server::configured(&interop, "MaxSessions 10");
        let session = server.session().await;
        let usual = time_to_open(&session).await;
        let marker = format!("1000.{}", unique_number());
        let start = Instant::now();
        for _ in 0..DROPPED {
            drop(session.line(format!("sleep {marker}")).spawn().await.unwrap());
        }
        println!("{DROPPED} opened and dropped in {:?}", start.elapsed());
        assert_opens_within_a_second(&session, usual).await;
        assert_none_left(&marker).await;
    });
}

#[test]
fn after_200_dropped_requests_to_open_the_next_opens_within_a_second() {
    interop_within(DEADLINE, |interop| async move {
        let server = Server::configured(&interop, "MaxSessions 10");
        let session = server.session().await;
        let usual = time_to_open(&session).await;
        let marker = format!("1000.{}", unique_number());
        for round in 0..DROPPED {
            // Dropped before it was sent, while it is under way, and after it was answered.
            let spawning = session.line(format!("sleep {marker}")).spawn();
            if round % 4 == 0 {
                let mut spawning = pin!(spawning);
                let _ = spawning.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            } else {
                let time = Duration::from_micros(100 * (round % 40) as u64);
                drop(tokio::time::timeout(time, spawning).await);
            }
        }
        assert_opens_within_a_second(&session, usual).await;
        assert_none_left(&marker).await;
    });
}

#[test]
fn ten_at_once_are_open_and_the_eleventh_is_told_the_limit() {
    interop_within(DEADLINE, |interop| async move {
        let server = Server::configured(&interop, "MaxSessions 10");
        let session = server.session().await;
        let usual = time_to_open(&session).await;
        let mut children = Vec::new();
        for _ in 0..10 {
            children.push(session.command("cat").spawn().await.unwrap());
        }
        assert_eq!(session.stats().channels_open, 10);
        let error = session.command("true").spawn().await.unwrap_err();
        assert_eq!(error.kind(), rustle_session::ErrorKind::ChannelLimit, "{error:?}");
        assert!(error.hint().unwrap().contains("MaxSessions"), "{error:?}");
        drop(children.pop());
        assert_opens_within_a_second(&session, usual).await;
    });
}

/// A second, and on top what a busy machine takes anyway: ten times what opening took when nothing had been dropped.
async fn assert_opens_within_a_second(session: &Session, usual: Duration) {
    let elapsed = time_to_open(session).await;
    println!("the next opened after {elapsed:?}, the first after {usual:?}");
    assert!(elapsed < Duration::from_secs(1) + usual * 10, "the next opened after {elapsed:?}");
}

async fn time_to_open(session: &Session) -> Duration {
    let start = Instant::now();
    let mut child = session.command("true").spawn().await.unwrap();
    let elapsed = start.elapsed();
    assert!(child.wait().await.unwrap().success());
    elapsed
}
