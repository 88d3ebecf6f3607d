//! How often the loop has had trouble with readers that do not keep up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::session::Stalls;

/// Counted by the loop, read by anybody.
#[derive(Debug, Default)]
pub(super) struct StallCounts {
    spills: AtomicU64,
    pauses: AtomicU64,
    paused_microseconds: AtomicU64,
    overruns: AtomicU64,
}

impl StallCounts {
    /// Unread output of a channel begins to go to disk.
    pub(super) fn spills(&self) {
        self.spills.fetch_add(1, Ordering::Relaxed);
    }

    /// The loop begins to stand still for a reader.
    pub(super) fn pauses(&self) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    /// It stood still for so long.
    pub(super) fn add_pause(&self, pause: Duration) {
        let microseconds = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.paused_microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// A channel is ended.
    pub(super) fn overruns(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn seen(&self) -> Stalls {
        Stalls {
            spills: self.spills.load(Ordering::Relaxed),
            pauses: self.pauses.load(Ordering::Relaxed),
            paused: Duration::from_micros(self.paused_microseconds.load(Ordering::Relaxed)),
            overruns: self.overruns.load(Ordering::Relaxed),
        }
    }
}
