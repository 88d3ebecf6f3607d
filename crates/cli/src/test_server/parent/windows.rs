//! On Windows standard input has to tell: finding one's parent takes calls that this workspace has no safe form of.

use std::io::{self, IsTerminal};

use super::Input;
use crate::failure::{Failure, USAGE};

/// Nothing is known of the parent process.
pub(super) struct Process;

impl Process {
    /// The parent of this process.
    pub(super) fn parent() -> Self {
        Self
    }

    /// Never resolves.
    pub(super) async fn gone(self) {
        std::future::pending().await
    }
}

/// What standard input can tell.
///
/// # Errors
/// Nothing, so that the server would outlive its parent.
pub(super) fn input() -> Result<Input, Failure> {
    // A console ends its processes itself when it is closed.
    if io::stdin().is_terminal() {
        return Ok(Input::SaysNothing);
    }
    match winapi_util::file::typ(winapi_util::HandleRef::stdin()) {
        Ok(kind) if kind.is_pipe() => Ok(Input::EndsWithItsWriter),
        _ => Err(Failure::new(
            USAGE,
            "on Windows test-server learns of its parent's end by standard input alone, which is no pipe here",
        )
        .hint("start it with a pipe as standard input, or with --keep, and then end it by POST /stop")),
    }
}
