//! What holds at each step: every action as it comes, and the state after each event.

use std::collections::BTreeSet;

use super::world::{Fate, Stage, Wire, World};
use crate::policy::event::{Action, ConnectionId, Event, HostId, How, Lane, WaiterId};

impl World {
    /// Tells the policy, and does what it wants.
    pub(super) fn tell(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.policy.handle(self.clock, event, &mut actions);
        for action in actions {
            self.obey(action);
        }
        self.check();
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Dial { connection, host, .. } => {
                assert!(!self.is_ending, "a login after the end has begun");
                let is_second = self.connections.values().any(|wire| wire.host == host);
                assert!(!(is_second && self.once.contains(&host)), "a second login, where there is one");
                let wire = Wire { host, state: Stage::Dialing };
                assert!(self.connections.insert(connection, wire).is_none(), "{connection:?} is used twice");
            }
            Action::Abandon { connection } => {
                let wire = self.connections.get_mut(&connection).expect("a login that is there");
                assert_eq!(wire.state, Stage::Dialing);
                wire.state = Stage::Abandoned;
            }
            Action::Grant { waiter, connection, how } => self.grant(waiter, connection, how),
            Action::Reject { waiter, why } => {
                let of = self.waiters.get_mut(&waiter).expect("one who asked");
                assert_eq!(of.state, Fate::Waiting, "{waiter:?} is told twice");
                of.state = Fate::Rejected(why);
            }
            Action::Close { connection, .. } => {
                let on_it = self.on(connection);
                assert!(on_it.is_empty(), "{connection:?} is closed under {on_it:?}");
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert!(matches!(wire.state, Stage::Live | Stage::Abandoned), "{wire:?} is closed");
                wire.state = Stage::Closing;
            }
            Action::Cut { connection } => {
                let wire = self.connections.get_mut(&connection).expect("a connection that is there");
                assert_eq!(wire.state, Stage::Live);
                wire.state = Stage::Closing;
            }
            Action::Probe { connection } => assert!(self.connections.contains_key(&connection)),
            Action::Stopped => {
                assert!(self.is_ending && self.connections.is_empty() && !self.has_stopped);
                self.has_stopped = true;
            }
        }
    }

    fn grant(&mut self, waiter: WaiterId, connection: ConnectionId, how: How) {
        let of = self.waiters[&waiter].clone();
        assert_eq!(of.state, Fate::Waiting, "{waiter:?} gets a second place");
        let wire = &self.connections[&connection];
        assert_eq!((wire.host, wire.state), (of.host, Stage::Live), "a place on another host, or on none");
        let before = self.waiters.iter().find(|(other, before)| {
            **other < waiter
                && before.state == Fate::Waiting
                && (before.host, before.lane) == (of.host, of.lane)
        });
        assert!(before.is_none(), "{waiter:?} overtakes {before:?}");
        let beside = self.on(connection);
        assert!(beside.len() < self.limits.channels, "{connection:?} has no room");
        let lanes: BTreeSet<Lane> = beside.iter().map(|other| self.waiters[other].lane).collect();
        let is_apart = match of.lane {
            Lane::Shared => !lanes.contains(&Lane::Isolated),
            Lane::Isolated => lanes.is_empty(),
        };
        assert_eq!(is_apart, !matches!(how, How::Folded { .. }), "{of:?} beside {lanes:?} is {how:?}");
        self.waiters.get_mut(&waiter).unwrap().state = Fate::Granted { connection, how, is_wanted: true };
    }

    fn on(&self, connection: ConnectionId) -> Vec<WaiterId> {
        self.in_fate(|fate| match fate {
            Fate::Granted { connection: on, .. } | Fate::Open { connection: on, .. } => on == connection,
            _ => false,
        })
    }

    fn check(&self) {
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
        let with_places = self.limits.connections * self.limits.channels;
        assert!(waiting <= self.limits.waiting + with_places);
        let claims = self.in_fate(|fate| !matches!(fate, Fate::Rejected(_) | Fate::Over)).len();
        assert_eq!(claims, self.policy.claims.len(), "each is remembered as long as it lasts, and no longer");
    }
}
