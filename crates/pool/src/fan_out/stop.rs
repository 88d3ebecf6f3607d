//! Why nothing new begins, and why what is under way ends.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};

/// Each of the two is decided once.
#[derive(Debug, Default)]
pub(super) struct Stop {
    no_more: OnceLock<String>,
    ended: OnceLock<String>,
    end: CancellationToken,
}

impl Stop {
    /// Nothing new begins from now on.
    pub(super) fn begin_no_more(&self, cause: &str) {
        self.no_more.get_or_init(|| cause.to_owned());
    }

    /// What is under way ends too.
    pub(super) fn end_all(&self, cause: &str) {
        self.begin_no_more(cause);
        self.ended.get_or_init(|| cause.to_owned());
        self.end.cancel();
    }

    pub(super) fn may_begin(&self) -> bool {
        self.no_more.get().is_none()
    }

    /// Resolves when all is to end.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// What became of a host that was not begun.
    pub(super) fn not_begun(&self, host: &str) -> Error {
        let cause = self.no_more.get().map_or("nothing more is to begin", String::as_str);
        let message = format!("{host}: not begun, since {cause}");
        Error::new(ErrorKind::NotRun, message, "nothing was done there: run it again on this host")
    }

    /// What became of one that was under way.
    pub(super) fn broken_off(&self, host: &str) -> Error {
        // The one other end there is.
        let cause = self.ended.get().map_or("the program's runtime ends", String::as_str);
        let message = format!("{host}: broken off, since {cause}");
        let hint = "it may have been done there, or in part: see what was done before it is run again";
        Error::new(ErrorKind::NotRun, message, hint).with_outcome_unknown()
    }
}
