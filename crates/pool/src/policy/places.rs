//! Who gets which place, in what order.

use super::connection::Connection;
use super::event::{Action, ConnectionId, HostId, How, Lane, WaiterId};
use super::host::Host;
use super::{Held, Policy};

impl Policy {
    pub(super) fn serve_touched(&mut self, out: &mut Vec<Action>) {
        self.had_room |= self.has_room();
        while let Some(host) = self.touched.pop_first() {
            self.serve(host, out);
            self.warm_up(host, out);
            self.queue_up(host);
            self.look_at_ways(host);
        }
    }

    /// Whether there is no room for other connections any more, and there was: then whoever hoped for one shares what there
    /// is.
    pub(super) fn has_lost_room(&mut self) -> bool {
        let has_room = self.queue.is_empty() || self.has_room();
        let is_lost = std::mem::replace(&mut self.had_room, has_room) && !has_room;
        if is_lost {
            self.touched.extend(self.queue.iter().map(|(_, host)| *host));
        }
        is_lost
    }

    /// Gives places to those who wait for this host, in their turns.
    fn serve(&mut self, host: HostId, out: &mut Vec<Action>) {
        let mut open = Lane::ALL.to_vec();
        let first_carried = self.first_to_carry(host);
        while let Some(of) = self.hosts.get(&host) {
            let first = open.iter().filter_map(|&lane| of.waiting.first(lane).map(|next| (next, lane))).min();
            let Some(((turn, waiter), lane)) = first else { return };
            if lane == Lane::Stream && first_carried.is_some_and(|first| first < turn) {
                self.after_dials.insert(host);
                open.retain(|other| *other != lane);
                continue;
            }
            match self.place_for(host, lane) {
                Some((connection, is_folded)) => self.grant(waiter, connection, is_folded, out),
                None => open.retain(|other| *other != lane),
            }
        }
    }

    /// Opens a session ahead wherever there is none, and a place for it that nobody waits for.
    fn warm_up(&mut self, host: HostId, out: &mut Vec<Action>) {
        let Some(of) = self.hosts.get(&host).filter(|_| self.limits.warm) else { return };
        let most = self.channels_of(host);
        for &id in &of.connections {
            if self.connections.get_mut(&id).is_some_and(|one| one.warm_up(self.now, most)) {
                out.push(Action::Warm { connection: id });
            }
        }
    }

    pub(super) fn warmed(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.warmed();
            self.touched.insert(connection.host);
            self.answered(id);
        }
    }

    pub(super) fn cooled(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.cooled(self.now + self.limits.relearn);
            self.touched.insert(connection.host);
        }
    }

    fn grant(&mut self, waiter: WaiterId, id: ConnectionId, is_folded: bool, out: &mut Vec<Action>) {
        let Some(mut claim) = self.claims.get(&waiter).copied() else { return };
        self.wait_no_more(waiter, claim);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let is_warm = claim.lane.is_session() && connection.take_warm();
        if claim.lane == Lane::Bare {
            self.claims.remove(&waiter);
        } else {
            claim.state = Held::Granted(id);
            self.claims.insert(waiter, claim);
            connection.enter(waiter, claim.lane);
        }
        let waited = self.now.saturating_duration_since(claim.since);
        let how = if is_folded {
            How::Folded { waited }
        } else if connection.since() > claim.since {
            How::Connected { waited }
        } else if waited.is_zero() {
            How::Shared
        } else {
            How::Queued { waited }
        };
        out.push(Action::Grant { waiter, connection: id, how, is_warm });
    }

    /// Where a channel of this lane goes now, and whether it is beside others that it should be kept from.
    pub(super) fn place_for(&self, host: HostId, lane: Lane) -> Option<(ConnectionId, bool)> {
        let of = self.hosts.get(&host)?;
        let most = self.channels_of(host);
        let mut open: Vec<(ConnectionId, &Connection)> = of
            .connections
            .iter()
            .filter_map(|id| self.connections.get(id).map(|connection| (*id, connection)))
            .filter(|(_, connection)| connection.has_room(self.now, lane, most, self.limits.streams))
            .collect();
        // One that answers late is for those who have no other.
        if open.iter().any(|(_, connection)| !connection.is_degraded) {
            open.retain(|(_, connection)| !connection.is_degraded);
        }
        let apart = match lane {
            // The fullest, so that the others come to rest.
            Lane::Shared => open
                .iter()
                .filter(|(_, connection)| connection.stalling() == 0)
                .min_by_key(|(id, connection)| (most.saturating_sub(connection.sessions()), *id)),
            Lane::Isolated | Lane::Stream if self.more_that_may_stall(of) == 0 => None,
            Lane::Isolated | Lane::Stream => open.iter().find(|(_, connection)| connection.is_empty()),
            Lane::Bare => open.first(),
        };
        if let Some((id, _)) = apart {
            return Some((*id, false));
        }
        if self.may_grow(host, of, lane) {
            return None;
        }
        // What may stall goes where the fewest others are that may, and rather not beside short work.
        let is_beside_short = |one: &Connection| lane.may_stall() && one.stalling() == 0;
        let together =
            open.iter().min_by_key(|(id, one)| (is_beside_short(one), one.stalling(), one.places(), *id));
        together.map(|(id, one)| (*id, !one.is_empty()))
    }

    /// Whether those who wait for the host in this lane may hope for another connection.
    pub(super) fn may_grow(&self, id: HostId, host: &Host, lane: Lane) -> bool {
        if lane.may_stall() && self.more_that_may_stall(host) == 0 {
            return false;
        }
        if self.dialing_of(host) > 0 {
            return true;
        }
        // Once all attempts have failed, nothing is hoped for until the next.
        let is_trying = !host.has_given_up || !host.waits_to_retry(self.now);
        let is_allowed = self.living_of(host) < self.most_of_host(host);
        self.ending.is_none() && is_trying && is_allowed && self.has_room() && self.has_way(id)
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
        if host.is_forgettable(self.now) && !self.is_wanted_for_others(id) {
            self.hosts.remove(&id);
        }
    }
}
