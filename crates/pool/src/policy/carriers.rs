//! Places on connections that carry others: whether there is one more, and who leaves one that another needs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use super::connection::{Connection, State};
use super::event::{Action, Closing, ConnectionId, HostId, Lane};
use super::ways::Next;

/// A host that lacks a place, none where it is for a forwarded connection; and the host on which it lacks it.
type Lacking = (Option<HostId>, HostId);

impl Policy {
    /// Whether there is a place on the way for one more connection to the host, or will be as soon as somebody wants it.
    pub(super) fn has_way(&self, host: HostId) -> bool {
        self.ways.get(&host).is_none_or(|jump| self.may_carry(*jump))
    }

    /// Whether a connection to the host, or another one to it, carries one more, or will.
    fn may_carry(&self, jump: HostId) -> bool {
        let Some(of) = self.hosts.get(&jump) else { return self.has_way(jump) };
        let may = |one: &Connection| match one.state {
            State::Dialing => true,
            State::Ready => {
                one.has_room_to_carry(self.limits.streams) || one.carried().any(|id| self.is_spare(id))
            }
            State::Draining { .. } | State::Closing => false,
        };
        // After a login that was refused for good, and once all attempts have failed, nothing is hoped for until the next.
        let is_trying = !of.has_given_up || !of.waits_to_retry(self.now);
        let is_refused = of.refused_by(self.now).is_some();
        let is_at_peace = of.is_at_peace(self.now);
        let is_allowed = self.living_of(of) < self.most_of_host(of);
        of.connections.iter().filter_map(|id| self.connections.get(id)).any(may)
            || (is_trying && !is_refused && !is_at_peace && is_allowed && self.has_way(jump))
    }

    /// Looks where there was a place on the way over this host, or over those on the way to it, and is none any more: whoever
    /// hoped for it shares what there is.
    pub(super) fn look_at_ways(&mut self, host: HostId) {
        for at in [host].into_iter().chain(self.way(host)).collect::<Vec<_>>() {
            let may_carry = self.may_carry(at);
            let Some(of) = self.hosts.get_mut(&at) else { continue };
            if std::mem::replace(&mut of.may_carry, may_carry) && !may_carry {
                let behind = self.behind(at);
                self.touched.extend(behind.into_iter().filter(|host| self.hosts.contains_key(host)));
            }
        }
    }

    /// The turn of the first whose login begins now and is carried by a connection to this host, where somebody waits for a
    /// forwarded connection, which takes the same places.
    pub(super) fn first_to_carry(&self, jump: HostId) -> Option<u64> {
        let of = self.hosts.get(&jump)?;
        let is_limited =
            self.dialing >= self.limits.dials || self.connections.len() >= self.most_connections();
        if is_limited || of.waiting.streams.is_empty() || !self.ways.values().any(|on_it| *on_it == jump) {
            return None;
        }
        let is_carried = |host: HostId| {
            self.next_dial(host).and_then(|next| next.carrier).is_some_and(|id| of.connections.contains(&id))
        };
        self.queue.iter().find(|(_, host)| is_carried(*host)).map(|(turn, _)| *turn)
    }

    /// What nobody uses leaves the connections that carry it for those who have no other way.
    pub(super) fn make_way(&mut self, out: &mut Vec<Action>) {
        for id in self.in_the_way() {
            self.close(id, Closing::Evicted, out);
        }
    }

    /// What is to be closed so that those who wait get places on their ways, one for each host that lacks one, and forwarded
    /// connections theirs. What is being closed leaves its place as it is; and nobody loses the way to one who came later.
    pub(super) fn in_the_way(&self) -> BTreeSet<ConnectionId> {
        // Where no host is behind another nothing is carried: this is asked after every event, however many wait.
        if self.ways.is_empty() {
            return BTreeSet::new();
        }
        let on_the_way = |(turn, host): &(u64, HostId)| match self.next(*host)? {
            Next::Places(lacking) => {
                Some((*turn, lacking.into_iter().map(|(of, jump)| (Some(of), jump)).collect()))
            }
            Next::Dial(_) => None,
        };
        let mut wanting: Vec<(u64, Vec<Lacking>)> = self.queue.iter().filter_map(on_the_way).collect();
        for (_, host) in &self.queue {
            wanting.extend(self.streams_without_place(*host).map(|turn| (turn, vec![(None, *host)])));
        }
        if wanting.is_empty() {
            return BTreeSet::new();
        }
        wanting.sort_unstable();
        let needed = self.needed();
        let mut on: BTreeMap<HostId, Vec<(Option<u64>, ConnectionId)>> = BTreeMap::new();
        let (mut served, mut leaving) = (BTreeSet::new(), BTreeSet::new());
        for (turn, lacking) in wanting {
            for (of, jump) in lacking {
                // One login to a host on the way is for all behind it.
                if of.is_some_and(|of| served.contains(&of)) {
                    break;
                }
                let able = on.entry(jump).or_insert_with(|| self.able_to_leave(jump, &needed));
                let is_later = |way_of: Option<u64>| way_of.is_none_or(|first| first > turn);
                if let Some((_, id)) = able.pop_if(|(way_of, _)| is_later(*way_of)) {
                    served.extend(of);
                    self.first_to_leave(id, &mut leaving);
                    break;
                }
            }
        }
        leaving
    }

    /// The turns of those who wait for forwarded connections to the host and may hope for no other connection: what its
    /// connections carry takes the same places. No more than so many places could come free.
    fn streams_without_place(&self, host: HostId) -> impl Iterator<Item = u64> {
        let of = self.hosts.get(&host).filter(|of| !of.waiting.streams.is_empty());
        let connections = of.into_iter().flat_map(|of| &of.connections);
        let carried = connections.filter_map(|id| self.connections.get(id)).map(Connection::carries).sum();
        let of = of.filter(|of| carried > 0 && !self.may_grow(host, of, Lane::Stream));
        of.into_iter().flat_map(|of| of.waiting.streams.keys().copied()).take(carried)
    }

    /// What the connections to this host carry and nobody uses, the first to leave at the end; and the turn of the first of
    /// those whose ways lead over it.
    fn able_to_leave(
        &self,
        jump: HostId,
        needed: &BTreeMap<ConnectionId, u64>,
    ) -> Vec<(Option<u64>, ConnectionId)> {
        let Some(of) = self.hosts.get(&jump) else { return Vec::new() };
        let carriers = of.connections.iter().filter_map(|id| self.connections.get(id));
        let carried = carriers.filter(|one| one.state == State::Ready).flat_map(|one| one.carried());
        // What leaves already, then that over which nobody's way leads, and then what was idle for longest; where somebody would
        // have to be asked again, as late as possible.
        let rank = |id: ConnectionId| {
            let one = self.connections.get(&id)?;
            let way_of = self.with_carried(id).iter().filter_map(|on_it| needed.get(on_it)).min().copied();
            let is_there = one.state != State::Closing;
            Some((is_there, way_of.map(Reverse), self.lets_in_once(one.host), one.idle_since(), id))
        };
        let mut able: Vec<_> = carried.filter(|id| self.is_unused(*id)).filter_map(rank).collect();
        able.sort_unstable();
        able.into_iter().rev().map(|(_, way_of, .., id)| (way_of.map(|Reverse(first)| first), id)).collect()
    }

    /// Whether nobody uses a connection, nor what it carries; or it leaves already.
    fn is_unused(&self, id: ConnectionId) -> bool {
        let Some(one) = self.connections.get(&id) else { return true };
        match one.state {
            State::Closing => true,
            State::Ready => !one.is_used() && one.carried().all(|on_it| self.is_unused(on_it)),
            State::Dialing | State::Draining { .. } => false,
        }
    }

    /// Whether it leaves as soon as somebody wants its place, whoever that is; or leaves already.
    fn is_spare(&self, id: ConnectionId) -> bool {
        let is_needed = |on_it: &ConnectionId| {
            self.connections.get(on_it).is_some_and(|one| self.is_needed(*on_it, one.host))
        };
        self.is_unused(id) && !self.with_carried(id).iter().any(is_needed)
    }

    /// The connection itself, or what has to leave before it.
    fn first_to_leave(&self, id: ConnectionId, leaving: &mut BTreeSet<ConnectionId>) {
        let is_idle = |id: &ConnectionId| self.connections.get(id).is_some_and(Connection::is_idle);
        leaving.extend(self.with_carried(id).into_iter().filter(is_idle));
    }

    /// A connection, what it carries, and what that carries.
    pub(super) fn with_carried(&self, id: ConnectionId) -> Vec<ConnectionId> {
        let mut all = vec![id];
        let mut seen = 0;
        while let Some(next) = all.get(seen).copied() {
            all.extend(self.connections.get(&next).into_iter().flat_map(Connection::carried));
            seen += 1;
        }
        all
    }
}
