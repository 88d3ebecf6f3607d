//! The evidence: what clients did, as the server saw it. Never what they proved themselves with.

mod channel;
mod command;
mod connection;
mod event;
mod forwards;
mod keeper;
mod login;
mod transcript;

use std::fmt;

use crate::exit::Signal;

pub use channel::{ChannelKind, ChannelRecord};
pub use command::{CommandKind, CommandRecord, Pty, TerminalSize};
pub use connection::{ConnectionRecord, End};
pub use event::{Event, Happening, Side};
pub use forwards::{ForwardPlace, ForwardRecord, ForwardState};
pub(crate) use keeper::{Keeper, Started};
pub use login::{AuthAttempt, AuthOutcome};
pub use transcript::Transcript;

/// A snapshot of what has happened so far, from [`TestServer::record`](crate::TestServer::record).
///
/// Lists are in the order in which things began. Connections and channels are counted from 1.
#[derive(Debug, Clone, Default)]
pub struct Record {
    connections: Vec<ConnectionRecord>,
    auth_attempts: Vec<AuthAttempt>,
    channels: Vec<ChannelRecord>,
    commands: Vec<CommandRecord>,
    global_requests: Vec<String>,
    channels_refused: usize,
    channels_refused_by_client: usize,
    forwards: Vec<ForwardRecord>,
    eofs: usize,
    closes: usize,
}

impl Record {
    /// All connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> &[ConnectionRecord] {
        &self.connections
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections_accepted(&self) -> usize {
        self.connections.len()
    }

    /// How many connections are there now.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.connections.iter().filter(|connection| connection.ended.is_none()).count()
    }

    /// All attempts to authenticate, but those by a method that this server does not have (`hostbased`, say): the base of
    /// the first personality tells nobody of them. They count among the refused ones of
    /// [`auth_attempts`](crate::Builder::auth_attempts), and at the raw peer of
    /// [`max_auth_tries`](crate::Builder::max_auth_tries).
    #[must_use]
    pub fn auth_attempts(&self) -> &[AuthAttempt] {
        &self.auth_attempts
    }

    /// All channels that were opened.
    #[must_use]
    pub fn channels(&self) -> &[ChannelRecord] {
        &self.channels
    }

    /// How many channels were opened, those closed since included.
    #[must_use]
    pub fn channels_opened_total(&self) -> usize {
        self.channels.len()
    }

    /// How many channels are open now: neither has the client closed them, nor has the server ended them.
    #[must_use]
    pub fn channels_open(&self) -> usize {
        self.channels.iter().filter(|channel| channel.is_open()).count()
    }

    /// How many files and directories are open over SFTP now. The independent engine's are not counted.
    #[must_use]
    pub fn handles_open(&self) -> usize {
        self.channels.iter().map(ChannelRecord::handles_open).sum()
    }

    /// How many files and directories were still open when their SFTP sessions ended.
    #[must_use]
    pub fn handles_left(&self) -> usize {
        self.channels.iter().map(ChannelRecord::handles_left).sum()
    }

    /// How many channels that clients wanted to open were refused.
    #[must_use]
    pub fn channels_refused(&self) -> usize {
        self.channels_refused
    }

    /// All commands, shells and subsystems that were started.
    #[must_use]
    pub fn commands(&self) -> &[CommandRecord] {
        &self.commands
    }

    /// The last command with exactly this text.
    #[must_use]
    pub fn command(&self, text: &str) -> Option<&CommandRecord> {
        self.commands.iter().rev().find(|command| command.text == text)
    }

    /// How many commands, shells and subsystems are running now.
    #[must_use]
    pub fn processes_running(&self) -> usize {
        self.commands.iter().filter(|command| command.is_running()).count()
    }

    /// Bytes received on all connections, as they went over the wire.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.connections.iter().map(|connection| connection.bytes_in).sum()
    }

    /// Bytes sent on all connections, as they went over the wire.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.connections.iter().map(|connection| connection.bytes_out).sum()
    }

    /// All signals received, on whatever channel.
    #[must_use]
    pub fn signals(&self) -> Vec<Signal> {
        self.channels.iter().flat_map(|channel| channel.signals.iter().cloned()).collect()
    }

    /// All changes of a terminal's size, on whatever channel.
    #[must_use]
    pub fn window_changes(&self) -> Vec<TerminalSize> {
        self.channels.iter().flat_map(|channel| channel.window_changes.iter().copied()).collect()
    }

    /// How many EOF messages clients have sent.
    #[must_use]
    pub fn eofs(&self) -> usize {
        self.eofs
    }

    /// How many CLOSE messages clients have sent before the server sent its own. (The base swallows later ones.)
    #[must_use]
    pub fn closes(&self) -> usize {
        self.closes
    }

    /// The names of the global requests the base passes on: those about forwarding.
    #[must_use]
    pub fn global_requests(&self) -> &[String] {
        &self.global_requests
    }
}

/// A few lines for a person who reads why a test failed.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "connections: {} accepted, {} open, {} bytes in, {} bytes out",
            self.connections_accepted(),
            self.connections_open(),
            self.bytes_in(),
            self.bytes_out()
        )?;
        for (n, connection) in self.connections.iter().enumerate() {
            if let Some(end) = &connection.ended {
                writeln!(f, "  connection {} ended: {end:?}", n + 1)?;
            }
        }
        for attempt in &self.auth_attempts {
            writeln!(
                f,
                "authentication: connection {}, {:?} by {}: {:?}",
                attempt.connection, attempt.user, attempt.method, attempt.outcome
            )?;
        }
        writeln!(
            f,
            "channels: {} opened, {} open, {} refused; {} EOF, {} CLOSE received",
            self.channels_opened_total(),
            self.channels_open(),
            self.channels_refused,
            self.eofs,
            self.closes
        )?;
        for forward in &self.forwards {
            writeln!(f, "  {forward}")?;
        }
        if self.handles_open() + self.handles_left() > 0 {
            writeln!(
                f,
                "SFTP handles: {} open, {} left open by sessions that ended",
                self.handles_open(),
                self.handles_left()
            )?;
        }
        for command in &self.commands {
            let state = match (&command.exit, command.is_running()) {
                (_, true) => "running".to_owned(),
                (Some(exit), false) => exit.to_string(),
                (None, false) => "ended with its channel".to_owned(),
            };
            writeln!(f, "  {:?} {:?} on channel {}: {state}", command.what, command.text, command.channel)?;
        }
        Ok(())
    }
}
