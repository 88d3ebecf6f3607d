//! Open files and listings of a tree in memory.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
    vec,
};

use bytes::Bytes;

use crate::storage::{
    Attributes, Changes, Entry, FileSystem, LONGEST_READ, Listing, OpenFile, OpenOptions, StorageError,
    last_failure,
    memory::{Memory, tree::Inode},
};

/// An open file, which it keeps alive.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    memory: Memory,
    inode: Inode,
    options: OpenOptions,
    /// The time that writes through this handle have given the file.
    written: Mutex<Option<SystemTime>>,
}

impl MemoryFile {
    /// A handle on a node whose count has been raised.
    pub(crate) fn new(memory: Memory, inode: Inode, options: OpenOptions) -> Self {
        Self { memory, inode, options, written: Mutex::new(None) }
    }

    fn written(&self) -> MutexGuard<'_, Option<SystemTime>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenFile for MemoryFile {
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        self.options.may_read()?;
        self.memory.tree().read(self.inode, offset, length.min(LONGEST_READ))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.options.may_write()?;
        let offset = (!self.options.append).then_some(offset);
        let mut written = self.written();
        self.memory.tree().write(self.inode, offset, data, &mut written)
    }

    fn attributes(&self) -> Result<Attributes, StorageError> {
        self.memory.tree().attributes(self.inode)
    }

    fn set_attributes(&self, changes: &Changes) -> Result<(), StorageError> {
        self.memory.may_change_anything()?;
        let mut tree = self.memory.tree();
        let mut resized = Ok(());
        if let Some(size) = changes.size {
            resized = self.options.may_resize().and_then(|()| tree.resize(self.inode, size));
        }
        let changed = last_failure([resized, self.memory.change(&mut tree, self.inode, changes)]);
        drop(tree);
        // What is written after this is another change.
        *self.written() = None;
        changed
    }

    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn file_system(&self) -> Result<FileSystem, StorageError> {
        Ok(self.memory.numbers(&self.memory.tree()))
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.memory.tree().closed(self.inode);
    }
}

/// A listing of the names that were there when it began.
#[derive(Debug)]
pub(crate) struct MemoryListing {
    memory: Memory,
    directory: Inode,
    names: vec::IntoIter<Bytes>,
}

impl MemoryListing {
    pub(crate) fn new(memory: Memory, directory: Inode, mut names: Vec<Bytes>) -> Self {
        names.splice(0..0, [Bytes::from_static(b"."), Bytes::from_static(b"..")]);
        Self { memory, directory, names: names.into_iter() }
    }
}

impl Listing for MemoryListing {
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, StorageError> {
        let tree = self.memory.tree();
        // A directory that was removed meanwhile was empty.
        let Ok(directory) = tree.directory(self.directory) else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        while entries.len() < most.max(1) {
            let Some(name) = self.names.next() else { break };
            let inode = match &name[..] {
                b"." => Some(self.directory),
                b".." => Some(directory.parent()),
                _ => directory.entries.get(&name).copied(),
            };
            if let Some(attributes) = inode.and_then(|inode| tree.attributes(inode).ok()) {
                entries.push(Entry { name, attributes });
            }
        }
        Ok(entries)
    }
}
