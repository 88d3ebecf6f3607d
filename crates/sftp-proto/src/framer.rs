//! A stream of bytes, cut into packets.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    error::{Error, ErrorKind},
    limits::Limits,
    segments::Segments,
};

/// Cuts a stream into packets, however the stream is split.
///
/// A packet is given out when all of it is there, as slices of what was pushed. Whatever is pushed and not taken stays
/// here: take packets before pushing more.
///
/// **Memory.** A length that a peer announces allocates nothing. A pushed piece keeps the buffer that it is a slice of,
/// unless it is small: of two neighbours below 1 KiB both are copied into one buffer and let go. So where at most `n` bytes
/// gather, they are at most `n / 512 + 2` pieces and cost at most `3 n + 8 KiB`, beside the buffers of pieces of 1 KiB and
/// more: a peer that sends one byte at a time gains nothing by it. With packets taken as they come, `n` is the longest
/// packet, its length field and one piece.
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
    /// Small pieces that came after `pieces`, put together: always less than [`SMALL`].
    small: BytesMut,
    buffered: usize,
    failed: Option<Error>,
}

impl Framer {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, pieces: VecDeque::new(), small: BytesMut::new(), buffered: 0, failed: None }
    }

    /// The limits it holds packets against.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds the next piece of the stream.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() || self.failed.is_some() {
            return;
        }
        self.buffered = self.buffered.saturating_add(piece.len());
        if piece.len() >= SMALL {
            self.seal();
            self.pieces.push_back(piece);
            return;
        }
        if self.small.is_empty() {
            let Some(last) = self.pieces.pop_back_if(|last| last.len() < SMALL) else {
                self.pieces.push_back(piece);
                return;
            };
            // Neither of the two that end it reaches SMALL, so this is never outgrown.
            self.small = BytesMut::with_capacity(2 * SMALL);
            self.small.extend_from_slice(&last);
        }
        self.small.extend_from_slice(&piece);
        if self.small.len() >= SMALL {
            self.seal();
        }
    }

    /// How many bytes were pushed and not yet taken, length fields included.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// The next whole packet, from its type on, without its length field; `None` when more must be pushed first.
    ///
    /// It is in one piece: copied where it lies across several. [`next_segmented`](Self::next_segmented) copies nothing.
    ///
    /// # Errors
    /// A packet is longer than the limit or empty. A stream cannot be followed past that: the error stays.
    pub fn next_packet(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.next_segmented()?.map(|packet| packet.to_bytes()))
    }

    /// The next whole packet as [`next_packet`](Self::next_packet) has it, in the pieces that were pushed.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use rustle_sftp_proto::{Framer, Limits};
    ///
    /// let mut framer = Framer::new(Limits::default());
    /// framer.push(Bytes::from_static(b"\0\0\x08\0"));
    /// framer.push(Bytes::from(vec![1; 1024]));
    /// assert_eq!(framer.next_segmented()?, None);
    /// framer.push(Bytes::from(vec![2; 1024]));
    /// let packet = framer.next_segmented()?.expect("a whole packet");
    /// assert_eq!(packet.pieces().map(Bytes::len).collect::<Vec<_>>(), [1024, 1024]);
    /// # Ok::<(), rustle_sftp_proto::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`next_packet`](Self::next_packet).
    pub fn next_segmented(&mut self) -> Result<Option<Segments>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(length) = self.length() else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if let Err(error) = self.check(length) {
            let limits = self.limits.clone();
            *self = Self { failed: Some(error.clone()), ..Self::new(limits) };
            return Err(error);
        }
        if self.buffered.saturating_sub(LENGTH) < length {
            return Ok(None);
        }
        let _ = self.take(LENGTH);
        Ok(Some(self.take(length)))
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
        let mut bytes = self.pieces.iter().flat_map(|piece| piece.iter()).chain(&self.small);
        for byte in &mut field {
            *byte = *bytes.next()?;
        }
        Some(u32::from_be_bytes(field))
    }

    /// So many bytes off the front, of which there are as many.
    fn take(&mut self, count: usize) -> Segments {
        let mut taken = Segments::new();
        while let missing @ 1.. = count - taken.len() {
            if self.pieces.is_empty() {
                self.seal();
            }
            let Some(front) = self.pieces.front_mut() else { break };
            taken.push(front.split_to(missing.min(front.len())));
            self.pieces.pop_front_if(|front| front.is_empty());
        }
        self.buffered = self.buffered.saturating_sub(taken.len());
        taken
    }

    /// The small pieces become one of the pieces.
    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.small).freeze());
        }
    }
}

/// The length field before each packet (draft section 3).
const LENGTH: usize = 4;

/// Below this, in bytes, two neighbours are copied into one. A copy of so much costs about as much as keeping two pieces
/// apart; a piece of it keeps 32 bytes for itself, three in a hundred.
const SMALL: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        assert_eq!((framer.pieces.capacity(), framer.small.capacity()), (0, 0));
        framer.push(Bytes::from_static(b"\0\0\0\x01a"));
        assert_eq!(framer.next_packet().unwrap_err(), error);
        assert_eq!(framer.finish().unwrap_err(), error);
        assert_eq!(framer.buffered(), 0);
    }

    #[test]
    fn an_announced_length_allocates_nothing_before_its_bytes_are_there() {
        let mut framer = Framer::new(Limits::default());
        framer.push(Bytes::from_static(b"\0\x04\0\0a"));
        assert_eq!(framer.next_packet().unwrap(), None);
        assert_eq!((framer.pieces.len(), framer.small.capacity(), framer.buffered()), (1, 0, 5));
        assert_eq!(framer.finish().unwrap_err().kind(), ErrorKind::EndOfStream { received: 5 });
    }

    #[test]
    fn a_packet_across_pieces_is_slices_of_them() {
        let (first, second) = (Bytes::from([0, 0, 0x10, 0].repeat(512)), Bytes::from(vec![7; 3000]));
        let mut framer = Framer::new(Limits::default());
        framer.push(first.clone());
        assert_eq!(framer.next_segmented().unwrap(), None);
        framer.push(second.clone());
        let packet = framer.next_segmented().unwrap().unwrap();
        let places: Vec<_> = packet.pieces().map(|piece| (piece.as_ptr(), piece.len())).collect();
        assert_eq!(places, [(first[4..].as_ptr(), 2044), (second.as_ptr(), 2052)]);
        assert_eq!(framer.buffered(), 3000 - 2052);
    }

    /// A byte that knows whether it is still kept.
    struct Byte {
        _kept: Arc<()>,
    }

    impl AsRef<[u8]> for Byte {
        fn as_ref(&self) -> &[u8] {
            &[0]
        }
    }

    #[test]
    fn bytes_that_come_one_by_one_are_copied_together_and_let_go() {
        let (kept, mut framer) = (Arc::new(()), Framer::new(Limits::default()));
        framer.push(Bytes::from_static(&[0, 4, 0, 0]));
        for received in 1..=256 * 1024 {
            framer.push(Bytes::from_owner(Byte { _kept: kept.clone() }));
            assert!(Arc::strong_count(&kept) <= 2, "the buffer of a small piece is kept");
            assert!(framer.small.len() < SMALL && framer.small.capacity() <= 2 * SMALL);
            assert!(framer.pieces.len() <= received / 512 + 2);
        }
        let packet = framer.next_segmented().unwrap().unwrap();
        assert_eq!((packet.len(), packet.pieces().count()), (256 * 1024, 257));
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn small_pieces_between_large_ones_stay_few() {
        let (large, mut framer) = (Bytes::from(vec![1; SMALL]), Framer::new(Limits::default()));
        framer.push(Bytes::from_static(&[0, 4, 0, 0]));
        for _ in 0..200 {
            (0..3).for_each(|_| framer.push(Bytes::from_static(&[9])));
            framer.push(large.clone());
            assert!(framer.pieces.len() <= framer.buffered() / 512 + 2);
        }
    }

    #[test]
    fn a_packet_without_a_type_is_an_error() {
        let mut framer = Framer::new(Limits::default());
        framer.push(Bytes::from_static(b"\0\0\0\0"));
        assert_eq!(framer.next_packet().unwrap_err().kind(), ErrorKind::Empty);
    }
}
