//! What befalls a server.

use std::sync::Arc;
use std::time::Duration;

use rustle_testserver::{Cut, HostKeyKind, Network, TestServer};
use tempfile::NamedTempFile;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chaos::draw::Draw;
use crate::chaos::tally::{BEFELL, Tally};

/// A server, and the file that says its key, where it is known by one.
pub(super) struct Disturbed {
    pub(super) server: Arc<TestServer>,
    pub(super) known: Option<Arc<NamedTempFile>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Its connections end.
    Cut,
    /// Its connections are reset.
    Reset,
    /// It says nothing for a moment, or for longer than anybody waits.
    Silence,
    /// It takes no new connections.
    Refusal,
    Restart,
    /// It has another key after a restart; who knows it learns that later.
    NewKey,
    Slow,
    /// Its line loses some of what it carries.
    Loss,
    /// A line like any other.
    Well,
}

pub(super) const KINDS: [Kind; 9] = [
    Kind::Cut,
    Kind::Reset,
    Kind::Silence,
    Kind::Refusal,
    Kind::Restart,
    Kind::NewKey,
    Kind::Slow,
    Kind::Loss,
    Kind::Well,
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::Silence => "silence",
            Self::Refusal => "refusal",
            Self::Restart => "restart",
            Self::NewKey => "new key",
            Self::Slow => "slow line",
            Self::Loss => "lossy line",
            Self::Well => "good line",
        }
    }
}

/// One after the other, each of them once before any a second time; in the end all is well.
pub(super) async fn disturb_until(on: Disturbed, until: Instant, mut draw: Draw) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        for kind in draw.shuffled(&KINDS) {
            sleep(Duration::from_millis(50) + draw.millis(250)).await;
            if Instant::now() >= until {
                break;
            }
            befall(&on, kind, until, &mut draw).await;
            tally.count(kind.name(), BEFELL);
        }
    }
    on.server.set_network(Network::new()).unwrap();
    tally
}

async fn befall(on: &Disturbed, kind: Kind, until: Instant, draw: &mut Draw) {
    let Disturbed { server, known } = on;
    let (moment, is_long) = (draw.millis(300), draw.below(5) == 0);
    match kind {
        Kind::Cut => server.cut_all(Cut::Fin),
        Kind::Reset => server.cut_all(Cut::Rst),
        Kind::Silence => {
            server.stall();
            let end = Instant::now() + moment + if is_long { draw.millis(12_000) } else { Duration::ZERO };
            sleep_until(end.min(until)).await;
            server.resume();
        }
        Kind::Refusal => {
            server.pause_listening().await.unwrap();
            sleep(moment).await;
            server.resume_listening().await.unwrap();
        }
        Kind::Restart => server.restart(moment).await.unwrap(),
        Kind::NewKey => {
            server.swap_host_key(HostKeyKind::Ed25519).unwrap();
            server.restart(draw.millis(50)).await.unwrap();
            // Those who cannot get in try again after a second or so.
            let end = Instant::now() + moment + if is_long { Duration::from_secs(2) } else { Duration::ZERO };
            sleep_until(end.min(until)).await;
            if let Some(known) = known {
                std::fs::write(known.path(), server.known_hosts_line()).unwrap();
            }
        }
        Kind::Slow => {
            let slow = Network::new().round_trip(draw.millis(60)).jitter(draw.millis(20));
            server.set_network(slow.rate(200_000 + u64::from(draw.below(10_000_000)))).unwrap();
        }
        Kind::Loss => {
            let lossy = Network::new().round_trip(draw.millis(20)).loss(20, Duration::from_millis(200));
            server.set_network(lossy).unwrap();
        }
        Kind::Well => server.set_network(Network::new()).unwrap(),
    }
}
