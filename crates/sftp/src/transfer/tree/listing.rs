//! A directory of the server, some entries at a time.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::StreamExt as _;

use crate::error::{Error, ErrorKind, Result};
use crate::read_dir::{DirEntry, ReadDir};
use crate::sftp::Sftp;
use crate::transfer::names::Siblings;

/// A directory of the server that is being listed. Dropped, it is closed.
pub(super) struct Listing {
    /// The number that the tree gave it.
    pub(super) number: usize,
    /// The names that were there.
    pub(super) siblings: Siblings,
    path: Bytes,
    entries: ReadDir,
    seen: usize,
}

impl Listing {
    pub(super) async fn open(sftp: &Sftp, number: usize, path: Bytes) -> Result<Self> {
        let entries = sftp.read_dir(&path).await?;
        Ok(Self { number, siblings: Siblings::new(), path, entries, seen: 0 })
    }

    /// The next entries, as many as have come and no more than 256, in the place of any that cannot be one an error; `None`
    /// when it is over. An error that is not about a name is the last.
    pub(super) async fn next(&mut self) -> Option<Vec<Result<DirEntry>>> {
        if self.seen > Siblings::MOST {
            return None;
        }
        let mut entries = vec![self.entries.next().await?];
        while entries.len() < TOGETHER
            && let Some(Some(entry)) = self.entries.next().now_or_never()
        {
            entries.push(entry);
        }
        self.seen += entries.len();
        if self.seen > Siblings::MOST {
            let text = "the server lists more names than are taken here";
            entries.push(Err(Error::new(ErrorKind::Protocol, "list", text).at(&self.path)));
        }
        Some(entries)
    }
}

pub(super) const TOGETHER: usize = 256;

/// No file system takes more: 255 characters of four bytes.
pub(super) const LONGEST_NAME: usize = 1020;
