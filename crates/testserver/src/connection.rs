//! One connection, as all that serves it shares it: its number, its wire, its end, its tasks.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    fault::{Action, Ending, Farewell, Phase, RequestKind, Trigger},
    line::Engine,
    link::LinkControl,
    network::Transit,
    record::End,
    server::Shared,
    startups::StartupSlot,
};

/// Long enough for a few queued messages to reach the socket on a busy machine.
const SETTLE: Duration = Duration::from_millis(20);

pub(crate) struct Connection {
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Arc<LinkControl>,
    /// What the simulated network has not delivered yet.
    pub(crate) transit: Transit,
    /// Cancelled when the connection is gone.
    pub(crate) gone: CancellationToken,
    /// The tasks of its channels.
    pub(crate) tasks: TaskTracker,
    /// The way into the engine, once it runs.
    pub(crate) engine: OnceLock<Engine>,
    /// How it ends, where that is decided before it does.
    ending: OnceLock<End>,
    /// Its place among those that are not logged in, until it is.
    startup: Mutex<Option<StartupSlot>>,
    sessions: AtomicUsize,
}

/// What becomes of a connection at the start of a phase.
pub(crate) enum Reached {
    /// On with it.
    Go,
    /// This request gets no answer, or a late one.
    Withhold(Option<Duration>),
    /// This channel is refused.
    Refuse { code: u32, text: String },
    /// A goodbye is on its way; no answer comes before it.
    Leaving,
    /// The connection has been cut.
    Lost,
}

impl Reached {
    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Go) { other } else { self }
    }
}

impl Connection {
    pub(crate) fn new(
        number: usize,
        shared: Arc<Shared>,
        link: Arc<LinkControl>,
        startup: StartupSlot,
    ) -> Arc<Self> {
        let gone = shared.stopping.child_token();
        Arc::new(Self {
            number,
            shared,
            link,
            transit: Transit::default(),
            gone,
            tasks: TaskTracker::new(),
            engine: OnceLock::new(),
            ending: OnceLock::new(),
            startup: Mutex::new(Some(startup)),
            sessions: AtomicUsize::new(0),
        })
    }

    /// Lets the faults scripted for this phase strike. A stall is the wire's: nothing gets out or in any more, so
    /// whatever is answered from now on stays unheard.
    pub(crate) fn reach(&self, phase: Phase) -> Reached {
        let mut reached = Reached::Go;
        for action in self.strike(&Trigger::Phase(phase)) {
            match action {
                Action::Cut(how) => {
                    self.link.cut(how);
                    reached = Reached::Lost;
                }
                // A cut goes before all else, and the fault scripted first before those after it.
                Action::Withhold(time) => reached = reached.or(Reached::Withhold(time)),
                Action::Refuse { code, text } => reached = reached.or(Reached::Refuse { code, text }),
                Action::Disconnect(farewell) => {
                    self.leave(farewell);
                    reached = reached.or(Reached::Leaving);
                }
                wire => self.link.apply(wire),
            }
        }
        reached
    }

    /// As [`reach`](Self::reach), for phases that the server itself begins: what was queued before goes out first.
    ///
    /// The base tells nobody when a queued message has gone out, so a short pause has to do; under paused time it ends
    /// exactly when all else has come to rest.
    pub(crate) async fn reach_settled(&self, phase: Phase) -> Reached {
        if !self.shared.faults.watches(self.number, |trigger| *trigger == Trigger::Phase(phase)) {
            return Reached::Go;
        }
        let settled = async {
            tokio::time::sleep(SETTLE).await;
            while !self.transit.is_empty() {
                self.transit.emptied().await;
                // What had no room on the way enters it now.
                tokio::time::sleep(SETTLE).await;
            }
        };
        tokio::select! {
            biased;
            () = settled => self.reach(phase),
            () = self.gone.cancelled() => Reached::Lost,
        }
    }

    /// Whether a fault refuses this request.
    pub(crate) fn refuses(&self, kind: RequestKind) -> bool {
        !self.strike(&Trigger::Request(kind)).is_empty()
    }

    /// Whether a fault leaves this out at the end of a command.
    pub(crate) fn omits(&self, ending: Ending) -> bool {
        !self.strike(&Trigger::Ending(ending)).is_empty()
    }

    /// What faults do at a moment that is none of the wire's.
    pub(crate) fn strike(&self, moment: &Trigger) -> Vec<Action> {
        let actions = self.shared.faults.strike(self.number, |trigger| trigger == moment);
        for action in &actions {
            tracing::debug!(connection = self.number, %moment, %action, "fault strikes");
            self.shared.keeper.touch();
        }
        actions
    }

    /// Says goodbye as soon as the engine can.
    pub(crate) fn leave(&self, farewell: Farewell) {
        self.link.apply(Action::Disconnect(farewell));
    }

    /// Sets down how the connection ends; the first word counts.
    pub(crate) fn ends_as(&self, end: End) {
        self.ending.get_or_init(|| end);
    }

    /// How the connection was decided to end.
    pub(crate) fn ending(&self) -> Option<End> {
        self.ending.get().cloned()
    }

    /// Somebody is in: the connection does not count among those that start up any more.
    pub(crate) fn logged_in(&self) {
        drop(self.startup.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(crate) fn is_starting(&self) -> bool {
        self.startup.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes one of the session slots, to be given back when the guard is dropped.
    pub(crate) fn take_session(self: &Arc<Self>) -> Option<SessionSlot> {
        let limit = self.shared.settings.max_sessions.unwrap_or(usize::MAX);
        let taken = self
            .sessions
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < limit).then_some(open + 1))
            .is_ok();
        taken.then(|| SessionSlot { connection: Arc::clone(self) })
    }
}

pub(crate) struct SessionSlot {
    connection: Arc<Connection>,
}

impl Drop for SessionSlot {
    fn drop(&mut self) {
        self.connection.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}
