//! The whole flow against a scripted server: what it is sent, in which order, and what comes of it.

mod scripted;

use std::num::NonZeroU32;
use std::path::PathBuf;

use secrecy::SecretSlice;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};

use super::super::credentials::AuthMethod;
use super::super::prompt::PromptError;
use super::*;
use crate::base::CloseReason;
use crate::error::ErrorKind;

use scripted::{Say, Server, Typist};

const LIMITS: Limits = Limits { network: Duration::from_secs(10), person: Duration::from_secs(77) };

fn bare() -> Credentials {
    Credentials::new().without_default_keys().agent(AgentSource::None)
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(Ed25519Keypair::from_seed(&[seed; 32]).into(), "").unwrap()
}

fn with_key(credentials: Credentials, key: &PrivateKey) -> Credentials {
    let text = key.to_openssh(LineEnding::LF).unwrap();
    credentials.key_bytes(SecretSlice::from(text.as_bytes().to_vec()))
}

fn fingerprint(seed: u8) -> String {
    key(seed).public_key().fingerprint(HashAlg::Sha256).to_string()
}

async fn log_in(server: &mut Server, credentials: &Credentials) -> Result<AuthSuccess, AuthFailure> {
    let no_agent: Connect = |_| Box::pin(async { Ok(None) });
    authenticate(server, no_agent, "deploy", credentials, "deploy@web-1:22", LIMITS).await
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_lets_in() {
    let mut server = Server::new(vec![Say::Yes]);
    let success = log_in(&mut server, &bare()).await.unwrap();
    assert_eq!((success.method.as_str(), success.detail), ("none", None));
}

#[tokio::test]
async fn a_key_is_offered_and_signs_only_when_wanted() {
    let credentials = with_key(with_key(bare(), &key(1)), &key(2));
    let mut server =
        Server::new(vec![Say::No(&["publickey"]), Say::No(&["publickey"]), Say::Sign(Box::new(Say::Yes))]);
    let success = log_in(&mut server, &credentials).await.unwrap();
    assert_eq!(success.method, "publickey");
    assert_eq!(success.detail.unwrap(), format!("{} (key in memory)", fingerprint(2)));
    assert_eq!(
        server.got,
        ["none", &format!("key {}", fingerprint(1)), &format!("key {}", fingerprint(2)), "signature"]
    );
}

#[tokio::test]
async fn a_caller_who_knows_that_keys_are_taken_saves_a_round_trip() {
    let credentials = with_key(bare(), &key(1)).begin_with_keys();
    let mut server = Server::new(vec![Say::Sign(Box::new(Say::Yes))]);
    assert_eq!(log_in(&mut server, &credentials).await.unwrap().method, "publickey");
    assert_eq!(server.got, [&format!("key {}", fingerprint(1)), "signature"]);
}

#[tokio::test]
async fn a_server_that_takes_no_keys_tells_its_methods_when_it_refuses_one() {
    let credentials = bare().begin_with_keys().password(SecretString::from("hunter2"));
    let mut server = Server::new(vec![Say::No(&["password"]), Say::Yes]);
    log_in(&mut server, &with_key(credentials.clone(), &key(1))).await.unwrap();
    assert_eq!(server.got, [&format!("key {}", fingerprint(1)), "password hunter2"]);

    // Without a key, or with another method before keys, the methods are asked for.
    let password_first = [AuthMethod::Password, AuthMethod::PublicKey];
    for asking in [credentials.clone(), with_key(credentials, &key(1)).methods(password_first)] {
        let mut server = Server::new(vec![Say::No(&["password"]), Say::Yes]);
        log_in(&mut server, &asking).await.unwrap();
        assert_eq!(server.got, ["none", "password hunter2"]);
    }
    let mut server = Server::new(vec![Say::Yes]);
    assert_eq!(log_in(&mut server, &bare().begin_with_keys()).await.unwrap().method, "none");
    let failure = log_in(&mut Server::new(vec![Say::No(&["publickey"])]), &bare().begin_with_keys()).await;
    assert_eq!(failure.unwrap_err().may_continue, ["publickey"]);
}

#[tokio::test]
async fn a_passphrase_is_asked_for_only_when_the_server_would_take_the_key() {
    let locked = key(1).encrypt_with(
        ssh_key::Cipher::Aes256Ctr,
        ssh_key::Kdf::Bcrypt { salt: vec![1; 16], rounds: 1 },
        7,
        "right",
    );
    let credentials = with_key(bare(), &locked.unwrap());

    let person = Typist::new(vec![]);
    let mut server = Server::new(vec![Say::No(&["publickey"]), Say::No(&["publickey"])]);
    let asking = credentials.clone().prompter(person.clone());
    log_in(&mut server, &asking).await.unwrap_err();
    assert!(person.asked().is_empty());

    let person = Typist::new(vec![Ok(vec!["wrong"]), Ok(vec!["right"])]);
    let mut server = Server::new(vec![Say::No(&["publickey"]), Say::Sign(Box::new(Say::Yes))]);
    log_in(&mut server, &credentials.clone().prompter(person.clone())).await.unwrap();
    assert_eq!(person.asked(), ["Enter passphrase for key 'key in memory': "; 2]);

    let given = credentials.clone().passphrase(SecretString::from("right"));
    let mut server = Server::new(vec![Say::No(&["publickey"]), Say::Sign(Box::new(Say::Yes))]);
    log_in(&mut server, &given).await.unwrap();

    let mut server = Server::new(vec![Say::No(&["publickey"]), Say::Sign(Box::new(Say::Yes))]);
    let error = log_in(&mut server, &credentials).await.unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.to_string().contains("needs a passphrase and nobody could be asked"), "{error}");

    let wrong = credentials.passphrase(SecretString::from("wrong"));
    let mut server = Server::new(vec![Say::No(&["publickey"]), Say::Sign(Box::new(Say::Yes))]);
    let error = log_in(&mut server, &wrong).await.unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.to_string().contains("the passphrase does not open key in memory"), "{error}");
}

#[tokio::test]
async fn a_given_password_answers_one_hidden_question() {
    let credentials = bare().password(SecretString::from("hunter2"));
    let mut server = Server::new(vec![
        Say::No(&["keyboard-interactive", "password"]),
        Say::Ask(vec![("Password: ", false)]),
        Say::Ask(vec![]),
        Say::Yes,
    ]);
    let success = log_in(&mut server, &credentials).await.unwrap();
    assert_eq!(success.method, "keyboard-interactive");
    assert_eq!(server.got, ["none", "keyboard", "answers [\"hunter2\"]", "answers []"]);
}

#[tokio::test]
async fn a_refused_password_is_sent_once_in_all() {
    let credentials = bare().password(SecretString::from("hunter2"));
    let both: &[&str] = &["keyboard-interactive", "password"];
    let mut server = Server::new(vec![Say::No(both), Say::Ask(vec![("Password: ", false)]), Say::No(both)]);
    let failure = log_in(&mut server, &credentials).await.unwrap_err();
    assert_eq!(failure.may_continue, both);
    assert_eq!(server.got.iter().filter(|got| got.contains("hunter2")).count(), 1);
    assert!(!format!("{:?}", failure.error).contains("hunter2"));
}

#[tokio::test]
async fn a_given_password_never_answers_a_visible_question_or_one_for_a_code() {
    for question in [("Password: ", true), ("One-time code: ", false), ("PIN: ", false), ("Duo: ", false)] {
        let credentials = bare().password(SecretString::from("hunter2"));
        let both: &[&str] = &["keyboard-interactive", "password"];
        let mut server = Server::new(vec![Say::No(both), Say::Ask(vec![question]), Say::No(both), Say::Yes]);
        let success = log_in(&mut server, &credentials).await.unwrap();
        assert_eq!(success.method, "password");
        assert_eq!(server.got, ["none", "keyboard", "answers [\"\"]", "password hunter2"], "{question:?}");
    }
}

#[tokio::test]
async fn a_second_question_goes_to_the_person() {
    let person = Typist::new(vec![Ok(vec!["123456"])]);
    let credentials = bare().password(SecretString::from("hunter2")).prompter(person.clone());
    let mut server = Server::new(vec![
        Say::No(&["keyboard-interactive"]),
        Say::Ask(vec![("Password: ", false)]),
        Say::Ask(vec![("Verification code: ", false)]),
        Say::Yes,
    ]);
    log_in(&mut server, &credentials).await.unwrap();
    assert_eq!(person.asked(), ["Verification code: "]);
    assert_eq!(server.got[2..], ["answers [\"hunter2\"]", "answers [\"123456\"]"]);
}

#[tokio::test]
async fn a_person_has_as_many_tries_as_set() {
    let person = Typist::new(vec![Ok(vec!["one"]), Ok(vec!["two"])]);
    let credentials = bare()
        .prompter(person.clone())
        .number_of_password_prompts(NonZeroU32::new(2).unwrap())
        .methods([AuthMethod::Password]);
    let mut server =
        Server::new(vec![Say::No(&["password"]), Say::No(&["password"]), Say::No(&["password"])]);
    let error = log_in(&mut server, &credentials).await.unwrap_err().error;
    assert_eq!(person.asked(), ["deploy@web-1:22's password: "; 2]);
    assert_eq!(server.got, ["none", "password one", "password two"]);
    assert!(!format!("{error} {error:?}").contains("two\""), "{error:?}");
}

#[tokio::test]
async fn several_factors_are_followed_through() {
    let person = Typist::new(vec![Ok(vec!["123456"])]);
    let credentials = with_key(bare(), &key(1)).password(SecretString::from("pw")).prompter(person);
    let mut server = Server::new(vec![
        Say::No(&["publickey"]),
        Say::Sign(Box::new(Say::Partial(&["password"]))),
        Say::Partial(&["keyboard-interactive"]),
        Say::Ask(vec![("Code: ", false)]),
        Say::Yes,
    ]);
    let success = log_in(&mut server, &credentials).await.unwrap();
    assert_eq!(success.method, "publickey,password,keyboard-interactive");
}

#[tokio::test]
async fn a_cancelled_question_ends_it_all() {
    let person = Typist::new(vec![Err(PromptError::Cancelled)]);
    let mut server =
        Server::new(vec![Say::No(&["password", "keyboard-interactive"]), Say::Ask(vec![("?", true)])]);
    let failure = log_in(&mut server, &bare().prompter(person)).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::AuthenticationFailed);
    assert!(failure.error.to_string().contains("cancelled"), "{}", failure.error);
    assert!(failure.may_continue.is_empty());
}

#[tokio::test]
async fn where_nobody_is_there_the_error_says_so() {
    let mut server = Server::new(vec![Say::No(&["password", "keyboard-interactive"])]);
    let failure = log_in(&mut server, &bare()).await.unwrap_err();
    assert!(failure.error.to_string().contains("nobody could be asked"), "{}", failure.error);
    assert_eq!(server.got, ["none"]);

    let person = Typist::new(vec![Err(PromptError::Unavailable)]);
    let mut server = Server::new(vec![Say::No(&["password"])]);
    let failure = log_in(&mut server, &bare().prompter(person)).await.unwrap_err();
    assert!(failure.error.to_string().contains("nobody could be asked"), "{}", failure.error);
}

#[tokio::test]
async fn a_lost_connection_is_told_from_a_refusal_wherever_it_comes() {
    let lost = || Say::Hangup(CloseReason::PeerClosed);
    let person = || Typist::new(vec![Ok(vec!["x"])]);
    let credentials = with_key(bare(), &key(1)).prompter(person());
    let cases = vec![
        vec![lost()],
        vec![Say::No(&["publickey"]), lost()],
        vec![Say::No(&["keyboard-interactive"]), lost()],
        vec![Say::No(&["keyboard-interactive"]), Say::Ask(vec![]), lost()],
    ];
    for script in cases {
        let failure = log_in(&mut Server::new(script), &credentials).await.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Disconnected);
        assert!(failure.may_continue.is_empty());
    }
    let mut server = Server::new(vec![Say::No(&["password"]), lost()]);
    let failure = log_in(&mut server, &bare().prompter(person())).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_has_the_networks_deadline() {
    let start = tokio::time::Instant::now();
    let failure = log_in(&mut Server::new(vec![Say::Silence]), &bare()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::ConnectTimeout);
    assert_eq!(start.elapsed(), LIMITS.network);
}

#[tokio::test(start_paused = true)]
async fn a_silent_person_has_a_limit_and_costs_the_network_nothing() {
    let start = tokio::time::Instant::now();
    let mut server = Server::new(vec![Say::No(&["password"])]);
    let failure = log_in(&mut server, &bare().prompter(Typist::new(vec![]))).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMITS.person);
    assert_eq!(failure.error.kind(), ErrorKind::AuthenticationFailed);
    assert!(failure.error.to_string().contains("nobody answered within 77 s"), "{}", failure.error);
}

#[tokio::test]
async fn too_many_questions_at_once_end_it() {
    let mut server =
        Server::new(vec![Say::No(&["keyboard-interactive"]), Say::Ask(vec![("?", true); MAX_PROMPTS + 1])]);
    let failure = log_in(&mut server, &bare().prompter(Typist::new(vec![]))).await.unwrap_err();
    assert!(failure.error.to_string().contains("65 questions"), "{}", failure.error);
}

#[tokio::test]
async fn rsa_keys_sign_with_what_the_server_takes_and_never_with_sha1_unasked() {
    let Some(rsa) = rsa_key() else { return };
    let credentials = with_key(bare(), &rsa);
    let fingerprint = rsa.public_key().fingerprint(HashAlg::Sha256).to_string();
    let tried = |server: &Server| -> Vec<String> {
        server.got[1..]
            .iter()
            .map(|got| got.replace(&fingerprint, "").replace("key ", "").trim().to_owned())
            .collect()
    };
    let no = || Say::No(&["publickey"]);

    let mut server = Server::new(vec![no(), no(), no()]);
    log_in(&mut server, &credentials).await.unwrap_err();
    assert_eq!(tried(&server), ["sha512", "sha256"]);

    let mut server =
        Server { rsa: Some(RsaHashes::Best(Some(HashAlg::Sha256))), ..Server::new(vec![no(), no()]) };
    log_in(&mut server, &credentials).await.unwrap_err();
    assert_eq!(tried(&server), ["sha256"]);

    let mut server = Server { rsa: Some(RsaHashes::Best(None)), ..Server::new(vec![no()]) };
    let error = log_in(&mut server, &credentials).await.unwrap_err().error;
    assert_eq!(tried(&server), [""; 0]);
    assert!(error.to_string().contains("SHA-1 only"), "{error}");

    let mut server = Server { rsa: Some(RsaHashes::Best(None)), ..Server::new(vec![no(), no()]) };
    log_in(&mut server, &credentials.allow_rsa_sha1()).await.unwrap_err();
    assert_eq!(tried(&server), [""]);
}

#[tokio::test]
async fn a_named_file_that_is_missing_is_the_error_only_if_nothing_else_lets_in() {
    let gone = PathBuf::from("/nonexistent/id_gone");
    let credentials = with_key(bare().key_file(&gone), &key(1));
    let mut server = Server::new(vec![Say::No(&["publickey"]), Say::Sign(Box::new(Say::Yes))]);
    log_in(&mut server, &credentials).await.unwrap();

    let mut server = Server::new(vec![Say::No(&["publickey"])]);
    let error = log_in(&mut server, &bare().key_file(&gone)).await.unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.to_string().contains("id_gone does not exist"), "{error}");
}

#[test]
fn the_flow_can_move_between_threads() {
    fn assert_send<T: Send>(_: T) {}
    let credentials = bare();
    assert_send(log_in(&mut Server::default(), &credentials));
}

#[test]
fn a_question_for_a_password_is_told_from_one_for_a_code() {
    let asks = |text: &str, echo| asks_for_password(&[WirePrompt { text: text.to_owned(), echo }]);
    for text in ["Password: ", "(deploy@web-1) Password: ", "Passwort: ", "Mot de passe : ", ""] {
        assert!(asks(text, false), "{text}");
    }
    for text in [
        "Verification code: ",
        "Enter PASSCODE: ",
        "OTP: ",
        "Token_Response: ",
        "Enter your PIN",
        "Duo two-factor",
    ] {
        assert!(!asks(text, false), "{text}");
    }
    assert!(!asks("Password: ", true));
    assert!(asks("Shopping password: ", false), "a word that only holds one of them");
    assert!(!asks_for_password(&[]));
}

/// An RSA key by `ssh-keygen`, which is quicker at it than a debug build.
fn rsa_key() -> Option<PrivateKey> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rsa");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", path.to_str().unwrap()])
        .status();
    if made.is_err() {
        eprintln!("skipped: ssh-keygen is not installed");
        return None;
    }
    Some(PrivateKey::from_openssh(std::fs::read(path).unwrap()).unwrap())
}
