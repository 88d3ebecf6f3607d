//! Bytes in the pieces in which they came.

use std::{collections::VecDeque, fmt, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// A packet, or a part of one, in the pieces in which it was pushed: nothing was copied to make it one.
///
/// It is read as [`Buf`], and written to a socket or a file piece by piece. Two are equal if their bytes are, however they
/// are cut. Each piece keeps the buffer that it is a slice of.
///
/// What would read beyond its end reads up to there: [`Buf::advance`] and [`Buf::copy_to_bytes`] do not panic.
///
/// ```
/// use bytes::{Buf, Bytes};
/// use rustle_sftp_proto::Segments;
///
/// let mut data: Segments = [Bytes::from_static(b"ab"), Bytes::from_static(b"cde")].into_iter().collect();
/// assert_eq!((data.len(), data.pieces().count()), (5, 2));
/// let first = data.split_to(3);
/// assert_eq!((first.to_bytes(), data.to_bytes()), ("abc".into(), "de".into()));
/// assert_eq!(data.get_u8(), b'd');
/// ```
#[derive(Clone, Default)]
pub struct Segments {
    /// Apart from the others, so that one piece needs no list. Empty only where all is; the others never are.
    first: Bytes,
    rest: VecDeque<Bytes>,
    length: usize,
}

impl Segments {
    /// No bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces in their order; none is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).filter(|piece| !piece.is_empty()).chain(&self.rest)
    }

    /// The pieces in their order; none is empty.
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.first).filter(|piece| !piece.is_empty()).chain(self.rest)
    }

    /// All of it in one piece. Copies where there are several.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut all = BytesMut::with_capacity(self.length);
        for piece in self.pieces() {
            all.extend_from_slice(piece);
        }
        all.freeze()
    }

    /// Takes up to so many bytes off its front, without copying.
    #[must_use = "the bytes are taken off; to pass over them, advance"]
    pub fn split_to(&mut self, count: usize) -> Self {
        if count >= self.length {
            return std::mem::take(self);
        }
        let mut taken = Self::new();
        while taken.length < count {
            let most = self.first.len().min(count - taken.length);
            taken.push(self.first.split_to(most));
            self.settle(most);
        }
        taken
    }

    /// Appends a piece.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.length = self.length.saturating_add(piece.len());
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest.push_back(piece);
        }
    }

    /// So many bytes went off the first piece.
    fn settle(&mut self, count: usize) {
        self.length = self.length.saturating_sub(count);
        if self.first.is_empty() {
            self.first = self.rest.pop_front().unwrap_or_default();
        }
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let mut count = count.min(self.length);
        while count > 0 {
            let most = self.first.len().min(count);
            self.first.advance(most);
            self.settle(most);
            count -= most;
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.split_to(count).to_bytes()
    }
}

impl From<Bytes> for Segments {
    fn from(piece: Bytes) -> Self {
        Self { length: piece.len(), first: piece, rest: VecDeque::new() }
    }
}

impl FromIterator<Bytes> for Segments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut all = Self::new();
        pieces.into_iter().for_each(|piece| all.push(piece));
        all
    }
}

impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

impl Eq for Segments {}

/// Without the bytes: they are file data.
impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segments({} bytes in {} pieces)", self.length, self.pieces().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&'static str]) -> Segments {
        pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect()
    }

    #[test]
    fn empty_pieces_are_left_out() {
        let all = of(&["", "a", "", "bc", ""]);
        assert_eq!(all.pieces().collect::<Vec<_>>(), ["a", "bc"]);
        assert_eq!(all.clone().into_pieces().collect::<Vec<_>>(), ["a", "bc"]);
        assert_eq!((all.len(), all.is_empty()), (3, false));
        let none = of(&["", ""]);
        assert_eq!((none.len(), none.is_empty(), none.pieces().count()), (0, true, 0));
        assert_eq!(Segments::from(Bytes::new()), none);
    }

    #[test]
    fn one_piece_is_joined_for_nothing() {
        let piece = Bytes::from(vec![1; 100]);
        let one = Segments::from(piece.clone());
        assert_eq!(one.to_bytes().as_ptr(), piece.as_ptr());
        let mut two: Segments = [piece.clone(), piece.clone()].into_iter().collect();
        assert_eq!(two.copy_to_bytes(60).as_ptr(), piece.as_ptr());
        assert_eq!(two.copy_to_bytes(60), vec![1; 60]);
        assert_eq!(two.len(), 80);
    }

    #[test]
    fn a_split_falls_anywhere_and_copies_nothing() {
        for at in 0..=7 {
            let mut back = of(&["ab", "cde", "fg"]);
            let whole = back.clone();
            let front = back.split_to(at);
            assert_eq!((front.len(), back.len()), (at, 7 - at));
            let joined: Segments = front.clone().into_pieces().chain(back.clone().into_pieces()).collect();
            assert_eq!(joined, whole);
            let inside = |piece: &Bytes| whole.pieces().any(|of| of.as_ptr_range().contains(&piece.as_ptr()));
            assert!(front.pieces().chain(back.pieces()).all(inside));
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut all = of(&["ab", "c"]);
        all.advance(1);
        assert_eq!(all.chunk(), b"b");
        assert_eq!(all.copy_to_bytes(100), "bc");
        all.advance(5);
        assert_eq!((all.len(), all.split_to(9).len(), all.chunk()), (0, 0, &b""[..]));
        assert!(all.try_get_u8().is_err());
    }

    #[test]
    fn a_vectored_write_gets_the_pieces_up_to_its_room() {
        let all = of(&["ab", "c", "def"]);
        for room in 0..5 {
            let mut slices = vec![IoSlice::new(&[]); room];
            let filled = all.chunks_vectored(&mut slices);
            let written: Vec<&[u8]> = slices.iter().take(filled).map(|slice| &**slice).collect();
            assert_eq!(written, [&b"ab"[..], b"c", b"def"][..room.min(3)]);
        }
        assert_eq!(Segments::new().chunks_vectored(&mut [IoSlice::new(&[])]), 0);
    }

    #[test]
    fn equal_bytes_are_equal_however_they_are_cut() {
        assert_eq!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", "c"]), of(&["ab", "d"]));
        assert_ne!(of(&["ab"]), of(&["ab", "c"]));
        assert_eq!(format!("{:?}", of(&["ab", "c"])), "Segments(3 bytes in 2 pieces)");
    }
}
