//! When a fault strikes.

use std::{fmt, time::Duration};

use super::SftpRequest;
use crate::raw::Point;

/// Where in a connection's life a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The connection is accepted and nothing has been sent.
    Accept,
    /// Half of the server's identification line has been sent.
    Banner,
    /// The identification line has been sent, the key exchange has not.
    KeyExchange,
    /// The client asks to be authenticated.
    Authentication,
    /// The client opens a channel.
    ChannelOpen,
    /// The client asks for a command, a shell or a subsystem.
    Request,
    /// Data is about to be sent or has been received on a channel.
    Data,
    /// A channel is being closed, by either side.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Banner => "banner",
            Self::KeyExchange => "key exchange",
            Self::Authentication => "authentication",
            Self::ChannelOpen => "channel open",
            Self::Request => "request",
            Self::Data => "data",
            Self::Close => "close",
        })
    }
}

/// When a fault strikes: in a [`Phase`], a [`Duration`] after the connection was accepted (by tokio's clock, which a test
/// may have paused), or when so many bytes have gone one way.
///
/// ```
/// use std::time::Duration;
/// use rustle_testserver::{Cut, Fault, Moment, Phase};
///
/// let in_the_middle_of_a_download = Fault::cut(Moment::sent(1 << 20), Cut::Rst);
/// let when_a_channel_is_opened = Fault::cut(Phase::ChannelOpen, Cut::Rst);
/// let after_a_minute = Fault::cut(Duration::from_secs(60), Cut::Silence);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment(pub(crate) Trigger);

impl Moment {
    /// When exactly this many bytes have been sent to the client, as they go over the wire.
    #[must_use]
    pub fn sent(bytes: u64) -> Self {
        Self(Trigger::BytesSent(bytes))
    }

    /// When exactly this many bytes have been received from the client, as they go over the wire.
    #[must_use]
    pub fn received(bytes: u64) -> Self {
        Self(Trigger::BytesReceived(bytes))
    }
}

impl From<Phase> for Moment {
    fn from(phase: Phase) -> Self {
        Self(Trigger::Phase(phase))
    }
}

impl From<Duration> for Moment {
    fn from(since_accept: Duration) -> Self {
        Self(Trigger::Elapsed(since_accept))
    }
}

/// What a client asks for on a session channel, of what can be refused (RFC 4254 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// `pty-req`
    Pty,
    /// `env`
    Env,
    /// `exec`
    Exec,
    /// `shell`
    Shell,
    /// `subsystem`
    Subsystem,
}

/// What is sent when a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    ExitStatus,
    Eof,
    Close,
}

/// What brings a fault's turn. A new sort of moment is a variant here, and a call of `Faults::strike` (or a list of
/// `Due` moments made when the connection begins) where that moment comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The connection reaches a phase.
    Phase(Phase),
    /// Exactly this many bytes have been sent to the client.
    BytesSent(u64),
    /// Exactly this many bytes have been received from the client.
    BytesReceived(u64),
    /// So much time has passed since the connection was accepted.
    Elapsed(Duration),
    /// Someone is about to be let in.
    Login,
    /// Such a request has come on a session channel.
    Request(RequestKind),
    /// A command has ended, and this is to be sent.
    Ending(Ending),
    /// A client asks this over SFTP.
    Sftp(SftpRequest),
    /// The raw peer comes to a point of its own.
    Raw(Point),
}

/// As the error about an unfired fault goes on after the action.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(phase) => write!(f, "in phase {phase}"),
            Self::BytesSent(bytes) => write!(f, "after {bytes} bytes sent"),
            Self::BytesReceived(bytes) => write!(f, "after {bytes} bytes received"),
            Self::Elapsed(time) => write!(f, "{time:?} after accept"),
            Self::Login => f.write_str("of a login"),
            Self::Request(kind) => write!(f, "of a request ({})", kind.as_str()),
            Self::Ending(Ending::ExitStatus) => f.write_str("at the exit status of a command"),
            Self::Ending(Ending::Eof) => f.write_str("at the EOF of a command"),
            Self::Ending(Ending::Close) => f.write_str("at the CLOSE of a command"),
            Self::Sftp(request) => write!(f, "to {request}"),
            Self::Raw(point) => point.fmt(f),
        }
    }
}
