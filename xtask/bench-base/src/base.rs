//! What any caller of the base gets without us: the least that counts as progress.
//!
//! The base's own defaults, as its examples use it, but for two things: the host key is checked, which they leave out,
//! and small packets are not held back (Nagle's algorithm), without which a command takes 40 ms longer.
#![allow(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use russh::client::{self, Handle};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{Channel, ChannelMsg, Disconnect};
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::memory::rest_and_print;
use crate::work::{Call, Problem, Server, Work, null, shares};

mod memory;
mod work;

/// More than any row's output: the server never waits for more.
const ALL: u32 = 1 << 31;
/// A server that says nothing for so long has failed.
const SILENT: Duration = Duration::from_secs(20);

fn main() -> Result<(), Problem> {
    match Call::parse() {
        Call { server, work: Work::Drain { command, bytes } } => drain(&server, &command, bytes),
        Call { server, work: Work::DrainForward { from, to, bytes } } => {
            drain_forward(&server, from, to, bytes)
        }
        call => runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(call)),
    }
}

async fn run(call: Call) -> Result<(), Problem> {
    let Call { server, work } = call;
    let key = Arc::new(load_secret_key(&server.key, None)?);
    match work {
        Work::Connect { count, at_once, commands, rest } => {
            let sessions = connect_all(&server, &key, count, at_once).await?;
            for session in &sessions {
                for _ in 0..commands {
                    exec(session).await?;
                }
            }
            if let Some(seconds) = rest {
                rest_and_print(seconds).await?;
            }
            close_all(sessions).await
        }
        Work::Exec { report: true, .. } => Err("the base knows no process groups".into()),
        Work::Exec { count, at_once, report: false } => {
            exec_all(log_in(&server, key).await?, count, at_once).await
        }
        Work::Pipe { command } => pipe(log_in(&server, key).await?, &command).await,
        Work::Drain { .. } | Work::DrainForward { .. } => Err("draining has a thread of its own".into()),
    }
}

async fn connect_all(
    server: &Server,
    key: &Arc<PrivateKey>,
    count: usize,
    at_once: usize,
) -> Result<Vec<Handle<Host>>, Problem> {
    let places = Arc::new(Semaphore::new(at_once));
    let mut logins = JoinSet::new();
    for _ in 0..count {
        let (places, server, key) = (Arc::clone(&places), server.clone(), Arc::clone(key));
        logins.spawn(async move {
            let _place = places.acquire().await?;
            log_in(&server, key).await
        });
    }
    logins.join_all().await.into_iter().collect()
}

async fn close_all(sessions: Vec<Handle<Host>>) -> Result<(), Problem> {
    let mut goodbyes = JoinSet::new();
    for session in sessions {
        goodbyes.spawn(close(session));
    }
    goodbyes.join_all().await.into_iter().collect()
}

async fn exec_all(session: Handle<Host>, count: usize, at_once: usize) -> Result<(), Problem> {
    let session = Arc::new(session);
    let mut workers = JoinSet::new();
    for share in shares(count, at_once) {
        let session = Arc::clone(&session);
        workers.spawn(async move {
            for _ in 0..share {
                exec(&session).await?;
            }
            Ok::<_, Problem>(())
        });
    }
    workers.join_all().await.into_iter().collect::<Result<(), _>>()?;
    close(Arc::into_inner(session).ok_or("a worker still has the session")?).await
}

async fn exec(session: &Handle<Host>) -> Result<(), Problem> {
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, "true").await?;
    let mut status = None;
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::ExitStatus { exit_status } = message {
            status = Some(exit_status);
        }
    }
    if status == Some(0) { Ok(()) } else { Err(format!("`true` ended with {status:?}").into()) }
}

async fn pipe(session: Handle<Host>, command: &str) -> Result<(), Problem> {
    let mut sink = null()?;
    let mut bytes = 0;
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, command).await?;
    while let Some(message) = channel.wait().await {
        if let ChannelMsg::Data { data } = message {
            sink.write_all(&data)?;
            bytes += data.len();
        }
    }
    println!("{bytes}");
    close(session).await
}

/// Logs in and starts the command by the base; then, with nobody else at the socket, empties it as fast as a system call
/// can. What had come before counts as nothing, which the 40 bytes that encrypt each packet outweigh.
fn drain(server: &Server, command: &str, bytes: u64) -> Result<(), Problem> {
    let mut still = Still::log_in(server)?;
    still.command(command)?;
    still.empty(bytes, |_| Ok(()))
}

/// The same with what a port behind the server sends, for the first who comes to the one here; who gets so many bytes, as they
/// came.
fn drain_forward(server: &Server, from: u16, to: u16, bytes: u64) -> Result<(), Problem> {
    let mut still = Still::log_in(server)?;
    let (mut client, _) = TcpListener::bind(("127.0.0.1", from))?.accept()?;
    client.set_nodelay(true)?;
    still.forward(to)?;
    still.empty(bytes, |part| client.write_all(part))?;
    Ok(client.shutdown(Shutdown::Write)?)
}

/// A login by the base, which stands still but for what is asked of it, and its socket.
struct Still {
    // On one thread, which stands still in between, the base reads nothing.
    runtime: runtime::Runtime,
    session: Handle<Host>,
    channel: Option<Channel<client::Msg>>,
    socket: TcpStream,
}

impl Still {
    fn log_in(server: &Server) -> Result<Self, Problem> {
        let key = Arc::new(load_secret_key(&server.key, None)?);
        let stream = TcpStream::connect(("127.0.0.1", server.port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let socket = stream.try_clone()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let session = runtime.block_on(async {
            let config = client::Config { window_size: ALL, ..client::Config::default() };
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let session = client::connect_stream(Arc::new(config), stream, Host::of(server)).await?;
            authenticate(session, server, key).await
        })?;
        Ok(Self { runtime, session, channel: None, socket })
    }

    fn command(&mut self, command: &str) -> Result<(), Problem> {
        let channel = self.runtime.block_on(async {
            let mut channel = self.session.channel_open_session().await?;
            channel.exec(true, command).await?;
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => break Ok(channel),
                    Some(ChannelMsg::WindowAdjusted { .. }) => {}
                    other => break Err(Problem::from(format!("the command was answered by {other:?}"))),
                }
            }
        })?;
        self.channel = Some(channel);
        Ok(())
    }

    fn forward(&mut self, to: u16) -> Result<(), Problem> {
        let opened = self.session.channel_open_direct_tcpip("127.0.0.1", to.into(), "127.0.0.1", 0);
        self.channel = Some(self.runtime.block_on(opened)?);
        Ok(())
    }

    /// So many bytes, undeciphered.
    fn empty(&mut self, bytes: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Problem> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(SILENT))?;
        let mut scratch = vec![0; 1 << 18];
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(scratch.len()).min(scratch.len());
            match self.socket.read(&mut scratch[..most])? {
                0 => return Err(format!("the server hung up {left} bytes before the end").into()),
                count => {
                    take(&scratch[..count])?;
                    left -= count as u64;
                }
            }
        }
        Ok(())
    }
}

async fn log_in(server: &Server, key: Arc<PrivateKey>) -> Result<Handle<Host>, Problem> {
    let config = Arc::new(client::Config { nodelay: true, ..client::Config::default() });
    let session = client::connect(config, ("127.0.0.1", server.port), Host::of(server)).await?;
    authenticate(session, server, key).await
}

async fn authenticate(
    mut session: Handle<Host>,
    server: &Server,
    key: Arc<PrivateKey>,
) -> Result<Handle<Host>, Problem> {
    let key = PrivateKeyWithHashAlg::new(key, None);
    let answer = session.authenticate_publickey(&server.user, key).await?;
    if answer.success() { Ok(session) } else { Err("the key was refused".into()) }
}

async fn close(session: Handle<Host>) -> Result<(), Problem> {
    session.disconnect(Disconnect::ByApplication, "", "").await?;
    // However the connection ends now, the work was done.
    let _ = session.await;
    Ok(())
}

/// The server, known by its key.
struct Host {
    fingerprint: String,
}

impl Host {
    fn of(server: &Server) -> Self {
        Self { fingerprint: server.fingerprint.clone() }
    }
}

impl client::Handler for Host {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        Ok(key.fingerprint(HashAlg::Sha256).to_string() == self.fingerprint)
    }
}
