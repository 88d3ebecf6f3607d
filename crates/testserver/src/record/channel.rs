//! One channel, and what was asked for on it.

use crate::{
    exit::Signal,
    record::{Event, Side, TerminalSize, event::Events},
};

/// What a channel was opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelKind {
    /// A session, for a command, shell or subsystem.
    Session,
    /// `direct-tcpip`, to this host and port.
    DirectTcpip(String, u32),
    /// `direct-streamlocal@openssh.com`, to this path.
    DirectStreamlocal(String),
    /// `forwarded-tcpip`, opened by the server: somebody connected to this address (as the client asked for it) and port.
    ForwardedTcpip(String, u32),
    /// `forwarded-streamlocal@openssh.com`, opened by the server: somebody connected to this path.
    ForwardedStreamlocal(String),
    /// `auth-agent@openssh.com`, opened by the server, to the client's agent.
    Agent,
    /// `x11`, opened by the server, to the client's display.
    X11,
}

/// One channel that was opened.
#[derive(Debug, Clone)]
pub struct ChannelRecord {
    pub(super) connection: usize,
    pub(super) kind: ChannelKind,
    pub(super) open: Presence,
    pub(super) signals: Vec<Signal>,
    pub(super) window_changes: Vec<TerminalSize>,
    pub(super) refused_requests: Vec<String>,
    pub(super) granted_requests: Vec<String>,
    pub(super) events: Events,
    pub(super) handles_open: usize,
    pub(super) handles_left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    Gone,
}

impl ChannelRecord {
    /// The connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// What it was opened for.
    #[must_use]
    pub fn kind(&self) -> &ChannelKind {
        &self.kind
    }

    /// Whether it is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open == Presence::Here
    }

    /// How many files and directories are open on it now, over SFTP.
    #[must_use]
    pub fn handles_open(&self) -> usize {
        self.handles_open
    }

    /// How many files and directories were open when its SFTP session ended.
    #[must_use]
    pub fn handles_left(&self) -> usize {
        self.handles_left
    }

    /// The signals received on it.
    #[must_use]
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// The changes of the terminal's size received on it.
    #[must_use]
    pub fn window_changes(&self) -> &[TerminalSize] {
        &self.window_changes
    }

    /// The names of the requests on it that were granted, of those for forwarding: `auth-agent-req@openssh.com`, `x11-req`.
    #[must_use]
    pub fn granted_requests(&self) -> &[String] {
        &self.granted_requests
    }

    /// The names of the requests on it that were refused.
    #[must_use]
    pub fn refused_requests(&self) -> &[String] {
        &self.refused_requests
    }

    /// What one side did on it, in order.
    #[must_use]
    pub fn events(&self, side: Side) -> &[Event] {
        self.events.of(side)
    }
}
