//! A TCP stream that acknowledges at once what comes first.
//!
//! `sshd` turns Nagle's algorithm off when the first command or subsystem of a connection begins. What it says before that in
//! two pieces (the names of its host keys after a login, then that a channel is open) waits between them until the first is
//! acknowledged, and a system that has nothing else to say does that 40 ms later.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// So many reads are acknowledged at once: several times what a login and its first channel take, where each message comes by
/// itself. After that the system does as it finds best.
const READS: u32 = 64;

/// See the module. Elsewhere than on Linux and Android, whose switch this is (`TCP_QUICKACK`, tcp(7)), a plain stream.
#[derive(Debug)]
pub(crate) struct Eager {
    stream: TcpStream,
    left: u32,
}

impl Eager {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, left: READS }
    }

    /// The switch goes back by itself, so it is set each time.
    fn acknowledge(&mut self) {
        if let Some(left) = self.left.checked_sub(1) {
            // It makes things faster and nothing else; a system that does not know it is not asked again.
            self.left = if at_once(&self.stream) { left } else { 0 };
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn at_once(stream: &TcpStream) -> bool {
    socket2::SockRef::from(stream).set_tcp_quickack(true).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn at_once(_: &TcpStream) -> bool {
    false
}

impl AsyncRead for Eager {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.acknowledge();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Eager {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tests {
    use std::net::Ipv4Addr;

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_comes_first_is_acknowledged_at_once_and_what_comes_later_as_the_system_likes() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut client = Eager::new(stream);
        let mut at_once = Vec::new();
        for _ in 0..2 * READS {
            server.write_all(b"?").await.unwrap();
            client.read_u8().await.unwrap();
            at_once.push(SockRef::from(&client.stream).tcp_quickack().unwrap());
            // Who answers each time has its acknowledgements go with the answers.
            client.write_all(b"!").await.unwrap();
            server.read_u8().await.unwrap();
        }
        let (first, later) = at_once.split_at(READS as usize);
        assert!(first.iter().all(|quick| *quick), "{first:?}");
        assert!(later.iter().any(|quick| !quick), "{later:?}");
    }
}
