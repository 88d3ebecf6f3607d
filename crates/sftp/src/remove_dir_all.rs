//! Removing a directory and all that is in it.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustle_sftp_proto::{FileKind, Request, StatusCode};

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explain};
use crate::metadata::Metadata;
use crate::open_up::{is_shut, open_up};
use crate::path::checked;
use crate::read_dir::{DirEntry, ReadDir};
use crate::sftp::Sftp;

impl Sftp {
    /// Removes a directory with all that is in it. Links are removed and never followed; a link at `path` itself is
    /// removed as [`remove_file`](Self::remove_file) does.
    ///
    /// Up to 256 files are removed at once, and up to 16 directories listed, so that the round trips of a large tree
    /// overlap. What somebody else removes meanwhile is fine; what somebody adds is removed too, unless it comes
    /// again and again. In memory are the names of files under way and of at most 65 536 directories (a path counts once
    /// for each kibibyte that it has), twice as many in trees that are as deep; a listing that finds more is taken up
    /// again later.
    ///
    /// The protocol names files by paths alone. Each directory is looked at when it is opened, and one that has become
    /// something else since it was listed ends the removal. But somebody who may write in this tree, and exchanges a
    /// directory for a link between that look and the removal of what is in it, has files of these names removed where the
    /// link leads. Where such a one exists, make the tree unreachable first, by renaming it into a directory of your own.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotADirectory`], [`ErrorKind::PermissionDenied`]; the first ends it, and
    /// the rest is left. [`ErrorKind::InvalidName`] for a server that lists a name with a slash: nothing outside the
    /// tree is touched. [`ErrorKind::Failure`] where more than 65 536 directories are in one another.
    ///
    /// # Cancel safety
    /// Dropped, some of it is removed.
    pub async fn remove_dir_all(&self, path: impl AsRef<[u8]>) -> Result<()> {
        self.remove_dir_all_in(checked("rmdir", path)?, Manner { listings: MOST_LISTINGS, opens_up: false })
            .await
    }

    /// The same in some manner.
    pub(crate) async fn remove_dir_all_in(&self, path: Bytes, manner: Manner) -> Result<()> {
        let attributes = self.engine().attributes("lstat", Request::Lstat { path: path.clone() }).await;
        let found = attributes.map(Metadata::new).map_err(|error| error.at(&path))?;
        match found.kind() {
            Some(FileKind::Symlink) => self.remove_file(&path).await,
            Some(FileKind::Directory) | None => {
                let mut removal = Removal { manner, ..Removal::new(self, path, MOST_DIRECTORIES) };
                removal.directories.iter_mut().flatten().for_each(|root| root.mode = found.permissions());
                removal.run().await
            }
            Some(_) => Err(Error::new(ErrorKind::NotADirectory, "rmdir", "it is not a directory").at(&path)),
        }
    }
}

/// How a tree is removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Directories that are listed at once, by whoever knows how many handles there are.
    pub(crate) listings: usize,
    /// What its owner may not write in is opened up first.
    pub(crate) opens_up: bool,
}

/// The tree as far as it is known and not yet removed.
struct Removal<'a> {
    sftp: &'a Sftp,
    directories: Vec<Option<Directory>>,
    /// As many as may be known at once, and as many more as the depth of the tree has called for; a path counts once for
    /// each kibibyte.
    most: usize,
    more: usize,
    known: usize,
    /// Places in `directories` that are free again.
    free: Vec<usize>,
    /// Directories that are to be listed, the last found first: so the tree is removed from its leaves.
    waiting: Vec<usize>,
    /// Names that are to be removed, each with its directory.
    names: Vec<(usize, DirEntry)>,
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send + 'a>>>,
    removing: usize,
    listing: usize,
    manner: Manner,
    /// Listings that wait until fewer names do.
    paused: Vec<(usize, Box<ReadDir>)>,
    /// Directories that found no room for what is in them, and are listed again when there is some.
    crowded: Vec<usize>,
}

struct Directory {
    path: Bytes,
    /// Its permissions, as far as they are known.
    mode: Option<u32>,
    above: Option<usize>,
    /// What has to be gone before it: its listing, its files and its directories.
    left: usize,
    /// How often it was listed.
    passes: usize,
    /// How much room the least of the directories needs that this pass left out.
    lacks: Option<usize>,
}

enum Event {
    /// As many entries as came together, and whether there are more.
    Listed {
        directory: usize,
        listing: Option<Box<ReadDir>>,
        entries: Vec<DirEntry>,
        error: Option<Error>,
    },
    Removed {
        directory: usize,
        result: Result<Found>,
    },
    DirectoryRemoved {
        directory: usize,
        result: Result<()>,
    },
}

/// What an entry was that is to be removed.
enum Found {
    Removed,
    /// A directory, which the listing did not say.
    Directory(Bytes),
}

impl Directory {
    fn below(path: Bytes, above: Option<usize>) -> Self {
        Self { path, mode: None, above, left: 1, passes: 0, lacks: None }
    }

    fn weight(&self) -> usize {
        weight(&self.path)
    }
}

impl<'a> Removal<'a> {
    fn new(sftp: &'a Sftp, path: Bytes, most: usize) -> Self {
        let root = Directory::below(path, None);
        Self {
            sftp,
            known: root.weight(),
            directories: vec![Some(root)],
            most,
            more: 0,
            free: Vec::new(),
            waiting: vec![0],
            names: Vec::new(),
            under_way: FuturesUnordered::new(),
            removing: 0,
            listing: 0,
            manner: Manner { listings: MOST_LISTINGS, opens_up: false },
            paused: Vec::new(),
            crowded: Vec::new(),
        }
    }

    async fn run(mut self) -> Result<()> {
        loop {
            self.begin();
            let Some(event) = self.under_way.next().await else {
                match self.deeper() {
                    Some(done) => return done,
                    None => continue,
                }
            };
            match event {
                Event::Listed { directory, listing, entries, error } => {
                    self.listed(directory, listing, entries, error)?;
                }
                Event::Removed { directory, result } => {
                    self.removing -= 1;
                    match result? {
                        Found::Removed => self.one_less(directory),
                        Found::Directory(path) => {
                            self.enter(directory, path, None);
                            self.one_less(directory);
                        }
                    }
                }
                Event::DirectoryRemoved { directory, result } => {
                    self.removing -= 1;
                    self.directory_removed(directory, result).await?;
                }
            }
        }
    }

    /// What is to be done when nothing is under way: it is over, or all that is known waits for what found no room. Then
    /// one directory more is taken in, and goes before the others: each level of the tree takes one at the most.
    fn deeper(&mut self) -> Option<Result<()>> {
        let Some(directory) = self.crowded.last().copied() else { return Some(Ok(())) };
        if self.more == self.most {
            let text = format!("more than {} directories are in one another", self.most);
            let error = Error::new(ErrorKind::Failure, "rmdir", text);
            return Some(Err(match self.found(directory) {
                Some(deepest) => error.at(&deepest.path),
                None => error,
            }));
        }
        self.more += 1;
        None
    }

    /// Begins as much as may be under way.
    fn begin(&mut self) {
        while self.removing < MOST_REMOVALS
            && let Some((directory, entry)) = self.names.pop()
        {
            self.removing += 1;
            let sftp = self.sftp;
            self.under_way.push(Box::pin(async move {
                let result = remove(sftp, &entry).await;
                Event::Removed { directory, result }
            }));
        }
        if self.names.len() < MOST_NAMES {
            for (directory, listing) in std::mem::take(&mut self.paused) {
                self.under_way.push(Box::pin(some_entries(directory, listing)));
            }
        }
        let mut room = self.room();
        while let Some(&directory) = self.crowded.last() {
            let lacks = self.found(directory).and_then(|found| found.lacks).unwrap_or(0);
            if lacks > room {
                break;
            }
            room -= lacks;
            self.crowded.pop();
            if let Some(found) = self.found(directory) {
                found.lacks = None;
            }
            self.waiting.push(directory);
        }
        while self.listing < self.manner.listings.max(1)
            && let Some(directory) = self.waiting.pop()
        {
            let Some(found) = self.directories.get(directory).and_then(Option::as_ref) else { continue };
            self.listing += 1;
            let (sftp, path) = (self.sftp, found.path.clone());
            let shut = found.mode.filter(|mode| self.manner.opens_up && is_shut(Some(*mode)));
            self.under_way.push(Box::pin(async move {
                match list(sftp, &path, shut).await {
                    Ok(listing) => some_entries(directory, Box::new(listing)).await,
                    Err(error) => {
                        Event::Listed { directory, listing: None, entries: Vec::new(), error: Some(error) }
                    }
                }
            }));
        }
    }

    fn listed(
        &mut self,
        directory: usize,
        listing: Option<Box<ReadDir>>,
        entries: Vec<DirEntry>,
        error: Option<Error>,
    ) -> Result<()> {
        match error {
            // Somebody else was faster.
            Some(error) if error.kind() == ErrorKind::NotFound => {}
            Some(error) => return Err(error),
            None => {}
        }
        for entry in entries {
            if entry.metadata().is_dir() {
                self.enter(directory, entry.path_in_full(), entry.metadata().permissions());
            } else if let Some(found) = self.found(directory) {
                found.left += 1;
                self.names.push((directory, entry));
            }
        }
        match listing {
            Some(listing) if self.names.len() < MOST_NAMES => {
                self.under_way.push(Box::pin(some_entries(directory, listing)));
            }
            Some(listing) => self.paused.push((directory, listing)),
            None => {
                self.listing -= 1;
                self.one_less(directory);
            }
        }
        Ok(())
    }

    /// A directory in a directory is to be removed, or found again where there is no room for it now.
    fn enter(&mut self, above: usize, path: Bytes, mode: Option<u32>) {
        let (needed, room) = (weight(&path), self.room());
        let Some(found) = self.found(above) else { return };
        if needed <= room {
            found.left += 1;
            let at = self.keep(Directory { mode, ..Directory::below(path, Some(above)) });
            self.waiting.push(at);
        } else {
            found.lacks = Some(found.lacks.map_or(needed, |lacks| lacks.min(needed)));
        }
    }

    /// One thing less in a directory; when nothing is left, its turn has come.
    fn one_less(&mut self, directory: usize) {
        let sftp = self.sftp;
        let Some(found) = self.found(directory) else { return };
        found.left -= 1;
        if found.left > 0 {
            return;
        }
        if found.lacks.is_some() {
            found.left = 1;
            self.crowded.push(directory);
            return;
        }
        let path = found.path.clone();
        self.removing += 1;
        self.under_way.push(Box::pin(async move {
            let result = sftp.engine().done("rmdir", Request::RmDir { path }).await;
            Event::DirectoryRemoved { directory, result }
        }));
    }

    async fn directory_removed(&mut self, directory: usize, result: Result<()>) -> Result<()> {
        let engine = self.sftp.engine();
        let Some(found) = self.found(directory) else { return Ok(()) };
        if let Err(error) = result
            && error.kind() != ErrorKind::NotFound
        {
            let not_empty = error.kind() == ErrorKind::DirectoryNotEmpty
                || error.status().is_some_and(|status| status.code() == StatusCode::FAILURE);
            found.passes += 1;
            // A listing may miss what is there while other entries are removed, and somebody may have added one.
            if not_empty && found.passes < MOST_PASSES {
                found.left = 1;
                self.waiting.push(directory);
                return Ok(());
            }
            return Err(explain(engine, error, Doing::RemoveDirectory { path: &found.path }).await);
        }
        let (above, weight) = (found.above, found.weight());
        if let Some(place) = self.directories.get_mut(directory) {
            *place = None;
            self.free.push(directory);
            self.known -= weight;
            // What was taken in beyond the bound goes first, so that it is never more than the tree is deep.
            self.more = self.more.saturating_sub(weight);
        }
        if let Some(above) = above {
            self.one_less(above);
        }
        Ok(())
    }

    /// How many directories more may be known.
    fn room(&self) -> usize {
        (self.most + self.more).saturating_sub(self.known)
    }

    fn found(&mut self, directory: usize) -> Option<&mut Directory> {
        self.directories.get_mut(directory).and_then(Option::as_mut)
    }

    fn keep(&mut self, directory: Directory) -> usize {
        self.known += directory.weight();
        match self.free.pop() {
            Some(at) => {
                self.directories[at] = Some(directory);
                at
            }
            None => {
                self.directories.push(Some(directory));
                self.directories.len() - 1
            }
        }
    }
}

/// Begins to list a directory. It was one when its name was listed, which may be long ago: what a link leads to by now is
/// somebody else's.
async fn list(sftp: &Sftp, path: &Bytes, shut: Option<u32>) -> Result<ReadDir> {
    if let Some(mode) = shut {
        look(sftp, path).await?;
        // What it did is seen by the listing and the removal.
        let _ = open_up(sftp.engine(), path, mode).await;
    }
    // Behind the OPENDIR, so that what was opened and what is emptied is no link, and in the same round trip.
    let (listing, looked) = tokio::join!(sftp.read_dir(path), look(sftp, path));
    looked.and(listing)
}

/// # Errors
/// It is no directory, or there is nothing any more.
async fn look(sftp: &Sftp, path: &Bytes) -> Result<()> {
    let there = sftp.engine().attributes("lstat", Request::Lstat { path: path.clone() }).await;
    match there.map_err(|error| error.at(path))?.kind() {
        Some(FileKind::Directory) | None => Ok(()),
        Some(_) => {
            let text = "it is no directory any more";
            Err(Error::new(ErrorKind::NotADirectory, "rmdir", text).at(path))
        }
    }
}

/// Takes what a listing has, up to a hundred entries.
async fn some_entries(directory: usize, mut listing: Box<ReadDir>) -> Event {
    let mut entries = Vec::new();
    let listed = |listing, entries, error| Event::Listed { directory, listing, entries, error };
    while entries.len() < TOGETHER {
        match listing.next_entry().await {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return listed(None, entries, None),
            Err(error) => return listed(None, entries, Some(error)),
        }
    }
    listed(Some(listing), entries, None)
}

/// Removes what is no directory, as far as the listing says. A server that does not say what it is may find that it
/// is one.
async fn remove(sftp: &Sftp, entry: &DirEntry) -> Result<Found> {
    let path = entry.path_in_full();
    let Err(error) = sftp.engine().done("remove", Request::Remove { path: path.clone() }).await else {
        return Ok(Found::Removed);
    };
    if error.kind() == ErrorKind::NotFound {
        return Ok(Found::Removed);
    }
    if entry.metadata().kind().is_none()
        && let Ok(found) = sftp.symlink_metadata(&path).await
        && found.is_dir()
    {
        return Ok(Found::Directory(path));
    }
    Err(explain(sftp.engine(), error, Doing::RemoveFile { path: &path }).await)
}

/// How much of the room for directories one with this path takes.
fn weight(path: &Bytes) -> usize {
    path.len() / 1024 + 1
}

const MOST_REMOVALS: usize = 256;

/// Each has a handle open; servers have a hundred and more.
const MOST_LISTINGS: usize = 16;

const MOST_DIRECTORIES: usize = 65_536;

/// Listings wait while so many names do.
const MOST_NAMES: usize = 4096;

const TOGETHER: usize = 100;

/// How often a directory that is not empty after all is listed again.
const MOST_PASSES: usize = 5;

#[cfg(test)]
mod tests;
