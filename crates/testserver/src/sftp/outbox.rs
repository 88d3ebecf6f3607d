//! Replies on their way out: small ones together, large ones as they are.

use bytes::{Bytes, BytesMut};
use rustle_sftp_proto::{Error, ServerPacket};

use crate::sftp::spoil::Outgoing;

/// Data from this length on goes out by itself and is not copied behind its head: several of the channel's packets, so
/// that one more for the head does not matter.
const APART: usize = 64 * 1024;

/// Replies that wait to be sent.
#[derive(Default)]
pub(super) struct Outbox {
    parts: Vec<Bytes>,
    last: BytesMut,
    length: usize,
    held: Option<Bytes>,
}

impl Outbox {
    pub(super) fn packet(&mut self, packet: &ServerPacket) -> Result<(), Error> {
        let before = self.last.len();
        let data = packet.encode_into(&mut self.last)?;
        self.length += self.last.len() - before + data.len();
        if data.len() < APART {
            self.last.extend_from_slice(&data);
        } else {
            self.parts.push(self.last.split().freeze());
            self.parts.push(data);
        }
        self.release();
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        self.last.extend_from_slice(bytes);
        self.release();
    }

    /// These go after what comes next. If others are held already, this is what comes next.
    pub(super) fn hold(&mut self, bytes: Bytes) {
        if self.held.is_some() {
            self.bytes(&bytes);
        } else {
            self.held = Some(bytes);
        }
    }

    /// Whether a reply waits for the next one.
    pub(super) fn outgoing(&self) -> Outgoing {
        match self.held {
            None => Outgoing::Free,
            Some(_) => Outgoing::HoldsOne,
        }
    }

    /// How many bytes wait, those held not counted.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// All that waits, in order.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.length = 0;
        let mut parts = std::mem::take(&mut self.parts);
        if !self.last.is_empty() {
            parts.push(self.last.split().freeze());
        }
        parts
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.length += held.len();
            self.last.extend_from_slice(&held);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustle_sftp_proto::{Reply, StatusCode};

    use super::*;

    #[test]
    fn large_data_keeps_its_place_and_its_memory() {
        let mut outbox = Outbox::default();
        let data = Bytes::from(vec![1; APART]);
        let small = ServerPacket::Reply { id: 1, reply: StatusCode::OK.into() };
        outbox.packet(&small).unwrap();
        outbox.packet(&ServerPacket::Reply { id: 2, reply: Reply::Data(data.clone()) }).unwrap();
        outbox.packet(&small).unwrap();
        let length = outbox.len();
        let parts = outbox.take();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1].as_ptr(), data.as_ptr());
        assert_eq!(length, parts.iter().map(Bytes::len).sum::<usize>());
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_held_reply_follows_the_next_even_if_that_is_to_be_held_too() {
        let mut outbox = Outbox::default();
        for reply in ["1", "2", "3"] {
            outbox.hold(Bytes::from_static(reply.as_bytes()));
        }
        assert_eq!(outbox.take().concat(), b"21");
        outbox.bytes(b"4");
        assert_eq!(outbox.take().concat(), b"43");
    }
}
