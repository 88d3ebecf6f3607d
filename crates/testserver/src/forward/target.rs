//! What stands behind the address a client wants a channel to.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::{command::Pattern, forward::stream::ChannelStream, record::ChannelKind};

/// What answers on a `direct-tcpip` or `direct-streamlocal` channel; see
/// [`forward_target`](crate::Builder::forward_target).
///
/// All but [`real`](Target::real) live in the server, need no network, and work under paused time.
///
/// ```
/// use rustle_testserver::{Target, TestServer};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let builder = TestServer::builder()
///     .forward_target("*", None, Target::refuse(1, "not from here"))
///     .forward_target("*.internal", None, Target::echo())
///     .forward_target("db.internal", 5432, Target::reply("no pg_hba.conf entry\n"))
///     .forward_target("counter", 80, Target::closure(async |mut stream| {
///         let mut received = Vec::new();
///         if let Ok(n) = stream.read_to_end(&mut received).await {
///             drop(stream.write_all(format!("{n} bytes\n").as_bytes()).await);
///         }
///     }))
///     .forward_target("localhost", None, Target::real())
///     .streamlocal_target("/run/*.sock", Target::echo());
/// ```
#[derive(Clone)]
pub struct Target {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Real,
    Refuse { code: u32, text: String },
    Code(Arc<Closure>),
}

type Closure = dyn Fn(ChannelStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A target as the one who opens the channel sees it.
pub(crate) enum Found {
    Real,
    Refuse { code: u32, text: String },
    Code(Code),
}

/// A target inside the server.
pub(crate) struct Code(Arc<Closure>);

impl Target {
    /// The host, port or path itself, reached from this machine. A path needs a Unix.
    #[must_use]
    pub fn real() -> Self {
        Self { kind: Kind::Real }
    }

    /// Sends back what comes, and ends when the client does.
    #[must_use]
    pub fn echo() -> Self {
        Self::closure(async |stream| {
            let (mut read, mut write) = tokio::io::split(stream);
            // A client that is gone wants nothing back.
            drop(tokio::io::copy(&mut read, &mut write).await);
            drop(write.shutdown().await);
        })
    }

    /// Sends this and its end at once, and takes whatever the client sends until the client ends too.
    #[must_use]
    pub fn reply(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self::closure(move |stream| {
            let data = data.clone();
            async move {
                let (mut read, mut write) = tokio::io::split(stream);
                let sent = async {
                    write.write_all(&data).await?;
                    write.shutdown().await
                };
                let taken = async { tokio::io::copy(&mut read, &mut tokio::io::sink()).await };
                drop(tokio::join!(sent, taken));
            }
        })
    }

    /// Runs this code with the stream. The channel closes when the stream is dropped and all it was given has been
    /// sent; when the connection is gone, the code's future is dropped where it waits.
    #[must_use]
    pub fn closure<F, Fut>(code: F) -> Self
    where
        F: Fn(ChannelStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { kind: Kind::Code(Arc::new(move |stream| Box::pin(code(stream)))) }
    }

    /// Refuses the channel with this reason code (RFC 4254 section 5.1) and text. OpenSSH says 1 where a policy forbids
    /// it, and 2 where the target cannot be reached.
    #[must_use]
    pub fn refuse(code: u32, text: impl Into<String>) -> Self {
        Self { kind: Kind::Refuse { code, text: text.into() } }
    }

    fn found(&self) -> Found {
        match &self.kind {
            Kind::Real => Found::Real,
            Kind::Refuse { code, text } => Found::Refuse { code: *code, text: text.clone() },
            Kind::Code(code) => Found::Code(Code(Arc::clone(code))),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Real => f.write_str("Target::real"),
            Kind::Refuse { code, text } => write!(f, "Target::refuse({code}, {text:?})"),
            Kind::Code(_) => f.write_str("Target::closure"),
        }
    }
}

impl Code {
    pub(crate) async fn run(self, stream: ChannelStream) {
        (self.0)(stream).await;
    }
}

/// The targets a server was told of, in the order given; the last that matches wins.
#[derive(Default)]
pub(crate) struct Targets {
    hosts: Vec<(Pattern, Option<u16>, Target)>,
    paths: Vec<(Pattern, Target)>,
}

impl Targets {
    pub(crate) fn host(&mut self, host: &str, port: Option<u16>, target: Target) {
        self.hosts.push((Pattern::wildcard(host), port, target));
    }

    pub(crate) fn path(&mut self, path: &str, target: Target) {
        self.paths.push((Pattern::wildcard(path), target));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.paths.is_empty()
    }

    /// Whether some path is to be reached for real.
    pub(crate) fn has_real_path(&self) -> bool {
        self.paths.iter().any(|(_, target)| matches!(target.kind, Kind::Real))
    }

    pub(crate) fn find(&self, kind: &ChannelKind) -> Option<Found> {
        match kind {
            ChannelKind::DirectTcpip(host, port) => self
                .hosts
                .iter()
                .rev()
                .find(|(pattern, wanted, _)| {
                    wanted.is_none_or(|wanted| u32::from(wanted) == *port) && pattern.matches(host.as_bytes())
                })
                .map(|(_, _, target)| target.found()),
            ChannelKind::DirectStreamlocal(path) => self
                .paths
                .iter()
                .rev()
                .find(|(pattern, _)| pattern.matches(path.as_bytes()))
                .map(|(_, target)| target.found()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(targets: &Targets, host: &str, port: u32) -> Option<u32> {
        match targets.find(&ChannelKind::DirectTcpip(host.to_owned(), port)) {
            Some(Found::Refuse { code, .. }) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn last_target_that_matches_host_and_port_wins() {
        let mut targets = Targets::default();
        targets.host("*", None, Target::refuse(1, ""));
        targets.host("*.internal", None, Target::refuse(2, ""));
        targets.host("db.internal", Some(5432), Target::refuse(3, ""));
        assert_eq!(found(&targets, "elsewhere", 1), Some(1));
        assert_eq!(found(&targets, "web.internal", 70_000), Some(2));
        assert_eq!(found(&targets, "db.internal", 5433), Some(2));
        assert_eq!(found(&targets, "db.internal", 5432), Some(3));
        assert_eq!(found(&Targets::default(), "db.internal", 5432), None);
    }
}
