//! Which connection a channel gets, when another is made, and when one ends.
//!
//! Time and events come in, actions go out: nothing here waits, reads a clock or opens a socket. Whoever carries out an
//! action says what became of it by another event (`inputs.md` lists them all). What is told about something that is over is
//! ignored: two ends of the same thing may cross. Time only goes forward; what is told with an earlier time than the one
//! before it has that one's.

mod carriers;
mod connection;
mod due;
mod ends;
pub(crate) mod event;
mod health;
mod host;
pub(crate) mod limits;
mod logins;
mod needs;
mod numbers;
mod places;
mod random;
mod spare;
mod timers;
mod waiters;
mod ways;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use self::connection::Connection;
use self::event::{Action, Closing, ConnectionId, Event, HostId, Lane, WaiterId};
use self::host::Host;
use self::limits::Limits;
use self::random::Random;
use self::timers::Timers;

/// The state of a pool.
#[derive(Debug)]
pub(crate) struct Policy {
    limits: Limits,
    /// The latest time that was told: it never goes back.
    now: Instant,
    random: Random,
    hosts: BTreeMap<HostId, Host>,
    /// Hosts that are reached through others, as long as anybody may ask for them.
    ways: BTreeMap<HostId, HostId>,
    /// How long idle connections to some hosts are kept, likewise.
    kept: BTreeMap<HostId, Duration>,
    connections: BTreeMap<ConnectionId, Connection>,
    claims: BTreeMap<WaiterId, Claim>,
    /// Hosts that somebody waits for, by the turn of the one who has waited longest.
    queue: BTreeSet<(u64, HostId)>,
    /// Hosts for whose waiters something may have changed.
    touched: BTreeSet<HostId>,
    /// Hosts for whose waiters more is looked at when logins have begun.
    after_dials: BTreeSet<HostId>,
    /// Connections in use that were left to other hosts, and may stay after all.
    left: BTreeSet<ConnectionId>,
    timers: Timers,
    next_connection: u64,
    next_turn: u64,
    waiting: usize,
    dialing: usize,
    closing: usize,
    /// How many connections the machine was found to have room for, and when.
    shortage: Option<Learned>,
    /// Whether there was a place for another connection when this was last looked at.
    had_room: bool,
    /// Since when somebody waits for a place among all connections.
    blocked: Option<Instant>,
    ending: Option<Instant>,
    stopped: bool,
}

/// One who waits, or has a place.
#[derive(Debug, Clone, Copy)]
struct Claim {
    host: HostId,
    lane: Lane,
    /// Lower ones are served first.
    turn: u64,
    since: Instant,
    deadline: Instant,
    state: Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nothing yet.
    Waiting,
    /// A place on a connection; the server has not answered.
    Granted(ConnectionId),
    /// A channel.
    Open(ConnectionId),
    /// A place that nobody wants any more, and that is not free yet.
    GivenUp(ConnectionId),
}

/// A limit that was found out, which may be higher by now.
#[derive(Debug, Clone, Copy)]
struct Learned {
    limit: usize,
    at: Instant,
}

impl Held {
    /// Where the place is.
    fn place(self) -> Option<ConnectionId> {
        match self {
            Self::Waiting => None,
            Self::Granted(id) | Self::Open(id) | Self::GivenUp(id) => Some(id),
        }
    }
}

impl Policy {
    /// Nothing is open. `seed` spreads the attempts of many programs that fail at once.
    pub(crate) fn new(limits: Limits, now: Instant, seed: u64) -> Self {
        debug_assert!(limits.leave_time(), "what is looked at again is looked at later: {limits:?}");
        Self {
            limits,
            now,
            random: Random::new(seed),
            hosts: BTreeMap::new(),
            ways: BTreeMap::new(),
            kept: BTreeMap::new(),
            connections: BTreeMap::new(),
            claims: BTreeMap::new(),
            queue: BTreeSet::new(),
            touched: BTreeSet::new(),
            after_dials: BTreeSet::new(),
            left: BTreeSet::new(),
            timers: Timers::default(),
            next_connection: 0,
            next_turn: 0,
            waiting: 0,
            dialing: 0,
            closing: 0,
            shortage: None,
            had_room: true,
            blocked: None,
            ending: None,
            stopped: false,
        }
    }

    /// When [`Event::Tick`] is due, if nothing else happens. It may come to nothing.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// Takes in what happened at `now`, and adds to `out` what is to be done.
    pub(crate) fn handle(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        self.now = self.now.max(now);
        self.due(out);
        self.take(event, out);
        // Who gets a place may have been the reason for a login, and a login may take what somebody hoped for.
        loop {
            self.serve_touched(out);
            self.dial(out);
            self.touched.append(&mut self.after_dials);
            self.due(out);
            if self.touched.is_empty() && !self.has_lost_room() {
                break;
            }
        }
        if self.ending.is_some() && self.connections.is_empty() && !self.stopped {
            self.stopped = true;
            out.push(Action::Stopped);
        }
    }

    fn take(&mut self, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Acquire { waiter, host, lane, logins, deadline } => {
                self.acquire(waiter, host, lane, logins, deadline, out);
            }
            Event::Behind { host, jump } => self.goes_behind(host, jump),
            Event::Keeps { host, time } => {
                self.kept.insert(host, time);
            }
            Event::Cancel { waiter } => self.cancel(waiter),
            Event::Opened { waiter, connection } => self.opened(waiter, connection),
            Event::Refused { waiter, connection } => self.refused(waiter, connection, out),
            Event::Released { waiter, connection } => self.released(waiter, connection, out),
            Event::Dialed { connection, logins } => self.dialed(connection, logins, out),
            Event::DialFailed { connection, failure } => self.dial_failed(connection, failure, out),
            Event::Lost { connection } => self.lost(connection, out),
            Event::Warmed { connection } => self.warmed(connection),
            Event::Cooled { connection } => self.cooled(connection),
            Event::Degraded { connection } => self.set_degraded(connection, true),
            Event::Recovered { connection } => self.set_degraded(connection, false),
            Event::Worn { connection } => self.wear(connection, out),
            Event::Disconnect { connection, by } => self.drain(connection, Some(by), Closing::Asked, out),
            Event::RetireIdle => self.retire_idle(out),
            Event::NetworkChanged => self.network_changed(out),
            Event::Shutdown { by } => self.shut_down(by, out),
            Event::Tick => {}
        }
    }
}
