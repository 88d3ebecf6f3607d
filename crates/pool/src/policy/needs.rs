//! Connections that nobody uses and that somebody needs all the same: over them leads the way of one who waits.

use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use super::event::{ConnectionId, HostId};
use super::ways::Next;

impl Policy {
    /// Whether those who wait for the host need another connection to it, and there may be so many.
    fn needs_another(&self, host: HostId) -> bool {
        let is_lacking = self.hosts.get(&host).is_some_and(|of| self.lacks_connection(host, of));
        is_lacking && self.connections_for(host) <= self.most_connections()
    }

    /// The connection that carries the next login for those who wait for the host, if one that is there does: that to the
    /// nearest host on the way.
    fn way_over(&self, host: HostId) -> Option<ConnectionId> {
        if !self.needs_another(host) {
            return None;
        }
        self.way(host).find_map(|jump| self.best_to(jump)).map(|(id, _)| id)
    }

    /// The connections that would be made again for somebody if they ended, each with the turn of the one who has waited
    /// longest of those who need it. Whoever waits between two attempts needs the way as well.
    pub(super) fn needed(&self) -> BTreeMap<ConnectionId, u64> {
        let mut needed = BTreeMap::new();
        if self.ways.is_empty() {
            return needed;
        }
        for (turn, host) in &self.queue {
            if let Some(id) = self.way_over(*host) {
                needed.entry(id).or_insert(*turn);
            }
        }
        needed
    }

    /// Whether this connection to the host is one of them.
    pub(super) fn is_needed(&self, id: ConnectionId, host: HostId) -> bool {
        let is_jump = self.ways.values().any(|jump| *jump == host);
        is_jump && self.queue.iter().any(|(_, waiting)| self.way_over(*waiting) == Some(id))
    }

    /// The hosts on the ways of those who wait that a connection would have to be made to, as none that is there leads on; each
    /// with the turn of the one who has waited longest.
    pub(super) fn ways_to_make(&self) -> BTreeMap<HostId, u64> {
        let mut missing = BTreeMap::new();
        if self.ways.is_empty() {
            return missing;
        }
        for (turn, host) in self.queue.iter().filter(|(_, host)| self.needs_another(*host)) {
            for jump in self.way(*host).take_while(|jump| self.best_to(*jump).is_none()) {
                missing.entry(jump).or_insert(*turn);
            }
        }
        missing
    }

    /// The hosts for connections to which those who wait lack places among all connections, each with the turn of the first who
    /// waits: on the way, however many are between here and there, and at its end; also where the farther ones are being made,
    /// or have failed and are tried again later. Not where first something has to leave a connection on the way.
    pub(super) fn lacking_places(&self) -> Vec<(u64, HostId)> {
        let (mut lacking, mut once) = (Vec::new(), BTreeSet::new());
        for (turn, host) in self.queue.iter().filter(|(_, host)| self.needs_another(*host)) {
            if matches!(self.next(*host), Some(Next::Places(_))) {
                continue;
            }
            let is_dialing = |on_it: HostId| self.hosts.get(&on_it).is_some_and(|of| self.dialing_of(of) > 0);
            let to_make =
                self.way(*host).take_while(|on_it| self.best_to(*on_it).is_none() && !is_dialing(*on_it));
            // One login to a host on the way is for all behind it.
            lacking.extend(to_make.filter(|on_it| once.insert(*on_it)).map(|on_it| (*turn, on_it)));
            lacking.push((*turn, *host));
        }
        lacking
    }
}
