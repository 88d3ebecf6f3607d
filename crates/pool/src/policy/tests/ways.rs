//! Hosts behind others.

use std::time::Duration;

use super::world::{Fate, World, acquire};
use crate::policy::event::{
    Closing, DialFailure, Event, HostId, How, Lane, Logins, Missing, Rejection, WaiterId,
};
use crate::policy::limits::Limits;

/// The host that others are behind.
const JUMP: HostId = HostId(9);

/// Somebody wants the host, which is behind the other.
fn acquire_behind(world: &mut World, host: u64) -> WaiterId {
    world.tell(Event::Behind { host: HostId(host), jump: JUMP });
    world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60))
}

#[test]
fn one_connection_carries_so_many_and_the_next_has_another() {
    let mut world = World::new(Limits { streams: 2, ..Limits::default() });
    let waiters = [1, 2, 3].map(|host| acquire_behind(&mut world, host));
    let jump = world.dialing();
    assert_eq!(jump.len(), 1, "one login for all of them");
    world.dial_succeeds(jump[0], Logins::Many);
    let behind =
        |world: &World| world.connections.values().map(|wire| (wire.host, wire.carrier)).collect::<Vec<_>>();
    let first = Some(jump[0]);
    assert_eq!(
        behind(&world),
        [(JUMP, None), (HostId(1), first), (HostId(2), first), (JUMP, None)],
        "two are carried, and for the third there is another login"
    );
    while !world.dialing().is_empty() {
        world.everything_connects();
    }
    assert!(waiters.iter().all(|waiter| world.place_of(*waiter).is_some()));
    assert!(behind(&world).contains(&(HostId(3), Some(world.in_stage(|_| true)[3]))));
}

#[test]
fn what_carries_others_is_in_use() {
    let mut world = World::new(Limits::default());
    let waiter = acquire_behind(&mut world, 1);
    world.everything_connects();
    world.connects(waiter);
    world.ends(waiter);
    let [jump, host] = world.in_stage(|_| true)[..] else { panic!("{:?}", world.connections) };
    // By the time that the host's is closed, its way has been idle for as long, and is in use.
    world.tell(Event::RetireIdle);
    assert_eq!(world.closing(), [host]);
    world.is_closed(host);
    assert!(world.closing().is_empty());
    world.tell(Event::RetireIdle);
    assert_eq!(world.closing(), [jump]);
}

#[test]
fn what_is_about_to_carry_another_makes_no_room_for_it() {
    let mut world = World::new(Limits { connections: 2, ..Limits::default() });
    let waiter = world.acquire(JUMP, Lane::Shared, Logins::Many, Duration::from_secs(60));
    let jump = world.connects(waiter);
    world.ends(waiter);
    world.passes(Duration::from_secs(1));
    let other = acquire(&mut world, Lane::Shared);
    let other_s = world.connects(other);
    world.ends(other);
    // Of the two that are idle the way is so for longer.
    let behind = acquire_behind(&mut world, 2);
    assert_eq!(world.closed.get(&other_s), Some(&Closing::Evicted));
    world.is_closed(other_s);
    world.connects(behind);
    assert_eq!(world.connections[&world.place_of(behind).unwrap()].carrier, Some(jump));
}

#[test]
fn who_lacks_a_place_behind_a_host_keeps_the_way_there_and_makes_no_other_login() {
    let mut world = World::new(Limits { connections: 2, ..Limits::default() });
    let shell = acquire(&mut world, Lane::Isolated);
    let busy = world.connects(shell);
    let behind = acquire_behind(&mut world, 2);
    let jump = world.dialing()[0];
    world.dial_succeeds(jump, Logins::Many);
    for _ in 0..20 {
        assert!(world.dialing().is_empty() && world.closing().is_empty());
        world.passes(Limits::default().fair);
    }
    // Nor does anybody hope for the place of the way.
    let command = acquire(&mut world, Lane::Shared);
    assert!(matches!(world.how(command), How::Folded { .. }));
    world.ends(command);
    world.ends(shell);
    assert_eq!(world.closing(), [busy]);
    world.is_closed(busy);
    let far = world.connects(behind);
    assert_eq!(world.connections[&far].carrier, Some(jump));
}

#[test]
fn a_way_is_kept_for_who_waits_longer_than_what_is_idle() {
    let limits = Limits { connections: 2, persist: Duration::from_millis(10), ..Limits::default() };
    let mut world = World::new(limits);
    let shell = acquire(&mut world, Lane::Isolated);
    world.connects(shell);
    let behind = acquire_behind(&mut world, 2);
    let jump = world.dialing()[0];
    world.dial_succeeds(jump, Logins::Many);
    world.passes(Duration::from_secs(5));
    world.tell(Event::RetireIdle);
    assert!(world.closing().is_empty(), "it would be logged in to again at once");
    world.cancel(behind);
    world.passes(Limits::default().fair);
    assert_eq!(world.closed.get(&jump), Some(&Closing::Idle));
}

#[test]
fn of_two_whose_ways_take_all_places_the_first_arrives_and_then_the_other() {
    let mut world = World::new(Limits { connections: 2, ..Limits::default() });
    let [first, second] = [(1, 8), (2, 9)].map(|(host, jump)| {
        world.tell(Event::Behind { host: HostId(host), jump: HostId(jump) });
        world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60))
    });
    let ways = world.dialing();
    for way in &ways {
        world.dial_succeeds(*way, Logins::Many);
    }
    assert_eq!(world.closing(), [ways[1]]);
    world.is_closed(ways[1]);
    let arrived = world.connects(first);
    assert_eq!(world.connections[&arrived].carrier, Some(ways[0]));
    world.ends(first);
    for _ in 0..3 {
        world.everything_works();
    }
    assert_eq!(world.waiters[&second].state, Fate::Over);
    assert_eq!(world.closed.len(), 3, "the second's way, and then what the first had: {:?}", world.closed);
}

#[test]
fn where_there_is_no_way_all_behind_it_are_told() {
    let mut world = World::new(Limits { attempts: 2, ..Limits::default() });
    let waiters = [1, 2].map(|host| acquire_behind(&mut world, host));
    let refused = world.dialing()[0];
    world.dial_fails(refused, DialFailure::Final);
    assert_eq!(waiters.map(|waiter| world.rejection(waiter)), [Some(Rejection::Dial(refused)); 2]);
    let late = acquire_behind(&mut world, 3);
    assert_eq!(world.rejection(late), Some(Rejection::Dial(refused)), "nobody tries again at once");
    world.passes(Duration::from_secs(1));
    let patient = acquire_behind(&mut world, 1);
    for _ in 0..2 {
        assert_eq!(world.rejection(patient), None);
        world.waits_for_login();
        let failed = world.dialing()[0];
        world.dial_fails(failed, DialFailure::Transient);
    }
    assert!(matches!(world.rejection(patient), Some(Rejection::Dial(_))));
}

#[test]
fn what_was_missing_on_the_way_is_told() {
    let mut world = World::new(Limits::default());
    let waiter = acquire_behind(&mut world, 1);
    world.passes(Duration::from_secs(60));
    assert_eq!(world.rejection(waiter), Some(Rejection::DeadlineOnTheWay(JUMP, Missing::Login)));
    let mut world = World::new(Limits { connections: 1, ..Limits::default() });
    let waiter = acquire_behind(&mut world, 1);
    assert_eq!(world.rejection(waiter), Some(Rejection::TooFar(2)));
    assert!(world.connections.is_empty());
}

#[test]
fn what_is_said_of_a_host_is_forgotten_with_it() {
    let mut world = World::new(Limits::default());
    world.tell(Event::Behind { host: HostId(1), jump: JUMP });
    world.tell(Event::Keeps { host: HostId(1), time: Duration::from_secs(1) });
    world.policy.forget_host(HostId(1));
    assert!(world.policy.ways.is_empty() && world.policy.kept.is_empty());
}
