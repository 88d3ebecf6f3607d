//! How connections end, and who has to do with it.

use std::time::Duration;

use super::world::{Fate, HOST, Stage, Waiter, World, acquire};
use crate::policy::event::{Closing, DialFailure, Event, Lane, Logins, WaiterId};
use crate::policy::limits::Limits;

#[test]
fn a_worn_connection_gets_nothing_new_and_ends_with_its_last_channel() {
    let mut world = World::new(Limits::default());
    let (one, two) = (acquire(&mut world, Lane::Shared), acquire(&mut world, Lane::Shared));
    let worn = world.connects(one);
    world.opens(two);
    world.tell(Event::Worn { connection: worn });
    let third = acquire(&mut world, Lane::Shared);
    assert_ne!(world.connects(third), worn);
    world.ends(one);
    assert_eq!(world.closed.get(&worn), None);
    world.ends(two);
    assert_eq!(world.closed.get(&worn), Some(&Closing::Worn));
}

#[test]
fn a_worn_connection_that_is_the_only_one_there_may_be_is_of_use_until_nothing_is_on_it() {
    let mut world = World::new(Limits::default());
    let shell = world.acquire(HOST, Lane::Isolated, Logins::One, Duration::from_secs(60));
    let only = world.dialing()[0];
    world.dial_succeeds(only, Logins::One);
    world.opens(shell);
    world.tell(Event::Worn { connection: only });
    let command = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(command), Some(only), "it would wait for as long as the shell is there");
    world.ends(command);
    world.ends(shell);
    assert_eq!(world.closed.get(&only), Some(&Closing::Worn));
}

#[test]
fn a_worn_connection_is_of_use_where_the_limits_allow_no_other_beside_it() {
    for limits in [
        Limits { connections_per_host: 1, ..Limits::default() },
        Limits { connections: 1, ..Limits::default() },
    ] {
        let mut world = World::new(limits);
        let upload = acquire(&mut world, Lane::Isolated);
        let only = world.connects(upload);
        world.tell(Event::Worn { connection: only });
        let command = acquire(&mut world, Lane::Shared);
        assert_eq!(world.place_of(command), Some(only), "it would wait for as long as the upload takes");
        world.ends(command);
        world.ends(upload);
        assert_eq!(world.closed.get(&only), Some(&Closing::Worn));
    }
}

#[test]
fn what_is_idle_is_retired_and_nothing_else() {
    let mut world = World::new(Limits::default());
    let waiters: Vec<_> = (0..3).map(|_| acquire(&mut world, Lane::Isolated)).collect();
    for connection in world.dialing() {
        world.dial_succeeds(connection, Logins::Many);
    }
    let busy = world.place_of(waiters[0]).unwrap();
    world.ends(waiters[1]);
    world.ends(waiters[2]);
    world.tell(Event::RetireIdle);
    assert_eq!(world.closing().len(), 2);
    assert!(!world.closing().contains(&busy));
    assert!(world.closed.values().all(|why| *why == Closing::Retired));
}

#[test]
fn a_connection_ends_when_nobody_has_used_it_for_its_time_and_not_before() {
    let mut world = World::new(Limits::default());
    let persist = Limits::default().persist;
    let first = acquire(&mut world, Lane::Shared);
    let connection = world.connects(first);
    world.ends(first);
    world.passes(persist / 2);
    let second = acquire(&mut world, Lane::Shared);
    world.ends(second);
    world.passes(persist - Duration::from_millis(1));
    assert!(world.closing().is_empty());
    world.passes(Duration::from_millis(1));
    assert_eq!(world.closed.get(&connection), Some(&Closing::Idle));
}

#[test]
fn a_connection_that_is_to_end_has_its_time_and_is_cut_then() {
    let mut world = World::new(Limits::default());
    let waiter = acquire(&mut world, Lane::Shared);
    let connection = world.connects(waiter);
    let by = world.now() + Duration::from_secs(5);
    world.tell(Event::Disconnect { connection, by });
    world.tell(Event::Disconnect { connection, by: by + Duration::from_secs(5) });
    world.passes(Duration::from_millis(4_999));
    assert!(world.closing().is_empty());
    world.passes(Duration::from_millis(1));
    assert!(world.cut.contains(&connection), "the earlier of two deadlines counts");
}

/// What happens to those who ask, from the question to the end of the channel.
const LIFE: [fn(&mut World); 14] = [
    |world| asks(world, Lane::Shared),
    |world| asks(world, Lane::Shared),
    |world| fails_first(world),
    |world| world.passes(Duration::from_secs(1)),
    |world| world.everything_connects(),
    |world| refuses_second(world),
    |world| world.passes(Duration::from_secs(1)),
    |world| asks(world, Lane::Isolated),
    |world| loses_first(world),
    |world| world.passes(Duration::from_secs(2)),
    |world| world.everything_connects(),
    |world| opens_first(world),
    |world| world.passes(Duration::from_secs(1)),
    |world| loses_first(world),
];

fn asks(world: &mut World, lane: Lane) {
    acquire(world, lane);
}

fn fails_first(world: &mut World) {
    if let Some(first) = world.dialing().first() {
        world.dial_fails(*first, DialFailure::Transient);
    }
}

fn refuses_second(world: &mut World) {
    let granted = world.in_fate(|fate| matches!(fate, Fate::Granted { .. }));
    if let [first, second, ..] = granted[..] {
        world.opens(first);
        world.refuses(second);
    }
}

fn opens_first(world: &mut World) {
    let granted = world.in_fate(|fate| matches!(fate, Fate::Granted { .. }));
    if let Some(first) = granted.first() {
        world.opens(*first);
    }
}

fn loses_first(world: &mut World) {
    let live = world.in_stage(|stage| stage == Stage::Live);
    if let Some(first) = live.first() {
        world.is_lost(*first);
    }
}

#[test]
fn whoever_goes_away_between_any_two_events_leaves_nothing_and_takes_nothing_from_others() {
    let mut cancelled = 0;
    for at in 1..=LIFE.len() {
        for who in (0..3).map(WaiterId) {
            let mut world = World::new(Limits::default());
            for event in &LIFE[..at] {
                event(&mut world);
            }
            let is_there = |of: &Waiter| !matches!(of.state, Fate::Rejected(_) | Fate::Over);
            if world.waiters.get(&who).is_some_and(is_there) {
                world.cancel(who);
                cancelled += 1;
            }
            for event in &LIFE[at..] {
                event(&mut world);
            }
            world.serve_all();
            for (waiter, of) in &world.waiters {
                assert_eq!(of.state, Fate::Over, "{waiter:?}, after {who:?} went away at {at}");
            }
            world.fall_asleep();
        }
    }
    assert!(cancelled > 20, "{cancelled} are hardly each of them at each moment");
}

#[test]
fn an_idle_connection_to_a_host_that_says_how_long_is_kept_for_that() {
    let limits = Limits { persist: Duration::from_secs(60), ..Limits::default() };
    for seconds in [10, 600] {
        let mut world = World::new(limits.clone());
        world.tell(Event::Keeps { host: HOST, time: Duration::from_secs(seconds) });
        let waiter = acquire(&mut world, Lane::Shared);
        let connection = world.connects(waiter);
        world.ends(waiter);
        world.passes(Duration::from_secs(seconds - 1));
        assert!(world.closing().is_empty());
        world.passes(Duration::from_secs(1));
        assert_eq!(world.closed.get(&connection), Some(&Closing::Idle));
    }
}

#[test]
fn a_confirmation_on_a_connection_that_is_gone_counts_for_no_other() {
    let mut world = World::new(Limits::default());
    let waiter = acquire(&mut world, Lane::Shared);
    let mut gone = Vec::new();
    for _ in 0..2 {
        if world.dialing().is_empty() {
            world.waits_for_login();
        }
        let connection = world.dialing()[0];
        world.dial_succeeds(connection, Logins::Many);
        assert_eq!(world.place_of(waiter), Some(connection));
        // That of the one before comes late, and was not of this one.
        for connection in gone.drain(..) {
            world.tell(Event::Opened { waiter, connection });
        }
        // Nothing was begun, so that the one who waits has its turn again.
        world.is_lost(connection);
        assert_eq!(world.waiters[&waiter].state, Fate::Waiting);
        gone.push(connection);
    }
    world.waits_for_login();
    assert_eq!(world.connects(waiter), world.place_of(waiter).unwrap());
}
