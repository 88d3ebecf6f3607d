//! Whose connections make room for others.

use std::time::Duration;

use super::world::{Fate, HOST, World, acquire};
use crate::policy::event::{
    Closing, ConnectionId, DialFailure, Event, HostId, Lane, Logins, Missing, Rejection, WaiterId,
};
use crate::policy::limits::Limits;

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

#[test]
fn who_waited_for_a_socket_is_told_so_whatever_is_under_way_at_the_end() {
    let (mut world, busy) = full(3, Logins::Many);
    (world.limits.connections, world.policy.limits.connections) = (10, 10);
    let wait = Duration::from_secs(1);
    let first = world.acquire(HostId(2), Lane::Shared, Logins::Many, wait / 5);
    world.dial_fails(world.dialing()[0], DialFailure::Shortage);
    // Its next attempt is still to come.
    world.passes(wait / 5);
    assert_eq!(world.rejection(first), Some(Rejection::Deadline(Missing::Shortage)));

    let second = world.acquire(HostId(3), Lane::Shared, Logins::Many, wait);
    let early = wait / 10;
    world.passes(wait - early);
    world.ends(busy[0]);
    world.is_closed(world.closing()[0]);
    assert_eq!(world.dialing().len(), 1, "its login began in the end");
    world.passes(early);
    assert_eq!(world.rejection(second), Some(Rejection::Deadline(Missing::Shortage)));
    world.dial_succeeds(world.dialing()[0], Logins::Many);
    // A login that is slow while there is room is another reason.
    for waiter in &busy[1..] {
        world.is_lost(world.place_of(*waiter).unwrap());
    }
    let third = world.acquire(HostId(4), Lane::Shared, Logins::Many, wait);
    world.passes(wait);
    assert_eq!(world.rejection(third), Some(Rejection::Deadline(Missing::Login)));
}

/// A world of a few connections, and as many hosts from the tenth on that have one each, with the channel on it.
fn full(connections: u64, logins: Logins) -> (World, Vec<WaiterId>) {
    let most = usize::try_from(connections).unwrap();
    let mut world = World::new(Limits { connections: most, ..Limits::default() });
    let busy = (0..connections).map(|host| {
        let waiter = world.acquire(HostId(10 + host), Lane::Shared, logins, Duration::from_secs(60));
        let connection = world.dialing()[0];
        world.dial_succeeds(connection, logins);
        world.opens(waiter);
        waiter
    });
    let busy = busy.collect();
    (world, busy)
}

#[test]
fn idle_connections_leave_at_once_for_all_who_have_none() {
    let (mut world, busy) = full(3, Logins::Many);
    for waiter in busy {
        world.ends(waiter);
    }
    for host in 0..3 {
        world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60));
    }
    assert_eq!(world.closing().len(), 3);
    assert!(world.closed.values().all(|why| *why == Closing::Evicted));
}

#[test]
fn a_drain_without_end_does_not_stop_the_next() {
    let (mut world, busy) = full(2, Logins::Many);
    let waiter = acquire(&mut world, Lane::Shared);
    world.passes(Limits::default().fair);
    world.passes(Limits::default().fair);
    // The one that was drained first has a command on it that takes for ever; the other one's ends.
    world.ends(busy[1]);
    let closing = world.closing();
    assert_eq!(closing.len(), 1);
    world.is_closed(closing[0]);
    world.connects(waiter);
}

#[test]
fn idle_connections_leave_together_where_several_are_lacking_at_once() {
    let mut world = World::new(Limits { connections: 4, ..Limits::default() });
    for host in 10..13 {
        let waiter = world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60));
        world.connects(waiter);
        world.ends(waiter);
    }
    for host in 0..3 {
        world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60));
        let connection = world.dialing()[0];
        world.dial_fails(connection, DialFailure::Transient);
    }
    world.network_changes();
    assert_eq!((world.dialing().len(), world.closing().len()), (1, 2));
}

#[test]
fn nobody_takes_more_than_an_equal_share_from_others() {
    let mut world = World::new(Limits { connections: 4, channels: 1, ..Limits::default() });
    let ask =
        |world: &mut World, host| world.acquire(host, Lane::Shared, Logins::Many, Duration::from_secs(3600));
    let other = HostId(2);
    let busy = [HOST, HOST, other, other].map(|host| {
        let waiter = ask(&mut world, host);
        world.connects(waiter);
        waiter
    });
    ask(&mut world, HOST);
    let next = ask(&mut world, other);
    for _ in 0..5 {
        world.passes(Limits::default().fair);
    }
    let place = world.place_of(busy[2]);
    world.ends(busy[2]);
    assert_eq!(world.place_of(next), place, "it was drained for a host that has as many");
}

#[test]
fn where_somebody_would_be_asked_again_a_connection_leaves_last() {
    let mut world = World::new(Limits { connections: 2, ..Limits::default() });
    for (host, logins) in [(HOST, Logins::One), (HostId(2), Logins::Many)] {
        let waiter = world.acquire(host, Lane::Shared, logins, Duration::from_secs(60));
        let connection = world.dialing()[0];
        world.dial_succeeds(connection, logins);
        world.ends(waiter);
        world.passes(Duration::from_secs(1));
    }
    world.acquire(HostId(3), Lane::Shared, Logins::Many, Duration::from_secs(60));
    let asked_once = world.connections.iter().find(|(_, wire)| wire.host == HOST).map(|(id, _)| *id);
    assert_eq!(world.closing().len(), 1);
    assert_ne!(Some(world.closing()[0]), asked_once);
}

#[test]
fn nobody_starves_beside_a_host_that_always_wants_more() {
    let limits = Limits { connections: 4, channels: 2, ..Limits::default() };
    let mut world = World::new(limits);
    let mut once = None;
    for round in 0..200_u64 {
        for _ in 0..3 {
            world.acquire(HOST, Lane::Shared, Logins::Many, Duration::from_secs(3600));
        }
        if round == 20 {
            once = Some(world.acquire(HostId(2), Lane::Shared, Logins::Many, Duration::from_secs(3600)));
        }
        // A channel each time ends, and others stay for some rounds.
        for connection in world.closing() {
            world.is_closed(connection);
        }
        for connection in world.dialing() {
            world.dial_succeeds(connection, Logins::Many);
        }
        let places = world.in_fate(|fate| matches!(fate, Fate::Granted { .. } | Fate::Open { .. }));
        if let Some(first) = places.first() {
            world.ends(*first);
        }
        world.passes(Duration::from_millis(100));
        if once.is_some_and(|waiter| world.waiters[&waiter].state == Fate::Over) {
            return;
        }
    }
    panic!("the host that asked once was not served in 18 s");
}

/// Whether nothing new goes on the connection.
fn is_leaving(world: &World, connection: ConnectionId) -> bool {
    world.connections[&connection].is_leaving
}

/// A world of one connection, to the tenth host, which lets in once; somebody has a channel on it, and somebody else waits for
/// another host for so long that it is drained. The one with the channel, the connection, and the one who waits.
fn drained() -> (World, WaiterId, ConnectionId, WaiterId) {
    let (mut world, busy) = full(1, Logins::One);
    let connection = world.place_of(busy[0]).unwrap();
    let other = acquire(&mut world, Lane::Shared);
    assert!(!is_leaving(&world, connection));
    world.passes(Limits::default().fair);
    assert!(is_leaving(&world, connection));
    (world, busy[0], connection, other)
}

/// Somebody wants a command on the tenth host.
fn acquire_tenth(world: &mut World) -> WaiterId {
    world.acquire(HostId(10), Lane::Shared, Logins::One, Duration::from_secs(60))
}

#[test]
fn what_was_drained_for_one_who_goes_away_is_of_use_again_and_nobody_is_asked_a_second_time() {
    let (mut world, busy, connection, other) = drained();
    let again = acquire_tenth(&mut world);
    assert_eq!(world.place_of(again), None, "the other came first");
    world.cancel(other);
    assert!(!is_leaving(&world, connection));
    assert_eq!(world.place_of(again), Some(connection));
    world.opens(again);
    world.ends(again);
    world.ends(busy);
    assert!(world.closing().is_empty() && world.dialing().is_empty());
    let next = acquire_tenth(&mut world);
    assert_eq!(world.place_of(next), Some(connection));
}

#[test]
fn what_was_drained_for_one_whose_time_is_over_is_of_use_again() {
    let (mut world, _, connection, other) = drained();
    world.passes(Duration::from_secs(60));
    assert_eq!(world.rejection(other), Some(Rejection::Deadline(Missing::TotalLimit)));
    assert!(!is_leaving(&world, connection));
}

#[test]
fn what_was_drained_for_one_who_gets_another_place_is_of_use_again() {
    let (mut world, busy) = full(2, Logins::Many);
    let waiter = acquire(&mut world, Lane::Shared);
    let [left, other] = [busy[0], busy[1]].map(|busy| world.place_of(busy).unwrap());
    world.passes(Limits::default().fair);
    assert!(is_leaving(&world, left) && !is_leaving(&world, other));
    world.ends(busy[1]);
    assert_eq!(world.closing(), [other], "its place is for the one who waits");
    assert!(!is_leaving(&world, left));
    let command = acquire_tenth(&mut world);
    assert_eq!(world.place_of(command), Some(left));
    world.is_closed(other);
    world.connects(waiter);
}

#[test]
fn the_last_connection_to_a_host_is_drained_for_those_alone_who_have_waited_for_longer_than_anybody_there() {
    let mut world = World::new(Limits { connections: 1, channels: 1, ..Limits::default() });
    let first = acquire_tenth(&mut world);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::One);
    world.opens(first);
    let second = acquire_tenth(&mut world);
    let other = acquire(&mut world, Lane::Shared);
    for _ in 0..3 {
        world.passes(Limits::default().fair);
        assert!(!is_leaving(&world, connection), "the second would be locked out by one who came later");
    }
    world.ends(first);
    assert_eq!(world.place_of(second), Some(connection));
    world.opens(second);
    let third = acquire_tenth(&mut world);
    let late = world.acquire(HostId(2), Lane::Shared, Logins::Many, Duration::from_secs(60));
    world.passes(Limits::default().fair);
    assert!(is_leaving(&world, connection), "the other has waited for longer than the third");
    // The late one has not.
    world.cancel(other);
    assert!(!is_leaving(&world, connection));
    world.ends(second);
    assert_eq!(world.place_of(third), Some(connection));
    world.passes(Limits::default().fair);
    assert!(is_leaving(&world, connection));
    world.ends(third);
    world.is_closed(connection);
    world.connects(late);
}

#[test]
fn a_way_that_was_drained_for_one_who_goes_away_leads_on_for_those_who_waited_longer_than_the_next() {
    let mut world = World::new(Limits { connections: 2, ..Limits::default() });
    let shell = world.acquire(HostId(7), Lane::Isolated, Logins::Many, Duration::from_secs(60));
    world.connects(shell);
    let command = acquire_tenth(&mut world);
    let jump = world.dialing()[0];
    world.dial_succeeds(jump, Logins::One);
    world.opens(command);
    let other = acquire(&mut world, Lane::Shared);
    world.passes(Limits::default().fair);
    assert!(is_leaving(&world, jump), "what may stall is not drained");
    world.tell(Event::Behind { host: HostId(2), jump: HostId(10) });
    let behind = world.acquire(HostId(2), Lane::Shared, Logins::Many, Duration::from_secs(60));
    world.acquire(HostId(3), Lane::Shared, Logins::Many, Duration::from_secs(60));
    assert!(is_leaving(&world, jump), "the other came first");
    world.cancel(other);
    assert!(!is_leaving(&world, jump));
    world.ends(shell);
    world.is_closed(world.closing()[0]);
    let far = world.connects(behind);
    assert_eq!(world.connections[&far].carrier, Some(jump));
}

#[test]
fn what_somebody_wants_ended_ends_though_it_was_drained_for_one_who_goes_away() {
    let (mut world, busy, connection, other) = drained();
    let by = world.now() + Duration::from_secs(60);
    world.tell(Event::Disconnect { connection, by });
    world.cancel(other);
    assert!(is_leaving(&world, connection));
    world.ends(busy);
    assert_eq!(world.closed.get(&connection), Some(&Closing::Asked));
}

#[test]
fn what_is_worn_while_it_is_drained_for_one_who_goes_away_is_of_use_until_nothing_is_on_it() {
    let (mut world, busy, connection, other) = drained();
    world.tell(Event::Worn { connection });
    world.cancel(other);
    let command = acquire_tenth(&mut world);
    assert_eq!(world.place_of(command), Some(connection), "there can be no other");
    world.ends(command);
    world.ends(busy);
    assert_eq!(world.closed.get(&connection), Some(&Closing::Worn));
}

#[test]
fn what_is_drained_for_one_behind_others_leaves_until_there_is_room_for_the_whole_way() {
    let mut world = World::new(Limits { connections: 2, channels: 1, ..Limits::default() });
    let busy = [10, 11].map(|host| {
        let waiter = world.acquire(HostId(host), Lane::Shared, Logins::Many, Duration::from_secs(60));
        world.connects(waiter);
        waiter
    });
    let [first, second] = busy.map(|busy| world.place_of(busy).unwrap());
    world.tell(Event::Behind { host: HOST, jump: HostId(9) });
    let waiter = acquire(&mut world, Lane::Shared);
    let late = world.acquire(HostId(11), Lane::Shared, Logins::Many, Duration::from_secs(60));
    world.passes(Limits::default().fair);
    world.passes(Limits::default().fair);
    assert!(is_leaving(&world, first) && is_leaving(&world, second));
    world.ends(busy[0]);
    assert!(is_leaving(&world, second), "what comes free is for the host on the way");
    world.is_closed(first);
    let jump = world.dialing()[0];
    assert!(is_leaving(&world, second), "the way is being made, and a place at its end is lacking");
    world.dial_succeeds(jump, Logins::Many);
    assert!(is_leaving(&world, second));
    world.ends(busy[1]);
    world.is_closed(second);
    let far = world.connects(waiter);
    assert_eq!((world.connections[&far].carrier, world.place_of(late)), (Some(jump), None));
}

#[test]
fn what_is_drained_where_sockets_are_short_leaves_until_one_was_had_for_those_who_lack_it() {
    let (mut world, busy) = full(3, Logins::Many);
    (world.limits.connections, world.policy.limits.connections) = (10, 10);
    let waiter = world.acquire(HOST, Lane::Shared, Logins::Many, Duration::from_secs(120));
    world.dial_fails(world.dialing()[0], DialFailure::Shortage);
    while world.dialing().is_empty() {
        world.passes_to_next_deadline();
    }
    let left: Vec<_> = busy.iter().map(|busy| world.place_of(*busy).unwrap()).collect();
    let left: Vec<_> = left.into_iter().filter(|id| is_leaving(&world, *id)).collect();
    assert!(!left.is_empty(), "that was tried again only after half a minute");
    world.dial_fails(world.dialing()[0], DialFailure::Shortage);
    assert!(left.iter().all(|id| is_leaving(&world, *id)), "there is still none");
    for one in busy {
        world.ends(one);
    }
    for id in world.closing() {
        world.is_closed(id);
    }
    world.waits_for_login();
    world.connects(waiter);
}
