//! Forwards of a script: targets, and what clients are granted.

use rustle_session::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::served::Served;

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

#[tokio::test]
async fn targets_answer_as_the_script_says() {
    let real = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = real.local_addr().unwrap().port();
    let script = format!(
        r#"
        {ALICE}
        [forwards]
        direct_tcpip = false
        [[forwards.targets]]
        host = "*"
        answer = "refuse"
        code = 1
        text = "not from here"
        [[forwards.targets]]
        host = "*.internal"
        port = 7
        answer = "echo"
        [[forwards.targets]]
        host = "127.0.0.1"
        answer = "real"
        [[forwards.targets]]
        path = "/run/*.sock"
        answer = "reply"
        text = "hello\n"
        "#
    );
    let server = Served::script(&script).await;
    let session = server.session("alice", "wonderland").await;
    let mut echo = session.direct_tcpip("a.internal", 7).await.unwrap();
    echo.write_all(b"ping").await.unwrap();
    let mut four = [0; 4];
    echo.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"ping");
    let mut reply = String::new();
    let mut stream = session.direct_streamlocal("/run/app.sock").await.unwrap();
    stream.read_to_string(&mut reply).await.unwrap();
    assert_eq!(reply, "hello\n");
    let (forward, accepted) = tokio::join!(session.direct_tcpip("127.0.0.1", port), real.accept());
    assert!(forward.is_ok() && accepted.is_ok());
    let refused = session.direct_tcpip("a.internal", 8).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ChannelProhibited, "{refused}");
    server.stop().await;
}

/// The session of this workspace asks for none of these yet, so OpenSSH's client does, where it is installed.
#[cfg(unix)]
#[tokio::test]
async fn openssh_has_granted_what_the_script_grants() {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::served::{LIMIT, slashed};

    if Command::new("ssh").arg("-V").output().await.is_err() {
        println!("skipped: ssh is not installed");
        return;
    }
    let granting = "remote_tcpip = \"loopback\"\nremote_streamlocal = true\nagent = true\nx11 = true\n";
    let anywhere = "remote_tcpip = \"as-asked\"\n";
    for (keys, granted) in [(granting, true), (anywhere, false), ("", false)] {
        let script = format!("[[users]]\nname = \"alice\"\nnone = true\n[forwards]\n{keys}");
        let server = Served::script(&script).await;
        // Writes `known_hosts` beside the script.
        drop(server.setup("alice"));
        let folder = slashed(server.directory.path());
        // A client offers to forward an agent and a display only where there seem to be some.
        let agent = tokio::net::UnixListener::bind(format!("{folder}/agent")).unwrap();
        // One that hangs up on whoever asks for keys.
        let hangs_up = tokio::spawn(async move {
            loop {
                drop(agent.accept().await);
            }
        });
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-A", "-Y", "-p", &server.port().to_string()]);
        ssh.args([
            "-o",
            &format!("UserKnownHostsFile={folder}/known_hosts"),
            "-o",
            "XAuthLocation=/nonexistent",
        ]);
        ssh.args(["-R", "0:127.0.0.1:9", "-R", "./remote.sock:127.0.0.1:9", "alice@127.0.0.1", "stall"]);
        ssh.env("SSH_AUTH_SOCK", format!("{folder}/agent")).env("DISPLAY", "127.0.0.1:0").kill_on_drop(true);
        // Killed when it is dropped, below.
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let client = ssh.spawn().unwrap();
        let answer = server.get("/wait?commands=1&timeout=50s").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let record = answer.json;
        let tcp = &record["forwards"][0];
        let listens = !keys.is_empty();
        assert_eq!(tcp["state"], if listens { "listening" } else { "refused" }, "{record}");
        if listens {
            let port = u16::try_from(tcp["port"].as_u64().unwrap()).unwrap();
            tokio::time::timeout(LIMIT, tokio::net::TcpStream::connect(("127.0.0.1", port)))
                .await
                .unwrap()
                .unwrap();
        }
        assert_eq!(record["forwards"][1]["state"], if granted { "listening" } else { "refused" }, "{record}");
        let requests = |name: &str| record["channels"][0][name].to_string();
        for name in ["auth-agent-req@openssh.com", "x11-req"] {
            assert_eq!(requests("granted_requests").contains(name), granted, "{name}: {record}");
        }
        drop(client);
        hangs_up.abort();
        server.stop().await;
    }
}
