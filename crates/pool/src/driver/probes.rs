//! Whether servers are still there: who is asked when, and what follows.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use rustle_session::{BoxFuture, Error as SessionError, ErrorKind, Session};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{Done, Driver, traced};
use crate::error::{Error, Result};
use crate::options::Care;
use crate::policy::event::{ConnectionId, Event, HostId};

/// A server that takes longer than this to answer is late: nothing new goes there while there is another connection.
const LATE: Duration = Duration::from_secs(5);

/// One that takes longer than this after that is gone.
const GONE: Duration = Duration::from_secs(25);

/// More than a socket's buffers on both sides hold.
const MORE_THAN_BUFFERS: u64 = 16 * 1024 * 1024;

/// Keys that are so far used up are renewed soon, for which a connection stands still.
const WORN: f64 = 0.9;

/// When each connection is looked at.
pub(super) struct Probes {
    care: Care,
    due: BTreeSet<(Instant, ConnectionId)>,
    watched: HashMap<ConnectionId, Watched>,
}

struct Watched {
    due: Instant,
    since: Instant,
    /// What had come from the server when it was looked at last.
    received: u64,
    is_worn: bool,
    /// Whether a question is out.
    is_asked: bool,
    /// Who is told whether it is gone, once that is known.
    curious: Vec<oneshot::Sender<bool>>,
}

impl Watched {
    fn tell(&mut self, is_gone: bool) {
        for curious in self.curious.drain(..) {
            // Nobody need wait for it any more.
            let _ = curious.send(is_gone);
        }
    }
}

/// A question, and what came of it so far.
pub(super) struct Probe {
    connection: ConnectionId,
    outcome: Outcome,
}

enum Outcome {
    Known(Sign),
    /// Not yet; this is the rest of the wait.
    Late(BoxFuture<'static, Sign>),
}

/// What a server that was asked gave of itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    /// It answered, after so long.
    Answered(Duration),
    /// The answer stands behind what the server sends, or the question behind what it is sent.
    Behind,
    Silent,
    /// The connection was lost meanwhile, which is told by itself.
    Lost,
}

impl Sign {
    fn of(answer: std::result::Result<Duration, SessionError>) -> Self {
        match answer {
            Ok(took) => Self::Answered(took),
            Err(error) if error.kind() == ErrorKind::Disconnected => Self::Lost,
            Err(_unanswered) => Self::Silent,
        }
    }

    fn is_of_life(self) -> bool {
        matches!(self, Self::Answered(_) | Self::Behind)
    }
}

impl Probes {
    pub(super) fn new(care: Care) -> Self {
        Self { care, due: BTreeSet::new(), watched: HashMap::new() }
    }

    pub(super) fn begin(&mut self, connection: ConnectionId) {
        let now = Instant::now();
        let due = now + self.care.probe_every;
        self.due.insert((due, connection));
        let watched =
            Watched { due, since: now, received: 0, is_worn: false, is_asked: false, curious: Vec::new() };
        self.watched.insert(connection, watched);
    }

    pub(super) fn end(&mut self, connection: ConnectionId) {
        if let Some(mut watched) = self.watched.remove(&connection) {
            self.due.remove(&(watched.due, connection));
            watched.tell(true);
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// One whose time has come; the next time is set.
    fn pop(&mut self, now: Instant) -> Option<ConnectionId> {
        let (due, connection) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, connection));
        let watched = self.watched.get_mut(&connection)?;
        watched.due = now + self.care.probe_every;
        self.due.insert((watched.due, connection));
        Some(connection)
    }

    /// Whether it has to be asked: what has come from it since answers as well.
    fn is_silent(&mut self, connection: ConnectionId, received: u64) -> bool {
        let Some(watched) = self.watched.get_mut(&connection) else { return false };
        std::mem::replace(&mut watched.received, received) == received
    }

    /// Whether there is none out; then there is one from now on.
    fn begin_question(&mut self, connection: ConnectionId) -> bool {
        self.watched
            .get_mut(&connection)
            .is_some_and(|watched| !std::mem::replace(&mut watched.is_asked, true))
    }

    fn end_question(&mut self, connection: ConnectionId, is_alive: bool) {
        if let Some(watched) = self.watched.get_mut(&connection) {
            watched.is_asked = false;
            watched.tell(!is_alive);
        }
    }

    /// Tells this one what comes of the question that is out or begins now.
    fn tell_later(&mut self, connection: ConnectionId, curious: oneshot::Sender<bool>) {
        if let Some(watched) = self.watched.get_mut(&connection) {
            watched.curious.push(curious);
        } else {
            let _ = curious.send(true);
        }
    }

    /// Whether it is worn from now on: told once.
    fn becomes_worn(&mut self, connection: ConnectionId, key_use: f64) -> bool {
        let most = self.care.max_age;
        let Some(watched) = self.watched.get_mut(&connection) else { return false };
        let is_old = most.is_some_and(|most| watched.since.elapsed() >= most);
        (is_old || key_use >= WORN) && !std::mem::replace(&mut watched.is_worn, true)
    }
}

/// What had gone over a connection when a question was asked.
struct Sent {
    session: Session,
    received: u64,
    sent: u64,
}

impl Sent {
    fn now(session: &Session) -> Self {
        let carried = session.stats();
        Self { session: session.clone(), received: carried.bytes_received, sent: carried.bytes_sent }
    }

    /// Whether something came since. What is only sent may fill a buffer that nobody empties: it has to be more than any
    /// holds.
    fn is_moving(&self) -> bool {
        let carried = self.session.stats();
        carried.bytes_received > self.received || carried.bytes_sent > self.sent + MORE_THAN_BUFFERS
    }
}

impl Driver {
    /// Looks at all whose time has come.
    pub(super) fn probe_due(&mut self) {
        let now = Instant::now();
        while let Some(connection) = self.probes.pop(now) {
            let Some(session) = self.hosts.session(connection) else { continue };
            let (received, key_use) = (session.stats().bytes_received, session.key_use());
            traced::looked_at(self.hosts.name_of(connection), connection, session);
            if self.probes.becomes_worn(connection, key_use) {
                self.tell(Event::Worn { connection });
            }
            if self.probes.is_silent(connection, received) {
                self.probe(connection, GONE);
            } else {
                self.lives(connection);
            }
        }
    }

    /// Asks one that may be gone.
    pub(super) fn probe_now(&mut self, connection: ConnectionId) {
        self.probe(connection, Duration::ZERO);
    }

    /// Asks one over which a forward was not answered, and tells whether it is gone. That may be the fault of where the client
    /// wants to go, and the connection is everybody's: it is asked as patiently as one that is silent, and once for all who
    /// wonder.
    pub(super) fn unanswered(&mut self, connection: ConnectionId, answer: oneshot::Sender<bool>) {
        self.probes.tell_later(connection, answer);
        self.probe(connection, GONE);
    }

    /// Asks; one that is late has so much more time.
    fn probe(&mut self, connection: ConnectionId, more: Duration) {
        let Some(session) = self.hosts.session(connection).cloned() else { return };
        if !self.probes.begin_question(connection) {
            return;
        }
        self.begin(async move {
            let sent = Sent::now(&session);
            let mut asked: BoxFuture<'static, Sign> = Box::pin(async move { Sign::of(session.ping().await) });
            let outcome = match timeout(LATE, &mut asked).await {
                Ok(sign) => Outcome::Known(sign),
                Err(_late) if sent.is_moving() => Outcome::Known(Sign::Behind),
                Err(_late) if more.is_zero() => Outcome::Known(Sign::Silent),
                Err(_late) => {
                    Outcome::Late(Box::pin(async move { timeout(more, asked).await.unwrap_or(Sign::Silent) }))
                }
            };
            Done::Probed(Probe { connection, outcome })
        });
    }

    pub(super) fn probed(&mut self, probe: Probe) {
        let Probe { connection, outcome } = probe;
        match outcome {
            Outcome::Known(sign) => {
                self.probes.end_question(connection, sign.is_of_life());
                self.showed(connection, sign);
            }
            Outcome::Late(rest) => {
                if self.hosts.set_degraded(connection, true) {
                    traced::is_late(&self.hosts, connection, true);
                    self.tell(Event::Degraded { connection });
                }
                self.begin(
                    async move { Done::Probed(Probe { connection, outcome: Outcome::Known(rest.await) }) },
                );
            }
        }
    }

    /// What a server that was asked showed: who gives no sign is not waited for any longer.
    pub(super) fn showed(&mut self, connection: ConnectionId, sign: Sign) {
        match sign {
            Sign::Answered(took) => {
                traced::answered(&self.hosts, connection, took);
                self.lives(connection);
            }
            Sign::Behind => self.lives(connection),
            Sign::Silent => {
                if let Some(session) = self.hosts.session(connection) {
                    traced::is_silent(&self.hosts, connection);
                    session.abort();
                }
            }
            Sign::Lost => {}
        }
    }

    /// A server is there.
    fn lives(&mut self, connection: ConnectionId) {
        if self.hosts.set_degraded(connection, false) {
            traced::is_late(&self.hosts, connection, false);
            self.tell(Event::Recovered { connection });
        }
    }

    /// Asks all connections of a host, and says how long the slowest took.
    pub(super) fn check(&mut self, host: HostId, answer: oneshot::Sender<Result<Duration>>) {
        let sessions = self.hosts.sessions(host);
        if sessions.is_empty() {
            let _ = answer.send(Err(Error::of_session(self.hosts.absent(host))));
            return;
        }
        self.begin(async move {
            let asked = sessions.into_iter().map(async |(connection, session)| {
                let sent = Sent::now(&session);
                let (sign, answer) = match timeout(LATE, session.ping()).await {
                    Ok(answer) => (Sign::of(answer.clone()), answer.map_err(Error::of_session)),
                    Err(_late) if sent.is_moving() => (Sign::Behind, Ok(LATE)),
                    Err(_late) => (Sign::Silent, Err(Error::silent(session.target(), LATE))),
                };
                ((connection, sign), answer)
            });
            let (mut slowest, mut checked) = (Ok(Duration::ZERO), Vec::new());
            for (sign, answer) in join_all(asked).await {
                checked.push(sign);
                slowest = match (slowest, answer) {
                    (Ok(slowest), Ok(took)) => Ok(slowest.max(took)),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                };
            }
            let _ = answer.send(slowest);
            Done::Checked(checked)
        });
    }
}
