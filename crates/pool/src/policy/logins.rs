//! Logins: when one begins, what comes of it, and which connection makes room for it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::connection::{Connection, State};
use super::event::{Action, Closing, ConnectionId, DialFailure, HostId, Logins, Rejection};
use super::host::Host;
use super::timers::Timer;
use super::ways::NextDial;
use super::{Learned, Policy};

impl Policy {
    pub(super) fn dialed(&mut self, id: ConnectionId, logins: Logins, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let host = connection.host;
        match connection.state {
            State::Dialing => {
                connection.state = State::Ready;
                connection.rest(self.now);
                self.dialing -= 1;
                let carrier = connection.carrier;
                if let Some(of) = self.hosts.get_mut(&host) {
                    of.dial_succeeded(logins, self.limits.dials_per_host);
                }
                if let Some(carrier) = carrier {
                    self.answered(carrier);
                }
                self.touched.insert(host);
                self.watch_idle(id);
            }
            // It was given up, too late.
            State::Closing => out.push(Action::Close { connection: id, why: Closing::Unwanted }),
            State::Ready | State::Draining { .. } => {}
        }
    }

    pub(super) fn dial_failed(&mut self, id: ConnectionId, failure: DialFailure, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (host, state, attempt) = (connection.host, connection.state, connection.attempt);
        match state {
            State::Dialing => {
                self.forget(id, out);
                self.failed(host, id, attempt, failure, out);
            }
            State::Closing => self.forget(id, out),
            State::Ready | State::Draining { .. } => {}
        }
    }

    pub(super) fn failed(
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
        let delay = self.delay(self.limits.retry_first, attempt);
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
                    let until = self.now + self.limits.refused;
                    of.refused = Some((id, until));
                    self.timers.set(until, Timer::Retry(host));
                    self.reject_all(host, Rejection::Dial(id), out);
                    self.reject_behind(host, id, out);
                    self.abandon_all(host, out);
                    self.refused_for_others(host, until);
                }
            }
            DialFailure::Transient | DialFailure::Busy | DialFailure::Shortage => {
                // Of several that failed together one counts.
                if failure != DialFailure::Shortage && attempt > of.failures {
                    of.failures = attempt;
                }
                let retry_at = self.now + delay;
                let retry_at = of.retry_at.map_or(retry_at, |at| at.max(retry_at));
                of.retry_at = Some(retry_at);
                self.timers.set(retry_at, Timer::Retry(host));
                out.push(Action::Retry { host, after: id, at: retry_at });
                if of.failures >= self.limits.attempts {
                    of.failures = 0;
                    of.has_given_up = true;
                    if !is_served {
                        self.reject_all(host, Rejection::Dial(id), out);
                        self.reject_behind(host, id, out);
                    }
                }
            }
        }
    }

    /// Those who wait for a host behind this one, to which there is no way any more, are told why.
    fn reject_behind(&mut self, jump: HostId, id: ConnectionId, out: &mut Vec<Action>) {
        for host in self.behind(jump) {
            if !self.is_reached_without(host, jump) {
                self.reject_all(host, Rejection::Dial(id), out);
            }
            self.touched.insert(host);
        }
    }

    /// A login was refused for good, and at least until then none begins. Where somebody waits behind the host all the same, for
    /// another connection beside those that are there, the next for them comes later each time; whoever has none is not held up.
    fn refused_for_others(&mut self, host: HostId, until: Instant) {
        let is_wanted = self.is_wanted_for_others(host);
        let Some(of) = self.hosts.get_mut(&host) else { return };
        of.refusals = if is_wanted { of.refusals + 1 } else { 0 };
        let refusals = of.refusals;
        let at = until.max(self.now + self.delay(self.limits.refused, refusals));
        let Some(of) = self.hosts.get_mut(&host).filter(|_| is_wanted) else { return };
        of.at_peace = Some(at);
        self.timers.set(at, Timer::Retry(host));
    }

    /// How long to wait after this attempt: twice as long after each as after the one before, and up to half less.
    fn delay(&mut self, first: Duration, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let most = first.saturating_mul(doubled).min(self.limits.retry_most);
        most.mul_f64(1.0 - self.random.fraction() / 2.0)
    }

    /// Begins as many logins as are wanted and allowed, and makes room for others; no more than they need.
    pub(super) fn dial(&mut self, out: &mut Vec<Action>) {
        self.begin_dials(out);
        self.make_way(out);
        self.take_back(out);
    }

    /// One for each host in turn, those first for which somebody has waited longest.
    fn begin_dials(&mut self, out: &mut Vec<Action>) {
        let hosts: Vec<(u64, HostId)> = self.queue.iter().copied().collect();
        loop {
            let mut is_over = true;
            for &(_, host) in &hosts {
                if self.dialing >= self.limits.dials {
                    return;
                }
                let Some(next) = self.next_dial(host) else { continue };
                if self.connections.len() >= self.most_connections() {
                    self.make_room(out);
                    return;
                }
                self.blocked = None;
                self.begin_dial(next, out);
                is_over = false;
            }
            if is_over {
                break;
            }
        }
        self.blocked = None;
    }

    fn begin_dial(&mut self, next: NextDial, out: &mut Vec<Action>) {
        let (host, carrier, window) = (next.host, next.carrier, self.limits.dials_per_host);
        let of = self.hosts.entry(host).or_insert_with(|| Host::new(window));
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let attempt = of.failures + 1;
        of.has_given_up = false;
        of.connections.insert(id);
        self.connections.insert(id, Connection::new(next, attempt, self.now));
        self.dialing += 1;
        if let Some(carrier) = carrier {
            self.carry(carrier, id);
        }
        out.push(Action::Dial { connection: id, host, attempt, carrier });
    }

    pub(super) fn wants_dial(&self, id: HostId) -> bool {
        let Some(host) = self.hosts.get(&id) else { return false };
        if self.ending.is_some() || host.waits_to_retry(self.now) {
            return false;
        }
        self.lacks_connection(id, host)
    }

    /// Whether more logins are wanted for those who wait than are under way, now or when it is time for the next attempt.
    pub(super) fn lacks_connection(&self, id: HostId, host: &Host) -> bool {
        if host.connections.len() >= self.most_of_host(host) {
            return false;
        }
        let dialing = self.dialing_of(host);
        // One login shows whether there may be more.
        let is_first = host.logins == Logins::Unknown && !self.has_ready(id);
        let together = if is_first { 1 } else { host.dial_window };
        let shared = host.waiting.shared.len().div_ceil(self.channels_of(id));
        // The last is left for short work, unless nothing that is there takes what may stall.
        let apart = self.more_that_may_stall(host).max(usize::from(!self.has_ready(id)));
        let stalling = host.waiting.stalling().min(apart);
        // One is enough for all of them.
        let bare = usize::from(!host.waiting.bare.is_empty() && shared + stalling == 0);
        dialing < (shared + stalling + bare).min(together)
    }

    /// Places among all connections for hosts that have to have one: those of connections that nobody uses; or that of one in
    /// use that is left to them, if somebody has waited for long. Nobody loses the way to somebody who has not waited for
    /// longer: of two who take the ways from each other neither would ever arrive.
    fn make_room(&mut self, out: &mut Vec<Action>) {
        let wanting = self.wanted_dials();
        // What is being closed leaves its place as it is.
        let lacking = wanting.len().saturating_sub(self.closing);
        let needed = self.needed();
        let idle = self.connections.iter().filter(|(_, connection)| connection.is_idle());
        // Over which nobody's way leads, or that of those who came last. Where somebody would have to be asked again, as late
        // as possible.
        let rank = |(id, one): (&ConnectionId, &Connection)| {
            (needed.get(id).copied().map(Reverse), self.lets_in_once(one.host), one.idle_since(), *id)
        };
        let mut idle: Vec<_> = idle.map(rank).collect();
        idle.sort_unstable();
        let mut leaving = Vec::new();
        // Those who have waited longest get what is being closed.
        for ((turn, _), (way_of, .., id)) in wanting.iter().skip(wanting.len() - lacking).zip(idle) {
            if way_of.is_some_and(|Reverse(first)| first <= *turn) {
                break;
            }
            leaving.push(id);
        }
        let is_enough = leaving.len() == lacking;
        for id in leaving {
            self.close(id, Closing::Evicted, out);
        }
        if is_enough {
            return;
        }
        let until = *self.blocked.get_or_insert(self.now) + self.limits.fair;
        if self.now < until {
            self.timers.set(until, Timer::Fair);
            return;
        }
        self.blocked = Some(self.now);
        self.timers.set(self.now + self.limits.fair, Timer::Fair);
        if self.closing > 0 {
            return;
        }
        let spare = wanting.iter().find_map(|(turn, next)| self.spare_for(next.host, *turn, &needed));
        if let Some(id) = spare {
            self.drain(id, None, Closing::Evicted, out);
            self.left.insert(id);
        }
    }

    /// The logins that those who wait want next, each with the turn of the first of them.
    fn wanted_dials(&self) -> Vec<(u64, NextDial)> {
        let next = |(turn, host): &(u64, HostId)| self.next_dial(*host).map(|next| (*turn, next));
        let mut wanted: Vec<(u64, NextDial)> = self.queue.iter().filter_map(next).collect();
        // One login to a host on the way is for all behind it.
        let mut once = BTreeSet::new();
        wanted.retain(|(_, next)| !next.is_for_others || once.insert(next.host));
        wanted
    }
}
