//! Logging in to the test server with key files as `ssh-keygen` writes them, and with a certificate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking, and say what is skipped"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rustle_session::{ErrorKind, SecretSlice, SecretString};
use rustle_testserver::{Algorithms, AuthOutcome, Method, RawPeer, TestServer, User};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::auth::{bare, connect};

const PASSPHRASE: &str = "correct horse";

/// Runs `ssh-keygen`; `false` if it is not installed.
pub(crate) fn ssh_keygen(arguments: &[&str]) -> bool {
    match Command::new("ssh-keygen").args(arguments).output() {
        Ok(output) => {
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: ssh-keygen is not installed");
            false
        }
        Err(error) => panic!("ssh-keygen: {error}"),
    }
}

pub(crate) fn generate(directory: &TempDir, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let path = directory.path().join(name);
    let all = [&["-q", "-C", "me@test", "-f", path.to_str().unwrap()], arguments].concat();
    ssh_keygen(&all).then_some(path)
}

pub(crate) fn public_line(path: &Path) -> String {
    fs::read_to_string(format!("{}.pub", path.display())).unwrap().trim().to_owned()
}

async fn server_for(line: &str) -> TestServer {
    TestServer::builder().user(User::new("deploy").public_key(line)).start().await.unwrap()
}

#[tokio::test]
async fn key_files_of_every_type_and_format_let_in() {
    let directory = TempDir::new().unwrap();
    for (kind, formats) in [
        ("ed25519", &["RFC4716"][..]),
        ("ecdsa", &["RFC4716", "PEM", "PKCS8"]),
        ("rsa", &["RFC4716", "PEM", "PKCS8"]),
    ] {
        for format in formats {
            for passphrase in ["", PASSPHRASE] {
                let name = format!("{kind}-{format}-{}", passphrase.len());
                let arguments = ["-t", kind, "-m", format, "-N", passphrase, "-a", "2"];
                let Some(path) = generate(&directory, &name, &arguments) else { return };
                let server = server_for(&public_line(&path)).await;
                let credentials = bare().key_file(&path).passphrase(SecretString::from(PASSPHRASE));
                let session = connect(&server, "deploy").await.authenticate(&credentials).await;
                let session = session.unwrap_or_else(|rejected| panic!("{name}: {}", rejected.error()));
                assert_eq!(session.method(), "publickey");
                assert!(session.method_detail().unwrap().contains(path.to_str().unwrap()));
            }
        }
    }
}

#[tokio::test]
async fn a_key_in_memory_lets_in() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    let server = server_for(&public_line(&path)).await;
    let credentials = bare().key_bytes(SecretSlice::from(fs::read(&path).unwrap()));
    connect(&server, "deploy").await.authenticate(&credentials).await.unwrap();
}

#[tokio::test]
async fn the_second_key_lets_in_after_the_first_was_refused() {
    let directory = TempDir::new().unwrap();
    let Some(wrong) = generate(&directory, "wrong", &["-t", "ed25519", "-N", ""]) else { return };
    let right = generate(&directory, "right", &["-t", "ed25519", "-N", ""]).unwrap();
    let server = server_for(&public_line(&right)).await;
    let credentials = bare().key_file(&wrong).key_file(&right);
    connect(&server, "deploy").await.authenticate(&credentials).await.unwrap();
    let record = server.record();
    let outcomes: Vec<_> = record
        .auth_attempts()
        .iter()
        .filter(|attempt| attempt.method() == Method::PublicKey)
        .map(|attempt| attempt.outcome())
        .collect();
    assert_eq!(outcomes, [AuthOutcome::Refused, AuthOutcome::KeyWelcome, AuthOutcome::Accepted]);
}

#[tokio::test]
async fn a_certificate_beside_its_key_lets_in() {
    let directory = TempDir::new().unwrap();
    let Some(authority) = generate(&directory, "ca", &["-t", "ed25519", "-N", ""]) else { return };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = generate(&directory, kind, &["-t", kind, "-N", ""]).unwrap();
        let public = format!("{}.pub", path.display());
        let sign = ["-q", "-s", authority.to_str().unwrap(), "-I", "id", "-n", "deploy", &public];
        assert!(ssh_keygen(&sign));
        let user = User::new("deploy").certificate_authority(public_line(&authority));
        let server = TestServer::builder().user(user).start().await.unwrap();
        let session = connect(&server, "deploy").await.authenticate(&bare().key_file(&path)).await;
        let session = session.unwrap_or_else(|rejected| panic!("{kind}: {}", rejected.error()));
        assert!(session.method_detail().unwrap().contains("-cert.pub"), "{:?}", session.method_detail());
    }
}

#[tokio::test]
async fn a_wrong_passphrase_is_an_error_of_the_key_that_names_the_file() {
    let directory = TempDir::new().unwrap();
    let arguments = ["-t", "ed25519", "-N", PASSPHRASE, "-a", "2"];
    let Some(path) = generate(&directory, "locked", &arguments) else { return };
    let server = server_for(&public_line(&path)).await;
    let wrong = bare().key_file(&path).passphrase(SecretString::from("battery staple"));
    let rejected = connect(&server, "deploy").await.authenticate(&wrong).await.err().unwrap();
    let error = rejected.error();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Key, "SSH_KEY_ERROR"));
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(!format!("{error} {error:?}").contains("battery"));
}

#[tokio::test]
async fn a_key_that_could_not_sign_leaves_the_connection_good() {
    let directory = TempDir::new().unwrap();
    let arguments = ["-t", "ed25519", "-N", PASSPHRASE, "-a", "2"];
    let Some(path) = generate(&directory, "locked", &arguments) else { return };
    let server = server_for(&public_line(&path)).await;
    let credentials = bare().key_file(&path);
    let rejected = connect(&server, "deploy").await.authenticate(&credentials).await.err().unwrap();
    assert!(rejected.error().to_string().contains("nobody could be asked"), "{}", rejected.error());
    let again = rejected.into_unauthenticated().expect("the connection is still good");
    let opened = credentials.passphrase(SecretString::from(PASSPHRASE));
    again.authenticate(&opened).await.unwrap();
}

/// A key whose signature may be of several kinds, and a server for it that does not say which it takes.
async fn rsa_and_a_server_of_few_words(directory: &TempDir) -> Option<(PathBuf, TestServer)> {
    let path = generate(directory, "old", &["-t", "rsa", "-b", "2048", "-N", ""])?;
    let server = TestServer::builder()
        .user(User::new("deploy").public_key(public_line(&path)))
        .raw_peer(RawPeer::new())
        .algorithms(Algorithms::new().without_ext_info().without_strict_kex());
    Some((path, server.start().await.unwrap()))
}

#[tokio::test]
async fn an_rsa_key_lets_in_where_the_server_does_not_say_which_signatures_it_takes() {
    let directory = TempDir::new().unwrap();
    let Some((path, server)) = rsa_and_a_server_of_few_words(&directory).await else { return };
    let session = connect(&server, "deploy").await.authenticate(&bare().key_file(&path)).await;
    let session = session.unwrap_or_else(|rejected| panic!("{}", rejected.error()));
    assert_eq!(session.method(), "publickey");
    server.assert_logged_in("deploy", Method::PublicKey);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_keeps_nothing_of_the_task_that_logged_in() {
    #[derive(Default)]
    struct Task(Notify);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.notify_one();
        }
    }

    let directory = TempDir::new().unwrap();
    // What the server was asked there stays unanswered for as long as the connection is there.
    let Some((path, server)) = rsa_and_a_server_of_few_words(&directory).await else { return };
    let connected = connect(&server, "deploy").await;
    let credentials = bare().key_file(&path);
    let mut login = Box::pin(connected.authenticate(&credentials));
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    let session = loop {
        if let Poll::Ready(session) = login.as_mut().poll(&mut Context::from_waker(&waker)) {
            break session.unwrap_or_else(|rejected| panic!("{}", rejected.error()));
        }
        task.0.notified().await;
    };
    drop(login);
    drop(waker);
    // Whoever is just about to wake it, on another thread, has it for that moment.
    let let_go = async {
        while Arc::strong_count(&task) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), let_go).await.expect("nobody has the task any more");
    assert!(session.is_open());
    drop(session);
    server.stop().await.unwrap();
}
