//! What time brings.

use super::connection::State;
use super::event::{Action, Closing, ConnectionId, HostId, Rejection};
use super::timers::Timer;
use super::{Learned, Policy};

impl Policy {
    pub(super) fn due(&mut self, out: &mut Vec<Action>) {
        // What one of these sets again is for a later time, since `fair` and `relearn` are above zero: so this comes to an end,
        // and with it the loop of `handle`.
        for timer in self.timers.take_due(self.now) {
            match timer {
                Timer::Deadline(waiter) => {
                    if let Some(claim) = self.claims.get(&waiter) {
                        let why = match self.missing(claim) {
                            (at, missing) if at == claim.host => Rejection::Deadline(missing),
                            (at, missing) => Rejection::DeadlineOnTheWay(at, missing),
                        };
                        self.reject(waiter, why, out);
                    }
                }
                Timer::Idle(id) => self.idle_is_due(id, out),
                Timer::Drain(id) => self.drain_is_due(id, out),
                Timer::Hold(id) => {
                    self.touched.extend(self.connections.get(&id).map(|connection| connection.host));
                }
                Timer::Retry(host) => {
                    self.touched.insert(host);
                }
                Timer::Relearn(host) => self.relearn(host),
                Timer::Shortage => self.relearn_shortage(),
                // `dial` looks again.
                Timer::Fair => {}
            }
        }
    }

    pub(super) fn watch_idle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.begin_watch() {
            let kept = self.kept.get(&connection.host).copied().unwrap_or(self.limits.persist);
            self.timers.set(connection.idle_since() + kept, Timer::Idle(id));
        }
    }

    fn idle_is_due(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.end_watch();
        if !connection.is_idle() {
            return;
        }
        let host = connection.host;
        let until = connection.idle_since() + self.kept.get(&host).copied().unwrap_or(self.limits.persist);
        if until > self.now {
            self.watch_idle(id);
        } else if self.is_needed(id, host) {
            self.watch_needed(id);
        } else {
            self.close(id, Closing::Idle, out);
        }
    }

    /// Somebody waits whose way leads over it: it is looked at again when that may be over.
    fn watch_needed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.begin_watch() {
            self.timers.set(self.now + self.limits.fair, Timer::Idle(id));
        }
    }

    fn drain_is_due(&mut self, id: ConnectionId, out: &mut Vec<Action>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let State::Draining { by: Some(by), .. } = connection.state
            && by <= self.now
        {
            connection.state = State::Closing;
            self.closing += 1;
            self.touched.insert(connection.host);
            out.push(Action::Cut { connection: id });
        }
    }

    fn relearn(&mut self, id: HostId) {
        let most = self.limits.channels;
        let (now, step) = (self.now, self.limits.relearn);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(learned) = &mut host.learned else { return };
        if learned.at + step <= now {
            *learned = Learned { limit: learned.limit + 1, at: now };
        }
        let again = learned.at + step;
        if learned.limit >= most {
            host.learned = None;
        } else {
            self.timers.set(again, Timer::Relearn(id));
        }
        self.touched.insert(id);
    }

    fn relearn_shortage(&mut self) {
        let step = self.limits.relearn;
        let Some(learned) = &mut self.shortage else { return };
        if learned.at + step <= self.now {
            *learned = Learned { limit: learned.limit + learned.limit / 8 + 1, at: self.now };
        }
        let again = learned.at + step;
        if learned.limit >= self.limits.connections {
            self.shortage = None;
        } else {
            self.timers.set(again, Timer::Shortage);
        }
    }
}
