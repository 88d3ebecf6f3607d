//! `test-server`: it says how to reach it, serves, and ends with its input.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::host::{finish, program, wait};

#[tokio::test]
async fn what_it_announces_is_enough_to_log_in_and_it_ends_with_its_input() {
    let mut server = program(&["test-server"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let known_hosts = directory.path().join("known_hosts");
    std::fs::write(&known_hosts, format!("{}\n", told["known_hosts"].as_str().unwrap())).unwrap();
    let option = format!("UserKnownHostsFile=\"{}\"", known_hosts.display().to_string().replace('\\', "/"));
    let url =
        format!("ssh://{}@{}", told["users"][0]["name"].as_str().unwrap(), told["address"].as_str().unwrap());
    let password = format!("{}\n", told["users"][0]["password"].as_str().unwrap());
    let exec = [
        "exec",
        "--config",
        "none",
        "--password-file",
        "-",
        "-o",
        &option,
        "--raw",
        &url,
        "--",
        "echo hello",
    ];
    let mut command = program(&exec);
    command.env("HOME", directory.path()).env("USERPROFILE", directory.path());
    let ran = finish(command, password.as_bytes()).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "hello\n", ""));
    drop(server.stdin.take());
    let ended = wait(server).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
