//! What is done about one thing of a tree that is sent.

use std::path::PathBuf;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, FileKind, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explain, explained};
use crate::local::details::{Details, Kind};
use crate::local::tree::{self as local, Entry, Links, Listing};
use crate::local::whole::{Small, read_small};
use crate::open_up::{is_shut, open_up};
use crate::path::join;
use crate::transfer::place::Source;
use crate::transfer::put as whole;
use crate::transfer::temporary::Temporary;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::already::{Alone, Side, already};
use crate::transfer::tree::compare::Both;
use crate::transfer::tree::comparing::{Compared, ModesSet};
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::moving::Candidate;
use crate::transfer::tree::put::small;
use crate::transfer::tree::rules::There;
use crate::transfer::tree::targets::Targets;
use crate::transfer::tree::{IN_PLACE, Linked, SMALL, Tree};

/// Something in a directory of this side, and where it goes.
pub(super) struct Found {
    /// The directory that it is in.
    pub(super) directory: usize,
    pub(super) local: PathBuf,
    pub(super) remote: Bytes,
    pub(super) details: Details,
    /// What the target has in its place, where that is compared.
    pub(super) there: Option<There>,
}

impl Candidate for Found {
    const OPERATION: &'static str = "put";

    type Target = Bytes;

    fn directory(&self) -> usize {
        self.directory
    }

    fn length(&self) -> Option<u64> {
        Some(self.details.length())
    }

    fn modified(&self) -> Option<u32> {
        self.details.modified()
    }

    fn mode(&self) -> Option<u32> {
        Some(self.details.mode())
    }

    fn there(&self) -> Option<There> {
        self.there
    }

    fn both(&self) -> Both {
        let length = self.details.length();
        Both { local: self.local.clone(), remote: self.remote.clone(), length }
    }

    fn ends(&self) -> Ends<'_> {
        Ends { source: self.local.as_os_str().as_encoded_bytes(), destination: &self.remote }
    }

    fn real_in(&self, above: &[u8]) -> Bytes {
        local::below(above, self.local.file_name().unwrap_or_default().as_encoded_bytes())
    }

    fn into_directory(self) -> Directory {
        Directory::from_here(self.remote, self.local, &self.details)
    }

    fn source_of(directory: &Directory) -> &[u8] {
        directory.local.as_os_str().as_encoded_bytes()
    }

    fn target_of(directory: &Directory) -> &Bytes {
        &directory.remote
    }

    fn target_in(directory: &Directory, name: &[u8]) -> Option<Bytes> {
        Some(join(&directory.remote, name))
    }
}

/// What became of a job.
pub(super) enum Event {
    Made {
        number: usize,
        is_there: bool,
        made: Result<Option<Targets>>,
    },
    Listed {
        number: usize,
        listing: Listing,
        entries: Result<Option<Vec<Entry>>>,
    },
    /// What a link leads to, and of a directory where that is without links.
    Looked {
        found: Found,
        looked: Result<(Details, Option<Bytes>)>,
    },
    Linked {
        found: Found,
        linked: Result<Linked>,
    },
    Compared(Compared<Found>),
    ModesSet(ModesSet<Found>),
    Read {
        batch: Vec<Found>,
        read: Result<Vec<Result<Small>>>,
    },
    Sent {
        found: Found,
        sent: Result<()>,
    },
    Moved {
        found: Found,
        moved: Result<Alone>,
    },
    Finished {
        number: usize,
        finished: Result<()>,
    },
}

/// Makes a directory of the server, or finds one there.
pub(super) async fn make(tree: &Tree<'_>, number: usize, directory: Directory) -> Event {
    let made = match tree.is_dry() {
        true => Ok(()),
        false => make_dir(tree, &directory).await,
    };
    let is_there = made.is_ok();
    let made = match made {
        Ok(()) => targets(tree, &directory).await,
        Err(error) => Err(error),
    };
    Event::Made { number, is_there, made }
}

/// What a directory of the server has, where that is compared.
pub(super) async fn targets(tree: &Tree<'_>, directory: &Directory) -> Result<Option<Targets>> {
    if tree.rules.is_none() {
        return Ok(None);
    }
    if directory.is_new {
        // Where it is one that is there by another name, nothing in it is by this one.
        return Ok(Some(Targets::nothing_there()));
    }
    match Targets::there(tree.sftp, &directory.remote).await {
        // It would have been made.
        Err(error) if tree.is_dry() && error.kind() == ErrorKind::NotFound => {
            Ok(Some(Targets::nothing_there()))
        }
        listed => listed.map(Some),
    }
}

/// The same, for the directory that all others are in.
pub(super) async fn make_dir(tree: &Tree<'_>, directory: &Directory) -> Result<()> {
    let (engine, path) = (tree.sftp.engine(), &directory.remote);
    // Its owner can write in it in any case; what it has in the end is set when all is in it.
    let mode = directory.mode.unwrap_or(0o777) & 0o777 | 0o700;
    let attributes = Attributes::new().with_permissions(mode);
    let made = engine.submit(Request::MkDir { path: path.clone(), attributes });
    // Asked for at once: a directory that is there costs no round trip more than a new one.
    let there = engine.submit(Request::Stat { path: path.clone() });
    let Err(error) = made.done("mkdir").await else { return Ok(()) };
    match there.attributes("stat").await {
        Ok(there) if matches!(there.kind(), Some(FileKind::Directory) | None) => {
            match there.permissions().filter(|mode| tree.options.preserve && is_shut(Some(*mode))) {
                // It may have been read-only since it was filled the last time.
                Some(mode) => open_up(engine, path, mode).await,
                None => Ok(()),
            }
        }
        _ => Err(explain(engine, error, Doing::MakeDirectory { path }).await),
    }
}

pub(super) async fn list(number: usize, mut listing: Listing) -> Event {
    let entries = listing.next().await;
    Event::Listed { number, listing, entries }
}

pub(super) async fn look(found: Found) -> Event {
    let looked = match local::details(found.local.clone(), Links::Follow).await {
        Ok(details) if details.kind() == Kind::Directory => {
            local::real_path(found.local.clone()).await.map(|real| (details, Some(real)))
        }
        other => other.map(|details| (details, None)),
    };
    Event::Looked { found, looked }
}

/// Makes a link with the same text.
pub(super) async fn link(tree: &Tree<'_>, found: Found) -> Event {
    let engine = tree.sftp.engine();
    let linked = match local::link_target(found.local.clone()).await {
        Ok(text) if tree.rules.is_some() => relink(tree, &found, text).await,
        Ok(text) => match tree.sftp.symlink(&text, &found.remote).await {
            Err(error) => {
                match engine.path("readlink", Request::ReadLink { path: found.remote.clone() }).await {
                    Ok(there) if there == text => Ok(Linked::Made),
                    _ => Err(error),
                }
            }
            Ok(()) => Ok(Linked::Made),
        },
        Err(error) => Err(error),
    };
    Event::Linked { found, linked }
}

/// Makes a link, or puts it in the place of another, or of a file.
async fn relink(tree: &Tree<'_>, found: &Found, text: Bytes) -> Result<Linked> {
    let (engine, path) = (tree.sftp.engine(), &found.remote);
    match found.there.map(|there| there.kind) {
        Some(Kind::Directory) => {
            return Err(Error::new(ErrorKind::AlreadyExists, "sync", IN_PLACE).at(path));
        }
        Some(Kind::Link) => {
            let there = engine.path("readlink", Request::ReadLink { path: path.clone() }).await;
            if there.is_ok_and(|there| there == text) {
                return Ok(Linked::Same);
            }
        }
        _ => {}
    }
    if !tree.is_dry() {
        let mut temporary = Temporary::beside(tree.sftp, path)?;
        if let Err(error) = tree.sftp.symlink(&text, temporary.path()).await {
            // It was not made here, so it is not removed here.
            temporary.keep();
            return Err(error);
        }
        temporary.take_place().await?;
    }
    Ok(Linked::Made)
}

pub(super) async fn read(batch: Vec<Found>) -> Event {
    let read = read_small(batch.iter().map(|found| found.local.clone()).collect(), SMALL).await;
    Event::Read { batch, read }
}

pub(super) async fn send(tree: &Tree<'_>, found: Found, data: Bytes) -> Event {
    let source = Source { details: &found.details, original: None };
    let sent = small::send(tree, &found.remote, source, data).await;
    Event::Sent { found, sent }
}

/// Sends a file as a transfer of its own.
pub(super) async fn send_alone(tree: &Tree<'_>, found: Found) -> Event {
    let (remote, local) = (found.remote.clone(), found.local.clone());
    let moved = match already(tree, &found, Side::There).await {
        None => {
            let moved = Box::pin(whole::put(tree.sftp, local, remote, tree.options, tree.meter)).await;
            moved.map(|moved| Alone::of(moved, tree.options))
        }
        Some(there) => Ok(there),
    };
    Event::Moved { found, moved }
}

/// Gives files of the server other permissions, with their requests under way together. What each has then is asked for
/// right behind, which takes no round trip of its own: a server keeps the order of requests about one file.
pub(super) async fn set_modes(tree: &Tree<'_>, files: Vec<(Found, u32)>) -> Event {
    let engine = tree.sftp.engine();
    let ask = |(found, mode): &(Found, u32)| {
        let (path, attributes) = (|| found.remote.clone(), Attributes::new().with_permissions(*mode));
        let set = engine.submit(Request::SetStat { path: path(), attributes });
        (set, engine.submit(Request::Lstat { path: path() }))
    };
    let asked: Vec<_> = files.iter().map(ask).collect();
    let mut now = Vec::with_capacity(asked.len());
    for (set, there) in asked {
        now.push(match set.done("setstat").await {
            Ok(()) => Ok(there.attributes("lstat").await.ok().and_then(|there| There::from(&there).mode)),
            Err(error) => Err(error),
        });
    }
    Event::ModesSet(ModesSet { files, now: Ok(now) })
}

pub(super) async fn finish(tree: &Tree<'_>, number: usize, directory: Directory) -> Event {
    Event::Finished { number, finished: finished(tree, &directory).await }
}

/// Gives the directory what it is to have, now that all is in it.
pub(super) async fn finished(tree: &Tree<'_>, directory: &Directory) -> Result<()> {
    let (engine, path) = (tree.sftp.engine(), &directory.remote);
    let mut attributes = Attributes::new();
    if let Some(mode) = directory.mode {
        attributes = attributes.with_permissions(mode & 0o777);
    }
    if let Some((accessed, modified)) = directory.times {
        attributes = attributes.with_times(accessed, modified);
    }
    let set = engine.done("setstat", Request::SetStat { path: path.clone(), attributes }).await;
    explained(engine, set, Doing::Change { path }).await
}
