//! Whoever started the server, and how it learns that they are gone.
//!
//! Standard input says so where it is a pipe that ends with its writer. The parent process says so where the system
//! lets us watch it.

#[cfg_attr(unix, path = "parent/unix.rs")]
#[cfg_attr(windows, path = "parent/windows.rs")]
mod imp;

use crate::failure::Failure;

use super::driver;

/// The parent, watched from now on.
pub(super) struct Parent {
    input: Input,
    process: imp::Process,
}

/// What standard input can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// A pipe or socket: its end is the end of whoever holds the other one.
    EndsWithItsWriter,
    /// `/dev/null`, a file, a terminal: nothing. A terminal is not read, since a process in the background that does
    /// so is stopped by it.
    SaysNothing,
}

impl Parent {
    /// # Errors
    /// There is no way to learn of the parent's end.
    pub(super) fn watch() -> Result<Self, Failure> {
        let process = imp::Process::parent();
        let input = imp::input()?;
        Ok(Self { input, process })
    }

    /// Resolves when it is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn gone(self) {
        let input = async {
            match self.input {
                Input::EndsWithItsWriter => driver::end_of_input().await,
                Input::SaysNothing => std::future::pending().await,
            }
        };
        tokio::select! {
            () = input => {}
            () = self.process.gone() => {}
        }
    }
}
