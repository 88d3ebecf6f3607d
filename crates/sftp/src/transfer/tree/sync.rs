//! A directory of one side made equal to one of the other.

use std::future::{Future, IntoFuture};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::error::Result;
use crate::sftp::Sftp;
use crate::transfer::progress::Progress;
use crate::transfer::tree::account::TreeEvent;
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::rules::{Compare, Rules, excluding};
use crate::transfer::tree::{LinkPolicy, TreeTransfer, Way};

/// A directory that is made equal to one of the other side, made by [`Sftp::sync_to`] or [`Sftp::sync_from`], and carried
/// out when it is awaited.
///
/// A file that is the same already is left alone; what is the same says [`compare`](Self::compare). Every other takes the
/// place of what is there when it is whole and stored: whatever happens, there is the old file or the new one. Files and
/// directories have the permissions and times of the originals. A file that is the same but for its permissions gets those,
/// and none of its bytes is moved ([`permissions`](TreeSummary::permissions)); only where that is refused, as for a file of
/// somebody else, it is moved. Where they are taken without effect, as by a FAT file system, it stays as it is and counts
/// as [`unchanged`](TreeSummary::unchanged); a dry run, which does not try, counts it under permissions. On Windows a file
/// has one permission, that of being written to, and no other is compared there. What only the target has stays, unless [`delete`](Self::delete) says otherwise. Nothing is changed through a link
/// below the target: a file takes a link's place, and a link in the place of a directory is a failure.
///
/// A file that cannot be moved and a directory that cannot be read are each a [`Failure`](crate::Failure) in the
/// [`TreeSummary`]; the rest goes on. What is in memory is that of a [`TreeTransfer`], and the names of up to 16 directories
/// of the target that are being compared.
///
/// # A file that changes twice in a second
/// SFTP version 3 has times in whole seconds. A file that was changed in the second in which it was read may be changed once
/// more in that second, with the same length: it would look the same for ever. So a file that was changed after the
/// synchronisation began, or shortly before, has a time in the target that is a second older: the next one compares it as
/// changed, and moves it again, with its own time. "Shortly" is 2 seconds where this side is the source, whose clock is
/// known, and 60 where the server is: a clock there that is further behind than that is not made up for, but by
/// [`Compare::Checksum`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/srv/www/old.html", "old")).await;
/// # let here = tempfile::tempdir()?;
/// std::fs::write(here.path().join("index.html"), "hi")?;
/// let summary = sftp.sync_to(here.path(), "/srv/www").delete().exclude("*.tmp").await?;
/// assert_eq!((summary.files, summary.unchanged, summary.removed), (1, 0, 1));
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropped, files that were opened are closed and temporary ones removed, here at once and on the server in the background.
/// What has its place by then stays, and small files that are being written here at this moment are finished.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct TreeSync {
    transfer: TreeTransfer,
    compare: Compare,
    delete: bool,
    dry: bool,
    excluded: Vec<Bytes>,
}

impl Sftp {
    /// Makes a directory of the server equal to one of this side; it is made where it is missing, in a directory that is
    /// there. Nothing happens until the [`TreeSync`] is awaited.
    pub fn sync_to(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> TreeSync {
        TreeSync::new(self.put_dir(local, remote))
    }

    /// Makes a directory of this side equal to one of the server; it is made where it is missing. Nothing happens until the
    /// [`TreeSync`] is awaited.
    ///
    /// Whatever the server sends, nothing is written or removed outside of `local`.
    pub fn sync_from(&self, remote: impl AsRef<[u8]>, local: impl AsRef<Path>) -> TreeSync {
        TreeSync::new(self.get_dir(remote, local))
    }
}

impl TreeSync {
    fn new(transfer: TreeTransfer) -> Self {
        let mut transfer = transfer.atomic().preserve();
        transfer.options.replace_links = true;
        Self { transfer, compare: Compare::default(), delete: false, dry: false, excluded: Vec::new() }
    }

    /// Removes what only the target has, directories with all that is in them, when everything else is done. If anything
    /// failed by then, a directory of the source that could not be read for one, nothing is removed:
    /// [`TreeSummary::kept`] says of how much.
    ///
    /// A directory that something was put into is listed once more before: what may be the same file by another name, as case
    /// and the spelling of an accent make no difference to some file systems, is not removed either, and is a failure. The
    /// same is done for directories: where one of the source is there and is not listed under its name, it is one with
    /// another, and below all directories beside it nothing is removed. Directories get their permissions and times after
    /// that.
    ///
    /// A directory that is to go and that its owner may not write in is opened up first, as rsync does; what is left of
    /// one since something in it is excluded has its permissions again. In a directory of somebody else that is no help: that
    /// is a failure which names what cannot be removed.
    pub fn delete(mut self) -> Self {
        self.delete = true;
        self
    }

    /// When a file of the target is taken for the same. [`Compare::TimeAndSize`] unless set.
    ///
    /// For [`Compare::Checksum`] the server's SHA-256 comes from `check-file` or from a program of the account, one command
    /// for up to 64 files. A file of which the server has no way to say it is moved, and counted in
    /// [`TreeSummary::uncompared`].
    pub fn compare(mut self, compare: Compare) -> Self {
        self.compare = compare;
        self
    }

    /// Changes nothing: what it would do is told to [`each`](Self::each), and counted in the [`TreeSummary`].
    pub fn dry_run(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Leaves alone what fits this pattern: it is neither moved nor removed. Patterns are those of [`Sftp::glob`], read as in
    /// `.gitignore`: one without a slash is for a name at any depth, others are for paths from the top on, and one with a
    /// slash at its end is for directories alone. It may be called more than once.
    pub fn exclude(mut self, pattern: impl AsRef<[u8]>) -> Self {
        self.excluded.push(Bytes::copy_from_slice(pattern.as_ref()));
        self
    }

    /// What is done with symbolic links of the source; see [`TreeTransfer::links`]. One that is left out leaves alone what
    /// the target has by its name.
    pub fn links(mut self, policy: LinkPolicy) -> Self {
        self.transfer = self.transfer.links(policy);
        self
    }

    /// As [`TreeTransfer::limit`].
    pub fn limit(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.transfer = self.transfer.limit(bytes_per_second);
        self
    }

    /// As [`TreeTransfer::files_at_once`].
    pub fn files_at_once(mut self, most: NonZeroUsize) -> Self {
        self.transfer = self.transfer.files_at_once(most);
        self
    }

    /// Tells of each thing that is done, or with [`dry_run`](Self::dry_run) would be, and of each failure.
    pub fn each(mut self, tell: impl FnMut(&TreeEvent<'_>) + Send + 'static) -> Self {
        self.transfer = self.transfer.each(tell);
        self
    }

    /// Tells how far it is, ten times a second and at the end; see [`Progress`]. Files that are the same do not count.
    pub fn progress(mut self, tell: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.transfer = self.transfer.progress(tell);
        self
    }

    async fn run(self) -> Result<TreeSummary> {
        let Self { mut transfer, compare, delete, dry, excluded } = self;
        let excluded = excluded.iter().map(|pattern| excluding(pattern)).collect::<Result<_>>()?;
        transfer.rules = Some(Arc::new(Rules { compare, delete, dry, excluded }));
        let shortly = match transfer.way {
            Way::Put { .. } => OURS,
            Way::Get { .. } => THEIRS,
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let since = since.saturating_sub(shortly).as_secs();
        transfer.options.fresh_since = Some(u32::try_from(since).unwrap_or(u32::MAX));
        transfer.run().await
    }
}

impl IntoFuture for TreeSync {
    type Output = Result<TreeSummary>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// The coarsest clock of a file system, that of FAT.
const OURS: Duration = Duration::from_secs(2);

/// Machines whose clocks are set by the network differ by less.
const THEIRS: Duration = Duration::from_secs(60);
