//! What the policy wants done.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use rustle_session::{Error, ErrorKind, OpenedAhead};
use tokio_util::sync::CancellationToken;

use super::{Done, Driver, traced};
use crate::line::{Answer, Taken};
use crate::policy::event::{Action, Closing, ConnectionId, Event, HostId, How, Lane, Rejection, WaiterId};

/// What a goodbye to a server may take: nothing is on the connection any more.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the opening of a session ahead may take: longer than the longest round trip.
const WARMED_WITHIN: Duration = Duration::from_secs(10);

/// One who waits, or has a place.
pub(super) struct Waiter {
    pub(super) lane: Lane,
    pub(super) host: HostId,
    /// Nobody, where the task wants the connection itself.
    pub(super) answer: Option<Answer>,
    /// What the policy gave before it was asked for again.
    pub(super) early: Option<Result<Taken, Error>>,
    /// What the server said when it refused it a channel last.
    pub(super) refusal: Option<Error>,
    /// Whether it is counted among those who wait.
    pub(super) waits: bool,
}

impl Waiter {
    /// Whether the task itself wants a connection.
    pub(super) fn is_own(&self) -> bool {
        self.lane == Lane::Bare && self.answer.is_none()
    }
}

impl Driver {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Dial { connection, host, attempt, carrier } => {
                self.dial(connection, host, attempt, carrier);
            }
            Action::Abandon { connection } => self.hosts.abandon(connection),
            Action::Grant { waiter, connection, how, is_warm } => {
                self.grant(waiter, connection, how, is_warm);
            }
            Action::Reject { waiter, why } => {
                let Some(known) = self.waiters.get(&waiter) else { return };
                let (host, lane) = (known.host, known.lane);
                let error = match &known.refusal {
                    // To be short of something for a moment is not to have no sessions.
                    Some(refusal) if why == Rejection::NoSessions && is_shortage_there(refusal) => {
                        refusal.clone()
                    }
                    _ => self.reasons.rejection(&self.hosts, host, why),
                };
                traced::rejected(&self.hosts, host, lane, &error);
                self.answer(waiter, Err(error));
            }
            Action::Warm { connection } => self.warm(connection),
            Action::Close { connection, why } => self.close(connection, why),
            Action::Drain { connection } => {
                // It is shown as that, and its end is no loss.
                let _ = self.hosts.ending(connection);
            }
            Action::Recall { connection } => self.hosts.staying(connection),
            Action::Cut { connection } => {
                if let Some(session) = self.hosts.ending(connection) {
                    session.abort();
                }
            }
            Action::Probe { connection } => self.probe_now(connection),
            Action::Retry { host, after, at } => {
                let wait = at.saturating_duration_since(tokio::time::Instant::now().into_std());
                let name = self.hosts.name(host);
                tracing::debug!(host = name, after = after.0, ?wait, "another attempt comes");
            }
            Action::Stopped => self.is_stopped = true,
        }
    }

    fn dial(&mut self, connection: ConnectionId, host: HostId, attempt: u32, carrier: Option<ConnectionId>) {
        let given_up = self.hosts.dialing(connection, host, attempt);
        let Some((name, setup)) = self.hosts.setup(host) else { return };
        tracing::debug!(host = name, connection = connection.0, attempt, "connecting");
        let through = carrier.map(|carrier| self.hosts.session(carrier).cloned());
        self.begin(async move {
            let dialing = async {
                match through {
                    None => setup.connect().await,
                    Some(Some(jump_host)) => setup.connect_through(&jump_host).await,
                    Some(None) => {
                        Err(Error::no_place("the connection to the jump host is gone", "try again"))
                    }
                }
            };
            // What asks a person, and what judges host keys, is the caller's code. Boxed: who is still to wake this task keeps
            // its memory, and the base has such a one for as long as the connection is there.
            let dialing = Box::pin(AssertUnwindSafe(dialing).catch_unwind());
            tokio::select! {
                dialed = dialing => Done::Dialed(connection, dialed.unwrap_or_else(|_panic| Err(panicked()))),
                () = given_up.cancelled() => Done::Abandoned(connection),
            }
        });
    }

    fn grant(&mut self, waiter: WaiterId, connection: ConnectionId, how: How, is_warm: bool) {
        let Some(known) = self.waiters.get(&waiter) else { return };
        let (host, lane) = (known.host, known.lane);
        if !known.is_own() {
            self.hosts.wanted(host);
        }
        self.hosts.granted(host, how, is_warm);
        traced::granted(&self.hosts, host, connection, lane, how, is_warm);
        let ahead = if is_warm { self.hosts.take_warm(connection) } else { None };
        let (Some(line), Some(session)) = (self.line.upgrade(), self.hosts.session(connection)) else {
            // Nobody is there to take it.
            self.tell(Event::Released { waiter, connection });
            return;
        };
        let taken = Taken::new(line, waiter, connection, lane, session.clone(), ahead);
        self.answer(waiter, Ok(taken));
    }

    fn answer(&mut self, waiter: WaiterId, answer: Result<Taken, Error>) {
        let Some(known) = self.waiters.get_mut(&waiter) else { return };
        let is_last = answer.is_err() || known.lane == Lane::Bare;
        if std::mem::take(&mut known.waits) {
            self.hosts.waits_no_more(known.host);
        }
        match known.answer.take() {
            Some(waits) => {
                // Dropped on its way, a place is given back.
                let _ = waits.send(answer);
            }
            // Wanted by the task itself.
            None if known.lane == Lane::Bare => {}
            None => {
                // The one before was lost with its connection, as the policy knows.
                if let Some(Ok(lost)) = known.early.replace(answer) {
                    lost.forget();
                }
                return;
            }
        }
        if is_last {
            self.forget(waiter);
        }
    }

    fn close(&mut self, connection: ConnectionId, why: Closing) {
        self.retired += usize::from(why == Closing::Retired);
        // It ends with its connection, and would keep the server from saying goodbye.
        drop(self.hosts.take_warm(connection));
        let Some(session) = self.hosts.ending(connection).cloned() else { return };
        tracing::debug!(host = self.hosts.name_of(connection), connection = connection.0, ?why, "closing");
        self.begin(async move {
            session.close(GOODBYE).await;
            Done::Nothing
        });
    }

    /// Opens a session ahead.
    fn warm(&mut self, connection: ConnectionId) {
        let Some(session) = self.hosts.session(connection).cloned() else { return };
        self.begin(async move {
            let opened = tokio::time::timeout(WARMED_WITHIN, session.open_ahead()).await;
            let late = |_| Error::no_place("no session was opened in time", "try again");
            Done::Warmed(connection, opened.unwrap_or_else(|elapsed| Err(late(elapsed))))
        });
    }

    /// It is there; whoever wants one next gets it, unless the server ends it before.
    pub(super) fn warmed(&mut self, connection: ConnectionId, ahead: OpenedAhead) {
        let (ended, taken) = (ahead.ended(), CancellationToken::new());
        let kept = self.hosts.keep_warm(connection, ahead, taken.clone().drop_guard());
        let Some(number) = kept else { return };
        self.begin(async move {
            tokio::select! {
                () = ended => Done::Cooled(connection, number),
                () = taken.cancelled() => Done::Nothing,
            }
        });
        self.tell(Event::Warmed { connection });
    }
}

/// Whether the server had no resources for a channel (RFC 4254 section 5.1): later it may have them.
fn is_shortage_there(refusal: &Error) -> bool {
    refusal.kind() == ErrorKind::ChannelShortage
}

fn panicked() -> Error {
    Error::no_place(
        "the login ended in a panic",
        "see what was printed: a prompter or a check of host keys that was handed in, or a defect of this library",
    )
}
