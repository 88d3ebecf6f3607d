//! Unread bytes on disk: a ring in a temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;

/// How much is read back from disk at a time.
const READ_BACK: usize = 64 * 1024;

/// A temporary file used as a ring, so that it never grows past its limit however long it is in use.
#[derive(Default)]
pub(super) struct Spill {
    file: Option<File>,
    /// Where the next byte is written; the oldest one stands `waiting` bytes before it, around the ring.
    head: u64,
    pub(super) waiting: u64,
}

impl Spill {
    /// Writes behind the newest byte; the caller has checked that `waiting` stays within `ring`.
    pub(super) fn append(&mut self, mut bytes: &[u8], ring: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            // Unlinked at once, so that no crash leaves a user's output in the temporary directory.
            none => none.insert(tempfile::tempfile()?),
        };
        // Counted only when all of it is there: what fails is still in memory, and would be read twice.
        let (mut head, written) = (self.head, bytes.len() as u64);
        while !bytes.is_empty() {
            let until_end = usize::try_from(ring - head).unwrap_or(usize::MAX);
            let (part, rest) = bytes.split_at(bytes.len().min(until_end));
            file.seek(SeekFrom::Start(head))?;
            file.write_all(part)?;
            head = (head + part.len() as u64) % ring;
            bytes = rest;
        }
        self.head = head;
        self.waiting += written;
        Ok(())
    }

    /// The oldest bytes, `limit` at most, and none past the ring's end; they stay.
    pub(super) fn peek(&mut self, ring: u64, limit: usize) -> io::Result<Vec<u8>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let tail = (self.head + ring - self.waiting) % ring;
        let length = self.waiting.min(ring - tail).min(limit as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(limit)];
        file.seek(SeekFrom::Start(tail))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the oldest bytes; the file goes when it is empty.
    pub(super) fn read_back(&mut self, ring: u64) -> io::Result<Bytes> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let tail = (self.head + ring - self.waiting) % ring;
        let length = self.waiting.min(ring - tail).min(READ_BACK as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(READ_BACK)];
        file.seek(SeekFrom::Start(tail))?;
        file.read_exact(&mut bytes)?;
        self.waiting -= length;
        if self.waiting == 0 {
            *self = Self::default();
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_gives_back_bytes_in_order_around_its_end() {
        let mut spill = Spill::default();
        let ring = 10;
        spill.append(b"abcdefgh", ring).unwrap();
        assert_eq!(&spill.read_back(ring).unwrap()[..], b"abcdefgh");
        assert!(spill.file.is_none(), "an empty ring holds no file");
        spill.append(b"01234567", ring).unwrap();
        spill.waiting = 3; // as if the five oldest bytes had been read
        spill.append(b"ABCDEF", ring).unwrap();
        assert_eq!(spill.waiting, 9);
        assert_eq!(spill.peek(ring, 2).unwrap(), b"56");
        assert_eq!(spill.peek(ring, 100).unwrap(), b"567AB", "as far as the ring's end");
        assert_eq!(&spill.read_back(ring).unwrap()[..], b"567AB");
        assert_eq!(&spill.read_back(ring).unwrap()[..], b"CDEF");
    }

    #[cfg(unix)]
    #[test]
    fn what_could_not_be_written_does_not_count() {
        let mut spill = Spill { file: Some(File::open("/dev/null").unwrap()), head: 8, waiting: 3 };
        assert!(spill.append(b"ABCDEF", 10).is_err(), "opened for reading");
        assert_eq!((spill.head, spill.waiting), (8, 3));
    }
}
