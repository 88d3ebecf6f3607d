//! A peer that is no SSH server: it says what it was told to, byte by byte, before any key exchange.

mod channels;
mod conversation;
mod driver;
mod faults;
mod line;
mod login;
pub mod message;
mod peer;
mod speaker;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    duplex::Duplex,
    error::{Error, ErrorKind},
    listener::PortListener,
};

pub use faults::{Damage, RequestAnswer};
pub(crate) use faults::{Point, Wrong};
pub(crate) use line::{Order, RawLine};
pub use peer::{RawPeer, RawSession};
pub(crate) use speaker::speak;
pub(crate) use transport::{Broken, CIPHERS, MACS, Offer};

/// What a [`RawServer`] does on each connection, step by step. At the end of the script it closes.
///
/// ```
/// use std::time::Duration;
/// use rustle_testserver::RawScript;
///
/// let old = RawScript::new().send("SSH-1.5-Cisco-1.25\r\n").wait(Duration::from_millis(10));
/// ```
#[derive(Debug, Clone, Default)]
pub struct RawScript {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Bytes),
    Repeat(Bytes),
    Wait(Duration),
    ReadLine,
    Hold,
    Reset,
}

impl RawScript {
    /// Closes at once, as a server whose `sshd` cannot start does.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that are not SSH: an HTTP answer, then zeros and high bytes, then the end.
    #[must_use]
    pub fn garbage_banner() -> Self {
        Self::new().send("HTTP/1.1 400 Bad Request\r\n\r\n").send([0, 0xff, 0x80, 0x0d, 0x0a].repeat(50))
    }

    /// Lines before an identification that never comes (RFC 4253 section 4.2 allows lines there, not for ever).
    #[must_use]
    pub fn endless_banner() -> Self {
        Self::new().repeat("This line comes before the identification.\r\n")
    }

    /// One line that never ends.
    #[must_use]
    pub fn endless_line() -> Self {
        Self::new().send("SSH-2.0-").repeat(vec![b'a'; 4096])
    }

    /// What OpenSSH says in place of an identification when too many connections are being set up.
    #[must_use]
    pub fn max_startups() -> Self {
        Self::new().send("Exceeded MaxStartups\r\n")
    }

    /// A server that knows protocol 1 only.
    #[must_use]
    pub fn ssh1() -> Self {
        Self::new().send("SSH-1.5-OpenSSH_3.4\r\n").read_line()
    }

    /// A proper identification, then a packet that claims to be 4 GiB long.
    #[must_use]
    pub fn huge_packet() -> Self {
        Self::new().send("SSH-2.0-Raw\r\n").read_line().send(vec![0xff; 64]).hold()
    }

    /// A proper identification, then nothing.
    #[must_use]
    pub fn silent_after_banner() -> Self {
        Self::new().send("SSH-2.0-Raw\r\n").hold()
    }

    /// Nothing at all.
    #[must_use]
    pub fn silent() -> Self {
        Self::new().hold()
    }

    /// Sends these bytes.
    #[must_use]
    pub fn send(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// Sends these bytes over and over until the client is gone.
    #[must_use]
    pub fn repeat(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Repeat(bytes.into()))
    }

    /// Waits this long.
    #[must_use]
    pub fn wait(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// Waits for the end of a line from the client.
    ///
    /// ```
    /// use rustle_testserver::{RawScript};
    ///
    /// let http = RawScript::new().read_line().send("HTTP/1.1 400 Bad Request\r\n\r\n").reset();
    /// let endless = RawScript::new().repeat("Not yet.\r\n");
    /// let ready_made = [
    ///     RawScript::garbage_banner(),
    ///     RawScript::endless_banner(),
    ///     RawScript::endless_line(),
    ///     RawScript::ssh1(),
    ///     RawScript::huge_packet(),
    ///     RawScript::silent_after_banner(),
    ///     RawScript::silent(),
    /// ];
    /// ```
    #[must_use]
    pub fn read_line(self) -> Self {
        self.step(Step::ReadLine)
    }

    /// Reads what comes and says no more, until the client is gone.
    #[must_use]
    pub fn hold(self) -> Self {
        self.step(Step::Hold)
    }

    /// Resets the connection.
    #[must_use]
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// A listener that plays a [`RawScript`] to each client.
///
/// ```
/// use rustle_testserver::{RawScript, RawServer};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let busy = RawServer::start(RawScript::max_startups()).await?;
/// // … connect to busy.addr(): the client under test should say that it is worth another try …
/// busy.expect_unfired();
/// busy.stop().await?;
/// # Ok::<(), rustle_testserver::Error>(())
/// # }).unwrap();
/// ```
pub struct RawServer {
    shared: Arc<RawShared>,
    addr: SocketAddr,
}

struct RawShared {
    script: RawScript,
    stopping: CancellationToken,
    tasks: TaskTracker,
    heard: Mutex<Heard>,
    changed: Notify,
}

#[derive(Default)]
struct Heard {
    received: Vec<Vec<u8>>,
    open: usize,
    expectation: Expectation,
}

#[derive(Default, PartialEq, Eq)]
enum Expectation {
    #[default]
    Visit,
    None,
}

impl RawServer {
    /// Starts on 127.0.0.1, on a port of the system's choice.
    ///
    /// # Errors
    /// The port cannot be had.
    ///
    /// # Cancel safety
    /// Nothing is left when this future is dropped.
    pub async fn start(script: RawScript) -> Result<Self, Error> {
        let listener = PortListener::bind(([127, 0, 0, 1], 0).into())
            .await
            .map_err(|source| Error::io("listen on 127.0.0.1", source))?;
        let addr = listener.local_addr().map_err(|source| Error::io("learn the port listened on", source))?;
        let shared = Arc::new(RawShared {
            script,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            heard: Mutex::default(),
            changed: Notify::new(),
        });
        driver::accept(&shared, listener);
        Ok(Self { shared, addr })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on, of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// A connection to it that goes through memory.
    #[must_use]
    pub fn duplex(&self) -> Duplex {
        driver::connect(&self.shared)
    }

    /// What each connection has sent so far; the first 64 KiB of it.
    #[must_use]
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.shared.heard().received.clone()
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections_accepted(&self) -> usize {
        self.shared.heard().received.len()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections_open(&self) -> usize {
        self.shared.heard().open
    }

    /// Returns when no connection is open.
    ///
    /// # Errors
    /// One was still open after `limit`.
    ///
    /// # Cancel safety
    /// Nothing changes when this future is dropped.
    pub async fn wait_until_idle(&self, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let open = self.connections_open();
            if open == 0 {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let message = format!("{open} connections to the raw server were still open after {limit:?}");
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        }
    }

    /// It need not have been visited.
    pub fn expect_unfired(&self) {
        self.shared.heard().expectation = Expectation::None;
    }

    /// Ends every connection, and returns when nothing is left.
    ///
    /// # Errors
    /// Nobody ever connected, so that the script was never played.
    ///
    /// # Cancel safety
    /// When this future is dropped the server is dropped: all ends then too, but nobody waits for it.
    pub async fn stop(self) -> Result<(), Error> {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        let verdict = self.verify();
        self.expect_unfired();
        verdict
    }

    fn verify(&self) -> Result<(), Error> {
        let heard = self.shared.heard();
        if heard.received.is_empty() && heard.expectation == Expectation::Visit {
            let message = "the raw server's script was never played: no client connected to it";
            return Err(Error::new(ErrorKind::Expectation, message));
        }
        Ok(())
    }
}

impl fmt::Debug for RawServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawServer").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Ends everything. Panics if nobody ever connected, unless the test is failing already.
impl Drop for RawServer {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        if std::thread::panicking() {
            return;
        }
        if let Err(error) = self.verify() {
            panic!("{error}");
        }
    }
}

impl RawShared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
