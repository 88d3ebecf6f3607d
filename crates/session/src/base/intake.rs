//! What a channel received and nobody took yet: bounded in memory, then on disk, then by an end.
//!
//! The base grants the window as soon as bytes arrive, and its loop must not wait for a slow reader, for it
//! also serves every other channel and answers keepalives. So its queue per channel never fills, and this
//! account of it decides: up to [`BufferLimits::memory`] bytes stay in memory, then up to
//! [`BufferLimits::disk`] in an unlinked temporary file, then the loop waits at most
//! [`BufferLimits::pause`], and then this channel ends with an error while the others live on.
//!
//! A reader that keeps up takes messages straight from the base's queue: no task and no copy in between.

mod spill;
mod waiters;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::sync::Notify;

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
    /// For how many milliseconds the loop has waited for this channel's reader since it last caught up.
    paused: AtomicU64,
    room: Notify,
    orphaned: OnceLock<Box<dyn Fn() + Send + Sync>>,
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
            paused: AtomicU64::new(0),
            room: Notify::new(),
            orphaned: OnceLock::new(),
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

    // ---- the loop's side ----------------------------------------------------------------------

    /// Counts a message that the loop has queued. `false`: over the memory limit, call [`Intake::spill`].
    pub(crate) fn arrived(&self, bytes: usize) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return true;
        }
        let cost = cost(bytes);
        self.queued.fetch_add(cost, Ordering::AcqRel) + cost <= self.limits.memory_bytes()
    }

    /// Counts a message of a stream; whether it arrived for a reader that had gone before, told once.
    pub(crate) fn output_for_nobody(&self, stream: Stream) -> bool {
        if stream != Stream::Out {
            return false;
        }
        let arrived = self.out_arrived.fetch_add(1, Ordering::AcqRel) + 1;
        self.out_dropped.load(Ordering::Acquire)
            && arrived > self.out_sorted.load(Ordering::Acquire)
            && !self.orphaned_told.swap(true, Ordering::AcqRel)
    }

    /// Moves what is in memory to disk. Blocking; `Ok(false)` when the disk limit is reached as well.
    pub(crate) fn spill(&self) -> io::Result<bool> {
        let mut state = self.state();
        self.sort_queue(&mut state);
        let State { out, err, .. } = &mut *state;
        // Standard error last, and only where that is not enough: the report of a process group may be at its head.
        for fifo in [out, err] {
            if self.fits() {
                break;
            }
            while let Some(bytes) = fifo.memory.front() {
                if fifo.spill.waiting + bytes.len() as u64 > self.limits.disk_bytes() {
                    break;
                }
                fifo.spill.append(bytes, self.limits.disk_bytes())?;
                self.queued.fetch_sub(cost(bytes.len()), Ordering::AcqRel);
                fifo.memory.pop_front();
            }
        }
        Ok(self.fits())
    }

    /// Runs the hook set by [`Intake::when_orphaned`].
    pub(crate) fn tell_orphaned(&self) {
        if let Some(hook) = self.orphaned.get() {
            hook();
        }
    }

    /// The loop is done with the channel and has forgotten it.
    pub(crate) fn mark_closed_by_peer(&self) {
        self.closed_by_peer.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.closed_by_peer.load(Ordering::Acquire)
    }

    /// Resolves when readers have made room, a quarter of the limit, or the channel ended.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Whether some of it is on disk, so that reading frees no memory yet.
    pub(crate) fn has_spilled(&self) -> bool {
        let state = self.state();
        state.out.spill.waiting > 0 || state.err.spill.waiting > 0
    }

    /// For how long the loop has waited for this channel since its reader last caught up.
    pub(crate) fn paused(&self) -> Duration {
        Duration::from_millis(self.paused.load(Ordering::Relaxed))
    }

    /// Counts a wait of the loop.
    pub(crate) fn add_pause(&self, pause: Duration) {
        let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.paused.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Whether another message fits in memory.
    pub(crate) fn fits(&self) -> bool {
        self.queued.load(Ordering::Acquire) <= self.limits.memory_bytes()
    }

    pub(crate) fn limits(&self) -> &BufferLimits {
        &self.limits
    }

    /// Ends the channel from this side; later messages of it are dropped by the base.
    pub(crate) fn end(&self, end: End) {
        {
            let mut state = self.state();
            state.end.get_or_insert(end);
            state.queue = None;
            self.ended.store(true, Ordering::Release);
        }
        self.wakers.tell(News::ALL);
        self.room.notify_one();
    }

    // ---- the readers' side --------------------------------------------------------------------

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

    /// All bytes of a stream that are here, up to about `limit`; at least one piece, unless it ended.
    pub(crate) fn poll_all_data(
        &self,
        stream: Stream,
        into: &mut Vec<Bytes>,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = 0;
        let mut state = self.state();
        loop {
            while bytes < limit
                && let Some(piece) = self.take(&mut state, stream)?
            {
                bytes += piece.len();
                into.push(piece);
            }
            if bytes >= limit || state.eof || state.end.is_some() {
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
            }
            return Ok(Some(bytes));
        }
        let bytes = fifo.memory.pop_front();
        if let Some(bytes) = &bytes {
            self.release(bytes);
        }
        Ok(bytes)
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

    /// Sorts all that the base has queued, tells whom it concerns, and has the base wake all waiters for the next
    /// message. `true` when at least one was there.
    fn sort_queue(&self, state: &mut State) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakers));
        let mut cx = Context::from_waker(&waker);
        let (mut any, mut news) = (false, News::NONE);
        while state.end.is_none() {
            let Some(queue) = &mut state.queue else { break };
            let message = pin!(queue.wait()).poll(&mut cx);
            match message {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    state.end = Some(End::Lost);
                    news = News::ALL;
                }
                Poll::Ready(Some(message)) => news = news.and(self.sort(state, message)),
            }
            any = true;
        }
        if news != News::NONE {
            self.wakers.tell(news);
        }
        any
    }

    /// Files one message, and says whom it concerns.
    fn sort(&self, state: &mut State, message: ChannelMsg) -> News {
        let news = match message {
            ChannelMsg::Data { data } => {
                if self.out_dropped.load(Ordering::Acquire) {
                    self.release(&data);
                    return News::NONE;
                }
                self.out_sorted.fetch_add(1, Ordering::AcqRel);
                if data.is_empty() {
                    // Allowed, and no end of file, which is what a reader would take it for.
                    self.release(&data);
                    return News::NONE;
                }
                state.out.memory.push_back(data);
                return News::OUT;
            }
            // Types other than stderr (1) are not defined; ssh drops them too.
            ChannelMsg::ExtendedData { data, ext } => {
                let has_room = state.err_room.is_none_or(|room| data.len() <= room);
                if ext != 1 || data.is_empty() || !has_room {
                    if ext == 1 && !has_room {
                        state.err_room = Some(0);
                    }
                    self.release(&data);
                    return News::NONE;
                }
                if let Some(room) = &mut state.err_room {
                    *room -= data.len();
                }
                state.err.memory.push_back(data);
                return News::ERR;
            }
            ChannelMsg::Eof => {
                state.eof = true;
                News::OUT.and(News::ERR)
            }
            ChannelMsg::ExitStatus { exit_status } => {
                state.exit.get_or_insert(Exit::Status(exit_status));
                News::EXIT
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, .. } => {
                state.exit.get_or_insert(Exit::Signal {
                    name: super::channel::signal_name(&signal_name),
                    core_dumped,
                    message: error_message,
                });
                News::EXIT
            }
            ChannelMsg::Success => {
                state.replies.push_back(true);
                News::REPLY
            }
            ChannelMsg::Failure => {
                state.replies.push_back(false);
                News::REPLY
            }
            ChannelMsg::Close => {
                state.end = Some(End::Closed);
                state.queue = None;
                self.ended.store(true, Ordering::Release);
                News::ALL
            }
            // Window adjustments reach the writer another way; the rest is never sent to a client.
            _ => News::NONE,
        };
        self.queued.fetch_sub(MESSAGE_COST, Ordering::AcqRel);
        news
    }
}

/// What a message of this many bytes counts for.
fn cost(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 2) + MESSAGE_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(bytes: &'static [u8]) -> ChannelMsg {
        ChannelMsg::ExtendedData { data: Bytes::from_static(bytes), ext: 1 }
    }

    #[test]
    fn an_empty_message_is_no_end_of_a_stream() {
        let intake = Intake::new(BufferLimits::default());
        let mut cx = Context::from_waker(Waker::noop());
        for message in [ChannelMsg::Data { data: Bytes::new() }, errors(b"")] {
            intake.arrived(0);
            intake.sort(&mut intake.state(), message);
        }
        assert!(intake.poll_data(Stream::Out, &mut cx).is_pending());
        assert!(intake.poll_data(Stream::Err, &mut cx).is_pending());
        assert_eq!(intake.queued.load(Ordering::Acquire), 0, "what they cost is given back");
    }

    #[test]
    fn of_errors_that_nobody_reads_the_beginning_is_kept() {
        let intake = Intake::new(BufferLimits::default());
        let pieces: [&[u8]; 5] = [b"before", b"after", b"a piece too long", b"and", b"more"];
        for piece in pieces {
            intake.arrived(piece.len());
        }
        intake.sort(&mut intake.state(), errors(b"before"));
        intake.keep_errors(20);
        for piece in &pieces[1..] {
            intake.sort(&mut intake.state(), errors(piece));
        }
        assert_eq!(intake.peek_errors(100), b"beforeafter");
        assert_eq!(intake.peek_errors(8), b"beforeaf");
        assert_eq!(intake.queued.load(Ordering::Acquire), cost(6) + cost(5), "the rest is given back");
        intake.drop_stream(Stream::Err);
        assert_eq!(intake.queued.load(Ordering::Acquire), 0);
    }

    #[test]
    fn errors_go_to_disk_last_and_are_seen_there_too() {
        let limits = BufferLimits::default().memory(1024);
        let intake = Intake::new(limits);
        let fill = |message: ChannelMsg, bytes: usize| {
            intake.arrived(bytes);
            intake.sort(&mut intake.state(), message);
        };
        fill(errors(b"report"), 6);
        fill(ChannelMsg::Data { data: Bytes::from(vec![0; 4096]) }, 4096);
        assert!(intake.spill().unwrap());
        assert_eq!(intake.state().err.memory.len(), 1, "there is room without it");
        fill(ChannelMsg::ExtendedData { data: Bytes::from(vec![b'x'; 4096]), ext: 1 }, 4096);
        assert!(intake.spill().unwrap());
        assert!(intake.state().err.memory.is_empty());
        assert_eq!(intake.peek_errors(8), b"reportxx");
        intake.keep_errors(100);
        assert_eq!(intake.peek_errors(8), b"reportxx");
    }

    #[test]
    fn a_reader_ahead_of_the_loops_count_leaves_no_orphan() {
        let intake = Intake::new(BufferLimits::default());
        let data = || ChannelMsg::Data { data: Bytes::from_static(b"ready\n") };
        intake.sort(&mut intake.state(), data());
        intake.drop_stream(Stream::Out);
        assert!(!intake.output_for_nobody(Stream::Out), "what it read, counted late");
        intake.sort(&mut intake.state(), data());
        assert!(intake.output_for_nobody(Stream::Out), "what came when it had gone");
        assert!(!intake.output_for_nobody(Stream::Out), "told once");
    }

    #[test]
    fn output_that_was_there_when_its_reader_went_is_forgiven_and_the_next_is_not() {
        let intake = Intake::new(BufferLimits::default());
        assert!(!intake.output_for_nobody(Stream::Out));
        intake.drop_stream(Stream::Out);
        assert!(intake.output_for_nobody(Stream::Out));
    }
}
