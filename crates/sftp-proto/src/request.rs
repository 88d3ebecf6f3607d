//! What a client sends.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    attributes::Attributes,
    error::Error,
    extended::ExtendedRequest,
    flags::OpenFlags,
    frame::Frame,
    handle::Handle,
    kind::{
        CLOSE, EXTENDED, FSETSTAT, FSTAT, INIT, LSTAT, MKDIR, OPEN, OPENDIR, READ, READDIR, READLINK,
        REALPATH, REMOVE, RENAME, RMDIR, SETSTAT, STAT, SYMLINK, WRITE,
    },
    limits::Limits,
    packet::{Body, Packet, PacketRef},
    version::Hello,
    wire::{Reader, put_length, put_string},
};

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPacket {
    /// SSH_FXP_INIT, the first of all.
    Init(Hello),
    /// Any other.
    Request {
        /// The client's number for it, which the answer repeats.
        id: u32,
        /// What is asked for.
        request: Request,
    },
}

/// What a client asks for (draft section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// SSH_FXP_OPEN. Answered by HANDLE.
    Open {
        /// The file.
        path: Bytes,
        /// How.
        flags: OpenFlags,
        /// For a new file.
        attributes: Attributes,
    },
    /// SSH_FXP_CLOSE. Answered by STATUS.
    Close {
        /// The open file or directory.
        handle: Handle,
    },
    /// SSH_FXP_READ. Answered by DATA, which may be shorter.
    Read {
        /// The open file.
        handle: Handle,
        /// Where in it, in bytes.
        offset: u64,
        /// How many bytes at most.
        length: u32,
    },
    /// SSH_FXP_WRITE. Answered by STATUS.
    Write {
        /// The open file.
        handle: Handle,
        /// Where in it, in bytes.
        offset: u64,
        /// What.
        data: Bytes,
    },
    /// SSH_FXP_LSTAT: about a link itself. Answered by ATTRS.
    Lstat {
        /// The file.
        path: Bytes,
    },
    /// SSH_FXP_FSTAT. Answered by ATTRS.
    Fstat {
        /// The open file.
        handle: Handle,
    },
    /// SSH_FXP_SETSTAT. Answered by STATUS.
    SetStat {
        /// The file.
        path: Bytes,
        /// What to set.
        attributes: Attributes,
    },
    /// SSH_FXP_FSETSTAT. Answered by STATUS.
    FsetStat {
        /// The open file.
        handle: Handle,
        /// What to set.
        attributes: Attributes,
    },
    /// SSH_FXP_OPENDIR. Answered by HANDLE.
    OpenDir {
        /// The directory.
        path: Bytes,
    },
    /// SSH_FXP_READDIR: the next names. Answered by NAME, or by STATUS with [`EOF`](crate::StatusCode::EOF).
    ReadDir {
        /// The open directory.
        handle: Handle,
    },
    /// SSH_FXP_REMOVE: of anything but a directory. Answered by STATUS.
    Remove {
        /// The file.
        path: Bytes,
    },
    /// SSH_FXP_MKDIR. Answered by STATUS.
    MkDir {
        /// The directory.
        path: Bytes,
        /// For the new directory.
        attributes: Attributes,
    },
    /// SSH_FXP_RMDIR: of an empty directory. Answered by STATUS.
    RmDir {
        /// The directory.
        path: Bytes,
    },
    /// SSH_FXP_REALPATH: the absolute path. Answered by one NAME.
    RealPath {
        /// The path.
        path: Bytes,
    },
    /// SSH_FXP_STAT: about what a link leads to. Answered by ATTRS.
    Stat {
        /// The file.
        path: Bytes,
    },
    /// SSH_FXP_RENAME: never over an existing file. Answered by STATUS.
    Rename {
        /// What is renamed.
        from: Bytes,
        /// Its new name.
        to: Bytes,
    },
    /// SSH_FXP_READLINK. Answered by one NAME.
    ReadLink {
        /// The link.
        path: Bytes,
    },
    /// SSH_FXP_SYMLINK. Answered by STATUS. The target goes first over the wire, as OpenSSH has it and the draft has
    /// not (OpenSSH `PROTOCOL`, section 4.1).
    Symlink {
        /// What the link says.
        target: Bytes,
        /// The link to make.
        link: Bytes,
    },
    /// SSH_FXP_EXTENDED.
    Extended(ExtendedRequest),
    /// A type that version 3 does not have. A server answers it by STATUS with
    /// [`OP_UNSUPPORTED`](crate::StatusCode::OP_UNSUPPORTED).
    Unknown {
        /// The packet's type.
        kind: u8,
        /// All that follows the id.
        body: Bytes,
    },
}

impl ClientPacket {
    /// Reads a packet as [`Framer::next_packet`](crate::Framer::next_packet) returns it. Its parts are slices of it.
    ///
    /// # Errors
    /// It ends inside a field, or is beyond a limit. The error has the request's id if that could be read.
    pub fn decode(packet: Bytes, limits: &Limits) -> Result<Self, Error> {
        Ok(match Packet::decode(packet, limits)? {
            Packet::Hello(hello) => Self::Init(hello),
            Packet::Numbered(id, request) => Self::Request { id, request },
        })
    }

    /// Writes it, the data of a WRITE apart.
    ///
    /// # Errors
    /// A part does not fit the 32 bits of its length.
    pub fn encode(&self) -> Result<Frame, Error> {
        self.as_packet().encode()
    }

    /// Appends it to `out`, all but its data, which is returned and goes next.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); `out` is then as it was.
    pub fn encode_into(&self, out: &mut BytesMut) -> Result<Bytes, Error> {
        self.as_packet().encode_into(out)
    }

    fn as_packet(&self) -> PacketRef<'_, Request> {
        match self {
            Self::Init(hello) => PacketRef::Hello(hello),
            Self::Request { id, request } => PacketRef::Numbered(*id, request),
        }
    }
}

impl Request {
    /// The packet's type on the wire.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Open { .. } => OPEN,
            Self::Close { .. } => CLOSE,
            Self::Read { .. } => READ,
            Self::Write { .. } => WRITE,
            Self::Lstat { .. } => LSTAT,
            Self::Fstat { .. } => FSTAT,
            Self::SetStat { .. } => SETSTAT,
            Self::FsetStat { .. } => FSETSTAT,
            Self::OpenDir { .. } => OPENDIR,
            Self::ReadDir { .. } => READDIR,
            Self::Remove { .. } => REMOVE,
            Self::MkDir { .. } => MKDIR,
            Self::RmDir { .. } => RMDIR,
            Self::RealPath { .. } => REALPATH,
            Self::Stat { .. } => STAT,
            Self::Rename { .. } => RENAME,
            Self::ReadLink { .. } => READLINK,
            Self::Symlink { .. } => SYMLINK,
            Self::Extended(_) => EXTENDED,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl Body for Request {
    const HELLO: u8 = INIT;

    fn kind(&self) -> u8 {
        self.kind()
    }

    fn decode(kind: u8, mut reader: Reader<'_>) -> Result<Self, Error> {
        if kind == EXTENDED {
            return Ok(Self::Extended(ExtendedRequest::decode(reader)?));
        }
        let reader = &mut reader;
        Ok(match kind {
            OPEN => Self::Open {
                path: reader.path("filename")?,
                flags: OpenFlags::new(reader.u32("pflags")?),
                attributes: Attributes::decode(reader)?,
            },
            CLOSE => Self::Close { handle: Handle::decode(reader)? },
            READ => Self::Read {
                handle: Handle::decode(reader)?,
                offset: reader.u64("offset")?,
                length: reader.u32("len")?,
            },
            WRITE => Self::Write {
                handle: Handle::decode(reader)?,
                offset: reader.u64("offset")?,
                data: reader.data("data")?,
            },
            LSTAT => Self::Lstat { path: reader.path("path")? },
            FSTAT => Self::Fstat { handle: Handle::decode(reader)? },
            SETSTAT => Self::SetStat { path: reader.path("path")?, attributes: Attributes::decode(reader)? },
            FSETSTAT => {
                Self::FsetStat { handle: Handle::decode(reader)?, attributes: Attributes::decode(reader)? }
            }
            OPENDIR => Self::OpenDir { path: reader.path("path")? },
            READDIR => Self::ReadDir { handle: Handle::decode(reader)? },
            REMOVE => Self::Remove { path: reader.path("filename")? },
            MKDIR => Self::MkDir { path: reader.path("path")?, attributes: Attributes::decode(reader)? },
            RMDIR => Self::RmDir { path: reader.path("path")? },
            REALPATH => Self::RealPath { path: reader.path("path")? },
            STAT => Self::Stat { path: reader.path("path")? },
            RENAME => Self::Rename { from: reader.path("oldpath")?, to: reader.path("newpath")? },
            READLINK => Self::ReadLink { path: reader.path("path")? },
            SYMLINK => Self::Symlink { target: reader.path("targetpath")?, link: reader.path("linkpath")? },
            kind => Self::Unknown { kind, body: reader.rest() },
        })
    }

    fn encode(&self, out: &mut BytesMut) -> Result<Bytes, Error> {
        match self {
            Self::Open { path, flags, attributes } => {
                put_string(out, "filename", path)?;
                out.put_u32(flags.bits());
                attributes.encode(out)?;
            }
            Self::Close { handle } | Self::Fstat { handle } | Self::ReadDir { handle } => {
                handle.encode(out)?
            }
            Self::Read { handle, offset, length } => {
                handle.encode(out)?;
                out.put_u64(*offset);
                out.put_u32(*length);
            }
            Self::Write { handle, offset, data } => {
                handle.encode(out)?;
                out.put_u64(*offset);
                put_length(out, "data", data.len())?;
                return Ok(data.clone());
            }
            Self::SetStat { path, attributes } | Self::MkDir { path, attributes } => {
                put_string(out, "path", path)?;
                attributes.encode(out)?;
            }
            Self::FsetStat { handle, attributes } => {
                handle.encode(out)?;
                attributes.encode(out)?;
            }
            Self::Lstat { path }
            | Self::OpenDir { path }
            | Self::Remove { path }
            | Self::RmDir { path }
            | Self::RealPath { path }
            | Self::Stat { path }
            | Self::ReadLink { path } => put_string(out, "path", path)?,
            Self::Rename { from, to } => {
                put_string(out, "oldpath", from)?;
                put_string(out, "newpath", to)?;
            }
            Self::Symlink { target, link } => {
                put_string(out, "targetpath", target)?;
                put_string(out, "linkpath", link)?;
            }
            Self::Extended(request) => return request.encode(out),
            Self::Unknown { body, .. } => return Ok(body.clone()),
        }
        Ok(Bytes::new())
    }
}
