//! Which connection a channel gets, when another is made, and when one ends.
//!
//! Time and events come in, actions go out: nothing here waits, reads a clock or opens a socket. Whoever carries out an
//! action says what became of it by another event. What is told about something that is over is ignored: two ends of the
//! same thing may cross.

mod connection;
mod event;
mod host;
mod limits;
mod random;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use self::connection::{Connection, State};
pub(crate) use self::event::{
    Action, Closing, ConnectionId, DialFailure, Event, HostId, How, Lane, Logins, Missing, Refusal,
    Rejection, WaiterId,
};
use self::host::Host;
pub(crate) use self::limits::Limits;
use self::random::Random;
use self::timers::{Timer, Timers};

/// The state of a pool.
#[derive(Debug)]
pub(crate) struct Policy {
    limits: Limits,
    /// The latest time that was told: it never goes back.
    now: Instant,
    random: Random,
    hosts: BTreeMap<HostId, Host>,
    connections: BTreeMap<ConnectionId, Connection>,
    claims: BTreeMap<WaiterId, Claim>,
    /// Hosts that somebody waits for, by the turn of the one who has waited longest.
    queue: BTreeSet<(u64, HostId)>,
    /// Hosts for whose waiters something may have changed.
    touched: BTreeSet<HostId>,
    timers: Timers,
    next_connection: u64,
    next_turn: u64,
    waiting: usize,
    dialing: usize,
    closing: usize,
    /// How many connections the machine was found to have room for, and when.
    shortage: Option<Learned>,
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

impl Policy {
    /// Nothing is open. `seed` spreads the attempts of many programs that fail at once.
    pub(crate) fn new(limits: Limits, now: Instant, seed: u64) -> Self {
        Self {
            limits,
            now,
            random: Random::new(seed),
            hosts: BTreeMap::new(),
            connections: BTreeMap::new(),
            claims: BTreeMap::new(),
            queue: BTreeSet::new(),
            touched: BTreeSet::new(),
            timers: Timers::default(),
            next_connection: 0,
            next_turn: 0,
            waiting: 0,
            dialing: 0,
            closing: 0,
            shortage: None,
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
        self.serve_touched(out);
        self.dial(out);
        self.due(out);
        self.serve_touched(out);
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
            Event::Cancel { waiter } => self.cancel(waiter),
            Event::Opened { waiter } => self.opened(waiter),
            Event::Refused { waiter, refusal } => self.refused(waiter, refusal, out),
            Event::Released { waiter } => self.released(waiter, out),
            Event::Dialed { connection, logins } => self.dialed(connection, logins, out),
            Event::DialFailed { connection, failure } => self.dial_failed(connection, failure, out),
            Event::Lost { connection } => self.lost(connection, out),
            Event::Degraded { connection } => self.set_degraded(connection, true),
            Event::Recovered { connection } => self.set_degraded(connection, false),
            Event::Worn { connection } => self.drain(connection, None, Closing::Worn, out),
            Event::Disconnect { connection, by } => self.drain(connection, Some(by), Closing::Asked, out),
            Event::RetireIdle => self.retire_idle(out),
            Event::NetworkChanged => self.network_changed(out),
            Event::Shutdown { by } => self.shut_down(by, out),
            Event::Tick => {}
        }
    }

    // ---- those who want channels ------------------------------------------------------------------

    fn acquire(
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
    fn wait(&mut self, waiter: WaiterId, claim: Claim) {
        let Some(host) = self.hosts.get_mut(&claim.host) else { return };
        host.waiting.of(claim.lane).insert(claim.turn, waiter);
        self.waiting += 1;
        self.timers.set(claim.deadline, Timer::Deadline(waiter));
        self.touched.insert(claim.host);
    }

    /// Stands in line no more.
    fn wait_no_more(&mut self, waiter: WaiterId, claim: Claim) {
        let Some(host) = self.hosts.get_mut(&claim.host) else { return };
        if host.waiting.of(claim.lane).remove(&claim.turn).is_some() {
            self.waiting -= 1;
            self.timers.clear(claim.deadline, Timer::Deadline(waiter));
            self.touched.insert(claim.host);
        }
    }

    fn cancel(&mut self, waiter: WaiterId) {
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

    fn reject(&mut self, waiter: WaiterId, why: Rejection, out: &mut Vec<Action>) {
        let Some(claim) = self.claims.remove(&waiter) else { return };
        self.wait_no_more(waiter, claim);
        out.push(Action::Reject { waiter, why });
    }

    fn reject_all(&mut self, host: HostId, why: Rejection, out: &mut Vec<Action>) {
        let Some(of) = self.hosts.get(&host) else { return };
        for waiter in of.waiting.all() {
            self.reject(waiter, why, out);
        }
    }

    fn opened(&mut self, waiter: WaiterId) {
        let Some(claim) = self.claims.get_mut(&waiter) else { return };
        let (Held::Granted(id) | Held::GivenUp(id)) = claim.state else { return };
        if claim.state == Held::Granted(id) {
            claim.state = Held::Open(id);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.confirmed(waiter);
        }
    }

    fn refused(&mut self, waiter: WaiterId, refusal: Refusal, out: &mut Vec<Action>) {
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

    fn released(&mut self, waiter: WaiterId, out: &mut Vec<Action>) {
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

    // ---- logins -----------------------------------------------------------------------------------

    fn dialed(&mut self, id: ConnectionId, logins: Logins, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let host = connection.host;
        match connection.state {
            State::Dialing { .. } => {
                connection.state = State::Ready;
                connection.rest(self.now);
                self.dialing -= 1;
                if let Some(of) = self.hosts.get_mut(&host) {
                    of.dial_succeeded(logins, self.limits.dials_per_host);
                }
                self.touched.insert(host);
                self.watch_idle(id);
            }
            // It was given up, too late.
            State::Closing => out.push(Action::Close { connection: id, why: Closing::Unwanted }),
            State::Ready | State::Draining { .. } => {}
        }
    }

    fn dial_failed(&mut self, id: ConnectionId, failure: DialFailure, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (host, state) = (connection.host, connection.state);
        match state {
            State::Dialing { attempt } => {
                self.forget(id);
                self.failed(host, id, attempt, failure, out);
            }
            State::Closing => self.forget(id),
            State::Ready | State::Draining { .. } => {}
        }
    }

    fn failed(
        &mut self,
        host: HostId,
        id: ConnectionId,
        attempt: u32,
        failure: DialFailure,
        out: &mut Vec<Action>,
    ) {
        self.touched.insert(host);
        if failure == DialFailure::Shortage {
            let limit = self.connections.len().max(1);
            self.shortage = Some(Learned { limit, at: self.now });
            self.timers.set(self.now + self.limits.relearn, Timer::Shortage);
        }
        let is_served = self.has_ready(host);
        let delay = self.delay(attempt);
        let Some(of) = self.hosts.get_mut(&host) else { return };
        if failure == DialFailure::Busy {
            of.dial_window = (of.dial_window / 2).max(1);
        }
        match failure {
            DialFailure::Abandoned => {}
            DialFailure::Final => {
                of.failures = 0;
                if is_served {
                    // What worked once does not work twice: those who wait get places on what there is.
                    of.logins = Logins::One;
                } else {
                    self.reject_all(host, Rejection::Dial(id), out);
                }
            }
            DialFailure::Transient | DialFailure::Busy | DialFailure::Shortage => {
                // Of several that failed together one counts.
                if failure != DialFailure::Shortage && attempt > of.failures {
                    of.failures = attempt;
                }
                let retry_at = self.now + delay;
                of.retry_at = Some(of.retry_at.map_or(retry_at, |at| at.max(retry_at)));
                self.timers.set(retry_at, Timer::Retry(host));
                if of.failures >= self.limits.attempts {
                    of.failures = 0;
                    if !is_served {
                        self.reject_all(host, Rejection::Dial(id), out);
                    }
                }
            }
        }
    }

    /// How long to wait after this attempt: twice as long after each, and up to half less.
    fn delay(&mut self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let most = self.limits.retry_first.saturating_mul(doubled).min(self.limits.retry_most);
        most.mul_f64(1.0 - self.random.fraction() / 2.0)
    }

    /// Begins as many logins as are wanted and allowed: one for each host in turn, those first for which somebody has
    /// waited longest.
    fn dial(&mut self, out: &mut Vec<Action>) {
        if self.queue.is_empty() {
            self.blocked = None;
            return;
        }
        let hosts: Vec<HostId> = self.queue.iter().map(|(_, host)| *host).collect();
        loop {
            let mut is_over = true;
            for &host in &hosts {
                if self.dialing >= self.limits.dials {
                    return;
                }
                if !self.wants_dial(host) {
                    continue;
                }
                if self.connections.len() >= self.most_connections() {
                    self.make_room(hosts.len(), out);
                    return;
                }
                self.blocked = None;
                self.begin_dial(host, out);
                is_over = false;
            }
            if is_over {
                return;
            }
        }
    }

    fn begin_dial(&mut self, host: HostId, out: &mut Vec<Action>) {
        let Some(of) = self.hosts.get_mut(&host) else { return };
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let attempt = of.failures + 1;
        of.connections.insert(id);
        self.connections.insert(id, Connection::new(host, attempt, self.now));
        self.dialing += 1;
        out.push(Action::Dial { connection: id, host, attempt });
    }

    fn wants_dial(&self, id: HostId) -> bool {
        let Some(host) = self.hosts.get(&id) else { return false };
        if self.ending.is_some() || host.waits_to_retry(self.now) {
            return false;
        }
        if host.connections.len() >= self.most_of_host(host) {
            return false;
        }
        let dialing = self.dialing_of(host);
        // One login shows whether there may be more.
        let is_first = host.logins == Logins::Unknown && !self.has_ready(id);
        let together = if is_first { 1 } else { host.dial_window };
        let wanted = host.waiting.shared.len().div_ceil(self.channels_of(id)) + host.waiting.isolated.len();
        dialing < wanted.min(together)
    }

    /// A place among all connections for a host that has to have one: that of the connection which nobody has used for
    /// longest, or of one that is drained, if somebody has waited for long.
    fn make_room(&mut self, hosts: usize, out: &mut Vec<Action>) {
        if self.closing >= hosts {
            return;
        }
        let idle = self.connections.iter().filter(|(_, connection)| connection.is_idle());
        if let Some((&id, _)) = idle.min_by_key(|(id, connection)| (connection.idle_since(), **id)) {
            self.close(id, Closing::Evicted, out);
            return;
        }
        let since = *self.blocked.get_or_insert(self.now);
        let until = since + self.limits.fair;
        if self.now < until {
            self.timers.set(until, Timer::Fair);
            return;
        }
        self.blocked = Some(self.now);
        self.timers.set(self.now + self.limits.fair, Timer::Fair);
        let is_draining = |connection: &Connection| matches!(connection.state, State::Draining { .. });
        if self.closing > 0 || self.connections.values().any(is_draining) {
            return;
        }
        let ready = self.connections.iter().filter(|(_, one)| one.state == State::Ready && one.isolated() == 0);
        let of_host = |connection: &Connection| self.hosts[&connection.host].connections.len();
        let longest = ready.max_by_key(|(id, one)| (of_host(one), std::cmp::Reverse((one.since(), **id))));
        if let Some((&id, _)) = longest {
            self.drain(id, None, Closing::Evicted, out);
        }
    }

    // ---- places -----------------------------------------------------------------------------------

    fn serve_touched(&mut self, out: &mut Vec<Action>) {
        while let Some(host) = self.touched.pop_first() {
            self.serve(host, out);
            self.queue_up(host);
        }
    }

    /// Gives places to those who wait for this host, in their turns.
    fn serve(&mut self, host: HostId, out: &mut Vec<Action>) {
        let mut open = vec![Lane::Shared, Lane::Isolated];
        while let Some(of) = self.hosts.get(&host) {
            let first = open.iter().filter_map(|&lane| of.waiting.first(lane).map(|next| (next, lane))).min();
            let Some(((_, waiter), lane)) = first else { return };
            match self.place_for(host, lane) {
                Some((connection, is_folded)) => self.grant(waiter, connection, is_folded, out),
                None => open.retain(|other| *other != lane),
            }
        }
    }

    fn grant(&mut self, waiter: WaiterId, id: ConnectionId, is_folded: bool, out: &mut Vec<Action>) {
        let Some(mut claim) = self.claims.get(&waiter).copied() else { return };
        self.wait_no_more(waiter, claim);
        claim.state = Held::Granted(id);
        self.claims.insert(waiter, claim);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.enter(waiter, claim.lane);
        let waited = self.now.saturating_duration_since(claim.since);
        let how = if is_folded {
            How::Folded { waited }
        } else if connection.since() >= claim.since && !waited.is_zero() {
            How::Connected { waited }
        } else if waited.is_zero() {
            How::Shared
        } else {
            How::Queued { waited }
        };
        out.push(Action::Grant { waiter, connection: id, how });
    }

    /// Where a channel of this lane goes now, and whether it is beside others that it should be kept from.
    fn place_for(&self, host: HostId, lane: Lane) -> Option<(ConnectionId, bool)> {
        let of = self.hosts.get(&host)?;
        let most = self.channels_of(host);
        let mut open: Vec<(ConnectionId, &Connection)> = of
            .connections
            .iter()
            .filter_map(|id| self.connections.get(id).map(|connection| (*id, connection)))
            .filter(|(_, connection)| connection.has_room(self.now, most))
            .collect();
        // One that answers late is for those who have no other.
        if open.iter().any(|(_, connection)| !connection.is_degraded) {
            open.retain(|(_, connection)| !connection.is_degraded);
        }
        let apart = match lane {
            // The fullest, so that the others come to rest.
            Lane::Shared => open
                .iter()
                .filter(|(_, connection)| connection.isolated() == 0)
                .min_by_key(|(id, connection)| (most - connection.places(), *id)),
            Lane::Isolated => open.iter().find(|(_, connection)| connection.is_empty()),
        };
        if let Some((id, _)) = apart {
            return Some((*id, false));
        }
        if self.may_grow(host, of) {
            return None;
        }
        let together = open.iter().min_by_key(|(id, one)| (one.isolated(), one.places(), *id));
        together.map(|(id, _)| (*id, true))
    }

    /// Whether those who wait for the host may hope for another connection.
    fn may_grow(&self, id: HostId, host: &Host) -> bool {
        if self.dialing_of(host) > 0 {
            return true;
        }
        let is_living = |id: &&ConnectionId| {
            self.connections.get(id).is_some_and(|connection| connection.state != State::Closing)
        };
        let living = host.connections.iter().filter(is_living).count();
        let has_room = self.connections.len() - self.closing < self.most_connections()
            || self.connections.values().any(|other| other.is_idle() && other.host != id);
        // Once all attempts have failed, nothing is hoped for until the next.
        let is_trying = host.failures > 0 || !host.waits_to_retry(self.now);
        self.ending.is_none()
            && is_trying
            && living < self.most_of_host(host)
            && has_room
    }

    /// Where the host stands among those that are waited for; one that nothing is known of is forgotten.
    fn queue_up(&mut self, id: HostId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let turn = host.waiting.turn();
        if host.queued != turn {
            if let Some(before) = host.queued {
                self.queue.remove(&(before, id));
            }
            if let Some(turn) = turn {
                self.queue.insert((turn, id));
            }
            host.queued = turn;
        }
        if host.is_forgettable(self.now) {
            self.hosts.remove(&id);
        }
    }

    // ---- ends -------------------------------------------------------------------------------------

    fn lost(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (host, state) = (connection.host, connection.state);
        let had = connection.waiters();
        self.forget(id);
        for waiter in had {
            let Some(mut claim) = self.claims.get(&waiter).copied() else { continue };
            if claim.state == Held::Granted(id) && self.ending.is_none() {
                // Nothing of it was begun: it has its turn again.
                claim.state = Held::Waiting;
                self.claims.insert(waiter, claim);
                self.wait(waiter, claim);
            } else {
                self.claims.remove(&waiter);
                if claim.state == Held::Granted(id) {
                    out.push(Action::Reject { waiter, why: Rejection::ShuttingDown });
                }
            }
        }
        if let State::Dialing { attempt } = state {
            self.failed(host, id, attempt, DialFailure::Transient, out);
        }
    }

    /// Nothing is left of it.
    fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        match connection.state {
            State::Dialing { .. } => self.dialing -= 1,
            State::Closing => self.closing -= 1,
            State::Ready | State::Draining { .. } => {}
        }
        if let Some(host) = self.hosts.get_mut(&connection.host) {
            host.connections.remove(&id);
        }
        self.touched.insert(connection.host);
        // Whoever waits for a place among all of them has one.
        self.touched.extend(self.queue.first().map(|(_, host)| *host));
    }

    fn set_degraded(&mut self, id: ConnectionId, is_degraded: bool) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_degraded = is_degraded;
            self.touched.insert(connection.host);
        }
    }

    /// Nothing new goes on it; what is on it has until then, if there is a then.
    fn drain(&mut self, id: ConnectionId, by: Option<Instant>, why: Closing, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.touched.insert(connection.host);
        match connection.state {
            State::Dialing { .. } => self.abandon(id, out),
            State::Closing => {}
            State::Ready | State::Draining { .. } if connection.is_empty() => self.close(id, why, out),
            State::Ready | State::Draining { .. } => {
                let earlier = match connection.state {
                    State::Draining { by, .. } => by,
                    _ => None,
                };
                let by = [by, earlier].into_iter().flatten().min();
                connection.state = State::Draining { by, why };
                if let Some(by) = by {
                    self.timers.set(by, Timer::Drain(id));
                }
            }
        }
    }

    fn abandon(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.state = State::Closing;
            self.dialing -= 1;
            self.closing += 1;
            self.touched.insert(connection.host);
            out.push(Action::Abandon { connection: id });
        }
    }

    fn close(&mut self, id: ConnectionId, why: Closing, out: &mut Vec<Action>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.state = State::Closing;
            self.closing += 1;
            self.touched.insert(connection.host);
            out.push(Action::Close { connection: id, why });
        }
    }

    fn retire_idle(&mut self, out: &mut Vec<Action>) {
        let idle = self.connections.iter().filter(|(_, connection)| connection.is_idle());
        for id in idle.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(id, Closing::Idle, out);
        }
    }

    fn network_changed(&mut self, out: &mut Vec<Action>) {
        for (&connection, of) in &self.connections {
            if matches!(of.state, State::Ready | State::Draining { .. }) {
                out.push(Action::Probe { connection });
            }
        }
        for (&id, host) in &mut self.hosts {
            // What failed before failed on another network.
            host.retry_at = None;
            host.failures = 0;
            self.touched.insert(id);
        }
    }

    fn shut_down(&mut self, by: Instant, out: &mut Vec<Action>) {
        self.ending = Some(self.ending.map_or(by, |earlier| earlier.min(by)));
        let waiting: Vec<WaiterId> = self.hosts.values().flat_map(|host| host.waiting.all()).collect();
        for waiter in waiting {
            self.reject(waiter, Rejection::ShuttingDown, out);
        }
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.drain(id, Some(by), Closing::ShuttingDown, out);
        }
    }

    // ---- time -------------------------------------------------------------------------------------

    fn due(&mut self, out: &mut Vec<Action>) {
        while let Some(timer) = self.timers.take_due(self.now) {
            match timer {
                Timer::Deadline(waiter) => {
                    let missing = self.claims.get(&waiter).map(|claim| self.missing(claim.host));
                    if let Some(missing) = missing {
                        self.reject(waiter, Rejection::Deadline(missing), out);
                    }
                }
                Timer::Idle(id) => self.idle_is_due(id, out),
                Timer::Drain(id) => self.drain_is_due(id, out),
                Timer::Hold(id) => {
                    self.touched.extend(self.connections.get(&id).map(|connection| connection.host));
                }
                Timer::Retry(host) => {
                    self.touched.insert(host);
                }
                Timer::Relearn(host) => self.relearn(host),
                Timer::Shortage => self.relearn_shortage(),
                // `dial` looks again.
                Timer::Fair => {}
            }
        }
    }

    fn watch_idle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.begin_watch() {
            self.timers.set(connection.idle_since() + self.limits.persist, Timer::Idle(id));
        }
    }

    fn idle_is_due(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.end_watch();
        if !connection.is_idle() {
            return;
        }
        if connection.idle_since() + self.limits.persist <= self.now {
            self.close(id, Closing::Idle, out);
        } else {
            self.watch_idle(id);
        }
    }

    fn drain_is_due(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let State::Draining { by: Some(by), .. } = connection.state
            && by <= self.now
        {
            connection.state = State::Closing;
            self.closing += 1;
            out.push(Action::Cut { connection: id });
        }
    }

    fn relearn(&mut self, id: HostId) {
        let most = self.limits.channels;
        let (now, step) = (self.now, self.limits.relearn);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(learned) = &mut host.learned else { return };
        if learned.at + step <= now {
            *learned = Learned { limit: learned.limit + 1, at: now };
        }
        let again = learned.at + step;
        if learned.limit >= most {
            host.learned = None;
        } else {
            self.timers.set(again, Timer::Relearn(id));
        }
        self.touched.insert(id);
    }

    fn relearn_shortage(&mut self) {
        let step = self.limits.relearn;
        let Some(learned) = &mut self.shortage else { return };
        if learned.at + step <= self.now {
            *learned = Learned { limit: learned.limit + learned.limit / 8 + 1, at: self.now };
        }
        let again = learned.at + step;
        if learned.limit >= self.limits.connections {
            self.shortage = None;
        } else {
            self.timers.set(again, Timer::Shortage);
        }
    }

    // ---- numbers ----------------------------------------------------------------------------------

    fn most_connections(&self) -> usize {
        self.shortage.map_or(self.limits.connections, |learned| learned.limit.min(self.limits.connections))
    }

    fn most_of_host(&self, host: &Host) -> usize {
        match host.logins {
            Logins::One => 1,
            Logins::Unknown | Logins::Many => self.limits.connections_per_host,
        }
    }

    /// Channels on one connection to the host, as far as is known.
    fn channels_of(&self, host: HostId) -> usize {
        let learned = self.hosts.get(&host).and_then(|host| host.learned);
        learned.map_or(self.limits.channels, |learned| learned.limit.min(self.limits.channels))
    }

    fn dialing_of(&self, host: &Host) -> usize {
        let is_dialing = |id: &&ConnectionId| {
            self.connections
                .get(id)
                .is_some_and(|connection| matches!(connection.state, State::Dialing { .. }))
        };
        host.connections.iter().filter(is_dialing).count()
    }

    fn has_ready(&self, host: HostId) -> bool {
        let is_ready = |id: &ConnectionId| {
            self.connections.get(id).is_some_and(|connection| connection.state == State::Ready)
        };
        self.hosts.get(&host).is_some_and(|host| host.connections.iter().any(is_ready))
    }

    /// What those who wait for the host lack.
    fn missing(&self, id: HostId) -> Missing {
        let Some(host) = self.hosts.get(&id) else { return Missing::Login };
        if self.dialing_of(host) > 0 {
            Missing::Login
        } else if host.waits_to_retry(self.now) {
            Missing::Retry
        } else if host.connections.len() >= self.most_of_host(host) {
            Missing::HostLimit
        } else if self.connections.len() >= self.most_connections() {
            if self.shortage.is_some() { Missing::Shortage } else { Missing::TotalLimit }
        } else {
            Missing::DialLimit
        }
    }
}

/// After a channel ended here, its process may hold the place at the server for so long.
const LATE: Duration = Duration::from_secs(1);
