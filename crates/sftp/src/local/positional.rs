//! Reading and writing at a place in a file, which no two threads need to agree about.

use std::fs::File;
use std::io;

use bytes::Bytes;

/// Reads from `offset` until `room` is full or the file ends, and says how much came.
pub(super) fn read(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match read_some(file, &mut room[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of the pieces, one behind the other, from `offset` on.
pub(super) fn write(file: &File, pieces: &[Bytes], mut offset: u64) -> io::Result<()> {
    let mut left = pieces;
    // How much of the first piece is written.
    let mut begun = 0;
    loop {
        while let Some((first, rest)) = left.split_first()
            && begun >= first.len()
        {
            begun -= first.len();
            left = rest;
        }
        if left.is_empty() {
            return Ok(());
        }
        match write_some(file, left, begun, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                begun += written;
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn read_some(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, room, offset)
}

#[cfg(windows)]
fn read_some(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, room, offset)
}

/// Many pieces with one call: a packet of SSH has 32 KiB, and a call for each would cost more than its copy.
#[cfg(unix)]
fn write_some(file: &File, pieces: &[Bytes], begun: usize, offset: u64) -> io::Result<usize> {
    // Every Unix takes 1024 (IOV_MAX), and POSIX demands 16.
    const MOST: usize = 512;
    let parts = pieces.iter().take(MOST).enumerate();
    let slices: Vec<_> = parts
        .map(|(index, piece)| io::IoSlice::new(if index == 0 { &piece[begun..] } else { piece }))
        .collect();
    rustix::io::pwritev(file, &slices, offset).map_err(io::Error::from)
}

#[cfg(windows)]
fn write_some(file: &File, pieces: &[Bytes], begun: usize, offset: u64) -> io::Result<usize> {
    let first = pieces.first().map_or(&[][..], |first| &first[begun..]);
    std::os::windows::fs::FileExt::seek_write(file, first, offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_length_are_written_one_behind_the_other(
            lengths in proptest::collection::vec(0usize..50, 0..1200), offset in 0u64..100,
        ) {
            let file = tempfile::tempfile().unwrap();
            let pieces: Vec<_> = (0u8..=250).cycle().zip(&lengths).map(|(byte, &n)| Bytes::from(vec![byte; n])).collect();
            write(&file, &pieces, offset).unwrap();
            let wanted = pieces.concat();
            let mut back = vec![0; wanted.len() + 10];
            prop_assert_eq!(read(&file, &mut back, offset).unwrap(), wanted.len());
            prop_assert_eq!(&back[..wanted.len()], &wanted[..]);
        }
    }
}
