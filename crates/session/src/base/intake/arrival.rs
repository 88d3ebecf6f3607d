//! The side of a channel's account that the connection's loop sees: what arrived, what goes to disk, what it waits for.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::intake::waiters::News;
use crate::base::intake::{End, Fifo, Intake, State, Stream, cost};
use crate::options::BufferLimits;

/// So much of what goes to disk is taken in a row.
const IN_A_ROW: u64 = 256 * 1024;

/// What nobody will read any more: bytes in memory, and files that are gone once they are closed.
#[derive(Default)]
#[must_use]
pub(crate) struct Unread {
    _out: Fifo,
    _err: Fifo,
}

impl Intake {
    /// Counts a message that the loop has queued. `false`: over the memory limit, call [`Intake::spill`].
    pub(crate) fn arrived(&self, bytes: usize) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return true;
        }
        let cost = cost(bytes);
        self.queued.fetch_add(cost, Ordering::AcqRel) + cost <= self.limits.memory_bytes()
    }

    /// Counts the bytes of a message that come while others lie on disk, unread. Whether it is time for a breath: what nobody
    /// reads needs not come as fast as it can.
    pub(crate) fn is_due_for_a_breath(&self, bytes: usize) -> bool {
        if !self.is_on_disk() {
            return false;
        }
        let in_a_row = self.in_a_row.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let is_due = in_a_row >= IN_A_ROW;
        if is_due {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
        is_due
    }

    /// Whether some of it is on disk, so that reading frees no memory yet.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.on_disk.load(Ordering::Acquire)
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
                self.on_disk.store(true, Ordering::Release);
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
        self.closed_by_peer.store(true, Ordering::SeqCst);
        self.tell_closed();
    }

    /// Runs the hook set by [`Intake::when_closed`].
    pub(super) fn tell_closed(&self) {
        if let Some(hook) = self.closed.get() {
            hook();
        }
    }

    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.closed_by_peer.load(Ordering::SeqCst)
    }

    /// Resolves when readers have made room, a quarter of the limit, or the channel ended.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
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

    /// Ends the channel from this side; later messages of it are dropped by the base. Gives what was kept for a reader who let
    /// it run over, and who is told of that alone: it is to be dropped where that may take its time.
    pub(crate) fn end(&self, end: End) -> Unread {
        let unread = {
            let mut state = self.state();
            let end = *state.end.get_or_insert(end);
            state.queue = None;
            self.ended.store(true, Ordering::Release);
            match end {
                End::Overrun => {
                    self.queued.store(0, Ordering::Release);
                    self.on_disk.store(false, Ordering::Release);
                    Unread { _out: std::mem::take(&mut state.out), _err: std::mem::take(&mut state.err) }
                }
                End::Closed | End::Released | End::Lost => Unread::default(),
            }
        };
        self.wakers.tell(News::ALL);
        self.room.notify_one();
        self.tell_closed();
        unread
    }
}
