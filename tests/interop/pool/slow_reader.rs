//! A reader that sleeps on what comes through a pool, while a server with keepalives of its own keeps asking.

use std::time::{Duration, Instant};

use rustle_pool::{Pool, PoolBuilder};
use rustle_session::Session;
use rustle_tests::{Bulk, Interop, Server, Tally, interop_within};

use super::pool_with;

struct Scale {
    asleep: Duration,
    bulk: Bulk,
    alive_interval: u32,
}

/// What CI has time for: long enough for the server to give up a connection that does not answer.
const SHORT: Scale = Scale { asleep: Duration::from_secs(15), bulk: Bulk::MIB_256, alive_interval: 1 };

/// With `RUSTLE_SOAK=1`.
const WHOLE: Scale = Scale { asleep: Duration::from_secs(60), bulk: Bulk::GIB, alive_interval: 5 };

#[test]
fn a_reader_asleep_loses_nothing_and_is_on_a_connection_of_its_own() {
    sleeps(Pool::builder(), 2, Duration::ZERO);
}

#[test]
fn a_reader_asleep_beside_others_loses_nothing_and_holds_them_up_for_two_seconds_at_most() {
    sleeps(Pool::builder().max_connections_per_host(1), 1, Duration::from_secs(2));
}

/// Reads a first piece, sleeps, and reads the rest, while others run commands: over so many connections, and each of them
/// held up for so long at the most.
fn sleeps(builder: PoolBuilder, connections: usize, held_up: Duration) {
    let scale = if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { WHOLE } else { SHORT };
    interop_within(scale.asleep + Duration::from_secs(120), move |interop: Interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let lines = format!("ClientAliveInterval {}\nClientAliveCountMax 2", scale.alive_interval);
        let server = Server::configured(&interop, &lines);
        let pool = pool_with(&server, builder);
        let web = pool.get("web").await.unwrap();
        let usual = time_of_a_command(&web).await;
        let mut child = web.line(scale.bulk.line()).spawn().await.unwrap();
        let mut output = child.take_stdout().unwrap();
        let mut tally = Tally::new();
        tally.add(&output.chunk().await.unwrap().unwrap());

        let slowest = commands_during(&web, scale.asleep).await;
        println!("slowest command meanwhile: {slowest:?}; one before took {usual:?}");
        // On top of that, what a busy machine takes anyway: it makes all this output meanwhile, too.
        let at_most = held_up + Duration::from_secs(1) + usual * 10;
        assert!(slowest < at_most, "a command took {slowest:?} meanwhile");

        while let Some(chunk) = output.chunk().await.unwrap() {
            tally.add(&chunk);
        }
        tally.assert_is(&scale.bulk);
        assert!(child.wait().await.unwrap().success());
        let log = server.sshd().log();
        assert_eq!(log.matches("Accepted publickey").count(), connections, "{log}");
        let host = &pool.stats().await.hosts[0];
        assert_eq!((host.losses, host.connections), (0, connections), "{host:#?}");
        assert!(!log.contains("Timeout"), "the server gave a connection up:\n{log}");
        drop((child, web));
        pool.shutdown(Duration::from_secs(5)).await;
        server.sshd().wait_until_idle().await;
    });
}

/// Runs a command every half second for this long, and gives back how long the slowest took.
async fn commands_during(session: &Session, time: Duration) -> Duration {
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    while start.elapsed() < time {
        slowest = slowest.max(time_of_a_command(session).await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    slowest
}

async fn time_of_a_command(session: &Session) -> Duration {
    let asked = Instant::now();
    let output = session.output("echo here").await.unwrap();
    assert_eq!(output.stdout, "here\n");
    asked.elapsed()
}
