//! Removing files and directories of this side.

use std::ffi::OsString;
use std::fs::{self, Metadata, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::local::driver::off_thread;
use crate::local::refused;
use crate::local::tree::{Links, open_up, set_dir_mode};

const REMOVE: &str = "remove local file";

/// Removes a file, or a directory with all that is in it but what `spared` says of its path: true where nothing of it is
/// left. Links are removed and never followed. A directory that its owner may not write in is opened up first; one that
/// stays gets its permissions back, after an error as well.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where something cannot be removed, with its path; the rest is left.
///
/// # Cancel safety
/// Dropped, it is removed nevertheless, unless it had not begun.
pub(crate) async fn remove(
    path: PathBuf,
    is_directory: bool,
    spared: impl Fn(&Path, bool) -> bool + Send + 'static,
) -> Result<bool, Error> {
    let shown = path.clone();
    let work = move || match is_directory {
        true => remove_dir_sparing(path, &spared),
        false => remove_name(&path).map(|()| true),
    };
    off_thread(REMOVE, &shown, work).await
}

/// Removes a directory without a call for each level: they may be very deep.
pub(super) fn remove_dir_sparing(
    path: PathBuf,
    spared: &impl Fn(&Path, bool) -> bool,
) -> Result<bool, Error> {
    let mut open = vec![Level::of(path)?];
    let removed = remove_levels(&mut open, spared);
    // The innermost first: in one that is shut again no other can be reached.
    open.iter().rev().for_each(Level::shut);
    removed
}

/// Removes the outermost of these. After an error those are left that are still there.
fn remove_levels(open: &mut Vec<Level>, spared: &impl Fn(&Path, bool) -> bool) -> Result<bool, Error> {
    while let Some(level) = open.last_mut() {
        if let Some(below) = level.next_directory(spared)? {
            open.push(Level::of(below)?);
            continue;
        }
        let is_gone = level.is_gone;
        match is_gone {
            true => fs::remove_dir(&level.path).map_err(|error| refused(REMOVE, &level.path, error))?,
            false => level.shut(),
        }
        open.pop();
        match open.last_mut() {
            Some(above) => above.is_gone &= is_gone,
            None => return Ok(is_gone),
        }
    }
    Ok(true)
}

/// A directory of which something is still to be removed.
struct Level {
    path: PathBuf,
    /// Its permissions before it was opened up.
    mode: u32,
    /// What was not listed yet. It is held open no longer than it has to be: a process has few handles.
    rest: Option<ReadDir>,
    /// Directories in it that are to be removed.
    below: Vec<OsString>,
    /// Nothing in it was spared.
    is_gone: bool,
}

impl Level {
    fn of(path: PathBuf) -> Result<Self, Error> {
        let refused = |error| refused(REMOVE, &path, error);
        let there = fs::symlink_metadata(&path).map_err(refused)?;
        // It was one when it was listed, which may be long ago: what a link leads to by now is somebody else's.
        if !there.is_dir() {
            return Err(refused(io::Error::new(io::ErrorKind::NotADirectory, "it is no directory any more")));
        }
        let mode = mode(&there);
        open_up(&path, Links::Keep, mode);
        let listed = fs::read_dir(&path).map_err(refused);
        let mut level = Self { path, mode, rest: None, below: Vec::new(), is_gone: true };
        match listed {
            Ok(rest) => {
                level.rest = Some(rest);
                Ok(level)
            }
            Err(error) => {
                level.shut();
                Err(error)
            }
        }
    }

    /// Gives it the permissions that it had.
    fn shut(&self) {
        if self.mode & 0o700 != 0o700 {
            set_dir_mode(&self.path, Links::Keep, self.mode);
        }
    }

    /// The next directory in it that is to be removed, when the files before it are.
    fn next_directory(&mut self, spared: &impl Fn(&Path, bool) -> bool) -> Result<Option<PathBuf>, Error> {
        while self.below.len() < MOST_WAITING
            && let Some(rest) = &mut self.rest
        {
            let Some(entry) = rest.next() else {
                self.rest = None;
                break;
            };
            let entry = entry.map_err(|error| refused(REMOVE, &self.path, error))?;
            let path = entry.path();
            // Of the entry itself: a link to a directory is none.
            let kind = entry.file_type().map_err(|error| refused(REMOVE, &path, error))?;
            match kind.is_dir() {
                is_directory if spared(&path, is_directory) => self.is_gone = false,
                true => self.below.push(entry.file_name()),
                false => remove_name(&path)?,
            }
        }
        Ok(self.below.pop().map(|name| self.path.join(name)))
    }
}

fn remove_name(path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        // On Windows a link to a directory is removed as one.
        Err(_) if cfg!(windows) && path.is_symlink() => fs::remove_dir(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    removed.map_err(|error| refused(REMOVE, path, error))
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777
}

/// On Windows no attribute of a directory keeps anybody from writing in it.
#[cfg(windows)]
fn mode(_metadata: &Metadata) -> u32 {
    0o700
}

/// Directories of one that are remembered, beyond which it is held open.
const MOST_WAITING: usize = 4096;
