//! Giving a file of this side the permissions and times of its original.

use std::fs::{File, FileTimes, Permissions};
use std::io;
use std::time::{Duration, SystemTime};

/// What of the original is kept. Without any, a file has what the system gives to new ones.
///
/// Set-user-id, set-group-id and sticky bits are never set, as by OpenSSH's `sftp -p`: whoever fetches as root must not
/// get a program with root's rights because the server says so. Windows has one permission, that of writing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Preserved {
    mode: Option<u32>,
    modified: Option<u32>,
    accessed: Option<u32>,
}

impl Preserved {
    /// What the system gives.
    pub(crate) const NOTHING: Self = Self { mode: None, modified: None, accessed: None };

    /// The permissions, of which `0o777` count.
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o777);
        self
    }

    /// Times in seconds since 1970, as SFTP version 3 has them.
    pub(crate) fn times(mut self, accessed: u32, modified: u32) -> Self {
        (self.accessed, self.modified) = (Some(accessed), Some(modified));
        self
    }

    pub(super) fn permissions(&self) -> Option<u32> {
        self.mode
    }

    /// Sets what there is on an open file or directory: first the times, since permissions may forbid them.
    pub(super) fn apply(&self, file: &File) -> io::Result<()> {
        if self.modified.is_some() || self.accessed.is_some() {
            let mut times = FileTimes::new();
            if let Some(modified) = self.modified {
                times = times.set_modified(time(modified));
            }
            if let Some(accessed) = self.accessed {
                times = times.set_accessed(time(accessed));
            }
            file.set_times(times)?;
        }
        match self.mode {
            Some(mode) => set_mode(file, mode),
            None => Ok(()),
        }
    }
}

fn time(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(seconds))
}

#[cfg(unix)]
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode))
}

/// Read-only where nobody of the original's side may write, or the owner may not.
#[cfg(windows)]
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        // The attribute would not keep anybody from writing in it.
        return Ok(());
    }
    let mut permissions: Permissions = metadata.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    file.set_permissions(permissions)
}
