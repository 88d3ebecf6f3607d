//! Where a value came from.

use std::fmt;
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
            Origin::File { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

/// Something that the configuration asks for and that is not done. Worth a line at `-v`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    origin: Origin,
    subject: String,
    message: String,
}

impl Warning {
    pub(crate) fn new(origin: Origin, subject: impl Into<String>, message: impl Into<String>) -> Warning {
        Warning { origin, subject: subject.into(), message: message.into() }
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
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.subject, self.message)
    }
}
