//! A stream of bytes, cut into packets.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    error::{Error, ErrorKind},
    limits::Limits,
};

/// Cuts a stream into packets, however the stream is split.
///
/// A packet that lies within one pushed piece is a slice of it. One that lies across several is put together in a buffer
/// of its announced length, once that was found to be within the limit. Whatever is pushed and not taken stays here:
/// take packets before pushing more.
///
/// ```
/// use bytes::Bytes;
/// use rustle_sftp_proto::{ErrorKind, Framer, Limits};
///
/// let mut framer = Framer::new(Limits::default());
/// framer.push(Bytes::from_static(b"\0\0\0\x05\x01\0\0"));
/// assert_eq!(framer.next_packet()?, None);
/// framer.push(Bytes::from_static(b"\0\x03"));
/// assert_eq!(framer.next_packet()?, Some(Bytes::from_static(b"\x01\0\0\0\x03")));
/// framer.finish()?;
///
/// framer.push(Bytes::from_static(b"\xff\xff\xff\xff"));
/// assert!(matches!(framer.next_packet().unwrap_err().kind(), ErrorKind::TooLong { .. }));
/// # Ok::<(), rustle_sftp_proto::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Framer {
    limits: Limits,
    pieces: VecDeque<Bytes>,
    buffered: usize,
    /// The packet that is being put together, and how much of it is missing.
    partial: Option<(BytesMut, usize)>,
    failed: Option<Error>,
}

impl Framer {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, pieces: VecDeque::new(), buffered: 0, partial: None, failed: None }
    }

    /// The limits it holds packets against.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds the next piece of the stream.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() && self.failed.is_none() {
            self.buffered = self.buffered.saturating_add(piece.len());
            self.pieces.push_back(piece);
        }
    }

    /// How many bytes were pushed and not yet taken, length fields included.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |(packet, _)| packet.len().saturating_add(LENGTH));
        self.buffered.saturating_add(partial)
    }

    /// The next whole packet, from its type on, without its length field; `None` when more must be pushed first.
    ///
    /// # Errors
    /// A packet is longer than the limit or empty. A stream cannot be followed past that: the error stays.
    pub fn next_packet(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.partial.is_none() {
            let Some(length) = self.length() else { return Ok(None) };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if let Err(error) = self.check(length) {
                self.failed = Some(error.clone());
                self.pieces.clear();
                self.buffered = 0;
                return Err(error);
            }
            self.skip(LENGTH);
            if let Some(packet) = self.whole(length) {
                return Ok(Some(packet));
            }
            self.partial = Some((BytesMut::with_capacity(length), length));
        }
        Ok(self.complete())
    }

    /// Checks that the stream may end here.
    ///
    /// # Errors
    /// It is in the middle of a packet, or has failed before.
    pub fn finish(&self) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.buffered() {
            0 => Ok(()),
            received => Err(Error::new(ErrorKind::EndOfStream { received: received as u64 })),
        }
    }

    fn check(&self, length: usize) -> Result<(), Error> {
        let limit = self.limits.max_packet();
        if length == 0 {
            return Err(Error::new(ErrorKind::Empty));
        }
        if length > limit {
            let (length, limit) = (length as u64, limit as u64);
            return Err(Error::new(ErrorKind::TooLong { field: "packet", length, limit }));
        }
        Ok(())
    }

    /// The length field, which may lie across pieces; it is left where it is.
    fn length(&self) -> Option<u32> {
        let mut field = [0; LENGTH];
        let mut bytes = self.pieces.iter().flat_map(|piece| piece.iter());
        for byte in &mut field {
            *byte = *bytes.next()?;
        }
        Some(u32::from_be_bytes(field))
    }

    fn skip(&mut self, mut count: usize) {
        while count > 0 {
            let Some(piece) = self.take(count) else { return };
            count = count.saturating_sub(piece.len());
        }
    }

    /// A packet that lies within the first piece.
    fn whole(&mut self, length: usize) -> Option<Bytes> {
        (self.pieces.front()?.len() >= length).then(|| self.take(length)).flatten()
    }

    /// Up to so many bytes of the first piece.
    fn take(&mut self, most: usize) -> Option<Bytes> {
        let front = self.pieces.front_mut()?;
        let taken = front.split_to(most.min(front.len()));
        if !front.has_remaining() {
            self.pieces.pop_front();
        }
        self.buffered = self.buffered.saturating_sub(taken.len());
        Some(taken)
    }

    fn complete(&mut self) -> Option<Bytes> {
        let (mut packet, mut missing) = self.partial.take()?;
        while missing > 0 {
            let Some(piece) = self.take(missing) else {
                self.partial = Some((packet, missing));
                return None;
            };
            packet.extend_from_slice(&piece);
            missing = missing.saturating_sub(piece.len());
        }
        Some(packet.freeze())
    }
}

/// The length field before each packet (draft section 3).
const LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_within_one_piece_is_not_copied() {
        let stream = Bytes::from_static(b"\0\0\0\x02ab\0\0\0\x01c");
        let mut framer = Framer::new(Limits::default());
        framer.push(stream.clone());
        let first = framer.next_packet().unwrap().unwrap();
        assert_eq!(first.as_ptr(), stream[4..].as_ptr());
        assert_eq!(framer.next_packet().unwrap().unwrap(), "c");
        assert_eq!(framer.next_packet().unwrap(), None);
        assert_eq!(framer.buffered(), 0);
    }

    #[test]
    fn an_announced_length_above_the_limit_allocates_nothing_and_the_error_stays() {
        let mut framer = Framer::new(Limits::default().with_max_packet(10));
        framer.push(Bytes::from_static(b"\0\0\0\x0b0123456789a"));
        let error = framer.next_packet().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLong { field: "packet", length: 11, limit: 10 });
        assert!(framer.partial.is_none());
        framer.push(Bytes::from_static(b"\0\0\0\x01a"));
        assert_eq!(framer.next_packet().unwrap_err(), error);
        assert_eq!(framer.finish().unwrap_err(), error);
        assert_eq!(framer.buffered(), 0);
    }

    #[test]
    fn what_is_allocated_is_the_announced_length_at_most() {
        let mut framer = Framer::new(Limits::default());
        framer.push(Bytes::from_static(b"\0\x04\0\0a"));
        assert_eq!(framer.next_packet().unwrap(), None);
        let (packet, missing) = framer.partial.as_ref().unwrap();
        assert_eq!((packet.capacity(), *missing), (256 * 1024, 256 * 1024 - 1));
        assert_eq!(framer.finish().unwrap_err().kind(), ErrorKind::EndOfStream { received: 5 });
    }

    #[test]
    fn a_packet_without_a_type_is_an_error() {
        let mut framer = Framer::new(Limits::default());
        framer.push(Bytes::from_static(b"\0\0\0\0"));
        assert_eq!(framer.next_packet().unwrap_err().kind(), ErrorKind::Empty);
    }
}
