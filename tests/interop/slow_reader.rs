//! A reader that sleeps while a server with keepalives of its own keeps asking: the connection lives, the other
//! commands on it too, and not a byte is lost.

use std::time::{Duration, Instant};

use rustle_session::Session;
use rustle_tests::{Bulk, Interop, Server, Tally, interop_within};

/// How long a reader sleeps on how much, and how often the server asks meanwhile.
pub(crate) struct Scale {
    pub(crate) asleep: Duration,
    pub(crate) bulk: Bulk,
    pub(crate) alive_interval: u32,
}

/// What CI has time for.
const SHORT: Scale = Scale { asleep: Duration::from_secs(12), bulk: Bulk::MIB_256, alive_interval: 2 };

/// With `RUSTLE_SOAK=1`.
const WHOLE: Scale = Scale { asleep: Duration::from_secs(60), bulk: Bulk::GIB, alive_interval: 5 };

impl Scale {
    /// The whole, where there is time for it.
    pub(crate) fn or_whole(self) -> Self {
        if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { WHOLE } else { self }
    }

    /// Runs a test of this scale.
    pub(crate) fn interop<F: Future<Output = ()>>(self, test: impl FnOnce(Self, Interop) -> F) {
        interop_within(self.asleep + Duration::from_secs(120), |interop| test(self, interop));
    }

    /// A server that gives up a client which does not answer.
    pub(crate) fn server(&self, interop: &Interop) -> Server {
        let lines = format!("ClientAliveInterval {}\nClientAliveCountMax 2", self.alive_interval);
        Server::configured(interop, &lines)
    }

    /// Reads a first piece of a command's output, sleeps while others run commands, and reads the rest. Each of the others is held
    /// up for so long at the most, and for what a busy machine takes anyway.
    pub(crate) async fn sleeps(&self, session: &Session, held_up: Duration) {
        let usual = time_of_a_command(session).await;
        let mut child = session.line(self.bulk.line()).spawn().await.unwrap();
        let mut output = child.take_stdout().unwrap();
        let mut tally = Tally::new();
        tally.add(&output.chunk().await.unwrap().unwrap());

        let slowest = commands_during(session, self.asleep).await;
        println!("slowest command meanwhile: {slowest:?}; one before took {usual:?}");
        assert!(slowest < held_up + usual * 10, "a command took {slowest:?} meanwhile");

        while let Some(chunk) = output.chunk().await.unwrap() {
            tally.add(&chunk);
        }
        tally.assert_is(&self.bulk);
        assert!(child.wait().await.unwrap().success());
    }
}

#[test]
fn a_reader_asleep_loses_nothing_and_holds_up_nobody() {
    SHORT.or_whole().interop(|scale, interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let server = scale.server(&interop);
        let session = server.session().await;
        scale.sleeps(&session, Duration::from_secs(2)).await;
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
