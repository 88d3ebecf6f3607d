//! What a client sends to a command's standard input, queued so that a command which does not read holds up nobody else.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

/// The reading end of a command's standard input.
///
/// The base grants window as data arrives, so what a command leaves unread waits here.
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
    chunks: VecDeque<Bytes>,
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
            state.chunks.push_back(data);
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
        if let Some(chunk) = state.chunks.pop_front() {
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
                this.queue.lock().chunks.push_front(chunk);
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
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
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
