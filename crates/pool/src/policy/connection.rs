//! What the policy knows of one connection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::event::{Closing, ConnectionId, HostId, Lane, WaiterId};
use super::ways::NextDial;

/// One connection, from the decision to dial it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) host: HostId,
    pub(super) state: State,
    pub(super) is_degraded: bool,
    /// Its keys or its age are near their limit, and it ends as soon as nothing is on it.
    pub(super) is_worn: bool,
    /// Which attempt the login was.
    pub(super) attempt: u32,
    /// Whether the server ever said anything about a channel on it.
    pub(super) has_answered: bool,
    /// What carries it.
    pub(super) carrier: Option<ConnectionId>,
    /// What it carries.
    carried: BTreeSet<ConnectionId>,
    /// Whether it was made for what it carries, and no short work is to be expected.
    is_for_others: bool,
    places: BTreeMap<WaiterId, Place>,
    /// Those that may stall, those that are sessions, and the sessions that the server opened.
    stalling: usize,
    sessions: usize,
    confirmed: usize,
    warm: Warm,
    /// Whether the server ever opened a session on it.
    has_given: bool,
    /// Since when it is ready; before that, when its login began.
    since: Instant,
    idle_since: Instant,
    released_at: Option<Instant>,
    held_until: Option<Instant>,
    is_watched: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Dialing,
    Ready,
    /// Nothing new goes on it; what is on it has until then.
    Draining {
        by: Option<Instant>,
        why: Closing,
    },
    /// It was told to end, and is not gone yet.
    Closing,
}

/// The session that is opened ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Warm {
    /// There is none.
    Cold,
    /// The server has not answered.
    Opening,
    Ready,
    /// The server had none to give, and is not asked before then.
    Refused(Instant),
}

#[derive(Debug, Clone, Copy)]
struct Place {
    lane: Lane,
    is_confirmed: bool,
}

impl Connection {
    /// One that is dialed from now on.
    pub(super) fn new(next: NextDial, attempt: u32, now: Instant) -> Self {
        Self {
            host: next.host,
            carrier: next.carrier,
            carried: BTreeSet::new(),
            is_for_others: next.is_for_others,
            state: State::Dialing,
            is_degraded: false,
            is_worn: false,
            attempt,
            has_answered: false,
            places: BTreeMap::new(),
            stalling: 0,
            sessions: 0,
            warm: Warm::Cold,
            confirmed: 0,
            has_given: false,
            since: now,
            idle_since: now,
            released_at: None,
            held_until: None,
            is_watched: false,
        }
    }

    /// It is ready from now on, and nothing is on it.
    pub(super) fn rest(&mut self, now: Instant) {
        self.since = now;
        self.idle_since = now;
    }

    /// Somebody gets a place.
    pub(super) fn enter(&mut self, waiter: WaiterId, lane: Lane) {
        self.places.insert(waiter, Place { lane, is_confirmed: false });
        self.stalling += usize::from(lane.may_stall());
        self.sessions += usize::from(lane.is_session());
    }

    /// The server opened the channel. False for one who has no place here.
    pub(super) fn confirmed(&mut self, waiter: WaiterId) -> bool {
        let Some(place) = self.places.get_mut(&waiter) else { return false };
        if place.lane.is_session() && !place.is_confirmed {
            place.is_confirmed = true;
            self.confirmed += 1;
            self.has_given = true;
        }
        true
    }

    /// The place is free.
    pub(super) fn leave(&mut self, waiter: WaiterId, now: Instant) {
        if let Some(place) = self.places.remove(&waiter) {
            self.stalling -= usize::from(place.lane.may_stall());
            self.sessions -= usize::from(place.lane.is_session());
            self.confirmed -= usize::from(place.is_confirmed);
            self.idle_since = now;
        }
    }

    /// A session ended: whoever was refused one may ask again.
    pub(super) fn has_released(&mut self, now: Instant) {
        self.released_at = Some(now);
        self.held_until = None;
    }

    /// Whether a session ended so short a time ago.
    pub(super) fn released_within(&self, now: Instant, time: Duration) -> bool {
        self.released_at.is_some_and(|at| now.saturating_duration_since(at) < time)
    }

    /// No session goes on it before then, unless another ends.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = Some(until);
    }

    /// Whether the server has never given a session on it, and is asked for one alone.
    pub(super) fn gives_none(&self) -> bool {
        !self.has_given && self.sessions <= 1
    }

    /// Whether there is a place for one more, of so many sessions and so many others.
    pub(super) fn has_room(&self, now: Instant, lane: Lane, sessions: usize, streams: usize) -> bool {
        let is_held = self.held_until.is_some_and(|until| until > now);
        let has_place = match lane {
            Lane::Shared | Lane::Isolated if self.warm == Warm::Ready => true,
            Lane::Shared | Lane::Isolated => self.sessions_taken() < sessions && !is_held,
            Lane::Stream => self.flows() < streams,
            Lane::Bare => true,
        };
        self.state == State::Ready && has_place
    }

    /// Places of sessions at the server: those of somebody, and that of the one that was opened ahead.
    fn sessions_taken(&self) -> usize {
        self.sessions + usize::from(matches!(self.warm, Warm::Opening | Warm::Ready))
    }

    /// Begins to open a session ahead, where short work is to be expected and there is a place. False where not.
    pub(super) fn warm_up(&mut self, now: Instant, sessions: usize) -> bool {
        let is_cold = match self.warm {
            Warm::Cold => true,
            Warm::Refused(until) => until <= now,
            Warm::Opening | Warm::Ready => false,
        };
        let is_fit =
            is_cold && self.stalling == 0 && !self.is_worn && !self.is_degraded && !self.is_for_others;
        let begins = is_fit && self.has_room(now, Lane::Shared, sessions, 0);
        if begins {
            self.warm = Warm::Opening;
        }
        begins
    }

    /// The session that was opened ahead is there.
    pub(super) fn warmed(&mut self) {
        if self.warm == Warm::Opening {
            self.warm = Warm::Ready;
            self.has_given = true;
        }
    }

    /// It is not, or is no more; there is no other before then.
    pub(super) fn cooled(&mut self, until: Instant) {
        if matches!(self.warm, Warm::Opening | Warm::Ready) {
            self.warm = Warm::Refused(until);
        }
    }

    /// Takes the session that was opened ahead, if there is one.
    pub(super) fn take_warm(&mut self) -> bool {
        let is_ready = self.warm == Warm::Ready;
        if is_ready {
            self.warm = Warm::Cold;
        }
        is_ready
    }

    /// Connections that it carries, and forwarded ones.
    fn flows(&self) -> usize {
        self.places.len() - self.sessions + self.carried.len()
    }

    /// Whether it carries one more.
    pub(super) fn has_room_to_carry(&self, streams: usize) -> bool {
        self.state == State::Ready && self.flows() < streams
    }

    pub(super) fn carry(&mut self, carried: ConnectionId) {
        self.carried.insert(carried);
    }

    /// What it carried is gone.
    pub(super) fn set_down(&mut self, carried: ConnectionId, now: Instant) {
        if self.carried.remove(&carried) {
            self.idle_since = now;
        }
    }

    pub(super) fn carries(&self) -> usize {
        self.carried.len()
    }

    pub(super) fn carried(&self) -> impl Iterator<Item = ConnectionId> {
        self.carried.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.carried.is_empty()
    }

    /// Whether anything is on it but what it carries.
    pub(super) fn is_used(&self) -> bool {
        !self.places.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Ready && self.is_empty()
    }

    /// Whether it leaves for another host with its last channel, and for no other reason.
    pub(super) fn is_left_for_others(&self) -> bool {
        matches!(self.state, State::Draining { why: Closing::Evicted, .. })
    }

    pub(super) fn places(&self) -> usize {
        self.places.len() + self.carried.len()
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    pub(super) fn stalling(&self) -> usize {
        self.stalling
    }

    /// Sessions that the server has opened, and that have not ended.
    pub(super) fn confirmed_count(&self) -> usize {
        self.confirmed + usize::from(self.warm == Warm::Ready)
    }

    pub(super) fn waiters(&self) -> Vec<WaiterId> {
        self.places.keys().copied().collect()
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Whether somebody should look whether it is idle for too long; one is enough.
    pub(super) fn begin_watch(&mut self) -> bool {
        !std::mem::replace(&mut self.is_watched, true)
    }

    pub(super) fn end_watch(&mut self) {
        self.is_watched = false;
    }
}
