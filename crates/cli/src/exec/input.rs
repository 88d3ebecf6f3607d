//! Reading our own standard input in large pieces that go into the connection without being copied.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc;

use bytes::Bytes;
#[cfg(target_os = "linux")]
use tokio::net::unix::pipe;

use super::driver::Reader;
use crate::streams::{Kind, kind, stdin};

/// What is read at a time: four times what a pipe holds.
const PIECE: usize = 256 * 1024;

/// Our standard input.
pub(super) enum Input {
    /// Read on the connection's own thread: another one would cost more than the reading.
    File(File, Buffers),
    #[cfg(target_os = "linux")]
    Pipe(pipe::Receiver, Buffers),
    Thread(Reader),
}

impl Input {
    /// # Errors
    /// The stream is closed.
    pub(super) fn open() -> io::Result<Self> {
        let file = stdin()?;
        Ok(match kind(&file) {
            Kind::File => Self::File(file, Buffers::new()),
            #[cfg(target_os = "linux")]
            Kind::Pipe => match pipe::OpenOptions::new().open_receiver("/proc/self/fd/0") {
                Ok(pipe) => Self::Pipe(pipe, Buffers::new()),
                // Another user's pipe, or no /proc.
                Err(_) => Self::Thread(Reader::start(file)),
            },
            Kind::Other => Self::Thread(Reader::start(file)),
        })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub(super) async fn read(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::File(file, buffers) => buffers.read(|buffer| file.read(buffer)),
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe, buffers) => loop {
                pipe.readable().await?;
                match buffers.read(|buffer| pipe.try_read(buffer)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            },
            Self::Thread(reader) => reader.read().await.transpose(),
        }
    }
}

/// Buffers that come back once what was made of them is sent: no allocation and no clearing for each piece.
pub(super) struct Buffers {
    returned: mpsc::Receiver<Vec<u8>>,
    give_back: mpsc::Sender<Vec<u8>>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        let (give_back, returned) = mpsc::channel();
        Self { returned, give_back }
    }

    /// One piece, read by `read`; `None` at the end.
    pub(super) fn read(
        &self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<Bytes>> {
        let mut buffer = self.returned.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
        let length = loop {
            match read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                length => break length,
            }
        };
        let mut piece = Piece { buffer, length: 0, give_back: self.give_back.clone() };
        piece.length = length?;
        Ok((piece.length > 0).then(|| Bytes::from_owner(piece)))
    }
}

/// Part of a buffer, which goes back when the last packet made of it is dropped.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
    give_back: mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // Nobody takes it at the end of the input.
        let _ = self.give_back.send(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_part_is_dropped() {
        let buffers = Buffers::new();
        let mut source = &b"0123456789"[..];
        let piece = buffers.read(|buffer| source.read(buffer)).unwrap().unwrap();
        assert_eq!(&piece[..], b"0123456789");
        let part = piece.slice(2..5);
        drop(piece);
        assert!(buffers.returned.try_recv().is_err());
        drop(part);
        assert_eq!(buffers.returned.try_recv().unwrap().len(), PIECE);
        assert!(buffers.read(|buffer| source.read(buffer)).unwrap().is_none());
    }

    #[test]
    fn a_failed_read_loses_no_buffer_and_is_no_end() {
        let buffers = Buffers::new();
        let error = buffers.read(|_| Err(io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(buffers.returned.try_recv().unwrap().len(), PIECE);
    }
}
