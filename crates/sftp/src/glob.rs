//! Names by a pattern.

pub(crate) mod pattern;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};

use self::pattern::{Component, Pattern};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{Entries, Files};
use crate::metadata::Metadata;
use crate::path::{checked, join};
use crate::read_dir::DirEntry;
use crate::sftp::Sftp;

impl Sftp {
    /// Finds the paths that fit a pattern; see [`Glob`]. Nothing is asked for before the stream is polled.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] for a NUL, [`ErrorKind::InvalidArgument`] for `..` behind a `**`.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Glob> {
        Files::from(self.clone()).glob(pattern)
    }
}

impl Files {
    /// Finds the paths that fit a pattern; see [`Glob`]. Nothing is asked for before the stream is polled. By commands, one
    /// directory is listed after the other.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] for a NUL, [`ErrorKind::InvalidArgument`] for `..` behind a `**`.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Glob> {
        let pattern = checked("glob", pattern)?;
        let pattern = Arc::new(Pattern::new(&pattern)?);
        let begin = Waiting { path: Bytes::from_static(pattern.root()), places: pattern.at(0) };
        Ok(Glob {
            files: self.clone(),
            pattern,
            waiting_bytes: begin.path.len(),
            waiting: vec![begin],
            looking: FuturesUnordered::new(),
            ready: VecDeque::new(),
        })
    }
}

/// The paths that fit a pattern, as a [`Stream`] of [`GlobEntry`]s in the order in which answers come.
///
/// - `*` is any number of characters but `/`, `?` is one, `[a-z]` one of these and `[!a-z]` one of all others. A
///   character is one of UTF-8, and elsewhere a byte.
/// - `**` between slashes is any number of directories, none included; links are not followed there. At the end it is
///   all that is below.
/// - A name that begins with a dot is fit by a pattern that begins with one.
/// - `\` takes the next character as it is. Capitals and small letters differ. There are no `{a,b}`.
/// - With a slash at its end it is fit by directories alone.
///
/// Only what the pattern needs is listed, each directory once, up to 8 at a time; parts without any of these
/// characters are not listed at all. A directory that may not be listed is an error in its place, and the rest is
/// found nevertheless; one that is not there fits nothing.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let files = rustle_testserver::Sftp::memory().file("/log/a.log", "x").file("/log/old/b.log", "y").file("/log/c", "z");
/// # let (server, sftp) = served(files).await;
/// let found = sftp.glob("/log/**/*.log")?.sorted().await?;
/// let paths: Vec<_> = found.iter().map(|entry| entry.path().clone()).collect();
/// assert_eq!(paths, ["/log/a.log", "/log/old/b.log"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Glob {
    files: Files,
    pattern: Arc<Pattern>,
    waiting: Vec<Waiting>,
    /// Of the paths that wait.
    waiting_bytes: usize,
    looking: FuturesUnordered<BoxFuture<'static, Batch>>,
    ready: VecDeque<Result<GlobEntry>>,
}

/// A path that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobEntry {
    path: Bytes,
    metadata: Metadata,
}

/// What a pattern fits, from [`Glob::matches`], which has an example.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Matches {
    /// By the bytes of their paths.
    pub entries: Vec<GlobEntry>,
    /// Directories that could not be listed, and names that no file can have, each with its path.
    pub refused: Vec<Error>,
}

/// A directory, and the components of the pattern that its entries may fit.
struct Waiting {
    path: Bytes,
    places: Vec<usize>,
}

#[derive(Default)]
struct Batch {
    found: Vec<Result<GlobEntry>>,
    below: Vec<Waiting>,
    rest: Option<(Entries, Vec<usize>)>,
}

impl Glob {
    /// All of them, by the bytes of their paths, as a shell gives them.
    ///
    /// # Errors
    /// The first that is met; more than 2^20 paths: they are all kept, and a listing may be without an end.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn sorted(self) -> Result<Vec<GlobEntry>> {
        let Matches { entries, refused } = self.matches().await?;
        refused.into_iter().next().map_or(Ok(entries), Err)
    }

    /// All of them, by the bytes of their paths, and beside them what could not be looked at.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let files = rustle_testserver::Sftp::memory().file("/log/a.log", "x").file("/log/b.log", "y");
    /// # let (server, sftp) = served(files).await;
    /// let found = sftp.glob("/log/*.log")?.matches().await?;
    /// for error in &found.refused {
    ///     eprintln!("not looked at: {error}");
    /// }
    /// assert_eq!(found.entries.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The channel is over; more than 2^20 paths and errors, or 256 MiB of paths: they are all kept, and a listing may be
    /// without an end.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn matches(mut self) -> Result<Matches> {
        let (mut matches, mut bytes) = (Matches::default(), 0);
        while let Some(found) = self.next().await {
            match found {
                Ok(entry) => {
                    bytes += entry.path.len();
                    matches.entries.push(entry);
                }
                // It would be told of each directory that waits.
                Err(error) if self.is_over(&error) => return Err(error),
                Err(error) => {
                    bytes += error.path().map_or(0, <[u8]>::len);
                    matches.refused.push(error);
                }
            }
            if matches.entries.len() + matches.refused.len() > MOST_SORTED || bytes > MOST_BYTES {
                let text = format!("more than {MOST_SORTED} paths fit the pattern, or 256 MiB of them");
                return Err(Error::new(ErrorKind::Failure, "glob", text));
            }
        }
        matches.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(matches)
    }

    /// Whether nothing more will be found behind this error.
    fn is_over(&self, error: &Error) -> bool {
        match self.files.sftp() {
            Some(sftp) => sftp.is_closed(),
            None => error.kind() == ErrorKind::Disconnected,
        }
    }

    fn begin(&mut self) {
        // By commands, each is a process.
        let most = if self.files.sftp().is_some() { MOST_LISTINGS } else { 1 };
        while self.looking.len() < most
            && let Some(directory) = self.waiting.pop()
        {
            self.waiting_bytes -= directory.path.len();
            self.looking.push(Box::pin(look(self.files.clone(), Arc::clone(&self.pattern), directory)));
        }
    }
}

impl Stream for Glob {
    type Item = Result<GlobEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Poll::Ready(Some(found));
            }
            self.begin();
            let Some(mut batch) = ready!(self.looking.poll_next_unpin(cx)) else { return Poll::Ready(None) };
            if let Some((listing, places)) = batch.rest.take() {
                let (files, pattern) = (self.files.clone(), Arc::clone(&self.pattern));
                self.looking.push(Box::pin(some_of(files, pattern, listing, places)));
            }
            self.ready.extend(batch.found);
            self.waiting_bytes += batch.below.iter().map(|below| below.path.len()).sum::<usize>();
            self.waiting.append(&mut batch.below);
            if self.waiting.len() > MOST_WAITING || self.waiting_bytes > MOST_BYTES {
                self.waiting.clear();
                self.waiting_bytes = 0;
                self.looking.clear();
                let text =
                    format!("more than {MOST_WAITING} directories wait to be listed, or 256 MiB of paths");
                self.ready.push_back(Err(Error::new(ErrorKind::Failure, "glob", text)));
            }
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glob").field("pattern", &self.pattern).field("waiting", &self.waiting.len()).finish()
    }
}

impl GlobEntry {
    /// The path, which begins as the pattern does.
    #[must_use]
    pub fn path(&self) -> &Bytes {
        &self.path
    }

    /// What the server says about it; of a link, about the link.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// Lists a directory, or asks for the one name in it that is wanted.
async fn look(files: Files, pattern: Arc<Pattern>, directory: Waiting) -> Batch {
    let Waiting { path, places } = directory;
    if let [place] = places[..]
        && let Some(Component::Plain(name)) = pattern.component(place)
    {
        return named(&files, &pattern, join(&path, name), place + 1).await;
    }
    if places.iter().all(|place| pattern.is_end(*place)) {
        return named(&files, &pattern, path, usize::MAX).await;
    }
    match files.read_dir(&path).await {
        Ok(listing) => some_of(files, pattern, listing, places).await,
        Err(error) => Batch { found: failed(error).into_iter().map(Err).collect(), ..Batch::default() },
    }
}

/// The path of a name that needs no listing. What is behind it is looked at whether it is there or not.
async fn named(files: &Files, pattern: &Pattern, path: Bytes, place: usize) -> Batch {
    if !pattern.is_end(place) {
        return Batch { below: vec![Waiting { path, places: pattern.at(place) }], ..Batch::default() };
    }
    let there = match pattern.wants_directories() {
        true => files.metadata(&path).await,
        false => files.symlink_metadata(&path).await,
    };
    let found = match there {
        Ok(metadata) if pattern.wants_directories() && !metadata.is_dir() => None,
        Ok(metadata) => Some(Ok(GlobEntry { path, metadata })),
        Err(error) => failed(error).map(Err),
    };
    Batch { found: found.into_iter().collect(), ..Batch::default() }
}

/// Takes the next entries of a listing.
async fn some_of(files: Files, pattern: Arc<Pattern>, mut listing: Entries, places: Vec<usize>) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..TOGETHER {
        match listing.next_entry().await.transpose() {
            Some(Ok(entry)) => take(&files, &pattern, &places, &entry, &mut batch).await,
            Some(Err(error)) => batch.found.extend(failed(error).map(Err)),
            None => return batch,
        }
    }
    batch.rest = Some((listing, places));
    batch
}

async fn take(files: &Files, pattern: &Pattern, places: &[usize], entry: &DirEntry, batch: &mut Batch) {
    let (mut fits, mut next) = (false, Vec::new());
    for &place in places {
        match pattern.component(place) {
            // Here any number of directories may follow, of which this is one.
            Some(Component::AnyDepth) if !entry.name().starts_with(b".") => {
                fits |= pattern.is_end(place + 1);
                if entry.metadata().is_dir() {
                    next.extend(pattern.at(place));
                }
            }
            Some(component) if component.fits(entry.name()) => {
                fits |= pattern.is_end(place + 1);
                next.extend(pattern.at(place + 1));
            }
            _ => {}
        }
    }
    next.sort_unstable();
    next.dedup();
    next.retain(|place| pattern.component(*place).is_some());
    let is_link = entry.metadata().is_symlink() || entry.metadata().kind().is_none();
    if fits {
        let is_wanted = !pattern.wants_directories()
            || entry.metadata().is_dir()
            || is_link && files.metadata(entry.path_in_full()).await.is_ok_and(|followed| followed.is_dir());
        if is_wanted {
            batch.found.push(Ok(GlobEntry { path: entry.path(), metadata: entry.metadata().to_keep() }));
        }
    }
    if !next.is_empty() && (entry.metadata().is_dir() || is_link) {
        batch.below.push(Waiting { path: entry.path(), places: next });
    }
}

/// What is not there, or is no directory, fits nothing; other errors are told.
fn failed(error: Error) -> Option<Error> {
    (!matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)).then_some(error)
}

const MOST_LISTINGS: usize = 8;
const MOST_WAITING: usize = 1_000_000;

/// Paths that are kept to be sorted, as many as the entries that a listing of the command line may have.
const MOST_SORTED: usize = 1 << 20;

/// Of paths that are kept, in either way: 64 bytes of a path would do for as many as there may be, and a server may list
/// names of 32 KiB.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// How many entries are taken together: one answer of OpenSSH's.
const TOGETHER: usize = 100;
