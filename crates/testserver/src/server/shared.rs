//! What all connections of a server share, and what of it changes while the server runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use russh::{
    MethodSet, Preferred, SshId,
    keys::{Certificate, PrivateKey},
    server::Config,
};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    algorithms::RawOffer,
    auth::{self, Accounts},
    connection::Connection,
    error::{Error, ErrorKind},
    fault::Faults,
    forward::remote::Forwards,
    host_certificate::Certifier,
    keys::KeyRing,
    link::LinkControl,
    network::Line,
    panics::Panics,
    random::Random,
    record::Keeper,
    server::Settings,
    sftp,
    startups::Startups,
};

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) accounts: Accounts,
    pub(crate) faults: Arc<Faults>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) panics: Arc<Panics>,
    pub(crate) forwards: Forwards,
    pub(crate) directory: TempDir,
    pub(crate) sftp: Option<sftp::Server>,
    /// Cancelled when the server stops.
    pub(crate) stopping: CancellationToken,
    /// Every task but those of channels, which belong to their connections.
    pub(crate) tasks: TaskTracker,
    /// The connections that are not logged in yet.
    pub(crate) startups: Arc<Startups>,
    /// The simulated network, if the server was given one.
    pub(super) line: Option<Arc<Line>>,
    pub(super) certifier: Option<Certifier>,
    pub(super) preferred: Preferred,
    /// What the raw peer leaves out.
    pub(crate) raw_offer: RawOffer,
    pub(super) seed: u64,
    /// In a lock of its own: making a key may take seconds, in which the connections go on.
    pub(super) keys: Mutex<KeyRing>,
    pub(super) live: Mutex<Live>,
}

/// What changes while the server runs.
pub(super) struct Live {
    pub(super) host_keys: Vec<PrivateKey>,
    /// In their order: what is done to all of them strikes the first connection first.
    pub(super) links: BTreeMap<usize, Arc<LinkControl>>,
    pub(super) flow: Flow,
    pub(super) door: Door,
    pub(super) random: Random,
}

impl Live {
    pub(super) fn new(host_keys: Vec<PrivateKey>, random: Random) -> Self {
        Self { host_keys, links: BTreeMap::new(), flow: Flow::Flowing, door: Door::Open, random }
    }
}

/// Whether connections through memory are accepted; the port has its own door.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Flowing,
    Stalled,
}

impl Shared {
    /// Whether all that was scripted has happened, and no code of the test has panicked; else what has not, or has.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        let panics = self.panics.texts();
        if !panics.is_empty() {
            let message = format!("code of the test has panicked in the server: {}", panics.join("; "));
            return Err(Error::new(ErrorKind::Expectation, message));
        }
        let mut missing = self.faults.unfired();
        missing.extend(self.settings.unplayed());
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Expectation,
            format!(
                "scripted, but never happened: {}; drive the client there, or call expect_unfired()",
                missing.join("; ")
            ),
        ))
    }

    /// The server's identification line, without the end of the line.
    pub(crate) fn identification(&self) -> String {
        self.settings.identification.clone()
    }

    /// The engine's configuration for one connection, with the host keys of the moment.
    pub(crate) fn engine_config(&self) -> Arc<Config> {
        let methods: Vec<_> = self.accounts.methods().into_iter().map(auth::kind).collect();
        let keys = self.live().host_keys.clone();
        Arc::new(Config {
            server_id: SshId::Standard(self.identification().into()),
            methods: MethodSet::from(methods.as_slice()),
            // Tests do not wait to be refused; `auth_delay` is there for those that want to.
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: None,
            certificates: self.certificates(&keys),
            keys,
            limits: russh::Limits {
                rekey_write_limit: self.settings.rekey_after,
                rekey_read_limit: self.settings.rekey_after,
                // The base measures this by the real clock, which a test may have paused; bytes decide alone.
                rekey_time_limit: Duration::from_secs(u64::from(u32::MAX)),
            },
            window_size: self.settings.window,
            preferred: self.preferred.clone(),
            max_auth_attempts: self.settings.auth_attempts,
            inactivity_timeout: None,
            keepalive_interval: self.settings.limits.client_alive.map(|alive| alive.interval),
            keepalive_max: self.settings.limits.client_alive.map_or(0, |alive| alive.count),
            ..Config::default()
        })
    }

    fn certificates(&self, keys: &[PrivateKey]) -> Vec<Certificate> {
        let Some(certifier) = &self.certifier else { return Vec::new() };
        certifier.certify(keys).unwrap_or_else(|error| {
            tracing::error!(%error, "the host key is shown without its certificate");
            Vec::new()
        })
    }

    /// The key that the raw peer shows.
    pub(crate) fn first_host_key(&self) -> Option<PrivateKey> {
        self.live().host_keys.first().cloned()
    }

    pub(crate) fn register(&self, connection: &Connection) {
        let mut live = self.live();
        if live.flow == Flow::Stalled {
            connection.link.stall();
        }
        live.links.insert(connection.number, Arc::clone(&connection.link));
    }

    pub(crate) fn forget(&self, connection: usize) {
        self.live().links.remove(&connection);
    }

    pub(crate) fn line(&self) -> Option<Arc<Line>> {
        self.line.clone()
    }

    pub(crate) fn open_door(&self) {
        self.live().door = Door::Open;
    }

    pub(crate) fn close_door(&self) {
        self.live().door = Door::Closed;
    }

    pub(crate) fn is_door_open(&self) -> bool {
        self.live().door == Door::Open
    }

    /// What this user's login shell prints before anything else, on standard output and on standard error.
    pub(crate) fn startup_noise(&self, user: &str) -> (Bytes, Bytes) {
        let own = self.accounts.startup_noise(user);
        let stdout = [own.as_ref(), self.settings.noise.stdout.as_ref()].concat();
        (stdout.into(), self.settings.noise.stderr.clone())
    }

    pub(crate) fn random(&self) -> Random {
        self.live().random.fork()
    }

    pub(super) fn links(&self) -> Vec<Arc<LinkControl>> {
        self.live().links.values().map(Arc::clone).collect()
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
