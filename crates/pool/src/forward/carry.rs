//! Carries bytes between a client and its channel, each way until it ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustle_session::ForwardStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::forward::near::Near;
use crate::forward::stats::Counters;

/// What is carried at once each way, and held for a client that takes nothing: what a packet of SSH may hold (RFC 4253 section
/// 6.1), since more would be cut anyway.
pub(super) const BLOCK: usize = 32 * 1024;

/// So many times a block is read or written one way, and then others have their turn.
const STEPS_IN_A_ROW: usize = 64;

/// Why it ended before both ways had.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client's connection broke.
    Near(io::Error),
    /// The connection to the server was lost, or the channel with it.
    Far(io::Error),
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
    let (mut up, mut down) = (OneWay::new(early), OneWay::new(&[]));
    poll_fn(|cx| {
        up.pass(near, far, &counters.to_server, cx).map_err(Broken::Near)?;
        down.pass(far, near, &counters.from_server, cx).map_err(Broken::Far)?;
        if down.state == State::Over && !up.is_done() && far.poll_closed(cx).is_ready() {
            // All that the far side had to say was said, and it does not listen any more.
            up.state = State::Deaf;
        }
        if up.is_done() && down.is_done() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One way from a reader to a writer.
struct OneWay {
    block: Box<[u8]>,
    /// What is in the block and was not written yet.
    from: usize,
    to: usize,
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

impl OneWay {
    fn new(early: &[u8]) -> Self {
        let mut block = vec![0; BLOCK.max(early.len())].into_boxed_slice();
        block[..early.len()].copy_from_slice(early);
        Self { block, from: 0, to: early.len(), state: State::Moving }
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Over | State::Deaf)
    }

    /// Carries what there is to carry now; an error is the reader's.
    fn pass(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
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

    fn step(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.state {
            State::Over => {}
            State::Ending => {
                // A side that is gone needs not be told.
                let _ = ready!(Pin::new(writer).poll_shutdown(cx));
                self.state = State::Over;
            }
            State::Moving if self.from < self.to => {
                match ready!(Pin::new(writer).poll_write(cx, &self.block[self.from..self.to])) {
                    Ok(written @ 1..) => {
                        self.from += written;
                        count.fetch_add(written as u64, Ordering::Relaxed);
                    }
                    Ok(0) | Err(_) => self.state = State::Deaf,
                }
            }
            State::Moving | State::Deaf => {
                let mut block = ReadBuf::new(&mut self.block);
                ready!(Pin::new(reader).poll_read(cx, &mut block))?;
                (self.from, self.to) = (0, block.filled().len());
                self.state = match self.state {
                    State::Moving if self.to == 0 => State::Ending,
                    State::Deaf if self.to == 0 => State::Over,
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
    fn passed(
        way: &mut OneWay,
        reader: &mut (impl AsyncRead + Unpin),
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
        let mut way = OneWay::new(b"early");
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
        let mut way = OneWay::new(&[]);
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

    #[test]
    fn one_that_always_has_something_to_say_lets_others_have_their_turn() {
        let mut way = OneWay::new(&[]);
        let (bytes, wakes) = passed(&mut way, &mut tokio::io::repeat(7), &mut tokio::io::sink());
        assert_eq!((bytes, wakes), ((STEPS_IN_A_ROW / 2 * BLOCK) as u64, 1));
    }
}
