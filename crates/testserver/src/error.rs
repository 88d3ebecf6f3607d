//! What can go wrong in the test server itself, as opposed to what it does to its clients on purpose.

use std::{fmt, io, time::Duration};

/// An error of the test server: setting it up, waiting on its record, or a script that was not played out.
///
/// ```
/// use rustle_testserver::{ErrorKind, HostKeyKind, TestServer};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let error = TestServer::builder().host_key_openssh("not a key").start().await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::HostKey);
/// # let _ = HostKeyKind::Ed25519;
/// # });
/// ```
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The sort of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The listener or a directory could not be had, or a file that SFTP serves not be read.
    Io,
    /// A host key could not be read or generated.
    HostKey,
    /// A user, an algorithm name or another setting of the builder makes no sense.
    Configuration,
    /// What was asked for does not exist on this platform.
    Unsupported,
    /// A channel to the client could not be opened: nobody asked for it, or the client refused it.
    Channel,
    /// A wait ended before the record showed what was waited for.
    Timeout,
    /// What was scripted never happened, code that the server was given has panicked, or an assertion on the record did
    /// not hold.
    Expectation,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn io(doing: &str, source: io::Error) -> Self {
        Self { kind: ErrorKind::Io, message: format!("cannot {doing}"), source: Some(Box::new(source)) }
    }

    pub(crate) fn host_key(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { kind: ErrorKind::HostKey, message: format!("cannot {doing}"), source: Some(source.into()) }
    }

    pub(crate) fn channel(doing: &str, source: io::Error) -> Self {
        Self { kind: ErrorKind::Channel, message: format!("cannot {doing}"), source: Some(Box::new(source)) }
    }

    pub(crate) fn timeout(waited: Duration, record: &dyn fmt::Display) -> Self {
        Self::new(
            ErrorKind::Timeout,
            format!(
                "the server's record did not show what was waited for within {waited:?}; it shows:\n{record}"
            ),
        )
    }

    /// Says which seed brings the same run again.
    pub(crate) fn with_seed(mut self, seed: u64) -> Self {
        let separator = if self.message.ends_with('\n') { "" } else { "; " };
        self.message.push_str(&format!("{separator}seed: {seed}"));
        self
    }

    /// The sort of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// As an `unwrap` in a test prints it: the message and its causes, not the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, "\ncaused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
