//! A directory from the server.

mod came;
mod ends;
mod jobs;
mod listings;
mod small;
mod sync;

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustle_sftp_proto::{Attributes, FileKind, Request};

use self::jobs::{Came, Event, Found, essential};
use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Kind;
use crate::local::tree as local;
use crate::path::join;
use crate::read_dir::DirEntry;
use crate::transfer::names;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::listing::{LONGEST_NAME, Listing};
use crate::transfer::tree::moving::{Moving, TOP};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::routes::Routes;
use crate::transfer::tree::{LinkPolicy, Tree};

/// Fetches what is in `remote` into `local`.
pub(super) async fn get(
    tree: &Tree<'_>,
    remote: Bytes,
    local: PathBuf,
    account: Account,
) -> Result<TreeSummary> {
    let engine = tree.sftp.engine();
    let asked = if remote.is_empty() { Bytes::from_static(b".") } else { remote.clone() };
    let attributes = engine.submit(Request::Stat { path: asked.clone() });
    let real = engine.submit(Request::RealPath { path: asked });
    let listing = Listing::open(tree.sftp, TOP, remote.clone()).await;
    let attributes = attributes.attributes("stat").await.unwrap_or_default();
    let listing = listing.map_err(|error| match attributes.kind() {
        // For a file OpenSSH answers that it is not there.
        Some(FileKind::Directory) | None => error,
        Some(_) => error.explained(ErrorKind::NotADirectory, "not a directory"),
    })?;
    let real = match tree.links {
        LinkPolicy::Follow => Some(real.path("realpath").await.map_err(|error| error.at(&remote))?),
        LinkPolicy::Skip | LinkPolicy::Copy => None,
    };
    match tree.keep_out {
        _ if tree.is_dry() => {}
        true => {
            let mode = attributes.permissions().unwrap_or(0o777);
            local::make_dir(local.clone(), mode, tree.options.preserve).await?;
        }
        false => local::create_dir_all(local.clone(), tree.options.preserve).await?,
    }
    let top = Directory { real, ..Directory::from_there(remote, local, &attributes) };
    let targets = jobs::targets(tree, &top).await?;
    let mut get = Get::new(Moving::begin(tree, account, top, targets));
    get.listing = 1;
    get.paused.push(listing);
    get.run().await
}

/// A tree that is being fetched.
struct Get<'a> {
    moving: Moving<'a, Found>,
    /// Listings that wait until less has been found.
    paused: Vec<Listing>,
    /// Small files, links and what has to be looked at.
    found: VecDeque<Found>,
    /// Files that go alone.
    large: VecDeque<Found>,
    came: Vec<Came>,
    jobs: FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send + 'a>>>,
    /// Jobs that change something on this side.
    here: usize,
    listing: usize,
    /// Listings whose next entries are under way.
    going_on: usize,
    asking: usize,
    writing: usize,
    fetching: usize,
    /// Small files that have come and are not written yet.
    unwritten: usize,
    /// Of small files that were asked for and are not written yet.
    bytes: u64,
    routes: Routes<'a>,
}

impl<'a> Get<'a> {
    fn new(moving: Moving<'a, Found>) -> Self {
        Self {
            routes: Routes::new(moving.tree),
            moving,
            paused: Vec::new(),
            found: VecDeque::new(),
            large: VecDeque::new(),
            came: Vec::new(),
            jobs: FuturesUnordered::new(),
            here: 0,
            listing: 0,
            going_on: 0,
            asking: 0,
            writing: 0,
            fetching: 0,
            unwritten: 0,
            bytes: 0,
        }
    }

    async fn run(mut self) -> Result<TreeSummary> {
        loop {
            self.begin();
            let event = tokio::select! {
                event = self.jobs.next() => event,
                () = self.routes.join() => continue,
            };
            let Some(event) = event else { return self.conclude().await };
            if let Err(error) = self.take(event) {
                self.settle().await;
                return Err(error);
            }
        }
    }

    /// Waits for what is being changed on this side, which would else go on behind the back of whoever is told that it is
    /// over.
    async fn settle(&mut self) {
        while self.here > 0
            && let Some(event) = self.jobs.next().await
        {
            self.here -= usize::from(event.changes_here());
        }
    }

    /// Begins a job that changes something on this side.
    fn begin_here(&mut self, job: impl Future<Output = Event> + Send + 'a) {
        self.here += 1;
        self.jobs.push(Box::pin(job));
    }

    /// Begins as much as may be under way.
    fn begin(&mut self) {
        let (tree, room) = (self.moving.tree, self.moving.tree.room);
        self.begin_to_finish();
        while self.writing < WRITERS && !self.came.is_empty() {
            let rest = self.came.split_off(self.came.len().min(AT_ONCE));
            let batch = std::mem::replace(&mut self.came, rest);
            self.writing += 1;
            self.begin_here(jobs::write(batch));
        }
        while self.asking + self.listing.saturating_sub(room.listings) < room.files
            && self.at_once() < room.together
            && let Some(found) = self.found.pop_front()
        {
            // What is no file is not read, whatever size the server says it has.
            let size = match found.kind {
                Some(FileKind::File) => found.attributes.size().unwrap_or(0),
                _ => 0,
            };
            if self.bytes > 0 && self.bytes.saturating_add(size) > room.bytes as u64 {
                self.found.push_front(found);
                break;
            }
            self.asking += 1;
            match found.kind {
                Some(FileKind::Symlink) if tree.links == LinkPolicy::Copy => {
                    self.begin_here(jobs::link(tree, found));
                }
                Some(FileKind::File) => {
                    self.bytes += size;
                    let route = self.routes.least();
                    self.jobs.push(match tree.is_proved() {
                        true => boxed(jobs::fetch_alone(tree, route, found)),
                        false => boxed(jobs::fetch(tree, route, found, size)),
                    });
                }
                _ => self.jobs.push(Box::pin(jobs::look(tree, found))),
            }
        }
        self.begin_to_compare();
        while self.fetching < room.large
            && self.at_once() < room.together
            && let Some(found) = self.large.pop_front()
        {
            self.fetching += 1;
            let route = self.routes.for_large(found.attributes.size().unwrap_or(0));
            self.jobs.push(Box::pin(jobs::fetch_alone(tree, route, found)));
        }
        self.begin_to_list();
        if self.listing == 0 && self.moving.waiting.is_empty() && self.moving.comparing.is_idle() {
            tree.meter.expect_no_more();
        }
    }

    /// Files that are under way, in any of their steps.
    fn at_once(&self) -> usize {
        self.asking + self.fetching + self.unwritten
    }

    /// # Errors
    /// The channel is over.
    fn take(&mut self, event: Event) -> Result<()> {
        self.here -= usize::from(event.changes_here());
        match event {
            Event::Opened { number, is_here, opened } => match opened {
                Ok((listing, targets)) => {
                    self.moving.made(number, targets);
                    self.paused.push(listing);
                }
                Err(error) => {
                    self.listing -= 1;
                    self.moving.directory_failed(number, error)?;
                    match is_here {
                        true => self.moving.one_less(number),
                        false => self.moving.leave(number),
                    }
                }
            },
            Event::Listed { mut listing, entries } => {
                self.going_on -= 1;
                match entries {
                    Some(entries) => {
                        for entry in entries {
                            self.meet(&mut listing, entry)?;
                        }
                        self.paused.push(listing);
                    }
                    None => {
                        self.listing -= 1;
                        self.moving.listed(listing.number);
                        self.moving.one_less(listing.number);
                    }
                }
            }
            Event::Looked { found, looked } => {
                self.asking -= 1;
                self.looked(found, looked)?;
            }
            Event::Linked { found, linked } => {
                self.asking -= 1;
                self.moving.linked(&found, linked)?;
            }
            Event::Compared(compared) => {
                self.moving.take_compared(compared)?.into_iter().for_each(|found| self.queue(found));
            }
            Event::ModesSet(modes) => {
                self.moving.take_modes_set(modes)?.into_iter().for_each(|found| self.queue(found));
            }
            Event::Fetched { route, found, fetched } => {
                self.asking -= 1;
                self.routes.done(&route);
                match fetched {
                    Err(error) if self.routes.is_lost(&route, &error) => {
                        self.bytes -= found.attributes.size().unwrap_or(0);
                        self.found.push_back(found);
                    }
                    fetched => self.fetched(found, fetched)?,
                }
            }
            Event::Written { notes, written } => {
                self.writing -= 1;
                self.written(notes, written)?;
            }
            Event::Moved { route, found, moved } => {
                self.routes.done(&route);
                let small =
                    found.attributes.size().filter(|size| self.moving.tree.is_small_and_proved(*size));
                match small {
                    Some(size) => {
                        self.asking -= 1;
                        self.bytes -= size;
                    }
                    None => self.fetching -= 1,
                }
                match moved {
                    Err(error) if self.routes.is_lost(&route, &error) => {
                        if small.is_some() { &mut self.found } else { &mut self.large }.push_back(found);
                    }
                    moved => self.moving.moved(&found, moved)?,
                }
            }
            Event::Finished { number, finished } => self.moving.finished(number, finished)?,
        }
        Ok(())
    }

    /// Takes an entry of a listing.
    fn meet(&mut self, listing: &mut Listing, entry: Result<DirEntry>) -> Result<()> {
        let Some(directory) = self.moving.directories.at(listing.number) else { return Ok(()) };
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().map_or_else(|| directory.remote.clone(), Bytes::copy_from_slice);
                return self.moving.fail(&path, error);
            }
        };
        let name = entry.name();
        let shown = &name[..name.len().min(LONGEST_NAME)];
        let remote = join(&directory.remote, shown);
        let local = if name.len() > LONGEST_NAME {
            let text = "the name is longer than any file system takes";
            Err(Error::new(ErrorKind::InvalidName, "use name", text).at(shown))
        } else {
            names::join(&directory.local, name).and_then(|local| {
                listing.siblings.admit(name)?;
                Ok(local)
            })
        };
        let local = match local {
            Ok(local) => local,
            Err(error) => return self.moving.fail(&remote, error),
        };
        let attributes = essential(entry.metadata().attributes());
        let (kind, number) = (attributes.kind(), listing.number);
        let Some(there) = self.moving.there(number, &remote, kind.map(Kind::from)) else { return Ok(()) };
        self.moving.directories.one_more(number);
        self.sort(Found { directory: number, remote, local, kind, attributes, there }, None)
    }

    /// What is done with it, by what it is; `real` is where a link leads.
    fn sort(&mut self, found: Found, real: Option<Bytes>) -> Result<()> {
        match found.kind {
            Some(FileKind::Directory) => return self.moving.directory(found, real),
            Some(FileKind::File) => {
                if let Some(found) = self.moving.compared(found)? {
                    self.queue(found);
                }
            }
            Some(kind @ FileKind::Symlink) if self.moving.tree.links == LinkPolicy::Skip => {
                self.moving.skip(&found, kind);
            }
            Some(FileKind::Symlink) | None => self.found.push_back(found),
            Some(kind) => self.moving.skip(&found, kind),
        }
        Ok(())
    }

    fn looked(&mut self, found: Found, looked: Result<(Attributes, Option<Bytes>)>) -> Result<()> {
        let (attributes, real) = match looked {
            Ok(looked) => looked,
            Err(error) => return self.moving.failed(&found, error),
        };
        let attributes = essential(&attributes);
        // A server that does not say what it is now either has something that can be read, or an error.
        let kind = match (found.kind, attributes.kind()) {
            (None, kind) => kind.or(Some(FileKind::File)),
            // What a link leads to is no link, unless the server plays.
            (Some(_), Some(FileKind::Symlink)) => Some(FileKind::Other),
            (Some(_), kind) => kind.or(Some(FileKind::File)),
        };
        self.sort(Found { kind, attributes, ..found }, real)
    }

    /// It has to be moved.
    fn queue(&mut self, found: Found) {
        let tree = self.moving.tree;
        let size = found.attributes.size().unwrap_or(0);
        self.routes.found(size, || (size > 0).then(|| found.remote.clone()));
        tree.meter.expect(found.attributes.size());
        match found.attributes.size() {
            Some(size) if tree.is_small(size) => self.found.push_back(found),
            _ => self.large.push_back(found),
        }
    }
}

fn boxed<'a>(
    job: impl Future<Output = Event> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Event> + Send + 'a>> {
    Box::pin(job)
}

/// Files that are written in one job, and how many such jobs there are at once: the disk is busy with less.
const AT_ONCE: usize = 64;
const WRITERS: usize = 2;
