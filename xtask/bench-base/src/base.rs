//! What any caller of the base gets without us: the least that counts as progress.
//!
//! The base's own defaults, as its examples use it, but for two things: the host key is checked, which they leave out,
//! and small packets are not held back (Nagle's algorithm), without which a command takes 40 ms longer.
#![allow(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::io::Write;
use std::sync::Arc;

use clap::Parser;
use russh::client::{self, Handle};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{ChannelMsg, Disconnect};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::work::{Call, Problem, Server, Work, null, shares};

mod work;

#[tokio::main]
async fn main() -> Result<(), Problem> {
    let Call { server, work } = Call::parse();
    let key = Arc::new(load_secret_key(&server.key, None)?);
    match work {
        Work::Connect { count, at_once } => connect_all(&server, &key, count, at_once).await,
        Work::Exec { report: true, .. } => Err("the base knows no process groups".into()),
        Work::Exec { count, at_once, report: false } => {
            exec_all(log_in(&server, key).await?, count, at_once).await
        }
        Work::Pipe { command } => pipe(log_in(&server, key).await?, &command).await,
    }
}

async fn connect_all(
    server: &Server,
    key: &Arc<PrivateKey>,
    count: usize,
    at_once: usize,
) -> Result<(), Problem> {
    let places = Arc::new(Semaphore::new(at_once));
    let mut logins = JoinSet::new();
    for _ in 0..count {
        let (places, server, key) = (Arc::clone(&places), server.clone(), Arc::clone(key));
        logins.spawn(async move {
            let _place = places.acquire().await?;
            log_in(&server, key).await
        });
    }
    let sessions = logins.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
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

async fn log_in(server: &Server, key: Arc<PrivateKey>) -> Result<Handle<Host>, Problem> {
    let host = Host { fingerprint: server.fingerprint.clone() };
    let config = Arc::new(client::Config { nodelay: true, ..client::Config::default() });
    let mut session = client::connect(config, ("127.0.0.1", server.port), host).await?;
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

impl client::Handler for Host {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        Ok(key.fingerprint(HashAlg::Sha256).to_string() == self.fingerprint)
    }
}
