//! Connections are made once and shared by all who need them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustle_pool::{ErrorKind, Pool};
use rustle_session::{BoxFuture, PromptError, PromptRequest, Prompter, SecretString};
use rustle_testserver::Reply;
use tokio::task::JoinSet;

use crate::support::{pool, pool_with, server, shut_down_and_check, way};

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

/// Answers with the password, and counts how often it is asked.
struct Person(AtomicUsize);

impl Prompter for Person {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let answers = request.prompts().iter().map(|_| SecretString::from("wonderland")).collect();
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Ok(answers)
        })
    }
}

#[tokio::test]
async fn twenty_who_come_at_once_ask_a_person_once() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let person = Arc::new(Person(AtomicUsize::new(0)));
    let prompter: Arc<dyn Prompter> = Arc::<Person>::clone(&person);
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("web", way(&server).prompter(prompter).resolve().unwrap());
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        callers.spawn(async move {
            let web = pool.get("web").await.unwrap();
            assert!(web.output("hello").await.unwrap().status.success());
            // A flow that may stall is kept apart from others, where that asks nobody anything.
            let mut child = web.line("hello").spawn().await.unwrap();
            assert!(child.wait().await.unwrap().success());
        });
    }
    callers.join_all().await;
    assert_eq!(person.0.load(Ordering::Relaxed), 1);
    assert_eq!(server.record().connections_accepted(), 1);
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
    crate::support::server_shows(&server, "no connection left", |record| record.connections_open() == 0)
        .await;
    server.stop().await.unwrap();
}
