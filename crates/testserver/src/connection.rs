//! One connection, as all that serves it shares it: its number, its wire, its end, its tasks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    fault::{Action, Phase, Trigger},
    link::LinkControl,
    server::Shared,
};

/// Long enough for a few queued messages to reach the socket on a busy machine.
const SETTLE: Duration = Duration::from_millis(20);

pub(crate) struct Connection {
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Arc<LinkControl>,
    /// Cancelled when the connection is gone.
    pub(crate) gone: CancellationToken,
    /// The tasks of its channels.
    pub(crate) tasks: TaskTracker,
    sessions: AtomicUsize,
}

/// What becomes of a connection at the start of a phase.
pub(crate) enum Reached {
    /// On with it.
    Go,
    /// This request gets no answer.
    Withhold,
    /// This channel is refused.
    Refuse { code: u32, text: String },
    /// The connection has been cut.
    Lost,
}

impl Reached {
    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Go) { other } else { self }
    }
}

impl Connection {
    pub(crate) fn new(number: usize, shared: Arc<Shared>, link: Arc<LinkControl>) -> Arc<Self> {
        let gone = shared.stopping.child_token();
        Arc::new(Self {
            number,
            shared,
            link,
            gone,
            tasks: TaskTracker::new(),
            sessions: AtomicUsize::new(0),
        })
    }

    /// Lets the faults scripted for this phase strike. A stall is the wire's: nothing gets out or in any more, so
    /// whatever is answered from now on stays unheard.
    pub(crate) fn reach(&self, phase: Phase) -> Reached {
        let actions = self.shared.faults.strike(self.number, |trigger| *trigger == Trigger::Phase(phase));
        let mut reached = Reached::Go;
        for action in actions {
            tracing::debug!(connection = self.number, %phase, %action, "fault strikes");
            self.shared.keeper.touch();
            match action {
                Action::Cut(how) => {
                    self.link.cut(how);
                    reached = Reached::Lost;
                }
                Action::Stall => self.link.stall(),
                // A cut goes before all else, and the fault scripted first before those after it.
                Action::Withhold => reached = reached.or(Reached::Withhold),
                Action::Refuse { code, text } => reached = reached.or(Reached::Refuse { code, text }),
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
        tokio::time::sleep(SETTLE).await;
        self.reach(phase)
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
