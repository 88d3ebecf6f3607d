//! The same work as `bench-base`, in the same shape and on the same kind of runtime, with rustle-session's defaults,
//! but for `begin_with_keys`: the base does not ask for methods first either.
#![allow(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rustle_session::{Connector, Credentials, PinnedHostKey, Reporting, SecretSlice, Session, Target};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::memory::rest_and_print;
use crate::work::{Call, Problem, Server, Work, null, shares};

mod memory;
mod work;

/// Longer than any goodbye takes here, so that none is cut short.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Problem> {
    let Call { server, work } = Call::parse();
    let login = Login::new(&server)?;
    match work {
        Work::Connect { count, at_once, commands: 0, rest } => {
            connect_all(&login, count, at_once, rest).await
        }
        Work::Connect { .. } => Err("only the base's program runs commands before it rests".into()),
        Work::Exec { count, at_once, report } => {
            let reporting = if report { Reporting::ProcessGroup } else { Reporting::Nothing };
            exec_all(login.log_in().await?, count, at_once, reporting).await
        }
        Work::Pipe { command } => pipe(login.log_in().await?, &command).await,
        Work::Drain { .. } | Work::DrainForward { .. } => Err("only the base's program drains".into()),
    }
}

async fn connect_all(login: &Login, count: usize, at_once: usize, rest: Option<u64>) -> Result<(), Problem> {
    let places = Arc::new(Semaphore::new(at_once));
    let mut logins = JoinSet::new();
    for _ in 0..count {
        let (places, login) = (Arc::clone(&places), login.clone());
        logins.spawn(async move {
            let _place = places.acquire().await?;
            login.log_in().await
        });
    }
    let sessions = logins.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    if let Some(seconds) = rest {
        rest_and_print(seconds).await?;
    }
    let mut goodbyes = JoinSet::new();
    for session in sessions {
        goodbyes.spawn(async move { session.close(GRACE).await });
    }
    goodbyes.join_all().await;
    Ok(())
}

async fn exec_all(
    session: Session,
    count: usize,
    at_once: usize,
    reporting: Reporting,
) -> Result<(), Problem> {
    let mut workers = JoinSet::new();
    for share in shares(count, at_once) {
        let session = session.clone();
        workers.spawn(async move {
            for _ in 0..share {
                let output = session.line("true").reporting(reporting).output().await?;
                if !output.status.success() {
                    return Err(format!("`true` ended with {:?}", output.status).into());
                }
            }
            Ok::<_, Problem>(())
        });
    }
    workers.join_all().await.into_iter().collect::<Result<(), _>>()?;
    session.close(GRACE).await;
    Ok(())
}

async fn pipe(session: Session, command: &str) -> Result<(), Problem> {
    let mut sink = null()?;
    let mut bytes = 0;
    let mut child = session.line(command).spawn().await?;
    let mut stdout = child.take_stdout().ok_or("no standard output")?;
    while let Some(data) = stdout.chunk().await? {
        sink.write_all(&data)?;
        bytes += data.len();
    }
    child.wait().await?;
    println!("{bytes}");
    session.close(GRACE).await;
    Ok(())
}

/// How to reach the server and log in there.
#[derive(Clone)]
struct Login {
    connector: Connector,
    credentials: Credentials,
}

impl Login {
    fn new(server: &Server) -> Result<Self, Problem> {
        let target = Target::new("127.0.0.1")?.with_user(&server.user)?.with_port(server.port)?;
        let trust = PinnedHostKey::new(&server.fingerprint)?;
        // Read once, as the base's program does.
        let key = SecretSlice::from(fs::read(&server.key)?);
        let credentials = Credentials::new().key_bytes(key).identities_only().begin_with_keys();
        Ok(Self { connector: Connector::new(target).host_trust(trust), credentials })
    }

    async fn log_in(&self) -> Result<Session, Problem> {
        Ok(self.connector.connect().await?.authenticate(&self.credentials).await?)
    }
}
