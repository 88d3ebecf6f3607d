//! `ssh-config`: the settings as `ssh -G` prints them, and where each came from.

use std::path::Path;

use serde_json::Value;

use crate::host::{Ran, finish, program};

/// Runs the command with a configuration of its own and a home that is empty.
async fn ssh_config(config: &str, arguments: &[&str]) -> (Ran, String) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config");
    std::fs::write(&path, config).unwrap();
    let mut command = program(&[]);
    command.args(["ssh-config", "--config"]).arg(&path).args(arguments);
    command.env("HOME", home.path()).env("USERPROFILE", home.path());
    (finish(command, b"").await, shown(&path))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn settings_are_lines_and_nothing_is_connected_to() {
    let config = "Host web\n HostName web-1.invalid\n User deploy\n ProxyJump bob@bastion:2222\n";
    let (ran, _) = ssh_config(config, &["web", "-p", "2222", "-o", "LogLevel=ERROR"]).await;
    assert_eq!((ran.code, ran.stderr.is_empty() || ran.stderr.starts_with("warning:")), (Some(0), true));
    let lines: Vec<&str> = ran.stdout().lines().collect();
    assert_eq!(lines[..4], ["host web", "user deploy", "hostname web-1.invalid", "port 2222"]);
    for line in
        ["loglevel ERROR", "proxyjump bob@bastion:2222", "connecttimeout 10", "serveraliveinterval 30"]
    {
        assert!(lines.contains(&line), "{line} in {}", ran.stdout());
    }
}

#[tokio::test]
async fn json_has_the_origin_of_every_value() {
    let config = "Host web\n IdentityFile /a\n IdentityFile /b\n";
    let (ran, path) = ssh_config(config, &["bob@web", "--format", "json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(ran.stdout()).unwrap();
    let pair = |name: &str, index: usize| {
        let value = &told[name][index];
        (value["value"].as_str().unwrap().to_owned(), value["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(pair("user", 0), ("bob".to_owned(), "command line".to_owned()));
    assert_eq!(pair("identityfile", 0), ("/a".to_owned(), format!("{path}:2")));
    assert_eq!(pair("identityfile", 1), ("/b".to_owned(), format!("{path}:3")));
    assert_eq!(pair("port", 0), ("22".to_owned(), "default".to_owned()));
}

#[tokio::test]
async fn what_a_connection_would_not_get_is_said_and_does_not_refuse() {
    let (ran, path) = ssh_config("Tunnel yes\nXAuthLocation /x\n", &["web"]).await;
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stderr.trim_end(), format!("warning: {path}:1: Tunnel: tun devices are not forwarded"));
    let (ran, path) = ssh_config("XAuthLocation /x\n", &["-v", "web"]).await;
    assert!(ran.stderr.contains(&format!("note: {path}:1: XAuthLocation: X11 is not forwarded")));
    let (ran, _) = ssh_config("Tunnel yes\n", &["-q", "web"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_its_place() {
    let (ran, path) = ssh_config("Port 22\nHostNam x\n", &["web"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""));
    assert!(ran.stderr.contains(&format!("{path}:2: Bad configuration option")), "{}", ran.stderr);
}

#[tokio::test]
async fn conditions_see_the_command_that_exec_is_to_run() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config");
    let config = "Match sessiontype exec command \"uptime -*\"\n HostName by-its-command.invalid\n\
                  Match all\n HostName nothing.invalid\n";
    std::fs::write(&path, config).unwrap();
    for (words, name) in
        [(["uptime", "-p"], "by-its-command.invalid"), (["echo", "uptime -p"], "nothing.invalid")]
    {
        let mut command = program(&[]);
        command.args(["exec", "--config"]).arg(&path).args(["web", "--"]).args(words);
        command.env("HOME", home.path()).env("USERPROFILE", home.path());
        let ran = finish(command, b"").await;
        assert_eq!(ran.code, Some(255), "{}", ran.stderr);
        assert!(ran.stderr.contains(name), "{words:?}: {}", ran.stderr);
    }
}
