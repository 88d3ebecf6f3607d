//! Threads for those of our own streams that can only be read or written by waiting for them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::input::Buffers;
use super::output::{AT_ONCE, write_packets};

/// Packets that may wait to be written: 2 MiB, as much as a channel's window on a short way.
const QUEUE: usize = 64;

/// Pieces that may wait to be sent.
const PIECES: usize = 4;

/// A thread that writes to one of our own streams.
pub(super) struct Writer {
    queue: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    pub(super) fn start(file: File) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (tell, done) = oneshot::channel();
        // Owner: this `Writer`. Ends: when its queue is dropped or writing fails; blocked in a write, with the
        // process. Waited for: by `finish`.
        std::thread::spawn(move || {
            // Nobody listens any more when the command was ended meanwhile.
            let _ = tell.send(write_all(file, waiting));
        });
        Self { queue, done }
    }

    /// Hands packets over; waits while too many are waiting already.
    ///
    /// # Cancel safety
    /// Dropped, those not yet handed over are left.
    pub(super) async fn write(&mut self, packets: &mut VecDeque<Bytes>) -> io::Result<()> {
        while let Some(packet) = packets.pop_front() {
            if self.queue.send(packet).await.is_err() {
                return self.result().await;
            }
        }
        Ok(())
    }

    /// Waits until everything is written, and says how that went.
    ///
    /// # Cancel safety
    /// Dropped, the rest is still written, if the process lives so long.
    pub(super) async fn finish(self) -> io::Result<()> {
        let Self { queue, done } = self;
        drop(queue);
        done.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn result(&mut self) -> io::Result<()> {
        // It ended before its queue did, so that it cannot have ended well.
        match (&mut self.done).await {
            Ok(Err(error)) => Err(error),
            _ => Err(gone()),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes it has stopped")
}

fn write_all(mut file: File, mut waiting: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut packets = VecDeque::with_capacity(AT_ONCE);
    while let Some(packet) = waiting.blocking_recv() {
        packets.push_back(packet);
        // What piled up during the last call goes with this one.
        while packets.len() < AT_ONCE
            && let Ok(packet) = waiting.try_recv()
        {
            packets.push_back(packet);
        }
        write_packets(&mut file, &mut packets)?;
    }
    Ok(())
}

/// A thread that reads our standard input.
pub(super) struct Reader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl Reader {
    pub(super) fn start(file: File) -> Self {
        let (queue, pieces) = mpsc::channel(PIECES);
        // Owner: this `Reader`. Ends: with the input, or at its next piece once this is dropped; blocked in a read,
        // with the process. Waited for: by nobody, since nobody can tell when something is typed.
        std::thread::spawn(move || read_all(file, &queue));
        Self { pieces }
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
    let buffers = Buffers::new();
    while let Some(piece) = buffers.read(|buffer| file.read(buffer)).transpose() {
        let failed = piece.is_err();
        if queue.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}
