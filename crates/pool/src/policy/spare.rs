//! Connections in use that are left to other hosts: they get nothing new and end with their last channel. Which of them, and
//! which stay after all.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Policy;
use super::connection::{Connection, State};
use super::event::{Action, ConnectionId, HostId};

impl Policy {
    /// A connection of another host that is to be left to this one, for which somebody with this turn waits.
    pub(super) fn spare_for(
        &self,
        host: HostId,
        turn: u64,
        needed: &BTreeMap<ConnectionId, u64>,
    ) -> Option<ConnectionId> {
        let is_fit =
            |one: &Connection| one.state == State::Ready && one.stalling() == 0 && one.carries() == 0;
        let spare = self.connections.iter().filter(|(id, one)| {
            let way_of = needed.get(*id).copied();
            is_fit(one) && self.leaves_for(**id, one, way_of, host, turn)
        });
        let rank = |id: ConnectionId, one: &Connection| {
            (!self.lets_in_once(one.host), self.count_of(one.host), Reverse((one.since(), id)))
        };
        spare.max_by_key(|(id, one)| rank(**id, one)).map(|(id, _)| *id)
    }

    /// Whether it is right to leave a connection to another host, for which somebody with this turn waits: its own has more
    /// than its share beside that one, and nobody who has waited as long needs it. Over it leads the way of one with the turn
    /// `way_of`.
    fn leaves_for(
        &self,
        id: ConnectionId,
        one: &Connection,
        way_of: Option<u64>,
        host: HostId,
        turn: u64,
    ) -> bool {
        let has = self.count_of(host);
        // Whoever has none takes turns even with one that has one.
        let has_more = one.host != host && (has == 0 || self.count_of(one.host) > has + 1);
        let first = way_of.into_iter().chain(self.first_without_another(id, one.host)).min();
        has_more && first.is_none_or(|first| first > turn)
    }

    fn count_of(&self, host: HostId) -> usize {
        self.hosts.get(&host).map_or(0, |of| of.connections.len())
    }

    /// The turn of the first who waits for the host, where nothing but this connection to it takes anything new, or will soon.
    fn first_without_another(&self, id: ConnectionId, host: HostId) -> Option<u64> {
        let of = self.hosts.get(&host)?;
        let takes = |other: &ConnectionId| {
            let other = self.connections.get(other).filter(|_| *other != id);
            other.is_some_and(|one| matches!(one.state, State::Dialing | State::Ready))
        };
        if of.connections.iter().any(takes) { None } else { of.waiting.turn() }
    }

    /// What was left for others and is not gone yet stays where it would not be left to any of them now.
    pub(super) fn take_back(&mut self, out: &mut Vec<Action>) {
        let connections = &self.connections;
        self.left.retain(|id| connections.get(id).is_some_and(Connection::is_left_for_others));
        while let Some(id) = self.left_in_vain() {
            self.left.remove(&id);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.state = State::Ready;
                self.touched.insert(connection.host);
                out.push(Action::Recall { connection: id });
            }
        }
    }

    /// One that was left for others, and that none of them lacks any more.
    pub(super) fn left_in_vain(&self) -> Option<ConnectionId> {
        // Nearly always there is none: this is asked after every event. And a login under way may show that this machine has no
        // room for it: then it is lacking again.
        if self.left.is_empty() || self.shortage.is_some() && self.dialing > 0 {
            return None;
        }
        // Those who have waited longest get what is free, and what is being closed.
        let free = self.most_connections().saturating_sub(self.connections.len()) + self.closing;
        let lacking = self.lacking_places();
        let lacking = lacking.get(free..).unwrap_or_default();
        let ways = self.ways_to_make();
        let is_in_vain = |id: &ConnectionId| {
            self.connections.get(id).filter(|one| one.is_left_for_others()).is_some_and(|one| {
                let way_of = ways.get(&one.host).copied();
                !lacking.iter().any(|(turn, host)| self.leaves_for(*id, one, way_of, *host, *turn))
            })
        };
        self.left.iter().copied().find(is_in_vain)
    }
}
