//! What happened when, on one connection or channel, as seen from one side of it.

use std::{fmt, time::Duration};

use crate::{
    exit::{Exit, Signal},
    record::{AuthOutcome, CommandKind, End, TerminalSize},
    user::Method,
};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client sent it.
    Client,
    /// The server did it.
    Server,
}

/// One thing that happened; see [`Record::transcript`](crate::Record::transcript) for all of them in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    at: Duration,
    until: Duration,
    what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// The client is logged in; its identification line is known now.
    LoggedIn {
        /// The user's name.
        user: String,
        /// The identification line.
        client: String,
    },
    /// An attempt to authenticate.
    Authentication {
        /// The user's name, as given.
        user: String,
        /// The method.
        method: Method,
        /// What came of it.
        outcome: AuthOutcome,
    },
    /// A global request, by name.
    GlobalRequest(String),
    /// A channel that the other side wanted to open was refused.
    ChannelRefused,
    /// A command, shell or subsystem was asked for and is started.
    Started {
        /// Which of them.
        kind: CommandKind,
        /// The command line, or the subsystem's name. Bytes that are not UTF-8 show as U+FFFD.
        text: String,
        /// The environment set before.
        env: Vec<(String, String)>,
        /// The terminal asked for before, by its `TERM`.
        terminal: Option<String>,
    },
    /// A request on a channel was granted, by name: those that start something by themselves are [`Started`](Self::Started).
    RequestGranted(String),
    /// A request on a channel was refused, by name.
    RequestRefused(String),
    /// A signal for the command.
    Signal(Signal),
    /// The terminal's size has changed.
    WindowChange(TerminalSize),
    /// Data, one piece after another with nothing else on this side in between.
    Data {
        /// `stdin`, `stdout` or `stderr`; `data` on a channel that runs no command.
        stream: &'static str,
        /// How many bytes.
        bytes: u64,
        /// In how many pieces they came or were written.
        pieces: u64,
    },
    /// No more data from this side.
    Eof,
    /// The command has ended so.
    Exit(Exit),
    /// The channel is gone.
    ChannelClosed,
    /// The connection has ended so.
    Ended(End),
}

impl Event {
    pub(crate) fn new(at: Duration, what: Happening) -> Self {
        Self { at, until: at, what }
    }

    /// When it began, since the server was started. By tokio's clock, so exact where a test has paused it.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// When it ended: later than [`at`](Self::at) for data in several pieces.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.until
    }

    /// What happened.
    #[must_use]
    pub fn what(&self) -> &Happening {
        &self.what
    }
}

/// What both sides did on one connection or channel. In two lists, for which of two sides was first at one instant is
/// an accident of the run.
#[derive(Debug, Clone, Default)]
pub(super) struct Events {
    client: Vec<Event>,
    server: Vec<Event>,
}

impl Events {
    pub(super) fn of(&self, side: Side) -> &[Event] {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// Adds an event; data after data of the same stream makes one event longer. So a list grows with what happens on a
    /// channel and not with its bytes.
    pub(super) fn add(&mut self, side: Side, at: Duration, what: Happening) {
        let events = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        if let (
            Some(Event { until, what: Happening::Data { stream, bytes, pieces }, .. }),
            Happening::Data { stream: more_of, bytes: more, pieces: more_pieces },
        ) = (events.last_mut(), &what)
            && stream == more_of
        {
            *bytes = bytes.saturating_add(*more);
            *pieces = pieces.saturating_add(*more_pieces);
            *until = at;
            return;
        }
        events.push(Event::new(at, what));
    }
}

/// Without time and pieces, which stand beside it in a transcript.
impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedIn { user, client } => write!(f, "is logged in as {user:?}, and is {client:?}"),
            Self::Authentication { user, method, outcome } => {
                write!(f, "asks to be {user:?} by {method}: {outcome:?}")
            }
            Self::GlobalRequest(name) => write!(f, "sends {name:?}"),
            Self::ChannelRefused => f.write_str("refuses a channel"),
            Self::Started { kind, text, env, terminal } => {
                write!(f, "asks for {kind:?} {text:?}")?;
                for (name, value) in env {
                    write!(f, ", {name:?} set to {value:?}")?;
                }
                terminal.as_ref().map_or(Ok(()), |term| write!(f, ", in a terminal {term:?}"))
            }
            Self::RequestGranted(name) => write!(f, "grants {name:?}"),
            Self::RequestRefused(name) => write!(f, "refuses {name:?}"),
            Self::Signal(signal) => write!(f, "sends signal {signal}"),
            Self::WindowChange(size) => write!(f, "has a terminal of {} × {}", size.columns, size.rows),
            Self::Data { stream, bytes, .. } => write!(f, "{bytes} bytes of {stream}"),
            Self::Eof => f.write_str("ends its data"),
            Self::Exit(exit) => write!(f, "ends the command: {exit}"),
            Self::ChannelClosed => f.write_str("has closed the channel"),
            Self::Ended(end) => write!(f, "sees the connection end: {end:?}"),
        }
    }
}
