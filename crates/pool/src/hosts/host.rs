//! One host: its connections, and what follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use rustle_session::{Error, OpenedAhead, Session};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ahead::Ahead;
use crate::policy::event::{ConnectionId as TransportId, HostId};
use crate::registry::Known;
use crate::show::{
    Algorithms, Connection, ConnectionId, HostStats, Logins, Places, Stalls, Status, Times, Transport,
};

/// Where a server listens unless something else is said (RFC 4253 section 4).
const SSH_PORT: u16 = 22;

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) known: Arc<Known>,
    /// Boxed: a map has room for eleven, and nearly all hosts have one.
    pub(super) transports: BTreeMap<TransportId, Box<Link>>,
    /// As it was told last.
    pub(super) status: Status,
    pub(super) waiting: usize,
    /// The attempt that was begun last.
    pub(super) attempt: u32,
    /// Whether there was a connection, which was lost or is there.
    pub(super) was_connected: bool,
    /// Why there is none.
    pub(super) failure: Option<Error>,
    pub(super) last_used: Option<SystemTime>,
    /// When a caller last got something of it.
    pub(super) last_wanted: Option<Instant>,
    /// What connections that are gone have carried.
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) commands: u64,
    pub(super) places: Places,
    pub(super) queue: Times,
    pub(super) logins: Logins,
    pub(super) refusals: u64,
    pub(super) losses: u64,
    pub(super) late_answers: u64,
    /// Of connections that are gone.
    pub(super) stalls: Stalls,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: LinkState,
    pub(super) is_degraded: bool,
    pub(super) is_ending: bool,
    /// When it was begun; once it is there, when it was made.
    pub(super) since: Instant,
    pub(super) established_at: Option<SystemTime>,
    /// A session that was opened ahead, and whoever waits for its end as long as it is here.
    pub(super) warm: Ahead<(OpenedAhead, DropGuard)>,
}

#[derive(Debug)]
pub(super) enum LinkState {
    /// Cancelled, the login is given up.
    Dialing(CancellationToken),
    Ready(Session),
}

impl Link {
    pub(super) fn new(given_up: CancellationToken) -> Self {
        Self {
            state: LinkState::Dialing(given_up),
            is_degraded: false,
            is_ending: false,
            since: Instant::now(),
            established_at: None,
            warm: Ahead::default(),
        }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match &self.state {
            LinkState::Dialing(_) => None,
            LinkState::Ready(session) => Some(session),
        }
    }

    fn show(&self, id: TransportId) -> Option<Transport> {
        let session = self.session()?;
        let carried = session.stats();
        Some(Transport {
            number: id.0,
            method: session.method().to_owned(),
            method_detail: session.method_detail().map(str::to_owned),
            established_at: self.established_at,
            round_trip: carried.round_trip,
            is_degraded: self.is_degraded,
            is_ending: self.is_ending,
            open_channels: carried.channels_open,
            bytes_sent: carried.bytes_sent,
            bytes_received: carried.bytes_received,
            server_version: session.server_version(),
            algorithms: session.negotiated().map(|names| Algorithms {
                kex: names.kex().to_owned(),
                host_key: names.host_key().to_owned(),
                cipher: names.cipher().to_owned(),
                mac: names.mac().map(str::to_owned),
                compression: names.compression().to_owned(),
                strict_kex: names.strict_kex(),
            }),
        })
    }
}

impl Host {
    pub(super) fn new(known: &Arc<Known>) -> Self {
        Self {
            known: Arc::clone(known),
            transports: BTreeMap::new(),
            status: Status::Disconnected,
            waiting: 0,
            attempt: 0,
            was_connected: false,
            failure: None,
            last_used: None,
            last_wanted: None,
            sent: 0,
            received: 0,
            commands: 0,
            places: Places::default(),
            queue: Times::default(),
            logins: Logins::default(),
            refusals: 0,
            losses: 0,
            late_answers: 0,
            stalls: Stalls::default(),
        }
    }

    /// Whether no name means it, nobody has anything of it, and nothing is left of it.
    pub(super) fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.known) == 1 && self.transports.is_empty() && self.waiting == 0
    }

    /// How it stands, from what is there, who waits, and how many of so many attempts have failed.
    pub(super) fn status_now(&self, failures: u32, of: u32) -> Status {
        let mut ready = self.transports.values().filter(|link| link.session().is_some()).peekable();
        if ready.peek().is_some() {
            return if ready.all(|link| link.is_degraded) { Status::Degraded } else { Status::Connected };
        }
        let is_dialing = !self.transports.is_empty();
        if is_dialing || self.waiting > 0 {
            let attempt = if is_dialing { self.attempt } else { failures + 1 };
            return match self.was_connected || attempt > 1 {
                true => Status::Reconnecting { attempt: attempt.clamp(1, of), of },
                false => Status::Connecting,
            };
        }
        match &self.failure {
            Some(error) => Status::Failed { code: error.code().to_owned(), message: error.to_string() },
            None => Status::Disconnected,
        }
    }

    pub(super) fn count_login(&mut self, session: &Session) {
        let timings = session.timings();
        self.logins.resolve.add(timings.resolve);
        self.logins.connect.add(timings.connect);
        self.logins.handshake.add(timings.handshake);
        self.logins.authentication.add(session.authentication_time());
    }

    pub(super) fn show(&self, id: HostId) -> Connection {
        let transports: Vec<Transport> =
            self.transports.iter().filter_map(|(id, link)| link.show(*id)).collect();
        let target = self.known.setup.connector().target();
        Connection {
            id: ConnectionId(id.0),
            name: self.known.name.clone(),
            jump_host: self.known.jump.as_ref().map(|jump| ConnectionId(jump.id.0)),
            host: target.host().to_owned(),
            port: target.port().unwrap_or(SSH_PORT),
            user: target.user().unwrap_or_default().to_owned(),
            status: self.status.clone(),
            established_at: transports.iter().filter_map(|one| one.established_at).min(),
            last_used: self.last_used,
            bytes_sent: self.sent + transports.iter().map(|one| one.bytes_sent).sum::<u64>(),
            bytes_received: self.received + transports.iter().map(|one| one.bytes_received).sum::<u64>(),
            commands_run: self.commands,
            open_channels: transports.iter().map(|one| one.open_channels).sum(),
            forwards: Vec::new(),
            transports,
        }
    }

    pub(super) fn stats(&self, id: HostId) -> HostStats {
        let shown = self.show(id);
        let mut stalls = self.stalls;
        self.transports
            .values()
            .filter_map(|link| link.session())
            .for_each(|one| stalls.add(&one.stats().stalls));
        HostStats {
            id: shown.id,
            connecting: self.transports.len() - shown.transports.len(),
            connections: shown.transports.len(),
            channels: shown.open_channels,
            waiting: self.waiting,
            places: self.places,
            queue: self.queue,
            logins: self.logins,
            round_trip: shown.transports.iter().map(|one| one.round_trip).min(),
            bytes_sent: shown.bytes_sent,
            bytes_received: shown.bytes_received,
            refusals: self.refusals,
            losses: self.losses,
            late_answers: self.late_answers,
            stalls,
            name: shown.name,
        }
    }
}
