//! How connections end.

use std::time::Instant;

use super::connection::State;
use super::event::{Action, Closing, ConnectionId, DialFailure, HostId, Rejection, WaiterId};
use super::timers::Timer;
use super::{Held, Policy};

impl Policy {
    pub(super) fn lost(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (host, state, attempt) = (connection.host, connection.state, connection.attempt);
        let had = connection.waiters();
        // A server that lets in and hangs up has to be left in peace like one that does not let in.
        let is_failure = match state {
            State::Dialing => true,
            State::Ready => !connection.has_answered && !connection.is_empty(),
            State::Draining { .. } | State::Closing => false,
        };
        self.forget(id, out);
        for waiter in had {
            let Some(mut claim) = self.claims.get(&waiter).copied() else { continue };
            if claim.state == Held::Granted(id) && self.ending.is_none() {
                // Nothing of it was begun: it has its turn again.
                claim.state = Held::Waiting;
                self.claims.insert(waiter, claim);
                self.wait(waiter, claim);
            } else {
                self.claims.remove(&waiter);
                if claim.state == Held::Granted(id) {
                    out.push(Action::Reject { waiter, why: Rejection::ShuttingDown });
                }
            }
        }
        if is_failure {
            self.failed(host, id, attempt, DialFailure::Transient, out);
        }
    }

    /// Nothing is left of it.
    pub(super) fn forget(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.remove(&id) else { return };
        match connection.state {
            State::Dialing => self.dialing -= 1,
            State::Closing => self.closing -= 1,
            State::Ready | State::Draining { .. } => {}
        }
        if let Some(host) = self.hosts.get_mut(&connection.host) {
            host.connections.remove(&id);
        }
        self.touched.insert(connection.host);
        if let Some(carrier) = connection.carrier
            && self.set_down(carrier, id)
        {
            self.came_to_rest(carrier, out);
        }
    }

    /// Nothing new goes on it; what is on it has until then, if there is a then.
    pub(super) fn drain(
        &mut self,
        id: ConnectionId,
        by: Option<Instant>,
        why: Closing,
        out: &mut Vec<Action>,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        self.touched.insert(connection.host);
        match connection.state {
            State::Dialing => self.abandon(id, out),
            State::Closing => {}
            State::Ready | State::Draining { .. } if connection.is_empty() => self.close(id, why, out),
            State::Ready | State::Draining { .. } => {
                let earlier = match connection.state {
                    State::Draining { by, .. } => by,
                    _ => None,
                };
                let by = [by, earlier].into_iter().flatten().min();
                if connection.state == State::Ready {
                    out.push(Action::Drain { connection: id });
                }
                connection.state = State::Draining { by, why };
                if let Some(by) = by {
                    self.timers.set(by, Timer::Drain(id));
                }
                self.let_go(id, why, out);
            }
        }
    }

    /// What is carried and nobody uses ends with what carries it, which waits for nothing else.
    fn let_go(&mut self, id: ConnectionId, why: Closing, out: &mut Vec<Action>) {
        let is_idle = |on_it: &ConnectionId| {
            let one = self.connections.get(on_it);
            one.is_some_and(|one| one.is_idle() && !self.is_needed(*on_it, one.host))
        };
        for on_it in self.with_carried(id).into_iter().filter(is_idle).collect::<Vec<_>>() {
            self.close(on_it, why, out);
        }
    }

    /// Why what carries the connection is to end, if it is.
    pub(super) fn ends_below(&self, id: ConnectionId) -> Option<Closing> {
        let mut carrier = self.connections.get(&id)?.carrier;
        while let Some(below) = carrier.and_then(|id| self.connections.get(&id)) {
            if let State::Draining { why, .. } = below.state {
                return Some(why);
            }
            carrier = below.carrier;
        }
        None
    }

    /// Its keys or its age are near their limit. Where there can be no other beside it, it is of use until nothing is on it.
    pub(super) fn wear(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_worn = true;
        // What was left for others may stay after all.
        let may_be_used = connection.state == State::Ready || connection.is_left_for_others();
        let (host, is_in_use) = (connection.host, may_be_used && !connection.is_empty());
        if is_in_use && !self.may_have_another(host) {
            return;
        }
        self.drain(id, None, Closing::Worn, out);
    }

    /// Gives up all logins to the host that are under way.
    pub(super) fn abandon_all(&mut self, host: HostId, out: &mut Vec<Action>) {
        let Some(of) = self.hosts.get(&host) else { return };
        let is_dialing = |id: &ConnectionId| {
            self.connections.get(id).is_some_and(|connection| connection.state == State::Dialing)
        };
        for id in of.connections.iter().copied().filter(is_dialing).collect::<Vec<_>>() {
            self.abandon(id, out);
        }
    }

    fn abandon(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.state = State::Closing;
            self.dialing -= 1;
            self.closing += 1;
            self.touched.insert(connection.host);
            out.push(Action::Abandon { connection: id });
        }
    }

    pub(super) fn close(&mut self, id: ConnectionId, why: Closing, out: &mut Vec<Action>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.state = State::Closing;
            self.closing += 1;
            self.touched.insert(connection.host);
            out.push(Action::Close { connection: id, why });
        }
    }

    pub(super) fn retire_idle(&mut self, out: &mut Vec<Action>) {
        let idle = self.connections.iter().filter(|(_, connection)| connection.is_idle());
        let idle = idle.filter(|(id, one)| !self.is_needed(**id, one.host));
        for id in idle.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(id, Closing::Retired, out);
        }
    }

    pub(super) fn shut_down(&mut self, by: Instant, out: &mut Vec<Action>) {
        self.ending = Some(self.ending.map_or(by, |earlier| earlier.min(by)));
        let waiting: Vec<WaiterId> = self.hosts.values().flat_map(|host| host.waiting.all()).collect();
        for waiter in waiting {
            self.reject(waiter, Rejection::ShuttingDown, out);
        }
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.drain(id, Some(by), Closing::ShuttingDown, out);
        }
    }
}
