//! A small client for these tests, on the base's client half.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use russh::{
    Channel, ChannelMsg, ChannelOpenFailure, Limits,
    client::{self, AuthResult, ChannelOpenHandle, Config, DisconnectReason, Handle, Msg},
    keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use rustle_testserver::{TestServer, User};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
};

/// No test waits longer than this for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The user that most tests log in as.
pub(crate) fn alice() -> User {
    User::new("alice").password("wonderland")
}

/// Trusts any host key and keeps it, and how the connection ended. Hands on the channels that the server opens, or
/// refuses them.
#[derive(Clone, Default)]
pub(crate) struct Trusting {
    seen: Arc<Mutex<Vec<String>>>,
    opened: Arc<Mutex<Option<mpsc::UnboundedSender<Opened>>>>,
    ended: watch::Sender<Option<String>>,
}

/// A channel that the server has opened: what for, where and for whom as far as it says, and the channel.
pub(crate) type Opened = (&'static str, String, Channel<Msg>);

impl Trusting {
    async fn take(&self, kind: &'static str, about: String, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let taker = self.opened.lock().unwrap().clone();
        match taker {
            Some(taker) => {
                reply.accept().await;
                taker.send((kind, about, channel)).unwrap();
            }
            None => reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await,
        }
    }
}

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = key {
            self.seen.lock().unwrap().push(key.to_openssh().unwrap());
        }
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.take("forwarded-tcpip", format!("{address} {port} {originator}"), channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.take("forwarded-streamlocal", path.to_owned(), channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.take("agent", String::new(), channel, reply).await;
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.take("x11", format!("{address} {port}"), channel, reply).await;
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let text = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("{:?}: {}", info.reason_code, info.message)
            }
            DisconnectReason::Error(error) => error.to_string(),
        };
        self.ended.send_replace(Some(text));
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

pub(crate) struct Client {
    pub(crate) handle: Handle<Trusting>,
    trusting: Trusting,
}

/// What a command gave, until its channel closed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) code: Option<u32>,
    pub(crate) signal: Option<String>,
    pub(crate) eof: bool,
}

impl Output {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn errors(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }
}

fn config() -> Arc<Config> {
    Arc::new(Config {
        nodelay: true,
        limits: Limits { rekey_time_limit: Duration::from_secs(1 << 30), ..Limits::default() },
        ..Config::default()
    })
}

impl Client {
    /// Connects by TCP.
    pub(crate) async fn connect(server: &TestServer) -> Result<Self, russh::Error> {
        let trusting = Trusting::default();
        let handle = client::connect(config(), server.addr(), trusting.clone()).await?;
        Ok(Self { handle, trusting })
    }

    /// Connects over any stream.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, russh::Error> {
        let trusting = Trusting::default();
        let handle = client::connect_stream(config(), stream, trusting.clone()).await?;
        Ok(Self { handle, trusting })
    }

    /// Connects by TCP and logs in as [`alice`].
    pub(crate) async fn alice(server: &TestServer) -> Self {
        let mut client = Self::connect(server).await.unwrap();
        assert!(client.password("alice", "wonderland").await.success());
        client
    }

    /// Connects through memory and logs in as [`alice`].
    pub(crate) async fn alice_in_memory(server: &TestServer) -> Self {
        let mut client = Self::over(server.duplex()).await.unwrap();
        assert!(client.password("alice", "wonderland").await.success());
        client
    }

    pub(crate) async fn password(&mut self, user: &str, password: &str) -> AuthResult {
        self.handle.authenticate_password(user, password).await.unwrap()
    }

    pub(crate) async fn key(&mut self, user: &str, key: &PrivateKey) -> AuthResult {
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
        self.handle.authenticate_publickey(user, key).await.unwrap()
    }

    pub(crate) fn host_key(&self) -> String {
        self.trusting.seen.lock().unwrap().last().cloned().unwrap()
    }

    /// The channels that the server opens from now on; without this they are refused.
    pub(crate) fn take_channels(&self) -> mpsc::UnboundedReceiver<Opened> {
        let (opened, incoming) = mpsc::unbounded_channel();
        *self.trusting.opened.lock().unwrap() = Some(opened);
        incoming
    }

    /// How the connection ended, once it has: the goodbye's reason and text, or the error.
    pub(crate) async fn ended(&self) -> String {
        let mut ended = self.trusting.ended.subscribe();
        let ended = tokio::time::timeout(LIMIT, ended.wait_for(Option::is_some)).await;
        ended.expect("still connected").unwrap().clone().unwrap()
    }

    pub(crate) async fn open(&self) -> Channel<Msg> {
        self.handle.channel_open_session().await.unwrap()
    }

    pub(crate) async fn exec(&self, command: &str) -> Channel<Msg> {
        let channel = self.open().await;
        channel.exec(true, command).await.unwrap();
        channel
    }

    /// Runs a command without input to its end.
    pub(crate) async fn output(&self, command: &str) -> Output {
        let channel = self.exec(command).await;
        channel.eof().await.unwrap();
        collect(channel).await
    }

    /// What `cat` says to this. Both ways at once: neither end holds more than its window.
    pub(crate) async fn echoed(&self, data: Vec<u8>) -> Vec<u8> {
        let (mut read, write) = self.exec("cat").await.split();
        let send = async {
            write.data_bytes(data).await.unwrap();
            write.eof().await.unwrap();
        };
        let receive = async {
            let mut echoed = Vec::new();
            while let Some(message) = read.wait().await {
                if let ChannelMsg::Data { data } = message {
                    echoed.extend_from_slice(&data);
                }
            }
            echoed
        };
        tokio::join!(send, receive).1
    }
}

/// All that comes until the channel closes.
pub(crate) async fn collect(mut channel: Channel<Msg>) -> Output {
    let mut output = Output::default();
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => output.stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, ext: 1 } => output.stderr.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => output.code = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => output.signal = Some(format!("{signal_name:?}")),
            ChannelMsg::Eof => output.eof = true,
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    output
}
