//! What a pool shows of its connections and of itself.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Names what connects a pool with one host, from the first time that somebody asks for the host until the pool's end, or
/// until its name means another host and nothing is left of it: the connection may be lost and made again, and there may be several at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// let id = pool.connect("web-1").await?;
/// assert_eq!(serde_json::to_string(&id)?, id.to_string());
/// assert_eq!(pool.list().await[0].id, id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub(crate) u64);

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How it stands with a host.
///
/// ```
/// use rustle_pool::Status;
///
/// let status = Status::Reconnecting { attempt: 2, of: 5 };
/// assert_eq!(status.to_string(), "reconnecting (2 of 5)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// There is no connection yet, and the first attempt is under way.
    Connecting,
    /// There is a connection.
    Connected,
    /// There is one, and the server answers late or not at all.
    Degraded,
    /// There was one, or the first attempt failed: this attempt is under way or comes next.
    Reconnecting {
        /// 1 is the first after a loss.
        attempt: u32,
        /// After so many those who wait are told.
        of: u32,
    },
    /// All attempts failed, or one for good. The next one who asks begins anew.
    Failed {
        /// The error's stable code, such as `SSH_AUTH_FAILED`.
        code: String,
        /// What it says.
        message: String,
    },
    /// There is none, and nobody wants one.
    Disconnected,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Connected => f.write_str("connected"),
            Self::Degraded => f.write_str("degraded"),
            Self::Reconnecting { attempt, of } => write!(f, "reconnecting ({attempt} of {of})"),
            Self::Failed { message, .. } => write!(f, "failed: {message}"),
            Self::Disconnected => f.write_str("disconnected"),
        }
    }
}

/// What there is between a pool and one host.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// # use rustle_pool::Status;
/// let id = pool.connect("web-1").await?;
/// let web = pool.show(id).await?;
/// assert_eq!((web.name.as_str(), web.user.as_str(), &web.status), ("web-1", "a", &Status::Connected));
/// assert_eq!(serde_json::to_value(&web)?["status"], "connected");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connection {
    /// What it is called in calls to the pool.
    pub id: ConnectionId,
    /// The name that it was first asked for by.
    pub name: String,
    /// The host's address or name, as it is dialed.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// What the host is called that it is reached through, whose connection carries others too.
    pub jump_host: Option<ConnectionId>,
    /// How it stands.
    #[serde(flatten)]
    pub status: Status,
    /// When the oldest of the connections that are there was made; seconds since 1970 where it is written out.
    #[serde(with = "since_1970")]
    pub established_at: Option<SystemTime>,
    /// When something was last begun or ended on any.
    #[serde(with = "since_1970")]
    pub last_used: Option<SystemTime>,
    /// Bytes sent since the first connection, encrypted and with their headers.
    pub bytes_sent: u64,
    /// The same, received.
    pub bytes_received: u64,
    /// Commands, shells and subsystems begun.
    pub commands_run: u64,
    /// Channels that are open.
    pub open_channels: usize,
    /// The forwards that the configuration has for it, as far as they were made or tried.
    #[serde(default)]
    pub forwards: Vec<ConfiguredForward>,
    /// The connections that are there, the oldest first.
    pub transports: Vec<Transport>,
}

/// A forward of a host's configuration.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port()).makes_forwards();
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null");
/// # let taken = std::net::TcpListener::bind("127.0.0.1:0")?; let port = taken.local_addr()?.port();
/// let way = way.option(format!("LocalForward=127.0.0.1:{port} db:5432")).resolve()?; // a port in use
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// let id = pool.connect("web-1").await?;
/// let forward = &pool.show(id).await?.forwards[0];
/// assert_eq!(forward.what, format!("LocalForward 127.0.0.1:{port} db:5432"));
/// assert!(!forward.is_bound && forward.error.is_some());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfiguredForward {
    /// Its keyword, where it listens and where it leads, such as `LocalForward localhost:8080 db:5432`.
    pub what: String,
    /// Whether clients are let in.
    pub is_bound: bool,
    /// The port that is listened on, where it is one.
    pub port: Option<u16>,
    /// Clients that are connected.
    pub clients: usize,
    /// What went wrong with it last.
    pub error: Option<String>,
}

/// One connection of possibly several to a host.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// for transport in &pool.show(pool.connect("web-1").await?).await?.transports {
///     println!("{} answers in {:?}", transport.server_version, transport.round_trip);
///     assert_eq!((transport.method.as_str(), transport.is_degraded), ("none", false));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transport {
    /// Another one for each that was ever made.
    pub number: u64,
    /// The methods that authenticated, joined by commas, such as `publickey`.
    pub method: String,
    /// Which key or certificate did, never a secret.
    pub method_detail: Option<String>,
    /// When it was made; seconds since 1970 where it is written out.
    #[serde(with = "since_1970")]
    pub established_at: Option<SystemTime>,
    /// The shortest time in which the server answered; seconds where it is written out.
    #[serde(with = "seconds")]
    pub round_trip: Duration,
    /// Whether the server answers late, or not at all.
    pub is_degraded: bool,
    /// Whether nothing new goes on it.
    pub is_ending: bool,
    /// Channels that are open.
    pub open_channels: usize,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// The server's identification, such as `SSH-2.0-OpenSSH_9.2p1`.
    pub server_version: String,
    /// The algorithms agreed on.
    pub algorithms: Option<Algorithms>,
}

/// The algorithms of one connection, by their names on the wire (RFC 4253).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// pool.connect("web-1").await?;
/// let all = pool.list().await;
/// let mut transports = all.iter().flat_map(|host| &host.transports);
/// assert!(transports.all(|one| one.algorithms.as_ref().is_some_and(|names| names.strict_kex)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Algorithms {
    /// The key exchange method.
    pub kex: String,
    /// The host key algorithm.
    pub host_key: String,
    /// The cipher.
    pub cipher: String,
    /// The MAC, where the cipher has none of its own.
    pub mac: Option<String>,
    /// The compression.
    pub compression: String,
    /// Whether the handshake cannot be tampered with (`kex-strict-c-v00@openssh.com`).
    pub strict_kex: bool,
}

/// What a pool has done, and is doing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> rustle_pool::Result<()> {
/// let pool = rustle_pool::Pool::builder().build()?;
/// let stats = pool.stats().await;
/// assert_eq!((stats.connections, stats.waiting), (0, 0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are there.
    pub connections: usize,
    /// Logins under way.
    pub connecting: usize,
    /// Channels that are open.
    pub channels: usize,
    /// Those who wait for a place.
    pub waiting: usize,
    /// The same and more of each host that anybody ever asked for.
    pub hosts: Vec<HostStats>,
}

/// What a pool has done for one host.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// pool.get("web-1").await?.output("true").await?;
/// let web = &pool.stats().await.hosts[0];
/// assert_eq!((web.name.as_str(), web.connections, web.places.connected, web.losses), ("web-1", 1, 1, 0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostStats {
    /// What it is called in calls to the pool.
    pub id: ConnectionId,
    /// The name that it was first asked for by.
    pub name: String,
    /// Connections that are there.
    pub connections: usize,
    /// Logins under way.
    pub connecting: usize,
    /// Channels that are open.
    pub channels: usize,
    /// Those who wait for a place.
    pub waiting: usize,
    /// How those who asked came by their places.
    pub places: Places,
    /// How long they waited.
    pub queue: Times,
    /// What logins took.
    pub logins: Logins,
    /// The shortest round trip of any connection that is there; seconds where it is written out.
    #[serde(with = "maybe_seconds")]
    pub round_trip: Option<Duration>,
    /// Bytes sent since the first connection.
    pub bytes_sent: u64,
    /// The same, received.
    pub bytes_received: u64,
    /// Channels that the server refused for want of a place.
    pub refusals: u64,
    /// Connections that were lost, and not closed by the pool.
    pub losses: u64,
    /// How often a server answered late.
    pub late_answers: u64,
    /// What readers that did not keep up have cost.
    pub stalls: Stalls,
}

/// What readers that did not take what came for them have cost.
///
/// ```
/// let stalls = rustle_pool::Stalls::default();
/// assert_eq!(stalls.spills + stalls.pauses + stalls.overruns, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stalls {
    /// How often a channel's unread output began to go to disk.
    pub spills: u64,
    /// How often a connection stood still for a reader, with all that is on it.
    pub pauses: u64,
    /// For how long in all; seconds where it is written out.
    #[serde(with = "seconds")]
    pub paused: Duration,
    /// Channels that were ended because they were not read.
    pub overruns: u64,
}

impl Stalls {
    pub(crate) fn add(&mut self, more: &rustle_session::Stalls) {
        self.spills += more.spills;
        self.pauses += more.pauses;
        self.paused = self.paused.saturating_add(more.paused);
        self.overruns += more.overruns;
    }
}

/// How places were come by.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// pool.get("web-1").await?.output("true").await?;
/// let places = pool.stats().await.hosts[0].places;
/// assert_eq!((places.connected, places.shared, places.queued), (1, 1, 0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Places {
    /// There was room at once.
    pub shared: u64,
    /// They waited for room on a connection that was there.
    pub queued: u64,
    /// They waited for a connection to be made.
    pub connected: u64,
    /// They are beside others that they should be kept from, since there can be no other connection.
    pub folded: u64,
    /// A session was there already, opened ahead.
    pub warm: u64,
}

/// What logins took, by their steps.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup};
/// # let closed = tokio::net::TcpSocket::new_v4()?; closed.bind("127.0.0.1:0".parse()?)?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
/// # let way = way.port(closed.local_addr()?.port()).resolve()?;
/// # let pool = Pool::builder().attempts(1).build()?; pool.register("web-1", way);
/// let _refused = pool.connect("web-1").await; // nothing listens there
/// let logins = pool.stats().await.hosts[0].logins;
/// assert_eq!((logins.failed, logins.retries, logins.succeeded.mean()), (1, 0, None));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Logins {
    /// Those that succeeded, from the beginning to the end.
    pub succeeded: Times,
    /// Those that failed.
    pub failed: u64,
    /// Those that were begun because one before had failed.
    pub retries: u64,
    /// Looking up the name.
    pub resolve: Times,
    /// Connecting.
    pub connect: Times,
    /// Key exchange and the check of the host key.
    pub handshake: Times,
    /// Authentication, a person's time included.
    pub authentication: Times,
}

/// A number of durations; seconds where they are written out.
///
/// ```
/// use std::time::Duration;
///
/// let mut times = rustle_pool::Times::default();
/// times.add(Duration::from_millis(10));
/// times.add(Duration::from_millis(30));
/// assert_eq!(times.mean(), Some(Duration::from_millis(20)));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Their sum.
    #[serde(with = "seconds")]
    pub total: Duration,
    /// The longest.
    #[serde(with = "seconds")]
    pub longest: Duration,
}

impl Times {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.count += 1;
        self.total = self.total.saturating_add(time);
        self.longest = self.longest.max(time);
    }

    /// The mean; `None` of none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        // A mean of nanoseconds has room for all that a duration can be.
        let mean = self.total.as_nanos().checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }
}

/// Seconds since 1970, to the millisecond.
mod since_1970 {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.map(|since| since.as_millis() as f64 / 1000.0).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        let since = seconds.map(Duration::try_from_secs_f64).transpose().map_err(serde::de::Error::custom)?;
        Ok(since.and_then(|since| UNIX_EPOCH.checked_add(since)))
    }
}

/// Seconds, with what is less after the point.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// The same of what may not be known.
mod maybe_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        seconds.map(Duration::try_from_secs_f64).transpose().map_err(serde::de::Error::custom)
    }
}
