//! An encoded packet in two parts.

use bytes::{Bytes, BytesMut};

/// An encoded packet: its head, and the file data that follows it, which was not copied.
///
/// The head begins with the packet's length field. Only WRITE, DATA and unknown extended packets have a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    head: Bytes,
    payload: Bytes,
}

impl Frame {
    pub(crate) fn new(head: BytesMut, payload: Bytes) -> Self {
        Self { head: head.freeze(), payload }
    }

    /// What goes first.
    #[must_use]
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// What goes after the head; often empty.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Head and payload, to be sent one after the other.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Bytes) {
        (self.head, self.payload)
    }

    /// How many bytes go over the wire, the length field included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.head.len().saturating_add(self.payload.len())
    }

    /// All of it in one piece. Copies, where there is a payload.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.payload.is_empty() {
            return self.head.clone();
        }
        let mut all = BytesMut::with_capacity(self.wire_len());
        all.extend_from_slice(&self.head);
        all.extend_from_slice(&self.payload);
        all.freeze()
    }
}
