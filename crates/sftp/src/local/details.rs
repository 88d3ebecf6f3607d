//! What is known of a file of this side, and whether it is still the same.

use std::fs::{File, Metadata};
use std::io;
use std::time::{Duration, SystemTime};

/// What a file is, as far as a transfer cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Details {
    kind: Kind,
    stamp: Stamp,
    mode: u32,
    accessed: Option<SystemTime>,
    is_sparse: bool,
}

/// The permissions that this side's files have of those that there are.
pub(crate) const PERMISSIONS: u32 = if cfg!(windows) { 0o200 } else { 0o777 };

/// The kinds of file that a transfer tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    /// A pipe, a socket, a device.
    Special,
}

/// What changes when somebody writes to a file or puts another in its place.
///
/// It is as sharp as the file system's clock: a change within the same tick as the one before, a few milliseconds
/// with most, that leaves the length as it is, is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    identity: Option<(u64, u64)>,
}

impl Details {
    /// Of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut details = Self::from(&file.metadata()?);
        details.stamp.identity = identity(file)?;
        Ok(details)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn length(&self) -> u64 {
        self.stamp.length
    }

    /// Whether it takes less room than its length: most files do not. Known on Linux alone.
    pub(crate) fn is_sparse(&self) -> bool {
        self.is_sparse
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The permissions, `0o777` at most. Windows has one of them: a file that is read-only has no write bit.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Seconds since 1970, where they fit into what SFTP version 3 has for them: until 2106.
    pub(crate) fn modified(&self) -> Option<u32> {
        seconds(self.stamp.modified?)
    }

    /// As [`Details::modified`].
    pub(crate) fn accessed(&self) -> Option<u32> {
        seconds(self.accessed?)
    }
}

impl Stamp {
    /// Whether both are of one file, whatever happened to it between them. Without an answer from the file system they
    /// are not known to be.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.identity.is_some() && self.identity == other.identity
    }
}

impl From<&Metadata> for Details {
    fn from(metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        let kind = match () {
            () if kind.is_file() => Kind::File,
            () if kind.is_dir() => Kind::Directory,
            () if kind.is_symlink() => Kind::Link,
            () => Kind::Special,
        };
        let stamp = Stamp {
            length: metadata.len(),
            // Not every file system has times; then they are no part of the stamp.
            modified: metadata.modified().ok(),
            identity: identity_in(metadata),
        };
        let accessed = metadata.accessed().ok();
        Self { kind, stamp, mode: mode(metadata), accessed, is_sparse: is_sparse(metadata) }
    }
}

#[cfg(target_os = "linux")]
fn is_sparse(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512) < metadata.len()
}

#[cfg(not(target_os = "linux"))]
fn is_sparse(_metadata: &Metadata) -> bool {
    false
}

fn seconds(time: SystemTime) -> Option<u32> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX);
    u32::try_from(since.as_secs()).ok()
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

#[cfg(windows)]
fn mode(metadata: &Metadata) -> u32 {
    match (metadata.is_dir(), metadata.permissions().readonly()) {
        // The attribute of a directory says nothing about what may be done in it.
        (true, _) => 0o755,
        (false, true) => 0o444,
        (false, false) => 0o644,
    }
}

#[cfg(unix)]
fn identity_in(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(windows)]
fn identity_in(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(unix)]
fn identity(file: &File) -> io::Result<Option<(u64, u64)>> {
    file.metadata().map(|metadata| identity_in(&metadata))
}

#[cfg(windows)]
fn identity(file: &File) -> io::Result<Option<(u64, u64)>> {
    let information = winapi_util::file::information(file)?;
    Ok(Some((information.volume_serial_number(), information.file_index())))
}
