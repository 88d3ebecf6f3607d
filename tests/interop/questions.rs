//! Passwords, questions in several rounds, and methods that follow one another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustle_session::{
    AuthMethod, BoxFuture, Credentials, Echo, ErrorKind, PromptError, PromptKind, PromptRequest, Prompter,
    SecretString, Session,
};
use rustle_tests::{
    Interop, KeyFile, KeyKind, Pam, Scratch, Server, Sshd, connector, interop, no_credentials, one_time_code,
};

#[test]
fn a_password_logs_in_and_a_wrong_one_does_not() {
    interop(|interop| async move {
        let sshd = Sshd::builder(interop.sshd()).config("PasswordAuthentication yes").start();
        let session = login(&interop, &sshd, &password(&interop)).await.unwrap();
        assert_eq!(session.method(), "password");
        assert_eq!(
            session.output("id -un").await.unwrap().stdout_text().trim_end(),
            interop.account().name()
        );

        let wrong = no_credentials().password(SecretString::from("not it"));
        let error = login(&interop, &sshd, &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        assert!(error.to_string().contains("password"), "{error}");
        // The server answers before it logs.
        drop(session);
        sshd.wait_until_idle().await;
        let log = sshd.log();
        assert_eq!(log.matches("Failed password").count(), 1, "a wrong password is sent once:\n{log}");
    });
}

#[test]
fn an_account_without_a_password_is_let_in_by_none() {
    interop(|interop| async move {
        let lines = "PasswordAuthentication yes\nPermitEmptyPasswords yes\nUsePAM no";
        let sshd = Sshd::builder(interop.sshd()).config(lines).start();
        let connected = connector(interop.open_user(), &sshd).connect().await.unwrap();
        let session = connected.authenticate(&no_credentials()).await.unwrap();
        assert_eq!(session.method(), "none");
        assert_eq!(session.output("id -un").await.unwrap().stdout_text().trim_end(), interop.open_user());
    });
}

#[test]
fn a_key_that_is_known_to_be_taken_goes_first() {
    interop(|interop| async move {
        let server = Server::configured(&interop, "LogLevel DEBUG2");
        let credentials = server.credentials().begin_with_keys();
        let session = server.connector().connect().await.unwrap().authenticate(&credentials).await.unwrap();
        assert_eq!(session.method(), "publickey");
        let log = server.sshd().log();
        assert!(log.contains("method publickey") && !log.contains("method none"), "{log}");
    });
}

#[test]
fn a_person_is_asked_for_a_password_as_often_as_ssh_asks() {
    interop(|interop| async move {
        let sshd = Sshd::builder(interop.sshd()).config("PasswordAuthentication yes").start();
        let person = Person::new(["wrong", "wrong again", interop.account().password()]);
        let session = login(&interop, &sshd, &no_credentials().prompter(person.clone())).await.unwrap();
        assert_eq!(session.method(), "password");
        let asked = person.asked();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|(kind, _, echo)| (*kind, *echo) == (PromptKind::Password, Echo::Hidden)));

        let person = Person::new(["wrong", "wrong again", "and again", "once too often"]);
        let error = login(&interop, &sshd, &no_credentials().prompter(person.clone())).await.unwrap_err();
        assert_eq!((error.kind(), person.asked().len()), (ErrorKind::AuthenticationFailed, 3));
    });
}

#[test]
fn questions_in_two_rounds_are_answered_by_a_person() {
    interop(|interop| async move {
        let Some(pam) = interop.pam() else { return };
        let sshd = pam_sshd(pam, "");
        let codes = Codes::of(pam);
        let person = Person::new([interop.account().password(), &codes.next()]);
        let session = login(&interop, &sshd, &no_credentials().prompter(person.clone())).await.unwrap();
        assert_eq!(session.method(), "keyboard-interactive");
        let asked = person.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        for (kind, text, echo) in &asked {
            assert_eq!((*kind, *echo), (PromptKind::KeyboardInteractive, Echo::Hidden), "{text}");
        }
        assert!(asked[0].1.contains("Password"), "{asked:?}");
        assert!(asked[1].1.contains("One-time password"), "{asked:?}");
    });
}

#[test]
fn a_password_given_beforehand_answers_its_round_and_the_person_the_code() {
    interop(|interop| async move {
        let Some(pam) = interop.pam() else { return };
        let sshd = pam_sshd(pam, "");
        let codes = Codes::of(pam);
        let person = Person::new([codes.next().as_str()]);
        let credentials = password(&interop).prompter(person.clone());
        login(&interop, &sshd, &credentials).await.unwrap();
        let asked = person.asked();
        assert_eq!(asked.len(), 1, "the password's round is not asked of a person: {asked:?}");
        assert!(asked[0].1.contains("One-time password"), "{asked:?}");
    });
}

#[test]
fn a_password_is_never_sent_where_a_code_is_asked_for() {
    interop(|interop| async move {
        let Some(pam) = interop.pam() else { return };
        let sshd = pam_sshd(pam, "");
        let _codes = Codes::of(pam);
        let error = login(&interop, &sshd, &password(&interop)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error:?}");
    });
}

#[test]
fn a_wrong_code_is_a_refusal_that_names_the_method() {
    interop(|interop| async move {
        let Some(pam) = interop.pam() else { return };
        let sshd = pam_sshd(pam, "");
        let _codes = Codes::of(pam);
        let answers = [interop.account().password(), "000000"].repeat(3);
        let person = Person::new(answers);
        let error = login(&interop, &sshd, &no_credentials().prompter(person)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        assert!(error.to_string().contains("keyboard-interactive"), "{error}");
    });
}

#[test]
fn a_person_who_declines_ends_the_login_at_once() {
    interop(|interop| async move {
        let Some(pam) = interop.pam() else { return };
        let sshd = pam_sshd(pam, "");
        let person = Person::new([]);
        let error = login(&interop, &sshd, &no_credentials().prompter(person.clone())).await.unwrap_err();
        assert_eq!((error.kind(), person.asked().len()), (ErrorKind::AuthenticationFailed, 1), "{error:?}");
    });
}

#[test]
fn a_key_and_then_a_password_are_both_given_where_both_are_wanted() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let key = KeyFile::generate(&folder, "key", KeyKind::Ed25519);
        let sshd = Sshd::builder(interop.sshd())
            .config("PasswordAuthentication yes\nAuthenticationMethods publickey,password")
            .authorize(key.public_line())
            .start();
        let credentials = password(&interop).key_file(key.path());
        let session = login(&interop, &sshd, &credentials).await.unwrap();
        assert_eq!(session.method(), "publickey,password");

        let error = login(&interop, &sshd, &no_credentials().key_file(key.path())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        assert!(error.to_string().contains("password"), "it says what is still wanted: {error}");
    });
}

#[test]
fn a_key_and_then_questions_in_two_rounds_are_both_given_where_both_are_wanted() {
    interop(|interop| async move {
        let Some(pam) = interop.pam() else { return };
        let folder = Scratch::new();
        let key = KeyFile::generate(&folder, "key", KeyKind::EcdsaP256);
        let sshd = pam_sshd(pam, "AuthenticationMethods publickey,keyboard-interactive");
        sshd.authorize(&key.public_line());
        let codes = Codes::of(pam);
        let person = Person::new([interop.account().password(), &codes.next()]);
        let credentials = no_credentials().key_file(key.path()).prompter(person);
        let session = login(&interop, &sshd, &credentials).await.unwrap();
        assert_eq!(session.method(), "publickey,keyboard-interactive");
    });
}

#[test]
fn two_keys_are_both_given_where_two_are_wanted() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let keys = [KeyKind::Ed25519, KeyKind::EcdsaP384]
            .map(|kind| KeyFile::generate(&folder, &format!("{kind:?}"), kind));
        let mut sshd = Sshd::builder(interop.sshd()).config("AuthenticationMethods publickey,publickey");
        let mut credentials = no_credentials();
        for key in &keys {
            sshd = sshd.authorize(key.public_line());
            credentials = credentials.key_file(key.path());
        }
        let sshd = sshd.start();
        let session = login(&interop, &sshd, &credentials).await.unwrap();
        assert_eq!(session.method(), "publickey,publickey");
    });
}

#[test]
fn methods_that_were_ruled_out_are_not_tried() {
    interop(|interop| async move {
        let sshd = Sshd::builder(interop.sshd()).config("PasswordAuthentication yes").start();
        let credentials = password(&interop).methods([AuthMethod::PublicKey]);
        let error = login(&interop, &sshd, &credentials).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        sshd.wait_until_idle().await;
        assert!(!sshd.log().contains("password for"), "{}", sshd.log());
    });
}

/// The sshd that asks for the password and then for a code, and takes no password in one piece.
pub(crate) fn pam_sshd(pam: &Pam, lines: &str) -> Sshd {
    Sshd::builder(pam.sshd()).config("UsePAM yes\nKbdInteractiveAuthentication yes").config(lines).start()
}

fn password(interop: &Interop) -> Credentials {
    no_credentials().password(SecretString::from(interop.account().password()))
}

/// Logs in as the ordinary account: root has no password here.
async fn login(interop: &Interop, sshd: &Sshd, credentials: &Credentials) -> rustle_session::Result<Session> {
    let connected = connector(interop.account().name(), sshd).connect().await?;
    Ok(connected.authenticate(credentials).await?)
}

/// The account's one-time codes. Each is good once and only after those before it, so one test at a time uses them.
pub(crate) struct Codes {
    secret: Vec<u8>,
    _turn: std::sync::MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Codes {
    pub(crate) fn of(pam: &Pam) -> Self {
        let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Self { secret: pam.oath_secret().to_vec(), _turn: turn }
    }

    pub(crate) fn next(&self) -> String {
        one_time_code(&self.secret, COUNTER.fetch_add(1, Ordering::Relaxed))
    }
}

/// Gives prepared answers, one to each prompt, and declines when there are none left.
struct Person {
    answers: Mutex<std::collections::VecDeque<String>>,
    asked: Mutex<Vec<(PromptKind, String, Echo)>>,
}

impl Person {
    fn new<'a>(answers: impl IntoIterator<Item = &'a str>) -> Arc<Self> {
        let answers = answers.into_iter().map(str::to_owned).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<(PromptKind, String, Echo)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Prompter for Person {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        let mut asked = self.asked.lock().unwrap();
        let mut answers = self.answers.lock().unwrap();
        let given = request.prompts().iter().map(|prompt| {
            asked.push((request.kind(), prompt.text().to_owned(), prompt.echo()));
            answers.pop_front().map(SecretString::from)
        });
        let given = given.collect::<Option<Vec<_>>>().ok_or(PromptError::Cancelled);
        Box::pin(std::future::ready(given))
    }
}
