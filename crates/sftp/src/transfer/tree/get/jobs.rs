//! What is done about one thing of a tree that is fetched.

use std::path::PathBuf;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, FileKind, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::local::details::Kind;
use crate::local::modes;
use crate::local::tree::{self as local, Links};
use crate::local::whole::{Wanted, write_small};
use crate::path::join;
use crate::read_dir::DirEntry;
use crate::transfer::get as whole;
use crate::transfer::names;
use crate::transfer::progress::FileMeter;
use crate::transfer::stripe::is_alike;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::already::{Alone, Side, already};
use crate::transfer::tree::compare::Both;
use crate::transfer::tree::comparing::{Compared, ModesSet};
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::get::small::{self, Fetched};
use crate::transfer::tree::listing::Listing;
use crate::transfer::tree::moving::Candidate;
use crate::transfer::tree::routes::Route;
use crate::transfer::tree::rules::There;
use crate::transfer::tree::targets::Targets;
use crate::transfer::tree::{IN_PLACE, Linked, Tree};
use crate::transfer::witness::another;

/// Something in a directory of the server, and where it goes.
pub(super) struct Found {
    /// The directory that it is in.
    pub(super) directory: usize,
    pub(super) remote: Bytes,
    pub(super) local: PathBuf,
    pub(super) kind: Option<FileKind>,
    pub(super) attributes: Attributes,
    /// What the target has in its place, where that is compared.
    pub(super) there: Option<There>,
}

impl Candidate for Found {
    const OPERATION: &'static str = "get";

    type Target = PathBuf;

    fn directory(&self) -> usize {
        self.directory
    }

    fn length(&self) -> Option<u64> {
        self.attributes.size()
    }

    fn modified(&self) -> Option<u32> {
        self.attributes.modified()
    }

    fn mode(&self) -> Option<u32> {
        self.attributes.permissions()
    }

    fn there(&self) -> Option<There> {
        self.there
    }

    fn both(&self) -> Both {
        let length = self.attributes.size().unwrap_or(0);
        Both { local: self.local.clone(), remote: self.remote.clone(), length }
    }

    fn ends(&self) -> Ends<'_> {
        Ends { source: &self.remote, destination: self.local.as_os_str().as_encoded_bytes() }
    }

    fn real_in(&self, above: &[u8]) -> Bytes {
        join(above, self.remote.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
    }

    fn into_directory(self) -> Directory {
        Directory::from_there(self.remote, self.local, &self.attributes)
    }

    fn source_of(directory: &Directory) -> &[u8] {
        &directory.remote
    }

    fn target_of(directory: &Directory) -> &PathBuf {
        &directory.local
    }

    fn target_in(directory: &Directory, name: &[u8]) -> Option<PathBuf> {
        // It was listed here, so it is a name here.
        names::join(&directory.local, name).ok()
    }
}

/// A file that has come and is still to be written.
pub(super) struct Came {
    pub(super) note: Note,
    pub(super) wanted: Wanted,
}

/// What is known of it meanwhile.
pub(super) struct Note {
    pub(super) directory: usize,
    pub(super) remote: Bytes,
    pub(super) local: PathBuf,
    pub(super) size: u64,
    pub(super) length: u64,
    pub(super) changed: bool,
    pub(super) counted: FileMeter,
}

/// What became of a job.
pub(super) enum Event {
    Opened {
        number: usize,
        is_here: bool,
        opened: Result<(Listing, Option<Targets>)>,
    },
    Listed {
        listing: Listing,
        entries: Option<Vec<Result<DirEntry>>>,
    },
    /// What a link leads to, and where that is without links; or what a name is of which the listing did not say it.
    Looked {
        found: Found,
        looked: Result<(Attributes, Option<Bytes>)>,
    },
    Linked {
        found: Found,
        linked: Result<Linked>,
    },
    Compared(Compared<Found>),
    ModesSet(ModesSet<Found>),
    Fetched {
        route: Route,
        found: Found,
        fetched: Result<Option<Fetched>>,
    },
    Written {
        notes: Vec<Note>,
        written: Result<Vec<Result<()>>>,
    },
    Moved {
        route: Route,
        found: Found,
        moved: Result<Alone>,
    },
    Finished {
        number: usize,
        finished: Result<()>,
    },
}

impl Event {
    /// Whether its job changed something on this side, which goes on where the job is dropped. A file's own transfer is not
    /// waited for, because it may run on over another connection: of it no more than one step goes on, at the last the file's
    /// taking its place.
    pub(super) fn changes_here(&self) -> bool {
        match self {
            Self::Opened { .. }
            | Self::Linked { .. }
            | Self::ModesSet(_)
            | Self::Written { .. }
            | Self::Finished { .. } => true,
            Self::Listed { .. }
            | Self::Looked { .. }
            | Self::Compared(_)
            | Self::Fetched { .. }
            | Self::Moved { .. } => false,
        }
    }
}

/// Makes the directory here, and opens it there.
pub(super) async fn open(tree: &Tree<'_>, number: usize, directory: Directory) -> Event {
    let mode = directory.mode.unwrap_or(0o777);
    let made = async {
        if !tree.is_dry() {
            local::make_dir(directory.local.clone(), mode, tree.options.preserve).await?;
        }
        Ok(targets(tree, &directory).await)
    };
    let opened = Listing::open(tree.sftp, number, directory.remote.clone());
    let (made, opened) = futures_util::join!(made, opened);
    let is_here = made.is_ok();
    Event::Opened { number, is_here, opened: made.and_then(|targets| Ok((opened?, targets?))) }
}

/// What a directory here has, where that is compared.
pub(super) async fn targets(tree: &Tree<'_>, directory: &Directory) -> Result<Option<Targets>> {
    match &tree.rules {
        None => Ok(None),
        // Where it is one that is there by another name, nothing in it is by this one.
        Some(_) if directory.is_new => Ok(Some(Targets::nothing_here())),
        Some(_) => Targets::here(local::list_all(directory.local.clone()).await?).map(Some),
    }
}

pub(super) async fn list(mut listing: Listing) -> Event {
    let entries = listing.next().await;
    Event::Listed { listing, entries }
}

/// Asks what a link leads to, or what something is.
pub(super) async fn look(tree: &Tree<'_>, found: Found) -> Event {
    let engine = tree.sftp.engine();
    let path = || found.remote.clone();
    let looked = if found.kind == Some(FileKind::Symlink) {
        let real = engine.submit(Request::RealPath { path: path() });
        let attributes = engine.attributes("stat", Request::Stat { path: path() }).await;
        match attributes {
            // Without its true path a circle would not be seen.
            Ok(attributes) if attributes.kind() == Some(FileKind::Directory) => {
                real.path("realpath").await.map(|real| (attributes, Some(real)))
            }
            other => other.map(|attributes| (attributes, None)),
        }
    } else {
        engine.attributes("lstat", Request::Lstat { path: path() }).await.map(|attributes| (attributes, None))
    };
    let looked = looked.map_err(|error| error.at(&found.remote));
    Event::Looked { found, looked }
}

/// Makes a link with the same text.
pub(super) async fn link(tree: &Tree<'_>, found: Found) -> Event {
    let engine = tree.sftp.engine();
    let read = engine.path("readlink", Request::ReadLink { path: found.remote.clone() }).await;
    let linked = match explained(engine, read, Doing::ReadLink { path: &found.remote }).await {
        Ok(text) if text.is_empty() || text.contains(&0) => {
            let why = "the server says that the link leads to a path that there cannot be";
            Err(Error::new(ErrorKind::InvalidName, "readlink", why).at(&found.remote))
        }
        Ok(text) if tree.rules.is_some() => relink(tree, &found, text).await,
        Ok(text) => match local::make_link(found.local.clone(), text.clone()).await {
            Err(error) => match local::link_target(found.local.clone()).await {
                Ok(there) if there == text => Ok(Linked::Made),
                _ => Err(error),
            },
            Ok(()) => Ok(Linked::Made),
        },
        Err(error) => Err(error),
    };
    Event::Linked { found, linked }
}

/// Makes a link, or puts it in the place of another, or of a file.
async fn relink(tree: &Tree<'_>, found: &Found, text: Bytes) -> Result<Linked> {
    match found.there.map(|there| there.kind) {
        Some(Kind::Directory) => {
            return Err(Error::new(ErrorKind::AlreadyExists, "sync", IN_PLACE).at(&found.remote));
        }
        Some(Kind::Link)
            if local::link_target(found.local.clone()).await.is_ok_and(|there| there == text) =>
        {
            return Ok(Linked::Same);
        }
        _ => {}
    }
    if !tree.is_dry() {
        local::replace_with_link(found.local.clone(), text).await?;
    }
    Ok(Linked::Made)
}

pub(super) async fn fetch(tree: &Tree<'_>, route: Route, found: Found, size: u64) -> Event {
    let expected = route.is_another().then_some(&found.attributes);
    let fetched = small::fetch(tree, &route.sftp, &found.remote, size, expected).await;
    Event::Fetched { route, found, fetched }
}

pub(super) async fn write(came: Vec<Came>) -> Event {
    let (notes, wanted): (Vec<_>, Vec<_>) = came.into_iter().map(|came| (came.note, came.wanted)).unzip();
    let written = write_small(wanted).await;
    Event::Written { notes, written }
}

/// Fetches a file as a transfer of its own.
pub(super) async fn fetch_alone(tree: &Tree<'_>, route: Route, found: Found) -> Event {
    let moved = async {
        if let Some(there) = already(tree, &found, Side::Here).await {
            return Ok(there);
        }
        if route.is_another() {
            let asked = Request::Stat { path: found.remote.clone() };
            if !is_alike(&found.attributes, &route.sftp.engine().attributes("stat", asked).await?) {
                return Err(another());
            }
        }
        let (remote, local) = (found.remote.clone(), found.local.clone());
        let moved = Box::pin(whole::get(&route.sftp, remote, local, tree.options, tree.meter)).await;
        moved.map(|moved| Alone::of(moved, tree.options))
    };
    let moved = moved.await;
    Event::Moved { route, found, moved }
}

/// Gives files of this side other permissions.
pub(super) async fn set_modes(files: Vec<(Found, u32)>) -> Event {
    let modes = files.iter().map(|(found, mode)| (found.local.clone(), *mode)).collect();
    let set = match modes::set(modes).await {
        Ok(set) => set,
        Err(error) => return Event::ModesSet(ModesSet { files, now: Err(error) }),
    };
    let mut now = Vec::with_capacity(set.len());
    for ((found, _), set) in files.iter().zip(set) {
        now.push(match set {
            Ok(()) => Ok(local::details(found.local.clone(), Links::Keep).await.ok().map(|now| now.mode())),
            Err(error) => Err(error),
        });
    }
    Event::ModesSet(ModesSet { files, now: Ok(now) })
}

pub(super) async fn finish(number: usize, directory: Directory, links: Links) -> Event {
    Event::Finished { number, finished: finished(directory, links).await }
}

/// Gives the directory what it is to have, now that all is in it.
pub(super) async fn finished(directory: Directory, links: Links) -> Result<()> {
    let mut preserved = crate::local::preserve::Preserved::NOTHING;
    if let Some(mode) = directory.mode {
        preserved = preserved.mode(mode);
    }
    if let Some((accessed, modified)) = directory.times {
        preserved = preserved.times(accessed, modified);
    }
    local::preserve(directory.local, links, preserved).await
}

/// What is used of them; the rest would keep whole packets while it waits.
pub(super) fn essential(attributes: &Attributes) -> Attributes {
    let mut kept = Attributes::new();
    if let Some(size) = attributes.size() {
        kept = kept.with_size(size);
    }
    if let Some(mode) = attributes.permissions() {
        kept = kept.with_permissions(mode);
    }
    if let Some((accessed, modified)) = attributes.accessed().zip(attributes.modified()) {
        kept = kept.with_times(accessed, modified);
    }
    kept
}
