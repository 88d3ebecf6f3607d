//! What serves, and what tells one from another.

use rustle_sftp_proto::Extension;

/// What serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Software {
    /// OpenSSH's `sshd`, with its `sftp-server` as a program of its own.
    OpensshProgram,
    /// OpenSSH's `sshd` by itself, as `internal-sftp`.
    OpensshInternal,
    /// dropbear, with OpenSSH's `sftp-server`.
    Dropbear,
    /// ProFTPD, by `mod_sftp`.
    Proftpd,
    /// The Python library's own server.
    Asyncssh,
    /// The Python library, with files by a program of the suite's.
    Paramiko,
    /// The library for Node.js, with files by a program of the suite's. It answers in any order, and takes the two paths
    /// of SYMLINK in the order of the draft from a client that does not call itself OpenSSH.
    Ssh2,
    /// OpenSSH's `sshd`, which has no subsystem.
    OpensshWithoutSftp,
    /// dropbear, where there is no `sftp-server`.
    DropbearWithoutSftp,
}

/// What becomes of a file under a name that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OddNames {
    /// It has that name.
    Kept,
    /// There is an error.
    Refused,
    /// It gets another name, and nobody is told.
    Replaced,
}

impl Software {
    /// Each that serves SFTP.
    pub(crate) const ALL: [Self; 7] = [
        Self::OpensshProgram,
        Self::OpensshInternal,
        Self::Dropbear,
        Self::Proftpd,
        Self::Asyncssh,
        Self::Paramiko,
        Self::Ssh2,
    ];

    /// Each that does not, and runs commands.
    pub(crate) const WITHOUT_SFTP: [Self; 2] = [Self::OpensshWithoutSftp, Self::DropbearWithoutSftp];

    /// Whether it runs commands beside SFTP.
    pub(crate) fn runs_commands(self) -> bool {
        !matches!(self, Self::Proftpd | Self::Asyncssh | Self::Paramiko | Self::Ssh2)
    }

    /// Which extensions it announces. paramiko's `check-file` is by MD5 and SHA-1.
    pub(crate) fn has(self, extension: Extension) -> bool {
        match self {
            Self::OpensshProgram | Self::OpensshInternal | Self::Dropbear => {
                extension != Extension::CheckFile
            }
            Self::Proftpd => matches!(
                extension,
                Extension::PosixRename
                    | Extension::StatVfs
                    | Extension::FstatVfs
                    | Extension::HardLink
                    | Extension::Fsync
                    | Extension::HomeDirectory
            ),
            Self::Asyncssh => !matches!(
                extension,
                Extension::ExpandPath
                    | Extension::HomeDirectory
                    | Extension::UsersGroupsById
                    | Extension::CheckFile
            ),
            Self::Paramiko => extension == Extension::CheckFile,
            Self::Ssh2 | Self::OpensshWithoutSftp | Self::DropbearWithoutSftp => false,
        }
    }

    /// What it does about names that are not UTF-8.
    pub(crate) fn odd_names(self) -> OddNames {
        match self {
            Self::Paramiko => OddNames::Refused,
            Self::Ssh2 => OddNames::Replaced,
            _ => OddNames::Kept,
        }
    }
}
