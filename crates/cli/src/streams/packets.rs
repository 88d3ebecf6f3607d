//! Several packets with one system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;

/// Writes all packets to something that blocks, and leaves none.
///
/// # Errors
/// What writing gave; a reader that has gone away is [`io::ErrorKind::BrokenPipe`].
pub(crate) fn write_packets(file: &mut impl Write, packets: &mut VecDeque<Bytes>) -> io::Result<()> {
    let mut slices: Vec<_> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
    let mut left = slices.as_mut_slice();
    // Empty packets at the front would look like a stream that takes no more.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    packets.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most seven bytes at a time.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(7);
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn packets_are_written_whole_and_in_order_however_little_is_taken() {
        let texts = ["", "one", "", "twenty-two bytes long.", "x", ""];
        let mut packets: VecDeque<Bytes> =
            texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        let mut slow = Slow(Vec::new());
        write_packets(&mut slow, &mut packets).unwrap();
        assert_eq!(slow.0, texts.concat().as_bytes());
        assert!(packets.is_empty());
    }
}
