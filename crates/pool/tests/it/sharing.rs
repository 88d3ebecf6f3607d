//! Connections are made once and shared by all who need them.

use rustle_pool::{ErrorKind, Pool};
use rustle_testserver::Reply;

use crate::support::{Person, pool, pool_with, server, server_shows, shut_down_and_check, twenty};

#[tokio::test]
async fn a_second_command_needs_no_login() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    for _ in 0..3 {
        let web = pool.get("web").await.unwrap();
        assert_eq!(web.output("hello").await.unwrap().stdout_text(), "hello\n");
    }
    assert_eq!(server.record().connections_accepted(), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_name_that_nobody_registered_is_an_error_of_its_own() {
    let pool = Pool::builder().only_registered().build().unwrap();
    let error = pool.get("wev").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::UnknownHost, "HOST_UNKNOWN"));
    assert!(error.to_string().contains("\"wev\""), "{error}");
    assert!(error.hint().is_some() && !error.is_retryable());
}

#[tokio::test]
async fn twenty_who_come_at_once_ask_a_person_once() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let person = Person::new(std::iter::repeat("wonderland".to_owned()));
    let pool = person.pool(&server);
    twenty(&pool).await;
    assert_eq!((person.asked(), server.record().connections_accepted()), (1, 1));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn flows_that_may_stall_have_connections_of_their_own() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let mut flows = Vec::new();
    for _ in 0..3 {
        flows.push(web.line("sleep 1000").spawn().await.unwrap());
    }
    for _ in 0..20 {
        assert!(web.output("hello").await.unwrap().status.success());
    }
    let record = server.record();
    let on = |text: &str| {
        let commands = record.commands().iter().filter(|command| command.text() == text);
        commands.map(|command| command.connection()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(on("sleep 1000").len(), 3, "{record:#?}");
    drop((flows, web));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn the_end_of_the_last_handle_is_the_end_of_all_connections() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder());
    let web = pool.get("web").await.unwrap();
    drop(pool);
    assert!(web.output("true").await.unwrap().status.success());
    drop(web);
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}
