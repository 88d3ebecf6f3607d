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
}

impl Default for SftpBuilder {
    fn default() -> Self {
        Self { open_timeout: OPEN, answer_timeout: ANSWER, limits: Limits::default() }
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

    /// Opens the `sftp` subsystem on a channel of this session.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the server has no SFTP or something printed before it,
    /// [`ErrorKind::Disconnected`](crate::ErrorKind::Disconnected) with the session's error as its source when no channel could be had,
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    ///
    /// # Cancel safety
    /// Dropped, the channel is closed and the server's process ends.
    pub async fn open(&self, session: &Session) -> Result<Sftp> {
        let link = Link::subsystem(session).await?;
        self.begin(link).await
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
        self.begin(Link::streams(reader, writer)).await
    }

    async fn begin(&self, link: Link) -> Result<Sftp> {
        Ok(Sftp::new(Engine::start(link, self).await?))
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
