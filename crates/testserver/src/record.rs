//! The evidence: what clients did, as the server saw it. Never what they proved themselves with.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    error::Error,
    exit::{Exit, Signal},
    user::Method,
};

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
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The client disconnected, or closed its side. (The base does not pass on the reason it gave.)
    Client,
    /// A fault, or a call such as `cut_all`, cut it.
    Cut(crate::fault::Cut),
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

    /// How many channel opens were refused.
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

    /// The names of the requests on it that were refused.
    #[must_use]
    pub fn refused_requests(&self) -> &[String] {
        &self.refused_requests
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

/// Keeps the record, and wakes those who wait on it.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    record: Mutex<Record>,
    changed: Notify,
}

/// A command as it is started.
pub(crate) struct Started<'a> {
    pub(crate) connection: usize,
    pub(crate) channel: usize,
    pub(crate) what: CommandKind,
    pub(crate) text: &'a [u8],
    pub(crate) env: &'a [(String, String)],
    pub(crate) pty: Option<&'a Pty>,
}

impl Keeper {
    pub(crate) fn snapshot(&self) -> Record {
        self.lock().clone()
    }

    /// Returns when the predicate holds. Wakes at each change; nothing polls.
    pub(crate) async fn wait_until(
        &self,
        mut holds: impl FnMut(&Record) -> bool,
        limit: Duration,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change between the look and the wait is not lost.
            changed.as_mut().enable();
            if holds(&self.lock()) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let record = self.snapshot();
                return if holds(&record) { Ok(()) } else { Err(Error::timeout(limit, &record)) };
            }
        }
    }

    /// Wakes those who wait, for a change that is not in the record itself.
    pub(crate) fn touch(&self) {
        self.changed.notify_waiters();
    }

    /// A new connection; returns its number.
    pub(crate) fn connected(&self) -> usize {
        self.change(|record| {
            record.connections.push(ConnectionRecord {
                bytes_in: 0,
                bytes_out: 0,
                user: None,
                client: None,
                ended: None,
            });
            record.connections.len()
        })
    }

    pub(crate) fn ended(&self, connection: usize, end: End) {
        self.connection(connection, |record| record.ended = Some(end));
    }

    pub(crate) fn logged_in(&self, connection: usize, user: &str, client: &[u8]) {
        self.connection(connection, |record| {
            record.user = Some(user.to_owned());
            record.client = Some(String::from_utf8_lossy(client).trim_end().to_owned());
        });
    }

    pub(crate) fn received(&self, connection: usize, bytes: u64) {
        self.connection(connection, |record| record.bytes_in += bytes);
    }

    pub(crate) fn sent(&self, connection: usize, bytes: u64) {
        self.connection(connection, |record| record.bytes_out += bytes);
    }

    pub(crate) fn auth(&self, connection: usize, user: &str, method: Method, outcome: AuthOutcome) {
        self.change(|record| {
            record.auth_attempts.push(AuthAttempt { connection, user: user.to_owned(), method, outcome });
        });
    }

    pub(crate) fn channel_refused(&self) {
        self.change(|record| record.channels_refused += 1);
    }

    /// A new channel; returns its number.
    pub(crate) fn channel_opened(&self, connection: usize, kind: ChannelKind) -> usize {
        self.change(|record| {
            record.channels.push(ChannelRecord {
                connection,
                kind,
                open: Presence::Here,
                signals: Vec::new(),
                window_changes: Vec::new(),
                refused_requests: Vec::new(),
            });
            record.channels.len()
        })
    }

    pub(crate) fn channel_closed(&self, channel: usize) {
        self.channel(channel, |record| record.open = Presence::Gone);
    }

    pub(crate) fn signal(&self, channel: usize, signal: Signal) {
        self.channel(channel, |record| record.signals.push(signal));
    }

    pub(crate) fn window_change(&self, channel: usize, size: TerminalSize) {
        self.channel(channel, |record| record.window_changes.push(size));
    }

    pub(crate) fn request_refused(&self, channel: usize, name: &str) {
        self.channel(channel, |record| record.refused_requests.push(name.to_owned()));
    }

    pub(crate) fn global_request(&self, name: &str) {
        self.change(|record| record.global_requests.push(name.to_owned()));
    }

    pub(crate) fn eof(&self) {
        self.change(|record| record.eofs += 1);
    }

    pub(crate) fn close(&self) {
        self.change(|record| record.closes += 1);
    }

    /// A command begins; returns its number.
    pub(crate) fn started(&self, started: &Started<'_>) -> usize {
        self.change(|record| {
            record.commands.push(CommandRecord {
                connection: started.connection,
                channel: started.channel,
                what: started.what,
                text: String::from_utf8_lossy(started.text).into_owned(),
                env: started.env.to_vec(),
                pty: started.pty.cloned(),
                pid: None,
                running: Presence::Here,
                exit: None,
            });
            record.commands.len()
        })
    }

    pub(crate) fn process(&self, command: usize, pid: Option<u32>) {
        self.command(command, |record| record.pid = pid);
    }

    pub(crate) fn exited(&self, command: usize, exit: &Exit) {
        self.command(command, |record| record.exit = Some(exit.clone()));
    }

    pub(crate) fn gone(&self, command: usize) {
        self.command(command, |record| record.running = Presence::Gone);
    }

    fn connection(&self, number: usize, change: impl FnOnce(&mut ConnectionRecord)) {
        self.change(|record| record.connections.get_mut(number.wrapping_sub(1)).map(change));
    }

    fn channel(&self, number: usize, change: impl FnOnce(&mut ChannelRecord)) {
        self.change(|record| record.channels.get_mut(number.wrapping_sub(1)).map(change));
    }

    fn command(&self, number: usize, change: impl FnOnce(&mut CommandRecord)) {
        self.change(|record| record.commands.get_mut(number.wrapping_sub(1)).map(change));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let value = change(&mut self.lock());
        self.changed.notify_waiters();
        value
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
