//! Those who want channels: they stand in line, get places, and give them back.

use std::time::{Duration, Instant};

use super::connection::State;
use super::event::{Action, Closing, ConnectionId, HostId, Lane, Logins, Rejection, WaiterId};
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
        let needed = self.connections_for(host);
        if needed > self.limits.connections {
            out.push(Action::Reject { waiter, why: Rejection::TooFar(needed) });
            return;
        }
        let refused = self.hosts.get(&host).and_then(|host| host.refused_by(self.now));
        if let Some(connection) = refused.or_else(|| self.refused_on_the_way(host, self.now)) {
            out.push(Action::Reject { waiter, why: Rejection::Dial(connection) });
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
        let stood = host.waiting.of(claim.lane).remove(&claim.turn);
        debug_assert_eq!(stood, Some(waiter), "one who waits stands in line, at the place of the turn");
        self.waiting -= 1;
        self.timers.clear(claim.deadline, Timer::Deadline(waiter));
        let way: Vec<HostId> = self.way(claim.host).collect();
        self.touched.extend(way);
        self.touched.insert(claim.host);
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

    pub(super) fn opened(&mut self, waiter: WaiterId, id: ConnectionId) {
        if let Some(claim) = self.claims.get_mut(&waiter)
            && claim.state == Held::Granted(id)
        {
            claim.state = Held::Open(id);
        }
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.confirmed(waiter)
        {
            self.answered(id);
        }
    }

    /// The server said something about a channel: now it is known that the login was of use.
    pub(super) fn answered(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.has_answered = true;
        if let Some(host) = self.hosts.get_mut(&connection.host) {
            host.failures = 0;
        }
    }

    pub(super) fn refused(&mut self, waiter: WaiterId, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(mut claim) = self.claims.get(&waiter).copied() else { return };
        let is_wanted = claim.state == Held::Granted(id);
        if !is_wanted && claim.state != Held::GivenUp(id) {
            return;
        }
        self.answered(id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !is_wanted || !claim.lane.is_session() {
            self.claims.remove(&waiter);
            self.vacate(id, waiter, out);
            return;
        }
        let gives_none = connection.gives_none();
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

    pub(super) fn released(&mut self, waiter: WaiterId, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(claim) = self.claims.get(&waiter).copied() else { return };
        if claim.state.place() != Some(id) {
            return;
        }
        self.claims.remove(&waiter);
        if let Some(connection) = self.connections.get_mut(&id)
            && claim.lane.is_session()
        {
            connection.has_released(self.now);
        }
        self.vacate(id, waiter, out);
    }

    /// The place is free, whatever became of who had it.
    fn vacate(&mut self, id: ConnectionId, waiter: WaiterId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.leave(waiter, self.now);
        self.touched.insert(connection.host);
        if connection.is_empty() {
            self.came_to_rest(id, out);
        }
    }

    /// Nothing is on it any more.
    pub(super) fn came_to_rest(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get(&id) else { return };
        match connection.state {
            State::Draining { why, .. } => self.close(id, why, out),
            State::Ready if connection.is_worn => self.close(id, Closing::Worn, out),
            State::Ready => match self.ends_below(id) {
                Some(why) if !self.is_needed(id, connection.host) => self.close(id, why, out),
                _ => self.watch_idle(id),
            },
            State::Dialing | State::Closing => {}
        }
    }
}
