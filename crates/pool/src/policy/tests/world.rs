//! What the policy decides about: logins that succeed or fail, channels that open or not, time that passes. It checks each
//! action as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::policy::Policy;
use crate::policy::event::{
    Closing, ConnectionId, DialFailure, Event, HostId, How, Lane, Logins, Rejection, WaiterId,
};
use crate::policy::limits::Limits;

pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    /// What the clock says, and the latest that it has said.
    pub(super) clock: Instant,
    pub(super) latest: Instant,
    pub(super) connections: BTreeMap<ConnectionId, Wire>,
    pub(super) waiters: BTreeMap<WaiterId, Waiter>,
    /// Hosts that a login showed to let in once.
    pub(super) once: BTreeSet<HostId>,
    /// When a host may be dialed again.
    pub(super) retries: BTreeMap<HostId, Instant>,
    /// Connections that are no more.
    pub(super) gone: Vec<ConnectionId>,
    /// Those who had a place on a connection that is no more.
    pub(super) crossed: Vec<(WaiterId, ConnectionId)>,
    /// Why connections were closed; those that were cut; those that were asked for a sign of life.
    pub(super) closed: BTreeMap<ConnectionId, Closing>,
    pub(super) cut: BTreeSet<ConnectionId>,
    pub(super) probed: BTreeSet<ConnectionId>,
    /// Situations that came about.
    pub(super) met: BTreeSet<&'static str>,
    /// What was told, in this order.
    pub(super) told: Vec<Event>,
    pub(super) next_waiter: u64,
    pub(super) is_ending: bool,
    pub(super) has_stopped: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) host: HostId,
    /// What carries it.
    pub(super) carrier: Option<ConnectionId>,
    pub(super) state: Stage,
    /// The session that is opened ahead.
    pub(super) heat: Heat,
    /// Whether it was told that nothing new goes on it.
    pub(super) is_leaving: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heat {
    Cold,
    Opening,
    Warm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Dialing,
    /// The login is to be given up.
    Abandoned,
    Live,
    /// It was told to end.
    Closing,
}

#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) host: HostId,
    pub(super) lane: Lane,
    pub(super) deadline: Instant,
    pub(super) state: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Waiting,
    Granted {
        connection: ConnectionId,
        how: How,
        is_wanted: bool,
    },
    Open {
        connection: ConnectionId,
        how: How,
    },
    Rejected(Rejection),
    /// It got its place back, was cancelled, or went down with its connection.
    Over,
}

/// The host of most scenes.
pub(super) const HOST: HostId = HostId(1);

pub(super) fn acquire(world: &mut World, lane: Lane) -> WaiterId {
    world.acquire(HOST, lane, Logins::Many, Duration::from_secs(60))
}

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        let clock = Instant::now() + Duration::from_secs(1_000_000);
        Self {
            policy: Policy::new(limits.clone(), clock, 42),
            limits,
            clock,
            latest: clock,
            connections: BTreeMap::new(),
            waiters: BTreeMap::new(),
            once: BTreeSet::new(),
            retries: BTreeMap::new(),
            gone: Vec::new(),
            crossed: Vec::new(),
            closed: BTreeMap::new(),
            cut: BTreeSet::new(),
            probed: BTreeSet::new(),
            met: BTreeSet::new(),
            told: Vec::new(),
            next_waiter: 0,
            is_ending: false,
            has_stopped: false,
        }
    }

    // ---- what is asked of it ----------------------------------------------------------------------

    pub(super) fn now(&self) -> Instant {
        self.latest
    }

    pub(super) fn dialing(&self) -> Vec<ConnectionId> {
        self.in_stage(|stage| stage == Stage::Dialing)
    }

    pub(super) fn closing(&self) -> Vec<ConnectionId> {
        self.in_stage(|stage| stage == Stage::Closing)
    }

    pub(super) fn place_of(&self, waiter: WaiterId) -> Option<ConnectionId> {
        match self.waiters[&waiter].state {
            Fate::Granted { connection, .. } | Fate::Open { connection, .. } => Some(connection),
            _ => None,
        }
    }

    pub(super) fn how(&self, waiter: WaiterId) -> How {
        match self.waiters[&waiter].state {
            Fate::Granted { how, .. } | Fate::Open { how, .. } => how,
            other => panic!("{waiter:?} has no place: {other:?}"),
        }
    }

    pub(super) fn rejection(&self, waiter: WaiterId) -> Option<Rejection> {
        match self.waiters[&waiter].state {
            Fate::Rejected(why) => Some(why),
            _ => None,
        }
    }

    pub(super) fn in_stage(&self, wanted: impl Fn(Stage) -> bool) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, wire)| wanted(wire.state)).map(|(id, _)| *id).collect()
    }

    pub(super) fn in_heat(&self, wanted: impl Fn(Heat) -> bool) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, wire)| wanted(wire.heat)).map(|(id, _)| *id).collect()
    }

    pub(super) fn in_fate(&self, wanted: impl Fn(Fate) -> bool) -> Vec<WaiterId> {
        self.waiters.iter().filter(|(_, waiter)| wanted(waiter.state)).map(|(id, _)| *id).collect()
    }

    /// Lets a login for the one who waits succeed, and opens the channel.
    pub(super) fn connects(&mut self, waiter: WaiterId) -> ConnectionId {
        let connection = *self.dialing().last().expect("a login");
        self.dial_succeeds(connection, Logins::Many);
        assert_eq!(self.place_of(waiter), Some(connection));
        self.opens(waiter);
        connection
    }

    /// Lets time pass until the next login begins; gives back how long it was.
    pub(super) fn waits_for_login(&mut self) -> Duration {
        let begun = self.latest;
        while self.dialing().is_empty() {
            self.passes_to_next_deadline();
        }
        self.latest - begun
    }

    // ---- what happens to it -----------------------------------------------------------------------

    pub(super) fn acquire(
        &mut self,
        host: HostId,
        lane: Lane,
        logins: Logins,
        patience: Duration,
    ) -> WaiterId {
        let waiter = WaiterId(self.next_waiter);
        self.next_waiter += 1;
        let deadline = self.latest + patience;
        if patience.is_zero() {
            self.met.insert("the deadline is over when somebody asks");
        }
        if self.is_ending {
            self.met.insert("somebody asks after the end has begun");
        }
        self.waiters.insert(waiter, Waiter { host, lane, deadline, state: Fate::Waiting });
        self.tell(Event::Acquire { waiter, host, lane, logins, deadline });
        waiter
    }

    /// Whoever has a channel gives it back by its end, so that this changes nothing for them.
    pub(super) fn cancel(&mut self, waiter: WaiterId) {
        let of = self.waiters.get_mut(&waiter).unwrap();
        let (met, state) = match of.state {
            Fate::Granted { connection, how, .. } => {
                let state = Fate::Granted { connection, how, is_wanted: false };
                ("one who has a place is cancelled before the channel is confirmed", state)
            }
            Fate::Open { .. } => ("one who has a channel is cancelled", of.state),
            _ => ("one who waits is cancelled", Fate::Over),
        };
        self.met.insert(met);
        of.state = state;
        self.tell(Event::Cancel { waiter });
    }

    pub(super) fn dial_succeeds(&mut self, connection: ConnectionId, logins: Logins) {
        let wire = self.connections.get_mut(&connection).unwrap();
        let is_wanted = wire.state == Stage::Dialing;
        if is_wanted {
            wire.state = Stage::Live;
            self.retries.remove(&wire.host);
            match logins {
                Logins::One => self.once.insert(wire.host),
                Logins::Many => self.once.remove(&wire.host),
                Logins::Unknown => false,
            };
        }
        self.tell(Event::Dialed { connection, logins });
        if !is_wanted {
            self.met.insert("a login succeeds after it was given up");
            assert!(self.closing().contains(&connection), "{connection:?} came too late, and is not closed");
        }
    }

    pub(super) fn dial_fails(&mut self, connection: ConnectionId, failure: DialFailure) {
        if self.connections[&connection].state == Stage::Abandoned {
            self.met.insert("a login fails after it was given up");
        }
        self.has_gone(connection);
        self.tell(Event::DialFailed { connection, failure });
    }

    pub(super) fn opens(&mut self, waiter: WaiterId) {
        let of = self.waiters.get_mut(&waiter).unwrap();
        let Fate::Granted { connection, how, is_wanted } = of.state else { panic!("{of:?}") };
        of.state = Fate::Open { connection, how };
        if !is_wanted {
            self.met.insert("a channel is confirmed after nobody wants it any more");
        }
        self.tell(Event::Opened { waiter, connection });
    }

    pub(super) fn refuses(&mut self, waiter: WaiterId) {
        let of = self.waiters.get_mut(&waiter).unwrap();
        let Fate::Granted { connection, is_wanted, .. } = of.state else { panic!("{of:?}") };
        of.state = if is_wanted && of.lane.is_session() { Fate::Waiting } else { Fate::Over };
        if !is_wanted {
            self.met.insert("a channel is refused after nobody wants it any more");
        }
        self.tell(Event::Refused { waiter, connection });
    }

    pub(super) fn warms(&mut self, connection: ConnectionId) {
        self.connections.get_mut(&connection).unwrap().heat = Heat::Warm;
        self.tell(Event::Warmed { connection });
    }

    pub(super) fn cools(&mut self, connection: ConnectionId) {
        self.connections.get_mut(&connection).unwrap().heat = Heat::Cold;
        self.tell(Event::Cooled { connection });
    }

    pub(super) fn ends(&mut self, waiter: WaiterId) {
        let connection = self.place_of(waiter).unwrap();
        self.waiters.get_mut(&waiter).unwrap().state = Fate::Over;
        self.tell(Event::Released { waiter, connection });
    }

    /// What the last connection to a host showed goes with it.
    fn has_gone(&mut self, connection: ConnectionId) {
        self.gone.push(connection);
        if let Some(gone) = self.connections.remove(&connection)
            && self.connections.values().all(|wire| wire.host != gone.host)
        {
            self.once.remove(&gone.host);
        }
    }

    pub(super) fn is_lost(&mut self, connection: ConnectionId) {
        if matches!(self.connections[&connection].state, Stage::Dialing | Stage::Abandoned) {
            self.met.insert("a login is lost");
        }
        self.has_gone(connection);
        for (id, waiter) in &mut self.waiters {
            match waiter.state {
                Fate::Granted { connection: on, is_wanted, .. } if on == connection => {
                    waiter.state = if is_wanted { Fate::Waiting } else { Fate::Over };
                }
                Fate::Open { connection: on, .. } if on == connection => waiter.state = Fate::Over,
                _ => continue,
            }
            self.crossed.push((*id, connection));
        }
        self.tell(Event::Lost { connection });
    }

    pub(super) fn network_changes(&mut self) {
        self.retries.clear();
        self.tell(Event::NetworkChanged);
    }

    pub(super) fn shut_down(&mut self, within: Duration) {
        self.is_ending = true;
        self.tell(Event::Shutdown { by: self.latest + within });
    }

    pub(super) fn is_closed(&mut self, connection: ConnectionId) {
        self.is_lost(connection);
    }

    pub(super) fn passes(&mut self, time: Duration) {
        self.clock += time;
        self.latest = self.latest.max(self.clock);
        self.tell(Event::Tick);
    }

    pub(super) fn passes_to_next_deadline(&mut self) {
        let next = self.policy.next_deadline().expect("somebody waits, and nothing is due");
        self.passes(next.saturating_duration_since(self.clock));
    }

    // ---- ends -------------------------------------------------------------------------------------

    /// From now on everything works and everything ends: then all who wait are served, each after no more than so many
    /// rounds.
    pub(super) fn serve_all(&mut self) {
        let patient: Vec<WaiterId> = self.in_fate(|fate| fate == Fate::Waiting);
        for _ in 0..60 {
            self.everything_works();
            let next = self.policy.next_deadline().map_or(self.latest, |next| next.max(self.latest));
            let step = (next - self.latest).min(Duration::from_millis(100));
            self.clock = self.latest;
            self.passes(step);
        }
        self.passes(self.limits.refused);
        for waiter in patient {
            let fate = self.waiters[&waiter].state;
            assert!(fate != Fate::Waiting, "{waiter:?} still waits: {:?}", self.policy);
        }
        // And nobody's patience was needed: one who waits on is served.
        let late: Vec<WaiterId> = (0..6)
            .map(|n| {
                let lane = Lane::ALL[usize::try_from(n % 4).unwrap()];
                self.acquire(HostId(n % 3), lane, Logins::Unknown, Duration::from_secs(3600))
            })
            .collect();
        for _ in 0..400 {
            self.everything_works();
            self.clock = self.latest;
            self.passes(Duration::from_millis(100));
        }
        for waiter in late {
            assert_eq!(
                self.waiters[&waiter].state,
                Fate::Over,
                "{waiter:?} was not served: {:?}",
                self.policy
            );
        }
    }

    pub(super) fn everything_connects(&mut self) {
        for connection in self.dialing() {
            if self.dialing().contains(&connection) {
                self.dial_succeeds(connection, Logins::Many);
            }
        }
    }

    pub(super) fn everything_works(&mut self) {
        for connection in self.in_stage(|stage| stage == Stage::Abandoned) {
            self.dial_fails(connection, DialFailure::Abandoned);
        }
        for connection in self.closing() {
            self.is_closed(connection);
        }
        let falls =
            |world: &Self, wire: &Wire| wire.carrier.is_some_and(|id| !world.connections.contains_key(&id));
        while let Some(fallen) =
            self.connections.iter().find(|(_, wire)| falls(self, wire)).map(|(id, _)| *id)
        {
            self.is_lost(fallen);
        }
        for connection in self.dialing() {
            // It may have been given up because of another that succeeded.
            if self.dialing().contains(&connection) {
                self.dial_succeeds(connection, Logins::Many);
            }
        }
        for connection in self.in_heat(|heat| heat == Heat::Opening) {
            self.warms(connection);
        }
        for waiter in self.in_fate(|fate| matches!(fate, Fate::Granted { is_wanted: true, .. })) {
            self.opens(waiter);
        }
        for waiter in self.in_fate(|fate| matches!(fate, Fate::Open { .. } | Fate::Granted { .. })) {
            self.ends(waiter);
        }
    }

    /// Nobody wants anything any more: all connections end by themselves, and nothing is remembered.
    pub(super) fn fall_asleep(&mut self) {
        for _ in 0..1000 {
            self.everything_works();
            self.clock = self.latest;
            match self.policy.next_deadline() {
                Some(_) => self.passes_to_next_deadline(),
                // What carried others ends after them.
                None if self.closing().is_empty() => break,
                None => {}
            }
        }
        assert!(self.connections.is_empty(), "{:?}", self.connections);
        self.nothing_is_left();
    }

    /// The end has begun: it comes, whatever those who have places do.
    pub(super) fn stop(&mut self) {
        self.clock = self.latest;
        self.passes(Duration::from_secs(3));
        for connection in self.in_stage(|stage| stage == Stage::Abandoned) {
            self.dial_fails(connection, DialFailure::Abandoned);
        }
        assert_eq!(self.closing().len(), self.connections.len(), "all are ended");
        for connection in self.closing() {
            self.is_closed(connection);
        }
        assert!(self.has_stopped);
        assert!(self.policy.claims.is_empty() && self.policy.waiting == 0, "{:?}", self.policy);
    }

    fn nothing_is_left(&self) {
        let policy = &self.policy;
        assert!(policy.claims.is_empty() && policy.queue.is_empty() && policy.left.is_empty(), "{policy:?}");
        assert!(policy.connections.is_empty() && policy.hosts.is_empty(), "{policy:?}");
        assert_eq!((policy.waiting, policy.dialing, policy.closing), (0, 0, 0));
    }
}
