//! The raw peer as a client hears it that sees every message, byte by byte, in memory.

mod channels;
mod faults;
mod hostile;
mod login;
mod rekeys;
mod script;
mod windows;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Builder, Duplex, Fault, RawPeer, Reply, TestServer, User,
    raw::{
        message,
        transport::{Broken, Event, Offer, Transport},
        wire::Writer,
    },
};

/// No test waits longer than this, of paused time, for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that sees every message.
struct Probe {
    transport: Transport,
    stream: Duplex,
}

/// What a probe is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Message(Vec<u8>),
    Broken(String),
    End,
    Silence,
}

impl Probe {
    /// After the key exchange.
    async fn connect(server: &TestServer) -> Self {
        let transport = Transport::client(Offer::new(vec!["ssh-ed25519".to_owned()]));
        let mut probe = Self { transport, stream: server.duplex() };
        while probe.transport.exchanges() == 0 {
            probe.read().await.unwrap();
        }
        probe
    }

    /// Logged in as a user who needs to show nothing.
    async fn login(server: &TestServer) -> Self {
        let mut probe = Self::connect(server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("none")).await;
        probe.until(message::USERAUTH_SUCCESS).await;
        probe
    }

    /// With an open session; the server's number for it is 0, ours is 7.
    async fn session(server: &TestServer) -> Self {
        let mut probe = Self::login(server).await;
        probe.open().await;
        probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
        probe
    }

    async fn open(&mut self) {
        let open = Writer::message(message::CHANNEL_OPEN).string("session").u32(7).u32(1 << 20).u32(1 << 15);
        self.send(open).await;
    }

    /// Asks for a command and a reply.
    async fn exec(&mut self, command: &str) {
        self.send(
            Writer::message(message::CHANNEL_REQUEST).u32(0).string("exec").boolean(true).string(command),
        )
        .await;
    }

    async fn data(&mut self, count: usize) {
        self.send(Writer::message(message::CHANNEL_DATA).u32(0).string(vec![b'x'; count])).await;
    }

    async fn send(&mut self, message: Writer) {
        self.transport.send(message.finish());
        self.flush().await;
    }

    async fn flush(&mut self) {
        let output = std::mem::take(self.transport.output());
        // A server that has hung up is noticed by what it says next.
        drop(self.stream.write_all(&output).await);
    }

    async fn next(&mut self) -> Told {
        loop {
            while let Some(event) = self.transport.event() {
                if let Event::Message { payload, .. } = event {
                    return Told::Message(payload);
                }
            }
            match tokio::time::timeout(LIMIT, self.read()).await {
                Err(_) => return Told::Silence,
                Ok(Ok(0)) => return Told::End,
                Ok(Ok(_)) => {}
                Ok(Err(broken)) => return Told::Broken(broken.to_string()),
            }
        }
    }

    async fn message(&mut self) -> Vec<u8> {
        match self.next().await {
            Told::Message(payload) => payload,
            other => panic!("{other:?}"),
        }
    }

    /// The next message of this number; those before it are skipped.
    async fn until(&mut self, number: u8) -> Vec<u8> {
        loop {
            let payload = self.message().await;
            if payload.first() == Some(&number) {
                return payload;
            }
        }
    }

    /// The numbers of all messages until the channel is closed or nothing more comes.
    async fn numbers(&mut self) -> Vec<u8> {
        let mut numbers = Vec::new();
        while let Told::Message(payload) = self.next().await {
            numbers.push(payload.first().copied().unwrap_or_default());
            if payload.first() == Some(&message::CHANNEL_CLOSE) {
                break;
            }
        }
        numbers
    }

    async fn read(&mut self) -> Result<usize, Broken> {
        self.flush().await;
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or_default();
        self.transport.receive(&buffer[..count])?;
        self.flush().await;
        Ok(count)
    }
}

fn login(method: &str) -> Writer {
    Writer::message(message::USERAUTH_REQUEST).string("eve").string("ssh-connection").string(method)
}

/// A server for a probe: a user who needs to show nothing, and a command that says `hi`.
fn builder() -> Builder {
    TestServer::builder()
        .user(User::new("eve").none().password("old"))
        .command("hi", Reply::stdout("hi"))
        .builtins()
        .raw_peer(RawPeer::new())
}

async fn with(fault: Fault) -> TestServer {
    builder().fault(fault).start().await.unwrap()
}

/// The messages of a command that says `hi`.
const HI: [u8; 5] = [
    message::CHANNEL_SUCCESS,
    message::CHANNEL_DATA,
    message::CHANNEL_REQUEST,
    message::CHANNEL_EOF,
    message::CHANNEL_CLOSE,
];

/// What a probe hears that runs `hi` at a server with this fault.
async fn heard(fault: Fault) -> Vec<u8> {
    let server = with(fault).await;
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    let numbers = probe.numbers().await;
    server.stop().await.unwrap();
    numbers
}

/// The first packet that a probe cannot take, or what it is told last.
async fn broken(fault: Fault) -> String {
    let server = with(fault).await;
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    let end = loop {
        match probe.next().await {
            Told::Message(_) => {}
            other => break other,
        }
    };
    server.stop().await.unwrap();
    match end {
        Told::Broken(reason) => reason,
        other => panic!("{other:?}"),
    }
}
