//! Whole directories from one side to the other.

mod account;
mod already;
mod attempts;
mod certain;
mod compare;
mod comparing;
mod directories;
mod extra;
mod get;
mod listing;
mod moving;
mod plain;
mod put;
mod report;
mod room;
mod routes;
mod rules;
mod sync;
mod targets;

use std::future::{Future, IntoFuture};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustle_session::Session;

use self::account::Listener;
pub use self::account::{Outcome, TreeEvent};
use self::attempts::Attempts;
pub use self::report::{Failure, Skipped, TreeSummary};
use self::room::Room;
pub use self::rules::Compare;
use self::rules::Rules;
pub use self::sync::TreeSync;
use crate::error::Result;
use crate::files::Far;
use crate::sftp::Sftp;
use crate::transfer::options::{Options, Scope};
use crate::transfer::progress::{Meter, Progress, Watcher, watched};
use crate::transfer::rate::Limit;

/// The transfer of a directory with all that is in it, made by [`Sftp::get_dir`] or [`Sftp::put_dir`], and carried out when
/// it is awaited.
///
/// Directories that are there are merged into, files replaced, and what only the target has stays. A file that cannot be
/// moved, a name that cannot be used and a directory that cannot be read are each a [`Failure`] in the [`TreeSummary`]; the rest
/// goes on.
///
/// Files of up to 128 KiB are under way together, up to 256 of them and 16 MiB, as far as the server has handles for them;
/// larger ones two at a time, each with as many requests as the link calls for. Up to 16 directories are listed at once, and
/// what they hold is not read ahead by more than about 4096 entries, so that memory does not grow with the tree: beside
/// those it is the paths of directories that wait, 16 384 at most, and 16 bytes for each name of a directory that is being
/// listed.
///
/// A directory is made before anything in it is, and waited for: the protocol promises an order for requests about the same
/// file alone (draft-ietf-secsh-filexfer-13, section 4.1). That is a round trip for each level of the tree, which all
/// directories of a level share.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/srv/www/index.html", "hi")).await;
/// # let here = tempfile::tempdir()?;
/// let summary = sftp.get_dir("/srv/www", here.path().join("www")).preserve().await?;
/// for failure in &summary.failures {
///     eprintln!("{}", failure.error);
/// }
/// assert_eq!((summary.files, summary.bytes), (1, 2));
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropped, files that were opened are closed and temporary ones removed, here at once and on the server in the background.
/// What has arrived by then stays, and small files that are being written here at this moment are finished.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct TreeTransfer {
    far: Far,
    way: Way,
    options: Options,
    links: LinkPolicy,
    keep_out: bool,
    /// Where the target is compared.
    rules: Option<Arc<Rules>>,
    watcher: Option<Watcher>,
    listener: Option<Listener>,
}

/// What is done with symbolic links that a tree holds.
///
/// ```
/// assert_eq!(rustle_sftp::LinkPolicy::default(), rustle_sftp::LinkPolicy::Skip);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LinkPolicy {
    /// They are left out, and told in [`TreeSummary::skipped`]: as `sftp -r` does. The default, since whoever may write in the
    /// tree decides where a link leads, to a file of somebody else or around in a circle, and since one that is copied may
    /// lead nowhere on the other side.
    #[default]
    Skip,
    /// What they lead to is copied in their place, as by `scp -r`. One that leads to a directory that it is in is a failure:
    /// it would be copied for ever.
    Follow,
    /// They are made again with the same text, wherever that leads on the other side.
    Copy,
}

#[derive(Debug, Clone)]
enum Way {
    Get { remote: Bytes, local: PathBuf },
    Put { local: PathBuf, remote: Bytes },
}

impl Sftp {
    /// Fetches a directory: what is in `remote` will be in `local`, which is made where it is missing. Nothing happens until
    /// the [`TreeTransfer`] is awaited.
    ///
    /// Whatever the server sends, nothing is written outside of `local`: a name that would lead elsewhere is refused, and a
    /// link that is in the way below `local` is not followed.
    pub fn get_dir(&self, remote: impl AsRef<[u8]>, local: impl AsRef<Path>) -> TreeTransfer {
        let remote = Bytes::copy_from_slice(remote.as_ref());
        self.tree_transfer(Way::Get { remote, local: local.as_ref().to_owned() })
    }

    /// Sends a directory: what is in `local` will be in `remote`, which is made where it is missing, in a directory that is
    /// there. Nothing happens until the [`TreeTransfer`] is awaited.
    pub fn put_dir(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> TreeTransfer {
        let remote = Bytes::copy_from_slice(remote.as_ref());
        self.tree_transfer(Way::Put { local: local.as_ref().to_owned(), remote })
    }

    fn tree_transfer(&self, way: Way) -> TreeTransfer {
        TreeTransfer::new(Far::Sftp(self.clone()), way)
    }
}

impl TreeTransfer {
    fn new(far: Far, way: Way) -> Self {
        Self {
            far,
            way,
            options: Options { scope: Scope::InTree, no_follow: true, ..Options::default() },
            links: LinkPolicy::default(),
            keep_out: false,
            rules: None,
            watcher: None,
            listener: None,
        }
    }

    /// Each file takes its place when it is whole; see [`Transfer::atomic`](crate::Transfer::atomic). The tree as a whole does
    /// not.
    pub fn atomic(mut self) -> Self {
        self.options.atomic = true;
        self
    }

    /// Goes on from what an earlier attempt left of each file, by the same proofs as
    /// [`Transfer::resume`](crate::Transfer::resume), and leaves what it has got itself of each when it fails or is dropped.
    ///
    /// A file that is in its place already and has the same SHA-256 is not moved again and counts as
    /// [`unchanged`](TreeSummary::unchanged). One of which only a beginning is there is gone on with
    /// ([`resumed`](TreeSummary::resumed)), and whatever else is there is not used ([`anew`](TreeSummary::anew)). For files
    /// of up to 32 MiB that takes a server that can say a SHA-256: with another, they are moved again.
    ///
    /// With [`atomic`](Self::atomic) the parts are the files `.NAME.rustle-part` beside the targets, and what is in a
    /// target's place stays until the new file is whole: it is only looked at to see whether it is that file already,
    /// whose permissions and times are left as they are then. Without `resume`, an atomic transfer that is interrupted
    /// leaves no part, and there is nothing to go on from but the files that it had finished.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/srv/www/index.html", "hi")).await;
    /// # let here = tempfile::tempdir()?;
    /// # let local = here.path().join("www");
    /// let summary = sftp.get_dir("/srv/www", &local).atomic().resume().await?;
    /// println!("{} bytes moved, {} were there already", summary.bytes, summary.found);
    /// # assert_eq!((summary.files, summary.bytes, summary.found), (1, 2, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(mut self) -> Self {
        self.options.resume = true;
        self
    }

    /// Compares the SHA-256 of both sides of each file; see [`Transfer::verify`](crate::Transfer::verify). A server without
    /// `check-file` makes those of many files with one command, and up to 128 files are under way together.
    pub fn verify(mut self) -> Self {
        self.options.verify = true;
        // The channels are needed for the commands.
        self.options.channels = Some(NonZeroUsize::MIN);
        self
    }

    /// Gives files and directories the permissions and times of the originals, directories when all is in them, the deepest
    /// first. Set-user-id, set-group-id and sticky bits are left out. Otherwise a new directory has the permissions of the
    /// original and those that its owner needs to fill it, less the mask of the side where it is made.
    pub fn preserve(mut self) -> Self {
        self.options.preserve = true;
        self
    }

    /// Leaves blocks of nothing but zeros out of files of more than 128 KiB; see
    /// [`Transfer::sparse`](crate::Transfer::sparse). With [`resume`](Self::resume) it makes no difference.
    pub fn sparse(mut self) -> Self {
        self.options.sparse = true;
        self
    }

    /// At most so many bytes a second, of all files together; what SFTP and SSH add is on top.
    pub fn limit(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.options.limit = Some(bytes_per_second);
        self.options.shared = Some(Limit::new(bytes_per_second));
        self
    }

    /// Shares the work with another connection, to the same machine and the same account. A file that is fetched comes over
    /// whichever has the least under way; one of 64 MiB or more, either way, goes over all together, as with
    /// [`Transfer::also_over`](crate::Transfer::also_over), unless it may be [resumed](Self::resume). All else goes over the
    /// first connection, smaller files that are sent as well, and its loss ends the transfer.
    ///
    /// Another one is help and nothing else. It has to show that it leads to the same files, by one that is the same there
    /// and by the length and time of each. One that does not, that is refused or that is lost is done without; what came over
    /// it is fetched again. Many small files are sent over the first one alone: what a connection was told before it was lost
    /// may be done late, and would undo what was sent again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rustle_session::{Connector, Credentials, PinnedHostKey, SecretString, Target};
    /// # use rustle_testserver::{TestServer, User};
    /// # let files = rustle_testserver::Sftp::memory().file("/srv/www/index.html", "hi");
    /// # let server = TestServer::builder().sftp(files).user(User::new("a").password("b")).start().await?;
    /// # let target = Target::new("127.0.0.1")?.with_user("a")?.with_port(server.port())?;
    /// # let connector = Connector::new(target).host_trust(PinnedHostKey::new(&server.host_key_fingerprint())?);
    /// # let credentials = Credentials::new().password(SecretString::from("b"));
    /// # let first = connector.connect_over(server.duplex()).await?.authenticate(&credentials).await?;
    /// # let second = connector.connect_over(server.duplex()).await?.authenticate(&credentials).await?;
    /// # let here = tempfile::tempdir()?;
    /// use rustle_sftp::Sftp;
    ///
    /// let sftp = Sftp::open(&first).await?;
    /// let summary = sftp.get_dir("/srv/www", here.path().join("www")).also_over(&second).await?;
    /// # assert_eq!(summary.files, 1);
    /// # sftp.close().await;
    /// # server.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn also_over(mut self, session: &Session) -> Self {
        self.options.others.add(session.clone());
        self
    }

    /// As [`also_over`](Self::also_over), with a connection that is made meanwhile, once files of 64 MiB or more together
    /// were found; see [`Transfer::also_connecting`](crate::Transfer::also_connecting).
    ///
    /// ```no_run
    /// # async fn example(sftp: rustle_sftp::Sftp, setup: rustle_session::HostSetup) -> rustle_sftp::Result<()> {
    /// sftp.put_dir("site", "/srv/www").also_connecting(async move { setup.connect().await }).await?;
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

    /// Begins again over another connection when the first one is lost, so many times at most: with a session whose channels
    /// somebody else places, such as a pool's. What is done by then is found as by [`resume`](Self::resume), which this asks
    /// for: where the server can say a SHA-256, none of it is moved again. Where it cannot, an [atomic](Self::atomic) tree
    /// moves its finished files again after each loss. Of parts, and of all files of a tree that is not atomic, what was sent
    /// of more than 32 MiB is read back and compared, all of it, since a server that crashed may have forgotten any, and the
    /// last 32 MiB are sent again.
    ///
    /// What the lost connection was told may still be done, late. With [`atomic`](Self::atomic) that harms nothing on a server
    /// with `posix-rename@openssh.com`: what it writes late is what stands there, and gives the file a later time at most, or
    /// its owner alone the permission to read it, where the connection was lost as a part was taken up again. A part about whose name it was asked, without an answer, is gone on with under another one, `.NAME.rustle-` and twelve
    /// digits, and so is one whose original was written to since, from its beginning. Where the tree ends before such a part
    /// is in its place it is removed; where the last connection is lost it stays, and the error names it. Without that
    /// extension the file that has the name by then, the new one too, may be moved aside late, to `.rustle-` and sixteen digits,
    /// and nothing has the name. Without `atomic` a file
    /// that is emptied, to be sent from its beginning, may be emptied late, behind what was sent again: then what it has is
    /// not the original, and nothing tells it but [`verify`](Self::verify), where that comes later, or a comparison afterwards.
    ///
    /// Beside these, each file of more than 128 KiB goes on by itself after so many losses of its own, as by
    /// [`Transfer::survive`](crate::Transfer::survive). The [`TreeSummary`] is that of the last attempt, and what an earlier
    /// one had moved counts as unchanged there and is told again. Unless this is set, and with any other session, the loss
    /// ends the transfer.
    ///
    /// ```no_run
    /// # async fn example(sftp: rustle_sftp::Sftp) -> rustle_sftp::Result<()> {
    /// let summary = sftp.put_dir("site", "/srv/www").atomic().survive(5).await?;
    /// println!("{} connections were lost on the way", summary.losses);
    /// # Ok(())
    /// # }
    /// ```
    pub fn survive(mut self, losses: u32) -> Self {
        self.options.survive = Some(losses);
        self.options.resume = true;
        self
    }

    /// What is done with symbolic links. [`LinkPolicy::Skip`] unless set. The directory itself may be named by a link, which
    /// is followed.
    pub fn links(mut self, policy: LinkPolicy) -> Self {
        self.links = policy;
        self
    }

    /// Does not go through a link that stands where the directory itself is to be on this side: that is an error, and so is
    /// a directory above it that is missing. For names that come from a server's listing, as with
    /// [`Transfer::no_follow`](crate::Transfer::no_follow). It makes no difference to what is sent.
    pub fn no_follow(mut self) -> Self {
        self.keep_out = true;
        self
    }

    /// At most so many files at once. Unless set, as many as there is room for: up to 256 small ones, since each takes two
    /// round trips in which nothing else of it happens, and two large ones, which fill a link already. It can only make
    /// them fewer; one file after the other is for a server that stumbles over more.
    pub fn files_at_once(mut self, most: NonZeroUsize) -> Self {
        self.options.at_once = Some(most);
        self
    }

    /// Tells of each file, link and failure when it is known what became of it, in that order. It is called where the
    /// transfer runs, and has to return at once.
    pub fn each(mut self, tell: impl FnMut(&TreeEvent<'_>) + Send + 'static) -> Self {
        self.listener = Some(Listener::new(tell));
        self
    }

    /// Tells how far it is, ten times a second and at the end; see [`Progress`].
    pub fn progress(mut self, tell: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.watcher = Some(Watcher::new(tell));
        self
    }

    async fn run(self) -> Result<TreeSummary> {
        match self.far.clone() {
            Far::Sftp(sftp) => self.by_sftp(&sftp).await,
            Far::Commands(commands) => plain::run(self, plain::Means::Commands(commands)).await,
            Far::Scp(scp) => plain::run(self, plain::Means::Scp(scp)).await,
        }
    }

    async fn by_sftp(self, sftp: &Sftp) -> Result<TreeSummary> {
        let Self { far: _, way, options, links, keep_out, rules, watcher, listener } = self;
        let (begun, meter) = (Instant::now(), Meter::new());
        let attempts = Attempts { way, options, links, keep_out, rules, listener };
        // Boxed: it is large, and whoever waits for it would be as well.
        let work = Box::pin(attempts.all(sftp, &meter));
        let mut summary = watched(&meter, watcher, work).await?;
        summary.duration = begun.elapsed();
        Ok(summary)
    }
}

impl IntoFuture for TreeTransfer {
    type Output = Result<TreeSummary>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What each file of a tree needs.
struct Tree<'a> {
    sftp: &'a Sftp,
    options: &'a Options,
    links: LinkPolicy,
    /// A link where the directory itself is to be is not followed.
    keep_out: bool,
    /// Where the target is compared.
    rules: Option<Arc<Rules>>,
    meter: &'a Meter,
    room: Room,
}

impl Tree<'_> {
    /// Whether each file goes as a transfer of its own, however small: hashes of it are asked for.
    fn is_proved(&self) -> bool {
        self.options.verify || self.options.resume
    }

    /// Waits until so many bytes may be moved.
    async fn admit(&self, bytes: u64) {
        if let Some(limit) = &self.options.shared {
            limit.take(bytes).await;
        }
    }

    /// Whether nothing is to be changed.
    fn is_dry(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.dry)
    }

    /// Whether a file of this length goes with many others, or else alone.
    fn is_small(&self, length: u64) -> bool {
        length <= SMALL as u64
    }

    /// Whether a file of this length goes with many others, each as a transfer of its own.
    fn is_small_and_proved(&self, length: u64) -> bool {
        self.is_proved() && self.is_small(length)
    }
}

/// What became of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linked {
    Made,
    /// The target has it already.
    Same,
}

/// What is said where a synchronisation would have to remove something to go on.
const IN_PLACE: &str = "the target has something else in its place, which is not removed for it";

/// Longer files fill a link by themselves; up to this a file is asked for, and written here, as a whole.
const SMALL: usize = 128 * 1024;
