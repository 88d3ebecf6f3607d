//! Who writes the record, and wakes those who wait on it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    error::Error,
    exit::{Exit, Signal},
    record::{
        AuthAttempt, AuthOutcome, ChannelKind, ChannelRecord, CommandKind, CommandRecord, ConnectionRecord,
        End, ForwardPlace, ForwardRecord, ForwardState, Pty, Record, TerminalSize,
        channel::Presence,
        event::{Events, Happening, Side},
    },
    user::Method,
};

/// Keeps the record, and wakes those who wait on it.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Whoever looks takes an [`Arc`] out of the lock and lets go of it: looking may take long, and may look again. A
    /// change copies the record only while somebody looks.
    record: Mutex<Arc<Record>>,
    changed: Notify,
    since: Instant,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { record: Mutex::default(), changed: Notify::new(), since: Instant::now() }
    }
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
        Record::clone(&self.current())
    }

    /// Returns when the predicate holds. Wakes at each change; nothing polls.
    pub(crate) async fn wait_until(
        &self,
        mut holds: impl FnMut(&Record) -> bool,
        limit: Duration,
    ) -> Result<(), Error> {
        // A limit past the end of time is none.
        let deadline = Instant::now().checked_add(limit);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change between the look and the wait is not lost.
            changed.as_mut().enable();
            if holds(&self.current()) {
                return Ok(());
            }
            let waited = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, changed).await,
                None => {
                    changed.await;
                    Ok(())
                }
            };
            if waited.is_err() {
                let record = self.current();
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
                events: Events::default(),
            });
            record.connections.len()
        })
    }

    pub(crate) fn ended(&self, connection: usize, end: End) {
        let at = self.since.elapsed();
        self.connection(connection, |record| {
            record.events.add(Side::Server, at, Happening::Ended(end.clone()));
            record.ended = Some(end);
        });
    }

    pub(crate) fn logged_in(&self, connection: usize, user: &str, client: &[u8]) {
        let at = self.since.elapsed();
        let client = String::from_utf8_lossy(client).trim_end().to_owned();
        self.connection(connection, |record| {
            let what = Happening::LoggedIn { user: user.to_owned(), client: client.clone() };
            record.events.add(Side::Client, at, what);
            record.user = Some(user.to_owned());
            record.client = Some(client);
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
        let what = Happening::Authentication { user: user.to_owned(), method, outcome };
        self.happened(connection, Side::Client, what);
    }

    pub(crate) fn channel_refused(&self, connection: usize) {
        self.change(|record| record.channels_refused += 1);
        self.happened(connection, Side::Server, Happening::ChannelRefused);
    }

    pub(crate) fn channel_refused_by_client(&self, connection: usize) {
        self.change(|record| record.channels_refused_by_client += 1);
        self.happened(connection, Side::Client, Happening::ChannelRefused);
    }

    /// Somebody listens for a client; returns the forward's number.
    pub(crate) fn forward_begun(&self, connection: usize, place: ForwardPlace, port: Option<u16>) -> usize {
        self.change(|record| {
            record.forwards.push(ForwardRecord::new(connection, place, port, ForwardState::Listening));
            record.forwards.len()
        })
    }

    pub(crate) fn forward_refused(&self, connection: usize, place: ForwardPlace) {
        self.change(|record| {
            record.forwards.push(ForwardRecord::new(connection, place, None, ForwardState::Refused));
        });
    }

    pub(crate) fn forward_ended(&self, forward: usize) {
        self.change(|record| record.forwards.get_mut(forward.wrapping_sub(1)).map(ForwardRecord::end));
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
                granted_requests: Vec::new(),
                events: Events::default(),
                handles_open: 0,
                handles_left: 0,
            });
            record.channels.len()
        })
    }

    /// A channel is closed; saying it twice says nothing more.
    pub(crate) fn channel_closed(&self, channel: usize) {
        let at = self.since.elapsed();
        self.channel(channel, |record| {
            if record.open == Presence::Here {
                record.open = Presence::Gone;
                record.events.add(Side::Server, at, Happening::ChannelClosed);
            }
        });
    }

    /// Data has come from the client, or been written by what runs on the channel.
    pub(crate) fn data(&self, channel: usize, side: Side, stream: &'static str, bytes: u64) {
        self.happened_on(channel, side, Happening::Data { stream, bytes, pieces: 1 });
    }

    /// The client sends no more data on the channel.
    pub(crate) fn input_ended(&self, channel: usize) {
        self.happened_on(channel, Side::Client, Happening::Eof);
    }

    pub(crate) fn signal(&self, channel: usize, signal: Signal) {
        self.channel(channel, |record| record.signals.push(signal.clone()));
        self.happened_on(channel, Side::Client, Happening::Signal(signal));
    }

    pub(crate) fn window_change(&self, channel: usize, size: TerminalSize) {
        self.channel(channel, |record| record.window_changes.push(size));
        self.happened_on(channel, Side::Client, Happening::WindowChange(size));
    }

    pub(crate) fn request_granted(&self, channel: usize, name: &str) {
        self.channel(channel, |record| record.granted_requests.push(name.to_owned()));
        self.happened_on(channel, Side::Server, Happening::RequestGranted(name.to_owned()));
    }

    pub(crate) fn request_refused(&self, channel: usize, name: &str) {
        self.channel(channel, |record| record.refused_requests.push(name.to_owned()));
        self.happened_on(channel, Side::Server, Happening::RequestRefused(name.to_owned()));
    }

    /// A client has opened a file or a directory over SFTP.
    pub(crate) fn handle_opened(&self, channel: usize) {
        self.channel(channel, |record| record.handles_open += 1);
    }

    /// A client has closed one.
    pub(crate) fn handle_closed(&self, channel: usize) {
        self.channel(channel, |record| record.handles_open = record.handles_open.saturating_sub(1));
    }

    /// A session has ended with so many open.
    pub(crate) fn handles_left(&self, channel: usize, count: usize) {
        self.channel(channel, |record| {
            record.handles_open = 0;
            record.handles_left += count;
        });
    }

    pub(crate) fn global_request(&self, connection: usize, name: &str) {
        self.change(|record| record.global_requests.push(name.to_owned()));
        self.happened(connection, Side::Client, Happening::GlobalRequest(name.to_owned()));
    }

    pub(crate) fn eof(&self) {
        self.change(|record| record.eofs += 1);
    }

    pub(crate) fn close(&self) {
        self.change(|record| record.closes += 1);
    }

    /// A command, shell or subsystem is asked for, and will be started. Called where the request is read, so that it
    /// stands before what the client sends next.
    pub(crate) fn accepted(
        &self,
        channel: usize,
        kind: CommandKind,
        text: &[u8],
        env: &[(String, String)],
        pty: Option<&Pty>,
    ) {
        let what = Happening::Started {
            kind,
            text: String::from_utf8_lossy(text).into_owned(),
            env: env.to_vec(),
            terminal: pty.map(|pty| pty.term().to_owned()),
        };
        self.happened_on(channel, Side::Client, what);
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

    #[cfg(unix)]
    pub(crate) fn process(&self, command: usize, pid: Option<u32>) {
        self.command(command, |record| record.pid = pid);
    }

    pub(crate) fn exited(&self, command: usize, exit: &Exit) {
        let at = self.since.elapsed();
        self.change(|record| {
            let Some(command) = record.commands.get_mut(command.wrapping_sub(1)) else { return };
            command.exit = Some(exit.clone());
            if let Some(channel) = record.channels.get_mut(command.channel.wrapping_sub(1)) {
                channel.events.add(Side::Server, at, Happening::Exit(exit.clone()));
            }
        });
    }

    pub(crate) fn gone(&self, command: usize) {
        self.command(command, |record| record.running = Presence::Gone);
    }

    fn happened(&self, connection: usize, side: Side, what: Happening) {
        let at = self.since.elapsed();
        self.connection(connection, |record| record.events.add(side, at, what));
    }

    fn happened_on(&self, channel: usize, side: Side, what: Happening) {
        let at = self.since.elapsed();
        self.channel(channel, |record| record.events.add(side, at, what));
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
        let value = change(Arc::make_mut(&mut self.lock()));
        self.changed.notify_waiters();
        value
    }

    fn current(&self) -> Arc<Record> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Record>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
