//! What the pool's task knows of each host: its connections, how it stands, and what was counted.

mod ahead;
mod host;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use rustle_session::{CloseReason, Error, HostSetup, OpenedAhead, Session, Stats};
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::host::{Host, Link, LinkState};
use crate::events::Change;
use crate::policy::event::{ConnectionId as TransportId, HostId, How};
use crate::registry::Known;
use crate::show::{self, ConnectionId, HostStats};

/// All hosts that anybody asked for, and their connections.
#[derive(Debug)]
pub(crate) struct Hosts {
    hosts: BTreeMap<HostId, Host>,
    transports: HashMap<TransportId, HostId>,
    /// Of which it may stand otherwise than was last told.
    touched: BTreeSet<HostId>,
    /// Those that nothing is left of, and of which that was not told yet.
    forgotten: Vec<HostId>,
    changes: broadcast::Sender<Change>,
    /// How many attempts there are.
    attempts: u32,
}

/// How a connection ended that was there.
pub(crate) struct Loss {
    pub(crate) host: HostId,
    /// How long it was there.
    pub(crate) age: Duration,
    /// Whether it was closed by the pool.
    pub(crate) was_wanted: bool,
    /// Whether somebody wanted something of the host since it was there.
    pub(crate) was_used: bool,
    /// Whether another login would ask somebody.
    pub(crate) asks: bool,
    /// Whether there is no other.
    pub(crate) was_last: bool,
    /// What it has carried.
    pub(crate) carried: Stats,
}

impl Hosts {
    pub(crate) fn new(changes: broadcast::Sender<Change>, attempts: u32) -> Self {
        let (hosts, transports) = (BTreeMap::new(), HashMap::new());
        Self { hosts, transports, touched: BTreeSet::new(), forgotten: Vec::new(), changes, attempts }
    }

    /// Somebody asks for it. Whether nobody did before.
    pub(crate) fn meet(&mut self, known: &Arc<Known>) -> bool {
        let before = self.hosts.len();
        self.hosts.entry(known.id).or_insert_with(|| Host::new(known));
        self.hosts.len() > before
    }

    /// Forgets those that no name means any more and that nothing is left of.
    pub(crate) fn forget_unnamed(&mut self) {
        let forgotten = self.hosts.extract_if(.., |_, host| host.is_forgotten());
        self.forgotten.extend(forgotten.map(|(id, _)| id));
    }

    /// Those that nothing is left of since this was asked.
    pub(crate) fn take_forgotten(&mut self) -> Vec<HostId> {
        std::mem::take(&mut self.forgotten)
    }

    /// Somebody gets what is asked for.
    pub(crate) fn wanted(&mut self, id: HostId) {
        if let Some(of) = self.hosts.get_mut(&id) {
            of.last_wanted = Some(Instant::now());
        }
    }

    /// Nobody wants it any more: what became of it before is over.
    pub(crate) fn unwanted(&mut self, id: HostId) {
        if let Some(of) = self.touch(id) {
            (of.was_connected, of.failure, of.last_wanted) = (false, None, None);
        }
    }

    /// Its name, and how it is reached.
    pub(crate) fn setup(&self, id: HostId) -> Option<(&str, HostSetup)> {
        self.hosts.get(&id).map(|host| (host.known.name.as_str(), host.known.setup.clone()))
    }

    /// As errors name it.
    pub(crate) fn target(&self, id: HostId) -> String {
        self.hosts.get(&id).map(|host| host.known.setup.connector().target().to_string()).unwrap_or_default()
    }

    pub(crate) fn name(&self, id: HostId) -> &str {
        self.hosts.get(&id).map_or("", |host| &host.known.name)
    }

    /// That of the host whose connection it is.
    pub(crate) fn name_of(&self, id: TransportId) -> &str {
        self.transports.get(&id).map_or("", |host| self.name(*host))
    }

    /// How many wait for it.
    pub(crate) fn waiting(&self, id: HostId) -> usize {
        self.hosts.get(&id).map_or(0, |host| host.waiting)
    }

    // ---- connections --------------------------------------------------------------------------

    pub(crate) fn dialing(&mut self, id: TransportId, host: HostId, attempt: u32) -> CancellationToken {
        let given_up = CancellationToken::new();
        if let Some(of) = self.touch(host) {
            of.attempt = attempt;
            of.logins.retries += u64::from(attempt > 1);
            of.transports.insert(id, Box::new(Link::new(given_up.clone())));
            self.transports.insert(id, host);
        }
        given_up
    }

    /// It is there; to which host, and how long that took.
    pub(crate) fn dialed(&mut self, id: TransportId, session: Session) -> Option<(HostId, Duration)> {
        let host = *self.transports.get(&id)?;
        let of = self.touch(host)?;
        of.count_login(&session);
        (of.was_connected, of.failure) = (true, None);
        let link = of.transports.get_mut(&id)?;
        let took = link.since.elapsed();
        link.state = LinkState::Ready(session);
        (link.since, link.established_at) = (Instant::now(), Some(SystemTime::now()));
        of.logins.succeeded.add(took);
        Some((host, took))
    }

    /// There is none to this host; `error` says why, where it was not given up.
    pub(crate) fn not_dialed(&mut self, id: TransportId, error: Option<&Error>) -> Option<HostId> {
        let host = self.transports.remove(&id)?;
        let of = self.touch(host)?;
        of.transports.remove(&id);
        of.logins.failed += u64::from(error.is_some());
        if let Some(error) = error {
            of.failure = Some(error.clone());
        }
        Some(host)
    }

    /// It is gone. `None` where it was not there before.
    pub(crate) fn lost(&mut self, id: TransportId, error: &Error) -> Option<Loss> {
        let host = self.transports.remove(&id)?;
        let of = self.touch(host)?;
        let link = of.transports.remove(&id)?;
        let LinkState::Ready(session) = &link.state else { return None };
        let carried = session.stats();
        of.sent += carried.bytes_sent;
        of.received += carried.bytes_received;
        of.stalls.add(&carried.stalls);
        // Closed by the pool, or by whoever has a session of it.
        let is_local = matches!(session.closed().now_or_never(), Some(CloseReason::Local));
        let (was_wanted, asks) = (link.is_ending || is_local, session.was_prompted());
        let was_used = of.last_wanted.is_some_and(|wanted| wanted >= link.since);
        if was_wanted {
            if of.transports.is_empty() {
                (of.was_connected, of.failure) = (false, None);
            }
        } else {
            of.losses += 1;
            of.failure = Some(error.clone());
        }
        let was_last = of.transports.is_empty();
        Some(Loss { host, age: link.since.elapsed(), was_wanted, was_used, asks, was_last, carried })
    }

    /// The session of one that is there.
    pub(crate) fn session(&self, id: TransportId) -> Option<&Session> {
        let host = self.hosts.get(self.transports.get(&id)?)?;
        host.transports.get(&id)?.session()
    }

    /// Gives up a login that is under way.
    pub(crate) fn abandon(&self, id: TransportId) {
        let host = self.transports.get(&id).and_then(|host| self.hosts.get(host));
        if let Some(LinkState::Dialing(given_up)) =
            host.and_then(|host| host.transports.get(&id)).map(|link| &link.state)
        {
            given_up.cancel();
        }
    }

    /// The pool ends it.
    pub(crate) fn ending(&mut self, id: TransportId) -> Option<&Session> {
        let link = self.link(id)?;
        link.is_ending = true;
        link.session()
    }

    /// The pool does not end it after all.
    pub(crate) fn staying(&mut self, id: TransportId) {
        if let Some(link) = self.link(id) {
            link.is_ending = false;
        }
    }

    /// Whether the server answers late. False where that was known.
    pub(crate) fn set_degraded(&mut self, id: TransportId, is_degraded: bool) -> bool {
        let Some(link) = self.link(id) else { return false };
        let is_new = std::mem::replace(&mut link.is_degraded, is_degraded) != is_degraded;
        if let Some(of) = self.transports.get(&id).and_then(|host| self.hosts.get_mut(host)) {
            of.late_answers += u64::from(is_new && is_degraded);
        }
        is_new
    }

    /// Keeps a session that was opened ahead; `taken` is dropped when it is taken. Says its number; `None` where its
    /// connection is gone.
    pub(crate) fn keep_warm(&mut self, id: TransportId, ahead: OpenedAhead, taken: DropGuard) -> Option<u64> {
        Some(self.link(id)?.warm.keep((ahead, taken)))
    }

    /// Lets go of the one with this number. False where it was taken.
    pub(crate) fn cool(&mut self, id: TransportId, number: u64) -> bool {
        self.link(id).and_then(|link| link.warm.take_number(number)).is_some()
    }

    /// The session that was opened ahead, if there is one.
    pub(crate) fn take_warm(&mut self, id: TransportId) -> Option<OpenedAhead> {
        self.link(id)?.warm.take().map(|(ahead, _taken)| ahead)
    }

    /// What one is told who wants something of a connection to a host to which there is none.
    pub(crate) fn absent(&self, id: HostId) -> Error {
        let host = self.hosts.get(&id);
        match host.and_then(|host| host.failure.clone()) {
            Some(error) => error,
            None => Error::no_place(
                format!("{}: there is no connection", self.name(id)),
                "connect first, or call what makes a connection by itself",
            ),
        }
    }

    /// Those of a host that are there.
    pub(crate) fn sessions(&self, host: HostId) -> Vec<(TransportId, Session)> {
        let transports = self.hosts.get(&host).into_iter().flat_map(|host| &host.transports);
        transports.filter_map(|(id, link)| link.session().map(|session| (*id, session.clone()))).collect()
    }

    /// All of a host, those that are being made among them.
    pub(crate) fn transports(&self, host: HostId) -> Vec<TransportId> {
        self.hosts.get(&host).map(|host| host.transports.keys().copied().collect()).unwrap_or_default()
    }

    fn link(&mut self, id: TransportId) -> Option<&mut Link> {
        let host = *self.transports.get(&id)?;
        self.touch(host)?.transports.get_mut(&id).map(Box::as_mut)
    }

    // ---- those who want something -------------------------------------------------------------

    pub(crate) fn waits(&mut self, host: HostId) {
        if let Some(of) = self.touch(host) {
            of.waiting += 1;
        }
    }

    pub(crate) fn waits_no_more(&mut self, host: HostId) {
        if let Some(of) = self.touch(host) {
            of.waiting = of.waiting.saturating_sub(1);
        }
    }

    pub(crate) fn granted(&mut self, host: HostId, how: How, is_warm: bool) {
        let Some(of) = self.hosts.get_mut(&host) else { return };
        let places = &mut of.places;
        places.warm += u64::from(is_warm);
        let (count, waited) = match how {
            How::Shared => (&mut places.shared, Duration::ZERO),
            How::Queued { waited } => (&mut places.queued, waited),
            How::Connected { waited } => (&mut places.connected, waited),
            How::Folded { waited } => (&mut places.folded, waited),
        };
        *count += 1;
        of.queue.add(waited);
    }

    pub(crate) fn refused(&mut self, host: HostId) {
        if let Some(of) = self.hosts.get_mut(&host) {
            of.refusals += 1;
        }
    }

    /// Something begins or ends there, a command perhaps.
    pub(crate) fn used(&mut self, host: HostId, is_command: bool) {
        if let Some(of) = self.hosts.get_mut(&host) {
            of.last_used = Some(SystemTime::now());
            of.last_wanted = Some(Instant::now());
            of.commands += u64::from(is_command);
        }
    }

    // ---- what is told and shown ---------------------------------------------------------------

    /// Tells those who watch what has changed; `failures` are the attempts that failed one after the other.
    pub(crate) fn tell_changes(&mut self, failures: impl Fn(HostId) -> u32) {
        while let Some(id) = self.touched.pop_first() {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            let status = host.status_now(failures(id), self.attempts);
            if status != host.status {
                tracing::debug!(host = host.known.name, %status, "changed");
                host.status = status.clone();
                let (id, name, at) = (ConnectionId(id.0), host.known.name.clone(), SystemTime::now());
                // Nobody need watch.
                let _ = self.changes.send(Change { id, name, status, at });
            }
            if host.is_forgotten() {
                self.hosts.remove(&id);
                self.forgotten.push(id);
            }
        }
    }

    pub(crate) fn show(&self, id: HostId) -> Option<show::Connection> {
        self.hosts.get(&id).map(|host| host.show(id))
    }

    pub(crate) fn show_all(&self) -> Vec<show::Connection> {
        self.hosts.iter().map(|(id, host)| host.show(*id)).collect()
    }

    pub(crate) fn stats(&self) -> show::Stats {
        let hosts: Vec<HostStats> = self.hosts.iter().map(|(id, host)| host.stats(*id)).collect();
        let sum = |count: fn(&HostStats) -> usize| hosts.iter().map(count).sum();
        show::Stats {
            connections: sum(|host| host.connections),
            connecting: sum(|host| host.connecting),
            channels: sum(|host| host.channels),
            waiting: sum(|host| host.waiting),
            hosts,
        }
    }

    fn touch(&mut self, id: HostId) -> Option<&mut Host> {
        self.touched.insert(id);
        self.hosts.get_mut(&id)
    }
}
