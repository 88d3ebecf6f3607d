//! What is known about a file.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::Error,
    wire::{Reader, put_length, put_string},
};

/// What is known about a file, or what is to be set (draft section 5). Each part may be missing.
///
/// ```
/// use rustle_sftp_proto::{Attributes, FileKind};
///
/// let attributes = Attributes::new().with_size(5).with_permissions(0o100_644).with_times(1_000, 2_000);
/// assert_eq!(attributes.kind(), Some(FileKind::File));
/// assert_eq!(attributes.modified(), Some(2_000));
/// assert_eq!(attributes.uid(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    size: Option<u64>,
    owner: Option<(u32, u32)>,
    permissions: Option<u32>,
    times: Option<(u32, u32)>,
    extended: Vec<(Bytes, Bytes)>,
}

/// What the file type bits of permissions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, a FIFO, or bits that no Unix knows.
    Other,
}

impl Attributes {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a size in bytes.
    #[must_use]
    pub fn with_size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// With an owner and a group, which travel together.
    #[must_use]
    pub fn with_owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// With the mode as POSIX has it: type bits and permissions.
    #[must_use]
    pub fn with_permissions(mut self, mode: u32) -> Self {
        self.permissions = Some(mode);
        self
    }

    /// With the times of the last access and the last change, in seconds since 1970 (UTC), which travel together.
    /// They have 32 bits without a sign: until 2106.
    #[must_use]
    pub fn with_times(mut self, accessed: u32, modified: u32) -> Self {
        self.times = Some((accessed, modified));
        self
    }

    /// With one more extended attribute: a name of the form `name@domain` and a value.
    #[must_use]
    pub fn with_extended(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.extended.push((name.into(), value.into()));
        self
    }

    /// Without extended attributes: decoded ones are slices of the packet that they came in, and keep it.
    ///
    /// ```
    /// use rustle_sftp_proto::Attributes;
    ///
    /// let attributes = Attributes::new().with_size(7).with_extended("mime@example.org", "text/plain");
    /// assert_eq!(attributes.without_extended(), Attributes::new().with_size(7));
    /// ```
    #[must_use]
    pub fn without_extended(mut self) -> Self {
        self.extended = Vec::new();
        self
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The owner's number.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.owner.map(|(uid, _)| uid)
    }

    /// The group's number.
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.owner.map(|(_, gid)| gid)
    }

    /// The mode as POSIX has it: type bits and permissions. Some servers send no type bits.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        self.permissions
    }

    /// When it was last read, in seconds since 1970.
    #[must_use]
    pub fn accessed(&self) -> Option<u32> {
        self.times.map(|(accessed, _)| accessed)
    }

    /// When it was last changed, in seconds since 1970.
    #[must_use]
    pub fn modified(&self) -> Option<u32> {
        self.times.map(|(_, modified)| modified)
    }

    /// The extended attributes, in their order.
    #[must_use]
    pub fn extended(&self) -> &[(Bytes, Bytes)] {
        &self.extended
    }

    /// What the type bits say; `None` where there are none.
    #[must_use]
    pub fn kind(&self) -> Option<FileKind> {
        match self.permissions? & TYPE_BITS {
            0 => None,
            0o100_000 => Some(FileKind::File),
            0o040_000 => Some(FileKind::Directory),
            0o120_000 => Some(FileKind::Symlink),
            _ => Some(FileKind::Other),
        }
    }

    /// Whether nothing is known, or nothing to be set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let flags = reader.u32("attribute flags")?;
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(reader.u64("size")?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some((reader.u32("uid")?, reader.u32("gid")?));
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(reader.u32("permissions")?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some((reader.u32("atime")?, reader.u32("mtime")?));
        }
        if flags & EXTENDED != 0 {
            let count =
                reader.count("extended attributes", reader.limits().max_extended_attributes(), SMALLEST)?;
            attributes.extended = Vec::with_capacity(count);
            for _ in 0..count {
                attributes.extended.push((reader.text("extended type")?, reader.text("extended data")?));
            }
        }
        Ok(attributes)
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        let bit = |present, flag| if present { flag } else { 0 };
        out.put_u32(
            bit(self.size.is_some(), SIZE)
                | bit(self.owner.is_some(), OWNER)
                | bit(self.permissions.is_some(), PERMISSIONS)
                | bit(self.times.is_some(), TIMES)
                | bit(!self.extended.is_empty(), EXTENDED),
        );
        if let Some(size) = self.size {
            out.put_u64(size);
        }
        if let Some((uid, gid)) = self.owner {
            out.put_u32(uid);
            out.put_u32(gid);
        }
        if let Some(mode) = self.permissions {
            out.put_u32(mode);
        }
        if let Some((accessed, modified)) = self.times {
            out.put_u32(accessed);
            out.put_u32(modified);
        }
        if !self.extended.is_empty() {
            put_length(out, "extended attributes", self.extended.len())?;
            for (name, value) in &self.extended {
                put_string(out, "extended type", name)?;
                put_string(out, "extended data", value)?;
            }
        }
        Ok(())
    }
}

/// The flags of draft section 5.
const SIZE: u32 = 0x0000_0001;
const OWNER: u32 = 0x0000_0002;
const PERMISSIONS: u32 = 0x0000_0004;
const TIMES: u32 = 0x0000_0008;
const EXTENDED: u32 = 0x8000_0000;

/// S_IFMT.
const TYPE_BITS: u32 = 0o170_000;

/// An extended attribute of two empty strings.
const SMALLEST: usize = 8;
