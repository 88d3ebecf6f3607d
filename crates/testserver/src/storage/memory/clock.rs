//! The time that changes of files in memory carry.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where times come from.
pub(crate) enum Clock {
    /// The first change is at [`FIRST`], and each one a second after the last.
    Steps { next: u64 },
    /// Whatever the test says.
    Told(Box<dyn FnMut() -> SystemTime + Send>),
}

/// 14 November 2023, 22:13:20 UTC.
const FIRST: u64 = 1_700_000_000;

impl Clock {
    /// Counts changes and asks no clock: the same requests give the same times in every run, over a paused clock or a
    /// socket, and since SFTP version 3 shows whole seconds, each change shows.
    pub(crate) fn steps() -> Self {
        Self::Steps { next: FIRST }
    }

    /// The time of a change that happens now.
    pub(crate) fn now(&mut self) -> SystemTime {
        match self {
            Self::Steps { next } => {
                let now = UNIX_EPOCH + Duration::from_secs(*next);
                *next += 1;
                now
            }
            Self::Told(tell) => tell(),
        }
    }

    /// The time of a write on a handle that may have written before, at `earlier`. In steps, all its writes are one
    /// change: how a client cuts a file into writes must not show in the time.
    pub(crate) fn of_write(&mut self, earlier: &mut Option<SystemTime>) -> SystemTime {
        match (&mut *self, *earlier) {
            (Self::Steps { .. }, Some(time)) => time,
            _ => *earlier.insert(self.now()),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps { next } => f.debug_struct("Steps").field("next", next).finish(),
            Self::Told(_) => f.write_str("Told"),
        }
    }
}
