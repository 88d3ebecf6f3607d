//! A channel as a stream of bytes, for the code of a test.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much waits in each direction between the channel and the test's code.
const BUFFER: usize = 64 * 1024;

/// The server's end of a channel that carries plain bytes: what a [`Target`](crate::Target) by code is given, and what
/// [`Call::open_agent`](crate::Call::open_agent) and its like return.
///
/// Shutting it down sends the channel's EOF and leaves the other direction open; a read of 0 bytes is the client's
/// EOF. Dropping it closes the channel, after all that was written has been sent.
#[derive(Debug)]
pub struct ChannelStream {
    bytes: DuplexStream,
    _dropped: DropGuard,
}

/// The other end of a [`ChannelStream`], for the task that carries its bytes.
pub(crate) struct Far {
    pub(crate) bytes: DuplexStream,
    /// Cancelled when the test's code has dropped its end.
    pub(crate) dropped: CancellationToken,
}

impl ChannelStream {
    pub(crate) fn pair() -> (Self, Far) {
        let (near, far) = tokio::io::duplex(BUFFER);
        let dropped = CancellationToken::new();
        (Self { bytes: near, _dropped: dropped.clone().drop_guard() }, Far { bytes: far, dropped })
    }
}

impl AsyncRead for ChannelStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_read(cx, buf)
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().bytes).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().bytes).poll_shutdown(cx)
    }
}
