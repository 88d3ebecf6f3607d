//! The one error type of this crate: what happened, where, and what to do next.
//!
//! A person reads [`Error`]'s `Display` (one level), then its sources, then [`Error::hint`].
//! A program reads [`Error::kind`], [`Error::code`] and [`Error::is_retryable`], which are stable.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong while working with one SSH connection.
///
/// `Display` prints one level; walk [`std::error::Error::source`] for the causes below it.
///
/// ```
/// use rustle_session::{Error, ErrorKind, Target};
///
/// let error = Target::parse("ssh://web-1:notaport").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Configuration);
/// assert_eq!(error.code(), "SSH_CONFIG_ERROR");
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    target: Option<String>,
    jump_host: Option<String>,
    message: String,
    hint: Option<String>,
    is_outcome_unknown: bool,
    /// Whether the same call fails again until something is changed, whatever its kind says.
    is_for_good: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The category of an [`Error`]; each has a stable [`code`](ErrorKind::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for makes no sense: an option, a target, an algorithm name.
    Configuration,
    /// The host name did not resolve, or no address of it could be reached.
    HostUnreachable,
    /// Connecting, the handshake or authentication took longer than its deadline.
    ConnectTimeout,
    /// The server is there and turned this connection away before the handshake, for load (`MaxStartups`).
    ServerBusy,
    /// The two sides share no algorithm of some sort.
    NoCommonAlgorithm,
    /// The peer broke the protocol, or does not speak it.
    Protocol,
    /// The host's key is not known.
    HostKeyUnknown,
    /// The host is known by another key.
    HostKeyChanged,
    /// The host's key, its certificate or the certificate's authority is revoked.
    HostKeyRevoked,
    /// The host's certificate is not valid yet, or no longer.
    HostCertificateExpired,
    /// The host's certificate is for other hosts.
    HostCertificateName,
    /// The host's certificate is by an authority that is not one of those known for it, and its key is not known.
    HostAuthorityUnknown,
    /// The host's key or certificate was refused for another reason, or the trust store could not be read.
    HostKeyRejected,
    /// The server refused every way to authenticate that could be tried.
    AuthenticationFailed,
    /// A key file is missing, unreadable, damaged, too open, or its passphrase is wrong.
    Key,
    /// The authentication agent could not be reached or did not answer as it should.
    Agent,
    /// The server has no free session slot (`MaxSessions`), or one comes free in a moment.
    ChannelLimit,
    /// The server's policy forbids this channel or request.
    ChannelProhibited,
    /// The far end of a forwarded channel could not be reached from the server.
    ChannelTarget,
    /// The server is short of resources for another channel.
    ChannelShortage,
    /// Whoever chooses connections ([`Places`](crate::Places)) had none with a place in time, or never has.
    NoPlace,
    /// Whoever chooses connections was shut down: nothing new begins.
    NoMorePlaces,
    /// A request was refused: of a channel (`exec`, `subsystem`, `pty-req`, …), or to listen.
    RequestRefused,
    /// An operation on an open channel took longer than its deadline.
    ChannelTimeout,
    /// The channel ended before the operation did.
    ChannelClosed,
    /// Output was not read for so long that its buffers ran over.
    Overrun,
    /// The connection is gone; [`Error::source`] and the message say why.
    Disconnected,
    /// The operating system refused something on this side (a file, a socket option).
    Io,
}

impl ErrorKind {
    /// The stable code, as other tools know it. Whatever is about a host key begins with `SSH_HOST_KEY`.
    ///
    /// ```
    /// assert_eq!(rustle_session::ErrorKind::HostKeyChanged.code(), "SSH_HOST_KEY_CHANGED");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Configuration => "SSH_CONFIG_ERROR",
            Self::HostUnreachable | Self::ServerBusy => "SSH_HOST_UNREACHABLE",
            Self::ConnectTimeout => "SSH_CONNECTION_TIMEOUT",
            Self::NoCommonAlgorithm | Self::Protocol => "SSH_PROTOCOL_ERROR",
            Self::HostKeyUnknown => "SSH_HOST_KEY_UNKNOWN",
            Self::HostKeyChanged => "SSH_HOST_KEY_CHANGED",
            Self::HostKeyRevoked => "SSH_HOST_KEY_REVOKED",
            Self::HostCertificateExpired => "SSH_HOST_KEY_CERT_EXPIRED",
            Self::HostCertificateName => "SSH_HOST_KEY_CERT_NAME",
            Self::HostAuthorityUnknown => "SSH_HOST_KEY_CERT_AUTHORITY",
            Self::HostKeyRejected => "SSH_HOST_KEY",
            Self::AuthenticationFailed => "SSH_AUTH_FAILED",
            Self::Key | Self::Agent => "SSH_KEY_ERROR",
            Self::ChannelLimit
            | Self::ChannelProhibited
            | Self::ChannelTarget
            | Self::ChannelShortage
            | Self::RequestRefused
            | Self::ChannelTimeout
            | Self::ChannelClosed
            | Self::Overrun => "SSH_CHANNEL_ERROR",
            Self::NoPlace => "POOL_EXHAUSTED",
            Self::NoMorePlaces => "POOL_SHUT_DOWN",
            Self::Disconnected => "SSH_DISCONNECTED",
            Self::Io => "SSH_IO_ERROR",
        }
    }

    /// Whether the same call may succeed if it is made again after a while, with nothing changed.
    ///
    /// Never true after a refusal (authentication, host key, policy): repeating those only locks accounts.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::HostUnreachable
                | Self::ServerBusy
                | Self::ConnectTimeout
                | Self::ChannelLimit
                | Self::ChannelTarget
                | Self::ChannelShortage
                | Self::NoPlace
                | Self::Disconnected
        )
    }
}

impl Error {
    /// A new error: `message` is one sentence without a full stop, starting in lower case.
    pub(crate) fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                operation,
                target: None,
                jump_host: None,
                message: message.into(),
                hint: None,
                is_outcome_unknown: false,
                is_for_good: false,
                source: None,
            }),
        }
    }

    /// Names the host this happened to, unless an inner layer already did.
    pub(crate) fn at(mut self, target: impl fmt::Display) -> Self {
        if self.inner.target.is_none() {
            self.inner.target = Some(target.to_string());
        }
        self
    }

    /// Says that it happened on the way to `target`, at the jump host `name`, unless an inner layer named one: the
    /// host that failed is the one to look at. Kind, hint and causes stay.
    pub(crate) fn through(mut self, name: &str, target: impl fmt::Display) -> Self {
        self.inner.jump_host.get_or_insert_with(|| name.to_owned());
        self.inner.target = Some(target.to_string());
        self
    }

    /// The same error for one who wanted a host behind the one that this happened to.
    ///
    /// ```
    /// use rustle_session::Target;
    ///
    /// let error = Target::parse("ssh://bastion:notaport").unwrap_err().on_the_way("bastion", "web-1");
    /// assert_eq!(error.jump_host(), Some("bastion"));
    /// assert!(error.to_string().starts_with("web-1: through jump host bastion: "), "{error}");
    /// ```
    #[must_use]
    pub fn on_the_way(self, jump_host: &str, target: &str) -> Self {
        self.through(jump_host, target)
    }

    /// Says what to do next, unless an inner layer already did.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if self.inner.hint.is_none() {
            self.inner.hint = Some(hint.into());
        }
        self
    }

    /// Says that a program was asked for, and that nobody knows what became of it.
    pub(crate) fn with_outcome_unknown(mut self) -> Self {
        if !self.inner.is_outcome_unknown {
            let first = "it may have run, in whole or in part: see what it did before it is run again";
            self.inner.hint = Some(match self.inner.hint.take() {
                Some(then) => format!("{first}; then {then}"),
                None => first.to_owned(),
            });
            self.inner.is_outcome_unknown = true;
        }
        self
    }

    /// Attaches the cause.
    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(Arc::from(source.into()));
        self
    }

    /// What [`Places`](crate::Places) say that have no place for a channel: [`ErrorKind::NoPlace`], with what was missing
    /// and what can be done about it.
    ///
    /// ```
    /// use rustle_session::{Error, ErrorKind};
    ///
    /// let error = Error::no_place("all 8 connections to web-1 are in use", "allow more of them");
    /// assert_eq!((error.kind(), error.code()), (ErrorKind::NoPlace, "POOL_EXHAUSTED"));
    /// ```
    #[must_use]
    pub fn no_place(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::NoPlace, "open channel", message).with_hint(hint)
    }

    /// The same where there will be none until something is changed: it is not [retryable](Self::is_retryable).
    ///
    /// ```
    /// use rustle_session::{Error, ErrorKind};
    ///
    /// let error = Error::never_a_place("web-1 opens no session at all", "its MaxSessions may be 0");
    /// assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::NoPlace, false));
    /// ```
    #[must_use]
    pub fn never_a_place(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut error = Self::no_place(message, hint);
        error.inner.is_for_good = true;
        error
    }

    /// What [`Places`](crate::Places) say that were shut down: [`ErrorKind::NoMorePlaces`].
    ///
    /// ```
    /// use rustle_session::{Error, ErrorKind};
    ///
    /// let error = Error::no_more_places("the pool is shut down", "make another one");
    /// assert_eq!((error.kind(), error.code()), (ErrorKind::NoMorePlaces, "POOL_SHUT_DOWN"));
    /// assert!(!error.is_retryable());
    /// ```
    #[must_use]
    pub fn no_more_places(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::NoMorePlaces, "open channel", message).with_hint(hint)
    }

    /// The category of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The stable code of this error, such as `SSH_AUTH_FAILED`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.inner.kind.code()
    }

    /// Whether the same call may succeed later with nothing changed; see [`ErrorKind::is_retryable`]. Never where the
    /// [outcome is unknown](Self::is_outcome_unknown), or where a place [cannot ever be had](Self::never_a_place).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.inner.kind.is_retryable() && !self.inner.is_outcome_unknown && !self.inner.is_for_good
    }

    /// Whether the server was asked to run a program, and nobody knows whether it ran or how it ended: the connection was lost,
    /// say, before its exit status came. Of a program that was never asked for, and of one that was refused, it is known: it has
    /// done nothing.
    ///
    /// ```
    /// # async fn example(session: rustle_session::Session) {
    /// if let Err(error) = session.output("systemctl restart web").await {
    ///     if error.is_outcome_unknown() {
    ///         println!("{error}: see whether it has restarted");
    ///     } else if error.is_retryable() {
    ///         println!("{error}: nothing was done; try again");
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        self.inner.is_outcome_unknown
    }

    /// What was being done: `connect`, `authenticate`, `exec`, ….
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// The host it happened to, as `user@host:port` or `host:port`, where one was involved.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.inner.target.as_deref()
    }

    /// The jump host at which it happened, where it did not happen at the target itself.
    #[must_use]
    pub fn jump_host(&self) -> Option<&str> {
        self.inner.jump_host.as_deref()
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(target) = &self.inner.target {
            write!(f, "{target}: ")?;
        }
        if let Some(jump_host) = &self.inner.jump_host {
            write!(f, "through jump host {jump_host}: ")?;
        }
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("code", &self.code())
            .field("operation", &self.inner.operation)
            .field("target", &self.inner.target)
            .field("jump_host", &self.inner.jump_host)
            .field("message", &self.inner.message)
            .field("hint", &self.inner.hint)
            .field("is_outcome_unknown", &self.inner.is_outcome_unknown)
            .field("is_for_good", &self.inner.is_for_good)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
