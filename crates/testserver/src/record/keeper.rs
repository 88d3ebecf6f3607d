//! Who writes the record, and wakes those who wait on it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    error::Error,
    exit::{Exit, Signal},
    record::{
        AuthAttempt, AuthOutcome, ChannelKind, ChannelRecord, CommandKind, CommandRecord, ConnectionRecord,
        End, ForwardPlace, ForwardRecord, ForwardState, Presence, Pty, Record, TerminalSize,
    },
    user::Method,
};

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

    pub(crate) fn channel_refused_by_client(&self) {
        self.change(|record| record.channels_refused_by_client += 1);
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

    pub(crate) fn request_granted(&self, channel: usize, name: &str) {
        self.channel(channel, |record| record.granted_requests.push(name.to_owned()));
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

    #[cfg(unix)]
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
