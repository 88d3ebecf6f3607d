//! What went wrong, in the form in which it is told: message, causes, hint, and a stable code.

use std::error::Error as StdError;
use std::io;

use serde::Serialize;

use crate::printer::Printer;

/// The exit code of this program's own failures, as ssh's.
pub(crate) const FAILED: u8 = 255;

/// The code of what was typed wrong.
pub(crate) const USAGE: &str = "USAGE";
/// The code of files, terminals and processes on this side.
pub(crate) const IO: &str = "SSH_IO_ERROR";

/// Why a task ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Failure),
    /// Without a word: a reader that went away, a signal.
    Quietly(u8),
    /// The same, while files were moved: what is just being done to one of this side is waited for.
    Midway(u8),
}

impl Stop {
    /// The same, where files are being moved.
    pub(crate) fn midway(self, printer: &mut Printer) -> Self {
        match self {
            Self::Failed(failure) => {
                printer.failure(&failure);
                Self::Midway(FAILED)
            }
            Self::Quietly(code) | Self::Midway(code) => Self::Midway(code),
        }
    }
}

/// One error.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    host: Option<String>,
    causes: Vec<String>,
    hint: Option<String>,
    retryable: bool,
    /// Whether something was begun on the host, and nobody knows what became of it.
    outcome_unknown: bool,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            host: None,
            causes: Vec::new(),
            hint: None,
            retryable: false,
            outcome_unknown: false,
        }
    }

    pub(crate) fn io(message: impl Into<String>, cause: &io::Error) -> Self {
        let mut failure = Self::new(IO, message);
        failure.causes.push(cause.to_string());
        failure
    }

    /// What went wrong with a file or with the channel; a file of this side is on no host.
    pub(crate) fn sftp(error: &rustle_sftp::Error, host: &str) -> Self {
        let below = error.source().and_then(|source| source.downcast_ref::<rustle_session::Error>());
        let hint = error.hint().or_else(|| below.and_then(rustle_session::Error::hint));
        Self {
            code: error.code(),
            message: error.to_string(),
            host: (error.kind() != rustle_sftp::ErrorKind::Local).then(|| host.to_owned()),
            causes: causes(error),
            hint: hint.map(str::to_owned),
            retryable: error.is_retryable(),
            outcome_unknown: false,
        }
    }

    pub(crate) fn at(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Of what was begun, nobody knows what became.
    pub(crate) fn outcome_unknown(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }

    /// The lines for a person: what is before the first colon is a label.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let message = match &self.host {
            Some(host) => format!("{host}: {}", self.message),
            None => self.message.clone(),
        };
        let mut lines = vec![("error", message)];
        lines.extend(self.causes.iter().map(|cause| ("caused by", cause.clone())));
        lines.extend(self.hint.iter().map(|hint| ("hint", hint.clone())));
        lines
    }

    #[cfg(test)]
    pub(crate) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }
}

impl From<rustle_session::Error> for Failure {
    fn from(error: rustle_session::Error) -> Self {
        let host = error.target().map(str::to_owned);
        let text = error.to_string();
        let message = match &host {
            Some(host) => text.strip_prefix(&format!("{host}: ")).unwrap_or(&text).to_owned(),
            None => text,
        };
        Self {
            code: error.code(),
            message,
            host,
            causes: causes(&error),
            hint: error.hint().map(str::to_owned),
            retryable: error.is_retryable(),
            outcome_unknown: error.is_outcome_unknown(),
        }
    }
}

/// What is below an error, one line each.
fn causes(error: &dyn StdError) -> Vec<String> {
    std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect()
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<rustle_session::Error> for Stop {
    fn from(error: rustle_session::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Whoever reads standard output has gone: that is their affair, and no error.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Quietly(FAILED),
            _ => Self::Failed(Failure::io("standard output cannot be written", &error)),
        }
    }
}
