//! The evidence: what clients did, as the server saw it. Never what they proved themselves with.

mod event;
mod forwards;
mod keeper;
mod transcript;

use std::fmt;

use crate::{
    exit::{Exit, Signal},
    user::Method,
};

pub use event::{Event, Happening, Side};
pub use forwards::{ForwardPlace, ForwardRecord, ForwardState};
pub(crate) use keeper::{Keeper, Started};
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

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnectionRecord {
    bytes_in: u64,
    bytes_out: u64,
    user: Option<String>,
    client: Option<String>,
    ended: Option<End>,
    client_events: Vec<Event>,
    server_events: Vec<Event>,
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

/// One attempt to authenticate. What was shown is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthAttempt {
    connection: usize,
    user: String,
    method: Method,
    outcome: AuthOutcome,
}

/// What came of an attempt to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthOutcome {
    /// The user is in.
    Accepted,
    /// Right, and another method must follow.
    Partial,
    /// A key was offered without a signature, and the server would accept it.
    KeyWelcome,
    /// The next round of questions was asked.
    Asked,
    /// Wrong, unknown, or not this user's way in.
    Refused,
    /// A code that was right once, and had been used.
    Replayed,
    /// A password that was right, and had expired.
    Expired,
    /// Refused whatever it was, after too many refusals.
    Locked,
}

impl AuthOutcome {
    /// Whether the client was told that it failed, and may not even go on with another step.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::Refused | Self::Replayed | Self::Expired | Self::Locked)
    }
}

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
    connection: usize,
    kind: ChannelKind,
    open: Presence,
    signals: Vec<Signal>,
    window_changes: Vec<TerminalSize>,
    refused_requests: Vec<String>,
    granted_requests: Vec<String>,
    client_events: Vec<Event>,
    server_events: Vec<Event>,
    handles_open: usize,
    handles_left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    Gone,
}

/// One command, shell or subsystem that was asked for.
#[derive(Debug, Clone)]
pub struct CommandRecord {
    connection: usize,
    channel: usize,
    what: CommandKind,
    text: String,
    env: Vec<(String, String)>,
    pty: Option<Pty>,
    pid: Option<u32>,
    running: Presence,
    exit: Option<Exit>,
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
    term: String,
    size: TerminalSize,
    modes: Vec<(u8, u32)>,
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

    /// All attempts to authenticate.
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
        match side {
            Side::Client => &self.client_events,
            Side::Server => &self.server_events,
        }
    }
}

impl AuthAttempt {
    /// The connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// The user name given.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The method tried.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// What came of it.
    #[must_use]
    pub fn outcome(&self) -> AuthOutcome {
        self.outcome
    }
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
        match side {
            Side::Client => &self.client_events,
            Side::Server => &self.server_events,
        }
    }
}

impl CommandRecord {
    /// The connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// The channel, counted from 1 over all connections: [`Record::channels`] has it at this position less one.
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
