//! Servers that are not there, or go away.

use std::time::Duration;

use rustle_pool::{ErrorKind, Pool};
use rustle_session::{ErrorKind as SessionErrorKind, SecretString};
use rustle_testserver::{Cut, Reply};
use tokio::task::JoinSet;

use crate::support::{pool, pool_with, server, server_shows, shut_down_and_check, way};

#[tokio::test]
async fn a_refusal_is_told_to_all_and_asked_for_once() {
    let server = server().start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("web", way(&server).password(SecretString::from("mirror")).resolve().unwrap());
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        callers.spawn(async move { pool.get("web").await.unwrap_err() });
    }
    for error in callers.join_all().await {
        assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::AuthenticationFailed), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(server.record().connections_accepted(), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_replaced_for_the_next() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    assert!(web.output("hello").await.unwrap().status.success());
    server.cut_all(Cut::Fin);
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    assert!(web.output("hello").await.unwrap().status.success());
    assert_eq!(server.record().connections_accepted(), 2);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_tried_again_and_then_told() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().attempts(2));
    server.stop().await.unwrap();
    let begun = tokio::time::Instant::now();
    let error = pool.get("web").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::HostUnreachable), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(100), "no pause between the attempts");
    pool.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn after_the_end_nothing_begins() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    pool.shutdown(Duration::from_secs(5)).await;
    let error = web.output("true").await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (SessionErrorKind::NoMorePlaces, false), "{error}");
    let error = pool.get("web").await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::ShutDown, false), "{error}");
    // Asked again it answers at once.
    pool.shutdown(Duration::from_secs(5)).await;
    server.stop().await.unwrap();
}
