//! What both trees do alike, check by check. What only one of them has, and both against each other, are below.

/// Makes a test of each check for each tree.
macro_rules! table {
    ($memory:ident, $disk:ident, [$($check:ident)*]) => {
        mod $memory {
            $(#[test]
            fn $check() {
                super::$check(&super::Memory::new());
            })*
        }

        mod $disk {
            $(#[test]
            fn $check() {
                let root = tempfile::tempdir().unwrap();
                super::$check(&super::Directory::new(root.path()).unwrap());
            })*
        }
    };
}

mod both;
mod directory;
#[cfg(unix)]
mod links;
mod memory;
mod model;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::storage::{Changes, CopyData, Existing, Links, OpenFile, OpenOptions, Storage, StorageError};

/// A file for reading and writing, made if need be.
fn both_ways() -> OpenOptions {
    OpenOptions::new().read().write().create()
}

fn write(tree: &dyn Storage, path: &str, data: &[u8]) {
    tree.open(path.as_bytes(), both_ways().truncate()).unwrap().write_at(0, data).unwrap();
}

fn read(tree: &dyn Storage, path: &str) -> Result<Bytes, StorageError> {
    tree.open(path.as_bytes(), OpenOptions::new().read())?.read_at(0, usize::MAX)
}

/// A copy, to its end.
fn copy_data(
    from: (&dyn OpenFile, u64),
    length: Option<u64>,
    to: (&dyn OpenFile, u64),
) -> Result<u64, StorageError> {
    let mut copy = CopyData::new(from, length, to)?;
    loop {
        if let Some(copied) = copy.step()? {
            return Ok(copied);
        }
    }
}

/// The names in a directory, two at a time, without the dots that come first.
fn names(tree: &dyn Storage, path: &str) -> Vec<Bytes> {
    let mut listing = tree.list(path.as_bytes()).unwrap();
    let mut names = Vec::new();
    loop {
        let entries = listing.next(2).unwrap();
        assert!(entries.len() <= 2);
        if entries.is_empty() {
            break;
        }
        names.extend(entries.into_iter().map(|entry| entry.name));
    }
    assert_eq!(names.drain(..2).collect::<Vec<_>>(), [".", ".."]);
    names
}

fn size(tree: &dyn Storage, path: &str) -> u64 {
    tree.attributes(path.as_bytes(), Links::Keep).unwrap().size
}

fn exists(tree: &dyn Storage, path: &str) -> bool {
    match tree.attributes(path.as_bytes(), Links::Keep) {
        Ok(_) => true,
        Err(StorageError::NotFound) => false,
        Err(error) => panic!("{path}: {error}"),
    }
}

fn seconds(after: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(after)
}

fn move_to(tree: &dyn Storage, from: &str, to: &str) -> Result<(), StorageError> {
    tree.rename(from.as_bytes(), to.as_bytes(), Existing::Refuse)
}

fn replace(tree: &dyn Storage, from: &str, to: &str) -> Result<(), StorageError> {
    tree.rename(from.as_bytes(), to.as_bytes(), Existing::Replace)
}

fn size_of(bytes: u64) -> Changes {
    Changes { size: Some(bytes), ..Changes::default() }
}
