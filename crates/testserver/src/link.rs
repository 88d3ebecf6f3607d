//! The wire of one connection: a stream wrapper between the socket and the SSH engine that counts, stalls and cuts.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use crate::{
    fault::{Action, Cut, Due, Faults},
    record::Keeper,
};

/// The server's end of a connection. When dropped it hands the stream back, so that its owner can end it properly:
/// closing, resetting and holding it open are different things to the client.
pub(crate) struct Link<S> {
    inner: Option<S>,
    control: Arc<LinkControl>,
    hand_back: Option<oneshot::Sender<S>>,
}

/// What can be done to a [`Link`] from outside, at any moment.
pub(crate) struct LinkControl {
    connection: usize,
    faults: Arc<Faults>,
    keeper: Arc<Keeper>,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    sent: u64,
    received: u64,
    send_faults: VecDeque<Due<u64>>,
    receive_faults: VecDeque<Due<u64>>,
    wakers: Vec<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Flowing,
    Stalled,
    Cut(Cut),
}

impl LinkControl {
    pub(crate) fn new(
        connection: usize,
        identification: usize,
        faults: Arc<Faults>,
        keeper: Arc<Keeper>,
    ) -> Arc<Self> {
        let send_faults = faults.by_bytes_sent(connection, identification).into();
        let receive_faults = faults.by_bytes_received(connection).into();
        Arc::new(Self {
            connection,
            faults,
            keeper,
            state: Mutex::new(State {
                mode: Mode::Flowing,
                sent: 0,
                received: 0,
                send_faults,
                receive_faults,
                wakers: Vec::new(),
            }),
        })
    }

    /// Ends the connection in this way; the first cut wins.
    pub(crate) fn cut(&self, how: Cut) {
        let mut state = self.lock();
        if !matches!(state.mode, Mode::Cut(_)) {
            state.mode = Mode::Cut(how);
        }
        state.wake();
    }

    /// How the connection was cut, if it was.
    pub(crate) fn was_cut(&self) -> Option<Cut> {
        match self.lock().mode {
            Mode::Cut(how) => Some(how),
            _ => None,
        }
    }

    /// Falls silent.
    pub(crate) fn stall(&self) {
        let mut state = self.lock();
        if state.mode == Mode::Flowing {
            state.mode = Mode::Stalled;
        }
    }

    /// Ends a stall.
    pub(crate) fn resume(&self) {
        let mut state = self.lock();
        if state.mode == Mode::Stalled {
            state.mode = Mode::Flowing;
        }
        state.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires the faults due at the bytes sent so far; says how many more bytes may go before the next one.
    fn due_for_sending(&self, state: &mut State) -> u64 {
        while let Some(fault) = state.send_faults.front() {
            if fault.at > state.sent {
                return fault.at - state.sent;
            }
            let fault = state.send_faults.pop_front();
            self.fire(state, fault);
        }
        u64::MAX
    }

    fn due_for_receiving(&self, state: &mut State) {
        while state.receive_faults.front().is_some_and(|fault| fault.at <= state.received) {
            let fault = state.receive_faults.pop_front();
            self.fire(state, fault);
        }
    }

    fn fire(&self, state: &mut State, fault: Option<Due<u64>>) {
        let Some(action) = fault.and_then(|fault| self.faults.strike_due(&fault, self.connection)) else {
            return;
        };
        self.keeper.touch();
        match action {
            Action::Cut(how) if !matches!(state.mode, Mode::Cut(_)) => state.mode = Mode::Cut(how),
            Action::Stall if state.mode == Mode::Flowing => state.mode = Mode::Stalled,
            // The other actions answer requests; the builder of faults never joins them to a number of bytes.
            _ => {}
        }
    }
}

impl State {
    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }

    /// Ready to go on, or the error or wait that the mode imposes.
    fn admit(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.mode {
            Mode::Flowing => {
                self.watch(cx);
                Poll::Ready(Ok(()))
            }
            Mode::Stalled => {
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

impl<S> Link<S> {
    /// Wraps `inner`, and gives it back through the receiver when the engine is done with it.
    pub(crate) fn new(inner: S, control: Arc<LinkControl>) -> (Self, oneshot::Receiver<S>) {
        let (hand_back, returned) = oneshot::channel();
        (Self { inner: Some(inner), control, hand_back: Some(hand_back) }, returned)
    }
}

impl<S> Drop for Link<S> {
    fn drop(&mut self) {
        if let (Some(inner), Some(hand_back)) = (self.inner.take(), self.hand_back.take()) {
            // Nobody waiting means the server itself is gone: then the stream just closes.
            drop(hand_back.send(inner));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Link<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut state = this.control.lock();
        std::task::ready!(state.admit(cx))?;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        std::task::ready!(Pin::new(inner).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        state.received += read;
        this.control.due_for_receiving(&mut state);
        drop(state);
        this.control.keeper.received(this.control.connection, read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Link<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut state = this.control.lock();
        std::task::ready!(state.admit(cx))?;
        let room = this.control.due_for_sending(&mut state);
        std::task::ready!(state.admit(cx))?;
        let Some(inner) = this.inner.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let allowed = usize::try_from(room).map_or(buf.len(), |room| room.min(buf.len()));
        let written = std::task::ready!(Pin::new(inner).poll_write(cx, &buf[..allowed]))?;
        state.sent += written as u64;
        drop(state);
        this.control.keeper.sent(this.control.connection, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut state = this.control.lock();
        // A fault that is due exactly here must not wait for a next byte that may never come.
        this.control.due_for_sending(&mut state);
        std::task::ready!(state.admit(cx))?;
        match this.inner.as_mut() {
            Some(inner) => Pin::new(inner).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        std::task::ready!(this.control.lock().admit(cx))?;
        match this.inner.as_mut() {
            Some(inner) => Pin::new(inner).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
