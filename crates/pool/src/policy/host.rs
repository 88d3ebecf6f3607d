//! What the policy knows of one host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Learned;
use super::event::{ConnectionId, Lane, Logins, WaiterId};

/// One host, and those who wait for it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) connections: BTreeSet<ConnectionId>,
    pub(super) waiting: Waiting,
    pub(super) logins: Logins,
    /// Channels that its server gives on one connection.
    pub(super) learned: Option<Learned>,
    /// Attempts to log in that failed one after the other.
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    /// Whether the last of all attempts failed, and none has begun since.
    pub(super) has_given_up: bool,
    /// The login that was refused for good, and until when nobody else tries.
    pub(super) refused: Option<(ConnectionId, Instant)>,
    /// Logins that were refused for good one after the other while somebody behind it waited all the same.
    pub(super) refusals: u32,
    /// Until when none begins for those behind it who have another way to wait for.
    pub(super) at_peace: Option<Instant>,
    /// Logins at once: half as many when the server has too many, one more with each that succeeds.
    pub(super) dial_window: usize,
    /// Whether it carried one more connection to a host behind it when this was last looked at.
    pub(super) may_carry: bool,
    /// The turn under which it stands in the queue of hosts.
    pub(super) queued: Option<u64>,
}

/// Those who wait, by their turns.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) shared: BTreeMap<u64, WaiterId>,
    pub(super) isolated: BTreeMap<u64, WaiterId>,
    pub(super) streams: BTreeMap<u64, WaiterId>,
    pub(super) bare: BTreeMap<u64, WaiterId>,
}

impl Host {
    pub(super) fn new(dial_window: usize) -> Self {
        Self {
            connections: BTreeSet::new(),
            waiting: Waiting::default(),
            logins: Logins::Unknown,
            learned: None,
            failures: 0,
            retry_at: None,
            has_given_up: false,
            refused: None,
            refusals: 0,
            at_peace: None,
            dial_window,
            may_carry: true,
            queued: None,
        }
    }

    /// Somebody says how often one may log in. What a login showed goes before that.
    pub(super) fn heard(&mut self, logins: Logins) {
        if self.logins == Logins::Unknown {
            self.logins = logins;
        }
    }

    pub(super) fn dial_succeeded(&mut self, logins: Logins, most: usize) {
        if logins != Logins::Unknown {
            self.logins = logins;
        }
        self.retry_at = None;
        self.refused = None;
        (self.refusals, self.at_peace) = (0, None);
        self.dial_window = (self.dial_window + 1).min(most);
    }

    pub(super) fn waits_to_retry(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }

    /// The login that speaks for the next one as well.
    pub(super) fn refused_by(&self, now: Instant) -> Option<ConnectionId> {
        self.refused.filter(|(_, until)| *until > now).map(|(connection, _)| connection)
    }

    /// Whether it is left in peace by those behind it who have another way to wait for.
    pub(super) fn is_at_peace(&self, now: Instant) -> bool {
        self.at_peace.is_some_and(|at| at > now)
    }

    /// Whether nothing is known of it that would be missed.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.connections.is_empty()
            && self.waiting.turn().is_none()
            && self.learned.is_none()
            && !self.waits_to_retry(now)
            && self.refused_by(now).is_none()
            && !self.is_at_peace(now)
    }
}

impl Waiting {
    pub(super) fn of(&mut self, lane: Lane) -> &mut BTreeMap<u64, WaiterId> {
        match lane {
            Lane::Shared => &mut self.shared,
            Lane::Isolated => &mut self.isolated,
            Lane::Stream => &mut self.streams,
            Lane::Bare => &mut self.bare,
        }
    }

    /// How many wait for what may stall.
    pub(super) fn stalling(&self) -> usize {
        self.isolated.len() + self.streams.len()
    }

    /// The one whose turn it is in the lane.
    pub(super) fn first(&self, lane: Lane) -> Option<(u64, WaiterId)> {
        let waiting = match lane {
            Lane::Shared => &self.shared,
            Lane::Isolated => &self.isolated,
            Lane::Stream => &self.streams,
            Lane::Bare => &self.bare,
        };
        waiting.first_key_value().map(|(turn, waiter)| (*turn, *waiter))
    }

    /// The oldest turn of all.
    pub(super) fn turn(&self) -> Option<u64> {
        let turns = Lane::ALL.iter().filter_map(|lane| self.first(*lane));
        turns.map(|(turn, _)| turn).min()
    }

    pub(super) fn all(&self) -> Vec<WaiterId> {
        let all = self.shared.iter().chain(&self.isolated).chain(&self.streams).chain(&self.bare);
        let mut all: Vec<(u64, WaiterId)> = all.map(|(turn, waiter)| (*turn, *waiter)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, waiter)| waiter).collect()
    }
}
