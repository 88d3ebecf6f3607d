//! The one error type of this crate.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use rustle_session::HostForward;

use crate::show::ConnectionId;

/// Why a pool did not do what was asked of it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> rustle_pool::Result<()> {
/// use rustle_pool::{ErrorKind, Pool};
///
/// let pool = Pool::builder().only_registered().build()?;
/// let error = pool.get("wev-1").await.unwrap_err();
/// assert_eq!((error.kind(), error.code()), (ErrorKind::UnknownHost, "HOST_UNKNOWN"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    is_outcome_unknown: bool,
    source: Option<rustle_session::Error>,
}

/// The category of an [`Error`].
///
/// ```
/// use rustle_pool::{ErrorKind, Pool};
///
/// let error = Pool::builder().attempts(0).build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// let of_session = ErrorKind::Session(rustle_session::ErrorKind::NoPlace);
/// assert_ne!(error.kind(), of_session);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option makes no sense.
    Configuration,
    /// Nobody registered the name, and the pool takes no others.
    UnknownHost,
    /// No connection has this id, or has it any more.
    UnknownConnection,
    /// The pool is shutting down, or has been.
    ShutDown,
    /// A forward cannot listen where it is to, or cannot take in clients.
    Listen,
    /// A client of a forward did not say where it wants to go, or wants what there is not.
    Client,
    /// Work on a host was not begun, or was broken off, for what became of another's.
    NotRun,
    /// Work on a host took longer than it may. It may have been done, where the host was connected to.
    TimedOut,
    /// A connection could not be made or used; this is the kind of that error, whose words and
    /// [source](StdError::source) are this one's.
    Session(rustle_session::ErrorKind),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), Some(hint.into()));
        Self(Box::new(Inner { kind, message, hint, is_outcome_unknown: false, source: None }))
    }

    pub(crate) fn unknown_connection(id: ConnectionId) -> Self {
        let message = format!("no connection has the id {id}");
        Self::new(ErrorKind::UnknownConnection, message, "connect gives ids, and list shows them")
    }

    /// A server that gave no sign of life in time.
    pub(crate) fn silent(target: &str, within: Duration) -> Self {
        let message = format!("{target}: the connection is lost: no answer within {} s", within.as_secs());
        let hint = "the next call makes another connection; where that fails too, see whether the host can be reached";
        Self::new(ErrorKind::Session(rustle_session::ErrorKind::Disconnected), message, hint)
    }

    pub(crate) fn shut_down() -> Self {
        let hint = "nothing new begins on it: make another pool";
        Self::new(ErrorKind::ShutDown, "the pool is shut down", hint)
    }

    pub(crate) fn of_session(error: rustle_session::Error) -> Self {
        let kind = match error.kind() {
            rustle_session::ErrorKind::NoMorePlaces => ErrorKind::ShutDown,
            kind => ErrorKind::Session(kind),
        };
        let message = error.to_string();
        let (hint, is_outcome_unknown) = (error.hint().map(str::to_owned), error.is_outcome_unknown());
        Self(Box::new(Inner { kind, message, hint, is_outcome_unknown, source: Some(error) }))
    }

    /// Something was begun, and nobody knows what became of it.
    pub(crate) fn with_outcome_unknown(mut self) -> Self {
        self.0.is_outcome_unknown = true;
        self
    }

    /// The same of a forward of the configuration without which a host is not wanted.
    pub(crate) fn of_forward(mut self, name: &str, forward: &HostForward) -> Self {
        let (message, origin) = (&self.0.message, forward.origin());
        self.0.message = format!(
            "{name}: {forward} ({origin}) cannot be made, and ExitOnForwardFailure asks not to connect without it: {message}"
        );
        self
    }

    /// The category of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code of this error, such as `SSH_AUTH_FAILED`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.0.kind {
            ErrorKind::Configuration => "POOL_CONFIG_ERROR",
            ErrorKind::UnknownHost => "HOST_UNKNOWN",
            ErrorKind::UnknownConnection => "CONNECTION_NOT_FOUND",
            ErrorKind::ShutDown => "POOL_SHUT_DOWN",
            ErrorKind::Listen => "FORWARD_LISTEN_FAILED",
            ErrorKind::Client => "FORWARD_CLIENT_ERROR",
            ErrorKind::NotRun => "POOL_NOT_RUN",
            ErrorKind::TimedOut => "POOL_TIMED_OUT",
            ErrorKind::Session(kind) => kind.code(),
        }
    }

    /// Whether the same call may succeed later with nothing changed. Never where the
    /// [outcome is unknown](Self::is_outcome_unknown).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let closed = tokio::net::TcpSocket::new_v4()?; closed.bind("127.0.0.1:0".parse()?)?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(closed.local_addr()?.port()).resolve()?;
    /// # let pool = Pool::builder().only_registered().attempts(1).build()?; pool.register("web-1", way);
    /// assert!(pool.get("web-1").await.unwrap_err().is_retryable()); // nothing listens there now
    /// assert!(!pool.get("wev-1").await.unwrap_err().is_retryable()); // nobody registered it
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let ErrorKind::Session(kind) = self.0.kind else { return false };
        let is_retryable = self.0.source.as_ref().map_or(kind.is_retryable(), |error| error.is_retryable());
        is_retryable && !self.0.is_outcome_unknown
    }

    /// Whether something was begun on a host, and nobody knows what became of it; see
    /// [`rustle_session::Error::is_outcome_unknown`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # let pool = Pool::builder().only_registered().build()?; pool.register("web-1", way);
    /// # let time = std::time::Duration::from_millis(500);
    /// # pool.connect("web-1").await?;
    /// let mut results = pool.on(["web-1", "wev-2"]).timeout(time).output("stall");
    /// while let Some(result) = results.next().await {
    ///     match result.outcome {
    ///         Ok(_) => unreachable!("it never ends"),
    ///         Err(error) if error.is_outcome_unknown() => assert_eq!(result.host, "web-1"), // look at it
    ///         Err(_) => assert_eq!(result.host, "wev-2"), // nothing was done
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.is_outcome_unknown
    }

    /// What a person can do about it.
    ///
    /// ```
    /// let error = rustle_pool::Pool::builder().attempts(0).build().unwrap_err();
    /// assert_eq!(error.hint(), Some("allow at least one"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl From<rustle_session::Error> for Error {
    fn from(error: rustle_session::Error) -> Self {
        Self::of_session(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("code", &self.code())
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("is_outcome_unknown", &self.0.is_outcome_unknown)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // Its own words are this error's.
        self.0.source.as_ref().and_then(StdError::source)
    }
}

/// The result of this crate's operations.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use rustle_pool::{Pool, Result};
///
/// fn small_pool() -> Result<Pool> {
///     Pool::builder().max_connections(8).build()
/// }
/// assert!(small_pool()?.list().await.is_empty());
/// # Ok(()) }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;
