//! What one operation is tried on: a server, and a client as far as the operation needs it.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use rustle_session::{
    AgentSource, Child, ChildStderr, ChildStdin, ChildStdout, Connector, Credentials, ForwardStream,
    HostKeyOffer, HostSetup, KnownHosts, PinnedHostKey, RemoteListener, Session, Target, Terminal,
    Unauthenticated,
};
use rustle_testserver::{Call, Duplex, Exit, Reply, TestServer, User};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::stall::Stall;
use crate::known_hosts_file::trust;
use crate::support;

/// How far the client is when the operation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// No server: this machine's files are enough.
    Nothing,
    /// There is a server, and nobody has connected to it.
    Server,
    /// Keys are exchanged.
    Unauthenticated,
    /// Keys are exchanged, and a key file is to let in.
    KeyFile,
    /// Somebody is logged in.
    Session,
    /// This line runs.
    Child(&'static str),
    /// This line runs on a terminal.
    ChildOnTerminal(&'static str),
    /// A forward is open.
    Forward,
    /// The server listens, and somebody connects in a second.
    Listener,
}

/// The server, and what the client holds.
pub(super) struct Stage {
    pub(super) server: Arc<TestServer>,
    pub(super) directory: TempDir,
    pub(super) session: Option<Session>,
    pub(super) unauthenticated: Option<Unauthenticated>,
    pub(super) child: Option<Child>,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    pub(super) forward: Option<ForwardStream>,
    pub(super) listener: Option<RemoteListener>,
    /// Where what was read goes.
    pub(super) chunks: Vec<Bytes>,
    /// What the operation borrows.
    pub(super) connector: Connector,
    pub(super) credentials: Credentials,
    pub(super) setup: Option<HostSetup>,
    pub(super) known_hosts: KnownHosts,
    pub(super) offer: HostKeyOffer,
    /// Keeps other writers out of the `known_hosts` file.
    pub(super) lock: Option<fs::File>,
    /// Where forwards go: it never accepts, and the system takes connections in its name.
    pub(super) far: TcpListener,
    accepted: Option<TcpStream>,
    #[cfg(unix)]
    far_socket: Option<std::os::unix::net::UnixListener>,
    /// Where [`Session::connect`] connects to.
    pub(super) destination: String,
    /// The stream under the client is there for as long as this can be upgraded.
    stream: Weak<()>,
    token: Option<Arc<()>>,
    key: &'static (String, String),
    jam: Option<Child>,
}

/// The server's window: what is written fills it several times over.
const WINDOW: u32 = 64 * 1024;

/// Where the server listens for the client.
const LISTENER: (&str, u16) = ("localhost", 8080);

/// More than the client keeps of what its peer does not take, on top of a pipe's own buffer.
const JAM: usize = 6 * 1024 * 1024;

impl Stage {
    /// Brings the client as far as the operation needs it, and the server to its stall.
    pub(super) async fn set(needs: Needs, stall: Stall) -> Self {
        let window = if stall == Stall::Jammed { 2 * JAM } else { WINDOW as usize };
        let key = key().await;
        let builder = support::server()
            .user(User::new("bob").public_key(&key.1))
            .window(u32::try_from(window).unwrap())
            .command("late out", Reply::stdout("out").after(Duration::from_secs(1)))
            .command("late err", Reply::stderr("err").after(Duration::from_secs(1)))
            .command_fn("stubborn", async |mut call| {
                loop {
                    // Takes every signal and goes on, until the channel is gone.
                    let _ = call.signal().await;
                }
            })
            .command_fn("late visit", async |call: Call| {
                sleep(Duration::from_secs(1)).await;
                // Refused where nobody listens any more.
                drop(call.open_forwarded_tcpip(LISTENER.0, LISTENER.1).await);
                Exit::SUCCESS
            })
            .max_sessions(10)
            .tcpip_forward_scripted()
            .streamlocal_forward_scripted()
            .direct_tcpip();
        #[cfg(unix)]
        let builder = builder.direct_streamlocal();
        let server = builder.start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let offer = HostKeyOffer::from_wire("127.0.0.1", server.port(), &server.host_key_wire()).unwrap();
        let mut stage = Self {
            connector: support::connector(&server),
            credentials: support::credentials(),
            known_hosts: trust(&directory.path().join("known_hosts")),
            far: TcpListener::bind(("127.0.0.1", 0)).unwrap(),
            accepted: None,
            #[cfg(unix)]
            far_socket: None,
            destination: String::new(),
            token: Some(Arc::default()),
            stream: Weak::new(),
            key,
            server: Arc::new(server),
            directory,
            offer,
            session: None,
            unauthenticated: None,
            child: None,
            stdin: None,
            stdout: None,
            stderr: None,
            forward: None,
            listener: None,
            chunks: Vec::new(),
            setup: None,
            lock: None,
            jam: None,
        };
        stage.advance_to(needs).await;
        if stall == Stall::Jammed {
            stage.jam().await;
        }
        stall.arm(&stage.server);
        stage
    }

    /// The server, as a configuration says it.
    pub(super) fn setup(&self) -> HostSetup {
        fs::write(self.known_hosts_file(), self.server.known_hosts_line()).unwrap();
        // A backslash would escape what follows it.
        let known_hosts = self.known_hosts_file().display().to_string().replace('\\', "/");
        HostSetup::builder(format!("ssh://alice@127.0.0.1:{}", self.server.port()))
            .without_config_files()
            .option(format!("UserKnownHostsFile={known_hosts}"))
            .option("PubkeyAuthentication=no")
            .agent(AgentSource::None)
            .password("wonderland".into())
            .resolve()
            .unwrap()
    }

    async fn advance_to(&mut self, needs: Needs) {
        if matches!(needs, Needs::Nothing | Needs::Server) {
            return;
        }
        if needs == Needs::KeyFile {
            self.use_key_file().await;
        }
        let stream = self.stream();
        let unauthenticated = self.connector.connect_over(stream).await.unwrap();
        if matches!(needs, Needs::Unauthenticated | Needs::KeyFile) {
            self.unauthenticated = Some(unauthenticated);
            return;
        }
        let session = unauthenticated.authenticate(&self.credentials).await.unwrap();
        match needs {
            Needs::Child(line) => self.child = Some(session.line(line).spawn().await.unwrap()),
            Needs::ChildOnTerminal(line) => {
                let terminal = Terminal::new("xterm", 80, 24);
                self.child = Some(session.line(line).terminal(terminal).spawn().await.unwrap());
            }
            Needs::Forward => {
                self.forward = Some(session.direct_tcpip("127.0.0.1", self.far_port()).await.unwrap());
            }
            Needs::Listener => {
                self.listener = Some(session.listen_tcpip(LISTENER.0, LISTENER.1).await.unwrap());
                self.child = Some(session.line("late visit").spawn().await.unwrap());
            }
            Needs::Nothing | Needs::Server | Needs::Unauthenticated | Needs::KeyFile | Needs::Session => {}
        }
        self.session = Some(session);
    }

    /// A stream to the server that can be asked after.
    pub(super) fn stream(&mut self) -> Watched {
        let token = self.token.take().unwrap();
        self.stream = Arc::downgrade(&token);
        Watched { stream: self.server.duplex(), _token: token }
    }

    /// Fills every buffer between the session and a server that has stopped reading, down to the base's queue.
    async fn jam(&mut self) {
        let session = self.session().clone();
        let mut child = session.line("sha256sum").spawn().await.unwrap();
        self.server.stall();
        let mut stdin = child.take_stdin().unwrap();
        for _ in 0..2 * JAM / (256 * 1024) {
            let write = stdin.write_bytes(Bytes::from(vec![0; 256 * 1024]));
            if tokio::time::timeout(Duration::from_millis(1), write).await.is_err() {
                break;
            }
        }
        while child.signal("USR1").now_or_never().is_some() {
            tokio::task::yield_now().await;
        }
        self.jam = Some(child);
    }

    pub(super) fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }

    pub(super) fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(super) fn far_port(&self) -> u16 {
        self.far.local_addr().unwrap().port()
    }

    /// Logs in with a key file and nothing else.
    async fn use_key_file(&mut self) {
        let file = self.directory.path().join("id_ed25519");
        write_private(&file, &self.key.0);
        let target = Target::new("127.0.0.1").and_then(|target| target.with_user("bob")).unwrap();
        let pin = PinnedHostKey::new(&self.offer.fingerprint()).unwrap();
        self.connector = Connector::new(target).host_trust(pin);
        self.credentials = Credentials::new().without_default_keys().agent(AgentSource::None).key_file(file);
    }

    /// Whether the client holds no stream any more.
    pub(super) fn stream_is_closed(&self) -> bool {
        self.stream.strong_count() == 0 && sockets_to(self.server.port()) == 0
    }

    /// Lets go of all that the client holds but its session.
    pub(super) fn release_handles(&mut self) {
        self.setup = None;
        // Not by closing it alone: a process that is just being started may hold a copy of the descriptor. On Windows
        // none does, and there the standard library unlocks twice, at the second of which wine finds an error to tell.
        if let Some(lock) = self.lock.take() {
            let unlocked = lock.unlock();
            assert!(unlocked.is_ok() || cfg!(windows), "{unlocked:?}");
        }
        self.unauthenticated = None;
        self.forward = None;
        self.listener = None;
        self.stdin = None;
        self.stdout = None;
        self.stderr = None;
        self.child = None;
        self.jam = None;
    }

    pub(super) fn known_hosts_file(&self) -> PathBuf {
        self.directory.path().join("known_hosts")
    }

    /// Keeps other writers out of the `known_hosts` file, as another process would.
    pub(super) fn lock_known_hosts(&mut self) {
        let mut file = self.known_hosts_file();
        if cfg!(windows) {
            file.set_extension("lock");
        }
        let file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file).unwrap();
        file.lock().unwrap();
        self.lock = Some(file);
    }

    /// Makes the home directory one from which `bob` can log in to this server, by its key and without a question.
    pub(super) fn make_home(&self) {
        let directory = std::env::home_dir().unwrap().join(".ssh");
        write_private(&directory.join("id_ed25519"), &self.key.0);
        fs::write(directory.join("known_hosts"), self.server.known_hosts_line()).unwrap();
    }

    /// Has the far side of the forward send something.
    pub(super) fn far_side_says_hello(&mut self) {
        // The system has taken the connection already: this waits for nobody.
        let (mut stream, _) = self.far.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        self.accepted = Some(stream);
    }

    /// A socket that takes connections.
    #[cfg(unix)]
    pub(super) fn far_socket(&mut self) -> String {
        let path = self.directory.path().join("socket");
        self.far_socket = Some(std::os::unix::net::UnixListener::bind(&path).unwrap());
        path.to_str().unwrap().to_owned()
    }

    #[cfg(not(unix))]
    pub(super) fn far_socket(&mut self) -> String {
        "socket".to_owned()
    }
}

/// The pair of a key, private and public, in OpenSSH's formats: another server's host key is as good as any.
async fn key() -> &'static (String, String) {
    static KEY: OnceCell<(String, String)> = OnceCell::const_new();
    KEY.get_or_init(async || {
        let server = TestServer::builder().start().await.unwrap();
        let key = (server.host_private_key_openssh().unwrap(), server.host_key_openssh());
        server.stop().await.unwrap();
        key
    })
    .await
}

/// Writes a private key so that it counts as one: readable by its owner alone.
fn write_private(file: &Path, key: &str) {
    fs::write(file, key).unwrap();
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// The sockets of this machine that somebody holds open towards a port of it.
#[cfg(target_os = "linux")]
fn sockets_to(port: u16) -> usize {
    // Columns: number, local address, remote address, state, queues, timer, retransmissions, uid, timeout, inode;
    // a socket that only the kernel still knows of has no inode.
    let remote = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let held = |line: &&str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.get(2).is_some_and(|address| address.ends_with(&remote))
            && columns.get(9).is_some_and(|inode| *inode != "0")
    };
    table.lines().skip(1).filter(held).count()
}

/// Elsewhere the server alone tells whether a socket was closed.
#[cfg(not(target_os = "linux"))]
fn sockets_to(_port: u16) -> usize {
    0
}

/// An in-memory connection whose end can be seen from outside.
pub(super) struct Watched {
    stream: Duplex,
    _token: Arc<()>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
