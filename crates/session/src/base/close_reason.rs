//! Why a connection ended.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a connection ended.
///
/// ```
/// use rustle_session::CloseReason;
///
/// assert_eq!(CloseReason::Local.to_string(), "it was closed on this side");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// `close` was called, or the last handle was dropped.
    Local,
    /// It was cut on this side: aborted, or a graceful end took too long.
    Aborted,
    /// The peer sent `SSH_MSG_DISCONNECT` (RFC 4253 section 11.1).
    Disconnected {
        /// The reason code of the RFC's table.
        code: u32,
        /// The peer's text, control characters removed.
        message: String,
    },
    /// The peer closed the stream without a word.
    PeerClosed,
    /// The stream failed.
    Io {
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The operating system's text.
        message: String,
    },
    /// The peer answered none of several signs-of-life requests.
    KeepaliveTimeout,
    /// The peer took no byte for this long.
    WriteDeadline(Duration),
    /// The peer broke the protocol, or damaged or forged a packet.
    Protocol(String),
}

impl CloseReason {
    /// The reason behind an error of the base that ended its loop.
    pub(super) fn from_base(error: &russh::Error) -> Self {
        match error {
            russh::Error::IO(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::PeerClosed,
            russh::Error::IO(error) => Self::Io { kind: error.kind(), message: error.to_string() },
            russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => Self::KeepaliveTimeout,
            russh::Error::Disconnect | russh::Error::HUP => Self::PeerClosed,
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("it was closed on this side"),
            Self::Aborted => f.write_str("it was cut on this side"),
            Self::Disconnected { code, message } if message.is_empty() => {
                write!(f, "the server ended it (reason {code})")
            }
            Self::Disconnected { code, message } => {
                write!(f, "the server ended it: {message} (reason {code})")
            }
            Self::PeerClosed => f.write_str("the server closed it without a word"),
            Self::Io { message, .. } => f.write_str(message),
            Self::KeepaliveTimeout => f.write_str("the server no longer answers"),
            Self::WriteDeadline(time) => {
                write!(f, "the server took no data for {} s", time.as_secs_f32())
            }
            Self::Protocol(message) => write!(f, "protocol error: {message}"),
        }
    }
}
