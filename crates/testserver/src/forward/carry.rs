//! Carries bytes between a channel and a stream until both directions have ended, or one side is gone.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use russh::{Channel, ChannelWriteHalf, server::Msg};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, Reached},
    fault::Phase,
    forward::stream::Far,
    input::Input,
    pipe::{self, Stdin},
    record::Side,
};

/// One read of a socket.
const PIECE: usize = 64 * 1024;

/// What a channel leads to.
pub(crate) struct Line {
    bytes: Box<dyn Both>,
    /// Cancelled when nobody is there to read any more. A socket does not tell; a write to it fails.
    gone: CancellationToken,
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

impl Line {
    pub(crate) fn socket(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { bytes: Box::new(socket), gone: CancellationToken::new() }
    }

    pub(crate) fn code(far: Far) -> Self {
        Self { bytes: Box::new(far.bytes), gone: far.dropped }
    }
}

/// Each direction ends by itself, the channel when both have. The client's close ends all, once what it sent before has
/// been delivered. Records that the channel is closed.
pub(crate) async fn carry(connection: &Arc<Connection>, channel: Channel<Msg>, number: usize, line: Line) {
    let Line { bytes, gone } = line;
    let (mut read, write) = channel.split();
    let (mut from_target, to_target) = tokio::io::split(bytes);
    let (feed, received) = pipe::stdin();
    let outward = async {
        tokio::select! {
            () = outwards(received, to_target) => {}
            () = gone.cancelled() => {}
        }
    };
    tokio::pin!(outward);
    let (mut delivered, mut answered) = (false, false);
    {
        let inward = inwards(connection, number, &mut from_target, &write);
        let closed = async {
            // A target that does not read holds up nobody else.
            let mut input = Input { connection, number, stream: "data", read: &mut read, feed: &feed };
            while input.next().await.is_some() {}
        };
        tokio::pin!(inward, closed);
        while !(delivered && answered) {
            tokio::select! {
                biased;
                () = &mut outward, if !delivered => delivered = true,
                () = &mut inward, if !answered => answered = true,
                () = &mut closed => break,
            }
        }
    }
    // A target that takes too little loses the channel.
    let ends = (delivered && answered) || feed.is_lost();
    if ends && matches!(connection.reach_settled(Phase::Close).await, Reached::Go) {
        drop(write.close().await);
    }
    connection.shared.keeper.channel_closed(number);
    if !delivered && !feed.is_lost() {
        // The client may close as soon as it has sent the last byte; the target still gets it.
        feed.end();
        tokio::select! {
            () = outward => {}
            () = discard(from_target) => {}
            () = connection.gone.cancelled() => {}
        }
    }
}

/// Reads what nobody wants any more: a target that may not write might not read either. Never resolves.
async fn discard(mut source: impl AsyncRead + Unpin) {
    // Its end and its failure are all the same here: the other direction goes on.
    drop(tokio::io::copy(&mut source, &mut tokio::io::sink()).await);
    std::future::pending().await
}

/// What the client sends, to the target; then its end.
async fn outwards(mut received: Stdin, mut sink: impl AsyncWrite + Unpin) {
    while let Some(chunk) = received.chunk().await {
        if sink.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // A target that is gone needs no end.
    drop(sink.shutdown().await);
}

/// What the target sends, to the client; then its end.
async fn inwards(
    connection: &Connection,
    number: usize,
    mut source: impl AsyncRead + Unpin,
    write: &ChannelWriteHalf<Msg>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        match source.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let data: Bytes = buffer.split().freeze();
                let bytes = data.len() as u64;
                let lost = !matches!(connection.reach_settled(Phase::Data).await, Reached::Go);
                if lost || write.data_bytes(data).await.is_err() {
                    return;
                }
                connection.shared.keeper.data(number, Side::Server, "data", bytes);
            }
        }
    }
    drop(write.eof().await);
}
