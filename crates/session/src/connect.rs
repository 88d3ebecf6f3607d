//! From a host's name to a session: [`Connector`] → [`Unauthenticated`] → [`Session`].

pub(crate) mod dial;
mod proxy_command;
pub(crate) mod route;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::algorithms::{Algorithms, Negotiated};
use crate::apart::apart;
use crate::auth::deadline::{Limits, NetworkClock};
use crate::auth::{self, Credentials};
use crate::base::{HostKeyQuestion, Transport, handshake};
use crate::connect::dial::DialOptions;
use crate::connect::route::{Below, Carrier, Owner, Route};
use crate::error::{Error, ErrorKind, Result};
use crate::host_trust::{HostKeyOffer, HostTrust, KnownHosts};
use crate::options::TransportOptions;
use crate::session::{Session, SessionParts};
use crate::target::{Target, host_and_port};

pub use crate::connect::proxy_command::{ProxyCommand, TerminalUse};
pub use crate::connect::route::JumpHost;

/// The port of SSH (RFC 4253 section 4.1).
const SSH_PORT: u16 = 22;

/// How to reach one host and whether to trust it; makes connections.
///
/// ```no_run
/// # async fn example() -> rustle_session::Result<()> {
/// use rustle_session::{Connector, Credentials, KnownHosts, Target};
///
/// let connector = Connector::new(Target::parse("deploy@web-1.example.com")?)
///     .host_trust(KnownHosts::new().accept_new());
/// let session = connector.connect().await?.authenticate(&Credentials::new()).await?;
/// println!("{}", session.output("hostname").await?.stdout_text());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Connector {
    target: Target,
    trust_name: Option<String>,
    transport: TransportOptions,
    dial: DialOptions,
    route: Route,
    algorithms: Algorithms,
    trust: Arc<dyn HostTrust>,
}

/// How long each step of connecting took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectTimings {
    /// Looking up the name; zero where none was looked up.
    pub resolve: Duration,
    /// The TCP connect that won: one round trip. Through a jump host, the opening of the channel to the host; zero
    /// over a stream of the caller's and a command's.
    pub connect: Duration,
    /// Identification, key exchange and the check of the host key.
    pub handshake: Duration,
}

impl Connector {
    /// Connects to this target with the defaults: strict host keys from the usual `known_hosts` files.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            trust_name: None,
            transport: TransportOptions::default(),
            dial: DialOptions::default(),
            route: Route::default(),
            algorithms: Algorithms::default(),
            trust: Arc::new(KnownHosts::new()),
        }
    }

    /// Deadlines, window, buffers and keepalive.
    pub fn transport(mut self, options: TransportOptions) -> Self {
        self.transport = options;
        self
    }

    /// How TCP connections are made. Its own deadline yields to the
    /// [connect timeout](crate::TransportOptionsBuilder::connect_timeout) where that is shorter.
    pub fn dial(mut self, options: DialOptions) -> Self {
        self.dial = options;
        self
    }

    /// The same with this class of packets, where it is dialled.
    pub(crate) fn traffic_class(mut self, class: Option<u8>) -> Self {
        self.dial = self.dial.traffic_class(class);
        self
    }

    /// Goes through another host, where the connection is made from (`ProxyJump`). That host may have one of its own,
    /// 16 in all. What was set by [`dial`](Self::dial) has no effect then.
    pub fn jump(mut self, host: JumpHost) -> Self {
        self.route = Route::Jump(Arc::new(host));
        self
    }

    /// Speaks to the host through a command in place of a socket (`ProxyCommand`). What was set by
    /// [`dial`](Self::dial) has no effect then.
    pub fn proxy_command(mut self, command: ProxyCommand) -> Self {
        self.route = Route::Command(command);
        self
    }

    /// The algorithms to offer.
    pub fn algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Who decides whether the host's key is the right one.
    pub fn host_trust(mut self, trust: impl HostTrust + 'static) -> Self {
        self.trust = Arc::new(trust);
        self
    }

    /// The name that errors show and host keys are looked up under, where it differs from what is dialled: the
    /// name given to `ssh`, whose `HostName` is another.
    pub fn trust_name(mut self, name: impl Into<String>) -> Self {
        self.trust_name = Some(name.into());
        self
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The host that this goes through.
    #[must_use]
    pub fn jump_host(&self) -> Option<&JumpHost> {
        match &self.route {
            Route::Jump(host) => Some(host),
            _ => None,
        }
    }

    /// Whether this machine looks the host up and dials it itself: neither a jump host nor a command does.
    #[must_use]
    pub fn dials(&self) -> bool {
        matches!(self.route, Route::Dial)
    }

    fn port(&self) -> u16 {
        self.target.port().unwrap_or(SSH_PORT)
    }

    fn place(&self) -> String {
        host_and_port(self.target.host(), self.port())
    }

    /// Dials, exchanges keys and checks the host key; [jump hosts](Self::jump) are logged in to first.
    ///
    /// # Errors
    /// [`ErrorKind::HostUnreachable`], [`ErrorKind::ConnectTimeout`], [`ErrorKind::ServerBusy`],
    /// [`ErrorKind::NoCommonAlgorithm`], [`ErrorKind::Protocol`], or one of the host-key kinds. Of a jump host, what
    /// its own login may give, and [`ErrorKind::ChannelProhibited`] or [`ErrorKind::ChannelTarget`] where it does not
    /// let anybody through or cannot reach the next; [`Error::jump_host`] names it. A proxy command that ends early is
    /// [`ErrorKind::HostUnreachable`], or [`ErrorKind::Configuration`] where its shell cannot run it.
    ///
    /// # Cancel safety
    /// Dropped, every socket is closed; the server sees a connection that ended before authentication. Jump hosts see
    /// a login that ended, and a proxy command is ended.
    pub async fn connect(&self) -> Result<Unauthenticated> {
        self.shake_hands_over(self.route.open(self).await?).await
    }

    /// As [`connect`](Self::connect), over a channel of a session with the [jump host](Self::jump) that is there already. That
    /// session is the caller's: it may carry others too, and does not end with this connection.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropped, the channel is closed; the server sees a connection that ended before authentication.
    pub async fn connect_through(&self, jump_host: &Session) -> Result<Unauthenticated> {
        let name = self.jump_host().map_or_else(|| jump_host.target(), JumpHost::shown);
        let carrier = route::carried(jump_host.clone(), name, Owner::Another, self).await?;
        self.shake_hands_over(carrier).await
    }

    async fn shake_hands_over(&self, carrier: Carrier) -> Result<Unauthenticated> {
        let below = carrier.below.clone();
        match self.shake_hands(carrier).await {
            Ok(unauthenticated) => Ok(unauthenticated),
            Err(error) => Err(match below {
                Some(below) => below.explain(error).await,
                None => error,
            }),
        }
    }

    /// Exchanges keys over a stream that is there already: another connection's channel, a pipe, a test.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for dialling.
    ///
    /// # Cancel safety
    /// Dropped, the stream is closed.
    pub async fn connect_over<S>(&self, stream: S) -> Result<Unauthenticated>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.shake_hands(Carrier {
            io: Box::new(stream),
            peer: None,
            resolve: Duration::ZERO,
            connect: Duration::ZERO,
            left: self.transport.connect_timeout(),
            below: None,
        })
        .await
    }

    async fn shake_hands(&self, carrier: Carrier) -> Result<Unauthenticated> {
        let Carrier { io, peer, resolve, connect, left, below } = carrier;
        let mut timings = ConnectTimings { resolve, connect, handshake: Duration::ZERO };
        let started = Instant::now();
        let clock = NetworkClock::new(left);
        let host = self.trust_name.as_deref().unwrap_or(self.target.host());
        let known = self.trust.known_algorithms(host, self.port()).await;
        let algorithms = self.algorithms.clone().arranged_for(&known);
        let person = self.transport.person_timeout();
        let mut shown = None;
        let slot = &mut shown;
        let check = move |question: HostKeyQuestion| async move {
            let mut offer = HostKeyOffer::from_wire(host, self.port(), &question.wire)?;
            if let Some(peer) = peer {
                offer = offer.with_address(peer);
            }
            let offer = slot.insert(offer);
            match tokio::time::timeout(person, self.trust.check(offer)).await {
                Ok(verdict) => verdict,
                Err(_) => Err(Error::new(
                    ErrorKind::HostKeyUnknown,
                    "check host key",
                    format!("nobody answered about the host key within {} s", person.as_secs()),
                )
                .with_hint(
                    "connect from a terminal and compare the fingerprint, or add the key to known_hosts",
                )),
            }
        };
        let shaken = handshake(io, &algorithms, &self.transport, timings.connect, &clock, check);
        let transport = apart(shaken).await.map_err(|error| error.at(self.place()))?;
        timings.handshake = started.elapsed();
        let user = match self.target.user() {
            Some(user) => user.to_owned(),
            None => local_user()?,
        };
        let left = left.saturating_sub(clock.spent()).max(Duration::from_millis(1));
        tracing::debug!(
            host = self.target.host(),
            port = self.port(),
            handshake_ms = timings.handshake.as_millis(),
            "keys exchanged, host trusted"
        );
        Ok(Unauthenticated {
            transport,
            user,
            place: self.place(),
            options: self.transport.clone(),
            host_key: shown,
            peer,
            timings,
            left,
            below,
            trust: Arc::clone(&self.trust),
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("target", &self.target)
            .field("transport", &self.transport)
            .field("dial", &self.dial)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

/// The local account's name: ssh logs in under it when none is given.
fn local_user() -> Result<String> {
    let variable = if cfg!(windows) { "USERNAME" } else { "USER" };
    match std::env::var(variable).or_else(|_| std::env::var("LOGNAME")) {
        Ok(user) if !user.is_empty() => Ok(user),
        _ => Err(Error::new(
            ErrorKind::Configuration,
            "connect",
            format!(
                "no user name was given, and the environment variable {variable} does not say who you are"
            ),
        )
        .with_hint("give it as user@host")),
    }
}

/// A connection whose keys are agreed and whose host is trusted, before anybody logged in.
///
/// Dropped, it is closed.
pub struct Unauthenticated {
    transport: Transport,
    user: String,
    place: String,
    options: TransportOptions,
    host_key: Option<HostKeyOffer>,
    peer: Option<SocketAddr>,
    timings: ConnectTimings,
    left: Duration,
    // After the transport: what carries it is let go last.
    below: Option<Below>,
    trust: Arc<dyn HostTrust>,
}

/// Nobody was let in.
///
/// Where the server still takes attempts, the connection comes back in [`Rejected::into_unauthenticated`].
pub struct Rejected {
    error: Error,
    may_continue: Vec<String>,
    unauthenticated: Option<Unauthenticated>,
}

impl Unauthenticated {
    /// Logs in, with what `credentials` hold and in the order ssh would.
    ///
    /// The network gets what is left of the [connect timeout](crate::TransportOptionsBuilder::connect_timeout);
    /// a person's time does not count.
    ///
    /// # Errors
    /// [`Rejected`], with an error of kind [`ErrorKind::AuthenticationFailed`], [`ErrorKind::Key`],
    /// [`ErrorKind::Agent`], [`ErrorKind::ConnectTimeout`] or [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed; the server may have seen a password or a key.
    pub async fn authenticate(mut self, credentials: &Credentials) -> Result<Session, Rejected> {
        let target = self.target();
        let started = Instant::now();
        let limits = Limits { network: self.left, person: self.options.person_timeout() };
        let result =
            apart(auth::authenticate(&mut self.transport, &self.user, credentials, &target, limits)).await;
        match result {
            Ok(success) => {
                tracing::debug!(target, method = success.method, "authenticated");
                Ok(Session::start(SessionParts {
                    connection: self.transport.into_connection(),
                    target,
                    method: success.method,
                    method_detail: success.detail,
                    asked: success.asked,
                    options: self.options,
                    host_key: self.host_key,
                    peer: self.peer,
                    timings: self.timings,
                    authentication: started.elapsed(),
                    below: self.below,
                    trust: self.trust,
                }))
            }
            Err(failure) => {
                let error = failure.error.at(&target);
                let usable = !failure.may_continue.is_empty() && !self.transport.is_gone();
                Err(Rejected {
                    error,
                    may_continue: failure.may_continue,
                    unauthenticated: usable.then_some(self),
                })
            }
        }
    }

    /// The user to log in as.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// `user@host:port`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}@{}", self.user, self.place)
    }

    /// The algorithms agreed on.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.transport.negotiated()
    }

    /// What the host proved to be.
    #[must_use]
    pub fn host_key(&self) -> Option<&HostKeyOffer> {
        self.host_key.as_ref()
    }

    /// How long each step took.
    #[must_use]
    pub fn timings(&self) -> ConnectTimings {
        self.timings
    }

    /// What the server wanted a person to read before logging in, control characters removed
    /// (RFC 4252 section 5.4); empty until authentication was tried.
    #[must_use]
    pub fn banner(&self) -> String {
        self.transport.banner()
    }

    /// The session with the jump host that this goes through.
    #[must_use]
    pub fn jump_host(&self) -> Option<&Session> {
        self.below.as_ref().and_then(Below::session)
    }

    /// The address of the server, where it was dialled.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

impl fmt::Debug for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unauthenticated")
            .field("target", &self.target())
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

impl Rejected {
    /// Why nobody was let in.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The methods that the server would still take on this connection.
    #[must_use]
    pub fn may_continue(&self) -> &[String] {
        &self.may_continue
    }

    /// The connection, if it can be tried again on.
    #[must_use]
    pub fn into_unauthenticated(self) -> Option<Unauthenticated> {
        self.unauthenticated
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.error
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("error", &self.error)
            .field("may_continue", &self.may_continue)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Rejected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
