//! One command, shell or subsystem, and the terminal asked for.

use crate::{exit::Exit, record::channel::Presence};

/// One command, shell or subsystem that was asked for.
#[derive(Debug, Clone)]
pub struct CommandRecord {
    pub(super) connection: usize,
    pub(super) channel: usize,
    pub(super) what: CommandKind,
    pub(super) text: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) pty: Option<Pty>,
    pub(super) pid: Option<u32>,
    pub(super) running: Presence,
    pub(super) exit: Option<Exit>,
}

/// What was asked for on a session channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandKind {
    /// `exec`, a command line.
    Exec,
    /// `shell`, the login shell.
    Shell,
    /// `subsystem`, by name.
    Subsystem,
}

/// A pseudo-terminal that was asked for. The server keeps the request; no real terminal stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pty {
    pub(super) term: String,
    pub(super) size: TerminalSize,
    pub(super) modes: Vec<(u8, u32)>,
}

/// The size of a terminal, in characters and in pixels (RFC 4254 section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TerminalSize {
    /// Width in characters.
    pub columns: u32,
    /// Height in characters.
    pub rows: u32,
    /// Width in pixels, 0 if not known.
    pub pixel_width: u32,
    /// Height in pixels, 0 if not known.
    pub pixel_height: u32,
}

impl CommandRecord {
    /// The connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// The channel, counted from 1 over all connections: [`Record::channels`](crate::Record::channels) has it at this
    /// position less one.
    #[must_use]
    pub fn channel(&self) -> usize {
        self.channel
    }

    /// Command, shell or subsystem.
    #[must_use]
    pub fn kind(&self) -> CommandKind {
        self.what
    }

    /// The command line or the subsystem's name; empty for a shell. Bytes that are not UTF-8 show as U+FFFD.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The environment the client set.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The terminal the client asked for.
    #[must_use]
    pub fn pty(&self) -> Option<&Pty> {
        self.pty.as_ref()
    }

    /// The process id, where a real process ran.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether it still runs. A process whose channel is gone runs no more.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running == Presence::Here
    }

    /// How it ended by itself; `None` while it runs, and when it was ended with its channel.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }
}

impl Pty {
    pub(crate) fn new(term: &str, size: TerminalSize, modes: Vec<(u8, u32)>) -> Self {
        Self { term: term.to_owned(), size, modes }
    }

    /// The value for `TERM`.
    #[must_use]
    pub fn term(&self) -> &str {
        &self.term
    }

    /// The size at the start.
    #[must_use]
    pub fn size(&self) -> TerminalSize {
        self.size
    }

    /// The terminal modes (RFC 4254 section 8): opcode and argument.
    #[must_use]
    pub fn modes(&self) -> &[(u8, u32)] {
        &self.modes
    }
}
