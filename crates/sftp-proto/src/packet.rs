//! What the packets of both sides have in common (draft section 3): a hello of its own shape, and all others with a type
//! and an id before the body.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::Error,
    frame::Frame,
    limits::Limits,
    version::Hello,
    wire::{Reader, put_packet},
};

/// What one side sends after its hello.
pub(crate) trait Body: Sized {
    /// The type of this side's hello, the one packet without an id.
    const HELLO: u8;

    fn kind(&self) -> u8;

    fn decode(kind: u8, reader: Reader<'_>) -> Result<Self, Error>;

    /// Writes all but the data, which it returns.
    fn encode(&self, out: &mut BytesMut) -> Result<Bytes, Error>;
}

/// A packet as it was read.
pub(crate) enum Packet<B> {
    Hello(Hello),
    Numbered(u32, B),
}

/// A packet to be written.
#[derive(Clone, Copy)]
pub(crate) enum PacketRef<'a, B> {
    Hello(&'a Hello),
    Numbered(u32, &'a B),
}

impl<B: Body> Packet<B> {
    pub(crate) fn decode(packet: Bytes, limits: &Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(packet, limits);
        let kind = reader.u8("type")?;
        if kind == B::HELLO {
            return Ok(Self::Hello(Hello::decode(&mut reader)?));
        }
        let id = reader.u32("id")?;
        let body = B::decode(kind, reader).map_err(|error| error.of_request(id))?;
        Ok(Self::Numbered(id, body))
    }
}

impl<B: Body> PacketRef<'_, B> {
    pub(crate) fn encode(self) -> Result<Frame, Error> {
        let mut head = BytesMut::with_capacity(64);
        let payload = self.encode_into(&mut head)?;
        Ok(Frame::new(head, payload))
    }

    pub(crate) fn encode_into(self, out: &mut BytesMut) -> Result<Bytes, Error> {
        put_packet(out, |out| match self {
            Self::Hello(hello) => {
                out.put_u8(B::HELLO);
                hello.encode(out)?;
                Ok(Bytes::new())
            }
            Self::Numbered(id, body) => {
                out.put_u8(body.kind());
                out.put_u32(id);
                body.encode(out)
            }
        })
    }
}
