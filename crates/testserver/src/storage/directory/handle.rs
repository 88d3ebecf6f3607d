//! Open files and listings of a directory of the disk.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    vec,
};

use bytes::Bytes;

use crate::storage::{
    Attributes, Changes, Entry, FileSystem, LONGEST_READ, Listing, OpenFile, OpenOptions, StorageError,
    directory::{platform, refusal},
    last_failure,
};

/// An open file.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    options: OpenOptions,
}

impl DiskFile {
    pub(crate) fn new(file: File, options: OpenOptions) -> Self {
        Self { file, options }
    }
}

impl OpenFile for DiskFile {
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        self.options.may_read()?;
        if offset > LARGEST_OFFSET {
            return Ok(Bytes::new());
        }
        platform::read_at(&self.file, offset, length.min(LONGEST_READ)).map_err(refusal)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.options.may_write()?;
        if data.is_empty() {
            return Ok(());
        }
        if self.options.append {
            return platform::append(&self.file, data).map_err(refusal);
        }
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > LARGEST_OFFSET) {
            return Err(StorageError::TooLarge);
        }
        platform::write_at(&self.file, offset, data).map_err(refusal)
    }

    fn attributes(&self) -> Result<Attributes, StorageError> {
        Ok(platform::attributes(&self.file.metadata().map_err(refusal)?))
    }

    fn set_attributes(&self, changes: &Changes) -> Result<(), StorageError> {
        let resize = |size| {
            self.options.may_resize()?;
            resize(&self.file, size)
        };
        last_failure([changes.size.map_or(Ok(()), resize), platform::change_open(&self.file, changes)])
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(refusal)
    }

    fn file_system(&self) -> Result<FileSystem, StorageError> {
        platform::open_file_system(&self.file)
    }
}

/// A listing of the names that were there when it began. It ends early if the directory is moved or removed.
/// (On Windows it goes on if another directory is there by then.)
#[derive(Debug)]
pub(crate) struct DiskListing {
    turns: Arc<Mutex<()>>,
    directory: Found,
    parent: Found,
    names: vec::IntoIter<(Bytes, OsString)>,
}

/// A directory as it was found: its path may lead elsewhere later.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    identity: platform::Identity,
}

impl Found {
    fn new(path: &Path) -> Result<Self, StorageError> {
        let metadata = path.symlink_metadata().map_err(refusal)?;
        Ok(Self { path: path.to_owned(), identity: platform::identity(&metadata) })
    }

    /// What is known of it, if it is still there.
    fn metadata(&self) -> Option<Metadata> {
        let metadata = self.path.symlink_metadata().ok()?;
        (metadata.is_dir() && platform::identity(&metadata) == self.identity).then_some(metadata)
    }
}

impl DiskListing {
    /// `turns` is what every operation on the tree holds.
    pub(crate) fn new(
        turns: Arc<Mutex<()>>,
        directory: &Path,
        parent: &Path,
        mut names: Vec<(Bytes, OsString)>,
    ) -> Result<Self, StorageError> {
        let dots = [".", ".."].map(|name| (Bytes::from_static(name.as_bytes()), OsString::from(name)));
        names.splice(0..0, dots);
        let (directory, parent) = (Found::new(directory)?, Found::new(parent)?);
        Ok(Self { turns, directory, parent, names: names.into_iter() })
    }
}

impl Listing for DiskListing {
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, StorageError> {
        let _turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        let Some(directory) = self.directory.metadata() else { return Ok(entries) };
        while entries.len() < most.max(1) {
            let Some((name, file_name)) = self.names.next() else { break };
            let metadata = match &name[..] {
                b"." => Some(directory.clone()),
                b".." => self.parent.metadata(),
                _ => self.directory.path.join(file_name).symlink_metadata().ok(),
            };
            // As OpenSSH, this leaves out what nothing can be known of, and not what was removed alone.
            if let Some(metadata) = metadata {
                entries.push(Entry { name, attributes: platform::attributes(&metadata) });
            }
        }
        Ok(entries)
    }
}

const LARGEST_OFFSET: u64 = i64::MAX as u64;

/// Cuts a file off, or lengthens it by a hole.
pub(crate) fn resize(file: &File, size: u64) -> Result<(), StorageError> {
    if size > LARGEST_OFFSET {
        return Err(StorageError::TooLarge);
    }
    file.set_len(size).map_err(refusal)
}
