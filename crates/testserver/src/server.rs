//! The server: started, asked, stopped.

mod disturb;
mod settings;
mod shared;

use std::{
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use russh::{
    Preferred,
    keys::{HashAlg, PrivateKey},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    algorithms::RawOffer,
    auth::Accounts,
    builder::Builder,
    driver,
    duplex::Duplex,
    error::{Error, ErrorKind},
    fault::Faults,
    forward::{
        remote::{Forwards, Visited},
        stream::ChannelStream,
    },
    host_certificate::HostCertificate,
    keys::{self, HostKeySource, KeyRing},
    listening::Port,
    network::Line,
    random::Random,
    record::Record,
    server::shared::Live,
    startups::Startups,
};

pub(crate) use settings::Settings;
pub(crate) use shared::Shared;

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
            certifier.check(&host_keys)?;
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
        let panics = accounts.panics();
        let shared = Arc::new(Shared {
            settings,
            accounts,
            faults,
            keeper: Arc::default(),
            panics,
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
            live: Mutex::new(Live::new(host_keys, random)),
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
    /// A scripted fault never fired, the [raw peer's script](crate::RawPeer::script) was never played, or nobody asked for
    /// what [`expect_commands`](crate::Builder::expect_commands) wants asked for; or code that the server was given
    /// (a command, a target, a dialogue, a script) has panicked, an assertion in it for one.
    ///
    /// # Cancel safety
    /// When this future is dropped the server is dropped: all ends then too, but nobody waits for it.
    pub async fn stop(self) -> Result<(), Error> {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.verified.store(true, Ordering::Release);
        self.shared.verify().map_err(|error| error.with_seed(self.shared.seed))
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

/// Ends everything. Panics where [`stop`](TestServer::stop) is an error, unless the test is failing already.
impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        if *self.verified.get_mut() || std::thread::panicking() {
            return;
        }
        if let Err(error) = self.shared.verify() {
            panic!("{}", error.with_seed(self.shared.seed));
        }
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
