//! Hosts that are reached through others: one connection to such a host carries those to many behind it.

use std::time::Instant;

use super::Policy;
use super::connection::{Connection, State};
use super::event::{ConnectionId, HostId, Lane};

/// What is to be dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextDial {
    pub(super) host: HostId,
    /// The connection that carries it, to the host that it is reached through.
    pub(super) carrier: Option<ConnectionId>,
    /// Whether nobody waits for it but those who want a host behind it.
    pub(super) is_for_others: bool,
}

/// What comes next so that there is another connection to a host.
#[derive(Debug)]
pub(super) enum Next {
    Dial(NextDial),
    /// Nothing before a place comes free on the way, for the first of each pair on a connection to the second. Any of them
    /// will do; those nearest to the host stand first.
    Places(Vec<(HostId, HostId)>),
}

impl Policy {
    /// The host is reached through the other. A way never changes, and leads to no host twice.
    pub(super) fn goes_behind(&mut self, host: HostId, jump: HostId) {
        if jump != host && !self.way(jump).any(|on_it| on_it == host) {
            self.touched.insert(host);
            if self.ways.contains_key(&host) {
                // It is said each time that somebody asks.
                return;
            }
            self.ways.insert(host, jump);
            // Their ways are longer now, and may be full farther on.
            let behind = self.behind(host);
            self.touched.extend(behind.into_iter().filter(|host| self.hosts.contains_key(host)));
        }
    }

    /// Nobody asks for the host any more, and there is no connection to it.
    pub(crate) fn forget_host(&mut self, host: HostId) {
        self.ways.remove(&host);
        self.kept.remove(&host);
    }

    /// The hosts on the way to one, the nearest to it first.
    pub(super) fn way(&self, host: HostId) -> impl Iterator<Item = HostId> {
        std::iter::successors(self.ways.get(&host).copied(), |next| self.ways.get(next).copied())
    }

    /// How many connections it takes to have one to the host.
    pub(super) fn connections_for(&self, host: HostId) -> usize {
        1 + self.way(host).count()
    }

    /// The hosts whose way leads through this one.
    pub(super) fn behind(&self, jump: HostId) -> Vec<HostId> {
        self.ways.keys().copied().filter(|host| self.way(*host).any(|on_it| on_it == jump)).collect()
    }

    /// Whether somebody waits for a host behind this one, so that what failed before counts.
    pub(super) fn is_wanted_for_others(&self, jump: HostId) -> bool {
        let waits = |host: &HostId| self.hosts.get(host).is_some_and(|host| host.waiting.turn().is_some());
        self.behind(jump).iter().any(waits)
    }

    /// The login on the way to a host that was refused for good a moment ago, where nothing leads there from nearer.
    pub(super) fn refused_on_the_way(&self, host: HostId, now: Instant) -> Option<ConnectionId> {
        if self.has_ready(host) {
            return None;
        }
        let mut farther = self.way(host).take_while(|on_it| !self.has_ready(*on_it));
        farther.find_map(|on_it| self.hosts.get(&on_it)?.refused_by(now))
    }

    /// Whether there is a connection to the host, or to one on its way that is nearer to it than this one: a place there may
    /// come free, whatever becomes of logins farther off.
    pub(super) fn is_reached_without(&self, host: HostId, jump: HostId) -> bool {
        let mut nearer = self.way(host).take_while(|on_it| *on_it != jump);
        self.has_ready(host) || nearer.any(|on_it| self.has_ready(on_it))
    }

    /// What is dialed next for those who wait for the host: the host, or the first on the way to it that there is no way to.
    /// The host itself takes no place before the way is there, so that those who wait for one never keep each other from it.
    pub(super) fn next_dial(&self, host: HostId) -> Option<NextDial> {
        match self.next(host)? {
            Next::Dial(next) => Some(next),
            Next::Places(_) => None,
        }
    }

    /// The same, or what is lacking for it on the way.
    pub(super) fn next(&self, host: HostId) -> Option<Next> {
        if !self.wants_dial(host) || self.connections_for(host) > self.most_connections() {
            return None;
        }
        let (mut next, mut lacking) = (host, Vec::new());
        loop {
            let is_for_others = next != host;
            let Some(&jump) = self.ways.get(&next) else {
                return Some(Next::Dial(NextDial { host: next, carrier: None, is_for_others }));
            };
            if let Some(carrier) = self.carrier_to(jump) {
                return Some(Next::Dial(NextDial { host: next, carrier: Some(carrier), is_for_others }));
            }
            let of = self.hosts.get(&jump);
            // A login that is under way has room for all.
            if of.is_some_and(|of| self.dialing_of(of) > 0) {
                return None;
            }
            if self.best_to(jump).is_none() {
                lacking.push((next, jump));
            }
            if !self.may_dial_for_others(jump) || self.is_left_in_peace(jump, host) {
                return Some(Next::Places(lacking));
            }
            next = jump;
        }
    }

    /// Whether a login to a host begins because of those behind it: one at a time, which has room for many.
    fn may_dial_for_others(&self, jump: HostId) -> bool {
        let Some(of) = self.hosts.get(&jump) else { return true };
        of.connections.len() < self.most_of_host(of)
            && self.dialing_of(of) == 0
            && !of.waits_to_retry(self.now)
            && of.refused_by(self.now).is_none()
    }

    /// Whether the login to a host on the way was refused for good and is not tried again yet for those who wait for this one,
    /// since a place may come free nearer to it.
    fn is_left_in_peace(&self, jump: HostId, host: HostId) -> bool {
        let is_at_peace = self.hosts.get(&jump).is_some_and(|of| of.is_at_peace(self.now));
        is_at_peace && self.is_reached_without(host, jump)
    }

    /// The connection to a host that carries one more to a host behind it: the fullest, so that others come to rest, and
    /// rather none with a flow that may stall.
    pub(super) fn carrier_to(&self, jump: HostId) -> Option<ConnectionId> {
        let of = self.hosts.get(&jump)?;
        let (id, one) = self.best_to(jump)?;
        // Both it and what it is to carry have to have room.
        let may_grow =
            self.connections.len() + 1 < self.most_connections() && self.may_grow(jump, of, Lane::Shared);
        (one.stalling() == 0 || !may_grow).then_some(id)
    }

    /// The same, where there can be no other.
    pub(super) fn best_to(&self, jump: HostId) -> Option<(ConnectionId, &Connection)> {
        let of = self.hosts.get(&jump)?;
        let all = of.connections.iter().filter_map(|id| self.connections.get(id).map(|one| (*id, one)));
        all.filter(|(_, one)| one.has_room_to_carry(self.limits.streams))
            .min_by_key(|(id, one)| (one.is_degraded, one.stalling(), usize::MAX - one.carries(), *id))
    }

    /// A login is carried from now on.
    pub(super) fn carry(&mut self, carrier: ConnectionId, carried: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&carrier) {
            connection.carry(carried);
            self.touched.insert(connection.host);
        }
    }

    /// What was carried is gone. True where nothing is left on what carried it.
    pub(super) fn set_down(&mut self, carrier: ConnectionId, carried: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(&carrier) else { return false };
        connection.set_down(carried, self.now);
        self.touched.insert(connection.host);
        connection.is_empty() && connection.state != State::Closing
    }
}
