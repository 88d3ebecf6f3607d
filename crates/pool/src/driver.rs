//! The one task of a pool: it asks the policy what is to be done, does it, and tells what became of it.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::{Error, ErrorKind, HostSettings, HostSetup, HostSetupBuilder, Session};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::line::{Answer, Line, Message, Taken, WeakLine, shut_down};
use crate::policy::Policy;
use crate::policy::event::{
    Action, Closing, ConnectionId, DialFailure, Event, HostId, Lane, Logins, Missing, Rejection, WaiterId,
};
use crate::policy::limits::Limits;
use crate::registry::Known;

/// What a goodbye to a server may take: nothing is on the connection any more.
const GOODBYE: Duration = Duration::from_secs(3);

/// A server that gives no sign of life within this is gone, after the machine's network changed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How long the end of a pool that nobody holds any more may take.
const GRACE_OF_DROP: Duration = Duration::from_secs(3);

/// Why there was no connection is told to those who come this much later at the latest.
const REASONS_KEPT: Duration = Duration::from_secs(60);

/// Starts the task, which takes what is sent here.
pub(crate) fn start(limits: Limits) -> Line {
    let (line, inbox) = Line::new();
    // One's own seed: programs that fail together must not try again together.
    let seed = rand_seed();
    let driver = Driver {
        policy: Policy::new(limits, Instant::now().into_std(), seed),
        line: line.downgrade(),
        hosts: HashMap::new(),
        waiters: HashMap::new(),
        connections: HashMap::new(),
        reasons: HashMap::new(),
        work: JoinSet::new(),
        ends: Vec::new(),
        out: Vec::new(),
        is_stopped: false,
    };
    // Owner: the pool's clones, and the sessions and channels from it, which hold the line. Ends: when the last of them is
    // gone, or on `Message::Shutdown`, once every connection has ended. Waited for: by `Pool::shutdown`.
    tokio::spawn(driver.run(inbox));
    line
}

/// What the configuration makes of a destination, and all that it says of it.
///
/// # Cancel safety
/// Dropped, the thread finishes its reading; nothing was changed.
pub(crate) async fn resolve(builder: HostSetupBuilder) -> Result<(HostSettings, HostSetup), Error> {
    // Owner: the caller, who waits for it. Ends: when the files are read and the commands in them (`Match exec`) have run.
    let resolved = tokio::task::spawn_blocking(move || Ok((builder.settings()?, builder.resolve()?)));
    // Only a runtime that is shutting down gives it up.
    resolved.await.unwrap_or_else(|_gone| Err(shut_down()))
}

struct Driver {
    policy: Policy,
    line: WeakLine,
    hosts: HashMap<HostId, Arc<Known>>,
    waiters: HashMap<WaiterId, Waiter>,
    connections: HashMap<ConnectionId, Connection>,
    /// Why connections could not be made, or were lost.
    reasons: HashMap<ConnectionId, (Error, Instant)>,
    work: JoinSet<Done>,
    /// Who waits for the end of all.
    ends: Vec<oneshot::Sender<()>>,
    out: Vec<Action>,
    is_stopped: bool,
}

/// One who waits, or has a place.
struct Waiter {
    lane: Lane,
    host: String,
    answer: Option<Answer>,
    /// What the policy gave before it was asked for again.
    early: Option<Result<Taken, Error>>,
}

enum Connection {
    Dialing(CancellationToken),
    Ready(Session),
}

/// What became of something that was begun.
enum Done {
    Dialed(ConnectionId, Result<Session, Error>),
    Abandoned(ConnectionId),
    Lost(ConnectionId, Error),
    Alive(ConnectionId),
    Silent(ConnectionId),
    Closed,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut is_held = true;
        while !self.is_stopped {
            let due = self.policy.next_deadline().map(Instant::from_std);
            tokio::select! {
                message = inbox.recv(), if is_held => match message {
                    Some(message) => self.hear(message),
                    None => {
                        is_held = false;
                        let by = Instant::now() + GRACE_OF_DROP;
                        self.tell(Event::Shutdown { by: by.into_std() });
                    }
                },
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    // A task of ours does not panic, and nobody else aborts it.
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                () = sleep_until(due) => self.tell(Event::Tick),
            }
        }
        // What is told from here on finds nobody: those who wait get no answer, which is one.
        self.waiters.clear();
        for end in self.ends {
            let _ = end.send(());
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Acquire { waiter, host, lane, deadline, answer } => {
                let (id, name) = (host.id, host.name.clone());
                self.hosts.entry(id).or_insert(host);
                self.waiters.insert(waiter, Waiter { lane, host: name, answer: Some(answer), early: None });
                let deadline = deadline.into_std();
                self.tell(Event::Acquire { waiter, host: id, lane, logins: Logins::Unknown, deadline });
            }
            Message::Cancel { waiter } => {
                self.tell(Event::Cancel { waiter });
                // A place that is under way comes back, and is told of then.
                self.waiters.remove(&waiter);
            }
            Message::Opened { waiter, connection } => self.tell(Event::Opened { waiter, connection }),
            Message::Released { waiter, connection } => {
                self.tell(Event::Released { waiter, connection });
                // Where the place was lost with its connection, its owner may stand in line again without knowing.
                self.tell(Event::Cancel { waiter });
                self.waiters.remove(&waiter);
            }
            Message::Again { waiter, connection, refusal, answer } => {
                let Some(known) = self.waiters.get_mut(&waiter) else {
                    let _ = answer.send(Err(shut_down()));
                    return;
                };
                match known.early.take() {
                    Some(early) => {
                        let _ = answer.send(early);
                    }
                    None => {
                        known.answer = Some(answer);
                        // Of a connection that is gone the policy hears by its loss, and gives another place by itself.
                        if let Some(refusal) = refusal {
                            self.tell(Event::Refused { waiter, connection, refusal });
                        }
                    }
                }
            }
            Message::Shutdown { by, done } => {
                self.ends.push(done);
                self.tell(Event::Shutdown { by: by.into_std() });
            }
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Dialed(connection, Ok(session)) => {
                let logins = if session.was_prompted() { Logins::One } else { Logins::Many };
                self.connections.insert(connection, Connection::Ready(session.clone()));
                self.work.spawn(async move { Done::Lost(connection, session.lost().await) });
                self.tell(Event::Dialed { connection, logins });
            }
            Done::Dialed(connection, Err(error)) => {
                self.connections.remove(&connection);
                let failure = failure_of(&error);
                self.remember(connection, error);
                self.tell(Event::DialFailed { connection, failure });
            }
            Done::Abandoned(connection) => {
                self.connections.remove(&connection);
                self.tell(Event::DialFailed { connection, failure: DialFailure::Abandoned });
            }
            Done::Lost(connection, error) => {
                self.connections.remove(&connection);
                self.remember(connection, error);
                self.tell(Event::Lost { connection });
            }
            Done::Alive(connection) => self.tell(Event::Recovered { connection }),
            Done::Silent(connection) => {
                if let Some(Connection::Ready(session)) = self.connections.get(&connection) {
                    session.abort();
                }
            }
            Done::Closed => {}
        }
    }

    /// Tells the policy, and does what it wants done.
    fn tell(&mut self, event: Event) {
        let mut out = std::mem::take(&mut self.out);
        self.policy.handle(Instant::now().into_std(), event, &mut out);
        for action in out.drain(..) {
            self.act(action);
        }
        self.out = out;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial { connection, host, attempt } => self.dial(connection, host, attempt),
            Action::Abandon { connection } => {
                if let Some(Connection::Dialing(given_up)) = self.connections.get(&connection) {
                    given_up.cancel();
                }
            }
            Action::Grant { waiter, connection, .. } => self.grant(waiter, connection),
            Action::Reject { waiter, why } => {
                let error = self.rejection(waiter, why);
                self.answer(waiter, Err(error));
            }
            Action::Warm { connection } => {
                let _ = connection;
            }
            Action::Close { connection, why } => self.close(connection, why),
            Action::Cut { connection } => {
                if let Some(Connection::Ready(session)) = self.connections.get(&connection) {
                    session.abort();
                }
            }
            Action::Probe { connection } => self.probe(connection),
            Action::Retry { .. } => {}
            Action::Stopped => self.is_stopped = true,
        }
    }

    fn dial(&mut self, connection: ConnectionId, host: HostId, attempt: u32) {
        let given_up = CancellationToken::new();
        self.connections.insert(connection, Connection::Dialing(given_up.clone()));
        let Some(known) = self.hosts.get(&host) else { return };
        let setup = known.setup.clone();
        tracing::debug!(host = known.name, connection = connection.0, attempt, "connecting");
        self.work.spawn(async move {
            tokio::select! {
                dialed = setup.connect() => Done::Dialed(connection, dialed),
                () = given_up.cancelled() => Done::Abandoned(connection),
            }
        });
    }

    fn grant(&mut self, waiter: WaiterId, connection: ConnectionId) {
        let Some(Connection::Ready(session)) = self.connections.get(&connection) else { return };
        let (Some(line), Some(lane)) =
            (self.line.upgrade(), self.waiters.get(&waiter).map(|waiter| waiter.lane))
        else {
            return;
        };
        let taken = Taken::new(line, waiter, connection, lane, session.clone());
        self.answer(waiter, Ok(taken));
    }

    fn answer(&mut self, waiter: WaiterId, answer: Result<Taken, Error>) {
        let Some(known) = self.waiters.get_mut(&waiter) else { return };
        let is_last = answer.is_err() || known.lane == Lane::Bare;
        match known.answer.take() {
            Some(waits) => {
                // Dropped on its way, a place is given back.
                let _ = waits.send(answer);
                if is_last {
                    self.waiters.remove(&waiter);
                }
            }
            None => known.early = Some(answer),
        }
    }

    fn close(&mut self, connection: ConnectionId, why: Closing) {
        let Some(Connection::Ready(session)) = self.connections.get(&connection) else { return };
        let session = session.clone();
        tracing::debug!(target = session.target(), connection = connection.0, ?why, "closing");
        self.work.spawn(async move {
            session.close(GOODBYE).await;
            Done::Closed
        });
    }

    fn probe(&mut self, connection: ConnectionId) {
        let Some(Connection::Ready(session)) = self.connections.get(&connection) else { return };
        let session = session.clone();
        self.work.spawn(async move {
            match tokio::time::timeout(SIGN_OF_LIFE, session.ping()).await {
                Ok(Ok(_)) => Done::Alive(connection),
                Ok(Err(_)) | Err(_) => Done::Silent(connection),
            }
        });
    }

    fn remember(&mut self, connection: ConnectionId, error: Error) {
        let now = Instant::now();
        self.reasons.retain(|_, (_, since)| now - *since < REASONS_KEPT);
        self.reasons.entry(connection).or_insert((error, now));
    }

    fn rejection(&self, waiter: WaiterId, why: Rejection) -> Error {
        let host = self.waiters.get(&waiter).map_or("", |waiter| &waiter.host);
        match why {
            Rejection::Dial(connection) => match self.reasons.get(&connection) {
                Some((error, _)) => error.clone(),
                None => Error::no_place(format!("{host}: there is no connection"), "try again"),
            },
            Rejection::Deadline(missing) => missed(host, missing),
            Rejection::NoSessions => Error::no_place(
                format!("{host}: the server opens no session at all"),
                "its MaxSessions may be 0: such a server forwards connections and runs nothing",
            ),
            Rejection::Crowded => Error::no_place(
                format!("{host}: too many wait for connections already"),
                "begin less at once, or allow more to wait",
            ),
            Rejection::ShuttingDown => shut_down(),
        }
    }
}

/// What somebody waited for in vain.
fn missed(host: &str, missing: Missing) -> Error {
    let (what, hint) = match missing {
        Missing::Login => ("the login took too long", "allow more patience, or see why the server is slow"),
        Missing::Retry => (
            "no login has succeeded, and the next attempt was still to come",
            "see whether the host can be reached, or allow more patience",
        ),
        Missing::HostLimit => (
            "all connections to the host that are allowed are full",
            "allow more connections to a host (max_connections_per_host), or wait for longer",
        ),
        Missing::TotalLimit => (
            "all connections that are allowed are in use",
            "allow more connections (max_connections), or wait for longer",
        ),
        Missing::Shortage => (
            "this machine has no more sockets or files for connections",
            "allow the process more open files (RLIMIT_NOFILE, ulimit -n)",
        ),
        Missing::DialLimit => (
            "all logins at once that are allowed are under way",
            "allow more logins at once (max_dials), or wait for longer",
        ),
    };
    Error::no_place(format!("{host}: {what}"), hint)
}

fn failure_of(error: &Error) -> DialFailure {
    match error.kind() {
        _ if is_shortage(error) => DialFailure::Shortage,
        ErrorKind::ServerBusy => DialFailure::Busy,
        kind if kind.is_retryable() => DialFailure::Transient,
        _ => DialFailure::Final,
    }
}

/// Whether this machine had no descriptor for it.
fn is_shortage(error: &Error) -> bool {
    // EMFILE and ENFILE; WSAEMFILE.
    const NONE_LEFT: &[i32] = if cfg!(windows) { &[10024] } else { &[24, 23] };
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some_and(|code| NONE_LEFT.contains(&code))
        {
            return true;
        }
        next = error.source();
    }
    false
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// From the map's own randomness, which is the system's.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};

    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
