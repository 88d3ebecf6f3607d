//! Whether the properties do all that can be done to the policy: `inputs.md` says what that is.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::narrow;
use super::steps::steps;
use super::world::World;
use crate::policy::event::Event;

const LIST: &str = include_str!("../inputs.md");

/// An input's name, and the kind that it is of in each respect.
fn input(event: &Event) -> (&'static str, Vec<String>) {
    let (name, kinds) = match event {
        Event::Acquire { lane, logins, .. } => ("Acquire", vec![format!("{lane:?}"), format!("{logins:?}")]),
        Event::Behind { .. } => ("Behind", vec![]),
        Event::Keeps { .. } => ("Keeps", vec![]),
        Event::Cancel { .. } => ("Cancel", vec![]),
        Event::Opened { .. } => ("Opened", vec![]),
        Event::Refused { .. } => ("Refused", vec![]),
        Event::Released { .. } => ("Released", vec![]),
        Event::Dialed { logins, .. } => ("Dialed", vec![format!("{logins:?}")]),
        Event::DialFailed { failure, .. } => ("DialFailed", vec![format!("{failure:?}")]),
        Event::Lost { .. } => ("Lost", vec![]),
        Event::Warmed { .. } => ("Warmed", vec![]),
        Event::Cooled { .. } => ("Cooled", vec![]),
        Event::Degraded { .. } => ("Degraded", vec![]),
        Event::Recovered { .. } => ("Recovered", vec![]),
        Event::Worn { .. } => ("Worn", vec![]),
        Event::Disconnect { .. } => ("Disconnect", vec![]),
        Event::RetireIdle => ("RetireIdle", vec![]),
        Event::NetworkChanged => ("NetworkChanged", vec![]),
        Event::Shutdown { .. } => ("Shutdown", vec![]),
        Event::Tick => ("Tick", vec![]),
    };
    (name, kinds)
}

/// `Input`, and `Input Kind`, for each in the table.
fn listed() -> BTreeSet<String> {
    let rows = LIST.lines().filter_map(|line| line.strip_prefix("| `"));
    let words = rows.map(|row| row.rsplit_once('|').unwrap().0.rsplit_once('|').unwrap().0);
    let inputs = words.map(|row| row.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>());
    inputs
        .flat_map(|row| {
            let name = row[0].clone();
            let kinds = row[1..].iter().filter(|kind| !kind.trim_matches([' ', ',', '|']).is_empty());
            let kinds: Vec<_> = kinds.map(|kind| format!("{name} {kind}")).collect();
            kinds.into_iter().chain([name])
        })
        .collect()
}

#[test]
fn the_world_does_all_that_can_be_done_to_the_policy() {
    let mut runner = TestRunner::deterministic();
    let (mut inputs, mut pairs, mut met) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for case in 0..400 {
        let mut draw = || steps().new_tree(&mut runner).unwrap().current();
        let mut world = World::new(narrow(case % 2 == 0));
        for step in draw() {
            world.step(step);
        }
        if case % 4 < 2 {
            world.shut_down(Duration::from_millis(case * 10));
            for step in draw() {
                world.step(step);
            }
        }
        met.append(&mut world.met);
        let told: Vec<_> = world.told.iter().map(input).collect();
        pairs.extend(told.windows(2).map(|pair| (pair[0].0, pair[1].0)));
        for (name, kinds) in told {
            inputs.extend(kinds.into_iter().map(|kind| format!("{name} {kind}")));
            inputs.insert(name.to_owned());
        }
    }
    assert_eq!(inputs, listed());
    let situations: BTreeSet<&str> = LIST.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    assert_eq!(met, situations);
    for name in listed().iter().filter(|name| !name.contains(' ')) {
        assert!(pairs.contains(&("Cancel", name)), "nobody goes away right before {name}");
        assert!(pairs.contains(&(name, "Cancel")), "nobody goes away right after {name}");
    }
}
