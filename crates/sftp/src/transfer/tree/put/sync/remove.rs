//! What only the server has is removed, and what is excluded is spared.

use bytes::Bytes;
use rustle_sftp_proto::{FileKind, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::open_up::{is_shut, open_up, set_mode};
use crate::path::join;
use crate::remove_dir_all::Manner;
use crate::sftp::Sftp;
use crate::transfer::tree::Tree;
use crate::transfer::tree::certain::{Judged, Unseen};
use crate::transfer::tree::extra::{Extraneous, LeftIn, doubt};
use crate::transfer::tree::room::LISTED_BY_REMOVAL;
use crate::transfer::tree::rules::Rules;

/// What is to be removed in a directory, after it was looked at once more for what was put into it.
pub(super) async fn checked(tree: &Tree<'_>, found: LeftIn<Bytes>) -> Judged<Bytes> {
    let Some(mut unseen) = Unseen::of(&found).filter(|_| !tree.is_dry()) else {
        return Judged::certain(found);
    };
    match look(tree.sftp, &found, &mut unseen).await {
        Ok(()) => unseen.judge(found),
        Err(error) => Judged::failed(found, error),
    }
}

/// Lists a directory, and asks what of it is there by a path that it does not list.
async fn look(sftp: &Sftp, found: &LeftIn<Bytes>, unseen: &mut Unseen) -> Result<()> {
    let mut listing = sftp.read_dir(&found.path).await?;
    while let Some(entry) = listing.next_entry().await? {
        unseen.listed(entry.name());
    }
    for some in unseen.unlisted().chunks(REMOVING) {
        let ask = |name| sftp.engine().submit(Request::Lstat { path: join(&found.path, name) });
        let asked: Vec<_> = some.iter().map(|name| (name, ask(name))).collect();
        for (name, there) in asked {
            match there.attributes("lstat").await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if sftp.is_closed() => return Err(error),
                Err(_) => unseen.is_there(found, name, true),
                Ok(there) => {
                    let is_directory = matches!(there.kind(), Some(FileKind::Directory) | None);
                    unseen.is_there(found, name, is_directory);
                }
            }
        }
    }
    Ok(())
}

/// Removes it: true where nothing of it is left.
pub(super) async fn remove(
    tree: &Tree<'_>,
    rules: &Rules,
    extraneous: Extraneous<Bytes>,
) -> (Bytes, Result<bool>) {
    let sftp = tree.sftp;
    let Extraneous { path, relative, left } = extraneous;
    let removed = if left.may_be_another {
        Err(doubt(&path))
    } else if rules.dry {
        Ok(true)
    } else if !left.is_directory {
        remove_file(sftp, &path).await
    } else if rules.excluded.is_empty() {
        let listings = tree.room.handles().min(LISTED_BY_REMOVAL);
        sftp.remove_dir_all_in(path.clone(), Manner { listings, opens_up: true }).await.map(|()| true)
    } else {
        remove_sparing(sftp, rules, path.clone(), relative).await
    };
    (path, removed)
}

async fn remove_file(sftp: &Sftp, path: &Bytes) -> Result<bool> {
    let engine = sftp.engine();
    let removed = engine.done("remove", Request::Remove { path: path.clone() }).await;
    match explained(engine, removed, Doing::RemoveFile { path }).await {
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        other => other.map(|()| true),
    }
}

/// A directory but for what is excluded.
async fn remove_sparing(sftp: &Sftp, rules: &Rules, path: Bytes, relative: Bytes) -> Result<bool> {
    let mut room = Kept::default();
    let mut open = vec![Level::list(sftp, (path, relative), &mut room).await?];
    while let Some(level) = open.last_mut() {
        let Some((name, kind)) = level.names.pop() else {
            let is_gone = level.is_gone;
            if is_gone {
                sftp.remove_dir(&level.path).await?;
            } else if let Some(mode) = level.was_shut {
                set_mode(sftp.engine(), &level.path, mode).await?;
            }
            room.forget(2 * level.path.len());
            open.pop();
            match open.last_mut() {
                Some(above) => above.is_gone &= is_gone,
                None => return Ok(is_gone),
            }
            continue;
        };
        room.forget(name.len());
        let (path, relative) = (join(&level.path, &name), join(&level.relative, &name));
        match kind {
            _ if rules.excludes(&relative, kind != Entry::File) => level.is_gone = false,
            Entry::File => drop(remove_file(sftp, &path).await?),
            Entry::Directory if open.len() > DEEPEST => {
                let text = "the directories are deeper than any file system has them";
                return Err(Error::new(ErrorKind::Protocol, "rmdir", text).at(&path));
            }
            Entry::Directory => open.push(Level::list(sftp, (path, relative), &mut room).await?),
        }
    }
    Ok(true)
}

/// A directory of which something is still to be removed.
struct Level {
    path: Bytes,
    relative: Bytes,
    names: Vec<(Bytes, Entry)>,
    /// The permissions that it had, where its owner could not write in it.
    was_shut: Option<u32>,
    /// Nothing in it was spared.
    is_gone: bool,
}

/// What there is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File,
    Directory,
}

impl Level {
    async fn list(sftp: &Sftp, (path, relative): (Bytes, Bytes), room: &mut Kept) -> Result<Self> {
        // It was one when it was listed, which may be long ago: what a link leads to by now is somebody else's.
        let there = sftp.symlink_metadata(&path).await?;
        if there.kind().is_some_and(|kind| kind != FileKind::Directory) {
            let text = "it is no directory any more";
            return Err(Error::new(ErrorKind::NotADirectory, "rmdir", text).at(&path));
        }
        let mode = there.permissions();
        let was_shut = mode.filter(|_| is_shut(mode));
        if let Some(mode) = was_shut {
            open_up(sftp.engine(), &path, mode).await?;
        }
        let mut listing = sftp.read_dir(&path).await?;
        let mut names = Vec::new();
        room.keep(2 * path.len(), &path)?;
        while let Some(entry) = listing.next_entry().await? {
            room.keep(entry.name().len(), &path)?;
            let kind = match entry.metadata().is_dir() {
                true => Entry::Directory,
                false => Entry::File,
            };
            names.push((Bytes::copy_from_slice(entry.name()), kind));
        }
        Ok(Self { path, relative, names, was_shut, is_gone: true })
    }
}

/// How much is kept of all that is open.
#[derive(Default)]
struct Kept {
    names: usize,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, bytes: usize, path: &Bytes) -> Result<()> {
        self.names += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.names > MOST || self.bytes > MOST_BYTES {
            let text = "there are more names in it than are looked at for what is excluded";
            return Err(Error::new(ErrorKind::Failure, "rmdir", text).at(path));
        }
        Ok(())
    }

    fn forget(&mut self, bytes: usize) {
        self.names = self.names.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A path has 4096 bytes at most on most systems.
const DEEPEST: usize = 2048;

const MOST: usize = 1 << 20;

const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What is removed at once: as many round trips as overlap usefully.
pub(super) const REMOVING: usize = 64;
