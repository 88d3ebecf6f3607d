//! What callers hold.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use rustle_session::{BoxFuture, HostSetup, Place as _, Session};
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Change, Events};
use crate::forward::{Configured, Forwards};
use crate::line::{Line, Message, OfHost};
use crate::options::{ConfigFiles, FOR_EVER, Names, PoolBuilder};
use crate::policy::event::{HostId, Lane};
use crate::readings::Readings;
use crate::registry::{Known, Registry};
use crate::show::{Connection, ConnectionId, Stats};

/// Connections to many hosts, made when they are needed and shared by all who need them.
///
/// Hosts behind the same jump host (`ProxyJump`) share its connection too: a thousand behind one make one login there for each 64
/// that are connected at once. It is in use as long as one of theirs is there, and is shown as a host of its own.
///
/// Cheap to clone; every clone is the same pool. When the last one, and the last session and channel from it, is dropped, the
/// connections end in the background; [`shutdown`](Self::shutdown) says when nothing is left.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// use std::time::Duration;
///
/// use rustle_pool::{ErrorKind, Pool};
///
/// let pool = Pool::builder().build()?;
/// # ["web-1", "db-1"].map(|name| pool.register(name, way.clone()));
/// let (web, db) = tokio::join!(pool.get("web-1"), pool.get("db-1"));
/// assert_eq!(web?.output("echo up").await?.stdout_text(), "up\n");
/// assert_eq!(db?.output("echo up").await?.stdout_text(), "up\n");
///
/// let id = pool.connect("web-1").await?; // it is there already
/// assert!(pool.session(id).await?.output("true").await?.status.success());
/// assert_eq!(pool.show(id).await?.commands_run, 2);
/// assert_eq!((pool.list().await.len(), pool.stats().await.connections), (2, 2));
///
/// pool.shutdown(Duration::from_secs(5)).await;
/// assert_eq!(pool.get("web-1").await.unwrap_err().kind(), ErrorKind::ShutDown);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    line: Line,
    changes: broadcast::WeakSender<Change>,
    registry: Mutex<Registry>,
    readings: Readings<(Arc<Known>, HostSetup)>,
    patience: Duration,
    names: Names,
    files: ConfigFiles,
    forwards: Forwards,
    configured: Option<Configured>,
}

impl Pool {
    /// Begins with the defaults.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    pub(crate) fn new(
        line: Line,
        changes: broadcast::WeakSender<Change>,
        patience: Duration,
        names: Names,
        files: ConfigFiles,
        configured: Option<Configured>,
    ) -> Self {
        let forwards = Forwards::default();
        let (registry, readings) = (Mutex::default(), Readings::default());
        let inner = Inner { line, changes, registry, readings, patience, names, files, forwards, configured };
        Self { inner: Arc::new(inner) }
    }

    /// Gives a host a name of its own, and says how it is reached and logged in to. What had the name before is another host
    /// from now on; its connections are kept as long as they are used, and it is forgotten when nothing is left of it. The
    /// forwards of its configuration end, before those of the other begin; a login to it that is under way brings none any more.
    ///
    /// A registered name never shares a connection with another name, registered or not, even where both are reached
    /// and logged in to in the same way. Names that nobody registered do share, where all that the configuration says
    /// of the connection is the same (host, port, user, keys and the rest:
    /// [`HostIdentity`](rustle_session::HostIdentity)); and so do the jump hosts that names are reached through,
    /// registered or not, with each other and with such names.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # let pool = Pool::builder().build()?;
    /// pool.register("deploys", way.clone());
    /// pool.register("reports", way); // the same host, over connections of its own
    /// assert_ne!(pool.connect("deploys").await?, pool.connect("reports").await?);
    /// assert_eq!(pool.stats().await.connections, 2);
    /// # Ok(()) }
    /// ```
    pub fn register(&self, name: &str, setup: HostSetup) {
        let mut registry = self.registry();
        let is_replaced = registry.register(name, setup);
        // Whoever looks the name up finds neither before both are done.
        if let Some(configured) = &self.inner.configured {
            configured.end_of(name);
        }
        drop(registry);
        if is_replaced {
            self.inner.line.send(Message::Replaced);
        }
    }

    /// A session with a host that is registered under this name, or that ssh would reach under it by the
    /// [configuration](PoolBuilder::config_file). There is a connection to it then; each channel of the session is opened on
    /// whichever connection has a place.
    ///
    /// The forwards that the configuration has for the name begin with the first connection, as with ssh, and last until
    /// [`disconnect`](Self::disconnect), the pool's end, or the time when the name means another host: that one's begin when those
    /// listen no more, for which this waits. One that cannot be made is logged and [shown](Self::show).
    ///
    /// # Errors
    /// [`ErrorKind::UnknownHost`]; [`ErrorKind::Session`] when the host cannot be connected to, with
    /// [`NoPlace`](rustle_session::ErrorKind::NoPlace) where a limit of the pool is in the way. With `ExitOnForwardFailure`,
    /// what is wrong with a forward. [`ErrorKind::ShutDown`].
    ///
    /// # Cancel safety
    /// Dropped, a login that nobody else waits for becomes an idle connection.
    pub async fn get(&self, name: &str) -> Result<Session> {
        self.session_by_name(name).await.map(|(session, _)| session)
    }

    /// Sees that there is a connection to the host, and says what it is called in other calls.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// As [`get`](Self::get).
    pub async fn connect(&self, name: &str) -> Result<ConnectionId> {
        self.session_by_name(name).await.map(|(_, host)| ConnectionId(host.id.0))
    }

    /// Connects to all of them at once, as far as the limits of the pool allow, and gives what became of each, in order of
    /// arrival.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// use futures_util::StreamExt;
    ///
    /// # let pool = Pool::builder().only_registered().build()?;
    /// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
    /// let mut connected = pool.connect_all(["web-1", "web-2", "wev-3"]);
    /// while let Some((name, outcome)) = connected.next().await {
    ///     match outcome {
    ///         Ok(id) => println!("{name} is connection {id}"),
    ///         Err(error) => assert_eq!((name.as_str(), error.code()), ("wev-3", "HOST_UNKNOWN")),
    ///     }
    /// }
    /// assert_eq!(pool.stats().await.connections, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped, a login that is under way and that nobody else waits for becomes an idle connection.
    pub fn connect_all<N: Into<String>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> impl Stream<Item = (String, Result<ConnectionId>)> + Send + Unpin + 'static {
        let connecting = names.into_iter().map(|name| {
            let (pool, name) = (self.clone(), name.into());
            let connecting: BoxFuture<'static, _> = Box::pin(async move {
                let outcome = pool.connect(&name).await;
                (name, outcome)
            });
            connecting
        });
        connecting.collect::<FuturesUnordered<_>>()
    }

    /// A session with the host of a connection: see [`get`](Self::get).
    ///
    /// # Errors
    /// [`ErrorKind::UnknownConnection`]; else as [`get`](Self::get).
    ///
    /// # Cancel safety
    /// As [`get`](Self::get).
    pub async fn session(&self, id: ConnectionId) -> Result<Session> {
        let host = self.host_of(id)?;
        self.session_of(host).await
    }

    /// How it stands with a host.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownConnection`], [`ErrorKind::ShutDown`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn show(&self, id: ConnectionId) -> Result<Connection> {
        let host = self.host_of(id)?.id;
        let shown = self.inner.line.ask(|answer| Message::Show { host, answer }).await;
        // Nobody has asked for a host that was registered.
        let shown = shown.ok_or_else(Error::shut_down)?.ok_or_else(|| Error::unknown_connection(id))?;
        Ok(self.with_forwards(shown))
    }

    /// How it stands with all hosts that anybody ever asked for, in the order in which they were known. None once the pool is
    /// shut down.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn list(&self) -> Vec<Connection> {
        let all = self.inner.line.ask(|answer| Message::ShowAll { answer }).await.unwrap_or_default();
        all.into_iter().map(|shown| self.with_forwards(shown)).collect()
    }

    /// What the pool has done, and is doing. All zeros once it is shut down.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stats(&self) -> Stats {
        self.inner.line.ask(|answer| Message::Stats { answer }).await.unwrap_or_default()
    }

    /// Changes of how it stands with hosts, from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.inner.changes.upgrade().map(|changes| changes.subscribe()))
    }

    /// Asks the host's server for a sign of life, over each connection to it, and says how long the slowest took. Nothing is
    /// started at the server. One that does not answer within 5 s is ended, unless data is moving on it: then it took 5 s.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use std::time::Duration;
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let id = pool.connect("web-1").await?;
    /// # let before = pool.show(id).await?.bytes_sent;
    /// assert!(pool.check(id).await? < Duration::from_secs(5));
    /// # assert!(pool.show(id).await?.bytes_sent > before); // it was asked
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::UnknownConnection`]; [`ErrorKind::Session`] where there is no connection, or one that is gone;
    /// [`ErrorKind::ShutDown`].
    ///
    /// # Cancel safety
    /// Dropped, it is asked all the same.
    pub async fn check(&self, id: ConnectionId) -> Result<Duration> {
        let host = self.host_of(id)?.id;
        let checked = self.inner.line.ask(|answer| Message::Check { host, answer }).await;
        checked.ok_or_else(Error::shut_down)?
    }

    /// Ends all connections to a host: nothing new goes on them, and what is open has so long to end by itself. Resolves when
    /// they are gone. Whoever asks for the host from now on has another, as soon as the limits allow one beside those that
    /// end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use {rustle_pool::Status, std::time::Duration};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let id = pool.connect("web-1").await?;
    /// pool.disconnect(id, Duration::from_secs(5)).await?;
    /// assert_eq!(pool.show(id).await?.status, Status::Disconnected);
    /// assert_eq!(pool.connect("web-1").await?, id); // another connection to the same host
    /// # assert_eq!(server.record().connections_accepted(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::UnknownConnection`], [`ErrorKind::ShutDown`]. There need not be a connection.
    ///
    /// # Cancel safety
    /// Dropped, they end all the same.
    pub async fn disconnect(&self, id: ConnectionId, grace: Duration) -> Result<()> {
        let host = self.host_of(id)?.id;
        let by = Instant::now() + grace.min(FOR_EVER);
        if let Some(configured) = &self.inner.configured {
            configured.end(host);
        }
        self.inner.line.ask(|done| Message::Disconnect { host, by, done }).await.ok_or_else(Error::shut_down)
    }

    /// Ends the connections that nobody uses, whatever their persist time, and says how many there were. One that leads to where
    /// somebody waits to get (`ProxyJump`) is in use.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # let pool = Pool::builder().build()?;
    /// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
    /// pool.connect("web-2").await?;
    /// let running = pool.get("web-1").await?.line("sleep 60").spawn().await?;
    /// assert_eq!(pool.retire_idle().await, 1); // that to web-2
    /// # drop(running);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped, they end all the same.
    pub async fn retire_idle(&self) -> usize {
        self.inner.line.ask(|answer| Message::RetireIdle { answer }).await.unwrap_or_default()
    }

    /// The machine's network is another one: all connections are asked for a sign of life at once, those that give none within
    /// 5 s are ended, unless data is moving on them, and what waited to be tried again is tried now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// pool.connect("web-1").await?;
    /// # let before = server.record().bytes_in();
    /// pool.network_changed(); // as the system says, or after the machine slept
    /// # server.wait_until(|record| record.bytes_in() > before, std::time::Duration::from_secs(20)).await?;
    /// # Ok(()) }
    /// ```
    pub fn network_changed(&self) {
        self.inner.line.send(Message::NetworkChanged);
    }

    /// Ends all: nothing new begins, and what is open has so long to end by itself. Resolves when nothing is left.
    ///
    /// # Cancel safety
    /// Dropped, all ends all the same.
    pub async fn shutdown(&self, grace: Duration) {
        let by = Instant::now() + grace.min(FOR_EVER);
        let (done, ended) = oneshot::channel();
        self.inner.forwards.end(by);
        self.inner.line.send(Message::Shutdown { by, done });
        let _ = ended.await;
        self.inner.forwards.ended().await;
    }

    pub(crate) fn line(&self) -> &Line {
        &self.inner.line
    }

    pub(crate) fn patience(&self) -> Duration {
        self.inner.patience
    }

    pub(crate) fn forwards(&self) -> &Forwards {
        &self.inner.forwards
    }

    /// What a name means from now on, and all that is said of it. Where the configuration is read for it more than once at a
    /// time, what was begun last counts: also for whoever began before and is done after, with a mistake too.
    pub(crate) async fn known(&self, name: &str) -> Result<(Arc<Known>, HostSetup)> {
        if let Some(known) = self.registered(&self.registry(), name) {
            return Ok(known);
        }
        if self.inner.names == Names::Registered {
            let message = format!("no host is registered as {name:?}");
            return Err(Error::new(
                ErrorKind::UnknownHost,
                message,
                "register it, or look for a mistake in its name",
            ));
        }
        let reading = self.inner.readings.begin(name);
        let read = self.inner.files.setup(name).load().await;
        let mut registry = self.registry();
        if let Some(known) = self.registered(&registry, name) {
            // While the files were read.
            return Ok(known);
        }
        if let Some(later) = reading.overtaken_by() {
            return Ok(later);
        }
        let setup = read.map_err(Error::of_session)?;
        let found = (registry.found(name, setup.clone()), setup);
        self.means(name, &found.0, &found.1);
        reading.has_found(&found);
        Ok(found)
    }

    fn registered(&self, registry: &Registry, name: &str) -> Option<(Arc<Known>, HostSetup)> {
        let known = registry.named(name)?;
        let setup = known.setup.clone();
        self.means(name, &known, &setup);
        Some((known, setup))
    }

    /// Has what the name meant before end, if that was another host. Told while nobody else has the registry: else it might be
    /// what the name means no more.
    fn means(&self, name: &str, known: &Known, setup: &HostSetup) {
        if let Some(configured) = &self.inner.configured {
            configured.means(name, known.id, setup);
        }
    }

    /// With the forwards that the configuration has for the name.
    async fn session_by_name(&self, name: &str) -> Result<(Session, Arc<Known>)> {
        let (host, setup) = self.known(name).await?;
        let session = self.session_of(Arc::clone(&host)).await?;
        if let Some(configured) = &self.inner.configured {
            configured.begin(self, name, &host, &setup).await?;
        }
        Ok((session, host))
    }

    async fn session_of(&self, host: Arc<Known>) -> Result<Session> {
        let patience = self.inner.patience;
        let line = self.inner.line.clone();
        let taken = line.acquire(&host, Lane::Bare, patience).await.map_err(Error::of_session)?;
        Ok(taken.session().with_places(Arc::new(OfHost { line, host, patience })))
    }

    fn with_forwards(&self, mut shown: Connection) -> Connection {
        if let Some(configured) = &self.inner.configured {
            shown.forwards = configured.shown(HostId(shown.id.0));
        }
        shown
    }

    fn host_of(&self, id: ConnectionId) -> Result<Arc<Known>> {
        self.registry().numbered(HostId(id.0)).ok_or_else(|| Error::unknown_connection(id))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("patience", &self.inner.patience).finish_non_exhaustive()
    }
}
