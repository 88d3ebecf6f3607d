//! Who gets which place.

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::{Fate, Heat, World, acquire};
use crate::policy::event::{Event, How, Lane, Logins, Rejection};
use crate::policy::limits::Limits;

#[test]
fn what_may_stall_has_a_connection_of_its_own_and_leaves_one_for_short_work() {
    let mut world = World::new(Limits::default());
    let lanes = [Lane::Isolated, Lane::Stream];
    let flows: Vec<_> = (0..9).map(|n| acquire(&mut world, lanes[n % 2])).collect();
    world.everything_connects();
    world.everything_connects();
    let places: BTreeSet<_> = flows.iter().map(|flow| world.place_of(*flow).unwrap()).collect();
    assert_eq!(places.len(), 9);
    // The next is on one with another, and leaves the last connection alone.
    let tenth = acquire(&mut world, Lane::Isolated);
    assert!(matches!(world.how(tenth), How::Folded { .. }));
    assert!(world.dialing().is_empty());
    let command = acquire(&mut world, Lane::Shared);
    let short = world.connects(command);
    assert!(!places.contains(&short));
    let eleventh = acquire(&mut world, Lane::Stream);
    assert_ne!(world.place_of(eleventh), Some(short), "beside short work, though others may stall already");
}

#[test]
fn what_may_stall_has_the_last_connection_where_the_others_take_nothing_new() {
    let mut world = World::new(Limits { connections_per_host: 2, ..Limits::default() });
    let shell = acquire(&mut world, Lane::Isolated);
    let worn = world.connects(shell);
    world.tell(Event::Worn { connection: worn });
    let next = acquire(&mut world, Lane::Isolated);
    assert_ne!(world.connects(next), worn, "it would wait for as long as the first is there");
    let stream = acquire(&mut world, Lane::Stream);
    assert_eq!(world.place_of(stream), world.place_of(next), "there can be no third");
}

#[test]
fn forwarded_connections_take_no_sessions() {
    let limits = Limits { connections_per_host: 1, channels: 2, streams: 3, ..Limits::default() };
    let mut world = World::new(limits);
    let streams: Vec<_> = (0..4).map(|_| acquire(&mut world, Lane::Stream)).collect();
    let connection = world.connects(streams[0]);
    assert!(streams[..3].iter().all(|stream| world.place_of(*stream) == Some(connection)));
    assert_eq!(world.place_of(streams[3]), None, "three are the limit");
    let commands: Vec<_> = (0..3).map(|_| acquire(&mut world, Lane::Shared)).collect();
    assert!(commands[..2].iter().all(|command| world.place_of(*command) == Some(connection)));
    world.opens(commands[0]);
    // One session is the server's limit, and what else ends on the connection makes room for none.
    world.opens(streams[1]);
    world.ends(streams[1]);
    assert_eq!(world.place_of(streams[3]), Some(connection));
    world.refuses(commands[1]);
    world.passes(Duration::from_secs(1));
    assert_eq!(world.place_of(commands[1]), None, "no session has ended");
    world.refuses(streams[2]);
    world.ends(commands[0]);
    assert_eq!(world.place_of(commands[1]), Some(connection));
}

#[test]
fn a_server_without_sessions_is_an_answer_beside_forwarded_connections_too() {
    let mut world = World::new(Limits { connections_per_host: 1, ..Limits::default() });
    let stream = acquire(&mut world, Lane::Stream);
    world.connects(stream);
    let command = acquire(&mut world, Lane::Shared);
    world.refuses(command);
    assert_eq!(world.rejection(command), Some(Rejection::NoSessions));
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
        world.refuses(*waiter);
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
    world.refuses(waiter);
    assert_eq!(world.rejection(waiter), Some(Rejection::NoSessions));
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
fn a_refusal_right_after_an_end_teaches_nothing_and_a_moment_later_it_is_tried_again() {
    let mut world = World::new(Limits { connections_per_host: 1, ..Limits::default() });
    let waiters: Vec<_> = (0..3).map(|_| acquire(&mut world, Lane::Shared)).collect();
    let connection = world.connects(waiters[0]);
    world.opens(waiters[1]);
    world.ends(waiters[1]);
    world.refuses(waiters[2]);
    assert_eq!(world.place_of(waiters[2]), None, "its place may come free late");
    // Nothing else happens on the connection.
    let begun = world.now();
    world.passes_to_next_deadline();
    assert_eq!(world.place_of(waiters[2]), Some(connection));
    assert_eq!(world.now() - begun, Limits::default().hold);
    world.opens(waiters[2]);
    let more: Vec<_> = (0..8).map(|_| acquire(&mut world, Lane::Shared)).collect();
    assert!(more.iter().all(|waiter| world.place_of(*waiter) == Some(connection)), "ten are the limit");
}

#[test]
fn a_connection_that_answers_late_is_for_those_who_have_no_other() {
    let mut world = World::new(Limits::default());
    let (one, two) = (acquire(&mut world, Lane::Isolated), acquire(&mut world, Lane::Isolated));
    let dialing = world.dialing();
    for (connection, waiter) in dialing.iter().zip([one, two]) {
        world.dial_succeeds(*connection, Logins::Many);
        world.ends(waiter);
    }
    world.tell(Event::Degraded { connection: dialing[0] });
    let beside = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(beside), Some(dialing[1]));
    world.ends(beside);
    world.tell(Event::Degraded { connection: dialing[1] });
    let anyway = acquire(&mut world, Lane::Shared);
    assert!(world.place_of(anyway).is_some());
    world.ends(anyway);
    world.tell(Event::Recovered { connection: dialing[1] });
    let again = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(again), Some(dialing[1]));
}

#[test]
fn each_is_told_how_it_came_by_its_place() {
    let mut world = World::new(Limits { channels: 2, connections_per_host: 1, ..Limits::default() });
    let first = acquire(&mut world, Lane::Shared);
    let waited = Duration::from_secs(1);
    world.passes(waited);
    world.connects(first);
    assert_eq!(world.how(first), How::Connected { waited });
    let second = acquire(&mut world, Lane::Shared);
    assert_eq!(world.how(second), How::Shared);
    let third = acquire(&mut world, Lane::Shared);
    world.passes(waited);
    world.ends(second);
    assert_eq!(world.how(third), How::Queued { waited });
}

#[test]
fn who_does_not_fit_among_those_who_wait_is_told_at_once() {
    let mut world = World::new(Limits { waiting: 2, ..Limits::default() });
    let waiters: Vec<_> = (0..3).map(|_| acquire(&mut world, Lane::Shared)).collect();
    assert_eq!(world.rejection(waiters[1]), None);
    assert_eq!(world.rejection(waiters[2]), Some(Rejection::Crowded));
}

#[test]
fn a_connection_for_later_is_one_for_all_and_takes_no_place() {
    let mut world = World::new(Limits { channels: 1, ..Limits::default() });
    let bare: Vec<_> = (0..20).map(|_| acquire(&mut world, Lane::Bare)).collect();
    assert_eq!(world.dialing().len(), 1);
    let connection = world.dialing()[0];
    world.dial_succeeds(connection, Logins::Many);
    assert!(bare.iter().all(|waiter| world.waiters[waiter].state == Fate::Over));
    let command = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(command), Some(connection));
    let again = acquire(&mut world, Lane::Bare);
    assert_eq!(world.waiters[&again].state, Fate::Over, "it is there already");
    world.ends(command);
    world.passes(Limits::default().persist);
    assert_eq!(world.closing(), [connection], "nobody has a place on it");
}

#[test]
fn the_session_that_is_opened_ahead_goes_to_the_next_who_wants_one_and_takes_no_place_from_anybody() {
    let limits = Limits { connections_per_host: 1, channels: 2, warm: true, ..Limits::default() };
    let mut world = World::new(limits);
    let first = acquire(&mut world, Lane::Shared);
    let connection = world.connects(first);
    assert_eq!(world.in_heat(|heat| heat == Heat::Opening), [connection]);
    // The only other place is being opened ahead: whoever asks now gets that.
    let second = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(second), None);
    world.warms(connection);
    assert_eq!(world.place_of(second), Some(connection));
    world.opens(second);
    assert!(world.in_heat(|heat| heat != Heat::Cold).is_empty(), "both places are taken");
    world.ends(first);
    assert_eq!(world.in_heat(|heat| heat == Heat::Opening), [connection]);
    // A server that has none to give is not asked again at once, and whoever asks has the place.
    world.cools(connection);
    let third = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(third), Some(connection));
    world.ends(third);
    assert!(world.in_heat(|heat| heat != Heat::Cold).is_empty());
    world.passes(Limits::default().relearn);
    let fourth = acquire(&mut world, Lane::Shared);
    world.ends(fourth);
    world.ends(second);
    assert_eq!(world.in_heat(|heat| heat == Heat::Opening), [connection]);
    world.warms(connection);
    world.passes(Limits::default().persist);
    assert_eq!(world.closing(), [connection], "nobody uses it");
}
