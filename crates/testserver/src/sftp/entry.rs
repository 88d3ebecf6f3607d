//! What is in the tree from the start.

use std::time::SystemTime;

use bytes::Bytes;

use crate::storage::{Changes, Links, OpenOptions, Storage, StorageError};

/// A file, directory or link that is there when the server starts; see [`Sftp::entry`](crate::Sftp::entry).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SftpEntry {
    what: What,
    mode: Option<u32>,
    modified: Option<SystemTime>,
    size: Option<u64>,
    owner: Option<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    File(Bytes),
    Directory,
    Symlink(Bytes),
}

impl SftpEntry {
    /// A file of this content, with mode 0644.
    pub fn file(content: impl Into<Bytes>) -> Self {
        Self::of(What::File(content.into()))
    }

    /// A directory, with mode 0755.
    ///
    /// ```
    /// use rustle_testserver::{Sftp, SftpEntry};
    ///
    /// let sftp = Sftp::memory().entry("/srv/private", SftpEntry::directory().mode(0o700).owner(0, 0));
    /// ```
    pub fn directory() -> Self {
        Self::of(What::Directory)
    }

    /// A symbolic link that reads `target`, which need not exist. It has no mode of its own.
    pub fn symlink(target: impl Into<Bytes>) -> Self {
        Self::of(What::Symlink(target.into()))
    }

    /// With these permission bits, at most 0o7777. A real directory has none on Windows: there the server does not start.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Last read and changed at this time. The moment of the start otherwise.
    pub fn modified(mut self, at: SystemTime) -> Self {
        self.modified = Some(at);
        self
    }

    /// Cut, or made longer by a hole, to this size in bytes. Files only.
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Belongs to this user and this group. In memory, to user and group 1000 otherwise, as whom clients act; in a
    /// directory, to whom the test runs as, and giving it away needs root.
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    fn of(what: What) -> Self {
        Self { what, mode: None, modified: None, size: None, owner: None }
    }

    /// Puts it into a tree, with the directories above it, and without its mode and times. `owner` is whose they are.
    pub(super) fn place(
        &self,
        storage: &dyn Storage,
        path: &[u8],
        owner: Option<(u32, u32)>,
    ) -> Result<(), StorageError> {
        for (at, _) in path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0) {
            let above = path.get(..at).unwrap_or_default();
            match storage.make_directory(above, Some(0o755)) {
                Ok(()) => storage.set_attributes(above, Links::Keep, &given(owner))?,
                Err(StorageError::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        match &self.what {
            What::File(content) => {
                let options = OpenOptions::new().write().create().truncate();
                storage.open(path, options)?.write_at(0, content)?;
            }
            What::Directory => match storage.make_directory(path, Some(0o755)) {
                Ok(()) | Err(StorageError::Exists) => {}
                Err(error) => return Err(error),
            },
            What::Symlink(target) => {
                match storage.remove_file(path) {
                    Ok(()) | Err(StorageError::NotFound) => {}
                    Err(error) => return Err(error),
                }
                storage.make_symlink(target, path)?;
            }
        }
        Ok(())
    }

    /// Sets what it is to have; `owner` is whose it is if nothing was said.
    pub(super) fn finish(
        &self,
        storage: &dyn Storage,
        path: &[u8],
        owner: Option<(u32, u32)>,
    ) -> Result<(), StorageError> {
        let changes = Changes {
            size: self.size,
            mode: self.mode.or_else(|| self.usual_mode()),
            accessed: self.modified,
            modified: self.modified,
            ..given(self.owner.or(owner))
        };
        match storage.set_attributes(path, Links::Keep, &changes) {
            // A real directory on Windows has no modes, and nobody asked for one.
            Err(StorageError::Unsupported(_)) if self.mode.is_none() => {
                storage.set_attributes(path, Links::Keep, &Changes { mode: None, ..changes })
            }
            done => done,
        }
    }

    /// What it has if nobody says otherwise.
    fn usual_mode(&self) -> Option<u32> {
        match self.what {
            What::File(_) => Some(0o644),
            What::Directory => Some(0o755),
            What::Symlink(_) => None,
        }
    }
}

fn given(owner: Option<(u32, u32)>) -> Changes {
    Changes { uid: owner.map(|(uid, _)| uid), gid: owner.map(|(_, gid)| gid), ..Changes::default() }
}
