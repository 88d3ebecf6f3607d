//! Why the settings of a host cannot be told.

use std::error::Error;
use std::fmt;
use std::io;

use crate::Origin;
use crate::origin::Printable;

/// The configuration, or the question put to it, cannot be followed. The text names the place, what is wrong
/// there and what to do.
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    origin: Option<Origin>,
    message: String,
    source: Option<io::Error>,
}

/// The class of a [`ConfigError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The line cannot be taken apart.
    Syntax,
    /// No such keyword in `ssh_config(5)`.
    UnknownKeyword,
    /// The value does not fit the keyword.
    InvalidValue,
    /// A documented keyword that is not supported and must not be ignored.
    NotSupported,
    /// The configuration says not to connect (`RefuseConnection`).
    Refused,
    /// A host or user name that could be taken for something else.
    InvalidName,
    /// A file that cannot be read.
    Unreadable,
    /// A file that others may write to, or that belongs to someone else.
    BadPermissions,
    /// A size, a count or a depth over its limit.
    TooLarge,
    /// Something about the local user or machine is needed and not known.
    LocalUnknown,
    /// A command, a name service or the network's interfaces, on which the configuration depends, gave no answer.
    Outside,
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, message: impl Into<String>) -> ConfigError {
        ConfigError { kind, origin: None, message: message.into(), source: None }
    }

    pub(crate) fn at(mut self, origin: &Origin) -> ConfigError {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    pub(crate) fn because(mut self, source: io::Error) -> ConfigError {
        self.source = Some(source);
        self
    }

    /// What class of error it is.
    #[must_use]
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    /// The file and line it is about, where there is one.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The stable code: the same for all configuration errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "SSH_CONFIG_ERROR"
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        Printable(&self.message).fmt(f)
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as &(dyn Error + 'static))
    }
}
