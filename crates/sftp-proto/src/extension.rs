//! The extensions of OpenSSH.

use std::fmt;

/// An extension that OpenSSH announces and this crate has types for (OpenSSH `PROTOCOL`, section 4).
///
/// ```
/// use rustle_sftp_proto::Extension;
///
/// assert_eq!(Extension::from_name(b"statvfs@openssh.com"), Some(Extension::StatVfs));
/// assert_eq!(Extension::StatVfs.version(), "2");
/// assert_eq!(Extension::ALL.len(), 11);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// `posix-rename@openssh.com`: rename that replaces an existing file.
    PosixRename,
    /// `statvfs@openssh.com`: about the file system of a path.
    StatVfs,
    /// `fstatvfs@openssh.com`: about the file system of an open file.
    FstatVfs,
    /// `hardlink@openssh.com`: a second name for a file.
    HardLink,
    /// `fsync@openssh.com`: an open file to stable storage.
    Fsync,
    /// `lsetstat@openssh.com`: attributes of a link itself.
    LsetStat,
    /// `limits@openssh.com`: how much the server takes at once.
    Limits,
    /// `expand-path@openssh.com`: REALPATH that knows `~`.
    ExpandPath,
    /// `copy-data`: a copy on the server, between two open files.
    CopyData,
    /// `home-directory`: where a user's home is.
    HomeDirectory,
    /// `users-groups-by-id@openssh.com`: names for numbers.
    UsersGroupsById,
}

impl Extension {
    /// All of them, in the order in which OpenSSH announces them.
    pub const ALL: [Self; 11] = [
        Self::PosixRename,
        Self::StatVfs,
        Self::FstatVfs,
        Self::HardLink,
        Self::Fsync,
        Self::LsetStat,
        Self::Limits,
        Self::ExpandPath,
        Self::CopyData,
        Self::HomeDirectory,
        Self::UsersGroupsById,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PosixRename => "posix-rename@openssh.com",
            Self::StatVfs => "statvfs@openssh.com",
            Self::FstatVfs => "fstatvfs@openssh.com",
            Self::HardLink => "hardlink@openssh.com",
            Self::Fsync => "fsync@openssh.com",
            Self::LsetStat => "lsetstat@openssh.com",
            Self::Limits => "limits@openssh.com",
            Self::ExpandPath => "expand-path@openssh.com",
            Self::CopyData => "copy-data",
            Self::HomeDirectory => "home-directory",
            Self::UsersGroupsById => "users-groups-by-id@openssh.com",
        }
    }

    /// The version that OpenSSH announces, and that the types here are of.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::StatVfs | Self::FstatVfs => "2",
            _ => "1",
        }
    }

    /// The extension of this name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.name().as_bytes() == name)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
