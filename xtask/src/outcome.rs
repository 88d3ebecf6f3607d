//! How a chore ends: done, skipped with a reason, or failed with a message for a person.

use std::fmt;

use crate::shell;

/// A chore that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it ran.
    Done,
    /// This machine lacks something that only part of the users need; the text names it.
    Skipped(String),
}

impl Outcome {
    /// Skips on a person's machine; on CI nothing is skipped in silence, so there it is a failure.
    pub(crate) fn skip_unless_ci(why: impl Into<String>) -> Result<Self, Failure> {
        let why = why.into();
        if shell::on_ci() {
            return Err(Failure::new(format!("{why} (CI skips nothing)")));
        }
        Ok(Self::Skipped(why))
    }
}

/// What went wrong, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
