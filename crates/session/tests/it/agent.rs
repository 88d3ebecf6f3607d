//! Logging in to the test server with the keys of a real `ssh-agent`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking, and say what is skipped"
)]
#![cfg(unix)]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustle_session::{AgentSource, ErrorKind};
use rustle_testserver::{AuthOutcome, Method, TestServer, User};
use tempfile::TempDir;

use super::auth::{bare, connect};
use super::keys::{generate, public_line, ssh_keygen};

/// An agent of the test's own, ended with it.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    async fn start(directory: &TempDir) -> Option<Self> {
        let socket = directory.path().join("agent");
        let started =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let Ok(child) = started else {
            eprintln!("skipped: ssh-agent is not installed");
            return None;
        };
        let agent = Self { child, socket };
        // Its socket's file is there a moment before it listens.
        let listens = async {
            while UnixStream::connect(&agent.socket).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), listens).await.expect("ssh-agent does not listen");
        Some(agent)
    }

    fn add(&self, key: &std::path::Path) {
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(added.unwrap().success());
    }

    fn source(&self) -> AgentSource {
        AgentSource::Path(self.socket.clone())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused_keys(server: &TestServer) -> usize {
    let record = server.record();
    let refused = record
        .auth_attempts()
        .iter()
        .filter(|attempt| attempt.method() == Method::PublicKey && attempt.outcome() == AuthOutcome::Refused);
    refused.count()
}

#[tokio::test]
async fn keys_and_certificates_of_an_agent_let_in() {
    let directory = TempDir::new().unwrap();
    let Some(authority) = generate(&directory, "ca", &["-t", "ed25519", "-N", ""]) else { return };
    let Some(agent) = Agent::start(&directory).await else { return };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = generate(&directory, kind, &["-t", kind, "-N", ""]).unwrap();
        let public = format!("{}.pub", path.display());
        let sign = ["-q", "-s", authority.to_str().unwrap(), "-I", "id", "-n", "deploy", &public];
        assert!(ssh_keygen(&sign));
        agent.add(&path);
        for user in [
            User::new("deploy").public_key(public_line(&path)),
            User::new("deploy").certificate_authority(public_line(&authority)),
        ] {
            let server = TestServer::builder().user(user).auth_attempts(20).start().await.unwrap();
            let session = connect(&server, "deploy").await.authenticate(&bare().agent(agent.source())).await;
            let session = session.unwrap_or_else(|rejected| panic!("{kind}: {}", rejected.error()));
            assert_eq!(session.method(), "publickey");
            assert!(session.method_detail().unwrap().contains("(agent)"), "{:?}", session.method_detail());
        }
    }
}

#[tokio::test]
async fn a_named_key_comes_before_the_agents_others_and_identities_only_leaves_them_out() {
    let directory = TempDir::new().unwrap();
    let Some(right) = generate(&directory, "right", &["-t", "ed25519", "-N", ""]) else { return };
    let Some(agent) = Agent::start(&directory).await else { return };
    for name in ["one", "two"] {
        agent.add(&generate(&directory, name, &["-t", "ed25519", "-N", ""]).unwrap());
    }
    agent.add(&right);
    let server = TestServer::builder()
        .user(User::new("deploy").public_key(public_line(&right)))
        .start()
        .await
        .unwrap();
    let held = bare().agent(agent.source());
    connect(&server, "deploy").await.authenticate(&held.clone().key_file(&right)).await.unwrap();
    assert_eq!(refused_keys(&server), 0);
    // The public file is enough to pick the agent's key.
    let picked = held.clone().key_file(format!("{}.pub", right.display())).identities_only();
    connect(&server, "deploy").await.authenticate(&picked).await.unwrap();
    assert_eq!(refused_keys(&server), 0);
    connect(&server, "deploy").await.authenticate(&held).await.unwrap();
    assert_eq!(refused_keys(&server), 2);
}

#[tokio::test]
async fn an_agent_out_of_reach_is_an_error_only_where_nothing_else_was_there() {
    let directory = TempDir::new().unwrap();
    let Some(key) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    let server =
        TestServer::builder().user(User::new("deploy").public_key(public_line(&key))).start().await.unwrap();
    let gone = bare().agent(AgentSource::Path(directory.path().join("gone")));
    let rejected = connect(&server, "deploy").await.authenticate(&gone).await.err().unwrap();
    assert_eq!(rejected.error().kind(), ErrorKind::Agent, "{}", rejected.error());
    connect(&server, "deploy").await.authenticate(&gone.key_file(&key)).await.unwrap();
}
