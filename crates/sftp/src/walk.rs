//! A directory with all that is below it.

mod list;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};

use crate::error::{Error, ErrorKind, Result};
use crate::metadata::Metadata;
use crate::read_dir::ReadDir;
use crate::sftp::Sftp;

impl Sftp {
    /// Walks over all that is below a directory; see [`Walk`].
    pub fn walk(&self, path: impl AsRef<[u8]>) -> WalkBuilder {
        WalkBuilder {
            sftp: self.clone(),
            path: Bytes::copy_from_slice(path.as_ref()),
            max_depth: usize::MAX,
            links: Links::Keep,
            order: Order::AsFound,
        }
    }
}

/// How a tree is walked over; made by [`Sftp::walk`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WalkBuilder {
    sftp: Sftp,
    path: Bytes,
    max_depth: usize,
    links: Links,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Keep,
    Follow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsFound,
    Sorted,
}

impl WalkBuilder {
    /// Goes no deeper: the entries of the directory itself have depth 1. Without a limit unless set.
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Follows symbolic links, which are then what they lead to. One that leads to a directory that is being walked
    /// over from above is an error in its place ([`ErrorKind::InvalidArgument`]), and one that leads nowhere stays a
    /// link. Links are kept unless set: each that is followed costs three round trips, and may lead out of the tree.
    pub fn follow_links(mut self) -> Self {
        self.links = Links::Follow;
        self
    }

    /// Lists each directory by the bytes of its names, and what is below an entry right behind it. It costs memory
    /// for the names of a directory and of those above it, and directories are listed one after the other. In the
    /// order in which answers come unless set.
    pub fn sorted(mut self) -> Self {
        self.order = Order::Sorted;
        self
    }

    /// Begins. Nothing is asked for before the stream is polled.
    pub fn start(self) -> Walk {
        let root = Waiting { path: self.path.clone(), depth: 0, real: None };
        let waiting = if self.max_depth > 0 { vec![root] } else { Vec::new() };
        Walk { listing: FuturesUnordered::new(), waiting, ready: Vec::new(), options: self }
    }
}

/// What is below a directory, as a [`Stream`] of [`WalkEntry`]s; an entry comes before what is below it.
///
/// Up to 8 directories are listed at once, unless it is [sorted](WalkBuilder::sorted). A directory that cannot be
/// listed, and a name that cannot be one, is an error in its place, with its path; the rest is walked over
/// nevertheless: whoever wants to stop drops the stream. After an error of the whole channel it is over.
///
/// In memory are the directories that were found and not yet listed, with about 200 bytes and their path each; more
/// than a million of them are an error that ends the walk.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/srv/a/b", "x").file("/srv/c", "y")).await;
/// use futures_util::TryStreamExt;
///
/// let found: Vec<_> = sftp.walk("/srv").sorted().start().try_collect().await?;
/// let paths: Vec<_> = found.iter().map(|entry| entry.path().clone()).collect();
/// assert_eq!(paths, ["/srv/a", "/srv/a/b", "/srv/c"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Walk {
    options: WalkBuilder,
    listing: FuturesUnordered<BoxFuture<'static, Batch>>,
    waiting: Vec<Waiting>,
    /// Entries that are here, where it is sorted one queue for each directory above.
    ready: Vec<VecDeque<Found>>,
}

/// An entry below the directory that is walked over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkEntry {
    path: Bytes,
    name: Bytes,
    depth: usize,
    metadata: Metadata,
}

/// A directory that is to be listed.
struct Waiting {
    path: Bytes,
    depth: usize,
    /// Where it really is, where links are followed.
    real: Option<Arc<Real>>,
}

/// Where a directory really is, and those above it in this walk.
struct Real {
    path: Bytes,
    above: Option<Arc<Real>>,
}

/// An entry, and itself as a directory that is to be listed.
type Found = Result<(WalkEntry, Option<Waiting>)>;

/// A part of a directory.
struct Batch {
    entries: Vec<Found>,
    /// What is left of it.
    rest: Option<Listing>,
}

struct Listing {
    entries: ReadDir,
    depth: usize,
    real: Option<Arc<Real>>,
}

impl WalkEntry {
    /// Its path: that of the directory as it was given, and the names below it.
    #[must_use]
    pub fn path(&self) -> &Bytes {
        &self.path
    }

    /// The last name of its path.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// How deep it is: 1 for the entries of the directory itself.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What the server says about it; of a link, about the link, unless links are followed.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Walk {
    /// Lists more directories, as many as may be under way.
    fn begin(&mut self) {
        let most = if self.is_sorted() { 1 } else { MOST_LISTINGS };
        while self.listing.len() < most
            && let Some(directory) = self.waiting.pop()
        {
            self.listing.push(Box::pin(list::open(self.options.clone(), directory)));
        }
    }

    fn receive(&mut self, batch: Batch) {
        if let Some(rest) = batch.rest {
            self.listing.push(Box::pin(list::more(self.options.clone(), rest)));
        }
        self.ready.push(batch.entries.into());
    }

    /// What is handed out next, if it is here. Where it is sorted, what is below an entry comes right behind it.
    fn next_ready(&mut self) -> Option<Result<WalkEntry>> {
        if self.is_sorted() && !(self.waiting.is_empty() && self.listing.is_empty()) {
            return None;
        }
        while let Some(level) = self.ready.last_mut() {
            match level.pop_front() {
                Some(Ok((entry, directory))) => {
                    self.waiting.extend(directory);
                    return Some(if self.waiting.len() > MOST_WAITING {
                        Err(self.too_many())
                    } else {
                        Ok(entry)
                    });
                }
                Some(Err(error)) => {
                    if matches!(
                        error.kind(),
                        ErrorKind::Disconnected | ErrorKind::Protocol | ErrorKind::Timeout
                    ) {
                        self.stop();
                    }
                    return Some(Err(error));
                }
                None => drop(self.ready.pop()),
            }
        }
        None
    }

    fn too_many(&mut self) -> Error {
        self.stop();
        let text = format!("more than {MOST_WAITING} directories wait to be listed");
        Error::new(ErrorKind::Failure, "walk", text).at(&self.options.path)
    }

    fn stop(&mut self) {
        self.ready.clear();
        self.listing.clear();
        self.waiting.clear();
    }

    fn is_sorted(&self) -> bool {
        self.options.order == Order::Sorted
    }
}

impl Stream for Walk {
    type Item = Result<WalkEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(entry) = self.next_ready() {
                return Poll::Ready(Some(entry));
            }
            self.begin();
            match ready!(self.listing.poll_next_unpin(cx)) {
                Some(batch) => self.receive(batch),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("options", &self.options).field("waiting", &self.waiting.len()).finish()
    }
}

/// Each has a handle open; servers have a hundred and more.
const MOST_LISTINGS: usize = 8;

const MOST_WAITING: usize = 1_000_000;
