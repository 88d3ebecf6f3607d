//! The client.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use rustle_session::Session;
use rustle_sftp_proto::{Extension, ServerLimits};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::engine::{Engine, WeakEngine};
use crate::error::Result;
use crate::options::SftpBuilder;
use crate::transfer::remote_command::Account;

/// An SFTP channel.
///
/// Cheap to clone; every clone is the same channel. It ends when the last clone and the last file opened on it are
/// dropped, or by [`close`](Self::close).
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> rustle_sftp::Result<()> {
/// use rustle_sftp::Sftp;
///
/// let sftp = Sftp::open(&session).await?;
/// println!("reads of {} bytes", sftp.limits().await?.max_read);
/// sftp.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sftp {
    engine: Engine,
    /// How it was set up, for channels that are opened beside it.
    builder: SftpBuilder,
    /// Whose it is, where the connection is known: for what a channel alone cannot do.
    account: Option<Account>,
    /// Channels that go on with what this one had begun when it was lost.
    heirs: Heirs,
}

/// They are known, and not kept open.
#[derive(Clone, Default)]
struct Heirs(Arc<Mutex<Vec<Heir>>>);

/// A channel that goes on with what another had begun, and those that go on with what it had begun itself.
#[derive(Clone)]
struct Heir {
    engine: WeakEngine,
    heirs: Heirs,
}

impl Heirs {
    fn list(&self) -> Vec<Heir> {
        self.lock().clone()
    }

    fn add(&self, heir: &Sftp) {
        let mut heirs = self.lock();
        // One that was lost as well has handed over what it had.
        heirs.retain(|one| !one.engine.has_ended() || !one.heirs.list().is_empty());
        if !heirs.iter().any(|one| Arc::ptr_eq(&one.heirs.0, &heir.heirs.0)) {
            heirs.push(Heir { engine: heir.engine.downgrade(), heirs: heir.heirs.clone() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Heir>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sftp {
    pub(crate) fn new(engine: Engine, builder: SftpBuilder, session: Option<Session>) -> Self {
        Self { engine, builder, account: session.map(Account::new), heirs: Heirs::default() }
    }

    /// Other timeouts or limits than the usual.
    pub fn builder() -> SftpBuilder {
        SftpBuilder::default()
    }

    /// Opens the `sftp` subsystem on a channel of this session.
    ///
    /// # Errors
    /// As [`SftpBuilder::open`].
    ///
    /// # Cancel safety
    /// Dropped, the channel is closed and the server's process ends.
    pub async fn open(session: &Session) -> Result<Self> {
        Self::builder().open(session).await
    }

    /// Speaks SFTP over a stream that has a server at its other end: a process, a socket, a channel of another library.
    ///
    /// # Errors
    /// As [`SftpBuilder::open`].
    ///
    /// # Cancel safety
    /// Dropped, so are the streams.
    pub async fn over<R, W>(reader: R, writer: W) -> Result<Self>
    where
        R: AsyncRead + Send + 'static,
        W: AsyncWrite + Send + 'static,
    {
        Self::builder().over(reader, writer).await
    }

    /// Whether the server has this extension, in the version that this client speaks.
    #[must_use]
    pub fn has(&self, extension: Extension) -> bool {
        self.engine.has(extension)
    }

    /// How much the server takes at once; asked for once a channel. Where it does not say, reads and writes are of
    /// 32 KiB, which every server takes (draft-ietf-secsh-filexfer-02, section 3).
    ///
    /// # Errors
    /// The channel is over.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn limits(&self) -> Result<ServerLimits> {
        self.engine.limits().await
    }

    /// Whether the channel is over: closed on either side, lost, or failed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.engine.has_ended()
    }

    /// Waits until nothing is unanswered on this channel, for at most 5 s; also nothing that was asked for by work which
    /// was dropped: its temporary files are removed, and its files closed. Where this channel was lost and a transfer went on
    /// with another of [its own](crate::Transfer::channels) or of [another connection](crate::Transfer::also_over), that
    /// one is waited for as well. It is for the end, when nothing new is asked. Whoever ends the connections then, and opens
    /// no other channel on them, saves the round trip that [`close`](Self::close) waits for the server's end.
    ///
    /// # Cancel safety
    /// Safe.
    ///
    /// ```no_run
    /// # async fn ended(session: rustle_session::Session, sftp: rustle_sftp::Sftp) {
    /// sftp.settled().await;
    /// session.close(std::time::Duration::from_secs(1)).await;
    /// # }
    /// ```
    pub async fn settled(&self) {
        let heirs = self.all_heirs();
        tokio::join!(self.engine.settled(), join_all(heirs.iter().map(|heir| heir.engine.settled())));
    }

    /// Ends the channel, and waits until it is over. What was asked for before is still answered, for at most 5 s.
    ///
    /// # Cancel safety
    /// Dropped, the channel ends in the background.
    pub async fn close(self) {
        self.engine.end();
        self.engine.ended().await;
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// This channel is over, and `heir` goes on with something that it had begun.
    pub(crate) fn hand_over_to(&self, heir: &Self) {
        self.heirs.add(heir);
    }

    /// Those that go on with the work of this channel, and with that of one another. Only a channel that is over has any, and
    /// one that is not became its heir: so there is no circle.
    fn all_heirs(&self) -> Vec<Heir> {
        let mut all = self.heirs.list();
        let mut seen = 0;
        while let Some(one) = all.get(seen) {
            let more = one.heirs.list();
            all.extend(more);
            seen += 1;
        }
        all
    }

    /// Whether the server has a symbolic link before its target.
    pub(crate) fn link_first(&self) -> bool {
        self.builder.link_first(self.session().map(Session::server_version).as_deref())
    }

    pub(crate) fn options(&self) -> &SftpBuilder {
        &self.builder
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        self.account().map(Account::session)
    }

    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hello = self.engine.hello();
        f.debug_struct("Sftp")
            .field("extensions", &hello.extensions().len())
            .field("closed", &self.is_closed())
            .finish()
    }
}
