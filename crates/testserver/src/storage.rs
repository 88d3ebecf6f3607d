//! What SFTP serves: a tree of files, in memory or on disk, that knows nothing of SFTP.
//!
//! Paths are bytes. `/` is the root of the tree and what a relative path begins at. `.`, `..` and symbolic links are
//! resolved as POSIX says, on the tree and not as text, and an absolute link begins at the tree's root too: no path
//! leads out. The last part of a path is followed if it is a link only where an operation says so.
//!
//! Every call returns at once or after one local file operation; nothing here waits for a client.

mod attributes;
mod directory;
mod error;
mod memory;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;

use bytes::Bytes;

use crate::storage::walk::{Last, Slash};

pub(crate) use attributes::{Attributes, Changes, FileKind, FileSystem};
pub(crate) use directory::Directory;
pub(crate) use error::StorageError;
pub(crate) use memory::Memory;

/// A tree of files, shared by all sessions of a server.
pub(crate) trait Storage: fmt::Debug + Send + Sync {
    /// Opens a file, links followed; with [`OpenOptions::exclusive`], links are not followed and nothing may be there.
    /// A directory is refused as [`IsADirectory`](StorageError::IsADirectory), and what is neither as `Unsupported`.
    fn open(&self, path: &[u8], options: OpenOptions) -> Result<Box<dyn OpenFile>, StorageError>;

    /// What is known of a file: of the one a link leads to, or of the link itself.
    fn attributes(&self, path: &[u8], links: Links) -> Result<Attributes, StorageError>;

    /// Changes what is asked for and leaves the rest. The parts are applied in the order size, mode, times, owner, as
    /// OpenSSH does. One that fails does not keep the others from being applied; the last failure is reported.
    fn set_attributes(&self, path: &[u8], links: Links, changes: &Changes) -> Result<(), StorageError>;

    /// Begins a listing of a directory: of the names that are in it now, ordered by their bytes, after `.` and `..`.
    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, StorageError>;

    /// Makes a directory. Without a mode it is 0777, less the umask.
    fn make_directory(&self, path: &[u8], mode: Option<u32>) -> Result<(), StorageError>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &[u8]) -> Result<(), StorageError>;

    /// Removes a file or a link, never a directory. A file that is open stays readable and writable until it is closed.
    fn remove_file(&self, path: &[u8]) -> Result<(), StorageError>;

    /// Moves a file, link or directory. What is at `to` is replaced in one step, or is a reason to refuse.
    fn rename(&self, from: &[u8], to: &[u8], existing: Existing) -> Result<(), StorageError>;

    /// Makes a symbolic link at `link` that reads `target`, which need not exist.
    fn make_symlink(&self, target: &[u8], link: &[u8]) -> Result<(), StorageError>;

    /// What a symbolic link reads.
    fn read_link(&self, path: &[u8]) -> Result<Bytes, StorageError>;

    /// Gives a file, or a symbolic link, another name. Directories have one name only.
    fn make_hard_link(&self, existing: &[u8], link: &[u8]) -> Result<(), StorageError>;

    /// The absolute path without `.`, `..` or links. The last part need not exist; the empty path is the root.
    fn real_path(&self, path: &[u8]) -> Result<Bytes, StorageError>;

    /// The size of the file system that holds this path, links followed, and what is left of it.
    fn file_system(&self, path: &[u8]) -> Result<FileSystem, StorageError>;
}

/// An open file. Dropping it closes it.
pub(crate) trait OpenFile: fmt::Debug + Send + Sync {
    /// Up to `length` bytes from `offset` on, at most [`LONGEST_READ`]; fewer only at the end of the file, none past it.
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, StorageError>;

    /// Writes all of `data` at `offset`, or at the end if the file was opened to append. When space runs out, what
    /// fitted has been written and the error is [`NoSpace`](StorageError::NoSpace).
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), StorageError>;

    /// What is known of the file.
    fn attributes(&self) -> Result<Attributes, StorageError>;

    /// As [`Storage::set_attributes`]. To set the size, the file has to be open for writing.
    fn set_attributes(&self, changes: &Changes) -> Result<(), StorageError>;

    /// Returns when all that was written is on the disk, if there is one.
    fn sync(&self) -> Result<(), StorageError>;

    /// As [`Storage::file_system`].
    fn file_system(&self) -> Result<FileSystem, StorageError>;
}

/// A directory being listed.
pub(crate) trait Listing: fmt::Debug + Send {
    /// The next entries, at most `most` and at least one, or none at the end. Attributes are those of this moment, links
    /// not followed; what was removed since the listing began is left out.
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, StorageError>;
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Bytes,
    pub(crate) attributes: Attributes,
}

/// What one read returns at most, whatever it asks for: more than any SFTP packet holds, so only a bound for memory.
pub(crate) const LONGEST_READ: usize = 1 << 20;

/// Whether the last part of a path is followed if it is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Keep,
}

/// What a rename does to what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Fails with [`Exists`](StorageError::Exists), as SFTP's own RENAME.
    Refuse,
    /// Replaces a file by a file and an empty directory by a directory, as rename(2).
    Replace,
}

/// How to open a file. Without [`write`](Self::write) or [`append`](Self::append) it is opened for reading, as open(2)
/// does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    create: bool,
    truncate: bool,
    exclusive: bool,
    mode: Option<u32>,
}

impl OpenOptions {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn read(mut self) -> Self {
        self.read = true;
        self
    }

    pub(crate) fn write(mut self) -> Self {
        self.write = true;
        self
    }

    /// For writing, each write at the end as it is then.
    pub(crate) fn append(mut self) -> Self {
        self.append = true;
        self
    }

    /// Makes the file if it is not there.
    pub(crate) fn create(mut self) -> Self {
        self.create = true;
        self
    }

    /// Empties the file. Needs [`write`](Self::write) or [`append`](Self::append).
    pub(crate) fn truncate(mut self) -> Self {
        self.truncate = true;
        self
    }

    /// Together with [`create`](Self::create): refuses what is there already, be it a link that leads nowhere.
    /// Alone it means nothing.
    pub(crate) fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// The permission bits of a new file, before the umask; 0666 otherwise.
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    fn check(self) -> Result<(), StorageError> {
        if self.truncate && !self.writes() {
            return Err(StorageError::Invalid("a file that is not opened for writing cannot be emptied"));
        }
        Ok(())
    }

    fn reads(self) -> bool {
        self.read || !self.writes()
    }

    fn writes(self) -> bool {
        self.write || self.append
    }

    fn only_new(self) -> bool {
        self.create && self.exclusive
    }

    /// How the last part of the path is to be taken.
    fn last(self) -> Last {
        if self.only_new() { Last::Name } else { Last::Target }
    }

    /// Whether a file may be made under a name that is free.
    fn may_make(self, slash: Slash) -> Result<(), StorageError> {
        match slash {
            _ if !self.create => Err(StorageError::NotFound),
            Slash::Yes => Err(StorageError::IsADirectory),
            Slash::No => Ok(()),
        }
    }

    fn may_read(self) -> Result<(), StorageError> {
        if self.reads() { Ok(()) } else { Err(StorageError::PermissionDenied) }
    }

    fn may_write(self) -> Result<(), StorageError> {
        if self.writes() { Ok(()) } else { Err(StorageError::PermissionDenied) }
    }

    /// As ftruncate(2), which has another error for it than write(2).
    fn may_resize(self) -> Result<(), StorageError> {
        if self.writes() { Ok(()) } else { Err(StorageError::Invalid("the file is not open for writing")) }
    }
}

/// Of several parts that were each tried.
fn last_failure<const N: usize>(parts: [Result<(), StorageError>; N]) -> Result<(), StorageError> {
    parts.into_iter().rev().find(Result::is_err).unwrap_or(Ok(()))
}

/// How much one step of [`CopyData`] moves.
const COPY: usize = 256 * 1024;

/// A copy from one open file to another, step by step, so that who asks for a long one keeps nobody waiting.
///
/// It ends where the source ended when it began.
#[derive(Debug)]
pub(crate) struct CopyData<'a> {
    from: &'a dyn OpenFile,
    to: &'a dyn OpenFile,
    read_at: u64,
    write_at: u64,
    left: u64,
    copied: u64,
}

impl<'a> CopyData<'a> {
    /// The whole rest, if no length is given.
    ///
    /// # Errors
    /// Both are the same file; or nothing can be known of one.
    pub(crate) fn new(
        (from, read_at): (&'a dyn OpenFile, u64),
        length: Option<u64>,
        (to, write_at): (&'a dyn OpenFile, u64),
    ) -> Result<Self, StorageError> {
        let (source, target) = (from.attributes()?, to.attributes()?);
        if source.inode.is_some() && source.inode == target.inode {
            return Err(StorageError::Invalid("a file cannot be copied into itself"));
        }
        let rest = source.size.saturating_sub(read_at);
        let left = length.map_or(rest, |length| length.min(rest));
        Ok(Self { from, to, read_at, write_at, left, copied: 0 })
    }

    /// Copies the next piece. At the end it says how many bytes all were: fewer than asked for if the source ended
    /// before.
    ///
    /// # Errors
    /// Reading or writing failed; what was copied until then stays.
    pub(crate) fn step(&mut self) -> Result<Option<u64>, StorageError> {
        let data = self.from.read_at(self.read_at, usize::try_from(self.left).unwrap_or(COPY).min(COPY))?;
        if data.is_empty() {
            return Ok(Some(self.copied));
        }
        self.to.write_at(self.write_at, &data)?;
        let moved = data.len() as u64;
        self.copied += moved;
        self.left -= moved;
        self.read_at = self.read_at.checked_add(moved).ok_or(StorageError::TooLarge)?;
        self.write_at = self.write_at.checked_add(moved).ok_or(StorageError::TooLarge)?;
        Ok(None)
    }
}
