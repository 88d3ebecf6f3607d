//! A directory to the server.

mod ends;
mod jobs;
mod listings;
mod small;
mod sync;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustle_sftp_proto::FileKind;

use self::jobs::{Event, Found};
use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Kind;
use crate::local::tree::{self as local, Entry, Links, Listing};
use crate::local::whole::Small;
use crate::path::join;
use crate::transfer::names;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::already::Alone;
use crate::transfer::tree::comparing::{Candidate as _, Compares as _, Comparing};
use crate::transfer::tree::directories::{self, Directories, Directory};
use crate::transfer::tree::extra::Extra;
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::targets::Targets;
use crate::transfer::tree::{IN_PLACE, LinkPolicy, Linked, Tree};

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
    let mut put = Put::new(tree, account);
    put.top = top.remote.clone();
    // Its number is 0, as it is the first.
    put.targets.extend(targets.map(|targets| (0, targets)));
    put.account.summary.directories = 1;
    put.listing = 1;
    put.going_on = 1;
    let number = put.directories.add(None, top);
    put.take(Event::Listed { number, listing, entries: Ok(entries) })?;
    put.run().await
}

/// A tree that is being sent.
struct Put<'a> {
    tree: &'a Tree<'a>,
    directories: Directories,
    /// Directories that are to be made and listed, the last found first: so the tree is gone through in its depth.
    waiting: Vec<usize>,
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
    /// Where the tree begins on the server.
    top: Bytes,
    /// What the target has in directories that are being listed, where it is compared.
    targets: HashMap<usize, Targets>,
    comparing: Comparing<Found>,
    /// What only the target has.
    extra: Extra<Bytes>,
    /// What only waits for that to be removed.
    held: Vec<Directory>,
    account: Account,
}

impl<'a> Put<'a> {
    fn new(tree: &'a Tree<'a>, account: Account) -> Self {
        Self {
            tree,
            directories: Directories::default(),
            waiting: Vec::new(),
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
            top: Bytes::new(),
            targets: HashMap::new(),
            comparing: Comparing::default(),
            extra: Extra::default(),
            held: Vec::new(),
            account,
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
        let (tree, room) = (self.tree, self.tree.room);
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
        if self.listing == 0 && self.waiting.is_empty() && self.comparing.is_idle() {
            self.tree.meter.expect_no_more();
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
                || self.bytes.saturating_add(found.details.length()) <= self.tree.room.bytes as u64
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
                    self.account.summary.directories += 1;
                    self.targets.extend(targets.map(|targets| (number, targets)));
                    if let Some(directory) = self.directories.at(number) {
                        self.paused.push((number, local::list(directory.local.clone())));
                    }
                }
                Err(error) => {
                    self.listing -= 1;
                    self.directory_failed(number, error)?;
                    match is_there {
                        true => self.one_less(number),
                        false => self.not_made(number),
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
                    Ok(None) => self.listed(number),
                    Err(error) => self.directory_failed(number, error)?,
                }
                self.listing -= 1;
                self.one_less(number);
            }
            Event::Looked { found, looked } => {
                self.sending -= 1;
                match looked {
                    // What a link leads to is no link.
                    Ok((details, real)) => self.sort(Found { details, ..found }, real)?,
                    Err(error) => self.failed(&found, error)?,
                }
            }
            Event::Linked { found, linked } => {
                self.sending -= 1;
                match linked {
                    Ok(Linked::Made) => {
                        self.account.link(found.ends());
                        self.one_less(found.directory);
                    }
                    Ok(Linked::Same) => {
                        self.account.unchanged(found.ends());
                        self.one_less(found.directory);
                    }
                    Err(error) => self.failed(&found, error)?,
                }
            }
            Event::Compared(compared) => self.take_compared(compared)?,
            Event::ModesSet(modes) => self.take_modes_set(modes)?,
            Event::Read { batch, read } => {
                self.reading -= 1;
                self.read(batch, read)?;
            }
            Event::Sent { found, sent } => {
                self.sending -= 1;
                self.bytes -= found.details.length();
                match sent {
                    Ok(()) => {
                        self.account.file(found.ends(), found.details.length());
                        self.one_less(found.directory);
                    }
                    Err(error) => self.failed(&found, error)?,
                }
            }
            Event::Moved { found, moved } => {
                let length = found.details.length();
                match self.tree.is_small_and_proved(length) {
                    true => {
                        self.sending -= 1;
                        self.bytes -= length;
                    }
                    false => self.sending_alone -= 1,
                }
                match moved {
                    Ok(Alone::Moved(moved)) => {
                        self.account.alone(found.ends(), &moved);
                        self.one_less(found.directory);
                    }
                    Ok(Alone::WasThere(there)) => {
                        self.account.was_there(found.ends(), &there);
                        self.one_less(found.directory);
                    }
                    Err(error) => self.failed(&found, error)?,
                }
            }
            Event::Finished { number, finished } => {
                if let Err(error) = finished {
                    self.directory_failed(number, error)?;
                }
                if let Some(above) = self.directories.remove(number) {
                    self.one_less(above);
                }
            }
        }
        Ok(())
    }

    /// Takes an entry of a listing.
    fn meet(&mut self, number: usize, entry: Entry) -> Result<()> {
        let Some(directory) = self.directories.at(number) else { return Ok(()) };
        let local = directory.local.join(&entry.name);
        let name = names::for_server(&entry.name);
        let both = name.and_then(|name| Ok((join(&directory.remote, &name), entry.details?)));
        let (remote, details) = match both {
            Ok(both) => both,
            Err(error) => return self.fail(local.as_os_str().as_encoded_bytes(), error),
        };
        let Some(there) = self.target_of(number, &remote, details.kind()) else { return Ok(()) };
        self.directories.one_more(number);
        self.sort(Found { directory: number, local, remote, details, there }, None)
    }

    /// What is done with it, by what it is; `real` is where a link leads.
    fn sort(&mut self, found: Found, real: Option<Bytes>) -> Result<()> {
        match found.details.kind() {
            Kind::Directory => return self.directory(found, real),
            Kind::File => {
                if let Some(found) = self.compared(found)? {
                    self.queue(found);
                }
            }
            Kind::Link if self.tree.links != LinkPolicy::Skip => self.links.push_back(found),
            kind @ (Kind::Link | Kind::Special) => {
                let kind = if kind == Kind::Link { FileKind::Symlink } else { FileKind::Other };
                self.account.skip(found.local.as_os_str().as_encoded_bytes(), kind);
                self.one_less(found.directory);
            }
        }
        Ok(())
    }

    fn directory(&mut self, found: Found, real: Option<Bytes>) -> Result<()> {
        let above = found.directory;
        let real = real.or_else(|| {
            let above = self.directories.at(above)?.real.as_ref()?;
            let name = found.local.file_name()?.as_encoded_bytes();
            Some(local::below(above, name))
        });
        let refused = if real.as_ref().is_some_and(|real| self.directories.leads_back(above, real)) {
            Some("the link leads back to a directory that it is in")
        } else if self.waiting.len() >= directories::MOST_WAITING {
            Some("more directories are waiting to be listed than are kept")
        } else if found.there.is_some_and(|there| there.kind != Kind::Directory) {
            Some(IN_PLACE)
        } else {
            None
        };
        if let Some(text) = refused {
            let path = found.local.as_os_str().as_encoded_bytes();
            let error = Error::new(ErrorKind::InvalidArgument, "put", text).at(path);
            return self.failed(&found, error);
        }
        let is_new = found.there.is_none();
        let below =
            Directory { real, is_new, ..Directory::from_here(found.remote, found.local, &found.details) };
        let number = self.directories.add(Some(above), below);
        self.waiting.push(number);
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
                Err(error) => self.failed(&found, error)?,
            }
        }
        Ok(())
    }

    fn directory_failed(&mut self, number: usize, error: Error) -> Result<()> {
        let path = self.directories.at(number).map(|found| found.local.clone()).unwrap_or_default();
        self.fail(path.as_os_str().as_encoded_bytes(), error)
    }

    /// # Errors
    /// The channel is over, and this error comes from that.
    fn fail(&mut self, path: &[u8], error: Error) -> Result<()> {
        if self.tree.sftp.is_closed() {
            return Err(error);
        }
        self.account.fail(path, error);
        Ok(())
    }
}

/// Files that are read in one job, and how many such jobs there are at once: the disk is busy with less.
const AT_ONCE: usize = 64;
const READERS: usize = 2;
