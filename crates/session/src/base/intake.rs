//! What a channel received and nobody took yet: bounded in memory, then on disk, then by an end.
//!
//! The base grants the window as soon as bytes arrive, and its loop must not wait for a slow reader, for it
//! also serves every other channel and answers keepalives. So its queue per channel never fills, and this
//! account of it decides: up to [`BufferLimits::memory`] bytes stay in memory, then up to
//! [`BufferLimits::disk`] in an unlinked temporary file, then the loop waits at most
//! [`BufferLimits::pause`], and then this channel ends with an error while the others live on. What was kept of it is
//! thrown away then, and its place is free, whoever still has it.
//!
//! A reader that keeps up takes messages straight from the base's queue: no task and no copy in between.

mod arrival;
mod sorting;
mod spill;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use russh::ChannelReadHalf;
use tokio::sync::Notify;

pub(super) use crate::base::intake::arrival::Unread;
use crate::base::intake::spill::Spill;
use crate::base::intake::waiters::{News, Wakers};
use crate::options::BufferLimits;

/// What one message costs beside its bytes: its queue slot and allocation, so that a flood of empty
/// messages is bounded too.
const MESSAGE_COST: i64 = 128;

/// Output streams of a channel (RFC 4254 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// `SSH_MSG_CHANNEL_DATA`.
    Out,
    /// `SSH_MSG_CHANNEL_EXTENDED_DATA` of type `SSH_EXTENDED_DATA_STDERR`.
    Err,
}

/// How the remote process ended, as the server told (RFC 4254 section 6.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    Status(u32),
    Signal { name: String, core_dumped: bool, message: String },
}

/// The end of a channel as this side saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed the channel.
    Closed,
    /// This side closed it; whatever the peer still had to say is not known.
    Released,
    /// The connection ended first.
    Lost,
    /// Its output was not read, and its buffers ran over.
    Overrun,
}

/// One channel's account, shared by its readers and the connection's loop.
pub(crate) struct Intake {
    limits: BufferLimits,
    /// Bytes and message costs that arrived and were not taken; negative for the moment in which a reader is
    /// ahead of the loop's own count.
    queued: AtomicI64,
    out_dropped: AtomicBool,
    /// Messages of standard output that the loop has counted, and those that its reader came for: the reader may be
    /// ahead of the loop's count.
    out_arrived: AtomicU64,
    out_sorted: AtomicU64,
    orphaned_told: AtomicBool,
    /// Whether some of it is on disk.
    on_disk: AtomicBool,
    /// Bytes that arrived since the loop last took a breath for a reader who is that far behind.
    in_a_row: AtomicU64,
    /// For how many milliseconds the loop has waited for this channel's reader since it last caught up.
    paused: AtomicU64,
    room: Notify,
    orphaned: OnceLock<Box<dyn Fn() + Send + Sync>>,
    closed: OnceLock<Box<dyn Fn() + Send + Sync>>,
    closed_by_peer: AtomicBool,
    ended: AtomicBool,
    state: Mutex<State>,
    wakers: Arc<Wakers>,
}

#[derive(Default)]
struct State {
    queue: Option<ChannelReadHalf>,
    out: Fifo,
    err: Fifo,
    /// How much more of standard error is to be kept; `None`: all, for its reader.
    err_room: Option<usize>,
    replies: VecDeque<bool>,
    eof: bool,
    exit: Option<Exit>,
    end: Option<End>,
}

/// Bytes of one stream in order: first those on disk, if any, then those in memory.
#[derive(Default)]
struct Fifo {
    spill: Spill,
    memory: VecDeque<Bytes>,
}

impl Intake {
    pub(crate) fn new(limits: BufferLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            queued: AtomicI64::new(0),
            out_dropped: AtomicBool::new(false),
            out_arrived: AtomicU64::new(0),
            out_sorted: AtomicU64::new(0),
            orphaned_told: AtomicBool::new(false),
            on_disk: AtomicBool::new(false),
            in_a_row: AtomicU64::new(0),
            paused: AtomicU64::new(0),
            room: Notify::new(),
            orphaned: OnceLock::new(),
            closed: OnceLock::new(),
            closed_by_peer: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            state: Mutex::default(),
            wakers: Arc::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the account the base's queue, once the channel is confirmed.
    pub(crate) fn attach(&self, queue: ChannelReadHalf) {
        self.state().queue = Some(queue);
        self.wakers.tell(News::ALL);
    }

    /// The next bytes of a stream; `None` when it ended (see [`Intake::end_seen`] for how).
    pub(crate) fn poll_data(&self, stream: Stream, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut state = self.state();
        loop {
            if let Some(bytes) = self.take(&mut state, stream)? {
                drop(state);
                self.tell_room();
                return Poll::Ready(Ok(Some(bytes)));
            }
            if state.eof || state.end.is_some() {
                return Poll::Ready(Ok(None));
            }
            if !self.arriving(&mut state, News::of(stream), cx) {
                return Poll::Pending;
            }
        }
    }

    /// All bytes of a stream that are here, up to about `limit`, where each piece counts for what it costs; at least one piece,
    /// unless it ended.
    pub(crate) fn poll_all_data(
        &self,
        stream: Stream,
        into: &mut Vec<Bytes>,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let (mut bytes, mut left) = (0, i64::try_from(limit).unwrap_or(i64::MAX));
        let mut state = self.state();
        loop {
            while left > 0
                && let Some(piece) = self.take(&mut state, stream)?
            {
                bytes += piece.len();
                left -= cost(piece.len());
                into.push(piece);
            }
            if left <= 0 || state.eof || state.end.is_some() {
                break;
            }
            // Who has something in hand goes on with that, and is woken for nothing.
            let more = if bytes == 0 {
                self.arriving(&mut state, News::of(stream), cx)
            } else {
                self.sort_queue(&mut state)
            };
            if !more {
                break;
            }
        }
        let ended = state.eof || state.end.is_some();
        drop(state);
        if bytes == 0 && !ended {
            return Poll::Pending;
        }
        self.tell_room();
        Poll::Ready(Ok(bytes))
    }

    /// The next answer to a channel request; `None` when the channel ended first.
    pub(crate) fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        let mut state = self.state();
        loop {
            if let Some(reply) = state.replies.pop_front() {
                return Poll::Ready(Some(reply));
            }
            if state.end.is_some() {
                return Poll::Ready(None);
            }
            if !self.arriving(&mut state, News::REPLY, cx) {
                return Poll::Pending;
            }
        }
    }

    /// Resolves when the process's end is known, or nothing more can come.
    pub(crate) fn poll_exit(&self, cx: &mut Context<'_>) -> Poll<Option<Exit>> {
        let mut state = self.state();
        loop {
            if let Some(exit) = &state.exit {
                return Poll::Ready(Some(exit.clone()));
            }
            if state.end.is_some() {
                return Poll::Ready(None);
            }
            if !self.arriving(&mut state, News::EXIT, cx) {
                return Poll::Pending;
            }
        }
    }

    /// Resolves when the channel is closed.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<End> {
        let mut state = self.state();
        loop {
            if let Some(end) = state.end {
                return Poll::Ready(end);
            }
            if !self.arriving(&mut state, News::END, cx) {
                return Poll::Pending;
            }
        }
    }

    /// How the channel ended, if it has.
    pub(crate) fn end_seen(&self) -> Option<End> {
        self.state().end
    }

    /// Whether the peer has said that it sends no more.
    pub(crate) fn eof_seen(&self) -> bool {
        self.state().eof
    }

    /// How the process ended, if the server has told.
    pub(crate) fn exit_seen(&self) -> Option<Exit> {
        self.state().exit.clone()
    }

    /// The next bytes of standard error that nobody has read yet, `limit` at most; they stay where they are. Blocking
    /// where they are on disk, for as long as reading so much takes.
    pub(crate) fn peek_errors(&self, limit: usize) -> Vec<u8> {
        let mut state = self.state();
        self.sort_queue(&mut state);
        let Fifo { spill, memory } = &mut state.err;
        let mut bytes = spill.peek(self.limits.disk_bytes(), limit).unwrap_or_default();
        if bytes.len() as u64 == spill.waiting {
            for piece in memory {
                let room = limit.saturating_sub(bytes.len());
                bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            }
        }
        bytes
    }

    /// What to do when output arrives after its reader went away, as `SIGPIPE` would for a local process.
    /// Set once; runs inside the loop, so it must only hand on.
    pub(crate) fn when_orphaned(&self, hook: Box<dyn Fn() + Send + Sync>) {
        // A second hook would belong to a second owner of the channel, and there is one.
        let _ = self.orphaned.set(hook);
    }

    /// What to do when either side has closed the channel, read or not. Set once; runs inside the loop or by whoever closes it,
    /// or at once where that is over, and perhaps more than once.
    pub(crate) fn when_closed(&self, hook: Box<dyn Fn() + Send + Sync>) {
        let _ = self.closed.set(hook);
        if self.is_closed_by_peer() || matches!(self.end_seen(), Some(End::Released | End::Overrun)) {
            self.tell_closed();
        }
    }

    /// Says that nobody will read a stream: its bytes are dropped from here on.
    pub(crate) fn drop_stream(&self, stream: Stream) {
        let mut state = self.state();
        let dropped = match stream {
            Stream::Out => {
                self.out_dropped.store(true, Ordering::Release);
                std::mem::take(&mut state.out)
            }
            Stream::Err => {
                state.err_room = Some(0);
                std::mem::take(&mut state.err)
            }
        };
        self.look_at_disk(&state);
        drop(state);
        for bytes in dropped.memory {
            self.release(&bytes);
        }
        self.room.notify_one();
        self.wakers.tell(News::ALL);
    }

    /// Says that nobody will read standard error, of which about the first `limit` bytes are kept nevertheless.
    pub(crate) fn keep_errors(&self, limit: usize) {
        let mut state = self.state();
        self.sort_queue(&mut state);
        let Fifo { spill, memory } = &mut state.err;
        let mut room = limit.saturating_sub(usize::try_from(spill.waiting).unwrap_or(usize::MAX));
        let mut kept = 0;
        while let Some(piece) = memory.get(kept)
            && piece.len() <= room
        {
            room -= piece.len();
            kept += 1;
        }
        // What follows a piece that had no room would leave a gap.
        state.err_room = Some(if kept < memory.len() { 0 } else { room });
        let dropped = state.err.memory.split_off(kept);
        drop(state);
        for bytes in dropped {
            self.release(&bytes);
        }
        self.room.notify_one();
    }

    /// Says that standard output is not wanted, and that the process is nevertheless to go on.
    pub(crate) fn discard_output(&self) {
        self.orphaned_told.store(true, Ordering::Release);
        self.drop_stream(Stream::Out);
    }

    /// Wakes a loop that waits for room, once there is enough of it to be worth the wake-up.
    fn tell_room(&self) {
        let enough = self.limits.memory_bytes() / 4 * 3;
        if self.queued.load(Ordering::Acquire) <= enough {
            self.room.notify_one();
        }
    }

    /// Takes one piece of a stream out of the account.
    fn take(&self, state: &mut State, stream: Stream) -> io::Result<Option<Bytes>> {
        let fifo = match stream {
            Stream::Out => &mut state.out,
            Stream::Err => &mut state.err,
        };
        if fifo.spill.waiting > 0 {
            let bytes = fifo.spill.read_back(self.limits.disk_bytes())?;
            if fifo.spill.waiting == 0 {
                // The reader has caught up with the disk; what it caused before is forgiven.
                self.paused.store(0, Ordering::Relaxed);
                self.look_at_disk(state);
            }
            return Ok(Some(bytes));
        }
        let bytes = fifo.memory.pop_front();
        if let Some(bytes) = &bytes {
            self.release(bytes);
        }
        Ok(bytes)
    }

    /// Notes whether anything is on disk.
    fn look_at_disk(&self, state: &State) {
        let is_any = state.out.spill.waiting > 0 || state.err.spill.waiting > 0;
        self.on_disk.store(is_any, Ordering::Release);
    }

    /// Takes a message's cost off the account.
    fn release(&self, bytes: &Bytes) {
        self.queued.fetch_sub(cost(bytes.len()), Ordering::AcqRel);
    }

    /// Sorts what the base has queued. `true` when at least one message was there; otherwise the task of `cx` is
    /// woken when there is something of this kind, or anything unsorted.
    fn arriving(&self, state: &mut State, wanted: News, cx: &Context<'_>) -> bool {
        if self.sort_queue(state) {
            return true;
        }
        self.wakers.register(wanted, cx.waker());
        // What came before that was for others to be woken by.
        self.sort_queue(state)
    }
}

/// What a message of this many bytes counts for.
fn cost(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 2) + MESSAGE_COST
}
