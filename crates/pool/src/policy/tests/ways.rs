//! Hosts behind others.

use std::time::Duration;

use super::world::{Fate, HOST, World, acquire};
use crate::policy::event::{
    Closing, ConnectionId, DialFailure, Event, HostId, How, Lane, Logins, Missing, Rejection, WaiterId,
};
use crate::policy::limits::Limits;

/// The host that others are behind.
pub(super) const JUMP: HostId = HostId(9);

/// Somebody wants the host, which is behind the other.
pub(super) fn acquire_behind(world: &mut World, host: u64) -> WaiterId {
    world.tell(Event::Behind { host: HostId(host), jump: JUMP });
    world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60))
}

/// Somebody wants the host, which is behind another that is behind that one.
pub(super) fn acquire_behind_two(world: &mut World, host: u64, inner: u64) -> WaiterId {
    world.tell(Event::Behind { host: HostId(inner), jump: JUMP });
    world.tell(Event::Behind { host: HostId(host), jump: HostId(inner) });
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
fn a_way_that_is_to_end_waits_for_nothing_that_nobody_uses() {
    let mut world = World::new(Limits::default());
    let [first, second] = [1, 2].map(|host| acquire_behind(&mut world, host));
    world.everything_connects();
    world.everything_connects();
    let [jump, used, idle] = world.in_stage(|_| true)[..] else { panic!("{:?}", world.connections) };
    assert_eq!((world.place_of(first), world.place_of(second)), (Some(used), Some(idle)));
    world.ends(second);
    let by = world.now() + Duration::from_secs(60);
    world.tell(Event::Disconnect { connection: jump, by });
    assert_eq!(world.closing(), [idle]);
    world.is_closed(idle);
    assert!(world.closing().is_empty(), "what is in use has its time");
    world.ends(first);
    assert_eq!(world.closing(), [used]);
    world.is_closed(used);
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

/// Hosts behind one that lets in once and carries two, which have a connection each; and with the first of them, somebody
/// has a channel.
fn full_way() -> (World, WaiterId, ConnectionId) {
    let mut world = World::new(Limits { streams: 2, ..Limits::default() });
    let waiters = [1, 2].map(|host| acquire_behind(&mut world, host));
    world.dial_succeeds(world.dialing()[0], Logins::One);
    for connection in world.dialing() {
        world.dial_succeeds(connection, Logins::Many);
    }
    for waiter in waiters {
        world.opens(waiter);
    }
    world.passes(Duration::from_secs(1));
    let idle = world.place_of(waiters[1]).unwrap();
    world.ends(waiters[1]);
    (world, waiters[0], idle)
}

#[test]
fn what_nobody_uses_leaves_the_way_to_who_has_no_other() {
    let (mut world, busy, idle) = full_way();
    assert!(world.closing().is_empty(), "nobody wants its place");
    let third = acquire_behind(&mut world, 3);
    assert_eq!(world.closing(), [idle]);
    assert_eq!(world.closed.get(&idle), Some(&Closing::Evicted));
    world.is_closed(idle);
    world.connects(third);
    // There is one way, and what is in use stays on it.
    let fourth = acquire_behind(&mut world, 4);
    world.passes(Limits::default().fair);
    assert!(world.closing().is_empty() && world.dialing().is_empty());
    // The first that nobody uses leaves, and no other: one place is lacking.
    let first = world.place_of(busy).unwrap();
    world.ends(busy);
    world.ends(third);
    assert_eq!(world.closing(), [first]);
    world.is_closed(first);
    world.connects(fourth);
}

#[test]
fn as_many_leave_a_way_as_places_are_lacking_on_it() {
    let (mut world, busy, idle) = full_way();
    let waiters = [3, 4].map(|host| acquire_behind(&mut world, host));
    assert_eq!(world.closing(), [idle], "the other one is in use");
    let other = world.place_of(busy).unwrap();
    world.ends(busy);
    assert_eq!(world.closing(), [other, idle]);
    for connection in world.closing() {
        world.is_closed(connection);
    }
    world.everything_connects();
    assert!(waiters.iter().all(|waiter| world.place_of(*waiter).is_some()));
}

#[test]
fn what_nobody_uses_leaves_its_place_to_a_forwarded_connection() {
    let (mut world, _, idle) = full_way();
    let forward =
        |world: &mut World| world.acquire(JUMP, Lane::Stream, Logins::Many, Duration::from_secs(60));
    let jump = world.connections[&idle].carrier;
    let [first, second] = [(); 2].map(|()| forward(&mut world));
    assert_eq!(world.closing(), [idle], "the other one is in use");
    assert_eq!(world.closed.get(&idle), Some(&Closing::Evicted));
    world.is_closed(idle);
    assert_eq!((world.place_of(first), world.place_of(second)), (jump, None));
    world.opens(first);
    world.ends(first);
    assert_eq!(world.place_of(second), jump);
}

#[test]
fn a_forwarded_connection_that_may_have_a_connection_of_its_own_takes_no_place_from_what_is_carried() {
    let mut world = World::new(Limits { streams: 1, ..Limits::default() });
    let behind = acquire_behind(&mut world, 1);
    world.everything_connects();
    let far = world.connects(behind);
    world.ends(behind);
    let forward = world.acquire(JUMP, Lane::Stream, Logins::Many, Duration::from_secs(60));
    assert!(world.closing().is_empty(), "there is another login");
    assert_ne!(Some(world.connects(forward)), world.connections[&far].carrier);
}

#[test]
fn who_has_waited_longer_for_a_host_behind_is_carried_before_a_forwarded_connection() {
    let mut world = World::new(Limits { streams: 1, ..Limits::default() });
    let forward =
        |world: &mut World| world.acquire(JUMP, Lane::Stream, Logins::Many, Duration::from_secs(60));
    let first = forward(&mut world);
    world.dial_succeeds(world.dialing()[0], Logins::One);
    world.opens(first);
    let second = forward(&mut world);
    let behind = acquire_behind(&mut world, 1);
    let third = forward(&mut world);
    world.ends(first);
    world.opens(second);
    world.ends(second);
    assert_eq!(world.place_of(third), None, "there is one place, and the other has waited for longer");
    world.connects(behind);
    // Nobody needs what was carried any more.
    world.ends(behind);
    world.is_closed(world.closing()[0]);
    assert!(world.place_of(third).is_some());
}

#[test]
fn a_forwarded_connection_waits_no_longer_than_until_the_one_before_it_is_carried() {
    let mut world = World::new(Limits { streams: 2, ..Limits::default() });
    let behind = acquire_behind(&mut world, 1);
    let forward = world.acquire(JUMP, Lane::Stream, Logins::Many, Duration::from_secs(60));
    let jump = world.dialing()[0];
    world.dial_succeeds(jump, Logins::One);
    assert_eq!(world.place_of(forward), Some(jump), "there is room for both");
    let far = world.connects(behind);
    assert_eq!(world.connections[&far].carrier, Some(jump));
}

#[test]
fn a_forwarded_connection_does_not_wait_for_a_login_that_cannot_begin() {
    let mut world = World::new(Limits { streams: 1, dials: 1, ..Limits::default() });
    let ask = |world: &mut World, host: HostId, lane| {
        world.acquire(host, lane, Logins::Many, Duration::from_secs(60))
    };
    let command = ask(&mut world, JUMP, Lane::Shared);
    let jump = world.dialing()[0];
    world.dial_succeeds(jump, Logins::One);
    assert_eq!(world.place_of(command), Some(jump));
    acquire_behind(&mut world, 1);
    let carried = world.dialing()[0];
    let elsewhere = ask(&mut world, HostId(7), Lane::Shared);
    acquire_behind(&mut world, 2);
    let forward = ask(&mut world, JUMP, Lane::Stream);
    // Its place on the way and its login come free at once; the login is for one who has waited longer than all of them.
    world.dial_fails(carried, DialFailure::Final);
    assert_eq!(world.place_of(forward), Some(jump));
    world.connects(elsewhere);
}

#[test]
fn what_nobody_uses_leaves_with_all_that_it_carries() {
    // Two hosts behind one that lets in once and carries one alone, and another behind each of them.
    let mut world = World::new(Limits { streams: 1, ..Limits::default() });
    let first = acquire_behind_two(&mut world, 1, 5);
    world.dial_succeeds(world.dialing()[0], Logins::One);
    world.dial_succeeds(world.dialing()[0], Logins::Many);
    world.connects(first);
    let second = acquire_behind_two(&mut world, 2, 6);
    assert!(world.closing().is_empty(), "somebody has a channel behind the only way");
    world.ends(first);
    for _ in 0..4 {
        world.everything_works();
    }
    assert_eq!(world.waiters[&second].state, Fate::Over);
    assert_eq!(world.closed.values().collect::<Vec<_>>(), [&Closing::Evicted; 2]);
}

#[test]
fn what_nobody_uses_stays_on_the_way_where_that_of_another_leads_over_it() {
    let mut world = World::new(Limits { connections: 3, streams: 1, ..Limits::default() });
    let shell = acquire(&mut world, Lane::Isolated);
    world.connects(shell);
    let first = acquire_behind_two(&mut world, 2, 5);
    world.dial_succeeds(world.dialing()[0], Logins::One);
    let inner = world.dialing()[0];
    world.dial_succeeds(inner, Logins::Many);
    let second = acquire_behind(&mut world, 6);
    world.passes(Limits::default().fair);
    assert!(world.closing().is_empty(), "the one who came first lacks a place, and is on the way");
    world.cancel(first);
    assert_eq!(world.closing(), [inner]);
    world.is_closed(inner);
    world.connects(second);
}

#[test]
fn where_the_way_is_full_nobody_hopes_for_another_connection_to_the_host() {
    let (mut world, busy, idle) = full_way();
    let ask = |world: &mut World, host: u64, lane| {
        world.acquire(HostId(host), lane, Logins::Many, Duration::from_secs(60))
    };
    let again = ask(&mut world, 2, Lane::Shared);
    assert_eq!(world.place_of(again), Some(idle));
    let shell = ask(&mut world, 1, Lane::Isolated);
    assert_eq!(world.place_of(shell), world.place_of(busy));
    assert!(matches!(world.how(shell), How::Folded { .. }));
    // Nor is one that is worn of no use before another can be there.
    let worn = world.place_of(busy).unwrap();
    world.tell(Event::Worn { connection: worn });
    let command = ask(&mut world, 1, Lane::Shared);
    assert_eq!(world.place_of(command), Some(worn));
}

#[test]
fn the_place_of_what_nobody_uses_is_one_to_hope_for() {
    let (mut world, busy, idle) = full_way();
    let shell = world.acquire(HostId(1), Lane::Isolated, Logins::Many, Duration::from_secs(60));
    assert_eq!(world.closing(), [idle]);
    world.is_closed(idle);
    assert_ne!(Some(world.connects(shell)), world.place_of(busy));
}

#[test]
fn who_hoped_for_the_last_place_on_the_way_shares_what_there_is_when_another_has_it() {
    let mut world = World::new(Limits { streams: 2, dials: 1, ..Limits::default() });
    let first = acquire_behind(&mut world, 1);
    world.dial_succeeds(world.dialing()[0], Logins::One);
    world.connects(first);
    let elsewhere = world.acquire(HostId(7), Lane::Shared, Logins::Many, Duration::from_secs(60));
    acquire_behind(&mut world, 2);
    let shell = world.acquire(HostId(1), Lane::Isolated, Logins::Many, Duration::from_secs(60));
    assert_eq!(world.place_of(shell), None, "there is a place on the way, and no other login at once");
    world.connects(elsewhere);
    assert_eq!(world.dialing().len(), 1);
    assert_eq!(world.place_of(shell), world.place_of(first));
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
fn whoever_hopes_for_a_way_that_turns_out_longer_and_full_shares_what_there_is() {
    let mut world = World::new(Limits { connections: 4, streams: 1, ..Limits::default() });
    let shell = acquire(&mut world, Lane::Isolated);
    let far = world.connects(shell);
    for host in [HostId(5), HostId(6)] {
        let waiter = world.acquire(host, Lane::Shared, Logins::Many, Duration::from_secs(60));
        world.connects(waiter);
        world.ends(waiter);
    }
    let stream = world.acquire(HostId(2), Lane::Stream, Logins::One, Duration::from_secs(60));
    let only = world.dialing()[0];
    world.dial_succeeds(only, Logins::One);
    world.opens(stream);
    world.tell(Event::Behind { host: HOST, jump: HostId(3) });
    world.tell(Event::Behind { host: HostId(3), jump: HostId(4) });
    let waiter = acquire(&mut world, Lane::Shared);
    assert_eq!((world.place_of(waiter), world.closing().len()), (None, 1));
    world.tell(Event::Behind { host: HostId(4), jump: HostId(2) });
    assert_eq!(world.place_of(waiter), Some(far), "the only connection there carries nothing more");
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
