//! An in-memory connection, which can be reset like a socket.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The client's end of an in-memory connection, from [`TestServer::duplex`](crate::TestServer::duplex).
#[derive(Debug)]
pub struct Duplex {
    stream: DuplexStream,
    reset: Arc<AtomicBool>,
}

/// The server's end.
#[derive(Debug)]
pub(crate) struct ServerSide {
    stream: DuplexStream,
    reset: Arc<AtomicBool>,
}

/// As much as a socket's buffer holds by default, about.
const BUFFER: usize = 256 * 1024;

pub(crate) fn pair() -> (Duplex, ServerSide) {
    let (client, server) = tokio::io::duplex(BUFFER);
    let reset = Arc::new(AtomicBool::new(false));
    (Duplex { stream: client, reset: Arc::clone(&reset) }, ServerSide { stream: server, reset })
}

impl ServerSide {
    /// Has the client see "connection reset" from now on.
    pub(crate) fn reset(self) {
        self.reset.store(true, Ordering::Release);
    }
}

impl Duplex {
    fn check(&self) -> io::Result<()> {
        if self.reset.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        // The end of the stream wakes the reader; whether it was a reset shows only now.
        self.check()?;
        polled
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for ServerSide {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ServerSide {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
