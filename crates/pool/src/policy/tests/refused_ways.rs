//! Ways on which the next login fails or is refused, while there is a connection to share or a place to wait for.

use std::time::Duration;

use super::ways::{JUMP, acquire_behind, acquire_behind_two};
use super::world::{HOST, World, acquire};
use crate::policy::event::{
    ConnectionId, DialFailure, Event, HostId, How, Lane, Logins, Rejection, WaiterId,
};
use crate::policy::limits::Limits;

/// A host with a shell, behind one whose only connection takes nothing new; and somebody who wants a command on the host
/// hopes for another login there, for which there is one on the way. The connection to the host, the one who hopes, and that
/// login.
fn worn_way(limits: Limits) -> (World, ConnectionId, WaiterId, ConnectionId) {
    let mut world = World::new(limits);
    world.tell(Event::Behind { host: HOST, jump: JUMP });
    let shell = acquire(&mut world, Lane::Isolated);
    let worn = world.dialing()[0];
    world.dial_succeeds(worn, Logins::Many);
    let far = world.connects(shell);
    world.tell(Event::Worn { connection: worn });
    let command = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(command), None, "there may be another way");
    let [login] = world.dialing()[..] else { panic!("{:?}", world.connections) };
    assert_eq!(world.connections[&login].host, JUMP);
    (world, far, command, login)
}

#[test]
fn where_the_next_way_is_refused_for_good_those_behind_it_share_what_there_is() {
    let (mut world, far, command, login) = worn_way(Limits::default());
    world.dial_fails(login, DialFailure::Final);
    assert_eq!(world.place_of(command), Some(far));
    assert!(matches!(world.how(command), How::Folded { .. }));
    let next = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(next), Some(far), "nobody hopes for what was refused a moment ago");
    assert!(world.dialing().is_empty());
    world.passes(Limits::default().refused);
    let late = acquire(&mut world, Lane::Shared);
    assert_eq!((world.place_of(late), world.dialing().len()), (None, 1), "it may be let in by now");
    world.dial_fails(world.dialing()[0], DialFailure::Final);
    assert_eq!(world.place_of(late), Some(far));
    world.passes(Limits::default().refused);
    let later = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(later), Some(far), "what was refused twice is left in peace for longer");
    assert!(world.dialing().is_empty());
}

#[test]
fn a_way_that_was_refused_for_good_while_nobody_behind_it_waited_is_not_hoped_for_a_moment_later() {
    let (mut world, far, command, login) = worn_way(Limits::default());
    let at_the_jump = world.acquire(JUMP, Lane::Shared, Logins::Many, Duration::from_secs(60));
    world.cancel(command);
    world.dial_fails(login, DialFailure::Final);
    assert_eq!(world.rejection(at_the_jump), Some(Rejection::Dial(login)));
    let next = acquire(&mut world, Lane::Shared);
    assert_eq!((world.place_of(next), world.dialing().len()), (Some(far), 0));
}

#[test]
fn a_way_that_was_refused_for_good_again_and_again_is_tried_for_whoever_has_no_other() {
    let (mut world, far, command, login) = worn_way(Limits { channels: 1, ..Limits::default() });
    world.dial_fails(login, DialFailure::Final);
    for _ in 0..4 {
        world.waits_for_login();
        world.dial_fails(world.dialing()[0], DialFailure::Final);
    }
    assert_eq!((world.rejection(command), world.place_of(command)), (None, None), "it waits for a place");
    world.passes(Limits::default().refused);
    assert!(world.dialing().is_empty(), "it is left in peace by those who have another way to wait for");
    let new = acquire_behind(&mut world, 2);
    let login = world.dialing()[0];
    assert_eq!(world.connections[&login].host, JUMP);
    world.dial_fails(login, DialFailure::Transient);
    assert_eq!(world.rejection(new), None, "that is the first attempt that failed like this");
    world.waits_for_login();
    let jump = world.dialing()[0];
    world.dial_succeeds(jump, Logins::Many);
    assert!(world.dialing().iter().any(|id| world.connections[id].host == HostId(2)));
    assert_ne!(Some(far), world.place_of(new));
}

#[test]
fn where_the_way_is_full_and_another_is_refused_for_good_those_behind_it_wait_for_a_place() {
    let mut world = World::new(Limits { streams: 1, ..Limits::default() });
    let first = acquire_behind_two(&mut world, 1, 8);
    let worn = world.dialing()[0];
    world.dial_succeeds(worn, Logins::Many);
    let inner = world.dialing()[0];
    world.dial_succeeds(inner, Logins::Many);
    let far = world.connects(first);
    world.tell(Event::Worn { connection: worn });
    let second = acquire_behind_two(&mut world, 2, 8);
    world.dial_fails(world.dialing()[0], DialFailure::Final);
    let third = acquire_behind_two(&mut world, 3, 8);
    assert_eq!([second, third].map(|waiter| world.rejection(waiter)), [None; 2], "a place may come free");
    assert!(world.dialing().is_empty());
    world.ends(first);
    world.is_closed(far);
    let next = world.connects(second);
    assert_eq!(world.connections[&next].carrier, Some(inner));
}

#[test]
fn where_all_attempts_at_the_next_way_fail_those_behind_it_share_what_there_is() {
    let (mut world, far, command, login) = worn_way(Limits { attempts: 2, ..Limits::default() });
    world.dial_fails(login, DialFailure::Transient);
    assert_eq!(world.place_of(command), None, "there is another attempt");
    world.waits_for_login();
    world.dial_fails(world.dialing()[0], DialFailure::Transient);
    assert_eq!(world.place_of(command), Some(far));
    assert!(matches!(world.how(command), How::Folded { .. }));
    let next = acquire(&mut world, Lane::Shared);
    assert_eq!(world.place_of(next), Some(far), "nobody hopes for anything before the next attempt");
    assert!(world.dialing().is_empty());
}
