//! A thread for a standard input that can only be read by waiting for it.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::input::Buffers;

/// Pieces that may wait to be sent.
const PIECES: usize = 4;

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
