//! What happens to the world, in any order.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Fate, Heat, Stage, World};
use crate::policy::event::{ConnectionId, DialFailure, Event, HostId, Lane, Logins};

/// Something that happens to the world. A number says to which of those that it can happen to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Acquire {
        host: u64,
        lane: u8,
        logins: u8,
        patience: u64,
    },
    /// One of those that may be behind another is from now on.
    GoesBehind(u8),
    Keeps(u8),
    Cancel(u8),
    DialSucceeds {
        which: u8,
        logins: u8,
    },
    DialFails {
        which: u8,
        failure: u8,
    },
    Opens(u8),
    Refuses(u8),
    Ends(u8),
    IsLost(u8),
    IsClosed(u8),
    Warms(u8),
    Cools(u8),
    Degrades(u8),
    Recovers(u8),
    Wears(u8),
    Disconnect {
        which: u8,
        within: u64,
    },
    RetireIdle,
    NetworkChanges,
    Passes(u64),
    /// The machine slept for so many seconds.
    Jumps(u64),
    /// Something is told with an earlier time than what was told before it.
    IsToldLate(u64),
    /// What became of a channel is told when its connection is gone.
    CrossesLoss {
        which: u8,
        what: u8,
    },
    /// Something is told of a connection that is gone.
    IsOfTheGone {
        which: u8,
        what: u8,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<u8>;
    // Now and then it is over at once.
    let patience = prop_oneof![30 => 0..5_000_u64, 1 => Just(0)];
    let one = prop_oneof![
        16 => (0..3_u64, 0..7_u8, 0..3_u8, patience)
            .prop_map(|(host, lane, logins, patience)| Step::Acquire { host, lane, logins, patience }),
        4 => which().prop_map(Step::GoesBehind),
        2 => which().prop_map(Step::Keeps),
        6 => which().prop_map(Step::Cancel),
        10 => (which(), 0..3_u8).prop_map(|(which, logins)| Step::DialSucceeds { which, logins }),
        4 => (which(), 0..5_u8).prop_map(|(which, failure)| Step::DialFails { which, failure }),
        12 => which().prop_map(Step::Opens),
        4 => which().prop_map(Step::Refuses),
        12 => which().prop_map(Step::Ends),
        2 => which().prop_map(Step::IsLost),
        6 => which().prop_map(Step::IsClosed),
        4 => which().prop_map(Step::Warms),
        2 => which().prop_map(Step::Cools),
        2 => which().prop_map(Step::Degrades),
        2 => which().prop_map(Step::Recovers),
        2 => which().prop_map(Step::Wears),
        2 => (which(), 0..3_000_u64).prop_map(|(which, within)| Step::Disconnect { which, within }),
        2 => Just(Step::RetireIdle),
        2 => Just(Step::NetworkChanges),
        8 => (0..3_000_u64).prop_map(Step::Passes),
        1 => (3_600..100_000_u64).prop_map(Step::Jumps),
        2 => (1..3_000_u64).prop_map(Step::IsToldLate),
        2 => (which(), 0..3_u8).prop_map(|(which, what)| Step::CrossesLoss { which, what }),
        2 => (which(), 0..9_u8).prop_map(|(which, what)| Step::IsOfTheGone { which, what }),
    ];
    prop::collection::vec(one, 0..150)
}

impl World {
    /// Does what the step says to one of those that it can be done to.
    pub(super) fn step(&mut self, step: Step) {
        let live = |world: &Self| world.in_stage(|stage| matches!(stage, Stage::Live | Stage::Closing));
        let dialing =
            |world: &Self| world.in_stage(|stage| matches!(stage, Stage::Dialing | Stage::Abandoned));
        let granted = |world: &Self| world.in_fate(|fate| matches!(fate, Fate::Granted { .. }));
        match step {
            Step::Acquire { host, lane, logins, patience } => {
                let lane = Lane::ALL[usize::from(lane) / 2];
                self.acquire(HostId(host), lane, logins_of(logins), Duration::from_millis(patience));
            }
            Step::GoesBehind(which) => {
                // The last of them is a way in a circle, where the others are known.
                let ways = [(2, 3), (0, 3), (3, 4), (4, 2)];
                let (host, jump) = ways[usize::from(which) % ways.len()];
                self.tell(Event::Behind { host: HostId(host), jump: HostId(jump) });
            }
            Step::Keeps(which) => {
                let (host, time) = (HostId(u64::from(which % 4)), Duration::from_secs(u64::from(which)));
                self.tell(Event::Keeps { host, time });
            }
            Step::Cancel(which) => {
                let all = self.in_fate(|fate| match fate {
                    Fate::Waiting | Fate::Open { .. } => true,
                    Fate::Granted { is_wanted, .. } => is_wanted,
                    Fate::Rejected(_) | Fate::Over => false,
                });
                if let Some(waiter) = pick(&all, which) {
                    self.cancel(waiter);
                }
            }
            Step::DialSucceeds { which, logins } => {
                if let Some(connection) = pick(&dialing(self), which) {
                    self.dial_succeeds(connection, logins_of(logins));
                }
            }
            Step::DialFails { which, failure } => {
                if let Some(connection) = pick(&dialing(self), which) {
                    self.dial_fails(connection, failure_of(failure));
                }
            }
            Step::Opens(which) => {
                if let Some(waiter) = pick(&granted(self), which) {
                    self.opens(waiter);
                }
            }
            Step::Refuses(which) => {
                if let Some(waiter) = pick(&granted(self), which) {
                    self.refuses(waiter);
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
                let all: Vec<_> = self.connections.keys().copied().collect();
                if let Some(connection) = pick(&all, which) {
                    self.is_lost(connection);
                }
            }
            Step::IsClosed(which) => {
                if let Some(connection) = pick(&self.closing(), which) {
                    self.is_closed(connection);
                }
            }
            Step::Warms(which) => {
                if let Some(connection) = pick(&self.in_heat(|heat| heat == Heat::Opening), which) {
                    self.warms(connection);
                }
            }
            Step::Cools(which) => {
                if let Some(connection) = pick(&self.in_heat(|heat| heat != Heat::Cold), which) {
                    self.cools(connection);
                }
            }
            Step::Degrades(which) => {
                self.tell_of(&live(self), which, |connection| Event::Degraded { connection })
            }
            Step::Recovers(which) => {
                self.tell_of(&live(self), which, |connection| Event::Recovered { connection })
            }
            Step::Wears(which) => self.tell_of(&live(self), which, |connection| Event::Worn { connection }),
            Step::Disconnect { which, within } => {
                let by = self.latest + Duration::from_millis(within);
                let all: Vec<_> = self.connections.keys().copied().collect();
                self.tell_of(&all, which, |connection| Event::Disconnect { connection, by });
            }
            Step::RetireIdle => self.tell(Event::RetireIdle),
            Step::NetworkChanges => self.network_changes(),
            Step::Passes(milliseconds) => self.passes(Duration::from_millis(milliseconds)),
            Step::Jumps(seconds) => {
                self.met.insert("the clock jumps by an hour or more");
                self.passes(Duration::from_secs(seconds));
            }
            Step::IsToldLate(milliseconds) => {
                self.met.insert("an event has an earlier time than the one before it");
                self.clock -= Duration::from_millis(milliseconds);
                self.tell(Event::Tick);
            }
            Step::CrossesLoss { which, what } => self.crosses_loss(which, what),
            Step::IsOfTheGone { which, what } => self.is_of_the_gone(which, what),
        }
    }

    fn tell_of(&mut self, all: &[ConnectionId], which: u8, event: impl Fn(ConnectionId) -> Event) {
        if let Some(connection) = pick(all, which) {
            self.tell(event(connection));
        }
    }

    fn crosses_loss(&mut self, which: u8, what: u8) {
        let Some((waiter, connection)) = pick(&self.crossed, which) else { return };
        match what {
            0 => {
                self.met.insert("a channel is confirmed when its connection is gone");
                self.tell(Event::Opened { waiter, connection });
            }
            1 => {
                self.met.insert("a channel is refused when its connection is gone");
                self.tell(Event::Refused { waiter, connection });
            }
            _ => {
                self.met.insert("a channel ends when its connection is gone");
                self.tell(Event::Released { waiter, connection });
            }
        }
    }

    fn is_of_the_gone(&mut self, which: u8, what: u8) {
        let Some(connection) = pick(&self.gone, which) else { return };
        self.met.insert("something is told of a connection that is gone");
        let by = self.latest + Duration::from_secs(1);
        self.tell(match what {
            0 => Event::Dialed { connection, logins: Logins::Many },
            1 => Event::DialFailed { connection, failure: DialFailure::Final },
            2 => Event::Lost { connection },
            3 => Event::Degraded { connection },
            4 => Event::Recovered { connection },
            5 => Event::Worn { connection },
            6 => Event::Warmed { connection },
            7 => Event::Cooled { connection },
            _ => Event::Disconnect { connection, by },
        });
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

fn failure_of(which: u8) -> DialFailure {
    match which {
        0 => DialFailure::Transient,
        1 => DialFailure::Busy,
        2 => DialFailure::Shortage,
        3 => DialFailure::Abandoned,
        _ => DialFailure::Final,
    }
}
