//! What the server opens to the client: forwarded connections that somebody makes to the server, by TCP and by Unix
//! sockets, and the client's agent.

use std::path::Path;

use rustle_tests::{Agent, KeyFile, KeyKind};
use rustle_testserver::{ChannelKind, ForwardState, TestServer, User};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::forwards::{HEARD, SAID, answer, talk};
use crate::frame::{LIMIT, Prepared, clients, finish};
use crate::library::{Library, assert_let_in, bytes, text};
use crate::openssh::{self, Home};

async fn server() -> TestServer {
    TestServer::builder()
        .user(User::new("alice").none())
        .shell()
        .tcpip_forward()
        .streamlocal_forward()
        .agent_forwarding()
        .start()
        .await
        .unwrap()
}

#[test]
fn openssh_is_reached_through_the_server() {
    clients(LIMIT, async |_| {
        let home = Home::new();
        let server = server().await;
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = target.local_addr().unwrap();
        let path = home.path("far");
        let mut ssh = home.command("ssh", &server, &["-N", "-oExitOnForwardFailure=yes"]);
        ssh.args(["-R", &format!("0:{near}"), "-R", &format!("{}:{near}", path.display())]);
        let mut ssh = openssh::spawn(ssh.arg("alice@127.0.0.1"));
        server.wait_until(|record| record.forwards_open() == 2, LIMIT).await.unwrap();
        let port =
            server.record().forwards().iter().find_map(rustle_testserver::ForwardRecord::port).unwrap();

        let served = async || answer(target.accept().await.unwrap().0).await;
        let (heard, ()) = tokio::join!(talk(to_port(port).await), served());
        assert_eq!(heard, HEARD);
        let (heard, ()) = tokio::join!(talk(UnixStream::connect(&path).await.unwrap()), served());
        assert_eq!(heard, HEARD);
        ssh.kill().await.unwrap();
        finish_forwards(server, 2).await;
    });
}

#[test]
fn asyncssh_is_reached_through_the_server() {
    clients(LIMIT, async |prepared| {
        library_is_reached_by_port(Library::Asyncssh, &prepared).await;
        library_is_reached_by_path(Library::Asyncssh, &prepared).await;
    });
}

/// paramiko asks for no path.
#[test]
fn paramiko_is_reached_through_the_server() {
    clients(LIMIT, async |prepared| library_is_reached_by_port(Library::Paramiko, &prepared).await);
}

#[test]
fn ssh2_is_reached_through_the_server() {
    clients(LIMIT, async |prepared| {
        library_is_reached_by_port(Library::Ssh2, &prepared).await;
        library_is_reached_by_path(Library::Ssh2, &prepared).await;
    });
}

async fn library_is_reached_by_port(library: Library, prepared: &Prepared) {
    let server = server().await;
    let step = json!({"do": "listen", "host": "127.0.0.1"});
    library_is_reached(library, prepared, &server, &step, async |listening| {
        let port = listening.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap();
        talk(to_port(port).await).await
    })
    .await;
    finish_forwards(server, 1).await;
}

async fn library_is_reached_by_path(library: Library, prepared: &Prepared) {
    let home = Home::new();
    let server = server().await;
    let step = json!({"do": "listen", "path": home.path("far")});
    library_is_reached(library, prepared, &server, &step, async |listening| {
        talk(UnixStream::connect(Path::new(listening.as_str().unwrap())).await.unwrap()).await
    })
    .await;
    finish_forwards(server, 1).await;
}

/// The library says where the server listens for it, and answers somebody who connects there.
async fn library_is_reached(
    library: Library,
    prepared: &Prepared,
    server: &TestServer,
    step: &Value,
    connect: impl AsyncFnOnce(&Value) -> Vec<u8>,
) {
    let login = json!({"by": ["none"]});
    let Some(mut conversation) =
        library.start(prepared, server, "alice", &login, std::slice::from_ref(step)).await
    else {
        return;
    };
    assert_let_in(&[conversation.next_line().await.expect("a line about the login")]);
    let Some(listening) = conversation.next_line().await else {
        conversation.end().await;
        unreachable!("it ended well and said nothing");
    };
    assert_eq!(connect(&listening["listening"]).await, HEARD, "{library:?}");
    let heard = conversation.next_line().await.expect("a line at the end");
    assert_eq!(bytes(&heard["heard"]), SAID, "{library:?}");
    conversation.end().await;
}

async fn to_port(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// So many were listened for, and none is any more. Where a library is missing, none was.
async fn finish_forwards(server: TestServer, expected: usize) {
    let record = server.record();
    if record.connections_accepted() > 0 {
        assert_eq!(record.forwards().len(), expected, "{record}");
    }
    server.wait_until(|record| record.forwards_open() == 0, LIMIT).await.unwrap();
    let record = server.record();
    assert!(record.forwards().iter().all(|forward| forward.state() == ForwardState::Ended), "{record}");
    finish(server).await;
}

/// An agent with one key, and the line by which `ssh-add -L` shows it.
struct OneKey {
    agent: Agent,
    line: String,
}

impl OneKey {
    fn new(home: &Home) -> Self {
        let key = KeyFile::generate(home.folder(), "key", KeyKind::Ed25519);
        let agent = Agent::start();
        agent.add(&key);
        Self { agent, line: format!("{}\n", key.public_line()) }
    }
}

#[test]
fn openssh_lends_its_agent() {
    clients(LIMIT, async |_| {
        let home = Home::new();
        let lent = OneKey::new(&home);
        let server = server().await;
        let mut ssh = home.command("ssh", &server, &["-A", "-T"]);
        ssh.args(["alice@127.0.0.1", "ssh-add -L"]).env("SSH_AUTH_SOCK", lent.agent.socket());
        assert_eq!(openssh::succeed(&mut ssh).await, lent.line);
        assert_agent_asked(&server);
        finish(server).await;
    });
}

#[test]
fn asyncssh_lends_its_agent() {
    clients(LIMIT, async |prepared| library_lends(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_lends_its_agent() {
    clients(LIMIT, async |prepared| library_lends(Library::Paramiko, &prepared).await);
}

#[test]
fn ssh2_lends_its_agent() {
    clients(LIMIT, async |prepared| library_lends(Library::Ssh2, &prepared).await);
}

async fn library_lends(library: Library, prepared: &Prepared) {
    let home = Home::new();
    let lent = OneKey::new(&home);
    let server = server().await;
    let login = json!({"by": ["none"], "agent": lent.agent.socket()});
    let step = json!({"do": "run", "command": "ssh-add -L", "forward_agent": true});
    let Some(answers) = library.ask(prepared, &server, "alice", &login, &[step]).await else { return };
    assert_let_in(&answers);
    assert_eq!(text(&answers[1]["stdout"]), lent.line, "{library:?}: {}", text(&answers[1]["stderr"]));
    assert_agent_asked(&server);
    finish(server).await;
}

fn assert_agent_asked(server: &TestServer) {
    let record = server.record();
    let asked = record.channels().iter().filter(|channel| *channel.kind() == ChannelKind::Agent).count();
    assert_eq!(asked, 1, "{record}");
}
