//! What is to be looked at when.

use std::collections::BTreeSet;
use std::time::Instant;

use super::event::{ConnectionId, HostId, WaiterId};

/// Something to be looked at. Whether it is due then is seen then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Deadline(WaiterId),
    Idle(ConnectionId),
    Drain(ConnectionId),
    Hold(ConnectionId),
    Retry(HostId),
    Relearn(HostId),
    Shortage,
    Fair,
}

/// All of them, by their times.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn clear(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Those whose time has come; they are set no more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let mut due = Vec::new();
        while self.first().is_some_and(|at| at <= now) {
            due.extend(self.0.pop_first().map(|(_, timer)| timer));
        }
        due
    }
}
