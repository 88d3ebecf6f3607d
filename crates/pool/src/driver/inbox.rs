//! What the task is told by those who use the pool.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actions::Waiter;
use super::{Driver, traced};
use crate::line::{Answer, Message, shut_down};
use crate::options::FOR_EVER;
use crate::policy::event::{Event, HostId, Lane, WaiterId};
use crate::registry::Known;

impl Driver {
    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Acquire { waiter, host, lane, deadline, answer } => {
                let id = host.id;
                self.meet(&host);
                drop::<Arc<_>>(host);
                self.acquire(waiter, id, lane, deadline, Some(answer));
            }
            Message::Cancel { waiter } => {
                self.tell(Event::Cancel { waiter });
                // A place that is under way comes back, and is told of then.
                self.forget(waiter);
            }
            Message::Opened { waiter, connection } => {
                if let Some(known) = self.waiters.get(&waiter) {
                    self.hosts.used(known.host, known.lane.is_session());
                }
                self.tell(Event::Opened { waiter, connection });
            }
            Message::Released { waiter, connection } => {
                if let Some(known) = self.waiters.get(&waiter) {
                    self.hosts.used(known.host, false);
                }
                self.tell(Event::Released { waiter, connection });
                // Where the place was lost with its connection, its owner may stand in line again without knowing.
                self.tell(Event::Cancel { waiter });
                self.forget(waiter);
            }
            Message::Again { waiter, connection, refusal, answer } => {
                let Some(known) = self.waiters.get_mut(&waiter) else {
                    let _ = answer.send(Err(shut_down()));
                    return;
                };
                let is_refused = refusal.is_some();
                if let Some(refusal) = &refusal {
                    self.hosts.refused(known.host);
                    traced::refused(&self.hosts, known.host, connection, refusal);
                }
                known.refusal = refusal;
                match known.early.take() {
                    Some(early) => {
                        let is_over = early.is_err();
                        let _ = answer.send(early);
                        if is_over {
                            self.forget(waiter);
                        }
                    }
                    None => {
                        known.answer = Some(answer);
                        self.hosts.waits(known.host);
                        known.waits = true;
                        // Of a connection that is gone the policy hears by its loss, and gives another place by itself.
                        // One that is short of something counts as one that is full: servers say so of a connection's limit too.
                        if is_refused {
                            self.tell(Event::Refused { waiter, connection });
                        }
                    }
                }
            }
            Message::Shutdown { by, done } => {
                self.ends.push(done);
                self.shut_down(by);
            }
            Message::Show { host, answer } => {
                let _ = answer.send(self.hosts.show(host));
            }
            Message::ShowAll { answer } => {
                let _ = answer.send(self.hosts.show_all());
            }
            Message::Stats { answer } => {
                let _ = answer.send(self.hosts.stats());
            }
            Message::Check { host, answer } => self.check(host, answer),
            Message::Unanswered { connection, answer } => self.unanswered(connection, answer),
            Message::Disconnect { host, by, done } => self.disconnect(host, by, done),
            Message::RetireIdle { answer } => {
                let before = self.retired;
                self.tell(Event::RetireIdle);
                let _ = answer.send(self.retired - before);
            }
            Message::Replaced => self.hosts.forget_unnamed(),
            Message::NetworkChanged => self.tell(Event::NetworkChanged),
        }
    }

    /// Knows of the host, and of those on the way to it.
    fn meet(&mut self, known: &Arc<Known>) {
        if !self.hosts.meet(known) {
            return;
        }
        if let Some(time) = known.setup.kept_idle() {
            self.tell(Event::Keeps { host: known.id, time: time.min(FOR_EVER) });
        }
        if let Some(jump) = &known.jump {
            self.meet(jump);
            self.tell(Event::Behind { host: known.id, jump: jump.id });
        }
    }

    /// Somebody waits for a place; nobody does but this task itself where there is no one to answer to.
    pub(super) fn acquire(
        &mut self,
        waiter: WaiterId,
        host: HostId,
        lane: Lane,
        deadline: Instant,
        answer: Option<Answer>,
    ) {
        self.waiters.insert(waiter, Waiter { lane, host, answer, early: None, refusal: None, waits: true });
        self.hosts.waits(host);
        let (logins, deadline) = (self.logins, deadline.into_std());
        self.tell(Event::Acquire { waiter, host, lane, logins, deadline });
    }

    /// Nobody knows of it any more.
    pub(super) fn forget(&mut self, waiter: WaiterId) {
        if let Some(known) = self.waiters.remove(&waiter)
            && known.waits
        {
            self.hosts.waits_no_more(known.host);
        }
    }

    /// Ends all connections to a host.
    fn disconnect(&mut self, host: HostId, by: Instant, done: oneshot::Sender<()>) {
        // Nor is one made again that nobody asked for.
        let own = |(_, waiter): &(&WaiterId, &Waiter)| waiter.host == host && waiter.is_own();
        for waiter in self.waiters.iter().filter(own).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell(Event::Cancel { waiter });
            self.forget(waiter);
        }
        self.hosts.unwanted(host);
        let connections = self.hosts.transports(host);
        if connections.is_empty() {
            let _ = done.send(());
            return;
        }
        self.lasts.push((connections.clone(), done));
        for connection in connections {
            self.tell(Event::Disconnect { connection, by: by.into_std() });
        }
    }
}
