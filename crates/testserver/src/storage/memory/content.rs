//! The bytes of a file in memory: in chunks that readers share, with holes that cost nothing.

use std::{collections::BTreeMap, sync::LazyLock};

use bytes::{Bytes, BytesMut};

/// A file's bytes.
///
/// What no chunk holds reads as zeros. A chunk is handed out to readers as it is, without copying; a write to one that
/// a reader still holds copies that chunk, so a reader never sees bytes change.
#[derive(Debug, Default)]
pub(crate) struct Content {
    size: u64,
    chunks: BTreeMap<u64, Bytes>,
    allocated: u64,
}

/// How much of a write found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    /// Only what came before.
    Some,
}

/// Twice the usual read of 32 KiB: most reads take a slice of one chunk, and a hole is never rounded up by much.
const LENGTH: usize = 64 * 1024;
const CHUNK: u64 = LENGTH as u64;

static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; LENGTH]));

impl Content {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes that chunks hold.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// `length` bytes from `offset` on, or those up to the end.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Bytes {
        let end = offset.saturating_add(length as u64).min(self.size);
        if offset >= end {
            return Bytes::new();
        }
        let first = self.piece(offset, end);
        if first.len() as u64 == end - offset {
            return first;
        }
        let mut all = BytesMut::with_capacity(usize::try_from(end - offset).unwrap_or(length));
        all.extend_from_slice(&first);
        while offset + (all.len() as u64) < end {
            all.extend_from_slice(&self.piece(offset + all.len() as u64, end));
        }
        all.freeze()
    }

    /// Writes `data`, for which at most `room` more bytes may be stored. `offset` plus the length does not overflow.
    pub(crate) fn write(&mut self, mut offset: u64, mut data: &[u8], mut room: u64) -> Written {
        while !data.is_empty() {
            let (index, start) = (offset / CHUNK, to_usize(offset % CHUNK));
            let wanted = data.len().min(LENGTH - start);
            let mut chunk = self.chunks.remove(&index).unwrap_or_default();
            let before = chunk.len();
            let limit = usize::try_from(room).unwrap_or(usize::MAX).saturating_add(before);
            let length = (start + wanted).min(limit).saturating_sub(start);
            let (piece, rest) = data.split_at(length);
            if !piece.is_empty() {
                chunk = put(chunk, start, piece);
                offset += length as u64;
                self.size = self.size.max(offset);
            }
            let grown = (chunk.len() - before) as u64;
            self.allocated += grown;
            room -= grown;
            if !chunk.is_empty() {
                self.chunks.insert(index, chunk);
            }
            if length < wanted {
                return Written::Some;
            }
            data = rest;
        }
        Written::All
    }

    /// Cuts the file off, or lengthens it by a hole.
    pub(crate) fn resize(&mut self, size: u64) {
        self.size = size;
        let (index, length) = (size / CHUNK, to_usize(size % CHUNK));
        let mut gone = self.chunks.split_off(&index);
        if let Some(mut last) = gone.remove(&index) {
            let before = last.len();
            // A copy: a shorter view of the chunk would keep all of its memory.
            last = last.get(..length).map(Bytes::copy_from_slice).unwrap_or(last);
            self.allocated -= (before - last.len()) as u64;
            if !last.is_empty() {
                self.chunks.insert(index, last);
            }
        }
        self.allocated -= gone.values().map(|chunk| chunk.len() as u64).sum::<u64>();
    }

    /// The bytes from `offset` to `end`, or to where its chunk or hole does.
    fn piece(&self, offset: u64, end: u64) -> Bytes {
        let (index, start) = (offset / CHUNK, to_usize(offset % CHUNK));
        let stop = to_usize((end - index * CHUNK).min(CHUNK));
        match self.chunks.get(&index) {
            Some(chunk) if start < chunk.len() => chunk.slice(start..stop.min(chunk.len())),
            _ => ZEROS.slice(..stop - start),
        }
    }
}

/// Places `piece` in the chunk, which becomes as long as needed.
fn put(chunk: Bytes, start: usize, piece: &[u8]) -> Bytes {
    if chunk.is_empty() && start == 0 {
        return Bytes::copy_from_slice(piece);
    }
    let mut chunk = chunk.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let end = start + piece.len();
    if chunk.len() <= start {
        chunk.resize(start, 0);
        chunk.extend_from_slice(piece);
    } else {
        if chunk.len() < end {
            chunk.resize(end, 0);
        }
        chunk[start..end].copy_from_slice(piece);
    }
    chunk.freeze()
}

/// Offsets in a chunk fit any platform's `usize`.
fn to_usize(within: u64) -> usize {
    usize::try_from(within).unwrap_or(LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_zeros_and_cost_nothing() {
        let mut content = Content::default();
        assert_eq!(content.write(1 << 40, b"end", u64::MAX), Written::All);
        assert_eq!((content.size(), content.allocated()), ((1 << 40) + 3, 3));
        assert_eq!(content.read((1 << 40) - 2, 100), b"\0\0end"[..]);
        assert!(content.read(12345, 200_000).iter().all(|&byte| byte == 0));
        content.resize(10);
        assert_eq!((content.read(0, 100).len(), content.allocated()), (10, 0));
    }

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        let mut content = Content::default();
        content.write(0, &[7; 200_000], u64::MAX);
        content.resize(70_000);
        assert_eq!(content.allocated(), 70_000);
        content.resize(150_000);
        assert_eq!(content.allocated(), 70_000);
        let all = content.read(0, 1_000_000);
        assert_eq!(all.len(), 150_000);
        assert!(all[..70_000].iter().all(|&byte| byte == 7) && all[70_000..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_is_cut_off_takes_no_memory() {
        let mut content = Content::default();
        content.write(0, &[7; 65_536], u64::MAX);
        content.resize(1);
        let kept = content.chunks.remove(&0).unwrap().try_into_mut().unwrap();
        assert!(kept.capacity() < 1024, "{} bytes for one", kept.capacity());
    }

    #[test]
    fn reader_keeps_what_it_read_and_takes_it_without_copying() {
        let mut content = Content::default();
        content.write(0, &[1; 65_536], u64::MAX);
        let (first, again) = (content.read(0, 32_768), content.read(0, 32_768));
        assert_eq!(first.as_ptr(), again.as_ptr());
        content.write(0, &[2; 10], u64::MAX);
        assert!(first.iter().all(|&byte| byte == 1));
        assert_eq!(content.read(9, 2), [2, 1][..]);
    }

    #[test]
    fn write_stops_where_room_does() {
        let mut content = Content::default();
        assert_eq!(content.write(0, &[1; 100_000], 70_000), Written::Some);
        assert_eq!((content.size(), content.allocated()), (70_000, 70_000));
        // What is stored already can be written again.
        assert_eq!(content.write(0, &[2; 70_000], 0), Written::All);
        // A gap has to be stored too where the chunk is there already.
        assert_eq!(content.write(70_010, b"x", 10), Written::Some);
        assert_eq!((content.size(), content.allocated()), (70_000, 70_000));
        assert_eq!(content.write(70_010, b"x", 11), Written::All);
        assert_eq!(content.allocated(), 70_011);
    }

    #[test]
    fn small_appends_do_not_copy_what_is_there() {
        let mut content = Content::default();
        let mut moved = 0;
        let mut place = std::ptr::null();
        for offset in 0..CHUNK {
            content.write(offset, b"x", u64::MAX);
            let now = content.read(0, 1).as_ptr();
            moved += usize::from(now != place);
            place = now;
        }
        assert!(moved < 40, "the chunk moved {moved} times");
    }
}
