//! What a connection counts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::session::Session;

/// What a connection has carried so far.
///
/// ```no_run
/// # fn example(session: rustle_session::Session) {
/// let stats = session.stats();
/// println!("{} bytes in, {} channels open", stats.bytes_received, stats.channels_open);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes received, encrypted and with their headers.
    pub bytes_received: u64,
    /// Bytes sent, encrypted and with their headers.
    pub bytes_sent: u64,
    /// Key exchanges after the first.
    pub rekeys: u64,
    /// Channels open now.
    pub channels_open: usize,
    /// Channels opened since the beginning.
    pub channels_opened: u64,
    /// The shortest time in which the server answered so far: a login's question, the opening of a channel,
    /// [`Session::ping`]. What stands between (a relay, a load balancer) answers none of these.
    pub round_trip: Duration,
    /// Time since authentication.
    pub age: Duration,
    /// What readers that did not keep up have cost.
    pub stalls: Stalls,
}

/// What readers that did not take what came for them have cost: see [`BufferLimits`](crate::BufferLimits).
///
/// ```
/// let stalls = rustle_session::Stalls::default();
/// assert_eq!(stalls.spills + stalls.pauses + stalls.overruns, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalls {
    /// How often a channel's unread output began to go to disk. A reader that catches up and falls behind again counts twice.
    pub spills: u64,
    /// How often the connection stood still for a reader whose room on the disk was used up as well.
    pub pauses: u64,
    /// For how long it did in all; writing to the disk is not counted.
    pub paused: Duration,
    /// Channels that were ended because they were not read.
    pub overruns: u64,
}

impl Session {
    /// What the connection has carried so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = self.inner.connection.counters();
        Stats {
            bytes_received: counters.received,
            bytes_sent: counters.sent,
            rekeys: counters.rekeys,
            channels_open: counters.channels_open,
            channels_opened: self.inner.channels_opened.load(Ordering::Relaxed),
            round_trip: self.inner.connection.round_trip(),
            age: self.inner.established.elapsed(),
            stalls: counters.stalls,
        }
    }
}
