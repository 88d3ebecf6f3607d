//! The limits of servers, and one's own.

use std::time::Duration;

use rustle_pool::{ErrorKind, Pool};
use rustle_session::ErrorKind as SessionErrorKind;
use rustle_testserver::Reply;
use tokio::task::JoinSet;

use crate::support::{pool, pool_with, server, shut_down_and_check};

#[tokio::test]
async fn a_server_with_two_sessions_a_connection_runs_fifty_commands_at_once() {
    let server = server().max_sessions(2).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let mut commands = JoinSet::new();
    for _ in 0..50 {
        let web = web.clone();
        commands.spawn(async move { web.output("hello").await.unwrap().stdout_text().into_owned() });
    }
    assert_eq!(commands.join_all().await, ["hello\n"; 50]);
    assert!(server.record().connections_accepted() <= 10, "{}", server.record().connections_accepted());
    assert_eq!(server.record().commands().len(), 50);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_without_sessions_is_told_from_one_that_is_full() {
    let server = server().max_sessions(0).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let error = web.output("true").await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::NoPlace, "{error}");
    assert!(error.to_string().contains("no session at all"), "{error}");
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_waits_in_vain_is_told_which_limit_it_was() {
    let server = server().max_sessions(1).start().await.unwrap();
    let limits = Pool::builder().max_connections_per_host(1).patience(Duration::from_millis(300));
    let pool = pool_with(&server, limits);
    let web = pool.get("web").await.unwrap();
    let holder = web.line("sleep 1000").spawn().await.unwrap();
    let error = web.output("true").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (SessionErrorKind::NoPlace, "POOL_EXHAUSTED"), "{error}");
    assert!(error.to_string().contains("connections to the host"), "{error}");
    assert!(error.hint().unwrap().contains("max_connections_per_host"));
    // The next one gets the place of the one who goes.
    let (waited, _ended) = tokio::join!(web.output("true"), async { drop(holder) });
    assert!(waited.unwrap().status.success());
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let error = Pool::builder().max_connections(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "no connections at all are allowed");
}
