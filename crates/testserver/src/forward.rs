//! Channels to other places: `direct-tcpip` (RFC 4254 section 7.2) and OpenSSH's `direct-streamlocal`.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use russh::{
    Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf,
    server::{ChannelOpenHandle, Msg},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    connection::{Connection, Reached},
    fault::Phase,
    pipe::{self, Stdin, StdinFeed},
    record::ChannelKind,
};

/// One read of a socket.
const PIECE: usize = 64 * 1024;

/// A channel to be opened to somewhere else.
pub(crate) struct Forward {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Channel<Msg>,
    pub(crate) reply: ChannelOpenHandle,
    pub(crate) kind: ChannelKind,
}

impl Forward {
    /// Connects, answers, and carries bytes until both sides have ended or one is gone.
    pub(crate) async fn serve(self) {
        let Self { connection, channel, reply, kind } = self;
        let target = tokio::select! {
            target = connect(&kind) => target,
            () = connection.gone.cancelled() => return,
        };
        match target {
            Ok(target) => {
                let number = connection.shared.keeper.channel_opened(connection.number, kind);
                reply.accept().await;
                carry(&connection, channel, target).await;
                connection.shared.keeper.channel_closed(number);
            }
            Err(error) => {
                tracing::debug!(%error, ?kind, "forward refused");
                connection.shared.keeper.channel_refused();
                // As OpenSSH says it.
                let reason = format!("Connection to target failed: {error}");
                reply.reject(ChannelOpenFailure::Other { code: 2, reason }).await;
            }
        }
    }
}

trait Target: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Target for T {}

async fn connect(kind: &ChannelKind) -> io::Result<Box<dyn Target>> {
    match kind {
        ChannelKind::DirectTcpip(host, port) => {
            let port = u16::try_from(*port).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            Ok(Box::new(TcpStream::connect((host.as_str(), port)).await?))
        }
        #[cfg(unix)]
        ChannelKind::DirectStreamlocal(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        ChannelKind::DirectStreamlocal(_) => Err(io::ErrorKind::Unsupported.into()),
        ChannelKind::Session => Err(io::ErrorKind::InvalidInput.into()),
    }
}

async fn carry(connection: &Arc<Connection>, channel: Channel<Msg>, target: impl Target) {
    let (mut read, write) = channel.split();
    let (from_target, to_target) = tokio::io::split(target);
    let (feed, received) = pipe::stdin();
    let outward = outwards(received, to_target);
    let inward = inwards(connection, from_target, &write);
    let closed = listen(connection, &mut read, &feed);
    tokio::pin!(outward, inward, closed);
    let (mut delivered, mut answered) = (false, false);
    while !(delivered && answered) {
        tokio::select! {
            () = &mut outward, if !delivered => delivered = true,
            () = &mut inward, if !answered => answered = true,
            () = &mut closed => break,
        }
    }
    if delivered && answered {
        drop(write.close().await);
    } else if !delivered {
        // The client may close as soon as it has sent the last byte; the target still gets it.
        feed.end();
        tokio::select! {
            () = outward => {}
            () = connection.gone.cancelled() => {}
        }
    }
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
async fn inwards(connection: &Connection, mut source: impl AsyncRead + Unpin, write: &ChannelWriteHalf<Msg>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        match source.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let data: Bytes = buffer.split().freeze();
                let lost = matches!(connection.reach_settled(Phase::Data).await, Reached::Lost);
                if lost || write.data_bytes(data).await.is_err() {
                    return;
                }
            }
        }
    }
    drop(write.eof().await);
}

/// Queues what the client sends, so that a target which does not read holds up nobody else.
async fn listen(connection: &Connection, read: &mut ChannelReadHalf, feed: &StdinFeed) {
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = connection.gone.cancelled() => return,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                connection.reach(Phase::Data);
                feed.push(data);
            }
            Some(ChannelMsg::Eof) => feed.end(),
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}
