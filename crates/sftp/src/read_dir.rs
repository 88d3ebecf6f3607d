//! Listing a directory, entry by entry.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use rustle_sftp_proto::{Answer, NameEntry, Request, StatusCode};

use crate::engine::{OpenHandle, Pending, refused};
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::metadata::Metadata;
use crate::path::{checked, checked_name, join};
use crate::sftp::Sftp;

impl Sftp {
    /// Begins to list a directory; `""` is where the server starts. See [`ReadDir`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotADirectory`], [`ErrorKind::PermissionDenied`].
    ///
    /// # Cancel safety
    /// Dropped, the directory is closed; nothing is changed.
    pub async fn read_dir(&self, path: impl AsRef<[u8]>) -> Result<ReadDir> {
        let path = match checked("list", path)? {
            empty if empty.is_empty() => Bytes::from_static(b"."),
            path => path,
        };
        let opened = self.engine().handle("list", Request::OpenDir { path: path.clone() }).await;
        let handle = explained(self.engine(), opened, Doing::List { path: &path }).await?;
        Ok(ReadDir::new(path, handle))
    }
}

/// The entries of a directory, in the server's order and without `.` and `..`, as they come: a [`Stream`], or one by one
/// with [`next_entry`](Self::next_entry).
///
/// The first entry is there a round trip after the directory is open. Several READDIRs are under way at once, 4 at
/// first and up to 32 as a directory turns out to be long, so that one of 100 000 entries takes some forty round
/// trips where a server answers 100 at a time. In memory are the answers that were asked for and not handed out:
/// about a mebibyte with servers as they are, and less than 48 MiB with one that means harm. The rest waits at the
/// server until more is taken.
///
/// A name that cannot be an entry's (with a slash or a NUL, or empty) is an error of [`ErrorKind::InvalidName`] in
/// its place; what follows is still listed. After any other error the listing is over.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/srv/a", "x").file("/srv/b", "y")).await;
/// let mut entries = sftp.read_dir("/srv").await?;
/// let mut names = Vec::new();
/// while let Some(entry) = entries.next_entry().await? {
///     assert!(entry.metadata().is_file());
///     names.push(entry.name().clone());
/// }
/// names.sort();
/// assert_eq!(names, ["a", "b"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct ReadDir {
    path: Bytes,
    /// Gone when all has been listed.
    handle: Option<OpenHandle>,
    under_way: VecDeque<Pending>,
    /// How many of them there are to be.
    ahead: usize,
    ready: vec::IntoIter<NameEntry>,
    /// How many answers without a name came one after the other.
    empty: usize,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    directory: Bytes,
    name: Bytes,
    metadata: Metadata,
}

impl ReadDir {
    pub(crate) fn new(path: Bytes, handle: OpenHandle) -> Self {
        let mut listing = Self {
            path,
            handle: Some(handle),
            under_way: VecDeque::new(),
            ahead: FIRST_AHEAD,
            ready: Vec::new().into_iter(),
            empty: 0,
        };
        listing.ask();
        listing
    }

    /// The next entry, `None` behind the last.
    ///
    /// # Errors
    /// As above: one with [`ErrorKind::InvalidName`] is about one entry, any other ends the listing.
    ///
    /// # Cancel safety
    /// No entry is lost: dropped, it can be called again.
    pub async fn next_entry(&mut self) -> Result<Option<DirEntry>> {
        self.next().await.transpose()
    }

    /// The directory that is listed, as it was asked for.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Asks for more names until there are enough under way.
    fn ask(&mut self) {
        let Some(handle) = &self.handle else { return };
        while self.under_way.len() < self.ahead {
            let request = Request::ReadDir { handle: handle.handle().clone() };
            self.under_way.push_back(handle.engine().submit(request));
        }
    }

    /// More names, or the end of them.
    fn take(&mut self, answer: Result<Answer>) -> Result<()> {
        match answer? {
            Answer::Names(names) => {
                self.empty = if names.is_empty() { self.empty + 1 } else { 0 };
                if self.empty > MOST_EMPTY {
                    let text = "the server answers again and again that there are more names, and names none";
                    return Err(Error::new(ErrorKind::Protocol, "list", text));
                }
                if names.len() * self.ahead * 2 <= MOST_NAMES {
                    self.ahead = (self.ahead * 2).min(MOST_AHEAD);
                } else if names.len() * self.ahead > MOST_NAMES {
                    self.ahead = (self.ahead / 2).max(1);
                }
                self.ready = names.into_iter();
                self.ask();
                Ok(())
            }
            // Servers answer in any order: names may follow that were asked for before.
            Answer::Status(status) if status.code() == StatusCode::EOF => {
                self.handle = None;
                Ok(())
            }
            other => Err(refused("list", other)),
        }
    }

    fn entry(&self, listed: &NameEntry) -> Option<Result<DirEntry>> {
        if matches!(&listed.name()[..], b"." | b"..") {
            return None;
        }
        Some(checked_name("list", &self.path, listed.name()).map(|name| DirEntry {
            directory: self.path.clone(),
            name,
            metadata: Metadata::new(listed.attributes().clone()),
        }))
    }
}

impl Stream for ReadDir {
    type Item = Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let listing = &mut *self;
        loop {
            while let Some(listed) = listing.ready.next() {
                if let Some(entry) = listing.entry(&listed) {
                    return Poll::Ready(Some(entry));
                }
            }
            let Some(next) = listing.under_way.front_mut() else { return Poll::Ready(None) };
            let answer = ready!(Pin::new(next).poll(cx));
            listing.under_way.pop_front();
            let taken = listing.take(answer.map_err(|failure| failure.error("list")));
            if let Err(error) = taken {
                listing.handle = None;
                listing.under_way.clear();
                return Poll::Ready(Some(Err(error.at(&listing.path))));
            }
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("path", &self.path).field("handle", &self.handle).finish()
    }
}

impl DirEntry {
    /// An entry that another listing than SFTP's has found, under a name that was checked.
    pub(crate) fn new(directory: Bytes, name: Bytes, metadata: Metadata) -> Self {
        Self { directory, name, metadata }
    }

    /// Its name in the directory: never empty, `.` or `..`, and without a slash or a NUL.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// Its path: that of the directory as it was asked for, and the name.
    #[must_use]
    pub fn path(&self) -> Bytes {
        match &self.directory[..] {
            b"." => self.name.clone(),
            directory => join(directory, &self.name),
        }
    }

    /// As [`path`](Self::path), with the `./` of a directory that has no other name: for requests.
    pub(crate) fn path_in_full(&self) -> Bytes {
        join(&self.directory, &self.name)
    }

    /// What the server says about it in the listing; of a link, about the link.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A short directory is listed by the first of them: the others find its end.
const FIRST_AHEAD: usize = 4;

/// With 100 names in an answer, as OpenSSH's, 3200 names under way: enough for 32 000 a second at 100 ms.
const MOST_AHEAD: usize = 32;

/// More names than this are not asked for at once.
const MOST_NAMES: usize = 8192;

/// A server may answer without a name once in a while, and not for ever.
const MOST_EMPTY: usize = 64;
