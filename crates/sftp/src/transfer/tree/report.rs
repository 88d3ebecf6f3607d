//! What came of the transfer of a tree.

use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;
use crate::transfer::summary::{Proof, Resumed, Summary, Verified};

/// What came of the transfer of a directory.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory()).await;
/// # let here = tempfile::tempdir()?;
/// std::fs::write(here.path().join("a"), "content")?;
/// let summary = sftp.put_dir(here.path(), "/copy").await?;
/// assert_eq!((summary.files, summary.directories, summary.bytes), (1, 1, 7));
/// assert!(summary.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TreeSummary {
    /// Files that were moved, or completed.
    pub files: u64,
    /// Directories that were made or merged into, the one asked for among them.
    pub directories: u64,
    /// Links that were made, or were there with the same text.
    pub links: u64,
    /// The bytes of the files that were moved, less those that were [`found`](Self::found).
    pub bytes: u64,
    /// Of the files that were moved, those that went on behind a part that an earlier attempt had left, where
    /// [`resume`](crate::TreeTransfer::resume) was asked for. One of which the part was whole has only taken its place.
    pub resumed: u64,
    /// Of those that were resumed, the ones of which the server let only samples be compared ([`Proof::Samples`]).
    pub sampled: u64,
    /// Of the files that were moved, those of which there was something that is not known to be their beginning: it was
    /// not used.
    pub anew: u64,
    /// Bytes that were there, proved, and not moved again, where `resume` was asked for.
    pub found: u64,
    /// What was left out by its kind: links by policy, and devices, pipes and sockets always.
    pub skipped: Vec<Skipped>,
    /// What could not be moved, in the order in which that came out.
    pub failures: Vec<Failure>,
    /// How many more were skipped or failed than are listed: the first 10 000 of each are,
    /// and less where their paths have more than 16 MiB together.
    pub unlisted: u64,
    /// Files of which the server had no way to say what it has, where [`verify`](crate::TreeTransfer::verify) was asked for.
    pub unverified: u64,
    /// Files that were written to while they were read: what arrived may be of two versions. Only files of more than
    /// 128 KiB, or with `verify`, are looked at again; a smaller one of this side that changes is a failure.
    pub changed: u64,
    /// Files and links that were the same already, where the target was compared ([`TreeSync`](crate::TreeSync)), and files
    /// that were proved to be in their places, where [`resume`](crate::TreeTransfer::resume) was asked for.
    pub unchanged: u64,
    /// Files that were the same already but for their permissions, which they were given, where the target was compared:
    /// none of their bytes was moved. One of a target that takes permissions without effect is [`unchanged`](Self::unchanged).
    pub permissions: u64,
    /// What only the target had, and was removed: a directory counts as one.
    pub removed: u64,
    /// What only the target has, and was to be removed, and stays since something failed.
    pub kept: u64,
    /// Files that were moved because the server had no way to say what it has, where
    /// [`Compare::Checksum`](crate::Compare::Checksum) was asked for.
    pub uncompared: u64,
    /// How often the connection was lost and the tree began again over another, and how often a file of more than 128 KiB went
    /// on by itself, which is counted for each: so it may be more than [`survive`](crate::TreeTransfer::survive) was given.
    pub losses: u32,
    /// How long it took, from the call to the end.
    pub duration: Duration,
    /// Bytes of what is listed.
    listed: usize,
}

/// Something that was left out.
///
/// ```
/// # fn example(summary: &rustle_sftp::TreeSummary) {
/// for skipped in &summary.skipped {
///     println!("{}: {:?}", String::from_utf8_lossy(&skipped.path), skipped.kind);
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its path where it was found: on the server, or on this side.
    pub path: Bytes,
    /// What it is: a symbolic link, or something that is no file.
    pub kind: rustle_sftp_proto::FileKind,
}

/// Something that could not be moved.
///
/// ```
/// # fn example(summary: &rustle_sftp::TreeSummary) {
/// let denied = summary.failures.iter().filter(|f| f.error.kind() == rustle_sftp::ErrorKind::PermissionDenied);
/// # let _ = denied.count();
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Its path where it was found: on the server, or on this side. Of a path longer than 4096 bytes, the first ones.
    pub path: Bytes,
    /// Why.
    pub error: Error,
}

impl TreeSummary {
    /// Whether everything was moved, and nothing skipped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.skipped.is_empty()
    }

    pub(super) fn fail(&mut self, path: impl AsRef<[u8]>, error: Error) {
        let said = error.status().map_or(0, |status| status.message().len());
        let bytes = path.as_ref().len() + error.path().map_or(0, <[u8]>::len) + said;
        if self.failures.len() < MOST_LISTED && self.has_room(bytes) {
            self.failures.push(Failure { path: kept(path.as_ref()), error });
        } else {
            self.unlisted += 1;
        }
    }

    /// A file was moved by itself.
    pub(super) fn count(&mut self, moved: &Summary) {
        self.losses += moved.losses;
        let from = moved.resumed.from();
        match &moved.resumed {
            Resumed::From { proof, .. } => {
                self.files += 1;
                self.resumed += 1;
                self.sampled += u64::from(*proof == Proof::Samples);
            }
            Resumed::Anew { .. } => {
                self.files += 1;
                self.anew += 1;
            }
            Resumed::NotAsked | Resumed::NothingFound => self.files += 1,
        }
        self.bytes = self.bytes.saturating_add(moved.length.saturating_sub(from));
        self.count_checked(moved);
    }

    /// A file that was looked at by itself had all its bytes.
    pub(super) fn count_there(&mut self, there: &Summary) {
        self.unchanged += 1;
        self.count_checked(there);
    }

    fn count_checked(&mut self, alone: &Summary) {
        self.found = self.found.saturating_add(alone.resumed.from());
        self.changed += u64::from(alone.changed);
        self.unverified += u64::from(matches!(alone.verified, Verified::Impossible(_)));
    }

    pub(super) fn skip(&mut self, path: impl AsRef<[u8]>, kind: rustle_sftp_proto::FileKind) {
        if self.skipped.len() < MOST_LISTED && self.has_room(path.as_ref().len()) {
            self.skipped.push(Skipped { path: kept(path.as_ref()), kind });
        } else {
            self.unlisted += 1;
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let listed = self.listed.saturating_add(bytes);
        let has_room = listed <= MOST_BYTES;
        if has_room {
            self.listed = listed;
        }
        has_room
    }
}

/// A copy, so that no packet is kept for a name.
fn kept(path: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&path[..path.len().min(LONGEST_SHOWN)])
}

/// A tree in which nothing can be read must not fill the memory with why.
const MOST_LISTED: usize = 10_000;

const MOST_BYTES: usize = 16 * 1024 * 1024;

const LONGEST_SHOWN: usize = 4096;

#[cfg(test)]
mod tests {
    use rustle_sftp_proto::FileKind;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn failures_without_end_are_counted_and_the_first_are_kept() {
        let mut summary = TreeSummary::default();
        for _ in 0..MOST_LISTED + 5 {
            summary.fail("file", Error::new(ErrorKind::Failure, "get", "no"));
            summary.skip("link", FileKind::Symlink);
        }
        assert_eq!((summary.failures.len(), summary.skipped.len(), summary.unlisted), (10_000, 10_000, 10));
        assert!(!summary.is_complete());
    }

    #[test]
    fn long_names_are_cut_and_do_not_fill_the_memory_either() {
        let mut summary = TreeSummary::default();
        for _ in 0..100 {
            summary.fail(vec![b'x'; 1 << 20], Error::new(ErrorKind::Failure, "get", "no").at("x"));
        }
        assert_eq!(summary.failures[0].path.len(), LONGEST_SHOWN);
        assert_eq!(summary.failures.len() as u64 + summary.unlisted, 100);
        assert!(summary.failures.len() < 17, "{}", summary.failures.len());
    }
}
