//! How a client is set up.

use std::time::Duration;

use rustle_session::{Lane, Session};
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
    lane: Lane,
}

/// Which of its two paths a SYMLINK has first; see [`SftpBuilder::link_order`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LinkOrder {
    /// By what the server calls itself: [`Draft`](Self::Draft) for those known to want that from a client which does not
    /// call itself OpenSSH, and [`OpenSsh`](Self::OpenSsh) for all others, known or not.
    #[default]
    Detected,
    /// The target, then the link: OpenSSH's (its `PROTOCOL`, section 4.1), a mistake that was kept.
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
            lane: Lane::Isolated,
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

    /// In which order the server takes the two paths of a symbolic link. [`LinkOrder::Detected`] unless set.
    ///
    /// The protocol does not tell, and a server that has the other order makes a link of the wrong name. OpenSSH's order
    /// is what nearly all servers follow, since they are tried with its `sftp`: paramiko's, Go's, Apache MINA's, and
    /// whatever starts OpenSSH's `sftp-server`, as dropbear does. AsyncSSH's and ssh2's for Node.js follow it for clients
    /// that call themselves OpenSSH and the draft for all others, this one among them: they are told by what they call
    /// themselves. WinSCP, libssh and those two as clients take every server for one that follows the draft unless it
    /// calls itself OpenSSH, which is wrong for most of the others; OpenSSH's own and Go's never follow the draft.
    ///
    /// Over a stream nobody says what the server is, and detection gives OpenSSH's order.
    pub fn link_order(mut self, order: LinkOrder) -> Self {
        self.link_order = order;
        self
    }

    /// Beside whom the channel is where a pool chooses its connection. [`Lane::Isolated`] unless set: a transfer fills its
    /// connection, and short commands on it would wait behind the data; several that are open at once are on several
    /// connections, which a striped transfer needs. Whoever looks at names and attributes, or at small files, sets
    /// [`Lane::Shared`]: no connection is made for it while there is a place on one.
    ///
    /// ```
    /// # async fn example(session: rustle_session::Session) -> rustle_sftp::Result<()> {
    /// use rustle_session::Lane;
    /// use rustle_sftp::Sftp;
    ///
    /// let sftp = Sftp::builder().lane(Lane::Shared).open(&session).await?;
    /// println!("{:?}", sftp.metadata("/etc/hostname").await?);
    /// # Ok(()) }
    /// ```
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
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
        let link = Link::subsystem(session, self.lane).await?;
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
        Ok(Sftp::new(Engine::start(link, self).await?, self.clone(), session))
    }

    /// Whether a server that calls itself this has the link before its target.
    pub(crate) fn link_first(&self, identification: Option<&str>) -> bool {
        match self.link_order {
            LinkOrder::Detected => identification.is_some_and(adapts_to_the_client),
            LinkOrder::OpenSsh => false,
            LinkOrder::Draft => true,
        }
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

/// Whether it follows the draft unless the client calls itself OpenSSH. The software is what stands behind the second
/// hyphen (RFC 4253, section 4.2).
fn adapts_to_the_client(identification: &str) -> bool {
    let software = identification.splitn(3, '-').nth(2).unwrap_or_default();
    ADAPT_TO_THE_CLIENT.iter().any(|name| software.starts_with(name))
}

const ADAPT_TO_THE_CLIENT: [&str; 2] = ["AsyncSSH_", "ssh2js"];

const OPEN: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_link_s_paths_goes_by_what_the_server_calls_itself() {
        let builder = SftpBuilder::default();
        for identification in [
            "SSH-2.0-OpenSSH_10.2",
            "SSH-2.0-dropbear_2025.88",
            "SSH-2.0-paramiko_3.5.0",
            "SSH-2.0-Go",
            "SSH-2.0-APACHE-SSHD-2.15.0",
            "SSH-2.0-not AsyncSSH_2.0",
            "SSH-2.0-",
            "",
        ] {
            assert!(!builder.link_first(Some(identification)), "{identification}");
            let told = builder.clone().link_order(LinkOrder::Draft);
            assert!(told.link_first(Some(identification)), "{identification}");
        }
        for identification in ["SSH-2.0-AsyncSSH_2.21.1", "SSH-2.0-ssh2js1.17.0srv"] {
            assert!(builder.link_first(Some(identification)), "{identification}");
            let told = builder.clone().link_order(LinkOrder::OpenSsh);
            assert!(!told.link_first(Some(identification)), "{identification}");
        }
        assert!(!builder.link_first(None));
    }
}
