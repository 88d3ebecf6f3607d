//! An authenticated connection: channels, counters, and its end.

mod agent_forwarding;
mod ahead;
mod failure;
mod lease;
mod listening;
mod opening;
mod places;
mod stats;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::algorithms::Negotiated;
use crate::base::{Channel, CloseReason, Connection, Gone, Open};
use crate::command::{Command, Output};
use crate::connect::ConnectTimings;
use crate::connect::route::Below;
use crate::driver::{self, Listener, Task, Tasks};
use crate::ending::{Ending, Orphans};
use crate::error::{Error, ErrorKind, Result};
use crate::host_trust::{HostKeyOffer, HostTrust};
use crate::options::TransportOptions;
use crate::session::agent_forwarding::Lending;
use crate::stream::ForwardStream;

pub(crate) use agent_forwarding::AgentLease;
pub use ahead::OpenedAhead;
pub(crate) use lease::{EofOnDrop, Lease, OpenInBackground};
pub(crate) use listening::Bound;
pub use places::{ChannelUse, Lane, Place, Places};
pub use stats::{Stalls, Stats};

/// An authenticated connection.
///
/// Cheap to clone; every clone is the same connection. When the last one, and the last child, stream and
/// listener on it, is dropped, the connection ends in the background: processes first, then a goodbye. [`Session::close`]
/// does so at once and says when nothing is left.
///
/// ```no_run
/// # async fn example() -> rustle_session::Result<()> {
/// use rustle_session::Session;
///
/// let session = Session::connect("deploy@web-1").await?;
/// let output = session.output("uname -a").await?;
/// println!("{} after {:?}: {}", output.status, output.duration, output.stdout_text());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
    /// Where its channels are opened, if not on this connection.
    places: Option<Arc<dyn Places>>,
}

struct Inner {
    connection: Arc<Connection>,
    tasks: Tasks,
    orphans: Orphans,
    target: String,
    method: String,
    method_detail: Option<String>,
    asked: bool,
    options: TransportOptions,
    host_key: Option<HostKeyOffer>,
    peer: Option<SocketAddr>,
    timings: ConnectTimings,
    authentication: Duration,
    below: Option<Below>,
    established: Instant,
    channels_opened: AtomicU64,
    refused_variables: Mutex<HashSet<String>>,
    lending: Lending,
    span: tracing::Span,
}

pub(crate) struct SessionParts {
    pub(crate) connection: Connection,
    pub(crate) target: String,
    pub(crate) method: String,
    pub(crate) method_detail: Option<String>,
    pub(crate) asked: bool,
    pub(crate) options: TransportOptions,
    pub(crate) host_key: Option<HostKeyOffer>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) timings: ConnectTimings,
    pub(crate) authentication: Duration,
    pub(crate) below: Option<Below>,
    pub(crate) trust: Arc<dyn HostTrust>,
}

impl Session {
    pub(crate) fn start(parts: SessionParts) -> Self {
        let connection = Arc::new(parts.connection);
        let trust = parts.trust;
        let listener = parts.host_key.clone().map(|host_key| {
            let person = parts.options.person_timeout();
            Listener { trust, host_key, person }
        });
        let (tasks, orphans) = driver::start(Arc::clone(&connection), parts.below.clone(), listener);
        let span = tracing::debug_span!("ssh", target = parts.target);
        Self {
            inner: Arc::new(Inner {
                orphans,
                connection,
                tasks,
                target: parts.target,
                method: parts.method,
                method_detail: parts.method_detail,
                asked: parts.asked,
                options: parts.options,
                host_key: parts.host_key,
                peer: parts.peer,
                timings: parts.timings,
                authentication: parts.authentication,
                below: parts.below,
                established: Instant::now(),
                channels_opened: AtomicU64::new(0),
                refused_variables: Mutex::default(),
                lending: Lending::default(),
                span,
            }),
            places: None,
        }
    }

    // ---- commands -----------------------------------------------------------------------------

    /// A program, whose arguments are quoted for the remote shell.
    pub fn command(&self, program: impl AsRef<[u8]>) -> Command {
        Command::program(self, program.as_ref())
    }

    /// A line in the remote shell's own language: pipes, variables and globs mean what they mean there.
    pub fn line(&self, line: impl AsRef<[u8]>) -> Command {
        Command::line(self, line.as_ref())
    }

    /// Exactly these bytes as the `exec` request, for servers whose other end is no shell.
    pub fn raw(&self, line: impl AsRef<[u8]>) -> Command {
        Command::raw(self, line.as_ref())
    }

    /// The account's login shell.
    pub fn shell(&self) -> Command {
        Command::login_shell(self)
    }

    /// A subsystem, such as `sftp`, whose protocol runs over the child's streams.
    pub fn subsystem(&self, name: &str) -> Command {
        Command::subsystem(self, name)
    }

    /// Runs a line of the remote shell's language and collects its output.
    ///
    /// # Errors
    /// As [`Command::output`].
    ///
    /// # Cancel safety
    /// As [`Command::output`]: the remote process is ended.
    pub async fn output(&self, line: impl AsRef<[u8]>) -> Result<Output> {
        self.line(line).output().await
    }

    // ---- forwards -----------------------------------------------------------------------------

    /// A byte stream to a port that the server can reach (`direct-tcpip`, RFC 4254 section 7.2).
    ///
    /// # Errors
    /// [`ErrorKind::ChannelTarget`] when the server cannot reach it, [`ErrorKind::ChannelProhibited`] when its
    /// policy forbids it, [`ErrorKind::ChannelTimeout`], [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// Dropped, a channel that the server opens later is closed at once.
    pub async fn direct_tcpip(&self, host: impl Into<String>, port: u16) -> Result<ForwardStream> {
        let host = host.into();
        let open = Open::DirectTcpip { host, port };
        Ok(ForwardStream::new(self.open(open, Ending::Close, ChannelUse::Forward).await?))
    }

    /// A byte stream to a Unix socket on the server (`direct-streamlocal@openssh.com`, OpenSSH PROTOCOL 2.4).
    ///
    /// # Errors
    /// As [`direct_tcpip`](Self::direct_tcpip).
    ///
    /// # Cancel safety
    /// Dropped, a channel that the server opens later is closed at once.
    pub async fn direct_streamlocal(&self, path: impl Into<String>) -> Result<ForwardStream> {
        let open = Open::DirectStreamlocal { path: path.into() };
        Ok(ForwardStream::new(self.open(open, Ending::Close, ChannelUse::Forward).await?))
    }

    // ---- the connection itself ----------------------------------------------------------------

    /// Asks the server for a sign of life; gives the round trip.
    ///
    /// # Errors
    /// [`ErrorKind::ChannelTimeout`] when it does not answer in time, [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ping(&self) -> Result<Duration> {
        let asked = async {
            match self.inner.connection.ping().await {
                Ok(round_trip) => Ok(round_trip),
                Err(Gone) => Err(self.gone_error("ping").await),
            }
        };
        self.within_request_timeout("ping", asked).await
    }

    /// Exchanges new keys now, and resolves when they are in use.
    ///
    /// Without it that happens at the cipher's limit (RFC 4344): 64 GiB for AES, 1 GiB for chacha20-poly1305,
    /// begun by the server where it keeps to that, and by this side a quarter later.
    ///
    /// # Errors
    /// [`ErrorKind::ChannelTimeout`] when the server does not take part in time, [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// The exchange goes on or has not begun.
    pub async fn rekey(&self) -> Result<()> {
        let exchange = async {
            match self.inner.connection.rekey().await {
                Ok(()) => Ok(()),
                Err(Gone) => Err(self.gone_error("rekey").await),
            }
        };
        self.within_request_timeout("rekey", exchange).await
    }

    /// Ends the connection: what was dropped is ended, then a goodbye; after `grace` it is cut. Resolves when
    /// nothing is left of it, for all clones. Jump hosts below it follow from the top down, with what is left of
    /// `grace`. A proxy command follows too, and has two seconds and a half in any case, of which most need nothing.
    ///
    /// # Cancel safety
    /// Dropped, the connection ends all the same, and what is below it.
    pub async fn close(&self, grace: Duration) -> CloseReason {
        let started = Instant::now();
        self.inner.tasks.send(Task::Close(grace));
        let reason = self.closed().await;
        if let Some(below) = &self.inner.below {
            below.close(grace.saturating_sub(started.elapsed())).await;
        }
        reason
    }

    /// Waits until the connection is gone, and says why.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn closed(&self) -> CloseReason {
        self.inner.connection.gone().await;
        self.inner.connection.close_reason()
    }

    /// Waits until the connection is gone, and gives the error that whoever wants something of it gets from then on.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn lost(&self) -> Error {
        self.inner.connection.gone().await;
        self.gone_error("use connection").await
    }

    /// Cuts the connection now, without a word to the server. Its processes there see their input end and their
    /// output break. The connections to jump hosts below it are cut as well, and a proxy command is ended.
    pub fn abort(&self) {
        self.inner.connection.cut();
        if let Some(below) = &self.inner.below {
            below.abort();
        }
    }

    /// Whether the connection is still there, as far as can be known without asking.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.inner.connection.is_gone()
    }

    /// `user@host:port`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.inner.target
    }

    /// The methods that authenticated, joined by commas, such as `publickey`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.inner.method
    }

    /// Which key or certificate authenticated, never a secret.
    #[must_use]
    pub fn method_detail(&self) -> Option<&str> {
        self.inner.method_detail.as_deref()
    }

    /// Whether somebody answered a question for this login, or for one to a host on the way that was for this connection alone:
    /// another login would ask again, and a code that works once is used up.
    #[must_use]
    pub fn was_prompted(&self) -> bool {
        self.inner.asked || self.inner.below.as_ref().is_some_and(Below::was_prompted)
    }

    /// How much of what its keys may carry, or of their time ([`TransportOptions::rekey_bytes`] and
    /// [`rekey_interval`](TransportOptions::rekey_interval)), is used up: from 0 to 1, where they are renewed, for which the
    /// connection stands still for a moment.
    #[must_use]
    pub fn key_use(&self) -> f64 {
        self.inner.connection.key_use()
    }

    /// The server's identification, such as `SSH-2.0-OpenSSH_9.2p1` (RFC 4253 section 4.2).
    #[must_use]
    pub fn server_version(&self) -> String {
        self.inner.connection.server_version()
    }

    /// The algorithms agreed on.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.inner.connection.negotiated()
    }

    /// What the host proved to be.
    #[must_use]
    pub fn host_key(&self) -> Option<&HostKeyOffer> {
        self.inner.host_key.as_ref()
    }

    /// The session with the jump host that this connection goes through; that one may have another. It is there for
    /// this connection alone and ends with it, whoever holds it, unless the connection was made
    /// [through a session of somebody's](crate::Connector::connect_through).
    #[must_use]
    pub fn jump_host(&self) -> Option<&Session> {
        self.inner.below.as_ref().and_then(Below::session)
    }

    /// The address of the server, where it was dialled.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.inner.peer
    }

    /// How long each step of connecting took.
    #[must_use]
    pub fn timings(&self) -> ConnectTimings {
        self.inner.timings
    }

    /// How long authentication took, a person's time included.
    #[must_use]
    pub fn authentication_time(&self) -> Duration {
        self.inner.authentication
    }

    /// What the server wanted a person to read before logging in, control characters removed.
    #[must_use]
    pub fn banner(&self) -> String {
        self.inner.connection.banner()
    }

    // ---- within the crate ---------------------------------------------------------------------

    /// Begins the end of a connection that nothing goes through any more.
    pub(crate) fn close_in_background(&self) {
        self.inner.tasks.send(Task::Close(driver::GRACE_OF_DROP));
    }

    /// Why the connection ended; `None` while it is there.
    pub(crate) fn close_reason_seen(&self) -> Option<CloseReason> {
        self.inner.connection.is_gone().then(|| self.inner.connection.close_reason())
    }

    /// Why what is below this connection ended, where it did so by itself.
    pub(crate) async fn reason_below(&self) -> Option<String> {
        self.inner.below.as_ref()?.reason().await
    }

    pub(crate) async fn within_request_timeout<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let limit = self.inner.options.request_timeout();
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::ChannelTimeout,
                operation,
                format!("the server did not answer within {} s", limit.as_secs_f32()),
            )
            .at(self.target())
            .with_hint("the server or the network is slow, or stuck: `ping` the session, or raise the request timeout")),
        }
    }

    /// Whether this server is known to ignore `signal` requests on this login: OpenSSH's sends signals only with
    /// its privileges separated, which it does not do for root.
    pub(crate) fn ignores_signals(&self) -> bool {
        self.inner.target.starts_with("root@") && self.server_version().contains("OpenSSH")
    }

    pub(crate) fn orphans(&self) -> &Orphans {
        &self.inner.orphans
    }

    /// Makes the process end when it writes to an output that was dropped.
    pub(crate) fn end_when_orphaned(&self, lease: &Lease, ending: Ending) {
        let tasks = self.inner.tasks.clone();
        // Weak: the hook lives in what the channel owns.
        let channel = Arc::downgrade(lease.channel());
        lease.channel().intake().when_orphaned(Box::new(move || {
            if let Some(channel) = channel.upgrade() {
                tasks.send(Task::End(channel, ending.clone(), None));
            }
        }));
    }

    pub(crate) fn eof_on_drop(&self, channel: &Arc<Channel>) -> EofOnDrop {
        EofOnDrop::new(channel, self.inner.tasks.clone())
    }

    pub(crate) fn variable_was_refused(&self, name: &str) -> bool {
        self.inner.refused_variables.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    pub(crate) fn remember_refused_variable(&self, name: &str) {
        self.inner.refused_variables.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("target", &self.inner.target)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.send(Task::Close(driver::GRACE_OF_DROP));
    }
}
