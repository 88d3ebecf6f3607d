//! Connections that nobody uses and that somebody needs all the same: over them leads the way of one who waits.

use std::collections::BTreeMap;

use super::Policy;
use super::event::{ConnectionId, HostId};

impl Policy {
    /// The connection that carries the next login for those who wait for the host, if one that is there does: that to the
    /// nearest host on the way.
    fn way_over(&self, host: HostId) -> Option<ConnectionId> {
        let of = self.hosts.get(&host)?;
        if !self.lacks_connection(host, of) || self.connections_for(host) > self.most_connections() {
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
}
