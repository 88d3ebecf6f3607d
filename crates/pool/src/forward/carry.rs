//! Carries bytes between a client and its channel, each way until it ends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustle_session::{ErrorKind, ForwardStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use crate::forward::near::Near;
use crate::forward::stats::Counters;

/// What is carried to the server at once, and held while its window is full: what a packet of SSH may hold (RFC 4253 section
/// 6.1), since more would be cut anyway.
pub(super) const BLOCK: usize = 32 * 1024;

/// What is carried to the client at once, and held for one that takes nothing: four packets. In one write they wake the
/// client once.
const AT_ONCE: usize = 4 * BLOCK;

/// So many pieces are written at once, at the most: small packets are many.
const PIECES: usize = 64;

/// So many times a block is read or written one way, and then others have their turn.
const STEPS_IN_A_ROW: usize = 64;

/// Whether a client that takes nothing has anything to wait for is looked at once in so long.
const LOOK: Duration = Duration::from_secs(1);

/// Why it ended before both ways had.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client's connection broke.
    Near(io::Error),
    /// The connection to the server was lost, or what came for the client could not be kept for it; with the system's own words
    /// where those say why.
    Far(ErrorKind, Option<io::Error>),
}

/// Carries until both ways have ended, or nobody is there any more to read what the other side says. `early` is what the
/// client said before, of one [`BLOCK`] at the most.
///
/// # Cancel safety
/// Not safe: what was read and not written yet is lost.
pub(super) async fn carry(
    near: &mut Near,
    far: &mut ForwardStream,
    early: &[u8],
    counters: &Counters,
) -> Result<(), Broken> {
    let (mut up, mut down) = (OneWay::new(Block::new(early)), OneWay::new(Pieces::default()));
    let mut look = None;
    poll_fn(|cx| {
        up.pass(near, far, &counters.to_server, cx).map_err(Broken::Near)?;
        let passed = down.pass(far, near, &counters.from_server, cx);
        if let Err(error) = passed {
            let kind = how_broken(far).unwrap_or(ErrorKind::Io);
            return Poll::Ready(Err(Broken::Far(kind, (kind == ErrorKind::Io).then_some(error))));
        }
        if down.is_held_up() && look.is_none() {
            look = Some((Box::pin(sleep(LOOK)), down.held.given));
        }
        while let Some((time, given)) = &mut look
            && time.as_mut().poll(cx).is_ready()
        {
            // A client that takes nothing is not waited for where it will not hear all.
            if down.is_held_up()
                && *given == down.held.given
                && let Some(kind) = how_broken(far)
            {
                return Poll::Ready(Err(Broken::Far(kind, None)));
            }
            look = down.is_held_up().then(|| (Box::pin(sleep(LOOK)), down.held.given));
        }
        if down.state == State::Over && !up.is_done() && far.poll_closed(cx).is_ready() {
            // All that the far side had to say was said, and it does not listen any more.
            up.state = State::Deaf;
        }
        if up.is_done() && down.is_done() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// How the stream was broken, if it was. Nobody is woken when it is: each packet would wake one who cannot pass it on.
fn how_broken(far: &ForwardStream) -> Option<ErrorKind> {
    match far.poll_broken(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(kind) => Some(kind),
        Poll::Pending => None,
    }
}

/// What was read of `R` and not written yet.
trait Held<R> {
    fn is_empty(&self) -> bool;

    /// Takes what the reader has instead of what is held; gives the number of bytes, 0 at the reader's end.
    fn poll_take(&mut self, reader: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Writes some of it; gives the number of bytes, 0 where the writer takes nothing any more.
    fn poll_give(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>;
}

/// As one block, into which it is copied.
struct Block {
    bytes: Box<[u8]>,
    from: usize,
    to: usize,
}

impl Block {
    fn new(early: &[u8]) -> Self {
        let mut bytes = vec![0; BLOCK.max(early.len())].into_boxed_slice();
        bytes[..early.len()].copy_from_slice(early);
        Self { bytes, from: 0, to: early.len() }
    }
}

impl<R: AsyncRead + Unpin> Held<R> for Block {
    fn is_empty(&self) -> bool {
        self.from == self.to
    }

    fn poll_take(&mut self, reader: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut block = ReadBuf::new(&mut self.bytes);
        ready!(Pin::new(reader).poll_read(cx, &mut block))?;
        (self.from, self.to) = (0, block.filled().len());
        Poll::Ready(Ok(self.to))
    }

    fn poll_give(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(writer).poll_write(cx, &self.bytes[self.from..self.to]))?;
        self.from += written;
        Poll::Ready(Ok(written))
    }
}

/// As the packets in which it came, which are not copied.
#[derive(Default)]
struct Pieces {
    /// None of them is empty.
    waiting: VecDeque<Bytes>,
    came: Vec<Bytes>,
    /// How many bytes were written.
    given: u64,
}

/// Who gives what came in pieces.
trait InPieces {
    /// See [`ForwardStream::poll_chunks`].
    fn poll_pieces(&mut self, into: &mut Vec<Bytes>, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}

impl InPieces for ForwardStream {
    fn poll_pieces(&mut self, into: &mut Vec<Bytes>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_chunks(into, AT_ONCE, cx)
    }
}

impl<R: InPieces> Held<R> for Pieces {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn poll_take(&mut self, reader: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.waiting.clear();
        let bytes = ready!(reader.poll_pieces(&mut self.came, cx))?;
        self.waiting.extend(self.came.drain(..).filter(|piece| !piece.is_empty()));
        Poll::Ready(Ok(bytes))
    }

    fn poll_give(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        for (slice, piece) in slices.iter_mut().zip(&self.waiting) {
            *slice = IoSlice::new(piece);
        }
        let count = self.waiting.len().min(PIECES);
        let written = ready!(Pin::new(writer).poll_write_vectored(cx, &slices[..count]))?;
        self.given += written as u64;
        let mut left = written;
        while let Some(first) = self.waiting.front_mut()
            && left > 0
        {
            let part = left.min(first.len());
            first.advance(part);
            left -= part;
            if first.is_empty() {
                self.waiting.pop_front();
            }
        }
        Poll::Ready(Ok(written))
    }
}

/// One way from a reader to a writer.
struct OneWay<H> {
    held: H,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Moving,
    /// The reader's side has ended, and the writer's is told so.
    Ending,
    Over,
    /// The writer's side takes nothing any more. What comes is dropped, so that the reader's side is not held up in what it
    /// may still want to read.
    Deaf,
}

impl OneWay<Pieces> {
    /// Whether there is something that the writer has not taken.
    fn is_held_up(&self) -> bool {
        self.state == State::Moving && !self.held.waiting.is_empty()
    }
}

impl<H> OneWay<H> {
    fn new(held: H) -> Self {
        Self { held, state: State::Moving }
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Over | State::Deaf)
    }

    /// Carries what there is to carry now; an error is the reader's.
    fn pass<R>(
        &mut self,
        reader: &mut R,
        writer: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
        cx: &mut Context<'_>,
    ) -> io::Result<()>
    where
        H: Held<R>,
    {
        for _ in 0..STEPS_IN_A_ROW {
            match self.step(reader, writer, count, cx) {
                Poll::Ready(Ok(())) if self.state == State::Over => return Ok(()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        // There may be more, of which nobody else tells.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn step<R>(
        &mut self,
        reader: &mut R,
        writer: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        H: Held<R>,
    {
        match self.state {
            State::Over => {}
            State::Ending => {
                // A side that is gone needs not be told.
                let _ = ready!(Pin::new(writer).poll_shutdown(cx));
                self.state = State::Over;
            }
            State::Moving if !self.held.is_empty() => match ready!(self.held.poll_give(writer, cx)) {
                Ok(written @ 1..) => {
                    count.fetch_add(written as u64, Ordering::Relaxed);
                }
                Ok(0) | Err(_) => self.state = State::Deaf,
            },
            State::Moving | State::Deaf => {
                let bytes = ready!(self.held.poll_take(reader, cx))?;
                self.state = match self.state {
                    State::Moving if bytes == 0 => State::Ending,
                    State::Deaf if bytes == 0 => State::Over,
                    same => same,
                };
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::FutureExt;
    use futures_util::stream::{FuturesUnordered, StreamExt};
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    /// Carries what there is; gives how many bytes were written and how often the task was told to come again.
    fn passed<R, H: Held<R>>(
        way: &mut OneWay<H>,
        reader: &mut R,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> (u64, usize) {
        let (bytes, mut polls) = (AtomicU64::new(0), 0);
        // It polls what was woken, and nothing else.
        let mut task = FuturesUnordered::from_iter([poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                way.pass(reader, writer, &bytes, cx).unwrap();
            }
            Poll::<()>::Pending
        })]);
        for _ in 0..3 {
            assert!(task.next().now_or_never().is_none());
        }
        drop(task);
        (bytes.into_inner(), polls - 1)
    }

    #[tokio::test]
    async fn what_was_said_early_goes_first_and_nobody_is_woken_for_nothing() {
        let (mut client, mut near) = duplex(100);
        let (mut far, mut server) = duplex(100);
        client.write_all(b" and then").await.unwrap();
        let mut way = OneWay::new(Block::new(b"early"));
        assert_eq!(passed(&mut way, &mut near, &mut far), (14, 0));
        assert_eq!(passed(&mut way, &mut near, &mut far), (0, 0));
        drop(client);
        assert_eq!(passed(&mut way, &mut near, &mut far), (0, 0));
        assert_eq!(way.state, State::Over);
        let mut heard = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut server, &mut heard).await.unwrap();
        assert_eq!(heard, b"early and then");
    }

    #[tokio::test]
    async fn whoever_takes_nothing_more_holds_nobody_up() {
        let (mut client, mut near) = duplex(100);
        let (mut far, server) = duplex(100);
        drop(server);
        let mut way = OneWay::new(Block::new(&[]));
        for _ in 0..10 {
            // It would wait for ever if nobody took it.
            client.write_all(&[0; 100]).await.unwrap();
            assert_eq!(passed(&mut way, &mut near, &mut far), (0, 0));
            assert_eq!(way.state, State::Deaf);
        }
        drop(client);
        passed(&mut way, &mut near, &mut far);
        assert_eq!(way.state, State::Over);
    }

    /// What came, all at once, and then the end.
    struct Came(Vec<Bytes>);

    impl InPieces for Came {
        fn poll_pieces(&mut self, into: &mut Vec<Bytes>, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
            let bytes = self.0.iter().map(Bytes::len).sum();
            into.append(&mut self.0);
            Poll::Ready(Ok(bytes))
        }
    }

    #[tokio::test]
    async fn pieces_arrive_whole_and_in_order_however_little_is_taken_at_once() {
        let said: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
        // Some of them are empty, and there are more than are written at once.
        let pieces = said.chunks(17).flat_map(|piece| [Bytes::copy_from_slice(piece), Bytes::new()]);
        let mut far = Came(pieces.collect());
        let (mut client, mut near) = duplex(100);
        let (mut way, mut heard, mut counted) = (OneWay::new(Pieces::default()), Vec::new(), 0);
        while way.state != State::Over {
            counted += passed(&mut way, &mut far, &mut near).0;
            let mut block = [0; 70];
            let count = tokio::io::AsyncReadExt::read(&mut client, &mut block).await.unwrap();
            heard.extend_from_slice(&block[..count]);
        }
        drop(near);
        tokio::io::AsyncReadExt::read_to_end(&mut client, &mut heard).await.unwrap();
        assert!(heard == said && counted == 5000, "{} and {counted}", heard.len());
    }

    #[test]
    fn one_that_always_has_something_to_say_lets_others_have_their_turn() {
        let mut way = OneWay::new(Block::new(&[]));
        let (bytes, wakes) = passed(&mut way, &mut tokio::io::repeat(7), &mut tokio::io::sink());
        assert_eq!((bytes, wakes), ((STEPS_IN_A_ROW / 2 * BLOCK) as u64, 1));
    }
}
