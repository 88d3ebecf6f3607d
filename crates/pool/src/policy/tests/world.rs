//! What the policy decides about: logins that succeed or fail, channels that open or not, time that passes. It checks each
//! action as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::super::*;

/// Something that happens to the world.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Acquire { host: u64, isolated: bool, logins: u8, patience: u64 },
    Cancel(u8),
    DialSucceeds { which: u8, logins: u8 },
    DialFails { which: u8, failure: u8 },
    Opens(u8),
    Refuses { which: u8, limit: bool },
    Ends(u8),
    IsLost(u8),
    IsClosed(u8),
    Degrades(u8),
    Recovers(u8),
    Wears(u8),
    Disconnect { which: u8, within: u64 },
    RetireIdle,
    NetworkChanges,
    Passes(u64),
    ClockGoesBack(u64),
    Shutdown { within: u64 },
}

pub(super) struct World {
    policy: Policy,
    limits: Limits,
    /// What the clock says, and the latest that it has said.
    clock: Instant,
    latest: Instant,
    connections: BTreeMap<ConnectionId, Wire>,
    waiters: BTreeMap<WaiterId, Waiter>,
    /// Hosts that a login showed to let in once.
    once: BTreeSet<HostId>,
    next_waiter: u64,
    is_ending: bool,
    has_stopped: bool,
}

#[derive(Debug, Clone)]
struct Wire {
    host: HostId,
    state: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialing,
    /// The login is to be given up.
    Abandoned,
    Live,
    /// It was told to end.
    Closing,
}

#[derive(Debug, Clone)]
struct Waiter {
    host: HostId,
    lane: Lane,
    deadline: Instant,
    state: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Granted { connection: ConnectionId, how: How, is_wanted: bool },
    Open { connection: ConnectionId, how: How },
    Rejected(Rejection),
    /// It got its place back, was cancelled, or went down with its connection.
    Over,
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

    fn in_stage(&self, wanted: impl Fn(Stage) -> bool) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, wire)| wanted(wire.state)).map(|(id, _)| *id).collect()
    }

    fn in_fate(&self, wanted: impl Fn(Fate) -> bool) -> Vec<WaiterId> {
        self.waiters.iter().filter(|(_, waiter)| wanted(waiter.state)).map(|(id, _)| *id).collect()
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
        self.waiters.insert(waiter, Waiter { host, lane, deadline, state: Fate::Waiting });
        self.tell(Event::Acquire { waiter, host, lane, logins, deadline });
        waiter
    }

    pub(super) fn dial_succeeds(&mut self, connection: ConnectionId, logins: Logins) {
        let wire = self.connections.get_mut(&connection).unwrap();
        if wire.state == Stage::Dialing {
            wire.state = Stage::Live;
            match logins {
                Logins::One => self.once.insert(wire.host),
                Logins::Many => self.once.remove(&wire.host),
                Logins::Unknown => false,
            };
        }
        self.tell(Event::Dialed { connection, logins });
    }

    pub(super) fn dial_fails(&mut self, connection: ConnectionId, failure: DialFailure) {
        self.has_gone(connection);
        self.tell(Event::DialFailed { connection, failure });
    }

    pub(super) fn opens(&mut self, waiter: WaiterId) {
        let of = self.waiters.get_mut(&waiter).unwrap();
        let Fate::Granted { connection, how, .. } = of.state else { panic!("{of:?}") };
        of.state = Fate::Open { connection, how };
        self.tell(Event::Opened { waiter });
    }

    pub(super) fn refuses(&mut self, waiter: WaiterId, refusal: Refusal) {
        let of = self.waiters.get_mut(&waiter).unwrap();
        let Fate::Granted { is_wanted, .. } = of.state else { panic!("{of:?}") };
        of.state = if is_wanted && refusal == Refusal::Limit { Fate::Waiting } else { Fate::Over };
        self.tell(Event::Refused { waiter, refusal });
    }

    pub(super) fn ends(&mut self, waiter: WaiterId) {
        self.waiters.get_mut(&waiter).unwrap().state = Fate::Over;
        self.tell(Event::Released { waiter });
    }

    /// What the last connection to a host showed goes with it.
    fn has_gone(&mut self, connection: ConnectionId) {
        if let Some(gone) = self.connections.remove(&connection)
            && self.connections.values().all(|wire| wire.host != gone.host)
        {
            self.once.remove(&gone.host);
        }
    }

    pub(super) fn is_lost(&mut self, connection: ConnectionId) {
        self.has_gone(connection);
        for waiter in self.waiters.values_mut() {
            match waiter.state {
                Fate::Granted { connection: on, is_wanted, .. } if on == connection => {
                    waiter.state = if is_wanted { Fate::Waiting } else { Fate::Over };
                }
                Fate::Open { connection: on, .. } if on == connection => waiter.state = Fate::Over,
                _ => {}
            }
        }
        self.tell(Event::Lost { connection });
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

    /// Does what the step says to one of those that it can be done to.
    pub(super) fn step(&mut self, step: Step) {
        let live = |world: &Self| world.in_stage(|stage| matches!(stage, Stage::Live | Stage::Closing));
        let granted = |world: &Self| world.in_fate(|fate| matches!(fate, Fate::Granted { .. }));
        match step {
            Step::Acquire { host, isolated, logins, patience } => {
                let lane = if isolated { Lane::Isolated } else { Lane::Shared };
                self.acquire(HostId(host), lane, logins_of(logins), Duration::from_millis(patience));
            }
            Step::Cancel(which) => {
                let all = self.in_fate(|fate| matches!(fate, Fate::Waiting | Fate::Granted { is_wanted: true, .. }));
                if let Some(waiter) = pick(&all, which) {
                    let of = self.waiters.get_mut(&waiter).unwrap();
                    of.state = match of.state {
                        Fate::Granted { connection, how, .. } => {
                            Fate::Granted { connection, how, is_wanted: false }
                        }
                        _ => Fate::Over,
                    };
                    self.tell(Event::Cancel { waiter });
                }
            }
            Step::DialSucceeds { which, logins } => {
                let all = self.in_stage(|stage| matches!(stage, Stage::Dialing | Stage::Abandoned));
                if let Some(connection) = pick(&all, which) {
                    self.dial_succeeds(connection, logins_of(logins));
                }
            }
            Step::DialFails { which, failure } => {
                let all = self.in_stage(|stage| matches!(stage, Stage::Dialing | Stage::Abandoned));
                if let Some(connection) = pick(&all, which) {
                    let failure = match failure {
                        0 => DialFailure::Transient,
                        1 => DialFailure::Busy,
                        2 => DialFailure::Shortage,
                        _ => DialFailure::Final,
                    };
                    self.dial_fails(connection, failure);
                }
            }
            Step::Opens(which) => {
                if let Some(waiter) = pick(&granted(self), which) {
                    self.opens(waiter);
                }
            }
            Step::Refuses { which, limit } => {
                if let Some(waiter) = pick(&granted(self), which) {
                    self.refuses(waiter, if limit { Refusal::Limit } else { Refusal::Other });
                }
            }
            Step::Ends(which) => {
                let all = self.in_fate(|fate| {
                    matches!(fate, Fate::Open { .. } | Fate::Granted { is_wanted: false, .. })
                });
                if let Some(waiter) = pick(&all, which) {
                    self.ends(waiter);
                }
            }
            Step::IsLost(which) => {
                if let Some(connection) = pick(&live(self), which) {
                    self.is_lost(connection);
                }
            }
            Step::IsClosed(which) => {
                if let Some(connection) = pick(&self.closing(), which) {
                    self.is_closed(connection);
                }
            }
            Step::Degrades(which) => self.tell_of(&live(self), which, |connection| Event::Degraded { connection }),
            Step::Recovers(which) => self.tell_of(&live(self), which, |connection| Event::Recovered { connection }),
            Step::Wears(which) => self.tell_of(&live(self), which, |connection| Event::Worn { connection }),
            Step::Disconnect { which, within } => {
                let by = self.latest + Duration::from_millis(within);
                let all: Vec<_> = self.connections.keys().copied().collect();
                self.tell_of(&all, which, |connection| Event::Disconnect { connection, by });
            }
            Step::RetireIdle => self.tell(Event::RetireIdle),
            Step::NetworkChanges => self.tell(Event::NetworkChanged),
            Step::Passes(milliseconds) => self.passes(Duration::from_millis(milliseconds)),
            Step::ClockGoesBack(milliseconds) => {
                self.clock -= Duration::from_millis(milliseconds);
                self.tell(Event::Tick);
            }
            Step::Shutdown { within } => {
                self.is_ending = true;
                self.tell(Event::Shutdown { by: self.latest + Duration::from_millis(within) });
            }
        }
    }

    fn tell_of(&mut self, all: &[ConnectionId], which: u8, event: impl Fn(ConnectionId) -> Event) {
        if let Some(connection) = pick(all, which) {
            self.tell(event(connection));
        }
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
        for waiter in patient {
            let fate = self.waiters[&waiter].state;
            assert!(fate != Fate::Waiting, "{waiter:?} still waits: {:?}", self.policy);
        }
        // And nobody's patience was needed: one who waits on is served.
        let late: Vec<WaiterId> = (0..6)
            .map(|n| {
                let lane = if n % 2 == 0 { Lane::Shared } else { Lane::Isolated };
                self.acquire(HostId(n % 3), lane, Logins::Unknown, Duration::from_secs(3600))
            })
            .collect();
        for _ in 0..400 {
            self.everything_works();
            self.clock = self.latest;
            self.passes(Duration::from_millis(100));
        }
        for waiter in late {
            assert_eq!(self.waiters[&waiter].state, Fate::Over, "{waiter:?} was not served: {:?}", self.policy);
        }
    }

    fn everything_works(&mut self) {
        for connection in self.in_stage(|stage| stage == Stage::Abandoned) {
            self.dial_fails(connection, DialFailure::Abandoned);
        }
        for connection in self.closing() {
            self.is_closed(connection);
        }
        for connection in self.dialing() {
            // It may have been given up because of another that succeeded.
            if self.dialing().contains(&connection) {
                self.dial_succeeds(connection, Logins::Many);
            }
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
                None => break,
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
        assert!(policy.claims.is_empty() && policy.queue.is_empty(), "{policy:?}");
        assert!(policy.connections.is_empty() && policy.hosts.is_empty(), "{policy:?}");
        assert_eq!((policy.waiting, policy.dialing, policy.closing), (0, 0, 0));
    }

    // ---- the rules --------------------------------------------------------------------------------

    /// Tells the policy, and does what it wants.
    fn tell(&mut self, event: Event) {
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
            assert!(of_host(|_| true) <= self.limits.connections_per_host, "too many connections to {host:?}");
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

fn pick<T: Copy>(all: &[T], which: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(which) % all.len()])
}

fn logins_of(which: u8) -> Logins {
    match which {
        0 => Logins::Unknown,
        1 => Logins::Many,
        _ => Logins::One,
    }
}
