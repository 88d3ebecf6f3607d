//! What a client sends to a command's standard input, queued so that a command which does not read holds up nobody else.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

/// The reading end of a command's standard input.
///
/// The base grants window as data arrives, so what a command leaves unread waits here: up to 8 MiB in memory, the rest
/// in a temporary file without a name.
pub struct Stdin {
    queue: Arc<Queue>,
}

/// The end into which the channel's data goes. Dropping it ends the input.
pub(crate) struct StdinFeed {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is read next.
    chunks: VecDeque<Bytes>,
    /// How many bytes those are.
    queued: usize,
    /// What comes after them; while there is any, new data goes there.
    spilled: Option<Spill>,
    end: End,
    reader: Option<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Ended,
    Unread,
}

/// A queue on disk: written at its end, read at its front.
struct Spill {
    file: File,
    read: u64,
    written: u64,
}

/// Four windows: a command that reads at all stays below this.
const IN_MEMORY: usize = 8 * 1024 * 1024;

/// One read of a spilled input.
const PIECE: u64 = 256 * 1024;

/// A new, empty input.
pub(crate) fn stdin() -> (StdinFeed, Stdin) {
    let queue = Arc::new(Queue::default());
    (StdinFeed { queue: Arc::clone(&queue) }, Stdin { queue })
}

impl StdinFeed {
    /// Adds data. What nobody will read is dropped.
    pub(crate) fn push(&self, data: Bytes) {
        let mut state = self.queue.lock();
        if state.end == End::Open && !data.is_empty() {
            state.push(data);
            state.wake();
        }
    }

    /// Ends the input: what is queued can still be read.
    pub(crate) fn end(&self) {
        let mut state = self.queue.lock();
        if state.end == End::Open {
            state.end = End::Ended;
        }
        state.wake();
    }
}

impl Drop for StdinFeed {
    fn drop(&mut self) {
        self.end();
    }
}

impl Stdin {
    /// The next piece of input, or `None` at its end.
    ///
    /// # Cancel safety
    /// Nothing is lost when this future is dropped.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.queue.lock();
        if let Some(chunk) = state.pop() {
            return Poll::Ready(Some(chunk));
        }
        if state.end != End::Open {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(mut chunk) = std::task::ready!(this.poll_chunk(cx)) {
            let n = chunk.len().min(buf.remaining());
            buf.put_slice(&chunk[..n]);
            chunk.advance(n);
            if !chunk.is_empty() {
                let mut state = this.queue.lock();
                state.queued += chunk.len();
                state.chunks.push_front(chunk);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.end = End::Unread;
        state.chunks.clear();
        state.spilled = None;
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, data: Bytes) {
        if self.spilled.is_none() && self.queued + data.len() > IN_MEMORY {
            self.spilled =
                Spill::new().inspect_err(|error| tracing::warn!(%error, "input stays in memory")).ok();
        }
        match &mut self.spilled {
            Some(spill) => match spill.append(&data) {
                Ok(()) => {}
                // The input can no longer be whole: a command must not take a part for all, so it gets no end either.
                Err(error) => {
                    tracing::error!(%error, "input lost: the temporary file cannot be written");
                    self.end = End::Unread;
                }
            },
            None => {
                self.queued += data.len();
                self.chunks.push_back(data);
            }
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        if let Some(chunk) = self.chunks.pop_front() {
            self.queued -= chunk.len();
            return Some(chunk);
        }
        let chunk = self.spilled.as_mut()?.take().inspect_err(|error| {
            tracing::error!(%error, "input lost: the temporary file cannot be read");
        });
        if self.spilled.as_ref().is_some_and(|spill| spill.read == spill.written) {
            self.spilled = None;
        }
        chunk.ok()
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Spill {
    fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, read: 0, written: 0 })
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.write_all(data)?;
        self.written += data.len() as u64;
        Ok(())
    }

    fn take(&mut self) -> io::Result<Bytes> {
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut chunk = Vec::new();
        (&mut self.file).take(PIECE.min(self.written - self.read)).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += chunk.len() as u64;
        Ok(chunk.into())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn input_arrives_in_order_and_ends() {
        let (feed, mut stdin) = stdin();
        feed.push(Bytes::from_static(b"one "));
        feed.push(Bytes::from_static(b"two"));
        drop(feed);
        let mut text = String::new();
        stdin.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "one two");
        assert_eq!(stdin.chunk().await, None);
    }

    #[tokio::test]
    async fn more_than_fits_in_memory_comes_back_whole() {
        let (feed, mut stdin) = stdin();
        let piece = |n: u32| Bytes::from(n.to_le_bytes().repeat(8192));
        let count = u32::try_from(IN_MEMORY / piece(0).len() * 3).unwrap();
        for n in 0..count {
            feed.push(piece(n));
        }
        assert!(feed.queue.lock().spilled.is_some());
        let mut expected = (0..count).flat_map(|n| piece(n).to_vec());
        drop(feed);
        let mut total = 0;
        while let Some(chunk) = stdin.chunk().await {
            total += chunk.len();
            assert!(chunk.iter().all(|byte| expected.next() == Some(*byte)));
        }
        assert_eq!(total, IN_MEMORY * 3);
        assert!(stdin.queue.lock().spilled.is_none());
    }

    #[tokio::test]
    async fn small_reads_lose_nothing() {
        let (feed, mut stdin) = stdin();
        feed.push(Bytes::from_static(b"abc"));
        let mut byte = [0];
        for expected in *b"abc" {
            stdin.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte[0], expected);
        }
    }
}
