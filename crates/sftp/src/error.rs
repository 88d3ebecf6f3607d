//! The one error type of this crate: what was being done, to which path, and what the server said.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use rustle_sftp_proto::{Status, StatusCode};

use crate::shown::Shown;

/// What went wrong with a file, a directory or the SFTP channel.
///
/// `Display` prints one level; walk [`std::error::Error::source`] for the causes below it, and show
/// [`hint`](Self::hint) to a person.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use rustle_sftp::{ErrorKind, Sftp};
///
/// // A stream that ends where an SFTP server should answer.
/// let error = Sftp::over(tokio::io::empty(), tokio::io::sink()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unavailable);
/// assert_eq!(error.code(), "SFTP_UNAVAILABLE");
/// assert!(!error.is_retryable());
/// # }
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    path: Option<Bytes>,
    status: Option<Status>,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The category of an [`Error`]; each has a stable [`code`](ErrorKind::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or directory, or one above it, is not there.
    NotFound,
    /// The server's account may not do this.
    PermissionDenied,
    /// The name is taken.
    AlreadyExists,
    /// A directory stands where a file is needed.
    IsADirectory,
    /// Something else stands where a directory is needed.
    NotADirectory,
    /// The directory has entries.
    DirectoryNotEmpty,
    /// The file system of the path is full.
    NoSpace,
    /// The file system has no place for another file, whatever its size.
    NoInodes,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The server has no handle left for another open file.
    TooManyOpenFiles,
    /// The server said "failure" and nothing else.
    Failure,
    /// The server does not have the operation.
    Unsupported,
    /// The name cannot be used: on this system, or because it would lead out of its directory.
    InvalidName,
    /// What is asked for makes no sense.
    InvalidArgument,
    /// The file changed while it was being read.
    Changed,
    /// The two sides of a transfer are not equal.
    Mismatch,
    /// A file of this side.
    Local,
    /// The account or the server has no SFTP.
    Unavailable,
    /// The server broke the protocol.
    Protocol,
    /// The server answered nothing for too long.
    Timeout,
    /// The channel or its connection ended.
    Disconnected,
}

impl ErrorKind {
    /// The stable code, as other tools know it.
    ///
    /// ```
    /// assert_eq!(rustle_sftp::ErrorKind::NotFound.code(), "SFTP_NOT_FOUND");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "SFTP_NOT_FOUND",
            Self::PermissionDenied => "SFTP_PERMISSION_DENIED",
            Self::AlreadyExists => "SFTP_ALREADY_EXISTS",
            Self::IsADirectory => "SFTP_IS_A_DIRECTORY",
            Self::NotADirectory => "SFTP_NOT_A_DIRECTORY",
            Self::DirectoryNotEmpty => "SFTP_DIRECTORY_NOT_EMPTY",
            Self::NoSpace => "SFTP_NO_SPACE",
            Self::NoInodes => "SFTP_NO_INODES",
            Self::ReadOnly => "SFTP_READ_ONLY",
            Self::TooManyOpenFiles => "SFTP_TOO_MANY_OPEN_FILES",
            Self::Failure => "SFTP_FAILURE",
            Self::Unsupported => "SFTP_UNSUPPORTED",
            Self::InvalidName => "SFTP_INVALID_NAME",
            Self::InvalidArgument => "SFTP_INVALID_ARGUMENT",
            Self::Changed => "SFTP_CHANGED",
            Self::Mismatch => "SFTP_MISMATCH",
            Self::Local => "SFTP_LOCAL",
            Self::Unavailable => "SFTP_UNAVAILABLE",
            Self::Protocol => "SFTP_PROTOCOL",
            Self::Timeout => "SFTP_TIMEOUT",
            Self::Disconnected => "SFTP_DISCONNECTED",
        }
    }

    /// Whether the same call may succeed if it is made again after a while, with nothing changed, on a new channel
    /// where this one has ended.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::TooManyOpenFiles | Self::Changed | Self::Timeout | Self::Disconnected)
    }
}

impl Error {
    /// A new error: `message` is one sentence without a full stop, starting in lower case.
    pub(crate) fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                operation,
                path: None,
                status: None,
                message: message.into(),
                hint: None,
                source: None,
            }),
        }
    }

    /// What a STATUS other than OK means.
    pub(crate) fn of_status(operation: &'static str, status: Status) -> Self {
        let (kind, known) = match status.code() {
            StatusCode::NO_SUCH_FILE => (ErrorKind::NotFound, "no such file or directory"),
            StatusCode::PERMISSION_DENIED => (ErrorKind::PermissionDenied, "permission denied"),
            StatusCode::OP_UNSUPPORTED => (ErrorKind::Unsupported, "the server does not have this operation"),
            StatusCode::EOF => (ErrorKind::Failure, "the server met the end of the file"),
            StatusCode::BAD_MESSAGE => (ErrorKind::Protocol, "the server did not understand the request"),
            StatusCode::NO_CONNECTION | StatusCode::CONNECTION_LOST => {
                (ErrorKind::Disconnected, "the server says that a connection of its own is gone")
            }
            // Codes of later versions, which some servers send in this one too (draft-ietf-secsh-filexfer-13, section 9.1).
            LATER_ALREADY_EXISTS => (ErrorKind::AlreadyExists, "the name is taken"),
            LATER_WRITE_PROTECT => (ErrorKind::ReadOnly, "the file system is read-only"),
            LATER_NO_SPACE => (ErrorKind::NoSpace, "the file system is full"),
            LATER_QUOTA => (ErrorKind::NoSpace, "the quota of the account is used up"),
            LATER_NOT_EMPTY => (ErrorKind::DirectoryNotEmpty, "the directory is not empty"),
            LATER_NOT_A_DIRECTORY => (ErrorKind::NotADirectory, "not a directory"),
            LATER_INVALID_NAME => (ErrorKind::InvalidName, "the server cannot use the name"),
            LATER_IS_A_DIRECTORY => (ErrorKind::IsADirectory, "a directory"),
            _ => (ErrorKind::Failure, "the server said failure, and not why"),
        };
        let mut message = known.to_owned();
        // The text is worth showing only where it says more than the code does.
        let text = status.message();
        if !text.is_empty() && !text.eq_ignore_ascii_case(status.code().text().as_bytes()) {
            message = format!("{message} ({})", Shown::of(text));
        }
        let mut error = Self::new(kind, operation, message);
        error.inner.status = Some(status);
        error
    }

    /// Names the path it is about, unless an inner layer did.
    pub(crate) fn at(mut self, path: impl AsRef<[u8]>) -> Self {
        self.inner.path.get_or_insert_with(|| Bytes::copy_from_slice(path.as_ref()));
        self
    }

    /// Says more exactly what it was, once that is known.
    pub(crate) fn explained(mut self, kind: ErrorKind, message: impl Into<String>) -> Self {
        self.inner.kind = kind;
        self.inner.message = message.into();
        self
    }

    /// Says what to do next, unless an inner layer did.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Says what to do beside what an inner layer said.
    pub(crate) fn and_hint(mut self, hint: String) -> Self {
        self.inner.hint = Some(match self.inner.hint.take() {
            Some(said) => format!("{said}; {hint}"),
            None => hint,
        });
        self
    }

    /// Attaches the cause.
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// What is said of it, without the operation and the path.
    pub(crate) fn message(&self) -> &str {
        &self.inner.message
    }

    /// Whether it says that there is no SFTP here, as it was opened: the subsystem was refused, or what serves it is not
    /// there and ended without a byte. Something that prints in its place is another matter.
    pub(crate) fn says_that_sftp_is_off(&self) -> bool {
        let source = self.inner.source.as_deref();
        let refused = source.and_then(|source| source.downcast_ref::<rustle_session::Error>());
        let ended = source.and_then(|source| source.downcast_ref::<rustle_sftp_proto::Error>());
        self.kind() == ErrorKind::Unavailable
            && (refused.is_some_and(|error| error.kind() == rustle_session::ErrorKind::RequestRefused)
                || ended.is_some_and(|error| error.kind() == rustle_sftp_proto::ErrorKind::Unanswered))
    }

    /// The category of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The stable code of this error, such as `SFTP_NOT_FOUND`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.inner.kind.code()
    }

    /// Whether the same call may succeed later with nothing changed; see [`ErrorKind::is_retryable`]. Never where the
    /// session's error below it says that it may not.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let below = self.source().and_then(|source| source.downcast_ref::<rustle_session::Error>());
        self.inner.kind.is_retryable() && below.is_none_or(rustle_session::Error::is_retryable)
    }

    /// What was being done: `open`, `read`, `rename`, ….
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// The path it is about, on the server or, for [`ErrorKind::Local`], on this side.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        self.inner.path.as_deref()
    }

    /// What the server answered, where it did.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.inner.status.as_ref()
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.inner.operation)?;
        if let Some(path) = &self.inner.path {
            let shown =
                if self.inner.kind == ErrorKind::Local { Shown::of_local(path) } else { Shown::of(path) };
            write!(f, " {shown}")?;
        }
        write!(f, ": {}", self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("code", &self.code())
            .field("operation", &self.inner.operation)
            .field("path", &self.inner.path)
            .field("status", &self.inner.status)
            .field("message", &self.inner.message)
            .field("hint", &self.inner.hint)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<Error> for std::io::Error {
    /// For the `AsyncRead` and `AsyncWrite` of a file; the error is kept as its cause.
    fn from(error: Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::PermissionDenied => Io::PermissionDenied,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::IsADirectory => Io::IsADirectory,
            ErrorKind::NotADirectory => Io::NotADirectory,
            ErrorKind::DirectoryNotEmpty => Io::DirectoryNotEmpty,
            ErrorKind::NoSpace | ErrorKind::NoInodes => Io::StorageFull,
            ErrorKind::ReadOnly => Io::ReadOnlyFilesystem,
            ErrorKind::Unsupported | ErrorKind::Unavailable => Io::Unsupported,
            ErrorKind::InvalidName | ErrorKind::InvalidArgument => Io::InvalidInput,
            ErrorKind::Protocol | ErrorKind::Mismatch => Io::InvalidData,
            ErrorKind::Timeout => Io::TimedOut,
            ErrorKind::Disconnected => Io::ConnectionAborted,
            ErrorKind::TooManyOpenFiles | ErrorKind::Failure | ErrorKind::Changed | ErrorKind::Local => {
                Io::Other
            }
        };
        Self::new(kind, error)
    }
}

const LATER_ALREADY_EXISTS: StatusCode = StatusCode::new(11);
const LATER_WRITE_PROTECT: StatusCode = StatusCode::new(12);
const LATER_NO_SPACE: StatusCode = StatusCode::new(14);
const LATER_QUOTA: StatusCode = StatusCode::new(15);
const LATER_NOT_EMPTY: StatusCode = StatusCode::new(18);
const LATER_NOT_A_DIRECTORY: StatusCode = StatusCode::new(19);
const LATER_INVALID_NAME: StatusCode = StatusCode::new(20);
const LATER_IS_A_DIRECTORY: StatusCode = StatusCode::new(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_text_is_shown_only_where_it_says_more() {
        let plain = Error::of_status("open", StatusCode::NO_SUCH_FILE.into()).at("/srv/a b\x1b");
        assert_eq!(plain.to_string(), r#"open "/srv/a b\x1b": no such file or directory"#);
        let own = Status::new(StatusCode::FAILURE, "disk on fire");
        let text = Error::of_status("write", own).to_string();
        assert_eq!(text, r#"write: the server said failure, and not why ("disk on fire")"#);
    }

    #[test]
    fn codes_of_later_versions_are_understood() {
        let kind = |code| Error::of_status("mkdir", StatusCode::new(code).into()).kind();
        assert_eq!(
            (kind(11), kind(14), kind(15)),
            (ErrorKind::AlreadyExists, ErrorKind::NoSpace, ErrorKind::NoSpace)
        );
        assert_eq!(kind(4_000_000_000), ErrorKind::Failure);
    }
}
