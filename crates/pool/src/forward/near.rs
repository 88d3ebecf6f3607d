//! A client's connection to a port or socket here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// One client.
#[derive(Debug)]
pub(super) enum Near {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Near {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // It fails on a connection that is gone, which is found out by the first read.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Connects to a port that this machine can reach.
    pub(super) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        TcpStream::connect((host, port)).await.map(Self::tcp)
    }

    /// Connects to a Unix socket of this machine.
    #[cfg(unix)]
    pub(super) async fn connect_socket(path: &str) -> io::Result<Self> {
        UnixStream::connect(path).await.map(Self::Unix)
    }

    /// There are none that programs could use.
    #[cfg(not(unix))]
    pub(super) async fn connect_socket(_path: &str) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system has no Unix sockets that programs could use",
        ))
    }

    /// Ends the connection so that the client can tell it from an end of data, where its kind has such an end: what came
    /// so far is not all.
    pub(super) fn reset(self) {
        match self {
            // Where it fails, the client sees an end.
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }
}

impl AsyncRead for Near {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Near {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
