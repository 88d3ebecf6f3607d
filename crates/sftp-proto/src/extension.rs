//! The extensions that this crate has types for.

use std::fmt;

/// An extension that this crate has types for: those that OpenSSH announces (OpenSSH `PROTOCOL`, section 4), and `check-file`.
///
/// ```
/// use rustle_sftp_proto::Extension;
///
/// assert_eq!(Extension::from_name(b"statvfs@openssh.com"), Some(Extension::StatVfs));
/// assert_eq!(Extension::StatVfs.version(), "2");
/// assert!(Extension::ALL.contains(&Extension::CheckFile));
/// assert!(!Extension::OPENSSH.contains(&Extension::CheckFile));
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
    /// `check-file`: hashes of files (draft-ietf-secsh-filexfer-extensions-00, section 3). OpenSSH has it not.
    CheckFile,
}

impl Extension {
    /// All of them: those of OpenSSH first, in its order.
    pub const ALL: [Self; 12] = [
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
        Self::CheckFile,
    ];

    /// Those of OpenSSH, in the order in which it announces them.
    pub const OPENSSH: [Self; 11] = [
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

    /// Its name on the wire, as it is announced. Requests have the same, but for those of `check-file`, which has several.
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
            Self::CheckFile => "check-file",
        }
    }

    /// The version that OpenSSH announces, and that the types here are of. Empty for `check-file`, which has none.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::StatVfs | Self::FstatVfs => "2",
            Self::CheckFile => "",
            _ => "1",
        }
    }

    /// Whether a server that announces this pair has it, in the version that the types here are of.
    ///
    /// `check-file` has no version: servers announce it with nothing, with a number or with their algorithms (paramiko), and
    /// some by the name of a request (VShell).
    pub(crate) fn is_announced_by(self, name: &[u8], data: &[u8]) -> bool {
        match self {
            Self::CheckFile => name == self.name().as_bytes() || CHECK_FILE_REQUESTS.contains(&name),
            _ => name == self.name().as_bytes() && data == self.version().as_bytes(),
        }
    }

    /// The extension that is announced by this name.
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

/// What requests of `check-file` are called: by handle and by name.
pub(crate) const CHECK_FILE_REQUESTS: [&[u8]; 2] = [b"check-file-handle", b"check-file-name"];
