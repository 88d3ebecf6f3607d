//! Work through `rustle-pool`: many connections, and commands on them.
#![allow(clippy::print_stdout, reason = "its result goes to the terminal")]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use rustle_pool::{Forward, ForwardBind, Pool, PoolBuilder};
use rustle_session::{AgentSource, HostSetup, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime;
use tokio::task::JoinSet;

use crate::memory::{kibibytes, rest_and_print};

mod memory;

/// Whatever went wrong, for a person to read.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Longer than any goodbye takes here, so that none is cut short.
const GRACE: Duration = Duration::from_secs(10);

/// Does one kind of work with a pool, to be measured from outside.
#[derive(Parser)]
struct Call {
    /// The ssh_config file by which the host is reached.
    #[arg(long)]
    config: PathBuf,
    /// The host's name there.
    #[arg(long)]
    host: String,
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// Connect to so many hosts, all of them this one, and hold all until the last stands.
    Connect { count: usize },
    /// The same, and run so many commands on each, all hosts at once.
    Many { count: usize, commands: usize },
    /// Run `true` so often on the host over one connection, so many at a time.
    Exec { count: usize, at_once: usize },
    /// Print what the first and the second command take, connections included, in seconds.
    Second,
    /// Print what a command takes that finds a session opened ahead, the median of so many, in seconds.
    Warm { count: NonZeroUsize },
    /// Connect to so many hosts, run so many commands on each, rest for so many seconds, and print the memory that this process
    /// takes then, in KiB.
    Idle { count: usize, commands: usize, seconds: u64 },
    /// Forward this port to that one at the server's side, until it is killed.
    Forward { from: u16, to: u16 },
    /// Run seven echoes for so many seconds: alone; beside a flow of 1 GiB that nobody reads, as it comes; and when all of it
    /// has come. Print the 99th percentile of a round trip of each, in seconds, and the most memory that this process took, in
    /// KiB.
    Flows { seconds: u64 },
}

fn main() -> Result<(), Problem> {
    let call = Call::parse();
    // What only hands bytes on has nothing to gain from a second thread, and would wake it for each packet.
    let mut runtime = match call.work {
        Work::Forward { .. } => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(work(call))
}

async fn work(Call { config, host, work }: Call) -> Result<(), Problem> {
    let setup = HostSetup::builder(&host).config_file(config).agent(AgentSource::None).load().await?;
    let pool = |count: usize, builder: PoolBuilder| -> Result<(Pool, Vec<String>), Problem> {
        let pool = builder
            .only_registered()
            .max_connections(count + 8)
            .patience(Duration::from_secs(300))
            .build()?;
        let names: Vec<String> = (0..count).map(|number| format!("{host}-{number}")).collect();
        names.iter().for_each(|name| pool.register(name, setup.clone()));
        Ok((pool, names))
    };
    let one = || -> Result<(Pool, String), Problem> {
        let (pool, mut names) = pool(1, Pool::builder().max_connections_per_host(1))?;
        Ok((pool, names.pop().ok_or("no host")?))
    };
    match work {
        Work::Connect { count } => {
            let (pool, names) = pool(count, Pool::builder())?;
            let _sessions = connect(&pool, names).await?;
            pool.shutdown(GRACE).await;
        }
        Work::Many { count, commands } => {
            let (pool, names) = pool(count, Pool::builder())?;
            let sessions = connect(&pool, names).await?;
            let mut workers = JoinSet::new();
            for session in sessions {
                workers.spawn(async move { run(&session, commands).await });
            }
            workers.join_all().await.into_iter().collect::<Result<(), _>>()?;
            pool.shutdown(GRACE).await;
        }
        Work::Exec { count, at_once } => {
            let (pool, name) = one()?;
            let session = pool.get(&name).await?;
            let mut workers = JoinSet::new();
            for worker in 0..at_once {
                let (session, share) = (session.clone(), (count + worker) / at_once);
                workers.spawn(async move { run(&session, share).await });
            }
            workers.join_all().await.into_iter().collect::<Result<(), _>>()?;
            pool.shutdown(GRACE).await;
        }
        Work::Second => {
            let (pool, name) = one()?;
            for _ in 0..2 {
                let begun = Instant::now();
                run(&pool.get(&name).await?, 1).await?;
                println!("{}", begun.elapsed().as_secs_f64());
            }
            pool.shutdown(GRACE).await;
        }
        Work::Warm { count } => {
            let (pool, mut names) = pool(1, Pool::builder().warm())?;
            let session = pool.get(&names.pop().ok_or("no host")?).await?;
            let mut times = Vec::new();
            for _ in 0..count.get() {
                // The next session is opened while nobody needs it.
                tokio::time::sleep(Duration::from_millis(500)).await;
                let begun = Instant::now();
                run(&session, 1).await?;
                times.push(begun.elapsed());
            }
            times.sort();
            println!("{}", times[times.len() / 2].as_secs_f64());
            pool.shutdown(GRACE).await;
        }
        Work::Idle { count, commands, seconds } => {
            let (pool, names) = pool(count, Pool::builder())?;
            for session in connect(&pool, names).await? {
                run(&session, commands).await?;
            }
            rest_and_print(seconds).await?;
            pool.shutdown(GRACE).await;
        }
        Work::Forward { from, to } => {
            let (pool, name) = one()?;
            let _forward =
                pool.forward(&name, Forward::local(ForwardBind::loopback(from), ("127.0.0.1", to))).await?;
            std::future::pending::<()>().await;
        }
        Work::Flows { seconds } => {
            let (pool, mut names) = pool(1, Pool::builder())?;
            let session = pool.get(&names.pop().ok_or("no host")?).await?;
            let time = Duration::from_secs(seconds);
            println!("{}", echoes(&session, time).await?);
            let stalled = session.line("head -c 1G /dev/zero").spawn().await?;
            println!("{}", echoes(&session, time).await?);
            at_rest(&pool).await?;
            println!("{}", echoes(&session, time).await?);
            println!("{}", kibibytes("/proc/self/status", "VmHWM:")?);
            drop(stalled);
            pool.shutdown(GRACE).await;
        }
    }
    Ok(())
}

/// Resolves when nothing comes any more.
async fn at_rest(pool: &Pool) -> Result<(), Problem> {
    const MOST: Duration = Duration::from_secs(300);
    let begun = Instant::now();
    let mut before = None;
    while begun.elapsed() < MOST {
        let received: u64 = pool.stats().await.hosts.iter().map(|host| host.bytes_received).sum();
        if before.replace(received) == Some(received) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err("what nobody reads still comes".into())
}

/// What a round trip of a few bytes takes to seven commands that send them back, the 99th percentile, in seconds.
async fn echoes(session: &Session, time: Duration) -> Result<f64, Problem> {
    const BUSY: usize = 7;

    let mut workers = JoinSet::new();
    for _ in 0..BUSY {
        let session = session.clone();
        workers.spawn(async move { echo(&session, time).await });
    }
    let times: Result<Vec<Vec<Duration>>, Problem> = workers.join_all().await.into_iter().collect();
    let mut times = times?.concat();
    times.sort();
    Ok(times.get(times.len() * 99 / 100).ok_or("no round trip at all")?.as_secs_f64())
}

async fn echo(session: &Session, time: Duration) -> Result<Vec<Duration>, Problem> {
    let mut child = session.line("cat").spawn().await?;
    let (mut to, mut from) = (child.take_stdin().ok_or("no input")?, child.take_stdout().ok_or("no output")?);
    let (begun, mut times) = (Instant::now(), Vec::new());
    let mut block = [7; 64];
    while begun.elapsed() < time {
        let sent = Instant::now();
        to.write_all(&block).await?;
        from.read_exact(&mut block).await?;
        times.push(sent.elapsed());
    }
    to.shutdown().await?;
    child.wait().await?;
    Ok(times)
}

/// Connects to all, as many at once as the pool lets.
async fn connect(pool: &Pool, names: Vec<String>) -> Result<Vec<Session>, Problem> {
    let mut connected = pool.connect_all(names);
    let mut sessions = Vec::new();
    while let Some((_, id)) = connected.next().await {
        sessions.push(pool.session(id?).await?);
    }
    Ok(sessions)
}

async fn run(session: &Session, commands: usize) -> Result<(), Problem> {
    for _ in 0..commands {
        let output = session.output("true").await?;
        if !output.status.success() {
            return Err(format!("`true` ended with {:?}", output.status).into());
        }
    }
    Ok(())
}
