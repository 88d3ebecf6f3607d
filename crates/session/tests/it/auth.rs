//! Logging in to the test server: passwords, questions, several factors, and every way to be turned away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking, and say what is skipped"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustle_session::{
    AgentSource, BoxFuture, Connector, Credentials, ErrorKind, PromptError, PromptKind, PromptRequest,
    Prompter, Rejected, SecretString, Session, Target, TransportOptions, Unauthenticated, danger,
};
use rustle_testserver::{AuthOutcome, Cut, Fault, Method, Phase, Round, TestServer, User};

/// Credentials that look at nothing on this machine.
pub(crate) fn bare() -> Credentials {
    Credentials::new().without_default_keys().agent(AgentSource::None)
}

pub(crate) async fn connect(server: &TestServer, user: &str) -> Unauthenticated {
    connect_within(server, user, Duration::from_secs(20)).await
}

async fn connect_within(server: &TestServer, user: &str, limit: Duration) -> Unauthenticated {
    let target = Target::new("127.0.0.1").unwrap().with_user(user).unwrap().with_port(server.port()).unwrap();
    let options = TransportOptions::builder().connect_timeout(limit).build().unwrap();
    Connector::new(target)
        .transport(options)
        .host_trust(danger::AcceptAnyHostKey::new())
        .connect_over(server.duplex())
        .await
        .unwrap()
}

async fn log_in(server: &TestServer, user: &str, credentials: &Credentials) -> Result<Session, Rejected> {
    connect(server, user).await.authenticate(credentials).await
}

async fn server_with(user: User) -> TestServer {
    TestServer::builder().user(user).start().await.unwrap()
}

fn attempts(server: &TestServer, method: Method) -> Vec<AuthOutcome> {
    let record = server.record();
    let of_method = record.auth_attempts().iter().filter(|attempt| attempt.method() == method);
    of_method.map(|attempt| attempt.outcome()).collect()
}

/// A person who types these answers, one list for each question, and then leaves.
pub(crate) struct Typist {
    answers: Mutex<VecDeque<Vec<&'static str>>>,
    seen: Mutex<Vec<PromptRequest>>,
}

impl Typist {
    pub(crate) fn new(answers: impl IntoIterator<Item = Vec<&'static str>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), seen: Mutex::default() })
    }

    pub(crate) fn seen(&self) -> Vec<PromptRequest> {
        self.seen.lock().unwrap().clone()
    }
}

impl Prompter for Typist {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        self.seen.lock().unwrap().push(request);
        let answers = self.answers.lock().unwrap().pop_front().ok_or(PromptError::Cancelled);
        Box::pin(async move { Ok(answers?.into_iter().map(SecretString::from).collect()) })
    }
}

#[tokio::test]
async fn a_given_password_lets_in() {
    let server = server_with(User::new("alice").password("wonderland")).await;
    let session = log_in(&server, "alice", &bare().password(SecretString::from("wonderland"))).await.unwrap();
    assert_eq!(session.method(), "password");
    assert_eq!(session.method_detail(), None);
}

#[tokio::test]
async fn nothing_is_asked_where_nothing_is_needed() {
    let server = server_with(User::new("guest").none()).await;
    assert_eq!(log_in(&server, "guest", &bare()).await.unwrap().method(), "none");
}

#[tokio::test]
async fn a_person_answers_several_rounds_and_the_silent_one_passes() {
    let server = server_with(
        User::new("carol").keyboard_interactive([
            Round::new()
                .name("Two")
                .instruction("Two questions.")
                .prompt("Name: ", "c")
                .hidden_prompt("Code: ", "1"),
            Round::new().instruction("Welcome."),
            Round::new().hidden_prompt("Again: ", "2"),
        ]),
    )
    .await;
    let person = Typist::new([vec!["c", "1"], vec!["2"]]);
    let session = log_in(&server, "carol", &bare().prompter(person.clone())).await.unwrap();
    assert_eq!(session.method(), "keyboard-interactive");
    let seen = person.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].kind(), PromptKind::KeyboardInteractive);
    assert_eq!((seen[0].user(), seen[0].name(), seen[0].instruction()), ("carol", "Two", "Two questions."));
}

#[tokio::test]
async fn a_given_password_answers_the_question_for_it_and_a_person_the_next() {
    let server = server_with(User::new("carol").keyboard_interactive([
        Round::new().hidden_prompt("Password: ", "pw"),
        Round::new().hidden_prompt("Verification code: ", "123456"),
    ]))
    .await;
    let person = Typist::new([vec!["123456"]]);
    let credentials = bare().password(SecretString::from("pw")).prompter(person.clone());
    log_in(&server, "carol", &credentials).await.unwrap();
    assert_eq!(person.seen.lock().unwrap()[0].prompts()[0].text(), "Verification code: ");
}

#[tokio::test]
async fn several_factors_are_followed_through() {
    let server = server_with(
        User::new("dave")
            .password("first")
            .keyboard_interactive([Round::new().hidden_prompt("Code: ", "second")])
            .steps([Method::Password, Method::KeyboardInteractive]),
    )
    .await;
    let credentials = bare().password(SecretString::from("first")).prompter(Typist::new([vec!["second"]]));
    let session = log_in(&server, "dave", &credentials).await.unwrap();
    assert_eq!(session.method(), "password,keyboard-interactive");
    assert_eq!(attempts(&server, Method::Password), [AuthOutcome::Partial]);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_the_connection_comes_back() {
    let server = server_with(
        User::new("alice")
            .password("wonderland")
            .keyboard_interactive([Round::new().hidden_prompt("Password: ", "wonderland")]),
    )
    .await;
    let rejected = match log_in(&server, "alice", &bare().password(SecretString::from("wrong-1"))).await {
        Ok(_) => panic!("let in"),
        Err(rejected) => rejected,
    };
    let error = rejected.error();
    assert_eq!((error.kind(), error.code()), (ErrorKind::AuthenticationFailed, "SSH_AUTH_FAILED"));
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong-1"));
    let refused =
        |method| attempts(&server, method).iter().filter(|one| **one == AuthOutcome::Refused).count();
    assert_eq!(refused(Method::KeyboardInteractive) + refused(Method::Password), 1);

    assert!(rejected.may_continue().iter().any(|method| method == "password"));
    let again = rejected.into_unauthenticated().expect("the connection is still good");
    again.authenticate(&bare().password(SecretString::from("wonderland"))).await.unwrap();
}

#[tokio::test]
async fn without_anything_to_show_the_error_says_what_would_help() {
    let server = server_with(User::new("alice").password("wonderland")).await;
    let rejected = log_in(&server, "alice", &bare()).await.err().unwrap();
    assert!(rejected.error().to_string().contains("nobody could be asked"), "{}", rejected.error());
    assert!(rejected.error().hint().unwrap().contains("password"));
    assert_eq!(attempts(&server, Method::Password), []);
}

#[tokio::test]
async fn a_person_who_declines_ends_it() {
    let server = server_with(User::new("alice").password("wonderland")).await;
    let rejected = log_in(&server, "alice", &bare().prompter(Typist::new([]))).await.err().unwrap();
    assert_eq!(rejected.error().kind(), ErrorKind::AuthenticationFailed);
    assert!(rejected.error().to_string().contains("cancelled"), "{}", rejected.error());
    assert!(rejected.into_unauthenticated().is_none());
}

#[tokio::test]
async fn a_connection_cut_while_logging_in_is_no_refusal() {
    for how in [Cut::Fin, Cut::Rst] {
        let server = TestServer::builder()
            .user(User::new("alice").password("wonderland"))
            .fault(Fault::cut(Phase::Authentication, how))
            .start()
            .await
            .unwrap();
        let credentials = bare().password(SecretString::from("wonderland"));
        let rejected = log_in(&server, "alice", &credentials).await.err().unwrap();
        assert_eq!(rejected.error().kind(), ErrorKind::Disconnected, "{how}: {}", rejected.error());
        assert!(rejected.error().is_retryable());
        assert!(rejected.into_unauthenticated().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_silent_while_logging_in_is_given_up_in_time() {
    let server = TestServer::builder()
        .user(User::new("alice").password("wonderland"))
        .fault(Fault::stall(Phase::Authentication))
        .start()
        .await
        .unwrap();
    let limit = Duration::from_secs(2);
    let unauthenticated = connect_within(&server, "alice", limit).await;
    let start = tokio::time::Instant::now();
    let credentials = bare().password(SecretString::from("wonderland"));
    let rejected = unauthenticated.authenticate(&credentials).await.err().unwrap();
    assert_eq!(rejected.error().kind(), ErrorKind::ConnectTimeout, "{}", rejected.error());
    assert!(start.elapsed() <= limit, "{:?}", start.elapsed());
}
