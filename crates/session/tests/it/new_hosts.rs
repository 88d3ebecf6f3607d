//! A new host that several processes meet at once.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustle_session::{AgentSource, HostSetup, SecretString};
use rustle_testserver::{AuthOutcome, Method};
use tokio::process::Command;

use crate::support::server;

const PROCESSES: usize = 8;
/// What all of it may take on a busy machine.
const PATIENT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_accept_the_same_new_host_at_once_all_log_in_and_write_one_line() {
    let server = server().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let known_hosts = folder.path().join("known_hosts");
    let start = |number: usize| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "new_hosts::child_accepts_the_host", "--ignored"]);
        child.env("RUSTLE_TEST_KNOWN_HOSTS", &known_hosts).env("RUSTLE_TEST_PROCESS", number.to_string());
        child.env("RUSTLE_TEST_PORT", server.port().to_string());
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        child.spawn().unwrap()
    };
    let children: Vec<_> = (0..PROCESSES).map(start).collect();
    for child in children {
        let output = tokio::time::timeout(PATIENT, child.wait_with_output()).await;
        let output = output.expect("a process does not end").unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}{complained}");
    }
    let record = server.record();
    let passwords = record.auth_attempts().iter().filter(|attempt| attempt.method() == Method::Password);
    let outcomes: Vec<AuthOutcome> = passwords.map(|attempt| attempt.outcome()).collect();
    assert_eq!(outcomes, [AuthOutcome::Accepted; PROCESSES]);
    let key = server.host_key_openssh();
    let key: Vec<&str> = key.split_whitespace().take(2).collect();
    let written = std::fs::read_to_string(&known_hosts).unwrap();
    assert_eq!(written, format!("[127.0.0.1]:{} {}\n", server.port(), key.join(" ")));
    server.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "run as a child process by `processes_that_accept_the_same_new_host_at_once_all_log_in_and_write_one_line`"]
async fn child_accepts_the_host() {
    let variable = |name: &str| std::env::var_os(name).unwrap();
    let path = PathBuf::from(variable("RUSTLE_TEST_KNOWN_HOSTS"));
    let number = variable("RUSTLE_TEST_PROCESS").into_string().unwrap();
    let quoted = format!("\"{}\"", path.display());
    let setup = HostSetup::builder("alice@127.0.0.1")
        .port(variable("RUSTLE_TEST_PORT").to_str().unwrap().parse().unwrap())
        .without_config_files()
        .agent(AgentSource::None)
        .password(SecretString::from("wonderland"))
        .connect_timeout(PATIENT)
        .option("StrictHostKeyChecking=accept-new")
        .option("HashKnownHosts=no")
        .option("IdentityFile=none")
        .option(format!("UserKnownHostsFile={quoted}"))
        .option(format!("GlobalKnownHostsFile={quoted}.none"))
        .resolve()
        .unwrap();
    all_processes_are_there(&path, &number).await;
    setup.connect().await.unwrap().close(Duration::from_secs(20)).await;
}

/// Each process leaves a file, and goes on when it sees those of all.
async fn all_processes_are_there(path: &Path, number: &str) {
    std::fs::write(path.with_extension(number), "").unwrap();
    let all_there = async {
        while !(0..PROCESSES).all(|other| path.with_extension(other.to_string()).exists()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENT, all_there).await.expect("another process never came");
}
