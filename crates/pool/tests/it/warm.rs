//! Sessions that are opened ahead.

use std::time::Duration;

use rustle_pool::Pool;
use rustle_testserver::{Cut, Reply};

use crate::support::{pool_with, server, server_shows, shut_down_and_check};

#[tokio::test]
async fn a_command_takes_the_session_that_is_there() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().warm());
    let web = pool.get("web").await.unwrap();
    for commands in 1..=3 {
        server_shows(&server, "a session that waits", |record| record.channels_open() == 1).await;
        // The record of the server is ahead of what the pool has been told.
        while pool.stats().await.channels == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(web.output("hello").await.unwrap().stdout_text(), "hello\n");
        let opened = server.record().channels_opened_total();
        assert!(opened <= commands + 1, "{opened} for {commands} commands");
    }
    assert!(pool.stats().await.hosts[0].places.warm >= 2, "{:#?}", pool.stats().await);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn it_takes_no_place_that_somebody_wants() {
    let server = server().max_sessions(1).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().warm().max_connections_per_host(1));
    let web = pool.get("web").await.unwrap();
    for _ in 0..5 {
        assert!(web.output("hello").await.unwrap().status.success());
    }
    let (one, other) = tokio::join!(web.output("hello"), web.output("hello"));
    assert!(one.unwrap().status.success() && other.unwrap().status.success());
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn one_that_is_gone_is_no_loss() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().warm());
    let web = pool.get("web").await.unwrap();
    server_shows(&server, "a session that waits", |record| record.channels_open() == 1).await;
    server.cut_all(Cut::Fin);
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    assert!(web.output("hello").await.unwrap().status.success());
    pool.shutdown(Duration::from_secs(5)).await;
    drop(web);
    server.stop().await.unwrap();
}
