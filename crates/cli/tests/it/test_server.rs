//! `test-server`: it says how to reach it, serves as scripted, does as its control says, and ends with its parent.

mod control;
mod documented;
mod endings;
#[cfg(unix)]
mod examples;
mod faults;
mod file_client;
mod forwards;
mod identity;
mod logins;
mod raw;
mod script;
mod served;
mod sftp;
mod sftp_faults;
mod users;

use crate::host::{finish, program};

use served::Served;

#[tokio::test]
async fn what_it_announces_is_enough_to_log_in_and_it_ends_with_its_input() {
    let server = Served::start(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let known_hosts = directory.path().join("known_hosts");
    std::fs::write(&known_hosts, format!("{}\n", server.told("known_hosts"))).unwrap();
    let option = format!("UserKnownHostsFile=\"{}\"", known_hosts.display().to_string().replace('\\', "/"));
    let user = &server.announced["users"][0];
    let url = format!("ssh://{}@{}", user["name"].as_str().unwrap(), server.told("address"));
    let password = format!("{}\n", user["password"].as_str().unwrap());
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
    let ended = server.end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_script_leaves_no_room_for_the_options_it_replaces() {
    for option in
        [&["--login", "me"][..], &["--password-file", "x"], &["--authorized-keys", "x"], &["--real-shell"]]
    {
        let ran = finish(program(&[&["test-server", "--script", "none.toml"], option].concat()), b"").await;
        assert_eq!((ran.code, ran.stdout()), (Some(255), ""), "{option:?}");
        assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    }
}
