//! The byte stream under the base: bounded, counted, and cut at any moment.
//!
//! The base reads and writes from one loop, and while a socket write blocks it neither reads nor keeps time. So this
//! stream takes what the socket does not (up to [`WRITE_BUFFER_LIMIT`]), sends it while the loop reads, ends the
//! connection when the peer takes nothing for the write deadline, and turns every use into an error once it was cut.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::base::heap;

/// What can carry a connection: a TCP socket, a duplex pipe, another connection's channel.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Bytes taken from the base ahead of the socket: two full channel windows of OpenSSH's server. Past it the loop waits.
const WRITE_BUFFER_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes read ahead while the base waits to write. The peer, or a jump host's loop between the two, may be waiting for
/// that before it takes anything; what an honest peer sends meanwhile ends with the windows it was granted. This is two
/// of the largest.
const READ_AHEAD_LIMIT: usize = 129 * 1024 * 1024;

/// The base asks for four bytes, then for one packet (32 KiB); reading four packets at a time saves most
/// of the `recv` calls of a bulk flow.
const READ_CHUNK: usize = 128 * 1024;

/// As much is read at once until more was there. Each message of a login fits, and memory that a login has touched is the
/// process's from then on.
const FIRST_CHUNK: usize = 8 * 1024;

/// Below this much in one burst the read buffer is given back, so that an idle connection holds none.
const KEEP_BUFFER_ABOVE: usize = 16 * 1024;

/// How long a stream that is being closed may take to send what is left; whoever waits for the connection's
/// end waits for this too.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How much of what a peer says first is kept, to tell what it is if it is no SSH server.
const PREFACE_LIMIT: usize = 1024;

/// The side of the stream that others hold: counters, and the means to end it.
#[derive(Debug)]
pub(crate) struct WireControl {
    received: AtomicU64,
    sent: AtomicU64,
    /// The counts of either direction at which the keys in use have served long enough.
    /// After how many bytes the alarm goes off, of those from now on.
    alarm_bytes: AtomicU64,
    alarm_received: AtomicU64,
    alarm_sent: AtomicU64,
    alarm: Notify,
    state: Mutex<ControlState>,
    was_cut: CancellationToken,
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct ControlState {
    cut: Option<CutReason>,
    hold: bool,
    held_bytes: usize,
    wakers: VecDeque<Waker>,
    preface: Vec<u8>,
    /// Whether the peer is known for what it is: what it says from then on is not kept.
    is_known: bool,
}

/// Why this side ended the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutReason {
    /// Asked for: dropped, aborted, or out of the time a graceful end may take.
    Aborted,
    /// The peer took no byte for the write deadline.
    WriteDeadline(Duration),
}

impl WireControl {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            alarm_bytes: AtomicU64::new(u64::MAX),
            alarm_received: AtomicU64::new(u64::MAX),
            alarm_sent: AtomicU64::new(u64::MAX),
            alarm: Notify::new(),
            state: Mutex::default(),
            was_cut: CancellationToken::new(),
            gone: CancellationToken::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stream now: every read and write of the base fails from here on.
    pub(crate) fn cut(&self, reason: CutReason) {
        let wakers = {
            let mut state = self.state();
            state.cut.get_or_insert(reason);
            std::mem::take(&mut state.wakers)
        };
        self.was_cut.cancel();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn cut_reason(&self) -> Option<CutReason> {
        self.state().cut
    }

    /// Is cancelled when the base has let go of the stream: the socket is closed and the loop has ended.
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Resolves when the stream was cut or the base has let go of it.
    pub(crate) async fn cut_or_gone(&self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = self.was_cut.cancelled() => {}
        }
    }

    /// Encrypted bytes received, headers included.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Encrypted bytes handed to the socket.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The first bytes the peer sent, at most a kibibyte.
    pub(crate) fn preface(&self) -> Vec<u8> {
        self.state().preface.clone()
    }

    /// The peer is an SSH server: of what it said first, so much is kept as an idle connection has a use for.
    ///
    /// The base begins in the task that connects and goes on in one of its own. Whose waker is kept, whose memory is kept: the
    /// wakers are woken, and who still uses the stream comes again.
    pub(crate) fn known(&self, preface: &[u8]) {
        let wakers = {
            let mut state = self.state();
            state.is_known = true;
            state.preface = preface.to_vec();
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Asks for an alarm once either direction has carried this many more bytes.
    pub(crate) fn set_alarm(&self, bytes: u64) {
        self.alarm_bytes.store(bytes, Ordering::Relaxed);
        self.alarm_received.store(self.received().saturating_add(bytes), Ordering::Relaxed);
        self.alarm_sent.store(self.sent().saturating_add(bytes), Ordering::Relaxed);
    }

    /// How much of what it waits for was carried: from 0 to 1.
    pub(crate) fn alarm_nears(&self) -> f64 {
        let most = self.alarm_bytes.load(Ordering::Relaxed).max(1);
        let left = |at: &AtomicU64, now: u64| match at.load(Ordering::Relaxed) {
            // It went off.
            u64::MAX if most < u64::MAX => 0,
            at => at.saturating_sub(now).min(most),
        };
        let left = left(&self.alarm_received, self.received()).min(left(&self.alarm_sent, self.sent()));
        1.0 - left as f64 / most as f64
    }

    /// Resolves when the alarm goes off.
    pub(crate) async fn alarm(&self) {
        self.alarm.notified().await;
    }

    /// Keeps outbound bytes back, so that the peer gets them in one piece at [`WireControl::release`].
    pub(crate) fn hold(&self) {
        self.state().hold = true;
    }

    /// Bytes kept back so far.
    pub(crate) fn held_bytes(&self) -> usize {
        self.state().held_bytes
    }

    /// Sends what was kept back.
    pub(crate) fn release(&self) {
        let wakers = {
            let mut state = self.state();
            state.hold = false;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The stream handed to the base.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    control: Arc<WireControl>,
    incoming: BytesMut,
    /// How much is read at once: more, as long as it is all there.
    chunk: usize,
    burst: usize,
    outgoing: BytesMut,
    /// What was said ahead of the base, which says it again.
    greeted: BytesMut,
    write_deadline: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(crate) fn new(io: Box<dyn Io>, control: Arc<WireControl>, write_deadline: Duration) -> Self {
        Self {
            io,
            control,
            incoming: BytesMut::new(),
            chunk: FIRST_CHUNK,
            burst: 0,
            outgoing: BytesMut::new(),
            greeted: BytesMut::new(),
            write_deadline,
            stuck: None,
            closing: None,
        }
    }

    /// Sends this side's identification (RFC 4253 section 4.2: without waiting for the peer's) and waits for the first
    /// that the peer says, or its end; gives the time between. The base's own identification is then dropped.
    ///
    /// # Cancel safety
    /// Dropped, the stream is good for nothing more.
    pub(crate) async fn greet(&mut self, identification: &str) -> io::Result<Duration> {
        let line = format!("{identification}\r\n");
        let begun = Instant::now();
        self.write_all(line.as_bytes()).await?;
        self.flush().await?;
        self.greeted = BytesMut::from(line.as_bytes());
        poll_fn(|cx| {
            let hold = self.check(cx)?;
            if let Poll::Ready(Err(error)) = self.drive_out(cx, hold) {
                return Poll::Ready(Err(error));
            }
            self.fill(cx)
        })
        .await?;
        Ok(begun.elapsed())
    }

    /// How much of this was said ahead; it is not said again.
    fn drop_greeting(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.greeted.len().min(bytes.len());
        if self.greeted[..length] != bytes[..length] {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the identification has changed"));
        }
        self.greeted.advance(length);
        Ok(length)
    }

    /// Registers the task and reports a cut; `Ok(true)` means that outbound bytes are held back.
    fn check(&self, cx: &Context<'_>) -> io::Result<bool> {
        let mut state = self.control.state();
        if state.cut.is_some() {
            return Err(cut_error());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            // The base polls from one task; a second waker is the one before a move to another runtime thread.
            if state.wakers.len() >= 4 {
                state.wakers.pop_front();
            }
            state.wakers.push_back(cx.waker().clone());
        }
        state.held_bytes = self.outgoing.len();
        Ok(state.hold)
    }

    /// Sends buffered bytes as far as the socket takes them; `Ready` when none are left.
    fn drive_out(&mut self, cx: &mut Context<'_>, hold: bool) -> Poll<io::Result<()>> {
        if hold {
            return Poll::Ready(Ok(()));
        }
        while !self.outgoing.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.outgoing) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(sent)) => {
                    self.outgoing.advance(sent);
                    self.count_sent(sent);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.wait_for_peer(cx),
            }
        }
        if self.outgoing.capacity() > KEEP_BUFFER_ABOVE {
            self.outgoing = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// The socket is full: starts or checks the write deadline.
    fn wait_for_peer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self.write_deadline;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(deadline)));
        if stuck.as_mut().poll(cx).is_ready() {
            self.control.cut(CutReason::WriteDeadline(deadline));
            return Poll::Ready(Err(cut_error()));
        }
        Poll::Pending
    }

    fn count_sent(&mut self, sent: usize) {
        let total = self.control.sent.fetch_add(sent as u64, Ordering::Relaxed) + sent as u64;
        heap::carried(total);
        if total >= self.control.alarm_sent.load(Ordering::Relaxed) {
            self.control.alarm_sent.store(u64::MAX, Ordering::Relaxed);
            self.control.alarm.notify_one();
        }
        self.stuck = None;
    }

    /// Reads ahead into `incoming`; `Ready(Ok(0))` is the end of the stream.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.incoming.reserve(self.chunk);
        let read = std::task::ready!(tokio_util::io::poll_read_buf(
            Pin::new(&mut *self.io),
            cx,
            &mut self.incoming
        ))?;
        if read > 0 {
            if read >= self.chunk {
                self.chunk = READ_CHUNK;
            }
            let total = self.control.received.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
            heap::carried(total);
            if total >= self.control.alarm_received.load(Ordering::Relaxed) {
                self.control.alarm_received.store(u64::MAX, Ordering::Relaxed);
                self.control.alarm.notify_one();
            }
            let mut state = self.control.state();
            let room = if state.is_known { 0 } else { PREFACE_LIMIT - state.preface.len() };
            if room > 0 {
                let start = self.incoming.len() - read;
                state.preface.extend_from_slice(&self.incoming[start..start + read.min(room)]);
            }
            drop(state);
            self.burst = self.burst.saturating_add(read);
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.incoming.is_empty() {
            let hold = this.check(cx)?;
            if let Poll::Ready(Err(error)) = this.drive_out(cx, hold) {
                return Poll::Ready(Err(error));
            }
            match this.fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if this.burst < KEEP_BUFFER_ABOVE {
                        this.incoming = BytesMut::new();
                        this.chunk = FIRST_CHUNK;
                    }
                    this.burst = 0;
                    return Poll::Pending;
                }
            }
        }
        let take = this.incoming.len().min(buf.remaining());
        buf.put_slice(&this.incoming[..take]);
        this.incoming.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let hold = this.check(cx)?;
        if !this.greeted.is_empty() {
            return Poll::Ready(this.drop_greeting(buf));
        }
        if let Poll::Ready(Err(error)) = this.drive_out(cx, hold) {
            return Poll::Ready(Err(error));
        }
        if this.outgoing.is_empty() && !hold {
            match Pin::new(&mut this.io).poll_write(cx, buf) {
                Poll::Ready(Ok(sent)) => {
                    this.count_sent(sent);
                    return Poll::Ready(Ok(sent));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if let Poll::Ready(Err(error)) = this.wait_for_peer(cx) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        let room = WRITE_BUFFER_LIMIT.saturating_sub(this.outgoing.len());
        if room == 0 {
            if hold {
                // Too much to keep back: whoever asked for it gets less than one piece, nobody stalls.
                this.control.release();
            }
            // The peer may itself wait for us to read: take what it sends, within bounds.
            if this.incoming.len() < READ_AHEAD_LIMIT
                && let Poll::Ready(result) = this.fill(cx)
            {
                match result {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                    Ok(_) => cx.waker().wake_by_ref(),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            return Poll::Pending;
        }
        let take = room.min(buf.len());
        this.outgoing.extend_from_slice(&buf[..take]);
        this.control.state().held_bytes = this.outgoing.len();
        Poll::Ready(Ok(take))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let hold = this.check(cx)?;
        // What the socket does not take now goes out while the base reads: its loop must not wait here.
        if let Poll::Ready(Err(error)) = this.drive_out(cx, hold) {
            return Poll::Ready(Err(error));
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut this.io).poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.check(cx).is_err() {
            // Cut: there is nothing left to say, and nobody to wait for.
            return Poll::Ready(Ok(()));
        }
        let closing = this.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_WITHIN)));
        if closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(this.drive_out(cx, false))?;
        match Pin::new(&mut this.io).poll_shutdown(cx) {
            Poll::Pending => this.wait_for_peer(cx),
            // A peer that already closed the socket is as gone as one that gets our FIN.
            Poll::Ready(_) => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.control.gone.cancel();
    }
}

fn cut_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was ended on this side")
}

#[cfg(test)]
mod tests;
