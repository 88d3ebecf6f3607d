//! The server: started, asked, stopped.

mod disturb;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use russh::{
    MethodSet, Preferred, SshId,
    keys::{Certificate, HashAlg, PrivateKey},
    server::Config,
};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    algorithms::RawOffer,
    auth::{self, Accounts},
    builder::{Builder, Limits, forwarding::Forwarding},
    command::{Answer, Script},
    connection::Connection,
    driver,
    duplex::Duplex,
    error::{Error, ErrorKind},
    fault::Faults,
    forward::{
        remote::{Forwards, Visited},
        stream::ChannelStream,
    },
    host_certificate::{Certifier, HostCertificate},
    keys::{self, HostKeySource, KeyRing},
    link::LinkControl,
    listening::Port,
    network::{Line, Network},
    random::Random,
    raw::RawPeer,
    record::{Keeper, Record},
    sftp::{self, Sftp},
    startups::Startups,
};

/// An SSH and SFTP server inside the test process.
///
/// ```
/// use rustle_testserver::{Reply, TestServer, User};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let server = TestServer::builder()
///     .user(User::new("alice").password("wonderland"))
///     .command("uname", Reply::stdout("Linux\n"))
///     .start()
///     .await?;
///
/// // … let the client under test connect to server.addr() …
///
/// assert_eq!(server.record().commands().len(), 0);
/// server.stop().await?;
/// # Ok::<(), rustle_testserver::Error>(())
/// # }).unwrap();
/// ```
pub struct TestServer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) port: Port,
    verified: AtomicBool,
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) accounts: Accounts,
    pub(crate) faults: Arc<Faults>,
    pub(crate) keeper: Arc<Keeper>,
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
    line: Option<Arc<Line>>,
    certifier: Option<Certifier>,
    preferred: Preferred,
    /// What the raw peer leaves out.
    pub(crate) raw_offer: RawOffer,
    seed: u64,
    /// In a lock of its own: making a key may take seconds, in which the connections go on.
    keys: Mutex<KeyRing>,
    live: Mutex<Live>,
}

/// What changes while the server runs.
struct Live {
    host_keys: Vec<PrivateKey>,
    links: HashMap<usize, Arc<LinkControl>>,
    flow: Flow,
    door: Door,
    random: Random,
}

/// Whether connections through memory are accepted; the port has its own door.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Flowing,
    Stalled,
}

/// What the builder was told.
pub(crate) struct Settings {
    pub(crate) script: Script,
    pub(crate) shell_script: Option<Answer>,
    pub(crate) subsystems: Script,
    pub(crate) shell: bool,
    pub(crate) builtins: bool,
    pub(crate) sftp: Option<Sftp>,
    pub(crate) direct_tcpip: bool,
    pub(crate) direct_streamlocal: bool,
    pub(crate) forwarding: Forwarding,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) accept_env: Option<Vec<String>>,
    pub(crate) auth_attempts: usize,
    pub(crate) auth_delay: Duration,
    pub(crate) banner: Option<String>,
    pub(crate) identification: String,
    pub(crate) host_certificate: Option<HostCertificate>,
    pub(crate) window: u32,
    pub(crate) rekey_after: usize,
    pub(crate) network: Option<Network>,
    pub(crate) noise: Noise,
    pub(crate) limits: Limits,
    pub(crate) seed: Option<u64>,
    pub(crate) raw_peer: Option<RawPeer>,
}

/// What the start-up files of a login shell print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noise {
    pub(crate) stdout: Bytes,
    pub(crate) stderr: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            script: Script::default(),
            shell_script: None,
            subsystems: Script::default(),
            shell: false,
            builtins: false,
            sftp: None,
            direct_tcpip: false,
            direct_streamlocal: false,
            forwarding: Forwarding::default(),
            max_sessions: None,
            accept_env: None,
            // The base's number for "no limit".
            auth_attempts: 0,
            auth_delay: Duration::ZERO,
            banner: None,
            identification: concat!("SSH-2.0-Rustle_Test_", env!("CARGO_PKG_VERSION")).to_owned(),
            host_certificate: None,
            // OpenSSH's CHAN_SES_WINDOW_DEFAULT.
            window: 2 * 1024 * 1024,
            // RFC 4253 section 9 recommends 1 GiB.
            rekey_after: 1 << 30,
            network: None,
            noise: Noise::default(),
            limits: Limits::default(),
            seed: None,
            raw_peer: None,
        }
    }
}

impl Settings {
    pub(crate) fn accepts_env(&self, name: &str) -> bool {
        self.accept_env.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }
}

impl TestServer {
    /// Begins a server; [`Builder::start`] ends it.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) async fn launch(
        mut settings: Settings,
        accounts: Accounts,
        preferred: Preferred,
        raw_offer: RawOffer,
        host_keys: Vec<HostKeySource>,
        faults: Arc<Faults>,
    ) -> Result<Self, Error> {
        let mut keys = KeyRing::default();
        let host_keys: Vec<PrivateKey> =
            host_keys.iter().map(|source| keys.load(source)).collect::<Result<_, _>>()?;
        let certifier = settings.host_certificate.as_ref().map(HostCertificate::load).transpose()?;
        if let Some(certifier) = &certifier {
            // What cannot be signed is to be known now, not when a client comes.
            certifier.certify(&host_keys)?;
        }
        let directory = tempfile::Builder::new()
            .prefix("rustle-testserver-")
            .tempdir()
            .map_err(|source| Error::io("make the server's temporary directory", source))?;
        let (addr, listener) = Port::open().map_err(|source| Error::io("listen on 127.0.0.1", source))?;
        let sftp = settings.sftp.take().map(|sftp| sftp.open(directory.path())).transpose()?;
        let seed = seed(settings.seed)?;
        let mut random = Random::new(seed);
        let startups = Startups::new(settings.limits.max_startups, random.fork());
        let line = settings.network.clone().map(|network| Arc::new(Line::new(network)));
        let shared = Arc::new(Shared {
            settings,
            accounts,
            faults,
            keeper: Arc::default(),
            forwards: Forwards::default(),
            directory,
            sftp,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            startups,
            line,
            certifier,
            preferred,
            raw_offer,
            seed,
            keys: Mutex::new(keys),
            live: Mutex::new(Live {
                host_keys,
                links: HashMap::new(),
                flow: Flow::Flowing,
                door: Door::Open,
                random,
            }),
        });
        let port = Port::new(addr, driver::accept(&shared, listener));
        Ok(Self { shared, port, verified: AtomicBool::new(false) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// The port it listens on, of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.addr().port()
    }

    /// A connection to it that goes through memory, not through a socket; with it, tests run under paused time.
    #[must_use]
    pub fn duplex(&self) -> Duplex {
        driver::connect(&self.shared)
    }

    /// The public host keys as lines of a `.pub` file, one per key.
    #[must_use]
    pub fn host_key_openssh(&self) -> String {
        let keys = self.public_keys();
        keys.iter().map(|key| key.to_openssh().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    /// The first public host key as it goes over the wire.
    #[must_use]
    pub fn host_key_wire(&self) -> Vec<u8> {
        self.public_keys().first().and_then(|key| key.to_bytes().ok()).unwrap_or_default()
    }

    /// The fingerprint of the first host key, `SHA256:…`, as `ssh-keygen -l` prints it, for clients that pin one.
    #[must_use]
    pub fn host_key_fingerprint(&self) -> String {
        let keys = self.public_keys();
        keys.first().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).unwrap_or_default()
    }

    /// The first private host key in OpenSSH's format, for another server to have the same.
    ///
    /// # Errors
    /// The key cannot be written in that format.
    pub fn host_private_key_openssh(&self) -> Result<String, Error> {
        let live = self.shared.live();
        match live.host_keys.first() {
            Some(key) => keys::private_openssh(key),
            None => Err(Error::new(ErrorKind::HostKey, "the server has no host key")),
        }
    }

    /// A line for `known_hosts` that trusts this server, or several lines if it has several keys.
    #[must_use]
    pub fn known_hosts_line(&self) -> String {
        self.host_key_openssh().lines().map(|key| format!("[127.0.0.1]:{} {key}\n", self.port())).collect()
    }

    /// A line for `known_hosts` that trusts the authority behind this server's
    /// [certificate](crate::Builder::host_certificate); none where there is no certificate.
    #[must_use]
    pub fn host_ca_known_hosts_line(&self) -> Option<String> {
        let authority = self.shared.certifier.as_ref()?.authority().to_openssh().ok()?;
        Some(format!("@cert-authority [127.0.0.1]:{} {authority}\n", self.port()))
    }

    /// The directory in which shells run and which SFTP shows as `/`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.shared.directory.path()
    }

    /// The seed of all that is random here.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// What has happened so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.shared.keeper.snapshot()
    }

    /// Returns when the record shows this. Wakes at each change of the record; nothing polls.
    ///
    /// # Errors
    /// It has not come true within `limit`; the error prints what the record shows instead.
    ///
    /// # Cancel safety
    /// Nothing changes when this future is dropped.
    pub async fn wait_until(&self, shows: impl FnMut(&Record) -> bool, limit: Duration) -> Result<(), Error> {
        let waited = self.shared.keeper.wait_until(shows, limit).await;
        waited.map_err(|error| error.with_seed(self.shared.seed))
    }

    /// Connects to a port that a client has asked the server to listen on, without a socket: the client sees a
    /// `forwarded-tcpip` channel.
    ///
    /// # Errors
    /// No client has asked for that port, or it refused the channel.
    ///
    /// # Cancel safety
    /// The client may see the channel opened when this future is dropped, and closed right after.
    pub async fn connect_to_forward(&self, port: u16) -> Result<ChannelStream, Error> {
        self.shared.forwards.visit(&Visited::Port(port)).await
    }

    /// Connects to a path that a client has asked the server to listen on, as it gave it, without a socket: the client
    /// sees a `forwarded-streamlocal@openssh.com` channel.
    ///
    /// # Errors
    /// No client has asked for that path, or it refused the channel.
    ///
    /// # Cancel safety
    /// The client may see the channel opened when this future is dropped, and closed right after.
    pub async fn connect_to_forwarded_socket(&self, path: &str) -> Result<ChannelStream, Error> {
        self.shared.forwards.visit(&Visited::Path(path)).await
    }

    /// Ends every connection and process, and returns when nothing is left.
    ///
    /// # Errors
    /// A scripted fault never fired.
    ///
    /// # Cancel safety
    /// When this future is dropped the server is dropped: all ends then too, but nobody waits for it.
    pub async fn stop(self) -> Result<(), Error> {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.verified.store(true, Ordering::Release);
        self.shared.faults.verify().map_err(|error| error.with_seed(self.shared.seed))
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("addr", &self.addr())
            .field("seed", &self.shared.seed)
            .finish_non_exhaustive()
    }
}

/// Ends everything. Panics if a scripted fault never fired, unless the test is failing already.
impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        if *self.verified.get_mut() || std::thread::panicking() {
            return;
        }
        if let Err(error) = self.shared.faults.verify() {
            panic!("{}", error.with_seed(self.shared.seed));
        }
    }
}

impl Shared {
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

    fn links(&self) -> Vec<Arc<LinkControl>> {
        self.live().links.values().map(Arc::clone).collect()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TestServer {
    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.shared.accounts
    }

    pub(crate) fn fault_table(&self) -> &Faults {
        &self.shared.faults
    }

    fn public_keys(&self) -> Vec<russh::keys::PublicKey> {
        self.shared.live().host_keys.iter().map(|key| key.public_key().clone()).collect()
    }
}

/// The environment variable that sets the seed of every server in a test run.
const SEED_VARIABLE: &str = "RUSTLE_TEST_SEED";

fn seed(given: Option<u64>) -> Result<u64, Error> {
    if let Some(seed) = given {
        return Ok(seed);
    }
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::new(ErrorKind::Configuration, format!("{SEED_VARIABLE}={text:?} is no number below 2^64"))
        }),
        Err(_) => getrandom::u64()
            .map_err(|source| Error::new(ErrorKind::Io, format!("no random seed to be had: {source}"))),
    }
}
