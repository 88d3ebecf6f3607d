//! What a pool stays within, and how its hosts are reached.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use rustle_session::{HostSetup, HostSetupBuilder};
use tokio::sync::broadcast;

use crate::driver;
use crate::error::{Error, ErrorKind, Result};
use crate::events;
use crate::forward::Configured;
use crate::policy::event::Logins;
use crate::policy::limits::Limits;
use crate::pool::Pool;

/// Builds a [`Pool`].
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
/// let pool = Pool::builder()
///     .max_connections(200)
///     .max_connections_per_host(4)
///     .persist(Duration::from_secs(60))
///     .patience(Duration::from_secs(10))
///     .only_registered()
///     .build()?;
/// # pool.register("web-1", way);
/// assert!(pool.get("web-1").await?.output("true").await?.status.success());
/// assert_eq!(pool.get("wev-1").await.unwrap_err().kind(), ErrorKind::UnknownHost);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing begins until it is built"]
pub struct PoolBuilder {
    limits: Limits,
    care: Care,
    patience: Duration,
    names: Names,
    files: ConfigFiles,
    configured: ConfiguredForwards,
}

/// Longer than any program runs, and short enough to be added to a time.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// How connections that are there are looked after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Care {
    /// Each is looked at once in so long.
    pub(crate) probe_every: Duration,
    /// One that is older is replaced.
    pub(crate) max_age: Option<Duration>,
    /// How often one may log in, as far as that is known beforehand.
    pub(crate) logins: Logins,
}

/// What falls silent is late within 65 s and gone within 90, and a thousand idle connections cost thirty packets a second.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// Which names a pool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those that are registered, and whatever ssh would take.
    Any,
    /// Those that are registered.
    Registered,
}

/// Which files say what a name means that nobody registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigFiles {
    /// The user's and the system's.
    Usual,
    This(PathBuf),
    None,
}

impl ConfigFiles {
    /// What a name means by them.
    pub(crate) fn setup(&self, name: &str) -> HostSetupBuilder {
        let builder = HostSetup::builder(name).makes_forwards();
        match self {
            Self::Usual => builder,
            Self::This(path) => builder.config_file(path),
            Self::None => builder.without_config_files(),
        }
    }
}

/// Whether the forwards of the configuration are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConfiguredForwards {
    Made,
    LeftOut,
}

/// How long a caller may wait for a place: longer than a login takes in which a person is asked.
const PATIENCE: Duration = Duration::from_secs(180);

impl PoolBuilder {
    pub(crate) fn new() -> Self {
        let care = Care { probe_every: PROBE_EVERY, max_age: None, logins: Logins::Unknown };
        Self {
            limits: Limits::default(),
            care,
            patience: PATIENCE,
            names: Names::Any,
            files: ConfigFiles::Usual,
            configured: ConfiguredForwards::Made,
        }
    }

    /// Connections in all, those that are being made and closed and those to jump hosts counted; 1024 unless set. Each takes a socket: a process
    /// that may have fewer files open (`RLIMIT_NOFILE`) finds that out by itself, and makes do with what it has.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use futures_util::{FutureExt, StreamExt};
    /// let pool = Pool::builder().max_connections(1).build()?;
    /// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
    /// let mut connecting = pool.connect_all(["web-1", "web-2"]);
    /// assert!(connecting.next().now_or_never().is_none()); // both are asked for
    /// assert_eq!(pool.stats().await.connecting, 1);
    /// # Ok(()) }
    /// ```
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.connections = most;
        self
    }

    /// Connections to one host; 10 unless set. Where there may be several, the last is kept for commands whose output is
    /// collected; each of up to nine flows that may stall has a connection for itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// let pool = Pool::builder().max_connections_per_host(2).build()?;
    /// # pool.register("web-1", way);
    /// let web = pool.get("web-1").await?;
    /// let (_one, _two) = (web.line("sleep 60").spawn().await?, web.line("sleep 60").spawn().await?);
    /// assert!(web.output("true").await?.status.success()); // the third is not beside what may stall
    /// assert_eq!(pool.stats().await.connections, 2);
    /// # Ok(()) }
    /// ```
    pub fn max_connections_per_host(mut self, most: usize) -> Self {
        self.limits.connections_per_host = most;
        self
    }

    /// Logs in to each host once at a time, whatever is wanted of it: for servers that allow one connection, and for logins
    /// that are worth more than what follows. A host for which somebody was asked (a password, a one-time code, a key to be
    /// touched) is treated so from then on in any case.
    ///
    /// What may stall has no connection of its own then: [`Places::folded`](crate::Places::folded) counts it. What is kept of
    /// each channel's output protects the others ([`BufferLimits`](rustle_session::BufferLimits), set by
    /// [`HostSetupBuilder::buffers`](rustle_session::HostSetupBuilder::buffers)). A reader that stalls costs them
    /// nothing but the writing to disk as long as there is room for what it does not read: 8 MiB in memory and then 2 GiB for
    /// each stream in a temporary file, unless set. Then nothing moves on the connection, for 5 s at most in all until
    /// that reader has caught up. Then the stalled one ends, with
    /// [`ErrorKind::Overrun`](rustle_session::ErrorKind::Overrun) and an error that names its channel, and the others go on;
    /// nothing of theirs is lost. Without this each of up to nine such readers has a connection for itself, where the
    /// pauses concern nobody else.
    ///
    /// A connection that is lost is made again when somebody asks for the host, and not before. What waits for one of the
    /// places on it ([`max_channels`](Self::max_channels)) is served in turn.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// let pool = Pool::builder().one_login().build()?;
    /// # pool.register("web-1", way);
    /// let web = pool.get("web-1").await?;
    /// let (_one, _two) = (web.line("sleep 60").spawn().await?, web.line("sleep 60").spawn().await?);
    /// assert!(web.output("true").await?.status.success());
    /// assert_eq!(pool.stats().await.hosts[0].logins.succeeded.count, 1);
    /// # Ok(()) }
    /// ```
    pub fn one_login(mut self) -> Self {
        self.care.logins = Logins::One;
        self
    }

    /// Logins under way in all; 64 unless set. To one host there are 8 at most, because OpenSSH refuses some from the tenth
    /// on (`MaxStartups`), and fewer after a refusal.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use futures_util::{FutureExt, StreamExt};
    /// let pool = Pool::builder().max_dials(2).build()?;
    /// # ["web-1", "web-2", "web-3"].map(|name| pool.register(name, way.clone()));
    /// let mut connecting = pool.connect_all(["web-1", "web-2", "web-3"]);
    /// assert!(connecting.next().now_or_never().is_none()); // all are asked for
    /// assert_eq!(pool.stats().await.connecting, 2);
    /// # Ok(()) }
    /// ```
    pub fn max_dials(mut self, most: usize) -> Self {
        self.limits.dials = most;
        self
    }

    /// Commands and other sessions at once on one connection, as long as its server has refused none; 10 unless set, which is
    /// OpenSSH's `MaxSessions`. A server's own limit is learned from its refusals.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// let pool = Pool::builder().max_channels(1).one_login().build()?;
    /// # pool.register("web-1", way);
    /// let web = pool.get("web-1").await?;
    /// let (one, other) = tokio::join!(web.output("true"), web.output("true"));
    /// assert!(one?.status.success() && other?.status.success());
    /// assert_eq!(pool.stats().await.hosts[0].places.queued, 1); // one after the other
    /// # Ok(()) }
    /// ```
    pub fn max_channels(mut self, most: usize) -> Self {
        self.limits.channels = most;
        self
    }

    /// How long a connection that nobody uses is kept; 10 minutes unless set. It is closed before that when another host lacks
    /// its place, among all connections or on the way through a jump host. For a host whose configuration has a
    /// `ControlMaster` and a `ControlPersist` of a time, or of `yes`, that counts instead.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use std::time::Duration;
    /// let pool = Pool::builder().persist(Duration::ZERO).build()?;
    /// # pool.register("web-1", way);
    /// pool.connect("web-1").await?; // and nobody uses it: it is closed
    /// # server.wait_until(|record| record.connections_open() == 0, Duration::from_secs(20)).await?;
    /// # assert_eq!(server.record().connections_accepted(), 1);
    /// # Ok(()) }
    /// ```
    pub fn persist(mut self, time: Duration) -> Self {
        self.limits.persist = time.min(FOR_EVER);
        self
    }

    /// How long a caller may wait for a place on a connection, its login included; 3 minutes unless set, in which a person
    /// who is asked has answered (120 s).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use {rustle_pool::ErrorKind, std::time::Duration};
    /// let pool = Pool::builder().patience(Duration::from_millis(10)).build()?;
    /// # pool.register("web-1", way);
    /// let error = pool.get("web-1").await.unwrap_err(); // its server says nothing
    /// assert_eq!(error.kind(), ErrorKind::Session(rustle_session::ErrorKind::NoPlace));
    /// # Ok(()) }
    /// ```
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time.min(FOR_EVER);
        self
    }

    /// Attempts to log in before those who wait are told; 5 unless set. After a refusal (credentials, host key) there is no
    /// other, but for a jump host where those behind it have a connection and lack another: then ever later ones.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let closed = tokio::net::TcpSocket::new_v4()?; closed.bind("127.0.0.1:0".parse()?)?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(closed.local_addr()?.port()).resolve()?;
    /// let pool = Pool::builder().attempts(1).build()?;
    /// # pool.register("web-1", way);
    /// assert!(pool.get("web-1").await.is_err()); // nothing listens there
    /// assert_eq!(pool.stats().await.hosts[0].logins.failed, 1);
    /// # Ok(()) }
    /// ```
    pub fn attempts(mut self, most: u32) -> Self {
        self.limits.attempts = most;
        self
    }

    /// Opens a session ahead on each connection that short work goes over, so that a command starts in one round trip and
    /// not in two. It takes one of the server's places there (`MaxSessions`); not done unless set.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// let pool = Pool::builder().warm().build()?;
    /// # pool.register("web-1", way);
    /// pool.connect("web-1").await?; // a session is open soon, and no command runs
    /// # server.wait_until(|record| record.channels_open() == 1, std::time::Duration::from_secs(20)).await?;
    /// # assert!(server.record().commands().is_empty());
    /// # Ok(()) }
    /// ```
    pub fn warm(mut self) -> Self {
        self.limits.warm = true;
        self
    }

    /// How often a connection is looked at: one from which nothing has come since is asked for a sign of life
    /// (`keepalive@openssh.com`, which starts nothing at the server); 30 s unless set, 1 s at least. A server that takes
    /// longer than 5 s to answer is late, and gone after 25 s more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use std::time::Duration;
    /// let pool = Pool::builder().probe_every(Duration::from_secs(1)).build()?;
    /// # pool.register("web-1", way);
    /// pool.connect("web-1").await?; // a second later its server is asked
    /// # let before = server.record().bytes_in();
    /// # server.wait_until(|record| record.bytes_in() > before, Duration::from_secs(20)).await?;
    /// # Ok(()) }
    /// ```
    pub fn probe_every(mut self, time: Duration) -> Self {
        self.care.probe_every = time.clamp(Duration::from_secs(1), FOR_EVER);
        self
    }

    /// Connections older than this take nothing new, and end when nothing is on them; not set, they may be of any age. The
    /// same is done with one whose keys are to be renewed soon, for which it would stand still.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use std::time::Duration;
    /// let pool = Pool::builder().max_age(Duration::ZERO).probe_every(Duration::from_secs(1)).build()?;
    /// # pool.register("web-1", way);
    /// pool.connect("web-1").await?; // it ends when it is looked at next
    /// # server.wait_until(|record| record.connections_open() == 0, Duration::from_secs(20)).await?;
    /// # assert_eq!(server.record().connections_accepted(), 1);
    /// # Ok(()) }
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.care.max_age = Some(age.min(FOR_EVER));
        self
    }

    /// Takes only names that were [registered](Pool::register). Any other that ssh would take is taken unless this is set.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::{ErrorKind, Pool}, rustle_session::HostSetup};
    /// let pool = Pool::builder().only_registered().build()?;
    /// assert_eq!(pool.get("localhost").await.unwrap_err().kind(), ErrorKind::UnknownHost);
    /// # Ok(()) }
    /// ```
    pub fn only_registered(mut self) -> Self {
        self.names = Names::Registered;
        self
    }

    /// Reads this configuration file and no other for names that nobody registered, as ssh's `-F`. Without it the usual ones are
    /// read, the user's (`~/.ssh/config`) and the system's. It has to be there whenever such a name is asked for: it is read
    /// each time, so that a name means what the file says then. What is [registered](Pool::register) was resolved before, by the
    /// files of its own [`HostSetupBuilder`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> rustle_pool::Result<()> {
    /// use rustle_pool::{ErrorKind, Pool};
    /// use rustle_session::ErrorKind as SessionErrorKind;
    ///
    /// let pool = Pool::builder().config_file("deploy/no_such_file").build()?;
    /// let error = pool.get("web-1").await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::Configuration));
    /// # Ok(()) }
    /// ```
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files = ConfigFiles::This(path.into());
        self
    }

    /// Reads no configuration file for names that nobody registered: each is `host`, `user@host` or `ssh://user@host:port`, and
    /// all else is ssh's default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rustle_pool::Pool;
    ///
    /// # let closed = tokio::net::TcpSocket::new_v4()?; closed.bind("127.0.0.1:0".parse()?)?;
    /// # let port = closed.local_addr()?.port();
    /// let pool = Pool::builder().config_file("no_such_file").without_config_files().attempts(1).build()?;
    /// let _refused = pool.get(&format!("ssh://deploy@127.0.0.1:{port}")).await;
    /// let asked_for = &pool.list().await[0];
    /// assert_eq!((asked_for.user.as_str(), asked_for.port), ("deploy", port));
    /// # Ok(()) }
    /// ```
    pub fn without_config_files(mut self) -> Self {
        self.files = ConfigFiles::None;
        self
    }

    /// Makes no forwards of the configuration (`LocalForward`, `RemoteForward`, `DynamicForward`): for a program that runs beside
    /// an `ssh` which has their ports already, or that has nothing to do with them. Without it they begin with the first
    /// connection that is asked for by a name, as with ssh.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port()).makes_forwards();
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null");
    /// let way = way.option("RemoteForward=8080 localhost:3000").resolve()?;
    /// let pool = Pool::builder().without_configured_forwards().build()?;
    /// pool.register("web-1", way);
    /// let id = pool.connect("web-1").await?;
    /// assert!(pool.show(id).await?.forwards.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn without_configured_forwards(mut self) -> Self {
        self.configured = ConfiguredForwards::LeftOut;
        self
    }

    /// Begins: nothing is connected before somebody asks.
    ///
    /// ```
    /// use rustle_pool::{ErrorKind, Pool};
    ///
    /// let error = Pool::builder().max_channels(0).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Configuration);
    /// assert_eq!(error.to_string(), "no channels on a connection at all are allowed");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a limit of zero.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn build(self) -> Result<Pool> {
        let limits = [
            ("connections", self.limits.connections),
            ("connections to a host", self.limits.connections_per_host),
            ("logins", self.limits.dials),
            ("channels on a connection", self.limits.channels),
            ("attempts", self.limits.attempts as usize),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, most)| NonZeroUsize::new(*most).is_none()) {
            let message = format!("no {name} at all are allowed");
            return Err(Error::new(ErrorKind::Configuration, message, "allow at least one"));
        }
        let (changes, _nobody_yet) = broadcast::channel(events::KEPT);
        let line = driver::start(self.limits, self.care, changes.clone());
        let configured = (self.configured == ConfiguredForwards::Made).then(Configured::default);
        Ok(Pool::new(line, changes.downgrade(), self.patience, self.names, self.files, configured))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_files_that_were_given() {
        let files = |builder: PoolBuilder| format!("{:?}", builder.files.setup("web"));
        assert!(files(PoolBuilder::new()).contains("files: Usual"), "{}", files(PoolBuilder::new()));
        let given = files(PoolBuilder::new().config_file("deploy/ssh_config"));
        assert!(given.contains(r#"files: These(["deploy/ssh_config"])"#), "{given}");
        let none = files(PoolBuilder::new().config_file("deploy/ssh_config").without_config_files());
        assert!(none.contains("files: These([])"), "{none}");
    }
}
