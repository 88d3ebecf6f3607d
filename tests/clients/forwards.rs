//! Forwarded connections: from the client's side through the server to a target, by TCP and by Unix sockets.

use std::path::PathBuf;

use rustle_testserver::{ChannelKind, TestServer, User};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::frame::{LIMIT, Prepared, clients, finish};
use crate::library::{Library, assert_let_in, bytes, hex};
use crate::openssh::{self, Home};

/// What the near side says, and what it hears from one that answers in upper case once it has heard all.
pub(crate) const SAID: &[u8] = b"there and back \x00\xff";
pub(crate) const HEARD: &[u8] = b"THERE AND BACK \x00\xff";

async fn server() -> TestServer {
    TestServer::builder()
        .user(User::new("alice").none())
        .direct_tcpip()
        .direct_streamlocal()
        .start()
        .await
        .unwrap()
}

/// Targets behind the server. Nobody listens at `closed`, which stays taken all the same.
struct Targets {
    home: Home,
    tcp: TcpListener,
    unix: UnixListener,
    _bound: TcpSocket,
    closed: u16,
}

impl Targets {
    async fn new() -> Self {
        let home = Home::new();
        let unix = UnixListener::bind(home.path("target")).unwrap();
        let bound = TcpSocket::new_v4().unwrap();
        bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let closed = bound.local_addr().unwrap().port();
        Self { home, tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(), unix, _bound: bound, closed }
    }

    fn port(&self) -> u16 {
        self.tcp.local_addr().unwrap().port()
    }

    fn path(&self) -> PathBuf {
        self.home.path("target")
    }

    async fn answer_tcp(&self) {
        let (stream, _) = self.tcp.accept().await.unwrap();
        answer(stream).await;
    }

    async fn answer_unix(&self) {
        let (stream, _) = self.unix.accept().await.unwrap();
        answer(stream).await;
    }
}

/// Hears the other side out, and only then answers: the end of one direction leaves the other open.
pub(crate) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    stream.write_all(&heard.to_ascii_uppercase()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Says its line, ends its side, and hears the other out.
pub(crate) async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<u8> {
    stream.write_all(SAID).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    heard
}

/// A connection to a socket that a client is about to listen on.
async fn connect_when_there(path: &std::path::Path) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            // The frame of the test ends one that waits for ever.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

#[test]
fn openssh_forwards_to_targets() {
    clients(LIMIT, async |_| {
        let targets = Targets::new().await;
        let home = &targets.home;
        let server = server().await;
        let port = targets.port();

        // ssh -W
        let mut ssh = home.command("ssh", &server, &["-W", &format!("127.0.0.1:{port}")]);
        let (output, ()) =
            tokio::join!(openssh::run_with(ssh.arg("alice@127.0.0.1"), SAID), targets.answer_tcp());
        assert_eq!(output.stdout, HEARD, "{}", openssh::said(&output));

        // ssh -L, to a port and to a path, and ssh -D.
        let near = |name: &str| home.path(name).display().to_string();
        let mut ssh = home.command("ssh", &server, &["-N", "-oExitOnForwardFailure=yes"]);
        ssh.args(["-L", &format!("{}:127.0.0.1:{port}", near("to-tcp"))]);
        ssh.args(["-L", &format!("{}:{}", near("to-unix"), targets.path().display())]);
        ssh.args(["-L", &format!("{}:127.0.0.1:{}", near("to-none"), targets.closed)]);
        let mut ssh = openssh::spawn(ssh.arg("alice@127.0.0.1"));
        let by_port = async { talk(connect_when_there(&home.path("to-tcp")).await).await };
        let (heard, ()) = tokio::join!(by_port, targets.answer_tcp());
        assert_eq!(heard, HEARD);
        let by_path = async { talk(connect_when_there(&home.path("to-unix")).await).await };
        let (heard, ()) = tokio::join!(by_path, targets.answer_unix());
        assert_eq!(heard, HEARD);
        // ssh closes what the server refused.
        let mut refused = connect_when_there(&home.path("to-none")).await;
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
        ssh.kill().await.unwrap();
        assert_kinds(&server, &targets, 2, 1);
        finish(server).await;
    });
}

#[test]
fn openssh_forwards_dynamically() {
    clients(LIMIT, async |_| {
        let targets = Targets::new().await;
        let server = server().await;
        // ssh takes no socket's path here, and says nothing of a port of its choice. This port is kept from everybody
        // who does not share addresses as ssh does, and until ssh listens nobody does.
        let kept = TcpSocket::new_v4().unwrap();
        kept.set_reuseaddr(true).unwrap();
        kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = kept.local_addr().unwrap().port();
        let ssh = ["-N", "-oExitOnForwardFailure=yes", "-D", &format!("127.0.0.1:{port}")];
        let mut ssh = openssh::spawn(targets.home.command("ssh", &server, &ssh).arg("alice@127.0.0.1"));
        let near = async {
            let mut stream = loop {
                match TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                }
            };
            // SOCKS 5 (RFC 1928): no authentication, then CONNECT to an IPv4 address.
            stream.write_all(&[5, 1, 0]).await.unwrap();
            let mut reply = [0; 2];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply, [5, 0]);
            let mut connect = vec![5, 1, 0, 1, 127, 0, 0, 1];
            connect.extend(targets.port().to_be_bytes());
            stream.write_all(&connect).await.unwrap();
            let mut reply = [0; 10];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply[..2], [5, 0]);
            talk(stream).await
        };
        let (heard, ()) = tokio::join!(near, targets.answer_tcp());
        assert_eq!(heard, HEARD);
        ssh.kill().await.unwrap();
        finish(server).await;
    });
}

#[test]
fn asyncssh_forwards_to_targets() {
    clients(LIMIT, async |prepared| library_forwards(Library::Asyncssh, &prepared, true).await);
}

/// paramiko opens no channel to a path.
#[test]
fn paramiko_forwards_to_targets() {
    clients(LIMIT, async |prepared| library_forwards(Library::Paramiko, &prepared, false).await);
}

#[test]
fn ssh2_forwards_to_targets() {
    clients(LIMIT, async |prepared| library_forwards(Library::Ssh2, &prepared, true).await);
}

async fn library_forwards(library: Library, prepared: &Prepared, to_paths: bool) {
    let targets = Targets::new().await;
    let server = server().await;
    let mut steps = vec![
        json!({"do": "connect", "host": "127.0.0.1", "port": targets.port(), "say": hex(SAID)}),
        json!({"do": "refused", "host": "127.0.0.1", "port": targets.closed}),
    ];
    if to_paths {
        steps.push(json!({"do": "connect", "path": targets.path(), "say": hex(SAID)}));
    }
    let login = json!({"by": ["none"]});
    let ask = library.ask(prepared, &server, "alice", &login, &steps);
    let answers = async {
        targets.answer_tcp().await;
        if to_paths {
            targets.answer_unix().await;
        }
        std::future::pending::<()>().await;
    };
    let answers = tokio::select! {
        answers = ask => answers,
        () = answers => unreachable!("it waits for ever"),
    };
    let Some(answers) = answers else { return };
    assert_let_in(&answers);
    assert_eq!(bytes(&answers[1]["heard"]), HEARD, "{library:?}");
    // RFC 4254 section 5.1: SSH_OPEN_CONNECT_FAILED.
    assert_eq!(answers[2], json!({"code": 2}), "{library:?}");
    if to_paths {
        assert_eq!(bytes(&answers[3]["heard"]), HEARD, "{library:?}");
    }
    assert_kinds(&server, &targets, 1, usize::from(to_paths));
    finish(server).await;
}

/// So many channels to the port and to the path, and one refused.
fn assert_kinds(server: &TestServer, targets: &Targets, to_port: usize, to_path: usize) {
    let record = server.record();
    let opened =
        |kind: &ChannelKind| record.channels().iter().filter(|channel| channel.kind() == kind).count();
    let port = ChannelKind::DirectTcpip("127.0.0.1".to_owned(), targets.port().into());
    let path = ChannelKind::DirectStreamlocal(targets.path().display().to_string());
    assert_eq!((opened(&port), opened(&path), record.channels_refused()), (to_port, to_path, 1), "{record}");
}
