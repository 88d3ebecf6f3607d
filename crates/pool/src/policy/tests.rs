//! The policy against a world that does anything, in any order: what holds at each step, and what holds in the end.

mod alphabet;
mod ends;
mod logins;
mod places;
mod refused_ways;
mod room;
mod rules;
mod steps;
mod ways;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use self::steps::steps;
use self::world::World;
use super::limits::Limits;

/// Few of everything, so that all limits are met.
fn narrow(warm: bool) -> Limits {
    Limits {
        connections: 4,
        connections_per_host: 3,
        dials: 3,
        dials_per_host: 2,
        channels: 3,
        streams: 4,
        warm,
        waiting: 12,
        persist: Duration::from_secs(20),
        retry_first: Duration::from_millis(100),
        retry_most: Duration::from_secs(2),
        attempts: 3,
        refused: Duration::from_millis(150),
        relearn: Duration::from_secs(10),
        hold: Duration::from_millis(50),
        fair: Duration::from_millis(500),
    }
}

#[test]
fn what_is_looked_at_again_is_looked_at_later() {
    let usual = Limits::default();
    assert!(usual.leave_time() && narrow(false).leave_time());
    let at_once = [
        Limits { relearn: Duration::ZERO, ..usual.clone() },
        Limits { hold: Duration::ZERO, ..usual.clone() },
        Limits { fair: Duration::ZERO, ..usual },
    ];
    assert!(at_once.iter().all(|limits| !limits.leave_time()));
}

/// Four times as many cases as usual, and as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 4, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_no_rule_is_broken_and_nothing_is_left(
        steps in steps(),
        // Ways are full with the first that they carry, or hardly ever.
        streams in 1..=4_usize,
        warm in any::<bool>(),
    ) {
        let mut world = World::new(Limits { streams, ..narrow(warm) });
        for step in steps {
            world.step(step);
        }
        world.serve_all();
        world.fall_asleep();
    }

    #[test]
    fn an_end_at_any_time_leaves_nothing(
        steps in steps(),
        rest in steps(),
        within in 0..3_000_u64,
        warm in any::<bool>(),
    ) {
        let mut world = World::new(narrow(warm));
        for step in steps {
            world.step(step);
        }
        world.shut_down(Duration::from_millis(within));
        for step in rest {
            world.step(step);
        }
        world.stop();
    }
}
