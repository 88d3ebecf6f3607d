//! Bytes that are wiped when they are dropped, and the one way secrets are read from files.
//!
//! Every secret this crate takes from outside lives either in `secrecy`'s types (what callers hand over and
//! what a person types) or in [`SecretBuf`] (what is read from a file). Neither grows in place: a growing
//! `Vec` leaves its old allocation behind, unwiped.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroize;

/// First allocation when a source does not say its size (a pipe).
const FIRST_CHUNK: usize = 16 * 1024;

/// A byte buffer that is wiped on drop and whenever it moves to a larger allocation.
pub(crate) struct SecretBuf {
    bytes: Vec<u8>,
}

impl SecretBuf {
    /// Takes over `bytes`; whoever filled them must not have let them grow.
    pub(crate) fn from_vec(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Reads all of `source`, at most `limit` bytes; `expected` is the size it claims, `0` if it does not say.
    ///
    /// # Errors
    /// What reading gave, or [`io::ErrorKind::FileTooLarge`] past `limit`.
    pub(crate) fn read(mut source: impl Read, expected: u64, limit: usize) -> io::Result<Self> {
        let expected = usize::try_from(expected).unwrap_or(usize::MAX).min(limit);
        // One byte more than expected, so that the end of the source shows without growing.
        let first = if expected == 0 { FIRST_CHUNK } else { expected + 1 };
        let mut buffer = Self { bytes: vec![0; first] };
        let mut filled = 0;
        loop {
            if filled == buffer.bytes.len() {
                let larger = buffer.bytes.len().saturating_mul(2);
                buffer.move_to(larger);
            }
            match source.read(&mut buffer.bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if filled > limit {
                return Err(io::Error::from(io::ErrorKind::FileTooLarge));
            }
        }
        buffer.bytes[filled..].zeroize();
        buffer.bytes.truncate(filled);
        Ok(buffer)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The content as text, if it is UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    fn move_to(&mut self, capacity: usize) {
        let mut larger = vec![0; capacity];
        larger[..self.bytes.len()].copy_from_slice(&self.bytes);
        let mut old = std::mem::replace(&mut self.bytes, larger);
        wipe(&mut old);
    }
}

impl Drop for SecretBuf {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl fmt::Debug for SecretBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBuf([redacted])")
    }
}

fn wipe(bytes: &mut Vec<u8>) {
    bytes.zeroize();
    #[cfg(test)]
    tests::WIPES.with(|wipes| wipes.set(wipes.get() + 1));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many buffers this thread has wiped.
        pub(crate) static WIPES: Cell<usize> = const { Cell::new(0) };
    }

    fn wipes() -> usize {
        WIPES.with(Cell::get)
    }

    #[test]
    fn reads_a_source_of_known_size_in_one_allocation() {
        let before = wipes();
        let buffer = SecretBuf::read(&b"secret"[..], 6, 1024).unwrap();
        assert_eq!(buffer.as_slice(), b"secret");
        assert_eq!(wipes(), before);
        drop(buffer);
        assert_eq!(wipes(), before + 1);
    }

    #[test]
    fn wipes_each_allocation_it_outgrows() {
        let before = wipes();
        let data = vec![7u8; FIRST_CHUNK * 3];
        let buffer = SecretBuf::read(&data[..], 0, FIRST_CHUNK * 4).unwrap();
        assert_eq!(buffer.as_slice(), &data[..]);
        drop(buffer);
        // 16 KiB, then 32 KiB, then the 64 KiB that was kept until the drop.
        assert_eq!(wipes(), before + 3);
    }

    #[test]
    fn refuses_what_is_larger_than_the_limit() {
        for claimed in [0, 10, 4096, u64::MAX] {
            let error = SecretBuf::read(&[1u8; 4096][..], claimed, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        }
        assert_eq!(SecretBuf::read(&[1u8; 100][..], 100, 100).unwrap().as_slice().len(), 100);
    }

    #[test]
    fn debug_shows_nothing() {
        let buffer = SecretBuf::from_vec(b"hunter2".to_vec());
        assert!(!format!("{buffer:?}").contains("hunter2"));
        assert_eq!(buffer.as_str(), Some("hunter2"));
    }
}
