//! Open files and listings of a directory of the disk.

use std::{ffi::OsString, fs::File, io, path::PathBuf, vec};

use bytes::Bytes;

use crate::storage::{
    Attributes, Changes, Entry, FileSystem, LONGEST_READ, Listing, OpenFile, OpenOptions, StorageError,
    directory::{platform, refusal},
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
        if let Some(size) = changes.size {
            self.options.may_write()?;
            resize(&self.file, size)?;
        }
        platform::change_open(&self.file, changes)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(refusal)
    }

    fn file_system(&self) -> Result<FileSystem, StorageError> {
        platform::open_file_system(&self.file)
    }
}

/// A listing of the names that were there when it began.
#[derive(Debug)]
pub(crate) struct DiskListing {
    directory: PathBuf,
    parent: PathBuf,
    names: vec::IntoIter<(Bytes, OsString)>,
}

impl DiskListing {
    pub(crate) fn new(directory: PathBuf, parent: PathBuf, mut names: Vec<(Bytes, OsString)>) -> Self {
        let dots = [".", ".."].map(|name| (Bytes::from_static(name.as_bytes()), OsString::from(name)));
        names.splice(0..0, dots);
        Self { directory, parent, names: names.into_iter() }
    }
}

impl Listing for DiskListing {
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, StorageError> {
        let mut entries = Vec::new();
        while entries.len() < most.max(1) {
            let Some((name, file_name)) = self.names.next() else { break };
            let metadata = match &name[..] {
                b"." => self.directory.symlink_metadata(),
                b".." => self.parent.symlink_metadata(),
                _ => self.directory.join(file_name).symlink_metadata(),
            };
            match metadata {
                Ok(metadata) => entries.push(Entry { name, attributes: platform::attributes(&metadata) }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(refusal(error)),
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
