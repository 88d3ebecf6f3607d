//! Where a value came from.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Where a value came from. Its text is `file:line`, `command line` or `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// An option of the query: what the user typed.
    CommandLine,
    /// A line of a configuration file.
    File {
        /// The file.
        path: Arc<str>,
        /// The line, counted from one.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::CommandLine => f.write_str("command line"),
            Origin::File { path, line } => write!(f, "{}:{line}", Printable(path)),
        }
    }
}

/// Something that the configuration asks for and that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    origin: Origin,
    subject: String,
    message: String,
    level: WarningLevel,
}

/// To whom a [`Warning`] is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WarningLevel {
    /// To who asks for details (`-v`).
    Detail,
    /// To everybody: the connection has less than was asked for.
    Notice,
}

impl Warning {
    pub(crate) fn new(origin: Origin, subject: impl Into<String>, message: impl Into<String>) -> Warning {
        Warning { origin, subject: subject.into(), message: message.into(), level: WarningLevel::Detail }
    }

    pub(crate) fn notice(self) -> Warning {
        Warning { level: WarningLevel::Notice, ..self }
    }

    /// Where it stands.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The keyword, or the file where the warning is about a file.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// To whom it is worth a line.
    #[must_use]
    pub fn level(&self) -> WarningLevel {
        self.level
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, Printable(&self.subject), Printable(&self.message))
    }
}

/// Text from a file or a file's name, fit for a terminal: control characters are written out.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}
