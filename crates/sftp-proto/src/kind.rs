//! The types of packets, and their names.

use std::fmt;

/// The type of a packet, which shows itself by the draft's name for it (section 3).
///
/// ```
/// use rustle_sftp_proto::PacketKind;
///
/// assert_eq!(PacketKind::new(103).to_string(), "SSH_FXP_DATA");
/// assert_eq!(PacketKind::new(90).to_string(), "a packet of type 90");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketKind {
    value: u8,
}

impl PacketKind {
    /// The type of this number.
    #[must_use]
    pub const fn new(value: u8) -> Self {
        Self { value }
    }

    /// Its number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.value
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.value {
            INIT => "INIT",
            VERSION => "VERSION",
            OPEN => "OPEN",
            CLOSE => "CLOSE",
            READ => "READ",
            WRITE => "WRITE",
            LSTAT => "LSTAT",
            FSTAT => "FSTAT",
            SETSTAT => "SETSTAT",
            FSETSTAT => "FSETSTAT",
            OPENDIR => "OPENDIR",
            READDIR => "READDIR",
            REMOVE => "REMOVE",
            MKDIR => "MKDIR",
            RMDIR => "RMDIR",
            REALPATH => "REALPATH",
            STAT => "STAT",
            RENAME => "RENAME",
            READLINK => "READLINK",
            SYMLINK => "SYMLINK",
            STATUS => "STATUS",
            HANDLE => "HANDLE",
            DATA => "DATA",
            NAME => "NAME",
            ATTRS => "ATTRS",
            EXTENDED => "EXTENDED",
            EXTENDED_REPLY => "EXTENDED_REPLY",
            value => return write!(f, "a packet of type {value}"),
        };
        write!(f, "SSH_FXP_{name}")
    }
}

/// The numbers of draft section 3.
pub(crate) const INIT: u8 = 1;
pub(crate) const VERSION: u8 = 2;
pub(crate) const OPEN: u8 = 3;
pub(crate) const CLOSE: u8 = 4;
pub(crate) const READ: u8 = 5;
pub(crate) const WRITE: u8 = 6;
pub(crate) const LSTAT: u8 = 7;
pub(crate) const FSTAT: u8 = 8;
pub(crate) const SETSTAT: u8 = 9;
pub(crate) const FSETSTAT: u8 = 10;
pub(crate) const OPENDIR: u8 = 11;
pub(crate) const READDIR: u8 = 12;
pub(crate) const REMOVE: u8 = 13;
pub(crate) const MKDIR: u8 = 14;
pub(crate) const RMDIR: u8 = 15;
pub(crate) const REALPATH: u8 = 16;
pub(crate) const STAT: u8 = 17;
pub(crate) const RENAME: u8 = 18;
pub(crate) const READLINK: u8 = 19;
pub(crate) const SYMLINK: u8 = 20;
pub(crate) const STATUS: u8 = 101;
pub(crate) const HANDLE: u8 = 102;
pub(crate) const DATA: u8 = 103;
pub(crate) const NAME: u8 = 104;
pub(crate) const ATTRS: u8 = 105;
pub(crate) const EXTENDED: u8 = 200;
pub(crate) const EXTENDED_REPLY: u8 = 201;
