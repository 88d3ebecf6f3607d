//! The policy against a world that does anything, in any order: what holds at each step, and what holds in the end.

mod rules;
mod steps;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use self::steps::{Step, steps};
use self::world::World;
use super::event::{DialFailure, HostId, How, Lane, Logins, Missing, Refusal, Rejection, WaiterId};
use super::limits::Limits;

/// Few of everything, so that all limits are met.
fn narrow() -> Limits {
    Limits {
        connections: 4,
        connections_per_host: 3,
        dials: 3,
        dials_per_host: 2,
        channels: 3,
        waiting: 12,
        persist: Duration::from_secs(20),
        retry_first: Duration::from_millis(100),
        retry_most: Duration::from_secs(2),
        attempts: 3,
        relearn: Duration::from_secs(10),
        hold: Duration::from_millis(50),
        fair: Duration::from_millis(500),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_rule_is_broken_and_nothing_is_left(steps in steps()) {
        let mut world = World::new(narrow());
        for step in steps {
            world.step(step);
        }
        world.serve_all();
        world.fall_asleep();
    }

    #[test]
    fn an_end_at_any_time_leaves_nothing(steps in steps(), rest in steps(), within in 0..3_000_u64) {
        let mut world = World::new(narrow());
        for step in steps {
            world.step(step);
        }
        world.step(Step::Shutdown { within });
        for step in rest {
            world.step(step);
        }
        world.stop();
    }
}

const HOST: HostId = HostId(1);

fn acquire(world: &mut World, lane: Lane) -> WaiterId {
    world.acquire(HOST, lane, Logins::Many, Duration::from_secs(60))
}

#[test]
fn callers_of_one_host_share_its_first_login() {
    let mut world = World::new(Limits::default());
    let waiters: Vec<_> = (0..10)
        .map(|_| world.acquire(HOST, Lane::Shared, Logins::Unknown, Duration::from_secs(60)))
        .collect();
    assert_eq!(world.dialing().len(), 1);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::One);
    assert!(waiters.iter().all(|waiter| world.place_of(*waiter) == Some(connection)));
}

#[test]
fn a_host_that_lets_in_once_has_one_connection_for_all() {
    let mut world = World::new(Limits::default());
    let shell = world.acquire(HOST, Lane::Isolated, Logins::One, Duration::from_secs(60));
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::One);
    let command = world.acquire(HOST, Lane::Shared, Logins::One, Duration::from_secs(60));
    assert_eq!(world.place_of(shell), Some(connection));
    assert_eq!(world.place_of(command), Some(connection));
    assert!(matches!(world.how(command), How::Folded { .. }));
}

#[test]
fn what_may_stall_has_a_connection_of_its_own() {
    let mut world = World::new(Limits::default());
    let flows: Vec<_> = (0..8).map(|_| acquire(&mut world, Lane::Isolated)).collect();
    assert_eq!(world.dialing().len(), 8);
    for connection in world.dialing() {
        world.dial_succeeds(connection, Logins::Many);
    }
    let places: BTreeSet<_> = flows.iter().map(|flow| world.place_of(*flow).unwrap()).collect();
    assert_eq!(places.len(), 8);
    // And the ninth is on one with another, since there are no more.
    let ninth = acquire(&mut world, Lane::Isolated);
    assert!(matches!(world.how(ninth), How::Folded { .. }));
}

#[test]
fn a_server_s_limit_is_learned_from_its_refusal_and_tried_again_later() {
    let limits = Limits { connections_per_host: 1, ..Limits::default() };
    let mut world = World::new(limits);
    let waiters: Vec<_> = (0..5).map(|_| acquire(&mut world, Lane::Shared)).collect();
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    for waiter in &waiters[..2] {
        world.opens(*waiter);
    }
    for waiter in &waiters[2..] {
        world.refuses(*waiter, Refusal::Limit);
    }
    world.passes(Duration::from_secs(5));
    assert!(waiters[2..].iter().all(|waiter| world.place_of(*waiter).is_none()), "two are the limit");
    world.ends(waiters[0]);
    assert_eq!(world.place_of(waiters[2]), Some(connection), "a place came free");
    world.opens(waiters[2]);
    world.passes(Limits::default().relearn);
    assert_eq!(world.place_of(waiters[3]), Some(connection), "one more is tried");
    assert_eq!(world.place_of(waiters[4]), None);
}

#[test]
fn a_server_that_gives_no_channel_at_all_is_an_answer() {
    let mut world = World::new(Limits::default());
    let waiter = acquire(&mut world, Lane::Shared);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    world.refuses(waiter, Refusal::Limit);
    assert_eq!(world.rejection(waiter), Some(Rejection::NoSessions));
}

#[test]
fn attempts_wait_longer_and_longer_and_then_those_who_wait_are_told() {
    let mut world = World::new(Limits::default());
    let waiter = acquire(&mut world, Lane::Shared);
    let mut waits = Vec::new();
    loop {
        let connection = world.dialing()[0];
        world.dial_fails(connection, DialFailure::Transient);
        if let Some(why) = world.rejection(waiter) {
            assert_eq!(why, Rejection::Dial(connection));
            break;
        }
        let begun = world.now();
        while world.dialing().is_empty() {
            world.passes_to_next_deadline();
        }
        waits.push(world.now() - begun);
    }
    let first = Limits::default().retry_first;
    assert_eq!(waits.len(), 4);
    for (doubled, wait) in waits.iter().enumerate() {
        let most = first * 2_u32.pow(u32::try_from(doubled).unwrap());
        assert!(*wait >= most / 2 && *wait <= most, "{waits:?}");
    }
}

#[test]
fn a_refusal_for_good_is_told_at_once_and_not_tried_again() {
    let mut world = World::new(Limits::default());
    let waiters: Vec<_> =
        (0..3).map(|_| world.acquire(HOST, Lane::Shared, Logins::Unknown, Duration::from_secs(60))).collect();
    let connection = world.dialing()[0];
    world.dial_fails(connection, DialFailure::Final);
    assert!(waiters.iter().all(|waiter| world.rejection(*waiter) == Some(Rejection::Dial(connection))));
    world.passes(Duration::from_secs(60));
    assert!(world.dialing().is_empty());
}

#[test]
fn a_second_login_that_is_refused_leaves_those_who_wait_to_the_first() {
    let limits = Limits { channels: 1, ..Limits::default() };
    let mut world = World::new(limits);
    let (first, second) = (acquire(&mut world, Lane::Shared), acquire(&mut world, Lane::Shared));
    let dialing = world.dialing();
    world.dial_succeeds(dialing[0], Logins::Many);
    world.opens(first);
    world.dial_fails(dialing[1], DialFailure::Final);
    assert_eq!(world.rejection(second), None);
    world.ends(first);
    assert_eq!(world.place_of(second), Some(dialing[0]));
}

#[test]
fn whoever_was_not_begun_when_a_connection_is_lost_has_its_turn_again() {
    let mut world = World::new(Limits::default());
    let (begun, not_begun) = (acquire(&mut world, Lane::Shared), acquire(&mut world, Lane::Shared));
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    world.opens(begun);
    let later = acquire(&mut world, Lane::Shared);
    world.opens(later);
    world.is_lost(connection);
    assert_eq!(world.dialing().len(), 1);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    assert_eq!(world.place_of(not_begun), Some(connection));
    assert_eq!(world.place_of(begun), None, "its outcome is not known, and it is not begun again");
}

#[test]
fn a_host_that_is_busy_is_dialed_by_fewer_at_once() {
    let mut world = World::new(Limits::default());
    for _ in 0..8 {
        acquire(&mut world, Lane::Isolated);
    }
    assert_eq!(world.dialing().len(), 8);
    let dialing = world.dialing();
    world.dial_succeeds(dialing[0], Logins::Many);
    for connection in &dialing[1..] {
        world.dial_fails(*connection, DialFailure::Busy);
    }
    while world.dialing().is_empty() {
        world.passes_to_next_deadline();
    }
    assert_eq!(world.dialing().len(), 1);
}

#[test]
fn a_host_that_waits_gets_the_place_of_an_idle_connection_and_in_the_end_of_a_busy_one() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let mut world = World::new(limits);
    let first = acquire(&mut world, Lane::Shared);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    world.opens(first);
    let other = world.acquire(HostId(2), Lane::Shared, Logins::Many, Duration::from_secs(60));
    assert!(world.dialing().is_empty() && world.closing().is_empty());
    world.passes(Limits::default().fair);
    world.passes(Duration::from_millis(1));
    // Nothing new goes on it.
    let third = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(third), None);
    world.ends(first);
    assert_eq!(world.closing(), [connection]);
    world.is_closed(connection);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    assert_eq!(world.place_of(other), Some(connection));
}

#[test]
fn a_machine_without_sockets_makes_no_more_of_them() {
    let limits = Limits { connections_per_host: 100, dials_per_host: 100, ..Limits::default() };
    let mut world = World::new(limits);
    for _ in 0..10 {
        acquire(&mut world, Lane::Isolated);
    }
    let dialing = world.dialing();
    for connection in &dialing[..6] {
        world.dial_succeeds(*connection, Logins::Many);
    }
    for connection in &dialing[6..] {
        world.dial_fails(*connection, DialFailure::Shortage);
    }
    let eleventh = world.acquire(HostId(2), Lane::Isolated, Logins::Many, Duration::from_secs(3));
    world.passes(Duration::from_secs(3));
    assert_eq!(world.rejection(eleventh), Some(Rejection::Deadline(Missing::Shortage)));
    assert!(world.dialing().is_empty());
}
