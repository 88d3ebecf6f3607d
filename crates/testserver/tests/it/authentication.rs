//! Who gets in, and what the record says of it.

use std::{sync::Arc, time::Duration};

use russh::{
    MethodKind,
    client::{AuthResult, KeyboardInteractiveAuthResponse},
    keys::{
        Algorithm, Certificate, PrivateKey,
        ssh_key::{
            LineEnding,
            certificate::{Builder, CertType},
            rand_core::UnwrapErr,
        },
    },
};
use rustle_testserver::{AuthOutcome, Method, Round, TestServer, User};
use tokio::time::Instant;

use crate::client::{Client, alice};

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), Algorithm::Ed25519).unwrap()
}

pub(crate) fn outcomes(server: &TestServer) -> Vec<(String, Method, AuthOutcome)> {
    server
        .record()
        .auth_attempts()
        .iter()
        .map(|attempt| (attempt.user().to_owned(), attempt.method(), attempt.outcome()))
        .collect()
}

pub(crate) fn remaining(result: &AuthResult) -> (Vec<MethodKind>, bool) {
    match result {
        AuthResult::Success => panic!("not refused"),
        AuthResult::Failure { remaining_methods, partial_success } => {
            (remaining_methods.to_vec(), *partial_success)
        }
    }
}

#[tokio::test]
async fn password_is_checked_and_recorded_without_the_secret() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    let (methods, partial) = remaining(&client.password("alice", "looking-glass").await);
    assert_eq!((methods, partial), (vec![MethodKind::Password], false));
    assert!(client.password("alice", "wonderland").await.success());

    assert_eq!(
        outcomes(&server),
        [
            ("alice".to_owned(), Method::Password, AuthOutcome::Refused),
            ("alice".to_owned(), Method::Password, AuthOutcome::Accepted),
        ]
    );
    let everything = format!("{:?} {}", server.record(), server.record());
    assert!(!everything.contains("wonderland") && !everything.contains("looking-glass"));
    assert_eq!(server.record().connections()[0].user(), Some("alice"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_key_given_is_accepted() {
    let (right, wrong) = (new_key(), new_key());
    let bob = User::new("bob").public_key(right.public_key().to_openssh().unwrap());
    let server = TestServer::builder().user(bob).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert_eq!(remaining(&client.key("bob", &wrong).await).0, [MethodKind::PublicKey]);
    assert!(client.key("bob", &right).await.success());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn unknown_user_is_offered_what_others_have() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert_eq!(remaining(&client.password("mallory", "wonderland").await).0, [MethodKind::Password]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn none_is_enough_for_a_user_who_may() {
    let server = TestServer::builder().user(User::new("any").none()).user(alice()).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert!(!client.handle.authenticate_none("alice").await.unwrap().success());
    assert!(client.handle.authenticate_none("any").await.unwrap().success());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn rounds_are_asked_in_turn_even_without_prompts() {
    let carol = User::new("carol").keyboard_interactive([
        Round::new()
            .name("Login")
            .instruction("Two questions.")
            .prompt("Name: ", "carol")
            .hidden_prompt("Code: ", "1"),
        Round::new().instruction("Almost."),
        Round::new().hidden_prompt("Again: ", "2"),
    ]);
    let server = TestServer::builder().user(carol).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    let handle = &mut client.handle;

    let asked = handle.authenticate_keyboard_interactive_start("carol", None).await.unwrap();
    let KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts } = asked else {
        panic!("{asked:?}")
    };
    assert_eq!((name.as_str(), instructions.as_str()), ("Login", "Two questions."));
    let prompts: Vec<_> = prompts.iter().map(|prompt| (prompt.prompt.as_str(), prompt.echo)).collect();
    assert_eq!(prompts, [("Name: ", true), ("Code: ", false)]);

    let answers = vec!["carol".to_owned(), "1".to_owned()];
    let asked = handle.authenticate_keyboard_interactive_respond(answers).await.unwrap();
    assert!(
        matches!(&asked, KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } if prompts.is_empty())
    );
    handle.authenticate_keyboard_interactive_respond(Vec::new()).await.unwrap();
    let done = handle.authenticate_keyboard_interactive_respond(vec!["2".to_owned()]).await.unwrap();
    assert!(matches!(done, KeyboardInteractiveAuthResponse::Success), "{done:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn wrong_answer_in_a_later_round_starts_over() {
    let rounds = [Round::new().prompt("a", "1"), Round::new().prompt("b", "2")];
    let server =
        TestServer::builder().user(User::new("carol").keyboard_interactive(rounds)).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    let handle = &mut client.handle;
    handle.authenticate_keyboard_interactive_start("carol", None).await.unwrap();
    handle.authenticate_keyboard_interactive_respond(vec!["1".to_owned()]).await.unwrap();
    let refused = handle.authenticate_keyboard_interactive_respond(vec!["3".to_owned()]).await.unwrap();
    assert!(matches!(refused, KeyboardInteractiveAuthResponse::Failure { .. }));
    let again = handle.authenticate_keyboard_interactive_start("carol", None).await.unwrap();
    assert!(
        matches!(&again, KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } if prompts[0].prompt == "a")
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn steps_are_followed_by_partial_success() {
    let key = new_key();
    let dave = User::new("dave")
        .public_key(key.public_key().to_openssh().unwrap())
        .password("second")
        .steps([Method::PublicKey, Method::Password]);
    let server = TestServer::builder().user(dave).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();

    let too_early = client.password("dave", "second").await;
    assert_eq!(remaining(&too_early), (vec![MethodKind::PublicKey], false));
    assert_eq!(remaining(&client.key("dave", &key).await), (vec![MethodKind::Password], true));
    assert!(client.password("dave", "second").await.success());
    assert_eq!(
        outcomes(&server).iter().filter(|(_, _, outcome)| *outcome == AuthOutcome::Partial).count(),
        1
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn each_step_by_a_key_takes_another_key() {
    let (first, second) = (new_key(), new_key());
    let dave = User::new("dave")
        .public_key(first.public_key().to_openssh().unwrap())
        .public_key(second.public_key().to_openssh().unwrap())
        .steps([Method::PublicKey, Method::PublicKey]);
    let server = TestServer::builder().user(dave).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert_eq!(remaining(&client.key("dave", &first).await), (vec![MethodKind::PublicKey], true));
    assert_eq!(remaining(&client.key("dave", &first).await), (vec![MethodKind::PublicKey], false));
    assert!(client.key("dave", &second).await.success());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_as_good_as_the_key_it_certifies() {
    let (authority, first, second) = (new_key(), new_key(), new_key());
    let erin = User::new("erin")
        .public_key(first.public_key().to_openssh().unwrap())
        .certificate_authority(authority.public_key().to_openssh().unwrap())
        .steps([Method::PublicKey, Method::PublicKey]);
    let server = TestServer::builder().user(erin).start().await.unwrap();
    let show = async |client: &mut Client, key: &PrivateKey| {
        let shown = certificate(&authority, key, "erin");
        client.handle.authenticate_openssh_cert("erin", Arc::new(key.clone()), shown).await.unwrap()
    };
    // First the certificate and then the key, the other way round, and two certificates.
    let mut client = Client::connect(&server).await.unwrap();
    assert!(remaining(&show(&mut client, &first).await).1);
    assert!(!remaining(&client.key("erin", &first).await).1);
    assert!(!remaining(&show(&mut client, &first).await).1);
    assert!(show(&mut client, &second).await.success());
    let mut client = Client::connect(&server).await.unwrap();
    assert!(remaining(&client.key("erin", &first).await).1);
    assert!(!remaining(&show(&mut client, &first).await).1);
    assert!(show(&mut client, &second).await.success());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn too_few_keys_for_the_steps_are_refused_at_the_start() {
    let key = new_key().public_key().to_openssh().unwrap();
    let twice = User::new("dave").public_key(&key).public_key(&key).steps([Method::PublicKey; 2]);
    let error = TestServer::builder().user(twice).start().await.unwrap_err();
    assert!(error.to_string().contains("\"dave\" must pass publickey 2 times"), "{error}");
}

#[tokio::test]
async fn step_without_the_means_is_refused_at_the_start() {
    let error = TestServer::builder()
        .user(User::new("dave").password("x").steps([Method::PublicKey]))
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("dave") && error.to_string().contains("publickey"), "{error}");
}

#[tokio::test]
async fn too_many_attempts_end_the_connection() {
    let server = TestServer::builder().user(alice()).auth_attempts(2).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    for _ in 0..2 {
        assert!(!client.password("alice", "wrong").await.success());
    }
    // The base reports a lost connection as a refusal without methods.
    assert!(
        !client
            .handle
            .authenticate_password("alice", "wonderland")
            .await
            .is_ok_and(|result| result.success())
    );
    let limit = crate::client::LIMIT;
    server.wait_until(|record| record.connections_open() == 0, limit).await.unwrap();
    assert_eq!(server.record().auth_attempts().len(), 2);
    server.stop().await.unwrap();
}

fn certificate(authority: &PrivateKey, key: &PrivateKey, principal: &str) -> Certificate {
    let mut builder = Builder::new_with_random_nonce(
        &mut UnwrapErr(getrandom::SysRng),
        key.public_key().key_data().clone(),
        0,
        u64::from(u32::MAX),
    )
    .unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.valid_principal(principal).unwrap();
    builder.sign(authority).unwrap()
}

#[tokio::test]
async fn certificate_needs_the_right_authority_and_principal() {
    let (authority, other, key) = (new_key(), new_key(), new_key());
    let erin = User::new("erin").certificate_authority(authority.public_key().to_openssh().unwrap());
    let server = TestServer::builder().user(erin).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    for (certificate, welcome) in [
        (certificate(&other, &key, "erin"), false),
        (certificate(&authority, &key, "frank"), false),
        (certificate(&authority, &key, "erin"), true),
    ] {
        let result =
            client.handle.authenticate_openssh_cert("erin", Arc::new(key.clone()), certificate).await;
        assert_eq!(result.unwrap().success(), welcome);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bare_key_is_not_let_in_by_an_authority() {
    let (authority, key) = (new_key(), new_key());
    let erin = User::new("erin").certificate_authority(authority.public_key().to_openssh().unwrap());
    let server = TestServer::builder().user(erin).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert!(!client.key("erin", &key).await.success());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn delay_is_kept_before_each_answer() {
    let delay = Duration::from_secs(30);
    let server = TestServer::builder().user(alice()).auth_delay(delay).start().await.unwrap();
    let mut client = Client::over(server.duplex()).await.unwrap();
    let begin = Instant::now();
    client.password("alice", "wrong").await;
    client.password("alice", "wonderland").await;
    assert!((60..61).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn given_host_key_is_the_one_shown() {
    let pem = new_key().to_openssh(LineEnding::LF).unwrap();
    let first = TestServer::builder().user(alice()).host_key_openssh(pem.as_str()).start().await.unwrap();
    let second = TestServer::builder()
        .user(alice())
        .host_key_openssh(first.host_private_key_openssh().unwrap())
        .identification("SSH-1.99-Old")
        .start()
        .await
        .unwrap();
    assert_eq!(Client::alice(&second).await.host_key(), first.host_key_openssh());
    assert_eq!(first.host_key_wire(), second.host_key_wire());
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}
