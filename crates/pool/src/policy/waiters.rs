//! Those who want channels: they stand in line, get places, and give them back.

use std::time::{Duration, Instant};

use super::connection::State;
use super::event::{Action, ConnectionId, HostId, Lane, Logins, Refusal, Rejection, WaiterId};
use super::host::Host;
use super::timers::Timer;
use super::{Claim, Held, Learned, Policy};

/// After a channel ended here, its process may hold the place at the server for so long.
const LATE: Duration = Duration::from_secs(1);

impl Policy {
    pub(super) fn acquire(
        &mut self,
        waiter: WaiterId,
        host: HostId,
        lane: Lane,
        logins: Logins,
        deadline: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.ending.is_some() {
            out.push(Action::Reject { waiter, why: Rejection::ShuttingDown });
            return;
        }
        if self.waiting >= self.limits.waiting {
            out.push(Action::Reject { waiter, why: Rejection::Crowded });
            return;
        }
        let window = self.limits.dials_per_host;
        self.hosts.entry(host).or_insert_with(|| Host::new(window)).heard(logins);
        let turn = self.next_turn;
        self.next_turn += 1;
        let claim = Claim { host, lane, turn, since: self.now, deadline, state: Held::Waiting };
        self.claims.insert(waiter, claim);
        self.wait(waiter, claim);
    }

    /// Stands in line, at the place of its turn.
    pub(super) fn wait(&mut self, waiter: WaiterId, claim: Claim) {
        let Some(host) = self.hosts.get_mut(&claim.host) else { return };
        host.waiting.of(claim.lane).insert(claim.turn, waiter);
        self.waiting += 1;
        self.timers.set(claim.deadline, Timer::Deadline(waiter));
        self.touched.insert(claim.host);
    }

    /// Stands in line no more.
    pub(super) fn wait_no_more(&mut self, waiter: WaiterId, claim: Claim) {
        let Some(host) = self.hosts.get_mut(&claim.host) else { return };
        if host.waiting.of(claim.lane).remove(&claim.turn).is_some() {
            self.waiting -= 1;
            self.timers.clear(claim.deadline, Timer::Deadline(waiter));
            self.touched.insert(claim.host);
        }
    }

    pub(super) fn cancel(&mut self, waiter: WaiterId) {
        let Some(claim) = self.claims.get_mut(&waiter) else { return };
        match claim.state {
            Held::Waiting => {
                let claim = *claim;
                self.claims.remove(&waiter);
                self.wait_no_more(waiter, claim);
            }
            Held::Granted(connection) => claim.state = Held::GivenUp(connection),
            // Whoever has a channel gives it back by its end.
            Held::Open(_) | Held::GivenUp(_) => {}
        }
    }

    pub(super) fn reject(&mut self, waiter: WaiterId, why: Rejection, out: &mut Vec<Action>) {
        let Some(claim) = self.claims.remove(&waiter) else { return };
        self.wait_no_more(waiter, claim);
        out.push(Action::Reject { waiter, why });
    }

    pub(super) fn reject_all(&mut self, host: HostId, why: Rejection, out: &mut Vec<Action>) {
        let Some(of) = self.hosts.get(&host) else { return };
        for waiter in of.waiting.all() {
            self.reject(waiter, why, out);
        }
    }

    pub(super) fn opened(&mut self, waiter: WaiterId) {
        let Some(claim) = self.claims.get_mut(&waiter) else { return };
        let (Held::Granted(id) | Held::GivenUp(id)) = claim.state else { return };
        if claim.state == Held::Granted(id) {
            claim.state = Held::Open(id);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.confirmed(waiter);
        }
    }

    pub(super) fn refused(&mut self, waiter: WaiterId, refusal: Refusal, out: &mut Vec<Action>) {
        let Some(mut claim) = self.claims.get(&waiter).copied() else { return };
        let (Held::Granted(id) | Held::GivenUp(id)) = claim.state else { return };
        let is_wanted = claim.state == Held::Granted(id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if refusal == Refusal::Other || !is_wanted {
            self.claims.remove(&waiter);
            self.vacate(id, waiter, out);
            return;
        }
        let gives_none = connection.gave_none_but(waiter);
        let found = Learned { limit: connection.confirmed_count().max(1), at: self.now };
        // A place that has just come free here may not be free there yet.
        let is_late = connection.released_within(self.now, LATE);
        connection.hold(self.now + self.limits.hold);
        self.timers.set(self.now + self.limits.hold, Timer::Hold(id));
        claim.state = Held::Waiting;
        self.claims.insert(waiter, claim);
        self.vacate(id, waiter, out);
        self.wait(waiter, claim);
        if self.ending.is_some() {
            self.reject(waiter, Rejection::ShuttingDown, out);
        } else if gives_none {
            self.reject(waiter, Rejection::NoSessions, out);
        } else if !is_late {
            self.learn(claim.host, found);
        }
    }

    fn learn(&mut self, host: HostId, found: Learned) {
        let most = self.channels_of(host);
        if let Some(of) = self.hosts.get_mut(&host) {
            of.learned = Some(Learned { limit: found.limit.min(most), ..found });
            self.timers.set(self.now + self.limits.relearn, Timer::Relearn(host));
        }
    }

    pub(super) fn released(&mut self, waiter: WaiterId, out: &mut Vec<Action>) {
        let Some(claim) = self.claims.get(&waiter) else { return };
        let (Held::Granted(id) | Held::Open(id) | Held::GivenUp(id)) = claim.state else { return };
        self.claims.remove(&waiter);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.has_released(self.now);
        }
        self.vacate(id, waiter, out);
    }

    /// The place is free, whatever became of who had it.
    fn vacate(&mut self, id: ConnectionId, waiter: WaiterId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.leave(waiter, self.now);
        self.touched.insert(connection.host);
        if !connection.is_empty() {
            return;
        }
        match connection.state {
            State::Draining { why, .. } => self.close(id, why, out),
            State::Ready => self.watch_idle(id),
            State::Dialing { .. } | State::Closing => {}
        }
    }
}
