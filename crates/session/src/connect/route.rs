//! The way to a host: dialled, through another host, or by a command.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::BoxFuture;
use crate::auth::Credentials;
use crate::base::{CloseReason, Io};
use crate::connect::Connector;
use crate::connect::dial;
use crate::connect::proxy_command::{ProxyCommand, Running};
use crate::error::{Error, ErrorKind, Result};
use crate::options::BufferLimits;
use crate::session::Session;

/// How many hosts may be gone through. Nobody has as many; each costs a login.
pub(crate) const DEEPEST: usize = 16;

/// How long the flow through a jump host may wait for the connection above it: as good as for ever, since nobody else
/// is on that connection.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A host to go through on the way to another (`ProxyJump`).
///
/// It is a login of its own, with its own connector and credentials, its own host trust, questions and deadlines:
/// the connect timeout counts for each host by itself. The connection to the next host is one channel of it
/// (`direct-tcpip`, RFC 4254 section 7.2): no local process takes part, and no local port. It is the next one's
/// alone, and ends with it. While the reader above pauses it is paused as well, so that nothing piles up here.
///
/// ```
/// use rustle_session::{Connector, Credentials, JumpHost, Target};
///
/// # fn main() -> rustle_session::Result<()> {
/// let bastion = Connector::new(Target::parse("me@bastion.example.com")?);
/// let inner = Connector::new(Target::parse("me@inner.example.com")?)
///     .jump(JumpHost::new(bastion, Credentials::new()));
/// let web = Connector::new(Target::parse("deploy@web-1")?).jump(JumpHost::new(inner, Credentials::new()));
/// # let _ = web;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct JumpHost {
    connector: Connector,
    credentials: Credentials,
    name: Option<String>,
}

impl JumpHost {
    /// A host that is reached and logged in to like this.
    pub fn new(connector: Connector, credentials: Credentials) -> Self {
        Self { connector, credentials, name: None }
    }

    /// What errors call it; its host unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How it is reached.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or(self.connector.target().host())
    }

    /// Logs in to it. Boxed: the way there may lead through others.
    fn log_in(&self) -> BoxFuture<'_, Result<Session>> {
        Box::pin(async {
            let buffers = BufferLimits::default().disk(0).pause(PATIENCE);
            let transport = self.connector.transport.clone().with_buffers(buffers);
            let connector = self.connector.clone().transport(transport);
            Ok(connector.connect().await?.authenticate(&self.credentials).await?)
        })
    }
}

/// How the stream to a host comes about.
#[derive(Clone, Default)]
pub(super) enum Route {
    #[default]
    Dial,
    Jump(Arc<JumpHost>),
    Command(ProxyCommand),
}

/// A stream to a host, with what it took to get it.
pub(super) struct Carrier {
    pub(super) io: Box<dyn Io>,
    /// Where the host is, if it was dialled.
    pub(super) peer: Option<SocketAddr>,
    pub(super) resolve: Duration,
    pub(super) connect: Duration,
    /// What is left of the connect timeout.
    pub(super) left: Duration,
    pub(super) below: Option<Below>,
}

/// What carries a connection that has no socket of its own. It ends with the connection.
#[derive(Clone)]
pub(crate) enum Below {
    /// A channel of this session.
    JumpHost { session: Session, name: String, owner: Owner },
    /// A process.
    Command(Running),
}

/// Whose the session with a jump host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It is there for the connection above it alone, and ends with it.
    Above,
    /// It carries others too, and somebody else ends it.
    Another,
}

impl Route {
    /// How many hosts are gone through.
    fn depth(&self) -> usize {
        let mut depth = 0;
        let mut route = self;
        while let Self::Jump(hop) = route {
            depth += 1;
            route = &hop.connector.route;
        }
        depth
    }

    /// Makes the stream.
    ///
    /// # Cancel safety
    /// Dropped, whatever was opened or started for it ends.
    pub(super) async fn open(&self, to: &Connector) -> Result<Carrier> {
        match self {
            Self::Dial => dialled(to).await,
            Self::Jump(_) if self.depth() > DEEPEST => Err(too_deep(to.place())),
            Self::Jump(hop) => through(hop, to).await,
            Self::Command(command) => {
                Ok(Carrier::of_command(command.start().map_err(|e| e.at(to.place()))?, to))
            }
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial => f.write_str("Dial"),
            Self::Jump(hop) => f.debug_tuple("Jump").field(&hop.shown()).finish(),
            // The command line may hold anything.
            Self::Command(_) => f.write_str("Command"),
        }
    }
}

impl Carrier {
    fn of_command((stream, running): (impl Io + 'static, Running), to: &Connector) -> Self {
        Self {
            io: Box::new(stream),
            peer: None,
            resolve: Duration::ZERO,
            connect: Duration::ZERO,
            left: to.transport.connect_timeout(),
            below: Some(Below::Command(running)),
        }
    }
}

async fn dialled(to: &Connector) -> Result<Carrier> {
    let timeout = to.transport.connect_timeout();
    let options = to.dial.clone().timeout_at_most(timeout);
    let dialed = dial::dial(&options, to.target.host(), to.port()).await?;
    Ok(Carrier {
        io: Box::new(dial::Eager::new(dialed.stream)),
        peer: Some(dialed.peer),
        resolve: dialed.resolve,
        connect: dialed.connect,
        left: timeout.saturating_sub(dialed.spent),
        below: None,
    })
}

async fn through(hop: &JumpHost, to: &Connector) -> Result<Carrier> {
    let session = hop.log_in().await.map_err(|error| error.through(hop.shown(), to.place()))?;
    carried(session, hop.shown(), Owner::Above, to).await
}

/// A stream through a host that is logged in to already.
pub(super) async fn carried(session: Session, name: &str, owner: Owner, to: &Connector) -> Result<Carrier> {
    let named = |error: Error| error.through(name, to.place());
    let limit = to.transport.connect_timeout();
    let started = Instant::now();
    let opening = session.direct_tcpip(to.target.host(), to.port());
    let stream = match tokio::time::timeout(limit, opening).await {
        Ok(opened) => opened.map_err(named)?,
        Err(_elapsed) => {
            let message = format!("it did not reach the host within {} s", limit.as_secs_f32());
            return Err(named(Error::new(ErrorKind::ConnectTimeout, "connect", message).with_hint(
                "the host is down, or a firewall behind the jump host drops the packets: try from there, or \
                 allow more time",
            )));
        }
    };
    let connect = started.elapsed();
    Ok(Carrier {
        io: Box::new(stream),
        peer: None,
        resolve: Duration::ZERO,
        connect,
        left: limit.saturating_sub(connect),
        below: Some(Below::JumpHost { session, name: name.to_owned(), owner }),
    })
}

impl Below {
    /// Says that nothing is left to carry.
    pub(crate) fn let_go(&self) {
        match self {
            Self::JumpHost { owner: Owner::Another, .. } => {}
            Self::JumpHost { session, .. } => session.close_in_background(),
            Self::Command(running) => running.let_go(),
        }
    }

    /// Ends it within `grace`, and resolves when nothing is left of it. Boxed: below it there may be another.
    pub(crate) fn close(&self, grace: Duration) -> BoxFuture<'_, ()> {
        match self {
            Self::JumpHost { owner: Owner::Another, .. } => Box::pin(std::future::ready(())),
            Self::JumpHost { session, .. } => Box::pin(async move {
                session.close(grace).await;
            }),
            Self::Command(running) => {
                running.let_go();
                Box::pin(running.ended_within(grace))
            }
        }
    }

    /// Ends it now.
    pub(crate) fn abort(&self) {
        match self {
            Self::JumpHost { owner: Owner::Another, .. } => {}
            Self::JumpHost { session, .. } => session.abort(),
            Self::Command(running) => running.let_go(),
        }
    }

    /// Why it ended, where it did so by itself. Boxed: below it there may be another.
    pub(crate) fn reason(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            match self {
                Self::JumpHost { session, name, .. } => {
                    // Where a host further below broke, its own end tells more than that of the stream through it.
                    if let Some(reason) = session.reason_below().await {
                        return Some(reason);
                    }
                    match session.close_reason_seen()? {
                        CloseReason::Local | CloseReason::Aborted => None,
                        reason => Some(format!("jump host {name}: {reason}")),
                    }
                }
                Self::Command(running) => {
                    running.exit_soon().await.map(|exit| format!("ProxyCommand: {exit}"))
                }
            }
        })
    }

    /// A handshake that failed, with what is known from below.
    pub(super) async fn explain(&self, error: Error) -> Error {
        let stream_ended = error.kind() == ErrorKind::Disconnected;
        match self {
            Self::Command(running) if stream_ended => running.explain(error).await,
            Self::JumpHost { .. } if stream_ended => match self.reason().await {
                Some(reason) => error.with_source(reason),
                None => error,
            },
            _ => error,
        }
    }

    /// Whether somebody was asked for what is there for this connection alone.
    pub(crate) fn was_prompted(&self) -> bool {
        matches!(self, Self::JumpHost { session, owner: Owner::Above, .. } if session.was_prompted())
    }

    /// The session underneath.
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::JumpHost { session, .. } => Some(session),
            Self::Command(_) => None,
        }
    }
}

fn too_deep(place: String) -> Error {
    let message = format!("it would be reached through more than {DEEPEST} jump hosts");
    Error::new(ErrorKind::Configuration, "connect", message)
        .at(place)
        .with_hint("take hosts out of the way there (ProxyJump)")
}
