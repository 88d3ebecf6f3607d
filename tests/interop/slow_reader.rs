//! A reader that sleeps while a server with keepalives of its own keeps asking: the connection lives, the other
//! commands on it too, and not a byte is lost.

use std::time::{Duration, Instant};

use rustle_session::Session;
use rustle_tests::{Bulk, Server, Tally, interop_within};

struct Scale {
    asleep: Duration,
    bulk: Bulk,
    alive_interval: u32,
}

/// What CI has time for.
const SHORT: Scale = Scale { asleep: Duration::from_secs(12), bulk: Bulk::MIB_256, alive_interval: 2 };

/// With `RUSTLE_SOAK=1`.
const WHOLE: Scale = Scale { asleep: Duration::from_secs(60), bulk: Bulk::GIB, alive_interval: 5 };

#[test]
fn a_reader_asleep_loses_nothing_and_holds_up_nobody() {
    let scale = if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { WHOLE } else { SHORT };
    interop_within(scale.asleep + Duration::from_secs(120), move |interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let lines = format!("ClientAliveInterval {}\nClientAliveCountMax 2", scale.alive_interval);
        let server = Server::configured(&interop, &lines);
        let session = server.session().await;
        let usual = time_of_a_command(&session).await;
        let mut child = session.line(scale.bulk.line()).spawn().await.unwrap();
        let mut output = child.take_stdout().unwrap();
        let mut tally = Tally::new();
        tally.add(&output.chunk().await.unwrap().unwrap());

        let slowest = commands_during(&session, scale.asleep).await;
        println!("slowest command meanwhile: {slowest:?}; one before took {usual:?}");
        // On top of two seconds, what a busy machine takes anyway.
        assert!(slowest < Duration::from_secs(2) + usual * 10, "a command took {slowest:?} meanwhile");

        while let Some(chunk) = output.chunk().await.unwrap() {
            tally.add(&chunk);
        }
        tally.assert_is(&scale.bulk);
        assert!(child.wait().await.unwrap().success());
        assert!(session.output("true").await.unwrap().status.success());
        assert!(!server.sshd().log().contains("Timeout"), "the server gave the connection up");
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
