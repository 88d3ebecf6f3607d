//! The wire of one connection: a stream wrapper between the socket and the SSH engine that counts, stalls, drips,
//! corrupts and cuts.

mod control;
mod flow;
mod meter;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::Instant,
};

use crate::fault::{Cut, Direction};

pub(crate) use control::LinkControl;

/// The server's end of a connection. When dropped it hands the stream back, so that its owner can end it properly:
/// closing, resetting and holding it open are different things to the client.
pub(crate) struct Link<S> {
    inner: Option<S>,
    control: Arc<LinkControl>,
    hand_back: Option<oneshot::Sender<S>>,
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

impl<S: AsyncWrite + Unpin> Link<S> {
    /// Says the goodbye that nothing else may follow, where there is one, and ends the stream.
    fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.control.lock();
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(Ok(())) };
        if state.last_words.is_empty() {
            return Poll::Ready(Ok(()));
        }
        ready!(state.admit(cx))?;
        while !state.last_words.is_empty() {
            let words = state.last_words.make_contiguous();
            let written = ready!(Pin::new(&mut *inner).poll_write(cx, words))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.last_words.drain(..written);
            self.control.keeper.sent(self.control.connection, written as u64);
        }
        state.cut(Cut::Fin);
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Link<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // A client that says nothing is told all the same.
        ready!(this.poll_last_words(cx))?;
        let control = &this.control;
        let mut state = control.lock();
        ready!(state.admit(cx))?;
        control.fire_due(&mut state, Direction::Received);
        ready!(state.admit(cx))?;
        let room = ready!(control.room(&mut state, Direction::Received, buf.remaining(), cx));
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        if room < buf.remaining() {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
            ready!(Pin::new(inner).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buf.advance(read);
        } else {
            ready!(Pin::new(inner).poll_read(cx, buf))?;
        }
        let read = buf.filled().len() - before;
        if let Some(first) = buf.filled_mut().get_mut(before).filter(|_| !state.received.changes().is_empty())
        {
            control.change_byte(&state.received, |mask| {
                *first ^= mask;
                true
            });
        }
        state.received.passed(read as u64, Instant::now());
        control.fire_due(&mut state, Direction::Received);
        drop(state);
        control.keeper.received(control.connection, read as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Link<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        {
            let mut state = this.control.lock();
            ready!(state.admit(cx))?;
            this.control.fire_due(&mut state, Direction::Sent);
        }
        ready!(this.poll_last_words(cx))?;
        let control = &this.control;
        let mut state = control.lock();
        ready!(state.admit(cx))?;
        let Some(inner) = this.inner.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let room = ready!(control.room(&mut state, Direction::Sent, buf.len(), cx));
        let written = match buf.first().filter(|_| !state.sent.changes().is_empty()) {
            Some(first) => {
                let mut written = Poll::Pending;
                control.change_byte(&state.sent, |mask| {
                    written = Pin::new(inner).poll_write(cx, &[first ^ mask]);
                    matches!(written, Poll::Ready(Ok(1)))
                });
                ready!(written)?
            }
            None => ready!(Pin::new(inner).poll_write(cx, &buf[..room]))?,
        };
        state.sent.passed(written as u64, Instant::now());
        // What is due exactly here must not wait for a next byte that may never come.
        control.fire_due(&mut state, Direction::Sent);
        drop(state);
        control.keeper.sent(control.connection, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // One that is due before the first byte has no write to come after.
        let mut state = this.control.lock();
        this.control.fire_due(&mut state, Direction::Sent);
        drop(state);
        ready!(this.poll_last_words(cx))?;
        let mut state = this.control.lock();
        ready!(state.admit(cx))?;
        match this.inner.as_mut() {
            Some(inner) => Pin::new(inner).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.control.lock().admit(cx))?;
        match this.inner.as_mut() {
            Some(inner) => Pin::new(inner).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
