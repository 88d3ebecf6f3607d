//! When a login begins, and what comes of it.

use std::time::Duration;

use super::world::{HOST, World, acquire};
use crate::policy::event::{DialFailure, Event, HostId, How, Lane, Logins, Rejection};
use crate::policy::limits::Limits;

#[test]
fn callers_of_one_host_share_its_first_login() {
    let mut world = World::new(Limits::default());
    let ask = |world: &mut World, lane| world.acquire(HOST, lane, Logins::Unknown, Duration::from_secs(60));
    let waiters: Vec<_> = (0..25).map(|_| ask(&mut world, Lane::Shared)).collect();
    ask(&mut world, Lane::Isolated);
    ask(&mut world, Lane::Isolated);
    assert_eq!(world.dialing().len(), 1, "whether there may be another is not known yet");
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::One);
    assert!(waiters[..10].iter().all(|waiter| world.place_of(*waiter) == Some(connection)));
    assert!(world.dialing().is_empty());
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
        waits.push(world.waits_for_login());
    }
    let first = Limits::default().retry_first;
    assert_eq!(waits.len(), 4);
    let most = |doubled: usize| first * 2_u32.pow(u32::try_from(doubled).unwrap());
    for (doubled, wait) in waits.iter().enumerate() {
        assert!(*wait >= most(doubled) / 2 && *wait <= most(doubled), "{waits:?}");
    }
    let is_spread = waits.iter().enumerate().any(|(doubled, wait)| *wait < most(doubled) * 9 / 10);
    assert!(is_spread, "all who failed at once try again at once: {waits:?}");
    // Whoever asks now is no reason to try earlier.
    acquire(&mut world, Lane::Shared);
    assert!(world.dialing().is_empty());
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
fn the_wait_for_an_attempt_has_a_limit() {
    let limits = Limits { attempts: 20, ..Limits::default() };
    let most = limits.retry_most;
    let mut world = World::new(limits);
    world.acquire(HOST, Lane::Shared, Logins::Many, Duration::from_secs(3600));
    let mut waits = Vec::new();
    for _ in 0..15 {
        let connection = world.dialing()[0];
        world.dial_fails(connection, DialFailure::Transient);
        waits.push(world.waits_for_login());
    }
    assert!(waits.iter().all(|wait| *wait <= most), "{waits:?}");
    assert!(waits[8..].iter().all(|wait| *wait >= most / 2), "{waits:?}");
}

#[test]
fn attempts_are_counted_anew_after_a_login_that_was_of_use() {
    let mut world = World::new(Limits::default());
    let waiter = acquire(&mut world, Lane::Shared);
    for _ in 0..3 {
        let connection = world.dialing()[0];
        world.dial_fails(connection, DialFailure::Transient);
        world.waits_for_login();
    }
    let connection = world.connects(waiter);
    // One who waits again, so that the host is not forgotten.
    acquire(&mut world, Lane::Shared);
    world.is_lost(connection);
    let connection = world.dialing()[0];
    world.dial_fails(connection, DialFailure::Transient);
    assert!(world.waits_for_login() <= Limits::default().retry_first);
}

#[test]
fn a_server_that_lets_in_and_hangs_up_is_left_in_peace_as_one_that_does_not_let_in() {
    let mut world = World::new(Limits::default());
    let waiter = acquire(&mut world, Lane::Shared);
    let mut waits = Vec::new();
    while world.rejection(waiter).is_none() {
        let connection = world.dialing()[0];
        world.dial_succeeds(connection, Logins::Many);
        assert_eq!(world.place_of(waiter), Some(connection));
        world.is_lost(connection);
        assert!(world.dialing().is_empty(), "it is dialed again at once");
        if world.rejection(waiter).is_none() {
            waits.push(world.waits_for_login());
        }
    }
    assert_eq!(waits.len(), 4);
    assert!(waits.is_sorted(), "{waits:?}");
}

#[test]
fn a_refusal_for_good_gives_up_the_other_logins_to_the_host() {
    let mut world = World::new(Limits::default());
    let flows: Vec<_> = (0..5).map(|_| acquire(&mut world, Lane::Isolated)).collect();
    let elsewhere = world.acquire(HostId(2), Lane::Shared, Logins::Many, Duration::from_secs(60));
    let dialing = world.dialing();
    assert_eq!(dialing.len(), 6);
    world.dial_fails(dialing[0], DialFailure::Final);
    assert!(flows.iter().all(|flow| world.rejection(*flow) == Some(Rejection::Dial(dialing[0]))));
    assert_eq!(world.dialing(), [dialing[5]], "each would be refused again, and counted by the server");
    world.connects(elsewhere);
}

#[test]
fn whoever_asks_right_after_a_refusal_for_good_hears_of_it_without_a_login() {
    let mut world = World::new(Limits::default());
    acquire(&mut world, Lane::Shared);
    let refused = world.dialing()[0];
    world.dial_fails(refused, DialFailure::Final);
    let second = acquire(&mut world, Lane::Shared);
    assert_eq!(world.rejection(second), Some(Rejection::Dial(refused)));
    assert!(world.dialing().is_empty());
    world.passes(Limits::default().refused);
    let third = acquire(&mut world, Lane::Shared);
    world.connects(third);
}

#[test]
fn a_way_that_is_refused_for_good_is_tried_later_and_later_while_somebody_behind_it_waits() {
    let mut world = World::new(Limits { channels: 2, ..Limits::default() });
    world.tell(Event::Behind { host: HOST, jump: HostId(9) });
    let busy = [(); 2].map(|()| acquire(&mut world, Lane::Shared));
    let worn = world.dialing()[0];
    world.dial_succeeds(worn, Logins::Many);
    let far = world.dialing()[0];
    world.dial_succeeds(far, Logins::Many);
    for waiter in busy {
        world.opens(waiter);
    }
    world.tell(Event::Worn { connection: worn });
    let waiter = acquire(&mut world, Lane::Shared);
    let mut waits = Vec::new();
    for _ in 0..5 {
        world.dial_fails(world.dialing()[0], DialFailure::Final);
        assert_eq!((world.rejection(waiter), world.dialing().len()), (None, 0), "a place may come free");
        waits.push(world.waits_for_login());
    }
    for (wait, doubled) in waits.iter().zip(0..) {
        let most = Limits::default().refused * 2_u32.pow(doubled);
        assert!(*wait >= most / 2 && *wait <= most, "{waits:?}");
    }
    assert!(waits[0] >= Limits::default().refused);
    world.dial_fails(world.dialing()[0], DialFailure::Final);
    world.ends(busy[0]);
    assert_eq!(world.place_of(waiter), Some(far));
}

#[test]
fn another_network_is_a_reason_to_try_at_once_and_to_ask_all_for_a_sign_of_life() {
    let mut world = World::new(Limits::default());
    let elsewhere = world.acquire(HostId(2), Lane::Shared, Logins::Many, Duration::from_secs(60));
    let live = world.connects(elsewhere);
    let waiter = acquire(&mut world, Lane::Shared);
    let connection = world.dialing()[0];
    world.dial_fails(connection, DialFailure::Transient);
    assert!(world.dialing().is_empty());
    world.network_changes();
    assert_eq!(world.probed.iter().copied().collect::<Vec<_>>(), [live]);
    world.connects(waiter);
}

#[test]
fn a_host_that_was_busy_is_dialed_by_more_again_with_each_login_that_succeeds() {
    let mut world = World::new(Limits::default());
    for _ in 0..8 {
        acquire(&mut world, Lane::Isolated);
    }
    for connection in world.dialing() {
        world.dial_fails(connection, DialFailure::Busy);
    }
    world.waits_for_login();
    let mut at_once = Vec::new();
    while !world.dialing().is_empty() {
        at_once.push(world.dialing().len());
        let connection = world.dialing()[0];
        world.dial_succeeds(connection, Logins::Many);
    }
    assert_eq!(at_once, [1, 2, 3, 4, 4, 3, 2, 1]);
}
