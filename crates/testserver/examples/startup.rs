//! What a server costs before anybody connects: `cargo run --release -p rustle-testserver --example startup`.
#![expect(clippy::print_stdout, reason = "what it measures is what it is for")]

use std::time::{Duration, Instant};

use rustle_testserver::{Error, HostKeyKind, TestServer, User};

/// Enough for a median that a busy machine does not move much.
const SERVERS: usize = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    for kind in [
        HostKeyKind::Ed25519,
        HostKeyKind::EcdsaP256,
        HostKeyKind::EcdsaP384,
        HostKeyKind::EcdsaP521,
        HostKeyKind::Rsa,
    ] {
        let (first, server) = timed(kind).await?;
        let (second, other) = timed(kind).await?;
        println!("{kind}: the first server in {first:?}, with its key; the second in {second:?}");
        server.stop().await?;
        other.stop().await?;
    }

    let mut times = Vec::new();
    let mut servers = Vec::new();
    let before = resident();
    for _ in 0..SERVERS {
        let (time, server) = timed(HostKeyKind::Ed25519).await?;
        times.push(time);
        servers.push(server);
    }
    let after = resident();
    times.sort();
    let at = |part: usize| times.get(SERVERS * part / 100).copied().unwrap_or_default();
    println!(
        "{SERVERS} servers: median {:?}, 99 of 100 within {:?}, longest {:?}",
        at(50),
        at(99),
        longest(&times)
    );
    if let (Some(before), Some(after)) = (before, after) {
        println!("each holds {} bytes of memory", after.saturating_sub(before) / SERVERS as u64);
    }

    let begin = Instant::now();
    for server in servers {
        server.stop().await?;
    }
    println!("each stopped in {:?}", begin.elapsed() / u32::try_from(SERVERS).unwrap_or(u32::MAX));
    Ok(())
}

async fn timed(kind: HostKeyKind) -> Result<(Duration, TestServer), Error> {
    let begin = Instant::now();
    let user = User::new("alice").password("wonderland");
    let server = TestServer::builder().user(user).host_key(kind).sftp_temp_dir().start().await?;
    Ok((begin.elapsed(), server))
}

fn longest(times: &[Duration]) -> Duration {
    times.last().copied().unwrap_or_default()
}

/// The memory that the process holds, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
