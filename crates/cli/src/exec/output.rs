//! Writing to our own streams: several packets with one system call, and never in the connection's way.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSlice;

use bytes::Bytes;
#[cfg(target_os = "linux")]
use tokio::net::unix::pipe;

use crate::streams::{Kind, Own, Sink, Writer, kind, write_packets};

/// Packets written with one system call: 1 MiB of the largest that servers send.
pub(super) const AT_ONCE: usize = 32;

/// What may wait to be written: as much as a channel's window on a short way.
const QUEUE: usize = 2 * 1024 * 1024;

/// The size of a pipe that has run full once: with the usual 64 KiB, two packets fill it, and reader and writer wake
/// each other for each. As much as Linux allows everyone (`fs.pipe-max-size`).
#[cfg(target_os = "linux")]
const ROOMY: usize = 1024 * 1024;

/// One of our own output streams.
pub(super) enum Output {
    /// Written to at once, on the connection's own thread: another one would cost more than the writing.
    File(File),
    #[cfg(target_os = "linux")]
    Pipe(Pipe),
    Thread(Writer<Blocking>),
}

impl Output {
    /// # Errors
    /// The stream is closed.
    pub(super) fn open(own: Own) -> io::Result<Self> {
        let file = own.file()?;
        Ok(match kind(&file) {
            Kind::File => Self::File(file),
            #[cfg(target_os = "linux")]
            Kind::Pipe => match pipe::OpenOptions::new().open_sender(own.path()) {
                Ok(sender) => Self::Pipe(Pipe { sender, size: Size::AsItWas }),
                // Another user's pipe, or no /proc.
                Err(_) => Self::Thread(Writer::start(Blocking(Some(file)), QUEUE)),
            },
            Kind::Other => Self::Thread(Writer::start(Blocking(Some(file)), QUEUE)),
        })
    }

    /// Writes all packets, and leaves none.
    ///
    /// # Errors
    /// What writing gave; a reader that has gone away is [`io::ErrorKind::BrokenPipe`].
    ///
    /// # Cancel safety
    /// Dropped, some of them may have been written.
    pub(super) async fn write(&mut self, packets: &mut VecDeque<Bytes>) -> io::Result<()> {
        match self {
            Self::File(file) => write_packets(file, packets),
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => pipe.write(packets).await,
            Self::Thread(writer) => {
                packets.drain(..).for_each(|packet| writer.push(packet));
                writer.room().await
            }
        }
    }

    /// Waits until everything is written, and says how that went.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    /// Dropped, the rest is still written, if the process lives so long.
    pub(super) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Thread(writer) => writer.settled().await,
            _ => Ok(()),
        }
    }
}

/// A stream that can only be written by waiting for its reader; none once that failed.
pub(super) struct Blocking(Option<File>);

impl Sink for Blocking {
    type Packet = Bytes;

    fn len(packet: &Bytes) -> usize {
        packet.len()
    }

    fn write(&mut self, packets: &mut VecDeque<Bytes>) -> io::Result<()> {
        let Some(mut file) = self.0.take() else { return Ok(()) };
        write_packets(&mut file, packets)?;
        self.0 = Some(file);
        Ok(())
    }
}

/// A pipe, opened once more so that it does not block.
#[cfg(target_os = "linux")]
pub(super) struct Pipe {
    sender: pipe::Sender,
    size: Size,
}

#[cfg(target_os = "linux")]
#[derive(PartialEq, Eq)]
enum Size {
    AsItWas,
    Enlarged,
}

#[cfg(target_os = "linux")]
impl Pipe {
    async fn write(&mut self, packets: &mut VecDeque<Bytes>) -> io::Result<()> {
        let mut slices: Vec<_> = packets.iter().map(|packet| IoSlice::new(packet)).collect();
        let mut left = slices.as_mut_slice();
        // Empty packets at the front are no reason to write nothing.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.sender.try_write_vectored(left) {
                Ok(count) => IoSlice::advance_slices(&mut left, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.size == Size::AsItWas {
                        self.size = Size::Enlarged;
                        // Where that is not allowed, it works as it is.
                        let _ = rustix::pipe::fcntl_setpipe_size(&self.sender, ROOMY);
                        continue;
                    }
                    self.sender.writable().await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        packets.clear();
        Ok(())
    }
}
