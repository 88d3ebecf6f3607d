//! A channel of the raw peer as the command that runs on it writes to it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::AsyncWrite,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{call::Stream, exit::Exit};

/// What the raw peer's one loop per connection is asked to send.
#[derive(Debug)]
pub(crate) enum Order {
    Data {
        channel: u32,
        stream: Stream,
        data: Bytes,
    },
    Exit {
        channel: u32,
        exit: Exit,
    },
    Eof {
        channel: u32,
    },
    Close {
        channel: u32,
    },
    /// A goodbye, and the end of the connection.
    Leave {
        code: u32,
        text: String,
    },
    /// A late answer; to what was asked on a channel, if that still is.
    Answer {
        channel: Option<u32>,
        payload: Bytes,
    },
    /// A message as it is.
    Payload(Bytes),
    Rekey,
}

/// The sending end of a channel. It waits for the client's window and, where the client reads too slowly, for the
/// connection.
#[derive(Debug, Clone)]
pub(crate) struct RawLine {
    channel: u32,
    /// As many permits as the client's window has bytes; closed with the channel.
    window: Arc<Semaphore>,
    /// The most bytes of data in one packet.
    packet: usize,
    orders: mpsc::Sender<Order>,
}

/// The right to send one piece: a first byte of window is taken, and a place among the orders.
struct Room {
    first: OwnedSemaphorePermit,
    window: Arc<Semaphore>,
    order: mpsc::OwnedPermit<Order>,
}

impl RawLine {
    pub(crate) fn new(
        channel: u32,
        window: Arc<Semaphore>,
        packet: usize,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        Self { channel, window, packet: packet.max(1), orders }
    }

    pub(crate) async fn send(&self, stream: Stream, mut data: Bytes) -> io::Result<()> {
        while !data.is_empty() {
            let room = self.clone().room().await?;
            let size = room.size(data.len().min(self.packet));
            room.fill(self.channel, stream, data.split_to(size));
        }
        Ok(())
    }

    pub(crate) fn writer(&self, stream: Stream) -> impl AsyncWrite + Send + use<> {
        RawWriter { line: self.clone(), stream, waiting: None }
    }

    pub(crate) async fn exit(&self, exit: &Exit) {
        self.order(Order::Exit { channel: self.channel, exit: exit.clone() }).await;
    }

    pub(crate) async fn eof(&self) {
        self.order(Order::Eof { channel: self.channel }).await;
    }

    pub(crate) async fn close(&self) {
        self.order(Order::Close { channel: self.channel }).await;
    }

    /// When the connection is gone, nobody is to be told of anything.
    async fn order(&self, order: Order) {
        drop(self.orders.send(order).await);
    }

    async fn room(self) -> io::Result<Room> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        // First the window: who waits for it must not keep others from giving orders. Dropped, it goes back.
        let first = Arc::clone(&self.window).acquire_owned().await.map_err(|_| gone())?;
        let order = self.orders.reserve_owned().await.map_err(|_| gone())?;
        Ok(Room { first, window: self.window, order })
    }
}

impl Room {
    /// Takes as much of the window as there is, up to what is wanted in all.
    fn size(&self, wanted: usize) -> usize {
        let more = wanted.saturating_sub(1).min(self.window.available_permits());
        match u32::try_from(more).ok().and_then(|count| self.window.try_acquire_many(count).ok()) {
            Some(taken) => {
                taken.forget();
                1 + more
            }
            // Somebody else was faster: standard error has the same window.
            None => 1,
        }
    }

    fn fill(self, channel: u32, stream: Stream, data: Bytes) {
        self.first.forget();
        self.order.send(Order::Data { channel, stream, data });
    }
}

struct RawWriter {
    line: RawLine,
    stream: Stream,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<Room>> + Send>>>,
}

impl AsyncWrite for RawWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let line = &this.line;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(line.clone().room()));
        let room = std::task::ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        let room = room?;
        let size = room.size(buf.len().min(this.line.packet));
        let piece = Bytes::copy_from_slice(buf.get(..size).unwrap_or_default());
        room.fill(this.line.channel, this.stream, piece);
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
