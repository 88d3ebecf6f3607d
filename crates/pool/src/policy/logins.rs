//! Logins: when one begins, what comes of it, and which connection makes room for it.

use std::time::Duration;

use super::connection::{Connection, State};
use super::event::{Action, Closing, ConnectionId, DialFailure, HostId, Logins, Rejection};
use super::timers::Timer;
use super::{Learned, Policy};

impl Policy {
    pub(super) fn dialed(&mut self, id: ConnectionId, logins: Logins, out: &mut Vec<Action>) {
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

    pub(super) fn dial_failed(&mut self, id: ConnectionId, failure: DialFailure, out: &mut Vec<Action>) {
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
    pub(super) fn dial(&mut self, out: &mut Vec<Action>) {
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
        let ready =
            self.connections.iter().filter(|(_, one)| one.state == State::Ready && one.isolated() == 0);
        let of_host = |connection: &Connection| self.hosts[&connection.host].connections.len();
        let longest = ready.max_by_key(|(id, one)| (of_host(one), std::cmp::Reverse((one.since(), **id))));
        if let Some((&id, _)) = longest {
            self.drain(id, None, Closing::Evicted, out);
        }
    }
}
