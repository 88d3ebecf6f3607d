//! Where a fetched file goes: into its place, or beside it until it is whole.

mod place;
mod temporary;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use self::place::{followed, open_in_place, open_to_read, replaced_mode};
use self::temporary::Temporary;
use crate::error::Error;
use crate::local::details::Details;
use crate::local::driver::off_thread;
use crate::local::preserve::{Preserved, set_mode};
use crate::local::tree::Links;
use crate::local::whole::{ranges_of, sha256_by};
use crate::local::writer::{self, Writer, Writing};
use crate::local::{positional, refused};

const OPERATION: &str = "write local file";
const READ: &str = "read local file";

/// How a file comes to be under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placing {
    /// Written where it belongs, as by scp: a transfer that breaks off leaves a part. A device is written to.
    InPlace,
    /// As `InPlace`, and what is there already is not cut off: it may be a part that an earlier transfer left.
    InPlaceResumable,
    /// Under a name of its own in the same directory, `.NAME.rustle-` and eight random characters, and renamed when it
    /// is whole: at every moment there is the old file or the new one. What breaks off leaves nothing, or where the
    /// process is killed the temporary file.
    Atomic,
    /// As `Atomic`, under a name that a later transfer finds, `.NAME.rustle-part`, locked while it is written.
    Resumable,
}

/// Whether a finished file survives a crash of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The system writes when it likes.
    Lazy,
    /// The file is on the disk before it takes its name, and on Unix the name before `commit` returns. Windows has no
    /// way to wait for a name, and a directory that this user may not read has none either.
    Synced,
}

/// What a file gets at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish {
    /// What is kept of the original.
    pub(crate) preserved: Preserved,
    pub(crate) durability: Durability,
    /// Whatever stands behind this length in the file is cut off: a part of an earlier, longer version.
    pub(crate) length: Option<u64>,
}

/// A file of this side that is being made.
///
/// Dropped without [`Target::commit`] or [`Target::keep`], the temporary file is removed at once, with one call that
/// blocks: there is nobody left to wait for it. A part that can be resumed stays where it is.
#[derive(Debug)]
pub(crate) struct Target {
    path: Arc<Path>,
    file: File,
    temporary: Option<Temporary>,
    found: u64,
    is_new: bool,
    mode: Mode,
}

/// The permissions that a file has in the end, if nothing is preserved.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// Those that it has.
    AsItIs,
    Known(u32),
}

/// Opens at once where nobody is at the other end of a pipe, or fails.
#[cfg(unix)]
pub(super) const NO_WAIT: i32 = flag(rustix::fs::OFlags::NONBLOCK);

impl Target {
    /// Makes the file, or opens it, under a name that the user gave: where it is a link, what it leads to is written or
    /// replaced, and the link stays. `mode` are the permissions of a new file before the system's mask for new files
    /// (umask) is taken off: those of the original, or `0o666`. A file that is replaced or written in place hands its
    /// own down.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be made: there is a directory under the name, or
    /// for a replacement anything else that is no regular file; the name is longer than the file system takes; another
    /// transfer writes the same part.
    ///
    /// # Cancel safety
    /// Dropped, no temporary file stays behind; an empty file in its place may.
    pub(crate) async fn create(path: PathBuf, placing: Placing, mode: u32) -> Result<Self, Error> {
        let shown = path.clone();
        let work = move || {
            let path = match placing {
                Placing::InPlace | Placing::InPlaceResumable => path,
                Placing::Atomic | Placing::Resumable => followed(path)?,
            };
            Self::create_here(path.into(), placing, Links::Follow, mode)
        };
        off_thread(OPERATION, &shown, work).await
    }

    /// The same for a name that the server chose. No link is followed, since an earlier answer of the server may have put
    /// it there: in place it is an error, and otherwise the file takes the link's place.
    ///
    /// # Errors
    /// As those of [`Target::create`], and a link.
    ///
    /// # Cancel safety
    /// As that of [`Target::create`].
    pub(crate) async fn create_inside(path: PathBuf, placing: Placing, mode: u32) -> Result<Self, Error> {
        let shown = path.clone();
        off_thread(OPERATION, &shown, move || Self::create_here(path.into(), placing, Links::Keep, mode))
            .await
    }

    /// A file that may be read and not written, and is what it is to be but for its attributes. Only those can be given
    /// to it.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where it is no regular file, or may not be read either.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub(crate) async fn open_whole(path: PathBuf, links: Links) -> Result<Self, Error> {
        let shown = path.clone();
        let work = move || {
            let (file, found) = open_to_read(&path, links)?;
            let (path, mode) = (path.into(), Mode::AsItIs);
            Ok(Self { path, file, temporary: None, found, is_new: false, mode })
        };
        off_thread(READ, &shown, work).await
    }

    /// How many bytes an earlier transfer left, to be proved equal before more is written behind them. Only a resumable
    /// target has any.
    pub(crate) fn found(&self) -> u64 {
        self.found
    }

    /// Whether it is a file in which nothing is yet, and nothing was.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Removes what an earlier transfer left: it is not the beginning of the file.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where the system refuses it.
    ///
    /// # Cancel safety
    /// Dropped, it is done nevertheless, unless it had not begun.
    pub(crate) async fn begin_anew(&mut self) -> Result<(), Error> {
        let file = self.file.try_clone().map_err(|error| refused(OPERATION, &self.path, error))?;
        let path = Arc::clone(&self.path);
        let work = move || file.set_len(0).map_err(|error| refused(OPERATION, &path, error));
        off_thread(OPERATION, &self.path, work).await?;
        self.found = 0;
        Ok(())
    }

    /// Where the bytes are now: the temporary file or the place itself.
    pub(crate) fn path(&self) -> &Path {
        self.temporary.as_ref().map_or(&self.path, Temporary::path)
    }

    /// Someone to write to it. There may be several after one another.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where the system has no handle or thread left.
    pub(crate) fn writer(&self, writing: Writing) -> Result<Writer, Error> {
        let file = self.file.try_clone().map_err(|error| refused(OPERATION, &self.path, error))?;
        Writer::start(Arc::clone(&self.path), file, writing)
    }

    /// Reads some ranges of what is there, to be compared with the other side's: what an earlier transfer left, before it
    /// is believed. What is past its end is left out. It is read through the target's own handle, since on Windows nobody
    /// else can read a part while it is locked.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub(crate) async fn read_ranges(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, Error> {
        let file = self.to_be_read()?;
        let path = Arc::clone(&self.path);
        let work = move || ranges_of(&file, &ranges).map_err(|error| refused(READ, &path, error));
        off_thread(READ, &self.path, work).await
    }

    /// The SHA-256 of a range of what is there, as [`sha256`](crate::local::whole::sha256). It is of the file, after
    /// the writer is finished, and not of what was meant to be in it.
    ///
    /// # Errors
    /// As those of `sha256`.
    ///
    /// # Cancel safety
    /// Nothing is changed, and the thread stops reading.
    pub(crate) async fn sha256(&self, range: Range<u64>) -> Result<[u8; 32], Error> {
        let file = self.to_be_read()?;
        sha256_by(&self.path, range, move || Ok(Arc::new(file))).await
    }

    /// Gives the file its attributes and its name. Every writer has to be finished.
    ///
    /// On Windows too the new file replaces the old one in one step. Where a program there has the old one open and
    /// does not share it, or it is read-only, this is an error and the old one stays.
    ///
    /// # Errors
    /// Whatever the system refuses; the old file is as it was, and the temporary one is removed.
    ///
    /// # Cancel safety
    /// Dropped, it is done nevertheless, unless it had not begun.
    pub(crate) async fn commit(self, finish: Finish) -> Result<(), Error> {
        let shown = Arc::clone(&self.path);
        off_thread(OPERATION, &shown, move || self.commit_here(&finish)).await
    }

    /// Removes the temporary file, the part of a resumable transfer too. A file written in place stays as it is.
    ///
    /// # Errors
    /// Where the system refuses to remove it; the path in the error is its.
    ///
    /// # Cancel safety
    /// Dropped, it is removed nevertheless.
    pub(crate) async fn abort(mut self) -> Result<(), Error> {
        let Some(temporary) = self.temporary.take() else {
            // A network's file system may say only now that there was no room.
            return writer::close(self.file).map_err(|error| refused(OPERATION, &self.path, error));
        };
        let shown = temporary.path().to_owned();
        off_thread(OPERATION, &shown, move || temporary.remove()).await
    }

    /// A temporary file was opened to be read as well. One in its place was not, since its owner may not be allowed to.
    fn to_be_read(&self) -> Result<File, Error> {
        let file = match self.temporary {
            Some(_) => self.file.try_clone(),
            None => File::open(&self.path),
        };
        file.map_err(|error| refused(READ, &self.path, error))
    }

    /// [`Target::create`], on a thread that may block.
    pub(super) fn create_here(
        path: Arc<Path>,
        placing: Placing,
        links: Links,
        mode: u32,
    ) -> Result<Self, Error> {
        let refused_here = |error| refused(OPERATION, &path, error);
        let mode = mode & 0o777;
        let (file, temporary, found, mode) = match placing {
            Placing::InPlace => (open_in_place(&path, placing, links, mode)?, None, 0, Mode::AsItIs),
            Placing::InPlaceResumable => {
                let file = open_in_place(&path, placing, links, mode)?;
                let metadata = file.metadata().map_err(refused_here)?;
                let found = if metadata.is_file() { metadata.len() } else { 0 };
                (file, None, found, Mode::AsItIs)
            }
            Placing::Atomic => {
                let replaced = replaced_mode(&path)?;
                // Made private at once where its permissions are known: a handle that somebody else gets before they
                // are set would stay.
                let (file, temporary) = Temporary::create(&path, replaced.map_or(mode, |_| 0o600))?;
                let settled = settle(&file, replaced).map_err(refused_here)?;
                (file, Some(temporary), 0, settled)
            }
            Placing::Resumable => {
                let replaced = replaced_mode(&path)?;
                let (file, temporary) = Temporary::open_part(&path)?;
                let found = file.metadata().map_err(refused_here)?.len();
                let settled = match replaced {
                    Some(replaced) => replaced,
                    // The file was made private by an earlier transfer, so another is asked what the mask leaves.
                    None => masked(&path, mode)?,
                };
                (file, Some(temporary), found, Mode::Known(settled))
            }
        };
        let is_new = match placing {
            Placing::Atomic => true,
            // A device was not cut off.
            Placing::InPlace => file.metadata().map_err(refused_here)?.is_file(),
            Placing::InPlaceResumable | Placing::Resumable => false,
        };
        Ok(Self { path, file, temporary, found, is_new, mode })
    }

    /// Writes all there is to write, on a thread that may block.
    pub(super) fn fill(&self, data: &[Bytes]) -> Result<(), Error> {
        positional::write(&self.file, data, 0).map_err(|error| refused(OPERATION, &self.path, error))
    }

    /// [`Target::commit`], on a thread that may block.
    pub(super) fn commit_here(mut self, finish: &Finish) -> Result<(), Error> {
        self.complete(finish).map_err(|error| refused(OPERATION, &self.path, error))?;
        let Some(temporary) = self.temporary.take() else {
            // A network's file system may say only now that there was no room.
            return writer::close(self.file).map_err(|error| refused(OPERATION, &self.path, error));
        };
        // Opened before, since what fails now has changed nothing.
        let directory = match finish.durability {
            Durability::Lazy => None,
            Durability::Synced => {
                Directory::of(&self.path).map_err(|error| refused(OPERATION, &self.path, error))?
            }
        };
        // The file is open while it is renamed, and so locked: whoever waits for the lock of a part sees then that
        // the name is gone.
        temporary.rename(&self.path)?;
        match directory {
            Some(directory) => directory.sync().map_err(|error| refused(OPERATION, &self.path, error)),
            None => Ok(()),
        }
    }

    fn complete(&self, finish: &Finish) -> io::Result<()> {
        let is_regular = self.file.metadata()?.is_file();
        if let Some(length) = finish.length
            && is_regular
            && self.file.metadata()?.len() != length
        {
            self.file.set_len(length)?;
        }
        let syncs = is_regular && finish.durability == Durability::Synced;
        if syncs {
            // The permissions after what may take minutes: with some of them nobody could go on with it.
            self.file.sync_all()?;
        }
        if let (Mode::Known(mode), None) = (self.mode, finish.preserved.permissions()) {
            set_mode(&self.file, mode)?;
        }
        if is_regular {
            finish.preserved.apply(&self.file)?;
        }
        if syncs { self.file.sync_all() } else { Ok(()) }
    }
}

/// A new temporary file was made with what it has in the end, as far as the system's mask leaves it. That is noted,
/// and until then the file is its owner's alone.
#[cfg(unix)]
fn settle(file: &File, replaced: Option<u32>) -> io::Result<Mode> {
    let made = Details::of(file)?.mode();
    set_mode(file, 0o600)?;
    Ok(Mode::Known(replaced.unwrap_or(made)))
}

/// On Windows a file inherits the access list of its directory.
#[cfg(windows)]
fn settle(_file: &File, replaced: Option<u32>) -> io::Result<Mode> {
    Ok(replaced.map_or(Mode::AsItIs, Mode::Known))
}

/// What the system's mask leaves of the permissions of a new file. It can be asked in no other way that does not change
/// it for the whole process.
fn masked(path: &Path, mode: u32) -> Result<u32, Error> {
    let (file, probe) = Temporary::create(path, mode)?;
    let made = Details::of(&file).map_err(|error| refused(OPERATION, path, error))?.mode();
    drop(file);
    probe.remove()?;
    Ok(made)
}

/// The directory that a file's name stands in, to be put on the disk. Windows has no way to do that.
struct Directory(File);

impl Directory {
    /// There is none where this user may write in it and not read it.
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        match File::open(parent.unwrap_or(Path::new("."))) {
            Ok(directory) => Ok(Some(Self(directory))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cfg(windows)]
    fn of(_path: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    fn sync(self) -> io::Result<()> {
        match self.0.sync_all() {
            // Some file systems have nothing to do for a directory, and say so this way.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }
}

#[cfg(unix)]
pub(super) const fn flag(flags: rustix::fs::OFlags) -> i32 {
    flags.bits() as i32
}
