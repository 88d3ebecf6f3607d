//! One connection, and how it ended.

use crate::record::{Event, Side, event::Events};

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnectionRecord {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) user: Option<String>,
    pub(super) client: Option<String>,
    pub(super) ended: Option<End>,
    pub(super) events: Events,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The client disconnected, closed its side, or reset the connection: whether data was under way decides which of
    /// the latter two a server sees. (The base does not pass on the reason it gave.)
    Client,
    /// A fault, or a call such as `cut_all`, cut it.
    Cut(crate::fault::Cut),
    /// The server said goodbye (SSH_MSG_DISCONNECT) for this reason: a fault, or a limit.
    Disconnected(crate::fault::DisconnectReason),
    /// There was no place for it, as set by `max_startups`.
    TurnedAway,
    /// Nobody logged in within the time set by `login_grace`.
    LoginGrace,
    /// The client did not answer, as set by `client_alive`.
    Unresponsive,
    /// The server was stopped.
    Stopped,
    /// It broke: the text says why.
    Broken(String),
}

impl ConnectionRecord {
    /// Bytes received, as they went over the wire.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Bytes sent, as they went over the wire.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Who is logged in.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client's identification line, known once it is logged in.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<&End> {
        self.ended.as_ref()
    }

    /// What one side did on the connection itself, in order.
    #[must_use]
    pub fn events(&self, side: Side) -> &[Event] {
        self.events.of(side)
    }
}
