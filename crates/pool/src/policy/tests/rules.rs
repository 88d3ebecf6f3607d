//! What holds at each step: every action as it comes, and the state after each event.

use std::collections::BTreeSet;

use super::world::{Fate, Heat, Stage, Wire, World};
use crate::policy::event::{Action, Closing, ConnectionId, Event, HostId, How, Lane, WaiterId};

impl World {
    /// Tells the policy, and does what it wants.
    pub(super) fn tell(&mut self, event: Event) {
        self.told.push(event);
        let mut actions = Vec::new();
        self.policy.handle(self.clock, event, &mut actions);
        let left = self.left_for_others(event, &actions);
        for action in actions {
            self.obey(action);
        }
        self.check();
        self.the_first_keeps_the_way(&left);
    }

    /// The connections that end because others want their places.
    fn left_for_others(&self, event: Event, actions: &[Action]) -> Vec<ConnectionId> {
        let changes_more = |action: &Action| {
            matches!(action, Action::Dial { .. } | Action::Grant { .. } | Action::Reject { .. })
        };
        // Who was the first when it was decided may have what was wanted.
        if actions.iter().any(changes_more) {
            return Vec::new();
        }
        let is_asked =
            matches!(event, Event::Worn { .. } | Event::Disconnect { .. } | Event::Shutdown { .. });
        let left = actions.iter().filter_map(|action| match *action {
            Action::Close { connection, why: Closing::Evicted } => {
                // Of what is drained nothing is left for others since then.
                (!self.connections[&connection].is_leaving).then_some(connection)
            }
            Action::Drain { connection } if !is_asked => Some(connection),
            _ => None,
        });
        left.collect()
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Dial { connection, host, carrier, .. } => {
                assert!(!self.is_ending, "a login after the end has begun");
                let early = self.retries.get(&host).is_some_and(|at| *at > self.latest);
                assert!(!early, "{host:?} is dialed before the time for it");
                let is_second = self.connections.values().any(|wire| wire.host == host);
                assert!(!(is_second && self.once.contains(&host)), "a second login, where there is one");
                let jump = self.policy.ways.get(&host);
                let below = carrier.map(|id| (&self.connections[&id], self.carried_by(id)));
                assert_eq!(jump, below.map(|(wire, _)| &wire.host), "{host:?} is dialed by another way");
                let carries_too_much = below.is_some_and(|(_, carried)| carried >= self.limits.streams);
                assert!(below.is_none_or(|(wire, _)| wire.state == Stage::Live) && !carries_too_much);
                let wire = Wire { host, carrier, state: Stage::Dialing, heat: Heat::Cold, is_leaving: false };
                assert!(self.connections.insert(connection, wire).is_none(), "{connection:?} is used twice");
            }
            Action::Retry { host, after, at } => {
                assert!(at > self.latest, "an attempt at once");
                assert!(!self.connections.contains_key(&after), "{after:?} has not failed");
                self.retries.insert(host, at);
            }
            Action::Abandon { connection } => {
                let wire = self.connections.get_mut(&connection).expect("a login that is there");
                assert_eq!(wire.state, Stage::Dialing);
                wire.state = Stage::Abandoned;
            }
            Action::Grant { waiter, connection, how, is_warm } => {
                self.grant(waiter, connection, how, is_warm);
            }
            Action::Warm { connection } => {
                let sessions = self.sessions_on(connection);
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert_eq!((wire.state, wire.heat), (Stage::Live, Heat::Cold));
                assert!(self.limits.warm && sessions < self.limits.channels, "{connection:?} has no room");
                wire.heat = Heat::Opening;
            }
            Action::Reject { waiter, why } => {
                let of = self.waiters.get_mut(&waiter).expect("one who asked");
                assert_eq!(of.state, Fate::Waiting, "{waiter:?} is told twice");
                of.state = Fate::Rejected(why);
            }
            Action::Close { connection, why } => {
                self.closed.insert(connection, why);
                let on_it = self.on(connection);
                assert!(on_it.is_empty(), "{connection:?} is closed under {on_it:?}");
                assert_eq!(self.carried_by(connection), 0, "{connection:?} is closed under others");
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert!(matches!(wire.state, Stage::Live | Stage::Abandoned), "{wire:?} is closed");
                wire.state = Stage::Closing;
            }
            Action::Drain { connection } => {
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert_eq!((wire.state, wire.is_leaving), (Stage::Live, false), "it is told once");
                wire.is_leaving = true;
            }
            Action::Recall { connection } => {
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert_eq!((wire.state, wire.is_leaving), (Stage::Live, true), "what stays was to leave");
                wire.is_leaving = false;
            }
            Action::Cut { connection } => {
                self.cut.insert(connection);
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert_eq!(wire.state, Stage::Live);
                wire.state = Stage::Closing;
            }
            Action::Probe { connection } => {
                assert!(self.connections.contains_key(&connection));
                self.probed.insert(connection);
            }
            Action::Stopped => {
                assert!(self.is_ending && self.connections.is_empty() && !self.has_stopped);
                self.has_stopped = true;
            }
        }
    }

    fn grant(&mut self, waiter: WaiterId, connection: ConnectionId, how: How, is_warm: bool) {
        let of = self.waiters[&waiter].clone();
        assert_eq!(of.state, Fate::Waiting, "{waiter:?} gets a second place");
        let wire = &self.connections[&connection];
        assert_eq!((wire.host, wire.state), (of.host, Stage::Live), "a place on another host, or on none");
        assert!(!wire.is_leaving, "a place on one that takes nothing new");
        let before = self.waiters.iter().find(|(other, before)| {
            **other < waiter
                && before.state == Fate::Waiting
                && (before.host, before.lane) == (of.host, of.lane)
        });
        assert!(before.is_none(), "{waiter:?} overtakes {before:?}");
        if of.lane == Lane::Bare {
            self.waiters.get_mut(&waiter).unwrap().state = Fate::Over;
            return;
        }
        let lanes: Vec<Lane> = self.on(connection).iter().map(|other| self.waiters[other].lane).collect();
        let wire = self.connections.get_mut(&connection).unwrap();
        assert_eq!(is_warm, of.lane.is_session() && wire.heat == Heat::Warm, "what is there is taken");
        if is_warm {
            wire.heat = Heat::Cold;
        }
        let sessions = self.sessions_on(connection);
        let has_room = match of.lane.is_session() {
            true => sessions < self.limits.channels,
            false => lanes.iter().filter(|lane| **lane == Lane::Stream).count() < self.limits.streams,
        };
        assert!(has_room, "{connection:?} has no room");
        let is_apart = match of.lane.may_stall() {
            false => !lanes.iter().any(|lane| lane.may_stall()),
            true => lanes.is_empty() && self.carried_by(connection) == 0,
        };
        assert_eq!(is_apart, !matches!(how, How::Folded { .. }), "{of:?} beside {lanes:?} is {how:?}");
        self.waiters.get_mut(&waiter).unwrap().state = Fate::Granted { connection, how, is_wanted: true };
    }

    /// Whoever could have a place has it, and whoever could be dialed for is: nobody waits for an event that may not come.
    fn nothing_is_put_off(&self) {
        let policy = &self.policy;
        assert!(policy.next_deadline().is_none_or(|next| next > self.latest), "something is due already");
        for (id, host) in &policy.hosts {
            for lane in Lane::ALL {
                if let Some((_, waiter)) = host.waiting.first(lane) {
                    let place = policy.place_for(*id, lane);
                    assert!(place.is_none(), "{waiter:?} waits in spite of {place:?}: {policy:?}");
                }
            }
            let is_limited = policy.dialing >= policy.limits.dials
                || policy.connections.len() >= policy.most_connections();
            let next = policy.next_dial(*id);
            assert!(is_limited || next.is_none(), "{next:?} is not dialed: {policy:?}");
        }
        let idle = policy.in_the_way();
        assert!(idle.is_empty(), "{idle:?} are idle on the way of somebody who waits: {policy:?}");
        let left = policy.left_in_vain();
        assert!(left.is_none(), "{left:?} leaves for nobody: {policy:?}");
    }

    /// Nobody loses the way to somebody who came later: that of the first in line stays, as far as it is there.
    fn the_first_keeps_the_way(&self, left: &[ConnectionId]) {
        let policy = &self.policy;
        let Some((_, first)) = policy.queue.first() else { return };
        let is_served = !policy.lacks_connection(*first, &policy.hosts[first]);
        if is_served || policy.connections_for(*first) > policy.most_connections() {
            return;
        }
        for id in left {
            let to = self.connections[id].host;
            if policy.way(*first).any(|jump| jump == to) {
                let mut way = policy.way(*first).take_while(|jump| *jump != to).chain([to]);
                let is_there = way.any(|jump| policy.best_to(jump).is_some());
                assert!(is_there, "{first:?} loses the way over {id:?}: {policy:?}");
            }
        }
    }

    /// Places of sessions at the server, that of the one opened ahead among them.
    fn sessions_on(&self, connection: ConnectionId) -> usize {
        let on = self.on(connection);
        let sessions = on.iter().filter(|other| self.waiters[other].lane.is_session()).count();
        sessions + usize::from(self.connections[&connection].heat != Heat::Cold)
    }

    fn carried_by(&self, connection: ConnectionId) -> usize {
        self.connections.values().filter(|wire| wire.carrier == Some(connection)).count()
    }

    fn on(&self, connection: ConnectionId) -> Vec<WaiterId> {
        self.in_fate(|fate| match fate {
            Fate::Granted { connection: on, .. } | Fate::Open { connection: on, .. } => on == connection,
            _ => false,
        })
    }

    fn check(&self) {
        self.nothing_is_put_off();
        assert!(self.connections.len() <= self.limits.connections, "too many connections");
        assert!(self.dialing().len() <= self.limits.dials, "too many logins");
        let hosts: BTreeSet<HostId> = self.connections.values().map(|wire| wire.host).collect();
        for host in hosts {
            let of_host = |stage: fn(Stage) -> bool| {
                self.connections.values().filter(|wire| wire.host == host && stage(wire.state)).count()
            };
            assert!(
                of_host(|_| true) <= self.limits.connections_per_host,
                "too many connections to {host:?}"
            );
            let dialing = of_host(|stage| stage == Stage::Dialing);
            assert!(dialing <= self.limits.dials_per_host, "too many logins to {host:?}");
        }
        for (id, waiter) in &self.waiters {
            if waiter.state == Fate::Waiting {
                assert!(waiter.deadline > self.latest, "{id:?} waits beyond its deadline");
                assert!(!self.is_ending, "{id:?} waits after the end has begun");
                let next = self.policy.next_deadline().expect("one who waits is looked after");
                assert!(next <= waiter.deadline);
            }
        }
        let waiting = self.in_fate(|fate| fate == Fate::Waiting).len();
        assert_eq!(waiting, self.policy.waiting, "those who wait are counted");
        // Those who had a place have their turn again, however many wait.
        let with_places = self.limits.connections * (self.limits.channels + self.limits.streams);
        assert!(waiting <= self.limits.waiting + with_places);
        let claims = self.in_fate(|fate| !matches!(fate, Fate::Rejected(_) | Fate::Over)).len();
        assert_eq!(claims, self.policy.claims.len(), "each is remembered as long as it lasts, and no longer");
    }
}
