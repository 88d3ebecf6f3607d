//! What is known of a file, and what can be set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustle_sftp_proto::{Attributes, FileKind};

use crate::error::{Error, ErrorKind, Result};

/// What a server says about a file. Whatever it does not say is `None`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/motd", "hi")).await;
/// let motd = sftp.metadata("/motd").await?;
/// assert!(motd.is_file());
/// assert_eq!((motd.len(), motd.permissions()), (Some(2), Some(0o644)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    attributes: Attributes,
}

impl Metadata {
    pub(crate) fn new(attributes: Attributes) -> Self {
        Self { attributes }
    }

    /// What sort of file it is. Some servers send permissions without it, or neither.
    #[must_use]
    pub fn kind(&self) -> Option<FileKind> {
        self.attributes.kind()
    }

    /// Whether it is known to be a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kind() == Some(FileKind::File)
    }

    /// Whether it is known to be a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind() == Some(FileKind::Directory)
    }

    /// Whether it is known to be a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.kind() == Some(FileKind::Symlink)
    }

    /// Its length in bytes. Only that of a regular file has a meaning of its own.
    #[must_use]
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> Option<u64> {
        self.attributes.size()
    }

    /// The mode as POSIX has it: the bits of its kind and its permissions.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        self.attributes.permissions()
    }

    /// The twelve bits of the mode that can be set: read, write and execute, set-user-id, set-group-id and sticky.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        self.mode().map(|mode| mode & PERMISSIONS)
    }

    /// The number of its owner, on the server.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.attributes.uid()
    }

    /// The number of its group, on the server.
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.attributes.gid()
    }

    /// When it was last read, to the second, by the server's clock. The protocol has 32 bits without a sign for it: from
    /// 1970 to 2106.
    #[must_use]
    pub fn accessed(&self) -> Option<SystemTime> {
        self.attributes.accessed().and_then(time)
    }

    /// When its content last changed; see [`accessed`](Self::accessed).
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        self.attributes.modified().and_then(time)
    }

    /// Without the extended attributes of the server, which keep the packet that they came in: for those who keep many.
    pub(crate) fn to_keep(&self) -> Self {
        Self { attributes: self.attributes.clone().without_extended() }
    }

    /// As the protocol has it, with the extended attributes of the server, if it sends any; what was found by a pattern
    /// has none.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }
}

/// What is to be changed of a file; all else stays as it is.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use rustle_sftp::SetMetadata;
///
/// let moment = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let changes = SetMetadata::new().permissions(0o640).times(moment, moment);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct SetMetadata {
    len: Option<u64>,
    permissions: Option<u32>,
    owner: Option<(u32, u32)>,
    times: Option<(SystemTime, SystemTime)>,
}

impl SetMetadata {
    /// Changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the file to this length in bytes, or fills it up with zeros.
    pub fn len(mut self, bytes: u64) -> Self {
        self.len = Some(bytes);
        self
    }

    /// Sets the twelve permission bits; what a mode has beyond them is left out.
    pub fn permissions(mut self, mode: u32) -> Self {
        self.permissions = Some(mode & PERMISSIONS);
        self
    }

    /// Gives the file away, to the server's numbers of a user and a group. They travel together: the protocol has no way
    /// to set one of them.
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// Sets the times of the last access and the last change of the content, which travel together; to the second, and
    /// from 1970 to 2106. Others are refused.
    pub fn times(mut self, accessed: SystemTime, modified: SystemTime) -> Self {
        self.times = Some((accessed, modified));
        self
    }

    /// As it is sent.
    pub(crate) fn attributes(&self, operation: &'static str) -> Result<Attributes> {
        let mut attributes = Attributes::new();
        if let Some(bytes) = self.len {
            attributes = attributes.with_size(bytes);
        }
        if let Some(mode) = self.permissions {
            attributes = attributes.with_permissions(mode);
        }
        if let Some((uid, gid)) = self.owner {
            attributes = attributes.with_owner(uid, gid);
        }
        if let Some((accessed, modified)) = self.times {
            attributes = attributes.with_times(seconds(operation, accessed)?, seconds(operation, modified)?);
        }
        Ok(attributes)
    }
}

/// The seconds of the protocol; what is behind the point is cut off, as by every Unix.
fn seconds(operation: &'static str, time: SystemTime) -> Result<u32> {
    let since = time.duration_since(UNIX_EPOCH).ok();
    since.and_then(|since| u32::try_from(since.as_secs()).ok()).ok_or_else(|| {
        let text = "the time is not between 1970 and 2106, which is all that the protocol has";
        Error::new(ErrorKind::InvalidArgument, operation, text)
    })
}

fn time(seconds: u32) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::from(seconds)))
}

const PERMISSIONS: u32 = 0o7777;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_leaves_out_is_unknown() {
        let bare = Metadata::new(Attributes::new());
        assert_eq!((bare.kind(), bare.len(), bare.mode(), bare.modified()), (None, None, None, None));
        assert!(!bare.is_file() && !bare.is_dir() && !bare.is_symlink());
        let untyped = Metadata::new(Attributes::new().with_permissions(0o644));
        assert_eq!((untyped.kind(), untyped.permissions()), (None, Some(0o644)));
    }

    #[test]
    fn times_beyond_the_protocol_are_refused() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let last = SetMetadata::new().times(at(0), at(u64::from(u32::MAX))).attributes("set").unwrap();
        assert_eq!(Metadata::new(last).modified(), Some(at(u64::from(u32::MAX))));
        for wrong in [at(1 << 32), UNIX_EPOCH - Duration::from_secs(1)] {
            let error = SetMetadata::new().times(at(0), wrong).attributes("set").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn only_what_was_named_is_set() {
        let none = SetMetadata::new().attributes("set").unwrap();
        assert!(none.is_empty());
        let some = SetMetadata::new().permissions(0o100_644).len(0).attributes("set").unwrap();
        assert_eq!(some, Attributes::new().with_permissions(0o644).with_size(0));
    }
}
