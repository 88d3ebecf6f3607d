//! EXTENDED requests, and the values that EXTENDED_REPLY carries for them (OpenSSH `PROTOCOL`, section 4). Those of
//! `check-file` are in `check_file.rs`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    attributes::Attributes,
    check_file::CheckFile,
    error::Error,
    extension::{CHECK_FILE_REQUESTS, Extension},
    handle::Handle,
    limits::Limits,
    name::decode_packed,
    wire::{Reader, check_count, put_length, put_string},
};

/// An extended request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtendedRequest {
    /// Rename as POSIX does: an existing file of the new name is replaced. Answered by STATUS.
    PosixRename {
        /// What is renamed.
        from: Bytes,
        /// Its new name.
        to: Bytes,
    },
    /// About the file system of a path. Answered by [`FileSystem`].
    StatVfs {
        /// The path.
        path: Bytes,
    },
    /// About the file system of an open file. Answered by [`FileSystem`].
    FstatVfs {
        /// The open file.
        handle: Handle,
    },
    /// A second name for a file. Answered by STATUS.
    HardLink {
        /// The file.
        existing: Bytes,
        /// Its second name.
        link: Bytes,
    },
    /// Writes an open file to stable storage. Answered by STATUS.
    Fsync {
        /// The open file.
        handle: Handle,
    },
    /// Sets attributes of a link and not of what it leads to. Answered by STATUS.
    LsetStat {
        /// The link, or another file.
        path: Bytes,
        /// What to set.
        attributes: Attributes,
    },
    /// How much the server takes at once. Answered by [`ServerLimits`].
    Limits,
    /// The absolute path for one that may begin with `~` or `~user`. Answered by one NAME.
    ExpandPath {
        /// The path.
        path: Bytes,
    },
    /// Copies between two open files. Answered by STATUS.
    CopyData {
        /// Where from.
        from: Handle,
        /// Where in it, in bytes.
        from_offset: u64,
        /// How many bytes; 0 for all until the end.
        length: u64,
        /// Where to: another file.
        to: Handle,
        /// Where in it, in bytes.
        to_offset: u64,
    },
    /// Where a user's home is. Answered by one NAME.
    HomeDirectory {
        /// The user; empty for whoever is logged in.
        user: Bytes,
    },
    /// Names of users and groups. Answered by [`OwnerNames`].
    UsersGroupsById {
        /// Numbers of users.
        uids: Vec<u32>,
        /// Numbers of groups.
        gids: Vec<u32>,
    },
    /// `check-file-handle`: hashes of an open file. Answered by [`FileHashes`](crate::FileHashes).
    CheckFileHandle {
        /// The open file.
        handle: Handle,
        /// Of what, and how.
        check: CheckFile,
    },
    /// `check-file-name`: hashes of a file. Answered by [`FileHashes`](crate::FileHashes).
    CheckFileName {
        /// The file.
        path: Bytes,
        /// Of what, and how.
        check: CheckFile,
    },
    /// `check-file`: what paramiko's server calls `check-file-handle`. Answered by [`FileHashes`](crate::FileHashes).
    CheckFile {
        /// The open file.
        handle: Handle,
        /// Of what, and how.
        check: CheckFile,
    },
    /// Any other, as it came.
    Unknown {
        /// Its name.
        name: Bytes,
        /// All that follows the name.
        data: Bytes,
    },
}

impl ExtendedRequest {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Unknown { name, .. } => name,
            Self::CheckFileHandle { .. } => BY_HANDLE,
            Self::CheckFileName { .. } => BY_NAME,
            known => known.extension().map_or(b"", |extension| extension.name().as_bytes()),
        }
    }

    /// Which extension it is of, if one that has a type here.
    #[must_use]
    pub fn extension(&self) -> Option<Extension> {
        match self {
            Self::PosixRename { .. } => Some(Extension::PosixRename),
            Self::StatVfs { .. } => Some(Extension::StatVfs),
            Self::FstatVfs { .. } => Some(Extension::FstatVfs),
            Self::HardLink { .. } => Some(Extension::HardLink),
            Self::Fsync { .. } => Some(Extension::Fsync),
            Self::LsetStat { .. } => Some(Extension::LsetStat),
            Self::Limits => Some(Extension::Limits),
            Self::ExpandPath { .. } => Some(Extension::ExpandPath),
            Self::CopyData { .. } => Some(Extension::CopyData),
            Self::HomeDirectory { .. } => Some(Extension::HomeDirectory),
            Self::UsersGroupsById { .. } => Some(Extension::UsersGroupsById),
            Self::CheckFileHandle { .. } | Self::CheckFileName { .. } | Self::CheckFile { .. } => {
                Some(Extension::CheckFile)
            }
            Self::Unknown { .. } => None,
        }
    }

    pub(crate) fn decode(mut reader: Reader<'_>) -> Result<Self, Error> {
        let name = reader.text("extended request")?;
        let extension = match CHECK_FILE_REQUESTS.contains(&&*name) {
            true => Some(Extension::CheckFile),
            false => Extension::from_name(&name),
        };
        Self::decode_body(extension, name, &mut reader).map_err(|error| error.of_extension(extension))
    }

    fn decode_body(
        extension: Option<Extension>,
        name: Bytes,
        reader: &mut Reader<'_>,
    ) -> Result<Self, Error> {
        Ok(match extension {
            Some(Extension::PosixRename) => {
                Self::PosixRename { from: reader.path("oldpath")?, to: reader.path("newpath")? }
            }
            Some(Extension::StatVfs) => Self::StatVfs { path: reader.path("path")? },
            Some(Extension::FstatVfs) => Self::FstatVfs { handle: Handle::decode(reader)? },
            Some(Extension::HardLink) => {
                Self::HardLink { existing: reader.path("oldpath")?, link: reader.path("newpath")? }
            }
            Some(Extension::Fsync) => Self::Fsync { handle: Handle::decode(reader)? },
            Some(Extension::LsetStat) => {
                Self::LsetStat { path: reader.path("path")?, attributes: Attributes::decode(reader)? }
            }
            Some(Extension::Limits) => Self::Limits,
            Some(Extension::ExpandPath) => Self::ExpandPath { path: reader.path("path")? },
            Some(Extension::CopyData) => Self::CopyData {
                from: Handle::decode(reader)?,
                from_offset: reader.u64("read-from-offset")?,
                length: reader.u64("read-data-length")?,
                to: Handle::decode(reader)?,
                to_offset: reader.u64("write-to-offset")?,
            },
            Some(Extension::HomeDirectory) => Self::HomeDirectory { user: reader.text("username")? },
            Some(Extension::UsersGroupsById) => {
                Self::UsersGroupsById { uids: decode_ids(reader, "uids")?, gids: decode_ids(reader, "gids")? }
            }
            Some(Extension::CheckFile) if name == BY_NAME => {
                Self::CheckFileName { path: reader.path("name")?, check: CheckFile::decode(reader)? }
            }
            Some(Extension::CheckFile) => {
                let (handle, check) = (Handle::decode(reader)?, CheckFile::decode(reader)?);
                match name == BY_HANDLE {
                    true => Self::CheckFileHandle { handle, check },
                    false => Self::CheckFile { handle, check },
                }
            }
            None => Self::Unknown { name, data: reader.rest() },
        })
    }

    /// Writes all but the data of an unknown request, which it returns.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<Bytes, Error> {
        put_string(out, "extended request", self.name())?;
        match self {
            Self::PosixRename { from, to } => {
                put_string(out, "oldpath", from)?;
                put_string(out, "newpath", to)?;
            }
            Self::HardLink { existing, link } => {
                put_string(out, "oldpath", existing)?;
                put_string(out, "newpath", link)?;
            }
            Self::StatVfs { path } | Self::ExpandPath { path } => put_string(out, "path", path)?,
            Self::FstatVfs { handle } | Self::Fsync { handle } => handle.encode(out)?,
            Self::LsetStat { path, attributes } => {
                put_string(out, "path", path)?;
                attributes.encode(out)?;
            }
            Self::Limits => {}
            Self::CopyData { from, from_offset, length, to, to_offset } => {
                from.encode(out)?;
                out.put_u64(*from_offset);
                out.put_u64(*length);
                to.encode(out)?;
                out.put_u64(*to_offset);
            }
            Self::HomeDirectory { user } => put_string(out, "username", user)?,
            Self::UsersGroupsById { uids, gids } => {
                encode_ids(out, "uids", uids)?;
                encode_ids(out, "gids", gids)?;
            }
            Self::CheckFileName { path, check } => {
                put_string(out, "name", path)?;
                check.encode(out)?;
            }
            Self::CheckFileHandle { handle, check } | Self::CheckFile { handle, check } => {
                handle.encode(out)?;
                check.encode(out)?;
            }
            Self::Unknown { data, .. } => return Ok(data.clone()),
        }
        Ok(Bytes::new())
    }
}

const BY_HANDLE: &[u8] = CHECK_FILE_REQUESTS[0];
const BY_NAME: &[u8] = CHECK_FILE_REQUESTS[1];

/// The answer to `statvfs@openssh.com` and `fstatvfs@openssh.com`, in the terms of POSIX `statvfs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileSystem {
    /// Block size, in bytes.
    pub block_size: u64,
    /// The unit of the counts of blocks, in bytes.
    pub fragment_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for those who are not root.
    pub blocks_available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Free inodes for those who are not root.
    pub files_available: u64,
    /// The file system's id.
    pub id: u64,
    /// 1: read-only. 2: no setuid.
    pub flags: u64,
    /// The longest file name, in bytes.
    pub name_max: u64,
}

impl FileSystem {
    /// From the body of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// It is too short.
    pub fn decode(body: Bytes) -> Result<Self, Error> {
        let limits = Limits::default();
        let mut reader = Reader::new(body, &limits);
        Ok(Self {
            block_size: reader.u64("f_bsize")?,
            fragment_size: reader.u64("f_frsize")?,
            blocks: reader.u64("f_blocks")?,
            blocks_free: reader.u64("f_bfree")?,
            blocks_available: reader.u64("f_bavail")?,
            files: reader.u64("f_files")?,
            files_free: reader.u64("f_ffree")?,
            files_available: reader.u64("f_favail")?,
            id: reader.u64("f_fsid")?,
            flags: reader.u64("f_flag")?,
            name_max: reader.u64("f_namemax")?,
        })
    }

    /// The body of an EXTENDED_REPLY.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_numbers(&[
            self.block_size,
            self.fragment_size,
            self.blocks,
            self.blocks_free,
            self.blocks_available,
            self.files,
            self.files_free,
            self.files_available,
            self.id,
            self.flags,
            self.name_max,
        ])
    }
}

/// The answer to `limits@openssh.com`. Each is 0 where the server sets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerLimits {
    /// The longest packet, in bytes.
    pub max_packet: u64,
    /// The most that one READ returns, in bytes.
    pub max_read: u64,
    /// The most that one WRITE may carry, in bytes.
    pub max_write: u64,
    /// How many handles may be open at once.
    pub max_handles: u64,
}

impl ServerLimits {
    /// From the body of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// It is too short.
    pub fn decode(body: Bytes) -> Result<Self, Error> {
        let limits = Limits::default();
        let mut reader = Reader::new(body, &limits);
        Ok(Self {
            max_packet: reader.u64("max-packet-length")?,
            max_read: reader.u64("max-read-length")?,
            max_write: reader.u64("max-write-length")?,
            max_handles: reader.u64("max-open-handles")?,
        })
    }

    /// The body of an EXTENDED_REPLY.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_numbers(&[self.max_packet, self.max_read, self.max_write, self.max_handles])
    }
}

/// The answer to `users-groups-by-id@openssh.com`: names in the order asked for, empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnerNames {
    /// Names of users.
    pub users: Vec<Bytes>,
    /// Names of groups.
    pub groups: Vec<Bytes>,
}

impl OwnerNames {
    /// From the body of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// A list ends inside a name, or has more names than the limit.
    pub fn decode(body: Bytes, limits: &Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(body, limits);
        let (users, groups) = (reader.data("usernames")?, reader.data("groupnames")?);
        Ok(Self {
            users: decode_packed(users, &reader, "usernames")?,
            groups: decode_packed(groups, &reader, "groupnames")?,
        })
    }

    /// The body of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// It does not fit into a packet.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let mut out = BytesMut::new();
        for (field, names) in [("usernames", &self.users), ("groupnames", &self.groups)] {
            let mut packed = BytesMut::new();
            for name in names {
                put_string(&mut packed, field, name)?;
            }
            put_string(&mut out, field, &packed)?;
        }
        Ok(out.freeze())
    }
}

fn encode_numbers(numbers: &[u64]) -> Bytes {
    let mut out = BytesMut::with_capacity(numbers.len() * 8);
    for number in numbers {
        out.put_u64(*number);
    }
    out.freeze()
}

fn decode_ids(reader: &mut Reader<'_>, field: &'static str) -> Result<Vec<u32>, Error> {
    let packed = reader.data(field)?;
    let limits = reader.limits();
    let count = packed.len().div_ceil(4);
    check_count(field, count, limits.max_ids())?;
    let mut inner = Reader::new(packed, limits);
    let mut ids = Vec::with_capacity(count);
    while !inner.is_empty() {
        ids.push(inner.u32(field)?);
    }
    Ok(ids)
}

fn encode_ids(out: &mut BytesMut, field: &'static str, ids: &[u32]) -> Result<(), Error> {
    put_length(out, field, ids.len().saturating_mul(4))?;
    for id in ids {
        out.put_u32(*id);
    }
    Ok(())
}
