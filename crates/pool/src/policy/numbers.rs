//! Limits as they are now, and counts.

use std::time::Instant;

use super::connection::{Connection, State};
use super::event::{ConnectionId, HostId, Logins, Missing};
use super::host::Host;
use super::{Claim, Policy};

impl Policy {
    /// Attempts to log in that failed one after the other, since the last that was of use or the last that there was to be.
    pub(crate) fn failures(&self, host: HostId) -> u32 {
        self.hosts.get(&host).map_or(0, |host| host.failures)
    }

    pub(super) fn most_connections(&self) -> usize {
        self.shortage.map_or(self.limits.connections, |learned| learned.limit.min(self.limits.connections))
    }

    pub(super) fn most_of_host(&self, host: &Host) -> usize {
        match host.logins {
            Logins::One => 1,
            Logins::Unknown | Logins::Many => self.limits.connections_per_host,
        }
    }

    pub(super) fn lets_in_once(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|host| host.logins == Logins::One)
    }

    /// Whether there is a place for one more among all connections, or will be as soon as somebody wants it.
    pub(super) fn has_room(&self) -> bool {
        self.connections.len() - self.closing < self.most_connections() || self.has_spare()
    }

    /// Whether there is a connection that nobody uses or needs. Who needs which is looked up once for all of them.
    fn has_spare(&self) -> bool {
        let mut idle = self.connections.iter().filter(|(_, one)| one.is_idle()).map(|(id, _)| id).peekable();
        if idle.peek().is_none() {
            return false;
        }
        let needed = self.needed();
        idle.any(|id| !needed.contains_key(id))
    }

    /// Whether there may be one more connection to the host beside those that it has.
    pub(super) fn may_have_another(&self, host: HostId) -> bool {
        let Some(of) = self.hosts.get(&host) else { return false };
        of.connections.len() < self.most_of_host(of) && self.has_room() && self.has_way(host)
    }

    /// Connections to the host that are there or being made, and not told to end.
    pub(super) fn living_of(&self, host: &Host) -> usize {
        let is_living = |id: &&ConnectionId| {
            self.connections.get(id).is_some_and(|connection| connection.state != State::Closing)
        };
        host.connections.iter().filter(is_living).count()
    }

    /// On how many more connections something may be that may stall: one is left for short work.
    pub(super) fn more_that_may_stall(&self, host: &Host) -> usize {
        let stalls = |id: &&ConnectionId| self.connections.get(id).is_some_and(|one| one.stalling() > 0);
        let most = self.most_of_host(host).saturating_sub(1).max(1);
        most.saturating_sub(host.connections.iter().filter(stalls).count())
    }

    /// Channels on one connection to the host, as far as is known.
    pub(super) fn channels_of(&self, host: HostId) -> usize {
        let learned = self.hosts.get(&host).and_then(|host| host.learned);
        learned.map_or(self.limits.channels, |learned| learned.limit.min(self.limits.channels))
    }

    pub(super) fn dialing_of(&self, host: &Host) -> usize {
        let is_dialing = |id: &&ConnectionId| {
            self.connections.get(id).is_some_and(|connection| connection.state == State::Dialing)
        };
        host.connections.iter().filter(is_dialing).count()
    }

    pub(super) fn has_ready(&self, host: HostId) -> bool {
        let is_ready = |id: &ConnectionId| {
            self.connections.get(id).is_some_and(|connection| connection.state == State::Ready)
        };
        self.hosts.get(&host).is_some_and(|host| host.connections.iter().any(is_ready))
    }

    /// What one lacked whose time is over, and of which host: of the one that was wanted, or of the first on the way to it that
    /// there is no way to.
    pub(super) fn missing(&self, claim: &Claim) -> (HostId, Missing) {
        let is_limited = self.connections_for(claim.host) > self.most_connections();
        let mut at = claim.host;
        while let Some(&jump) = self.ways.get(&at)
            && !is_limited
            && !self.has_ready(claim.host)
            && self.carrier_to(jump).is_none()
            && self.hosts.get(&at).is_none_or(|host| self.dialing_of(host) == 0)
        {
            at = jump;
        }
        (at, self.missing_at(at, claim.since))
    }

    /// What one lacks of a host who has waited for so long.
    fn missing_at(&self, id: HostId, since: Instant) -> Missing {
        let Some(host) = self.hosts.get(&id) else { return Missing::DialLimit };
        let is_short = self.shortage.is_some();
        let place = if is_short { Missing::Shortage } else { Missing::TotalLimit };
        let is_full = self.connections.len() >= self.most_connections()
            || self.connections_for(id) > self.most_connections();
        if let Some(begun) = self.login_of(host) {
            // Whoever waited longer for its begin than for its end did not wait for the login.
            let waited = begun.saturating_duration_since(since);
            let is_late = waited > self.now.saturating_duration_since(begun);
            if is_full && (is_late || is_short) { place } else { Missing::Login }
        } else if host.waits_to_retry(self.now) {
            // A login for which there was no file is no failure of the host's.
            let has_failed = host.failures > 0 || host.has_given_up;
            if is_short && !has_failed { place } else { Missing::Retry }
        } else if host.connections.len() >= self.most_of_host(host) {
            if host.logins == Logins::One { Missing::OneLogin } else { Missing::HostLimit }
        } else if is_full {
            place
        } else {
            Missing::DialLimit
        }
    }

    /// When the oldest login began that is under way.
    fn login_of(&self, host: &Host) -> Option<Instant> {
        let of_host = host.connections.iter().filter_map(|id| self.connections.get(id));
        of_host.filter(|one| one.state == State::Dialing).map(Connection::since).min()
    }
}
