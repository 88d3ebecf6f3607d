//! What happens to the world, in any order.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Fate, Stage, World};
use crate::policy::event::{ConnectionId, DialFailure, Event, HostId, Lane, Logins, Refusal};

/// Something that happens to the world.
#[derive(Debug, Clone, Copy)]
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

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<u8>;
    let one = prop_oneof![
        8 => (0..3_u64, any::<bool>(), 0..3_u8, 0..5_000_u64)
            .prop_map(|(host, isolated, logins, patience)| Step::Acquire { host, isolated, logins, patience }),
        2 => which().prop_map(Step::Cancel),
        5 => (which(), 0..3_u8).prop_map(|(which, logins)| Step::DialSucceeds { which, logins }),
        2 => (which(), 0..4_u8).prop_map(|(which, failure)| Step::DialFails { which, failure }),
        6 => which().prop_map(Step::Opens),
        2 => (which(), any::<bool>()).prop_map(|(which, limit)| Step::Refuses { which, limit }),
        6 => which().prop_map(Step::Ends),
        1 => which().prop_map(Step::IsLost),
        3 => which().prop_map(Step::IsClosed),
        1 => which().prop_map(Step::Degrades),
        1 => which().prop_map(Step::Recovers),
        1 => which().prop_map(Step::Wears),
        1 => (which(), 0..3_000_u64).prop_map(|(which, within)| Step::Disconnect { which, within }),
        1 => Just(Step::RetireIdle),
        1 => Just(Step::NetworkChanges),
        4 => (0..3_000_u64).prop_map(Step::Passes),
        1 => (0..3_000_u64).prop_map(Step::ClockGoesBack),
    ];
    prop::collection::vec(one, 0..150)
}

impl World {
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
                let all = self
                    .in_fate(|fate| matches!(fate, Fate::Waiting | Fate::Granted { is_wanted: true, .. }));
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
