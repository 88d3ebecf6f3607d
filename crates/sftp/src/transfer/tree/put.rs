//! A directory to the server.

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
use rustle_sftp_proto::FileKind;

use self::jobs::{Event, Found};
use crate::error::Result;
use crate::local::details::Kind;
use crate::local::tree::{self as local, Entry, Links, Listing};
use crate::local::whole::Small;
use crate::path::join;
use crate::transfer::names;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::moving::{Candidate as _, Moving, TOP};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::{LinkPolicy, Tree};

/// Sends what is in `local` into `remote`.
pub(super) async fn put(
    tree: &Tree<'_>,
    local: PathBuf,
    remote: Bytes,
    account: Account,
) -> Result<TreeSummary> {
    let details = local::details(local.clone(), Links::Follow).await?;
    let real = match tree.links {
        LinkPolicy::Follow => Some(local::real_path(local.clone()).await?),
        LinkPolicy::Skip | LinkPolicy::Copy => None,
    };
    // What cannot be read at all is known before anything is made.
    let mut listing = local::list(local.clone());
    let entries = listing.next().await?;
    let top = Directory { real, ..Directory::from_here(remote, local, &details) };
    if !top.remote.is_empty() && !tree.is_dry() {
        jobs::make_dir(tree, &top).await?;
    }
    let targets = jobs::targets(tree, &top).await?;
    let mut put = Put::new(Moving::begin(tree, account, top, targets));
    put.listing = 1;
    put.going_on = 1;
    put.take(Event::Listed { number: TOP, listing, entries: Ok(entries) })?;
    put.run().await
}

/// A tree that is being sent.
struct Put<'a> {
    moving: Moving<'a, Found>,
    /// Listings that wait until less has been found.
    paused: Vec<(usize, Listing)>,
    /// Small files that are to be read.
    found: VecDeque<Found>,
    /// Links.
    links: VecDeque<Found>,
    /// Files that go alone.
    large: VecDeque<Found>,
    /// Small files that were read and are to be sent.
    ready: VecDeque<(Found, Bytes)>,
    jobs: FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send + 'a>>>,
    listing: usize,
    /// Listings whose next entries are under way.
    going_on: usize,
    reading: usize,
    sending: usize,
    sending_alone: usize,
    /// Of small files that are being read and are not sent yet.
    bytes: u64,
}

impl<'a> Put<'a> {
    fn new(moving: Moving<'a, Found>) -> Self {
        Self {
            moving,
            paused: Vec::new(),
            found: VecDeque::new(),
            links: VecDeque::new(),
            large: VecDeque::new(),
            ready: VecDeque::new(),
            jobs: FuturesUnordered::new(),
            listing: 0,
            going_on: 0,
            reading: 0,
            sending: 0,
            sending_alone: 0,
            bytes: 0,
        }
    }

    async fn run(mut self) -> Result<TreeSummary> {
        loop {
            self.begin();
            let Some(event) = self.jobs.next().await else { return self.conclude().await };
            self.take(event)?;
        }
    }

    /// Begins as much as may be under way.
    fn begin(&mut self) {
        let (tree, room) = (self.moving.tree, self.moving.tree.room);
        self.begin_to_finish();
        while self.sending < room.files
            && self.sending + self.sending_alone < room.together
            && let Some((found, data)) = self.ready.pop_front()
        {
            self.sending += 1;
            self.jobs.push(Box::pin(jobs::send(tree, found, data)));
        }
        while self.sending < room.files
            && self.sending + self.sending_alone < room.together
            && let Some(found) = self.links.pop_front()
        {
            self.sending += 1;
            self.jobs.push(match tree.links {
                LinkPolicy::Copy => Box::pin(jobs::link(tree, found)),
                LinkPolicy::Follow | LinkPolicy::Skip => Box::pin(jobs::look(found)),
            });
        }
        while tree.is_proved()
            && self.sending < room.files
            && self.sending + self.sending_alone < room.together
            && let Some(found) = self.next_small()
        {
            self.sending += 1;
            self.jobs.push(Box::pin(jobs::send_alone(tree, found)));
        }
        while !tree.is_proved() && self.reading < READERS && self.ready.len() < AT_ONCE {
            let batch = self.batch();
            if batch.is_empty() {
                break;
            }
            self.reading += 1;
            self.jobs.push(Box::pin(jobs::read(batch)));
        }
        self.begin_to_compare();
        while self.sending_alone < room.large
            && self.sending + self.sending_alone < room.together
            && let Some(found) = self.large.pop_front()
        {
            self.sending_alone += 1;
            self.jobs.push(Box::pin(jobs::send_alone(tree, found)));
        }
        self.begin_to_list();
        if self.listing == 0 && self.moving.waiting.is_empty() && self.moving.comparing.is_idle() {
            tree.meter.expect_no_more();
        }
    }

    /// Files that are read in one job, as far as there is room for what they hold.
    fn batch(&mut self) -> Vec<Found> {
        let mut batch = Vec::new();
        while batch.len() < AT_ONCE
            && let Some(found) = self.next_small()
        {
            batch.push(found);
        }
        batch
    }

    /// The next small file, as far as there is room for what it holds.
    fn next_small(&mut self) -> Option<Found> {
        let has_room = |found: &mut Found| {
            self.bytes == 0
                || self.bytes.saturating_add(found.details.length()) <= self.moving.tree.room.bytes as u64
        };
        let found = self.found.pop_front_if(has_room)?;
        self.bytes += found.details.length();
        Some(found)
    }

    /// # Errors
    /// The channel is over.
    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Made { number, is_there, made } => match made {
                Ok(targets) => {
                    self.moving.made(number, targets);
                    if let Some(directory) = self.moving.directories.at(number) {
                        self.paused.push((number, local::list(directory.local.clone())));
                    }
                }
                Err(error) => {
                    self.listing -= 1;
                    self.moving.directory_failed(number, error)?;
                    match is_there {
                        true => self.moving.one_less(number),
                        false => self.moving.leave(number),
                    }
                }
            },
            Event::Listed { number, listing, entries } => {
                self.going_on -= 1;
                match entries {
                    Ok(Some(entries)) => {
                        for entry in entries {
                            self.meet(number, entry)?;
                        }
                        self.paused.push((number, listing));
                        return Ok(());
                    }
                    Ok(None) => self.moving.listed(number),
                    Err(error) => self.moving.directory_failed(number, error)?,
                }
                self.listing -= 1;
                self.moving.one_less(number);
            }
            Event::Looked { found, looked } => {
                self.sending -= 1;
                match looked {
                    // What a link leads to is no link.
                    Ok((details, real)) => self.sort(Found { details, ..found }, real)?,
                    Err(error) => self.moving.failed(&found, error)?,
                }
            }
            Event::Linked { found, linked } => {
                self.sending -= 1;
                self.moving.linked(&found, linked)?;
            }
            Event::Compared(compared) => {
                self.moving.take_compared(compared)?.into_iter().for_each(|found| self.queue(found));
            }
            Event::ModesSet(modes) => {
                self.moving.take_modes_set(modes)?.into_iter().for_each(|found| self.queue(found));
            }
            Event::Read { batch, read } => {
                self.reading -= 1;
                self.read(batch, read)?;
            }
            Event::Sent { found, sent } => {
                self.sending -= 1;
                self.bytes -= found.details.length();
                match sent {
                    Ok(()) => {
                        self.moving.account.file(found.ends(), found.details.length());
                        self.moving.one_less(found.directory);
                    }
                    Err(error) => self.moving.failed(&found, error)?,
                }
            }
            Event::Moved { found, moved } => {
                let length = found.details.length();
                match self.moving.tree.is_small_and_proved(length) {
                    true => {
                        self.sending -= 1;
                        self.bytes -= length;
                    }
                    false => self.sending_alone -= 1,
                }
                self.moving.moved(&found, moved)?;
            }
            Event::Finished { number, finished } => self.moving.finished(number, finished)?,
        }
        Ok(())
    }

    /// Takes an entry of a listing.
    fn meet(&mut self, number: usize, entry: Entry) -> Result<()> {
        let Some(directory) = self.moving.directories.at(number) else { return Ok(()) };
        let local = directory.local.join(&entry.name);
        let name = names::for_server(&entry.name);
        let both = name.and_then(|name| Ok((join(&directory.remote, &name), entry.details?)));
        let (remote, details) = match both {
            Ok(both) => both,
            Err(error) => return self.moving.fail(local.as_os_str().as_encoded_bytes(), error),
        };
        let Some(there) = self.moving.there(number, &remote, Some(details.kind())) else { return Ok(()) };
        self.moving.directories.one_more(number);
        self.sort(Found { directory: number, local, remote, details, there }, None)
    }

    /// What is done with it, by what it is; `real` is where a link leads.
    fn sort(&mut self, found: Found, real: Option<Bytes>) -> Result<()> {
        match found.details.kind() {
            Kind::Directory => return self.moving.directory(found, real),
            Kind::File => {
                if let Some(found) = self.moving.compared(found)? {
                    self.queue(found);
                }
            }
            Kind::Link if self.moving.tree.links != LinkPolicy::Skip => self.links.push_back(found),
            Kind::Link => self.moving.skip(&found, FileKind::Symlink),
            Kind::Special => self.moving.skip(&found, FileKind::Other),
        }
        Ok(())
    }

    fn read(&mut self, batch: Vec<Found>, read: Result<Vec<Result<Small>>>) -> Result<()> {
        // Without a thread to read there is nothing that could go on.
        for (found, read) in batch.into_iter().zip(read?) {
            self.bytes -= found.details.length();
            match read {
                Ok(Small { details, data: Some(data) }) => {
                    self.bytes += details.length();
                    self.ready.push_back((Found { details, ..found }, data));
                }
                // It has grown.
                Ok(Small { details, data: None }) => self.large.push_back(Found { details, ..found }),
                Err(error) => self.moving.failed(&found, error)?,
            }
        }
        Ok(())
    }

    /// It has to be moved.
    fn queue(&mut self, found: Found) {
        let (tree, length) = (self.moving.tree, found.details.length());
        tree.meter.expect(Some(length));
        match tree.is_small(length) {
            true => self.found.push_back(found),
            false => self.large.push_back(found),
        }
    }
}

/// Files that are read in one job, and how many such jobs there are at once: the disk is busy with less.
const AT_ONCE: usize = 64;
const READERS: usize = 2;
