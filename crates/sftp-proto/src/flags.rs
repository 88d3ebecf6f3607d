//! How a file is to be opened.

use std::ops::{BitOr, BitOrAssign};

/// How a file is to be opened (draft section 6.3). Bits the draft does not name are kept.
///
/// ```
/// use rustle_sftp_proto::OpenFlags;
///
/// let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
/// assert!(flags.contains(OpenFlags::CREATE) && !flags.contains(OpenFlags::READ));
/// assert_eq!(flags.bits(), 0x1a);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OpenFlags {
    bits: u32,
}

impl OpenFlags {
    /// SSH_FXF_READ.
    pub const READ: Self = Self::new(0x01);
    /// SSH_FXF_WRITE.
    pub const WRITE: Self = Self::new(0x02);
    /// SSH_FXF_APPEND: each write goes to the end of the file.
    pub const APPEND: Self = Self::new(0x04);
    /// SSH_FXF_CREAT: the file is created if there is none.
    pub const CREATE: Self = Self::new(0x08);
    /// SSH_FXF_TRUNC: an existing file is emptied.
    pub const TRUNCATE: Self = Self::new(0x10);
    /// SSH_FXF_EXCL: an existing file is an error.
    pub const EXCLUSIVE: Self = Self::new(0x20);

    /// The flags that these bits are.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self { bits }
    }

    /// As on the wire.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// Whether all of `other`'s bits are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }
}

impl BitOr for OpenFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self::new(self.bits | other.bits)
    }
}

impl BitOrAssign for OpenFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}
