//! Which keys are offered, and what becomes of them: accepted algorithms, and keys handed over to the agent.

use std::time::Duration;

use rustle_session::{KeysToAgent, PromptKind, SecretSlice, SecretString};
use rustle_testserver::{AuthOutcome, Method, TestServer, User};
use tempfile::TempDir;

use super::auth::{Typist, bare, connect};
use super::fake_agent::{
    ADD_ID_CONSTRAINED, ADD_IDENTITY, FakeAgent, IDENTITIES_ANSWER, REQUEST_IDENTITIES, take,
};
use super::keys::{generate, public_line};

async fn server_for(lines: &[String]) -> TestServer {
    let user = lines.iter().fold(User::new("deploy"), |user, line| user.public_key(line.as_str()));
    TestServer::builder().user(user).start().await.unwrap()
}

fn offered(server: &TestServer) -> Vec<AuthOutcome> {
    let record = server.record();
    let keys = record.auth_attempts().iter().filter(|attempt| attempt.method() == Method::PublicKey);
    keys.map(|attempt| attempt.outcome()).collect()
}

#[tokio::test]
async fn keys_are_offered_by_accepted_algorithms_alone() {
    let directory = TempDir::new().unwrap();
    let mut lines = Vec::new();
    let mut credentials = bare();
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let Some(path) = generate(&directory, kind, &["-t", kind, "-N", ""]) else { return };
        lines.push(public_line(&path));
        credentials = credentials.key_file(path);
    }
    for (accepted, opens) in [
        (&["*"][..], Some("/rsa)")),
        (&["ecdsa-*", "ssh-ed25519"], Some("/ecdsa)")),
        (&["ssh-ed25519"], Some("/ed25519)")),
        (&["rsa-sha2-256"], Some("/rsa)")),
        // Certificates and security keys, of which there are none; and SHA-1, which the server does not take.
        (&["*-cert-v01@openssh.com", "sk-*"], None),
        (&["ssh-rsa"], None),
        (&[], None),
    ] {
        let server = server_for(&lines).await;
        let chosen = credentials.clone().accepted_algorithms(accepted.iter().copied());
        let login = connect(&server, "deploy").await.authenticate(&chosen).await;
        match (opens, login) {
            (Some(file), Ok(session)) => {
                let detail = session.method_detail().unwrap().to_owned();
                assert!(detail.ends_with(file), "{accepted:?}: {detail}");
                assert_eq!(
                    offered(&server),
                    [AuthOutcome::KeyWelcome, AuthOutcome::Accepted],
                    "{accepted:?}"
                );
            }
            (None, Err(rejected)) => {
                assert_eq!(offered(&server), [], "{accepted:?}");
                let told = format!("{:?}", rejected.error());
                assert!(
                    told.contains("PubkeyAcceptedAlgorithms") || told.contains("SHA-1"),
                    "{accepted:?}: {told}"
                );
            }
            (_, other) => panic!("{accepted:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_key_of_a_file_is_handed_over_on_the_terms_given() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", "sesame", "-a", "2"]) else {
        return;
    };
    let hour = Duration::from_secs(3600);
    for (terms, kind, constraints) in [
        (KeysToAgent::new(), ADD_IDENTITY, &[][..]),
        (KeysToAgent::new().lifetime(hour), ADD_ID_CONSTRAINED, &[1, 0, 0, 0x0e, 0x10]),
        (KeysToAgent::new().lifetime(hour).confirm_each_use(), ADD_ID_CONSTRAINED, &[1, 0, 0, 0x0e, 0x10, 2]),
    ] {
        let (server, agent) = (server_for(&[public_line(&path)]).await, FakeAgent::start());
        let credentials = bare()
            .agent(agent.source())
            .key_file(&path)
            .passphrase(SecretString::from("sesame"))
            .add_keys_to_agent(terms);
        connect(&server, "deploy").await.authenticate(&credentials).await.unwrap();
        let asked = agent.asked();
        let added = asked.last().unwrap();
        let mut rest = &added[1..];
        assert_eq!((added[0], take(&mut rest)), (kind, &b"ssh-ed25519"[..]));
        let (public, private, comment) = (take(&mut rest), take(&mut rest), take(&mut rest));
        assert_eq!((public.len(), private.len(), &private[32..]), (32, 64, public));
        assert_eq!((comment, rest), (path.to_str().unwrap().as_bytes(), constraints));
    }
}

#[tokio::test]
async fn whoever_is_asked_first_decides_and_nobody_is_a_no() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    for (answer, handed_over) in [(Some("yes"), true), (Some("no"), false), (Some(""), false), (None, false)]
    {
        let (server, agent) = (server_for(&[public_line(&path)]).await, FakeAgent::start());
        let mut credentials =
            bare().agent(agent.source()).key_file(&path).add_keys_to_agent(KeysToAgent::new().ask_first());
        let person = Typist::new(answer.map(|answer| vec![answer]));
        if answer.is_some() {
            credentials = credentials.prompter(person.clone());
        }
        connect(&server, "deploy").await.authenticate(&credentials).await.unwrap();
        let added = agent.asked().iter().any(|request| request[0] == ADD_IDENTITY);
        assert_eq!(added, handed_over, "{answer:?}");
        if answer.is_some() {
            let seen = person.seen();
            assert_eq!((seen.len(), seen[0].kind()), (1, PromptKind::AddKeyToAgent));
            assert!(seen[0].prompts()[0].text().contains(path.to_str().unwrap()));
        }
    }
}

#[tokio::test]
async fn an_agent_that_refuses_a_key_or_breaks_off_keeps_nobody_out() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    for reply in [vec![5], vec![77], vec![]] {
        let server = server_for(&[public_line(&path)]).await;
        let agent = FakeAgent::answering(move |request| {
            Some(match request.first() {
                Some(&REQUEST_IDENTITIES) => vec![IDENTITIES_ANSWER, 0, 0, 0, 0],
                Some(&ADD_IDENTITY) => reply.clone(),
                _ => vec![5],
            })
        });
        let credentials = bare().agent(agent.source()).key_file(&path).add_keys_to_agent(KeysToAgent::new());
        let session = connect(&server, "deploy").await.authenticate(&credentials).await.unwrap();
        assert_eq!(session.method(), "publickey");
        assert!(agent.asked().iter().any(|request| request[0] == ADD_IDENTITY));
    }
}

#[tokio::test]
async fn keys_in_memory_and_keys_that_are_not_wanted_stay_here() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    let Some(other) = generate(&directory, "other", &["-t", "ed25519", "-N", ""]) else { return };
    let (server, agent) = (server_for(&[public_line(&path)]).await, FakeAgent::start());
    let credentials = bare()
        .agent(agent.source())
        // The server refuses this one, and so it is never opened.
        .key_file(&other)
        .key_bytes(SecretSlice::from(std::fs::read(&path).unwrap()))
        .add_keys_to_agent(KeysToAgent::new());
    connect(&server, "deploy").await.authenticate(&credentials).await.unwrap();
    assert_eq!(agent.asked().last().unwrap(), &[REQUEST_IDENTITIES]);
}

#[tokio::test]
async fn rsa_keys_shorter_than_required_are_not_offered() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]) else { return };
    let server = server_for(&[public_line(&path)]).await;
    let credentials = bare().key_file(&path);
    let strict = credentials.clone().required_rsa_size(3072);
    let rejected = connect(&server, "deploy").await.authenticate(&strict).await.unwrap_err();
    let told = rejected.error().to_string();
    assert!(told.contains("2048 bits, and RequiredRSASize is 3072"), "{told}");
    assert_eq!(offered(&server), []);
    connect(&server, "deploy").await.authenticate(&credentials.required_rsa_size(2048)).await.unwrap();
}
