//! What a server sends.

use bytes::{Bytes, BytesMut};

use crate::{
    attributes::Attributes,
    error::Error,
    frame::Frame,
    handle::Handle,
    kind::{ATTRS, DATA, EXTENDED_REPLY, HANDLE, NAME, STATUS, VERSION},
    limits::Limits,
    name::NameEntry,
    packet::{Body, Packet, PacketRef},
    status::{Status, StatusCode},
    version::Hello,
    wire::{Reader, put_length},
};

/// A packet from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerPacket {
    /// SSH_FXP_VERSION, the answer to INIT.
    Version(Hello),
    /// Any other.
    Reply {
        /// Which request it answers.
        id: u32,
        /// The answer.
        reply: Reply,
    },
}

/// An answer (draft section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// SSH_FXP_STATUS.
    Status(Status),
    /// SSH_FXP_HANDLE.
    Handle(Handle),
    /// SSH_FXP_DATA.
    Data(Bytes),
    /// SSH_FXP_NAME.
    Name(Vec<NameEntry>),
    /// SSH_FXP_ATTRS.
    Attributes(Attributes),
    /// SSH_FXP_EXTENDED_REPLY. What the body is depends on the request: [`FileSystem`](crate::FileSystem),
    /// [`ServerLimits`](crate::ServerLimits), [`OwnerNames`](crate::OwnerNames) or [`FileHashes`](crate::FileHashes).
    Extended(Bytes),
    /// A type that version 3 does not have as an answer.
    Unknown {
        /// The packet's type.
        kind: u8,
        /// All that follows the id.
        body: Bytes,
    },
}

impl ServerPacket {
    /// Reads a packet as [`Framer::next_packet`](crate::Framer::next_packet) returns it. Its parts are slices of it.
    ///
    /// # Errors
    /// It ends inside a field, or is beyond a limit. The error has the request's id if that could be read.
    pub fn decode(packet: Bytes, limits: &Limits) -> Result<Self, Error> {
        Ok(match Packet::decode(packet, limits)? {
            Packet::Hello(hello) => Self::Version(hello),
            Packet::Numbered(id, reply) => Self::Reply { id, reply },
        })
    }

    /// Writes it, the data of a DATA apart.
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

    fn as_packet(&self) -> PacketRef<'_, Reply> {
        match self {
            Self::Version(hello) => PacketRef::Hello(hello),
            Self::Reply { id, reply } => PacketRef::Numbered(*id, reply),
        }
    }
}

impl Reply {
    /// The packet's type on the wire.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Status(_) => STATUS,
            Self::Handle(_) => HANDLE,
            Self::Data(_) => DATA,
            Self::Name(_) => NAME,
            Self::Attributes(_) => ATTRS,
            Self::Extended(_) => EXTENDED_REPLY,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

impl Body for Reply {
    const HELLO: u8 = VERSION;

    fn kind(&self) -> u8 {
        self.kind()
    }

    fn decode(kind: u8, mut reader: Reader<'_>) -> Result<Self, Error> {
        let reader = &mut reader;
        Ok(match kind {
            STATUS => Self::Status(Status::decode(reader)?),
            HANDLE => Self::Handle(Handle::decode(reader)?),
            DATA => Self::Data(reader.data("data")?),
            NAME => Self::Name(NameEntry::decode_list(reader)?),
            ATTRS => Self::Attributes(Attributes::decode(reader)?),
            EXTENDED_REPLY => Self::Extended(reader.rest()),
            kind => Self::Unknown { kind, body: reader.rest() },
        })
    }

    fn encode(&self, out: &mut BytesMut) -> Result<Bytes, Error> {
        match self {
            Self::Status(status) => status.encode(out)?,
            Self::Handle(handle) => handle.encode(out)?,
            Self::Data(data) => {
                put_length(out, "data", data.len())?;
                return Ok(data.clone());
            }
            Self::Name(names) => NameEntry::encode_list(names, out)?,
            Self::Attributes(attributes) => attributes.encode(out)?,
            Self::Extended(body) | Self::Unknown { body, .. } => return Ok(body.clone()),
        }
        Ok(Bytes::new())
    }
}

impl From<StatusCode> for Reply {
    /// A STATUS with the text that OpenSSH has for the code.
    fn from(code: StatusCode) -> Self {
        Self::Status(code.into())
    }
}
