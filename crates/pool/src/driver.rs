//! The one task of a pool: it asks the policy what is to be done, does it, and tells what became of it.

mod actions;
mod inbox;
mod probes;
mod reasons;
mod traced;

use std::collections::HashMap;
use std::time::Duration;

use rustle_session::{Error, OpenedAhead, Session};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::actions::Waiter;
use self::probes::{Probe, Probes, Sign};
use self::reasons::{Reasons, failure_of};
use crate::events::Change;
use crate::hosts::Hosts;
use crate::line::{Line, Message, WeakLine};
use crate::options::Care;
use crate::policy::Policy;
use crate::policy::event::{Action, ConnectionId, DialFailure, Event, Lane, Logins, WaiterId};
use crate::policy::limits::Limits;

/// How long the end of a pool that nobody holds any more may take.
const GRACE_OF_DROP: Duration = Duration::from_secs(3);

/// A connection that was there for less is made again for those who ask alone: a server that lets in and hangs up would be
/// logged in to without an end.
const WORTH_REPLACING: Duration = Duration::from_secs(10);

/// All attempts to replace a connection that was lost take less.
const REPLACED_WITHIN: Duration = Duration::from_secs(600);

/// Starts the task, which takes what is sent here.
pub(crate) fn start(limits: Limits, care: Care, changes: broadcast::Sender<Change>) -> Line {
    let (line, inbox) = Line::new();
    let (attempts, logins) = (limits.attempts, care.logins);
    let driver = Driver {
        // One's own seed: programs that fail together must not try again together.
        policy: Policy::new(limits, Instant::now().into_std(), seed()),
        line: line.downgrade(),
        logins,
        hosts: Hosts::new(changes, attempts),
        waiters: HashMap::new(),
        reasons: Reasons::default(),
        probes: Probes::new(care),
        work: JoinSet::new(),
        ends: Vec::new(),
        lasts: Vec::new(),
        out: Vec::new(),
        retired: 0,
        is_ending: false,
        is_stopped: false,
    };
    // Owner: the pool's clones, and the sessions and channels from it, which hold the line. Ends: when the last of them is
    // gone, or on `Message::Shutdown`, once every connection has ended. Waited for: by `Pool::shutdown`.
    tokio::spawn(driver.run(inbox));
    line
}

struct Driver {
    policy: Policy,
    line: WeakLine,
    /// How often one may log in, as far as that is known beforehand.
    logins: Logins,
    hosts: Hosts,
    waiters: HashMap<WaiterId, Waiter>,
    reasons: Reasons,
    probes: Probes,
    work: JoinSet<Done>,
    /// Who waits for the end of all.
    ends: Vec<oneshot::Sender<()>>,
    /// Who waits for the end of some.
    lasts: Vec<(Vec<ConnectionId>, oneshot::Sender<()>)>,
    out: Vec<Action>,
    /// How many were closed because they were to be retired.
    retired: usize,
    is_ending: bool,
    is_stopped: bool,
}

/// What became of something that was begun.
enum Done {
    Dialed(ConnectionId, Result<Session, Error>),
    Abandoned(ConnectionId),
    Lost(ConnectionId, Error),
    Probed(Probe),
    /// Whoever wanted to know was told; how long each took that answered.
    Checked(Vec<(ConnectionId, Sign)>),
    Warmed(ConnectionId, Result<OpenedAhead, Error>),
    /// The session with this number that was opened ahead is gone.
    Cooled(ConnectionId, u64),
    Nothing,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut is_held = true;
        while !self.is_stopped {
            let due = self.policy.next_deadline().map(Instant::from_std);
            let due = due.into_iter().chain(self.probes.next()).min();
            tokio::select! {
                message = inbox.recv(), if is_held => match message {
                    Some(message) => self.hear(message),
                    None => {
                        is_held = false;
                        self.shut_down(Instant::now() + GRACE_OF_DROP);
                    }
                },
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    // A task of ours does not panic, and nobody else aborts it.
                    if let Ok(done) = done {
                        self.done(done);
                    }
                }
                () = sleep_until(due) => {
                    self.tell(Event::Tick);
                    self.probe_due();
                }
            }
            self.hosts.tell_changes(|host| self.policy.failures(host));
            for host in self.hosts.take_forgotten() {
                self.policy.forget_host(host);
            }
        }
        // What is told from here on finds nobody: those who wait get no answer, which is one.
        self.waiters.clear();
        for end in self.ends {
            let _ = end.send(());
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Dialed(connection, Ok(session)) => {
                let is_once = session.was_prompted() || self.logins == Logins::One;
                let logins = if is_once { Logins::One } else { Logins::Many };
                let watched = session.clone();
                self.begin(async move { Done::Lost(connection, watched.lost().await) });
                if let Some((host, took)) = self.hosts.dialed(connection, session) {
                    traced::connected(&self.hosts, host, connection, took);
                }
                self.probes.begin(connection);
                self.tell(Event::Dialed { connection, logins });
            }
            Done::Dialed(connection, Err(error)) => {
                let failure = failure_of(&error);
                traced::not_connected(self.hosts.name_of(connection), connection, failure, &error);
                let host = self.hosts.not_dialed(connection, Some(&error));
                self.reasons.remember(connection, host, error);
                self.tell(Event::DialFailed { connection, failure });
                self.gone(connection);
            }
            Done::Abandoned(connection) => {
                self.hosts.not_dialed(connection, None);
                self.tell(Event::DialFailed { connection, failure: DialFailure::Abandoned });
                self.gone(connection);
            }
            Done::Lost(connection, error) => self.lost(connection, error),
            Done::Probed(probe) => self.probed(probe),
            Done::Checked(checked) => {
                for (connection, sign) in checked {
                    self.showed(connection, sign);
                }
            }
            Done::Warmed(connection, Ok(ahead)) => self.warmed(connection, ahead),
            Done::Warmed(connection, Err(_)) => self.tell(Event::Cooled { connection }),
            Done::Cooled(connection, number) => {
                if self.hosts.cool(connection, number) {
                    self.tell(Event::Cooled { connection });
                }
            }
            Done::Nothing => {}
        }
    }

    /// A connection is gone that was there.
    fn lost(&mut self, connection: ConnectionId, error: Error) {
        let loss = self.hosts.lost(connection, &error);
        self.probes.end(connection);
        if let Some(loss) = &loss {
            traced::gone(&self.hosts, connection, loss, &error);
        }
        self.reasons.remember(connection, loss.as_ref().map(|loss| loss.host), error);
        self.tell(Event::Lost { connection });
        self.gone(connection);
        let Some(loss) = loss else { return };
        let is_worth_it = loss.age >= WORTH_REPLACING && loss.was_used && loss.was_last;
        let is_worth_it = is_worth_it && !loss.was_wanted && !loss.asks && self.logins != Logins::One;
        if is_worth_it && !self.is_ending {
            let Some(line) = self.line.upgrade() else { return };
            let (waiter, deadline) = (line.next_waiter(), Instant::now() + REPLACED_WITHIN);
            self.acquire(waiter, loss.host, Lane::Bare, deadline, None);
        }
    }

    /// Nothing is left of it.
    fn gone(&mut self, connection: ConnectionId) {
        for (left, _) in &mut self.lasts {
            left.retain(|id| *id != connection);
        }
        for (_, end) in self.lasts.extract_if(.., |(left, _)| left.is_empty()) {
            let _ = end.send(());
        }
    }

    fn shut_down(&mut self, by: Instant) {
        self.is_ending = true;
        self.tell(Event::Shutdown { by: by.into_std() });
    }

    /// Does it beside everything else, and hears of its end.
    fn begin(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        // Owner: this task. Ends: by itself, each has a deadline of its own; those that wait for the end of a connection,
        // with it. Waited for: by `run`, which takes what came of it; at the pool's end every connection is gone.
        self.work.spawn(work);
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
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// From the map's own randomness, which is the system's.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};

    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
