//! Files of this side, without ever blocking the async threads.
//!
//! A file that is read or written in bulk has a thread of its own for as long as it is open, and gets its work in
//! batches: waking a thread costs more than copying a block. Everything else, such as making a directory, is one short
//! job on the runtime's pool of blocking threads. Both are started in `driver.rs`.
//!
//! Errors are [`ErrorKind::Local`], with the path and what was being done, and the system's own error as their cause.

pub(crate) mod block;
pub(crate) mod details;
mod driver;
pub(crate) mod modes;
pub(crate) mod original;
mod positional;
pub(crate) mod preserve;
pub(crate) mod reader;
pub(crate) mod remove;
pub(crate) mod target;
pub(crate) mod tree;
pub(crate) mod whole;
pub(crate) mod writer;

use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// What the system refused about a file of this side.
fn refused(operation: &'static str, path: &Path, source: io::Error) -> Error {
    let (text, hint) = match source.kind() {
        io::ErrorKind::NotFound => ("no such file or directory on this side", None),
        io::ErrorKind::PermissionDenied => ("permission denied on this side", None),
        io::ErrorKind::AlreadyExists => ("the name is taken on this side", None),
        io::ErrorKind::IsADirectory => ("a directory on this side", Some("name a file in it")),
        io::ErrorKind::NotADirectory => ("a part of the path is no directory on this side", None),
        io::ErrorKind::StorageFull => ("the file system of this side is full", Some(MAKE_ROOM)),
        io::ErrorKind::QuotaExceeded => ("the quota on this side is used up", Some(MAKE_ROOM)),
        io::ErrorKind::FileTooLarge => ("larger than this side's file system or limits allow", None),
        io::ErrorKind::ReadOnlyFilesystem => ("the file system of this side is read-only", None),
        io::ErrorKind::InvalidFilename => ("this side's file system does not take the name", None),
        _ => ("the system of this side refused it", None),
    };
    let error = failed(operation, path, text).with_source(source);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What cannot be done with a file of this side.
fn failed(operation: &'static str, path: &Path, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Local, operation, message).at(path.as_os_str().as_encoded_bytes())
}

const MAKE_ROOM: &str = "free space there, or write to another file system";

#[cfg(test)]
mod tests;
