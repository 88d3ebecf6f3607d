//! Forwarding as OpenSSH's own client does it, where that is installed.

use std::{path::Path, process::Stdio, time::Duration};

use rustle_testserver::{ChannelKind, Target, TestServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    process::{Child, Command},
};

use crate::{
    client::LIMIT,
    openssh::{Home, file, installed, text},
};

/// A client that runs no command, only forwards.
fn forwarding(home: &Home, server: &TestServer, what: &[&str]) -> Child {
    Command::new("ssh")
        .args(home.options(server.port()))
        .args(["-N", "-oExitOnForwardFailure=yes"])
        .args(what)
        .arg("bob@127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Connects to a socket as soon as another program listens on it, which is a moment after its file appears.
async fn connected(path: &Path) -> UnixStream {
    let connected = async {
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(LIMIT, connected).await.expect("no socket")
}

#[tokio::test]
async fn ssh_reaches_scripted_targets() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder()
        .user(home.user())
        .forward_target("*", None, Target::refuse(1, "not from here"))
        .forward_target("db.internal", 5432, Target::echo())
        .start()
        .await
        .unwrap();
    home.trust(&server);
    let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let input = file(&home.path("input"), &data);
    let output = home.run("ssh", server.port(), &["-W", "db.internal:5432", "bob@127.0.0.1"], input).await;
    assert!(output.stdout == data, "{} bytes, {}", output.stdout.len(), text(&output.stderr));

    let output =
        home.run("ssh", server.port(), &["-W", "elsewhere:80", "bob@127.0.0.1"], Stdio::null()).await;
    assert!(text(&output.stderr).contains("administratively prohibited: not from here"));

    let socket = home.path("local");
    let local = format!("{}:db.internal:5432", socket.display());
    let mut client = forwarding(&home, &server, &["-L", &local]);
    let mut stream = connected(&socket).await;
    stream.write_all(b"through ssh -L").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "through ssh -L");
    client.kill().await.unwrap();
    server.wait_until_idle(LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_is_reached_by_remote_port_and_socket() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let server =
        TestServer::builder().user(home.user()).tcpip_forward().streamlocal_forward().start().await.unwrap();
    home.trust(&server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let socket = server.directory().join("remote");
    let (by_port, by_path) = (format!("0:{target}"), format!("{}:{target}", socket.display()));
    let mut client = forwarding(&home, &server, &["-R", &by_port, "-R", &by_path]);
    server.wait_until(|record| record.forwards_open() == 2, LIMIT).await.unwrap();
    let record = server.record();
    let port = record.forwards().iter().find_map(|forward| forward.port()).unwrap();

    let mut visitor = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    visitor.write_all(b"by port").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut received = String::new();
    listener.accept().await.unwrap().0.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "by port");

    let mut visitor = UnixStream::connect(&socket).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    accepted.write_all(b"by path").await.unwrap();
    drop(accepted);
    received.clear();
    visitor.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "by path");

    client.kill().await.unwrap();
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().forwards_open(), 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err() && !socket.exists());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_with_a_refused_remote_forward_ends() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder().user(home.user()).start().await.unwrap();
    home.trust(&server);
    let refused = ["-N", "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", "bob@127.0.0.1"];
    let output = home.run("ssh", server.port(), &refused, Stdio::null()).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(text(&output.stderr).contains("remote port forwarding failed"), "{}", text(&output.stderr));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn shell_finds_the_agent_of_ssh() {
    if !(installed("ssh") && installed("ssh-agent") && installed("ssh-add")) {
        return;
    }
    let home = Home::new().await;
    let socket = home.path("agent");
    let _agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(connected(&socket).await);
    let added = Command::new("ssh-add")
        .arg("-q")
        .arg(home.path("key"))
        .env("SSH_AUTH_SOCK", &socket)
        .stdin(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(added.success());

    let server = TestServer::builder().user(home.user()).shell().agent_forwarding().start().await.unwrap();
    home.trust(&server);
    let lists = Command::new("ssh")
        .args(home.options(server.port()))
        .args(["-A", "bob@127.0.0.1", "ssh-add -L; echo $SSH_AUTH_SOCK >&2"])
        .env("SSH_AUTH_SOCK", &socket)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, lists).await.expect("the client hangs").unwrap();
    let key = std::fs::read_to_string(home.path("key.pub")).unwrap();
    assert_eq!(text(&output.stdout).trim(), key.trim(), "{}", text(&output.stderr));
    server.wait_until_idle(LIMIT).await.unwrap();
    assert!(server.record().channels().iter().any(|channel| channel.kind() == &ChannelKind::Agent));
    // The socket was the command's, and has gone with it.
    assert!(!Path::new(text(&output.stderr).trim()).exists());
    server.stop().await.unwrap();
}
