//! The evidence on what clients asked the server to listen for.

use std::fmt;

use crate::record::Record;

/// Where a client asked the server to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardPlace {
    /// `tcpip-forward`: this address and port, 0 for a port of the server's choice.
    Tcpip(String, u32),
    /// `streamlocal-forward@openssh.com`: this path.
    Streamlocal(String),
}

/// What became of a request to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardState {
    /// It was refused.
    Refused,
    /// The server listens.
    Listening,
    /// It listened, until the client cancelled that or was gone.
    Ended,
}

/// One request to listen.
#[derive(Debug, Clone)]
pub struct ForwardRecord {
    connection: usize,
    place: ForwardPlace,
    port: Option<u16>,
    state: ForwardState,
}

impl ForwardRecord {
    pub(super) fn new(
        connection: usize,
        place: ForwardPlace,
        port: Option<u16>,
        state: ForwardState,
    ) -> Self {
        Self { connection, place, port, state }
    }

    pub(super) fn end(&mut self) {
        self.state = ForwardState::Ended;
    }

    /// The connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// What the client asked for.
    #[must_use]
    pub fn place(&self) -> &ForwardPlace {
        &self.place
    }

    /// The port the server listens on, or did; none for a path and for what was refused.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What became of it.
    #[must_use]
    pub fn state(&self) -> ForwardState {
        self.state
    }
}

impl fmt::Display for ForwardRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forward asked for by connection {}: ", self.connection)?;
        match &self.place {
            ForwardPlace::Tcpip(address, port) => write!(f, "{address:?} port {port}")?,
            ForwardPlace::Streamlocal(path) => write!(f, "path {path:?}")?,
        }
        match (self.state, self.port) {
            (ForwardState::Refused, _) => f.write_str(", refused"),
            (ForwardState::Listening, Some(port)) => write!(f, ", listening on port {port}"),
            (ForwardState::Listening, None) => f.write_str(", listening"),
            (ForwardState::Ended, _) => f.write_str(", ended"),
        }
    }
}

impl Record {
    /// All requests to listen, refused ones included.
    #[must_use]
    pub fn forwards(&self) -> &[ForwardRecord] {
        &self.forwards
    }

    /// How many of them are listened for now.
    #[must_use]
    pub fn forwards_open(&self) -> usize {
        self.forwards.iter().filter(|forward| forward.state == ForwardState::Listening).count()
    }

    /// How many channels that the server wanted to open were refused by clients.
    #[must_use]
    pub fn channels_refused_by_client(&self) -> usize {
        self.channels_refused_by_client
    }
}
