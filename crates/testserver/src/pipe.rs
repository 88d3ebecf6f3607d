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
/// in temporary files without a name, and in all [so much](crate::Builder::max_unread).
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
    spilled: VecDeque<Spill>,
    end: End,
    reader: Option<Waker>,
    /// Who waits for the reader to get on.
    writer: Option<Waker>,
}

#[derive(Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Ended,
    Unread,
    /// Some of it could not be kept. A command must not take a part for all, so it never comes to an end.
    Lost,
}

/// A piece of a queue on disk: written at its end, read at its front, gone when all of it has been read.
struct Spill {
    file: File,
    read: u64,
    written: u64,
}

/// Four windows: a command that reads at all stays below this.
const IN_MEMORY: usize = 8 * 1024 * 1024;

/// How long a file on disk becomes before another is begun: so much stays there longer than it is needed.
const SEGMENT: u64 = 64 * 1024 * 1024;

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

    /// Waits until no more than `most` bytes are unread, or there is no use in waiting.
    ///
    /// # Cancel safety
    /// Nothing happens when this future is dropped.
    pub(crate) async fn room(&self, most: u64) {
        std::future::poll_fn(|cx| {
            let mut state = self.queue.lock();
            if state.end != End::Open || state.unread() <= most {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How many bytes are unread.
    pub(crate) fn unread(&self) -> u64 {
        self.queue.lock().unread()
    }

    /// Gives the input up: more of it has come than can be kept.
    pub(crate) fn lose(&self) {
        self.queue.lock().lose();
    }

    /// Whether some of the input could not be kept.
    pub(crate) fn is_lost(&self) -> bool {
        self.queue.lock().end == End::Lost
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
            state.wake_writer();
            return Poll::Ready(Some(chunk));
        }
        match state.end {
            End::Open | End::Lost => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::Ended | End::Unread => Poll::Ready(None),
        }
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
        // What is lost stays so, for whoever asks later.
        if state.end != End::Lost {
            state.end = End::Unread;
        }
        state.chunks.clear();
        state.queued = 0;
        state.spilled.clear();
        state.wake_writer();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, data: Bytes) {
        let fits = self.spilled.is_empty() && self.queued + data.len() <= IN_MEMORY;
        let segment = if fits { None } else { self.segment() };
        let Some(segment) = segment else {
            self.queued += data.len();
            self.chunks.push_back(data);
            return;
        };
        let appended = segment.append(&data);
        if let Err(error) = appended {
            tracing::error!(%error, "input lost: the temporary file cannot be written");
            self.lose();
        }
    }

    /// Where on disk new data goes. Without one the input stays in memory, or the last file grows longer.
    fn segment(&mut self) -> Option<&mut Spill> {
        if self.spilled.back().is_none_or(|spill| spill.written >= SEGMENT) {
            match Spill::new() {
                Ok(spill) => self.spilled.push_back(spill),
                Err(error) => tracing::warn!(%error, "no temporary file for input"),
            }
        }
        self.spilled.back_mut()
    }

    fn pop(&mut self) -> Option<Bytes> {
        if let Some(chunk) = self.chunks.pop_front() {
            self.queued -= chunk.len();
            return Some(chunk);
        }
        let spill = self.spilled.front_mut()?;
        let taken = spill.take();
        if spill.unread() == 0 {
            self.spilled.pop_front();
        }
        match taken {
            Ok(chunk) => Some(chunk),
            Err(error) => {
                tracing::error!(%error, "input lost: the temporary file cannot be read");
                self.lose();
                None
            }
        }
    }

    fn unread(&self) -> u64 {
        self.spilled.iter().fold(self.queued as u64, |sum, spill| sum.saturating_add(spill.unread()))
    }

    /// Nothing of it can be used any more.
    fn lose(&mut self) {
        if self.end != End::Unread {
            self.end = End::Lost;
        }
        self.chunks.clear();
        self.queued = 0;
        self.spilled.clear();
        self.wake_writer();
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
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

    fn unread(&self) -> u64 {
        self.written.saturating_sub(self.read)
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.write_all(data)?;
        self.written += data.len() as u64;
        Ok(())
    }

    fn take(&mut self) -> io::Result<Bytes> {
        self.file.seek(SeekFrom::Start(self.read))?;
        let unread = self.unread();
        let mut chunk = Vec::new();
        (&mut self.file).take(PIECE.min(unread)).read_to_end(&mut chunk)?;
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
        assert!(!feed.queue.lock().spilled.is_empty());
        let mut expected = (0..count).flat_map(|n| piece(n).to_vec());
        drop(feed);
        let mut total = 0;
        while let Some(chunk) = stdin.chunk().await {
            total += chunk.len();
            assert!(chunk.iter().all(|byte| expected.next() == Some(*byte)));
        }
        assert_eq!(total, IN_MEMORY * 3);
        assert!(stdin.queue.lock().spilled.is_empty());
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
    /// A reader that gets on and never quite catches up: the files behind it go.
    #[tokio::test]
    async fn what_has_been_read_takes_no_room_on_disk() {
        let (feed, mut stdin) = stdin();
        let piece = Bytes::from(vec![7; 4 << 20]);
        let push = || feed.push(piece.clone());
        (0..4).for_each(|_| push());
        let mut read = 0;
        for n in 5..64 {
            push();
            while read < (n - 4) * piece.len() {
                read += stdin.chunk().await.unwrap().len();
            }
            let state = feed.queue.lock();
            let kept: u64 = state.spilled.iter().map(|spill| spill.written).sum();
            assert!(!state.spilled.is_empty() && kept <= 2 * SEGMENT, "{kept} bytes after piece {n}");
            assert_eq!(state.unread(), (n * piece.len() - read) as u64);
        }
    }

    #[tokio::test]
    async fn room_comes_with_reading_and_when_nobody_will() {
        let (feed, mut stdin) = stdin();
        feed.push(Bytes::from_static(b"abcdef"));
        feed.room(6).await;
        let room = feed.room(5);
        tokio::pin!(room);
        assert!(std::future::poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_pending())).await);
        let (chunk, ()) = tokio::join!(stdin.chunk(), room);
        assert_eq!(chunk.unwrap(), "abcdef");

        feed.push(Bytes::from_static(b"abcdef"));
        let room = feed.room(5);
        tokio::pin!(room);
        assert!(std::future::poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_pending())).await);
        drop(stdin);
        room.await;
    }

    #[tokio::test]
    async fn input_that_is_lost_has_no_end() {
        let (feed, mut stdin) = stdin();
        feed.push(Bytes::from_static(b"a part"));
        feed.lose();
        feed.push(Bytes::from_static(b"of it"));
        feed.end();
        assert!(feed.is_lost());
        feed.room(0).await;
        assert!(std::future::poll_fn(|cx| Poll::Ready(stdin.poll_chunk(cx).is_pending())).await);
        drop(stdin);
        assert!(feed.is_lost());
    }
}
