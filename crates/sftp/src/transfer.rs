//! Files from one side to the other.

pub(crate) mod fetch;
pub(crate) mod get;
pub(crate) mod hashes;
pub(crate) mod lane;
pub(crate) mod marks;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod others;
pub(crate) mod parts;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod put;
pub(crate) mod rate;
pub(crate) mod remote_command;
pub(crate) mod resume;
pub(crate) mod store;
pub(crate) mod stripe;
pub(crate) mod summary;
pub(crate) mod survival;
pub(crate) mod temporary;
pub(crate) mod tree;
pub(crate) mod verify;
pub(crate) mod window;
pub(crate) mod witness;

use std::future::{Future, IntoFuture};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::future::{Either, select};
use rustle_session::Session;
use rustle_sftp_proto::Extension;

use crate::error::Result;
use crate::files::Far;
use crate::sftp::Sftp;
use crate::transfer::options::Options;
use crate::transfer::progress::{Meter, Progress, Watcher, watched};
use crate::transfer::summary::Summary;

/// The transfer of one file, made by [`Sftp::get`], [`Sftp::put`] and their like of [`Files`](crate::Files), and carried
/// out when it is awaited.
///
/// ```no_run
/// # async fn example(sftp: rustle_sftp::Sftp) -> rustle_sftp::Result<()> {
/// sftp.put("target/release/app", "/srv/app/app").atomic().verify().preserve().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropped, files that were opened are closed and temporary ones are removed, here at once and on the server in the
/// background, over any channel that it has by then. Where all are lost and none was opened in their place, nobody can tell
/// the server: its temporary file stays, as `.NAME.rustle-` and twelve digits beside the target. An error names it then.
/// A file that is written in place keeps what it has got by then, see [`atomic`](Self::atomic), and so does the part of one
/// that can be [resumed](Self::resume).
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Transfer {
    far: Far,
    way: Way,
    options: Options,
    watcher: Option<Watcher>,
}

#[derive(Debug)]
enum Way {
    Get { remote: Bytes, local: PathBuf },
    Put { local: PathBuf, remote: Bytes },
}

impl Sftp {
    /// Fetches a file. Nothing happens until the [`Transfer`] is awaited.
    ///
    /// Many reads are under way at once, as many as the link's round trip and rate call for, up to 32 MiB of them.
    pub fn get(&self, remote: impl AsRef<[u8]>, local: impl AsRef<Path>) -> Transfer {
        let remote = Bytes::copy_from_slice(remote.as_ref());
        self.transfer(Way::Get { remote, local: local.as_ref().to_owned() })
    }

    /// Sends a file. Nothing happens until the [`Transfer`] is awaited.
    ///
    /// Many writes are under way at once, as many as the link's round trip and rate call for, up to 32 MiB of them.
    pub fn put(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> Transfer {
        let remote = Bytes::copy_from_slice(remote.as_ref());
        self.transfer(Way::Put { local: local.as_ref().to_owned(), remote })
    }

    fn transfer(&self, way: Way) -> Transfer {
        Transfer::new(Far::Sftp(self.clone()), way)
    }
}

impl Transfer {
    fn new(far: Far, way: Way) -> Self {
        Self { far, way, options: Options::default(), watcher: None }
    }

    pub(crate) fn of_get(far: Far, remote: &[u8], local: &Path) -> Self {
        let remote = Bytes::copy_from_slice(remote);
        Self::new(far, Way::Get { remote, local: local.to_owned() })
    }

    pub(crate) fn of_put(far: Far, local: &Path, remote: &[u8]) -> Self {
        let remote = Bytes::copy_from_slice(remote);
        Self::new(far, Way::Put { local: local.to_owned(), remote })
    }

    /// Writes a temporary file beside the target, has it stored, and puts it in the target's place at the end: whatever
    /// happens, there is the old file or the new one, never a part. Owner, hard links and extended attributes of a file
    /// that is replaced are lost; its permissions are kept. A link stays, and what it leads to is replaced.
    pub fn atomic(mut self) -> Self {
        self.options.atomic = true;
        self
    }

    /// Goes on from what an earlier attempt left, and leaves what it has got itself when it fails or is dropped: a later
    /// transfer, on another [`Sftp`] too, goes on from there. With [`atomic`](Self::atomic) that is the file
    /// `.NAME.rustle-part` beside the target, else the target itself.
    ///
    /// A part is used only when it is proved to be the beginning of the file, never by its length. The proof is its
    /// SHA-256, which the server makes by `check-file` or by a program of the account. Where it has neither, blocks at the
    /// end, at the beginning and at random places are compared, and the last 32 MiB are moved again, since they may have
    /// holes. A part that is not proved is thrown away. What was done, and by which proof, is in [`Summary::resumed`].
    ///
    /// Two transfers to one file of this side exclude each other where they are atomic. A server has no locks: two that
    /// send to one file there at the same time, resumed both, spoil it. So does, where blocks are compared, what other
    /// programs left with holes; [`verify`](Self::verify) finds either where the server can.
    ///
    /// A part on the server can be read and written by its owner, whatever the original's permissions: with others nobody
    /// could go on with it. What takes its place [atomically](Self::atomic) has then those that it would have without this;
    /// what is sent in place keeps its owner's, unless [`preserve`](Self::preserve) or [`mode`](Self::mode) says otherwise.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rustle_session::{Connector, Credentials, PinnedHostKey, SecretString, Target};
    /// # use rustle_testserver::{TestServer, User};
    /// # let files = rustle_testserver::Sftp::memory().file("/log", "one two");
    /// # let server = TestServer::builder().sftp(files).user(User::new("a").password("b")).start().await?;
    /// # let target = Target::new("127.0.0.1")?.with_user("a")?.with_port(server.port())?;
    /// # let connector = Connector::new(target).host_trust(PinnedHostKey::new(&server.host_key_fingerprint())?);
    /// # let credentials = Credentials::new().password(SecretString::from("b"));
    /// # let session = connector.connect_over(server.duplex()).await?.authenticate(&credentials).await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let local = folder.path().join("log");
    /// use rustle_sftp::{Resumed, Sftp};
    ///
    /// let sftp = Sftp::open(&session).await?;
    /// let summary = sftp.get("/log", &local).atomic().resume().await?;
    /// match summary.resumed {
    ///     Resumed::From { from, .. } => println!("{from} bytes were there already"),
    ///     Resumed::Anew { found, why } => println!("{found} bytes were there and not used: {why}"),
    ///     _ => println!("nothing was there"),
    /// }
    /// # assert_eq!(std::fs::read(&local)?, b"one two");
    /// # sftp.close().await;
    /// # server.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(mut self) -> Self {
        self.options.resume = true;
        self
    }

    /// Compares the SHA-256 of both sides at the end, before an atomic transfer takes its place. The server's comes from
    /// `check-file` or from a program of the account; where there is neither, the [`Summary`] says so.
    pub fn verify(mut self) -> Self {
        self.options.verify = true;
        self
    }

    /// Gives the copy the permissions and times of the original. Set-user-id, set-group-id and sticky bits are left out.
    pub fn preserve(mut self) -> Self {
        self.options.preserve = true;
        self
    }

    /// Gives the copy these permission bits, of which `0o777` count, whatever the original has. Unless set, a new file has those of the
    /// original less the mask of the side where it is made.
    pub fn mode(mut self, bits: u32) -> Self {
        self.options.mode = Some(bits & 0o777);
        self
    }

    /// Does not write through a link that stands where the file is to be on this side: in place that is an error, and an
    /// [atomic](Self::atomic) transfer takes the link's place. For names that come from a server's listing: an earlier
    /// answer may have put the link there, or it leads where nobody meant. It makes no difference to what is sent.
    pub fn no_follow(mut self) -> Self {
        self.options.no_follow = true;
        self
    }

    /// Leaves blocks of nothing but zeros out of a file that is made anew, as `cp --sparse=always`: they take no room on a
    /// disk whose file system has holes, and are not sent. What is written behind them makes them zeros
    /// (draft-ietf-secsh-filexfer-02, section 6.4). With [`resume`](Self::resume) it makes no difference.
    ///
    /// The holes that a file has already are always left out when it is sent, where this system can tell them: on Linux.
    /// SFTP does not tell those of a file that is fetched.
    pub fn sparse(mut self) -> Self {
        self.options.sparse = true;
        self
    }

    /// At most so many bytes a second, of the file's; what SFTP and SSH add is on top.
    pub fn limit(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.options.limit = Some(bytes_per_second);
        self
    }

    /// At most so many channels of each connection, from 1 to 8; those that the server refuses are done without. Unless set,
    /// as many as fill a link of 1 Gb/s: one, and up to 8 to send over a long link, where OpenSSH's server takes no more than
    /// 2 MiB a channel at once. With [`resume`](Self::resume) it is always one.
    ///
    /// With a session of a pool each is on a connection of its own, as far as the pool's limits go.
    ///
    /// Each opens the file by its name again, which may be another's by then. So one that is fetched must have the length
    /// and time that it had, and it and one that is sent in place must have, there too, a part that was just moved; a file
    /// that has not is left alone.
    pub fn channels(mut self, most: NonZeroUsize) -> Self {
        self.options.channels = Some(most);
        self
    }

    /// Shares the work with another connection, to the same machine or to one with the same files: one connection is
    /// limited by one processor on each side. It has a channel at least where there are 4 MiB for it to move.
    ///
    /// It is help and nothing else: one that is refused, lost or leads to other files is done without, and only the loss
    /// of the last channel ends the transfer. That it leads to the same file is shown as for
    /// [`channels`](Self::channels). With [`resume`](Self::resume), and where there is no SFTP, it is left alone.
    ///
    /// What was sent over one that is lost is believed as far as it was confirmed: of one machine that lives on, it is there.
    /// Another machine with the same files may crash by itself and forget what it had not passed on, which
    /// [`verify`](Self::verify) finds.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rustle_session::{Connector, Credentials, PinnedHostKey, SecretString, Target};
    /// # use rustle_testserver::{TestServer, User};
    /// # let content = vec![7; 16 << 20];
    /// # let files = rustle_testserver::Sftp::memory().file("/image", content.clone());
    /// # let server = TestServer::builder().sftp(files).user(User::new("a").password("b")).start().await?;
    /// # let target = Target::new("127.0.0.1")?.with_user("a")?.with_port(server.port())?;
    /// # let connector = Connector::new(target).host_trust(PinnedHostKey::new(&server.host_key_fingerprint())?);
    /// # let credentials = Credentials::new().password(SecretString::from("b"));
    /// # let first = connector.connect_over(server.duplex()).await?.authenticate(&credentials).await?;
    /// # let second = connector.connect_over(server.duplex()).await?.authenticate(&credentials).await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let local = folder.path().join("image");
    /// use rustle_sftp::Sftp;
    ///
    /// let sftp = Sftp::open(&first).await?;
    /// let summary = sftp.get("/image", &local).also_over(&second).await?;
    /// println!("{} channels carried {} bytes", summary.channels, summary.length);
    /// # assert!(std::fs::read(&local)? == content);
    /// # sftp.close().await;
    /// # server.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn also_over(mut self, session: &Session) -> Self {
        self.options.others.add(session.clone());
        self
    }

    /// As [`also_over`](Self::also_over), with a connection that is made meanwhile, for a file of which 64 MiB or more are
    /// to be moved: for less the login costs more than it gains, and `connecting` is never polled. What becomes of it does
    /// not hold the transfer up. Whoever wants to close the session afterwards keeps a clone of it.
    ///
    /// ```no_run
    /// # async fn example(sftp: rustle_sftp::Sftp, setup: rustle_session::HostSetup) -> rustle_sftp::Result<()> {
    /// sftp.put("disk.img", "/srv/disk.img").also_connecting(async move { setup.connect().await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn also_connecting(
        mut self,
        connecting: impl Future<Output = rustle_session::Result<Session>> + Send + 'static,
    ) -> Self {
        self.options.others.add_to_come(connecting);
        self
    }

    /// How many losses of its last connection it goes on after, where others are to be had: with a session whose channels
    /// somebody else places, such as a pool's. 5 unless set; with 0, and with any other session, such a loss ends it. The
    /// connection is made as the pool makes any: its host key is checked, and a person may be asked.
    ///
    /// It goes on from what the server had confirmed. A file that is fetched has to be as it was: its length, its time, and
    /// the bytes that came last; one that is not is [`Changed`](crate::ErrorKind::Changed). Two versions of one length and of
    /// one second that have those bytes in common are not told apart; [`verify`](Self::verify) does, where the server can.
    ///
    /// One that is sent is compared up to there with the original, all of it, since a server that crashed may have forgotten
    /// any of it: by the SHA-256 of both sides, or else by reading it back within the [limit](Self::limit), which takes as
    /// long as to send it. The rest is sent again; nothing is sent to a file of which that is not shown, but that is `Changed`
    /// too. Where nothing was confirmed it begins again, over whatever has the name, unless that is longer than what was sent.
    /// The original is the file that was opened, whatever has its name by then; where it was written to meanwhile, the `Changed`
    /// names it.
    /// At the end the file has to be as long as what was sent; another length is [`Mismatch`](crate::ErrorKind::Mismatch).
    ///
    /// Where zeros are left out (see [`sparse`](Self::sparse)), the rest is cut off before it is sent again. The loss of a
    /// connection that was told to, and has not answered, ends the transfer: its server may still do it, late, behind what
    /// another connection would have written.
    ///
    /// What is lost before the file is open, or when all is moved and it is put in its place, is an error, and so is the loss
    /// of a file whose permissions do not let its owner write it.
    ///
    /// ```no_run
    /// # async fn example(sftp: rustle_sftp::Sftp) -> rustle_sftp::Result<()> {
    /// let summary = sftp.put("disk.img", "/srv/disk.img").atomic().survive(20).await?;
    /// println!("{} connections were lost on the way", summary.losses);
    /// # Ok(())
    /// # }
    /// ```
    pub fn survive(mut self, losses: u32) -> Self {
        self.options.survive = Some(losses);
        self
    }

    /// Tells how far it is, ten times a second and at the end; see [`Progress`].
    pub fn progress(mut self, tell: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.watcher = Some(Watcher::new(tell));
        self
    }

    async fn run(self) -> Result<Summary> {
        let Self { far, way, options, watcher } = self;
        let meter = Meter::new();
        let work = async {
            match (far, way) {
                (Far::Sftp(sftp), Way::Get { remote, local }) => {
                    let got = get::get(&sftp, remote, local, &options, &meter);
                    beside(&sftp, &options, Box::pin(got)).await
                }
                (Far::Sftp(sftp), Way::Put { local, remote }) => {
                    let put = put::put(&sftp, local, remote, &options, &meter);
                    beside(&sftp, &options, Box::pin(put)).await
                }
                (Far::Commands(commands), Way::Get { remote, local }) => {
                    Box::pin(commands.get(&remote, local, &options, &meter)).await
                }
                (Far::Commands(commands), Way::Put { local, remote }) => {
                    Box::pin(commands.put(local, &remote, &options, &meter)).await
                }
                (Far::Scp(scp), Way::Get { remote, local }) => {
                    Box::pin(scp.get(&remote, local, &options, &meter)).await
                }
                (Far::Scp(scp), Way::Put { local, remote }) => {
                    Box::pin(scp.put(local, &remote, &options, &meter)).await
                }
            }
        };
        watched(&meter, watcher, work).await
    }
}

impl IntoFuture for Transfer {
    type Output = Result<Summary>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Finds out meanwhile what runs commands, where the transfer will have one make a hash.
async fn beside(
    sftp: &Sftp,
    options: &Options,
    transfer: impl Future<Output = Result<Summary>> + Unpin,
) -> Result<Summary> {
    let is_wanted = (options.verify || options.resume) && !sftp.has(Extension::CheckFile);
    let Some(account) = sftp.account().filter(|_| is_wanted) else { return transfer.await };
    match select(transfer, pin!(account.look_up())).await {
        Either::Left((done, _)) => done,
        Either::Right(((), transfer)) => transfer.await,
    }
}
