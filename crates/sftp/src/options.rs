//! How a client is set up.

use std::time::Duration;

use rustle_session::Session;
use rustle_sftp_proto::Limits;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::engine::Engine;
use crate::error::Result;
use crate::link::Link;
use crate::sftp::Sftp;

/// How a client is set up; made by [`Sftp::builder`].
///
/// ```
/// use std::time::Duration;
///
/// use rustle_sftp::Sftp;
///
/// let builder = Sftp::builder().open_timeout(Duration::from_secs(5)).answer_timeout(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SftpBuilder {
    open_timeout: Duration,
    answer_timeout: Duration,
    limits: Limits,
    link_order: LinkOrder,
}

/// Which of its two paths a SYMLINK has first; see [`SftpBuilder::link_order`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LinkOrder {
    /// The target, then the link: OpenSSH's (its `PROTOCOL`, section 4.1), a mistake that was kept.
    #[default]
    OpenSsh,
    /// The link, then its target, as draft-ietf-secsh-filexfer-02 says in section 6.10.
    Draft,
}

impl Default for SftpBuilder {
    fn default() -> Self {
        Self {
            open_timeout: OPEN,
            answer_timeout: ANSWER,
            limits: Limits::default(),
            link_order: LinkOrder::default(),
        }
    }
}

impl SftpBuilder {
    /// How long the server may take from the opening of the channel to its version. 30 s unless set: a server that is
    /// swapping starts a process within that.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// How long the server may send nothing at all while requests are unanswered; the channel fails then. 300 s unless
    /// set: a tape that is fetched or a slow disk that is flushed takes minutes, and a lost connection is
    /// noticed by its keepalives long before.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// In which order the server takes the two paths of a symbolic link. OpenSSH's unless set, which nearly all
    /// servers follow. The protocol does not tell, and a server that has the other order makes a link of the wrong
    /// name. asyncssh's is one: it follows OpenSSH's order for clients that call themselves OpenSSH, and the draft's
    /// for all others.
    pub fn link_order(mut self, order: LinkOrder) -> Self {
        self.link_order = order;
        self
    }

    /// Opens the `sftp` subsystem on a channel of this session.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the server has no SFTP or something printed
    /// before it, [`ErrorKind::Disconnected`](crate::ErrorKind::Disconnected) with the session's error as its source
    /// when no channel could be had, [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    ///
    /// # Cancel safety
    /// Dropped, the channel is closed and the server's process ends.
    pub async fn open(&self, session: &Session) -> Result<Sftp> {
        let link = Link::subsystem(session).await?;
        self.begin(link, Some(session.clone())).await
    }

    /// Speaks SFTP over a stream that has a server at its other end.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    /// Dropped, so are the streams.
    pub async fn over<R, W>(&self, reader: R, writer: W) -> Result<Sftp>
    where
        R: AsyncRead + Send + 'static,
        W: AsyncWrite + Send + 'static,
    {
        self.begin(Link::streams(reader, writer), None).await
    }

    async fn begin(&self, link: Link, session: Option<Session>) -> Result<Sftp> {
        Ok(Sftp::new(Engine::start(link, self).await?, self.link_order, session))
    }

    pub(crate) fn opening(&self) -> Duration {
        self.open_timeout
    }

    pub(crate) fn answering(&self) -> Duration {
        self.answer_timeout
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

const OPEN: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(300);
