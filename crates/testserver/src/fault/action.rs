//! What a fault does when it strikes.

use std::{fmt, time::Duration};

use super::{Farewell, SftpFault};
use crate::{raw::Wrong, user::Method};

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// The server closes its side properly, as a process that exits.
    Fin,
    /// The connection is reset, as by a firewall or a crash.
    Rst,
    /// The server vanishes: it neither reads nor writes again, and the socket stays open until the server stops.
    Silence,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fin => "FIN",
            Self::Rst => "RST",
            Self::Silence => "silence",
        })
    }
}

/// Which way bytes go, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// From the server to the client.
    Sent,
    /// From the client to the server.
    Received,
    /// Each of them.
    Both,
}

impl Direction {
    pub(crate) fn covers(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "to the client",
            Self::Received => "from the client",
            Self::Both => "both ways",
        })
    }
}

/// What a fault does. Whoever asks for the actions of a moment carries out those that make sense there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Cut(Cut),
    /// Neither reads nor writes; for ever, or so long.
    Stall(Option<Duration>),
    /// Does not answer, or not before so much time has passed, while all else goes on.
    Withhold(Option<Duration>),
    /// Refuses a channel.
    Refuse {
        code: u32,
        text: String,
    },
    /// Refuses a request on a channel.
    RefuseRequest,
    /// Turns away who was about to be let in, and names these methods; or those it would name anyway.
    RefuseLogin(Option<Vec<Method>>),
    /// Lets so many bytes pass in each interval.
    Drip(Drip),
    /// Changes the next byte that goes this way, by exclusive or.
    Corrupt(Direction, u8),
    Disconnect(Farewell),
    /// Answers an SFTP request wrongly.
    Sftp(SftpFault),
    /// Something that only the raw peer does.
    Raw(Wrong),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drip {
    pub(crate) direction: Direction,
    pub(crate) bytes: u64,
    pub(crate) every: Duration,
    pub(crate) lasts: Option<Duration>,
}

/// As the error about an unfired fault begins.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(how) => write!(f, "cut ({how})"),
            Self::Stall(None) => f.write_str("stall"),
            Self::Stall(Some(time)) => write!(f, "stall for {time:?}"),
            Self::Withhold(None) => f.write_str("no answer"),
            Self::Withhold(Some(time)) => write!(f, "no answer for {time:?}"),
            Self::Refuse { code, text } => write!(f, "refusal (code {code}, {text:?})"),
            Self::RefuseRequest | Self::RefuseLogin(_) => f.write_str("refusal"),
            Self::Drip(drip) => {
                write!(f, "drip of {} bytes per {:?} {}", drip.bytes, drip.every, drip.direction)
            }
            Self::Corrupt(direction, mask) => write!(f, "corruption (xor {mask:#04x}) {direction}"),
            Self::Disconnect(farewell) => {
                write!(f, "disconnect (code {}, {:?})", farewell.reason.code(), farewell.text)
            }
            Self::Sftp(fault) => fault.fmt(f),
            Self::Raw(wrong) => wrong.fmt(f),
        }
    }
}
