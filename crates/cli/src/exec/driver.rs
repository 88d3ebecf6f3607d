//! The threads between this program's standard streams, which block, and the connection, which must not.
//!
//! Each hands over several packets at a time: what piles up while one system call is under way goes with the next.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::sync::mpsc as blocking;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Packets that may wait to be written: 2 MiB, as much as a channel's window on a short way.
const QUEUE: usize = 64;

/// Packets written with one system call.
const AT_ONCE: usize = 32;

/// What is read at a time: four times what a pipe holds.
const PIECE: usize = 256 * 1024;

/// Pieces that may be on their way into the connection.
const PIECES: usize = 4;

/// One of this program's own output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Stdout,
    Stderr,
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
        })
    }
}

/// The thread has stopped; [`Output::finish`] says why.
#[derive(Debug)]
pub(super) struct Gone;

/// A thread that writes to one of our own streams.
pub(super) struct Output {
    queue: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// # Errors
    /// The stream is closed.
    pub(super) fn start(own: Own) -> io::Result<Self> {
        let file = match own {
            Own::Stdout => duplicate(&io::stdout())?,
            Own::Stderr => duplicate(&io::stderr())?,
        };
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (tell, done) = oneshot::channel();
        // Owner: this `Output`. Ends: when its queue is dropped or writing fails; blocked in a write, with the
        // process. Waited for: by `finish`.
        std::thread::spawn(move || {
            // Nobody listens any more when the command was ended meanwhile.
            let _ = tell.send(write_all(file, waiting));
        });
        Ok(Self { queue, done })
    }

    /// Hands a packet over; waits while too many are waiting already.
    ///
    /// # Cancel safety
    /// Dropped, the packet is not written.
    pub(super) async fn write(&mut self, packet: Bytes) -> Result<(), Gone> {
        self.queue.send(packet).await.map_err(|_| Gone)
    }

    /// Waits until everything is written, and says how that went.
    ///
    /// # Cancel safety
    /// Dropped, the rest is still written, if the process lives so long.
    pub(super) async fn finish(self) -> io::Result<()> {
        drop(self.queue);
        self.done.await.unwrap_or_else(|_| Err(io::Error::other("the thread that writes it has panicked")))
    }
}

fn write_all(mut file: File, mut waiting: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut packets = VecDeque::with_capacity(AT_ONCE);
    while let Some(packet) = waiting.blocking_recv() {
        packets.push_back(packet);
        while packets.len() < AT_ONCE
            && let Ok(packet) = waiting.try_recv()
        {
            packets.push_back(packet);
        }
        write_packets(&mut file, &mut packets)?;
    }
    Ok(())
}

fn write_packets(file: &mut impl Write, packets: &mut VecDeque<Bytes>) -> io::Result<()> {
    let mut slices: Vec<_> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
    let mut left = slices.as_mut_slice();
    // An empty packet would look like a stream that takes no more.
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

/// A thread that reads our standard input.
pub(super) struct Input {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl Input {
    /// # Errors
    /// The stream is closed.
    pub(super) fn start() -> io::Result<Self> {
        let file = duplicate(&io::stdin())?;
        let (queue, pieces) = mpsc::channel(PIECES);
        // Owner: this `Input`. Ends: with the input, or at its next piece once this is dropped; blocked in a read,
        // with the process. Waited for: by nobody, since nobody can tell when something is typed.
        std::thread::spawn(move || read_all(file, &queue));
        Ok(Self { pieces })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub(super) async fn read(&mut self) -> Option<io::Result<Bytes>> {
        self.pieces.recv().await
    }
}

fn read_all(mut file: File, queue: &mpsc::Sender<io::Result<Bytes>>) {
    let (give_back, returned) = blocking::channel();
    let mut made = 0;
    loop {
        let mut buffer = match returned.try_recv() {
            Ok(buffer) => buffer,
            Err(_) if made < PIECES => {
                made += 1;
                vec![0; PIECE]
            }
            // All are on their way; this side holds a sender, so that waiting does not fail.
            Err(_) => match returned.recv() {
                Ok(buffer) => buffer,
                Err(_) => return,
            },
        };
        let piece = match file.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(Bytes::from_owner(Piece { buffer, length, give_back: give_back.clone() })),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                let _ = give_back.send(buffer);
                continue;
            }
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if queue.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

/// Part of a buffer that goes back to the reading thread once the last packet made of it is sent: no allocation
/// and no clearing for each piece.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
    give_back: blocking::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // The reading thread is gone at the end of the input.
        let _ = self.give_back.send(std::mem::take(&mut self.buffer));
    }
}

/// The stream itself, without the standard library's buffer and line by line writing.
#[cfg(unix)]
fn duplicate(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// As on Unix. What is written to a console this way is read in the console's code page.
#[cfg(windows)]
fn duplicate(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
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

    #[test]
    fn a_buffer_comes_back_when_its_last_part_is_dropped() {
        let (give_back, returned) = blocking::channel();
        let piece = Bytes::from_owner(Piece { buffer: vec![7; 16], length: 10, give_back });
        let part = piece.slice(2..5);
        assert_eq!(piece.len(), 10);
        drop(piece);
        assert!(returned.try_recv().is_err());
        drop(part);
        assert_eq!(returned.try_recv().unwrap().len(), 16);
    }
}
