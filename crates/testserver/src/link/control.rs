//! What can be done to a wire at any moment, from outside and by the faults scripted for it.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use crate::{
    fault::{Action, Cut, Direction, DisconnectReason, Due, Farewell, Faults},
    record::Keeper,
    server::Shared,
};

/// What can be done to a [`Link`](super::Link) from outside, at any moment.
pub(crate) struct LinkControl {
    pub(super) connection: usize,
    faults: Arc<Faults>,
    pub(super) keeper: Arc<Keeper>,
    accepted: Instant,
    /// How long the server's identification line is, its end included.
    identification: u64,
    state: Mutex<State>,
    rescheduled: Notify,
    goodbye_due: Notify,
    cut_off: CancellationToken,
}

pub(super) struct State {
    mode: Mode,
    /// Cancelled with the first cut.
    cut_off: CancellationToken,
    pub(super) sent: Flow,
    pub(super) received: Flow,
    timed: VecDeque<Due<Duration>>,
    /// A goodbye that goes out before anything else does, and then the end of the stream.
    pub(super) last_words: VecDeque<u8>,
    /// Why that is, or was, said.
    parted: Option<DisconnectReason>,
    /// What the engine is to say; the first goodbye is the last.
    goodbye: Option<Farewell>,
    wakers: Vec<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Flowing,
    Stalled { until: Option<Instant> },
    Cut(Cut),
}

impl LinkControl {
    pub(crate) fn new(connection: usize, shared: &Shared) -> Arc<Self> {
        let identification = shared.identification().len() + 2;
        let faults = &shared.faults;
        let cut_off = CancellationToken::new();
        Arc::new(Self {
            connection,
            faults: Arc::clone(faults),
            keeper: Arc::clone(&shared.keeper),
            accepted: Instant::now(),
            identification: identification as u64,
            state: Mutex::new(State {
                mode: Mode::Flowing,
                cut_off: cut_off.clone(),
                sent: Flow::new(
                    faults.by_bytes_sent(connection, identification),
                    faults.changes_sent(connection),
                ),
                received: Flow::new(
                    faults.by_bytes_received(connection),
                    faults.changes_received(connection),
                ),
                timed: faults.by_time(connection).into(),
                last_words: VecDeque::new(),
                parted: None,
                goodbye: None,
                wakers: Vec::new(),
            }),
            rescheduled: Notify::new(),
            goodbye_due: Notify::new(),
            cut_off,
        })
    }

    /// Ends the connection in this way; the first cut wins.
    pub(crate) fn cut(&self, how: Cut) {
        self.lock().cut(how);
    }

    /// How the connection was cut, if it was.
    pub(crate) fn was_cut(&self) -> Option<Cut> {
        match self.lock().mode {
            Mode::Cut(how) => Some(how),
            _ => None,
        }
    }

    /// Why the server left before the key exchange, if it said so.
    pub(crate) fn parted(&self) -> Option<DisconnectReason> {
        let state = self.lock();
        state.parted.filter(|_| state.last_words.is_empty())
    }

    /// Returns when the connection is cut. The engine notices only where it reads or writes: whoever lets it wait for
    /// something else waits for this too.
    pub(crate) async fn cut_off(&self) {
        self.cut_off.cancelled().await;
    }

    /// Falls silent until resumed.
    pub(crate) fn stall(&self) {
        self.lock().stall(None);
    }

    /// Ends a stall.
    pub(crate) fn resume(&self) {
        self.lock().resume();
    }

    /// Carries out what a fault does to the wire; an action that is none of the wire's business does nothing.
    pub(crate) fn apply(&self, action: Action) {
        self.act(&mut self.lock(), action);
    }

    /// Lets happen what has become due by time.
    pub(crate) fn tick(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let elapsed = now.saturating_duration_since(self.accepted);
        while state.timed.front().is_some_and(|fault| fault.at <= elapsed) {
            let fault = state.timed.pop_front();
            self.fire(&mut state, fault.as_ref());
        }
        if matches!(state.mode, Mode::Stalled { until: Some(until) } if until <= now) {
            state.resume();
        }
        let (sent, received) = (state.sent.wakes(now), state.received.wakes(now));
        if sent || received {
            state.wake();
        }
    }

    /// When [`tick`](Self::tick) is to be called next, as things stand.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let state = self.lock();
        let stalled = match state.mode {
            // Nothing more happens to a wire that is cut.
            Mode::Cut(_) => return None,
            Mode::Stalled { until } => until,
            Mode::Flowing => None,
        };
        let timed = state.timed.front().and_then(|fault| self.accepted.checked_add(fault.at));
        [stalled, timed, state.sent.due(), state.received.due()].into_iter().flatten().min()
    }

    /// Returns when [`tick`](Self::tick) may be due at another time than before. For one caller: nothing is missed
    /// between its calls.
    pub(crate) async fn rescheduled(&self) {
        self.rescheduled.notified().await;
    }

    /// Returns when there may be a [`goodbye`](Self::goodbye), or an engine to say it. For one caller, as above.
    pub(crate) async fn goodbye_due(&self) {
        self.goodbye_due.notified().await;
    }

    /// The goodbye that the engine has to say, if it has to.
    pub(crate) fn goodbye(&self) -> Option<Farewell> {
        self.lock().goodbye.clone()
    }

    /// From now on the engine can say goodbye.
    pub(crate) fn engine_runs(&self) {
        self.goodbye_due.notify_one();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires the faults due at the bytes that have gone this way so far.
    pub(super) fn fire_due(&self, state: &mut State, direction: Direction) {
        while let Some(fault) = state.flow(direction).pop_due() {
            self.fire(state, Some(&fault));
        }
    }

    /// How many of these bytes may go this way now; waits while that is none.
    pub(super) fn room(
        &self,
        state: &mut State,
        direction: Direction,
        wanted: usize,
        cx: &Context<'_>,
    ) -> Poll<usize> {
        if wanted == 0 {
            return Poll::Ready(0);
        }
        match state.flow(direction).room(wanted, Instant::now()) {
            0 => {
                state.watch(cx);
                self.rescheduled.notify_one();
                Poll::Pending
            }
            room => Poll::Ready(room),
        }
    }

    /// Lets the next byte pass as the faults that change it have it; see [`Faults::change_byte`].
    pub(super) fn change_byte(&self, flow: &Flow, pass: impl FnOnce(u8) -> bool) {
        let struck = self.faults.change_byte(flow.changes(), self.connection, pass);
        if struck > 0 {
            tracing::debug!(connection = self.connection, byte = flow.bytes(), "fault strikes");
            self.keeper.touch();
        }
    }

    fn fire<T>(&self, state: &mut State, fault: Option<&Due<T>>) {
        // On a wire that is cut there is nothing left to do.
        if matches!(state.mode, Mode::Cut(_)) {
            return;
        }
        let Some(action) = fault.and_then(|fault| self.faults.strike_due(fault, self.connection)) else {
            return;
        };
        tracing::debug!(connection = self.connection, %action, "fault strikes");
        self.keeper.touch();
        self.act(state, action);
    }

    fn act(&self, state: &mut State, action: Action) {
        let now = Instant::now();
        match action {
            Action::Cut(how) => state.cut(how),
            Action::Stall(time) => state.stall(time.and_then(|time| now.checked_add(time))),
            Action::Drip(drip) => {
                for direction in [Direction::Sent, Direction::Received] {
                    if drip.direction.covers(direction) {
                        state.flow(direction).drip(drip, now);
                    }
                }
            }
            Action::Disconnect(farewell) if state.sent.bytes() < self.identification => {
                tracing::debug!(?farewell, "no goodbye before the identification line");
                state.cut(Cut::Fin);
            }
            Action::Disconnect(farewell) if state.sent.bytes() == self.identification => {
                if state.parted.is_none() {
                    state.parted = Some(farewell.reason);
                    state.last_words = farewell.to_packet().into();
                    state.wake();
                }
            }
            Action::Disconnect(farewell) => {
                state.goodbye.get_or_insert(farewell);
                self.goodbye_due.notify_one();
            }
            // These strike where requests are answered, messages sent and bytes let pass.
            Action::Withhold(_)
            | Action::Refuse { .. }
            | Action::RefuseRequest
            | Action::RefuseLogin(_)
            | Action::Corrupt(..)
            | Action::Sftp(_)
            | Action::Raw(_) => {}
        }
        self.rescheduled.notify_one();
    }
}

impl State {
    pub(super) fn cut(&mut self, how: Cut) {
        if !matches!(self.mode, Mode::Cut(_)) {
            self.mode = Mode::Cut(how);
            self.cut_off.cancel();
        }
        self.wake();
    }

    fn stall(&mut self, until: Option<Instant>) {
        self.mode = match self.mode {
            Mode::Flowing => Mode::Stalled { until },
            // Of two stalls the longer one counts.
            Mode::Stalled { until: before } => {
                Mode::Stalled { until: before.zip(until).map(|(one, other)| one.max(other)) }
            }
            cut @ Mode::Cut(_) => cut,
        };
    }

    fn resume(&mut self) {
        if matches!(self.mode, Mode::Stalled { .. }) {
            self.mode = Mode::Flowing;
        }
        self.wake();
    }

    pub(super) fn flow(&mut self, direction: Direction) -> &mut Flow {
        match direction {
            Direction::Received => &mut self.received,
            Direction::Sent | Direction::Both => &mut self.sent,
        }
    }

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    /// Ready to go on, or the error or wait that the mode imposes.
    pub(super) fn admit(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.mode {
            Mode::Flowing => {
                self.watch(cx);
                Poll::Ready(Ok(()))
            }
            Mode::Stalled { .. } => {
                self.watch(cx);
                Poll::Pending
            }
            Mode::Cut(_) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    /// Whoever waits on the socket must also wake when the connection is cut from outside.
    fn watch(&mut self, cx: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            // A session's task polls from few places; old wakers of a moved task do not pile up past this.
            if self.wakers.len() >= 8 {
                self.wake();
            }
            self.wakers.push(cx.waker().clone());
        }
    }
}
