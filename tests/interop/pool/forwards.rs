//! Ports here that lead through a real server, which may be started anew.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustle_pool::{Forward, ForwardBind, ForwardHandle, Pool};
use rustle_tests::{Server, interop, interop_within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{echo, echoes, pool_with};

#[test]
fn a_forward_survives_a_server_that_is_started_anew() {
    interop(|interop| async move {
        let mut server = Server::start(&interop);
        let pool = pool_with(&server, Pool::builder());
        let to = Forward::local(ForwardBind::loopback(0), ("127.0.0.1", echo().await));
        let forward = pool.forward("web", to).await.unwrap();
        let address = forward.addresses()[0];
        for _ in 0..2 {
            let mut before = TcpStream::connect(address).await.unwrap();
            echoes(&mut before, "before").await.unwrap();
            let is_over = AtomicBool::new(false);
            // Whoever comes meanwhile, finds somebody who listens.
            let comes = async {
                let mut came = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    came.push(TcpStream::connect(address).await.expect("the port is there all the time"));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                came
            };
            let restarts = async {
                tokio::task::block_in_place(|| server.sshd_mut().restart());
                is_over.store(true, Ordering::Relaxed);
            };
            let ((), mut came) = tokio::join!(restarts, comes);
            let mut after = TcpStream::connect(address).await.unwrap();
            echoes(&mut after, "after").await.unwrap();
            for client in &mut came {
                // One that had a channel before the server went away was cut with it.
                let _ = client.shutdown().await;
            }
            assert!(!matches!(before.read(&mut [0]).await, Ok(1)), "its connection is gone");
        }
        assert_eq!(forward.addresses()[0], address);
        forward.close().await;
    });
}

/// Short connections, with `RUSTLE_SOAK=1` as many as are promised.
fn short_connections() -> u64 {
    if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { 10_000 } else { 1000 }
}

const CHILD: &str = "pool::forwards::child_counts_what_is_left";

/// A process has its files and its memory alone: this one has other tests.
#[test]
fn many_short_connections_leave_nothing_behind() {
    interop_within(Duration::from_secs(300), |interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", CHILD, "--ignored", "--nocapture"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        assert!(command.status().await.unwrap().success());
    });
}

/// What this process and its server hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    tasks: usize,
    files: usize,
    /// Those of the server: each of its channels to the target is one.
    server_files: usize,
}

impl Held {
    fn now(server: &Server) -> Self {
        let count = |process: &str| fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        let of_server = server.sshd().session_processes();
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files: count("self"),
            server_files: of_server.into_iter().map(|process| count(&process.to_string())).sum(),
        }
    }
}

/// In KiB.
fn memory() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
#[ignore = "run as a child process by the test above, which would count what others hold"]
fn child_counts_what_is_left() {
    interop_within(Duration::from_secs(300), |interop| async move {
        let server = Server::start(&interop);
        let pool = pool_with(&server, Pool::builder());
        let to = Forward::local(ForwardBind::loopback(0), ("127.0.0.1", echo().await));
        let forward = pool.forward("web", to).await.unwrap();
        // All connections to the server are there, and whatever is kept for the next time.
        come_and_go(&forward, 500).await;
        let before = settled(&server, None).await;
        let memory_before = memory();
        let clients = short_connections();
        come_and_go(&forward, clients).await;
        let after = settled(&server, Some(before)).await;
        let grown = memory().saturating_sub(memory_before);
        println!("{before:?}, after {clients} more {after:?} and {grown} KiB more of {memory_before}");
        assert_eq!(after, before);
        assert!(grown < 1024, "{grown} KiB more after {clients} connections");
        let stats = forward.stats();
        assert_eq!(
            (stats.ended, stats.open, stats.parked, stats.failed),
            (clients + 500, 0, 0, 0),
            "{stats:?}"
        );
        forward.close().await;
        pool.shutdown(Duration::from_secs(5)).await;
        server.sshd().wait_until_idle().await;
    });
}

/// Twenty at a time.
async fn come_and_go(forward: &ForwardHandle, clients: u64) {
    const AT_ONCE: u64 = 20;

    let address: SocketAddr = forward.addresses()[0];
    let ended = forward.stats().ended + clients;
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        workers.spawn(async move {
            for round in 0..clients / AT_ONCE {
                let said = format!("client {worker} in round {round}");
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all(said.as_bytes()).await.unwrap();
                client.shutdown().await.unwrap();
                let mut heard = String::new();
                client.read_to_string(&mut heard).await.unwrap();
                assert_eq!(heard, said);
            }
        });
    }
    workers.join_all().await;
    while forward.stats().ended < ended {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What is held when it does not change any more, or is what it was.
async fn settled(server: &Server, wanted: Option<Held>) -> Held {
    let begun = Instant::now();
    let (mut last, mut since) = (Held::now(server), Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let held = Held::now(server);
        if held != last {
            (last, since) = (held, Instant::now());
        }
        let is_still = since.elapsed() > Duration::from_secs(2);
        if wanted == Some(held) || begun.elapsed() > Duration::from_secs(30) || (wanted.is_none() && is_still)
        {
            return held;
        }
    }
}
