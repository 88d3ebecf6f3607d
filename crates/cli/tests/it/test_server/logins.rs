//! Users of a script who are let in after more than the right word, or less.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustle_session::{BoxFuture, PromptError, PromptRequest, Prompter, SecretString};

use super::served::{Served, output};

/// Gives these answers, whatever is asked, and keeps the questions.
struct Saying {
    answers: Mutex<Vec<String>>,
    asked: Mutex<String>,
}

impl Saying {
    fn new(answers: &[&str]) -> Arc<Self> {
        let answers = answers.iter().rev().map(|answer| (*answer).to_owned()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }
}

impl Prompter for Saying {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        let mut answers = self.answers.lock().unwrap();
        let mut given = Vec::new();
        for prompt in request.prompts() {
            self.asked.lock().unwrap().push_str(prompt.text());
            match answers.pop() {
                Some(answer) => given.push(SecretString::from(answer)),
                None => return Box::pin(async { Err(PromptError::Unavailable) }),
            }
        }
        Box::pin(async move { Ok(given) })
    }
}

/// Whether these answers let someone in, and what was asked.
async fn answering(server: &Served, user: &str, answers: &[&str]) -> (bool, String) {
    let saying = Saying::new(answers);
    let prompter = Arc::clone(&saying) as Arc<dyn Prompter>;
    let connected = server.setup(user).prompter(prompter).resolve().unwrap().connect().await;
    let asked = saying.asked.lock().unwrap().clone();
    (connected.is_ok(), asked)
}

async fn by_password(server: &Served, user: &str, password: &str) -> bool {
    let setup = server.setup(user).option("PreferredAuthentications=password");
    setup.password(SecretString::from(password)).resolve().unwrap().connect().await.is_ok()
}

async fn outcomes(server: &Served) -> Vec<String> {
    let record = server.record().await;
    let attempts = record["auth_attempts"].as_array().unwrap().iter();
    attempts.map(|attempt| attempt["outcome"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_let_in_once_and_expired_passwords_have_to_be_changed() {
    let script = r#"
        [[users]]
        name = "coded"
        one_time_codes = ["111111", "222222"]
        [[users]]
        name = "stale"
        password = "old"
        password_expired = true
        [[users]]
        name = "pam"
        password = "asked"
        keyboard_interactive_password = true
        [[users]]
        name = "welcome"
        rounds = [{ prompts = [{ text = "Anything? ", any_answer = true }] }]
    "#;
    let server = Served::script(script).await;
    assert!(answering(&server, "coded", &["222222"]).await.0);
    assert!(!answering(&server, "coded", &["222222"]).await.0);
    assert!(outcomes(&server).await.contains(&"replayed".to_owned()));
    assert!(answering(&server, "coded", &["111111"]).await.0);

    assert!(!by_password(&server, "stale", "old").await);
    assert!(outcomes(&server).await.contains(&"expired".to_owned()));
    let (comes_in, asked) = answering(&server, "stale", &["old", "old", "new", "new"]).await;
    assert!(comes_in && asked.contains("You are required to change your password"), "{asked}");
    assert!(by_password(&server, "stale", "new").await);
    assert!(!by_password(&server, "stale", "old").await);

    assert!(answering(&server, "pam", &["asked"]).await.0);
    assert!(by_password(&server, "pam", "asked").await);
    assert!(answering(&server, "welcome", &["whatever"]).await.0);
    server.stop().await;
}

#[tokio::test]
async fn passwords_come_late_and_users_are_locked_out() {
    let script = r#"
        [[users]]
        name = "late"
        password = "right"
        password_from_attempt = 2
        [[users]]
        name = "wary"
        password = "right"
        lock_after = 1
        [[users]]
        name = "slow"
        password = "right"
        auth_delay = "150ms"
    "#;
    let server = Served::script(script).await;
    assert!(!by_password(&server, "late", "right").await);
    assert!(by_password(&server, "late", "right").await);
    assert!(by_password(&server, "wary", "right").await);
    assert!(!by_password(&server, "wary", "wrong").await);
    assert!(!by_password(&server, "wary", "right").await);
    assert!(outcomes(&server).await.contains(&"locked".to_owned()));
    let start = Instant::now();
    assert!(by_password(&server, "slow", "right").await);
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn users_have_their_own_methods_variables_and_no_files() {
    let script = r#"
        [[users]]
        name = "told"
        password = "right"
        keyboard_interactive_password = true
        methods = ["password"]
        [[users]]
        name = "both"
        password = "right"
        keyboard_interactive_password = true
        [[users]]
        name = "local"
        password = "right"
        env = { HOME = "/home/local", LANG = "C" }
        sftp = false
    "#;
    let server = Served::script(script).await;
    for (user, method) in [("told", "password"), ("both", "keyboard-interactive")] {
        let saying = Saying::new(&["right"]);
        let setup = server.setup(user).password("right".into()).prompter(saying).resolve().unwrap();
        setup.connect().await.unwrap();
        let record = server.record().await;
        let last = record["auth_attempts"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["outcome"], &last["method"]), (&"accepted".into(), &method.into()), "{record}");
    }
    let session = server.session("local", "right").await;
    assert_eq!(output(&session, "env").await, "HOME=/home/local\nLANG=C\n");
    assert!(session.subsystem("sftp").spawn().await.is_err());
    let session = server.session("both", "right").await;
    assert!(session.subsystem("sftp").spawn().await.is_ok());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_by_the_clock_are_told_by_the_control() {
    let script = r#"
        [[users]]
        name = "timed"
        timed_codes = { seed = 7, step = "1h" }
        [[users]]
        name = "listed"
        one_time_codes = ["111111", "222222"]
    "#;
    let server = Served::script(script).await;
    let code = async |user: &str| {
        let answer = server.get(&format!("/code?user={user}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["code"].as_str().map(str::to_owned)
    };
    let now = code("timed").await.unwrap();
    assert_eq!(now.len(), 6);
    assert!(answering(&server, "timed", &[&now]).await.0);
    assert!(!answering(&server, "timed", &[&now]).await.0);
    assert!(outcomes(&server).await.contains(&"replayed".to_owned()));
    assert_eq!(code("listed").await.as_deref(), Some("111111"));
    for (answer, next) in [("111111", Some("222222")), ("222222", None)] {
        assert!(answering(&server, "listed", &[answer]).await.0);
        assert_eq!(code("listed").await.as_deref(), next);
    }
    let added = "{\"name\": \"later\", \"one_time_codes\": [\"333333\"]}";
    assert_eq!(server.post("/users", added).await.status, 200);
    assert_eq!(code("later").await.as_deref(), Some("333333"));
    // Who has the name from now on has none.
    server.post("/users", "{\"name\": \"later\", \"none\": true}").await;
    for (query, status) in [("user=later", 404), ("user=nobody", 404), ("name=timed", 400), ("", 400)] {
        assert_eq!(server.get(&format!("/code?{query}")).await.status, status, "{query}");
    }
    server.stop().await;
}
