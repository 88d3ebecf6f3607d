//! Forwards as wanted states: a port or socket here that leads to where a server can reach, whatever becomes of the
//! connections to it; and the other way round.
//!
//! Clients come from what listens here (`bind.rs`), and each is led to its channel (`client.rs`), which the pool's connections
//! carry. Those of the other direction come from what the server listens on for as long as there is a connection (`remote.rs`),
//! and are led to where this machine can reach.

mod bind;
mod carry;
mod client;
mod configured;
mod driver;
mod handle;
mod near;
mod remote;
#[cfg(unix)]
mod socket_file;
mod socks;
mod stats;
mod target;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::HostForward;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::forward::client::Job;
use crate::forward::remote::Wish;
use crate::forward::stats::Counters;
use crate::pool::Pool;
use crate::registry::Known;

pub use bind::ForwardBind;
pub(crate) use configured::Configured;
pub(crate) use driver::Forwards;
pub use handle::ForwardHandle;
pub use stats::ForwardStats;
pub use target::ForwardTarget;

/// A forward that is wanted: [`Pool::forward`] makes it so.
///
/// What is forwarded goes from the task of the connection to that of the client. On a current-thread runtime neither wakes
/// another thread for it: a program that does nothing else is faster there, by 4 and by 15 % of the time of a GiB in two
/// measurements on two cores (docs/benchmarks.md).
///
/// ```
/// use std::time::Duration;
///
/// use rustle_pool::{Forward, ForwardBind, ForwardTarget};
///
/// // As ssh -L 5432:db.internal:5432
/// let database = Forward::local(ForwardBind::loopback(5432), ("db.internal", 5432));
/// // As ssh -L /tmp/docker.sock:/run/docker.sock
/// let docker = Forward::local(ForwardBind::unix("/tmp/docker.sock"), ForwardTarget::socket("/run/docker.sock"));
/// // As ssh -D 1080
/// let proxy = Forward::dynamic(ForwardBind::loopback(1080)).park(Duration::from_secs(10)).max_clients(100);
/// // As ssh -R 8080:localhost:3000
/// let preview = Forward::remote(ForwardBind::loopback(8080), ("localhost", 3000));
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing listens before it is given to a pool"]
pub struct Forward {
    bind: ForwardBind,
    side: Side,
    way: Way,
    /// What says where clients may be led to who say themselves where they want to go.
    permits: Option<Arc<HostForward>>,
    limits: Limits,
}

/// Where clients come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Here,
    AtServer,
}

/// Where clients are led to.
#[derive(Debug, Clone)]
enum Way {
    To(ForwardTarget),
    /// To where each asks to be, by SOCKS.
    Asked,
}

#[derive(Debug, Clone)]
struct Limits {
    clients: usize,
    parked: usize,
    park: Duration,
    handshake: Duration,
    grace: Duration,
}

/// A connection that is gone without a word is known to be gone within 60 s of a client's coming: after 30 s for the channel that is
/// not opened, and 30 s for the sign of life that does not come. 30 s more are left for another connection and the channel over it.
const PARK: Duration = Duration::from_secs(90);

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 512,
            parked: 128,
            park: PARK,
            handshake: Duration::from_secs(10),
            grace: Duration::from_secs(3),
        }
    }
}

/// The time after so long; whoever wants to wait for ever does so for longer than a machine lives.
fn after(time: Duration) -> Instant {
    const EVER: Duration = Duration::from_secs(30 * 365 * 86_400);

    let now = Instant::now();
    now.checked_add(time.min(EVER)).unwrap_or(now)
}

impl Forward {
    /// Whoever connects here is connected to `target` by the server.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{Target, TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins();
    /// # let server = server.forward_target("db.internal", Some(5432), Target::reply("ready")).start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let forward = Forward::local(ForwardBind::loopback(0), ("db.internal", 5432));
    /// let database = pool.forward("web-1", forward).await?;
    /// let mut said = String::new();
    /// TcpStream::connect(database.addresses()[0]).await?.read_to_string(&mut said).await?;
    /// assert_eq!(said, "ready");
    /// # Ok(()) }
    /// ```
    pub fn local(bind: impl Into<ForwardBind>, target: impl Into<ForwardTarget>) -> Self {
        Self::new(bind.into(), Side::Here, Way::To(target.into()))
    }

    /// Whoever connects at the server is connected to `target`, which this machine can reach.
    ///
    /// The address says which addresses of the server are meant: `localhost` those that it alone reaches, `*` all of them, and
    /// another itself. OpenSSH's server does as it is told with `GatewayPorts clientspecified` alone; without it, it listens on
    /// its loopback addresses whatever is asked. With port 0 the server chooses one, which [`ForwardHandle::port`] tells; after
    /// its connection was lost it is asked for the same one. Not every server listens on Unix sockets.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins();
    /// # let server = server.tcpip_forward_scripted().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// # let here = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let local_port = here.local_addr()?.port();
    /// let forward = Forward::remote(ForwardBind::loopback(8080), ("127.0.0.1", local_port));
    /// let preview = pool.forward("web-1", forward).await?;
    /// preview.bound().await?;
    /// # let mut visitor = server.connect_to_forward(8080).await?;
    /// // Whoever comes to the server's port 8080 is connected to the one here.
    /// # let mut said = [0; 2];
    /// # here.accept().await?.0.write_all(b"hi").await?;
    /// # visitor.read_exact(&mut said).await?;
    /// # assert_eq!(&said, b"hi");
    /// # Ok(()) }
    /// ```
    pub fn remote(bind: impl Into<ForwardBind>, target: impl Into<ForwardTarget>) -> Self {
        Self::new(bind.into(), Side::AtServer, Way::To(target.into()))
    }

    /// A proxy of SOCKS 4, 4a and 5 at the server: whoever connects there says where this machine is to connect to, as `ssh -R`
    /// with a port alone. It is asked for as [`remote`](Self::remote) is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins();
    /// # let server = server.tcpip_forward_scripted().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let proxy = pool.forward("web-1", Forward::remote_dynamic(ForwardBind::loopback(1080))).await?;
    /// proxy.bound().await?;
    /// # let mut client = server.connect_to_forward(1080).await?;
    /// client.write_all(&[5, 1, 0]).await?; // a program there that speaks SOCKS 5
    /// let mut answer = [0; 2];
    /// client.read_exact(&mut answer).await?;
    /// assert_eq!(answer, [5, 0]); // it may say where it wants to go
    /// # Ok(()) }
    /// ```
    pub fn remote_dynamic(bind: impl Into<ForwardBind>) -> Self {
        Self::new(bind.into(), Side::AtServer, Way::Asked)
    }

    fn new(bind: ForwardBind, side: Side, way: Way) -> Self {
        Self { bind, side, way, permits: None, limits: Limits::default() }
    }

    fn permitted_by(mut self, forward: HostForward) -> Self {
        self.permits = Some(Arc::new(forward));
        self
    }

    /// A proxy of SOCKS 4, 4a and 5: whoever connects here says where the server is to connect to. Names are resolved by
    /// the server. There is no authentication, and no command but CONNECT.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{Target, TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins();
    /// # let server = server.forward_target("echo", None, Target::echo()).start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let proxy = pool.forward("web-1", Forward::dynamic(ForwardBind::loopback(0))).await?;
    /// let mut client = TcpStream::connect(proxy.addresses()[0]).await?;
    /// client.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x04echo\x00\x50").await?; // to echo:80, by SOCKS 5
    /// let mut answers = [0; 12];
    /// client.read_exact(&mut answers).await?;
    /// assert_eq!(answers[..4], [5, 0, 5, 0]); // it is connected
    /// # Ok(()) }
    /// ```
    pub fn dynamic(bind: impl Into<ForwardBind>) -> Self {
        Self::new(bind.into(), Side::Here, Way::Asked)
    }

    /// How long a client may wait for a connection and a channel, or for its target here, before it is hung up on; 90 s unless set,
    /// in which a server's restart is over, and after which most programs have given up by themselves.
    ///
    /// A connection over which no channel is opened in time (30 s) is asked for a sign of life. Where it gives none within 30 s
    /// more it is ended, and the client waits for another, for which the last 30 s are: a client that is allowed 60 s or less does
    /// not outlast a connection which is gone without a word. Where it gives one it is the target that does not answer, and the
    /// client is hung up on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # use std::time::Duration;
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let forward = Forward::local(ForwardBind::loopback(0), ("localhost", 80)).park(Duration::from_millis(10));
    /// let web = pool.forward("web-1", forward).await?; // whose server says nothing
    /// let mut client = TcpStream::connect(web.addresses()[0]).await?;
    /// let mut byte = [0];
    /// let hung_up = tokio::time::timeout(Duration::from_secs(5), client.read(&mut byte)).await;
    /// assert!(hung_up.is_ok());
    /// # Ok(()) }
    /// ```
    pub fn park(mut self, time: Duration) -> Self {
        self.limits.park = time;
        self
    }

    /// How many clients may wait for that at once; 128 unless set: the pages of one browser, and few enough not to be a
    /// burst of channels that a server that comes back would refuse. Others wait in the system's queue until there is
    /// room.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use rustle_pool::{ErrorKind, Forward, ForwardBind};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let web = Forward::local(ForwardBind::loopback(0), ("localhost", 80));
    /// let few = pool.forward("web-1", web.clone().max_parked(1)).await?;
    /// let none = pool.forward("web-1", web.max_parked(0)).await;
    /// assert_eq!(none.unwrap_err().to_string(), "a forward would have no clients that wait at all");
    /// # Ok(()) }
    /// ```
    pub fn max_parked(mut self, most: usize) -> Self {
        self.limits.parked = most;
        self
    }

    /// How many clients there may be at once, those that wait and those that are connected; 512 unless set. Each takes a file
    /// of this process, which often may have 1024, and 32 KiB of memory; one that does not read what comes for it up to 160 KiB
    /// more, beside what its channel holds ([`BufferLimits`](rustle_session::BufferLimits)). Others wait in the system's queue
    /// until there is room.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use rustle_pool::{ErrorKind, Forward, ForwardBind};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let web = Forward::local(ForwardBind::loopback(0), ("localhost", 80)).max_clients(0);
    /// assert_eq!(pool.forward("web-1", web).await.unwrap_err().kind(), ErrorKind::Configuration);
    /// # Ok(()) }
    /// ```
    pub fn max_clients(mut self, most: usize) -> Self {
        self.limits.clients = most;
        self
    }

    /// How long a client of a [dynamic](Self::dynamic) forward may take to say where it wants to go; 10 s unless set: a
    /// program says so in two messages without a person's doing, from the same machine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # use std::time::Duration;
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let forward = Forward::dynamic(ForwardBind::loopback(0)).handshake(Duration::from_millis(10));
    /// let proxy = pool.forward("web-1", forward).await?;
    /// let mut client = TcpStream::connect(proxy.addresses()[0]).await?; // says nothing
    /// let mut byte = [0];
    /// let hung_up = tokio::time::timeout(Duration::from_secs(5), client.read(&mut byte)).await;
    /// assert!(hung_up.is_ok());
    /// # Ok(()) }
    /// ```
    pub fn handshake(mut self, time: Duration) -> Self {
        self.limits.handshake = time;
        self
    }

    /// How long those who are connected have to end by themselves when the forward is closed or dropped, and a server to answer
    /// what it was asked before; 3 s unless set, as long as a pool that is dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{Target, TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins();
    /// # let server = server.forward_target("echo", None, Target::echo()).start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use rustle_pool::{Forward, ForwardBind};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// # use std::time::Duration;
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let forward = Forward::local(ForwardBind::loopback(0), ("echo", 7)).grace(Duration::ZERO);
    /// let echo = pool.forward("web-1", forward).await?;
    /// let mut client = TcpStream::connect(echo.addresses()[0]).await?;
    /// client.write_all(b"x").await?;
    /// assert_eq!(client.read_u8().await?, b'x'); // it is connected, and stays
    /// tokio::time::timeout(Duration::from_secs(2), echo.close()).await?;
    /// # Ok(()) }
    /// ```
    pub fn grace(mut self, time: Duration) -> Self {
        self.limits.grace = time;
        self
    }

    fn check(&self) -> Result<()> {
        if self.side == Side::AtServer {
            self.bind.check_for_server()?;
        }
        let limits = [("clients", self.limits.clients), ("clients that wait", self.limits.parked)];
        match limits.into_iter().find(|(_, most)| *most == 0) {
            Some((name, _)) => Err(Error::new(
                ErrorKind::Configuration,
                format!("a forward would have no {name} at all"),
                "allow at least one",
            )),
            None => Ok(()),
        }
    }
}

impl Pool {
    /// Makes a forward to a host that is registered under this name, or that ssh would reach under it. It listens from now on
    /// until its handle is closed or dropped, or the pool is [shut down](Self::shutdown). Nothing is connected before the first
    /// client comes; when the connection is lost, that of the next client is another.
    ///
    /// Where it is the server that listens ([`Forward::remote`]), there is a connection from now on: it is made again when it is
    /// lost, and the server is asked again, at once or after a wait that doubles from 250 ms to 30 s where it refused, where it did
    /// not answer in time (30 s; a connection that gives no sign of life within 30 s more is ended) or where the connection did
    /// not last for 10 s. After a login that was refused for good nothing is tried any more.
    /// [`ForwardHandle::bound`] tells when the server listens, or why it does not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rustle_pool::{Forward, ForwardBind, Pool};
    /// use rustle_session::HostSetup;
    /// use tokio::net::TcpStream;
    ///
    /// let pool = Pool::builder().only_registered().build()?;
    /// pool.register("web-1", HostSetup::builder("deploy@web-1").without_config_files().resolve()?);
    /// let proxy = pool.forward("web-1", Forward::dynamic(ForwardBind::loopback(0))).await?;
    /// println!("socks5h://{:?}", proxy.addresses());
    /// assert!(TcpStream::connect(proxy.addresses()[0]).await.is_ok());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Listen`] where it cannot be listened, [`ErrorKind::UnknownHost`], [`ErrorKind::ShutDown`],
    /// [`ErrorKind::Configuration`] for a limit of zero, [`ErrorKind::Session`] for a configuration that cannot be read.
    ///
    /// # Cancel safety
    /// Dropped, nothing is listened on.
    pub async fn forward(&self, host_name: &str, forward: Forward) -> Result<ForwardHandle> {
        forward.check()?;
        let host = self.known(host_name).await?.0;
        self.forward_to(host, forward).await
    }

    async fn forward_to(&self, host: Arc<Known>, forward: Forward) -> Result<ForwardHandle> {
        let listeners = match forward.side {
            Side::Here => Some(forward.bind.listen().await?),
            Side::AtServer => None,
        };
        if self.forwards().is_ending() {
            return Err(Error::shut_down());
        }
        let counters = Arc::<Counters>::default();
        let closing = CancellationToken::new();
        tracing::debug!(host = host.name, bind = %forward.bind, "forwarding");
        let job = Job {
            line: self.line().clone(),
            host,
            patience: self.patience(),
            way: forward.way,
            permits: forward.permits,
            limits: forward.limits,
            counters: Arc::clone(&counters),
            closing: closing.clone(),
            cut: CancellationToken::new(),
        };
        let closing = closing.drop_guard();
        Ok(match listeners {
            Some(listeners) => {
                let bound = (listeners.addresses(), listeners.path().map(Path::to_owned));
                ForwardHandle::here(bound, counters, closing, self.forwards().start(listeners, job))
            }
            None => {
                let (wish, standing) = Wish::new(forward.bind);
                ForwardHandle::at_server(
                    standing,
                    counters,
                    closing,
                    self.forwards().start_at_server(wish, job),
                )
            }
        })
    }
}
