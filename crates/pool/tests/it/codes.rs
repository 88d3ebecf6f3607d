//! Logins by codes that are good once, which somebody types.

use std::time::Duration;

use rustle_pool::ErrorKind;
use rustle_session::ErrorKind as SessionErrorKind;
use rustle_testserver::{AuthOutcome, Cut, Method, OneTimeCodes, Reply, TestServer, User};

use crate::support::{Person, in_fast_motion, server_shows, shut_down_and_check, twenty};

/// Each of them is crossed out when it was typed.
fn codes() -> Vec<String> {
    (1..=9).map(|digit| digit.to_string().repeat(6)).collect()
}

async fn server() -> TestServer {
    let user = User::new("alice").one_time_codes(OneTimeCodes::list(codes()));
    let builder = TestServer::builder().user(user).builtins().command("hello", Reply::stdout("hello\n"));
    builder.start().await.unwrap()
}

/// What the server said to codes, in their order.
fn verdicts(server: &TestServer) -> Vec<AuthOutcome> {
    let record = server.record();
    let by_code = record.auth_attempts().iter().filter(|one| one.method() == Method::KeyboardInteractive);
    by_code.map(|one| one.outcome()).filter(|outcome| *outcome != AuthOutcome::Asked).collect()
}

#[tokio::test]
async fn twenty_callers_need_one_code_and_a_reconnect_needs_another() {
    let server = server().await;
    let person = Person::new(codes().into_iter());
    let pool = person.pool(&server);
    for logins in 1..=3 {
        twenty(&pool).await;
        assert_eq!((person.asked(), server.record().connections_accepted()), (logins, logins));
        server.cut_all(Cut::Rst);
        server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    }
    // None of them was shown twice.
    assert_eq!(verdicts(&server), [AuthOutcome::Accepted; 3]);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_that_took_a_code_is_made_again_for_a_caller_alone() {
    let server = server().await;
    let person = Person::new(codes().into_iter());
    let pool = person.pool(&server);
    let web = pool.get("web").await.unwrap();
    Box::pin(in_fast_motion(async {
        // One that was there for so long and used would be replaced at once, if that asked nobody.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(web.output("hello").await.unwrap().status.success());
        server.cut_all(Cut::Rst);
        server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }))
    .await;
    assert_eq!((person.asked(), server.record().connections_accepted()), (1, 1));
    assert!(web.output("hello").await.unwrap().status.success());
    assert_eq!((person.asked(), verdicts(&server)), (2, vec![AuthOutcome::Accepted; 2]));
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_person_who_has_no_code_left_is_an_error_and_no_old_one_is_sent() {
    let server = server().await;
    let person = Person::new(codes().into_iter().take(1));
    let pool = person.pool(&server);
    let web = pool.get("web").await.unwrap();
    server.cut_all(Cut::Rst);
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    let error = web.output("hello").await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::AuthenticationFailed, "{error}");
    let error = pool.get("web").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::AuthenticationFailed), "{error}");
    assert_eq!((person.asked(), verdicts(&server)), (2, vec![AuthOutcome::Accepted]));
    drop(web);
    shut_down_and_check(pool, server).await;
}
