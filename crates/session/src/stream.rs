//! A byte stream through the server, to a port or a socket there, or from who has connected to one.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::{End, Stream, Writer};
use crate::command::checked_end;
use crate::ending::Ending;
use crate::error::ErrorKind;
use crate::session::Lease;

/// A byte stream through the server, made by [`Session::direct_tcpip`](crate::Session::direct_tcpip) or
/// [`Session::direct_streamlocal`](crate::Session::direct_streamlocal), or to who has connected to where it listens
/// ([`Incoming::into_stream`](crate::Incoming::into_stream)).
///
/// It closes each direction by itself: `shutdown` ends what is sent, and reading ends when the far side has
/// sent all. Dropped, its channel is closed.
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> std::io::Result<()> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut web = session.direct_tcpip("localhost", 80).await.map_err(std::io::Error::other)?;
/// web.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
/// let mut page = Vec::new();
/// web.read_to_end(&mut page).await?;
/// # Ok(())
/// # }
/// ```
pub struct ForwardStream {
    writer: Writer,
    left: Bytes,
    /// Whether the far side was told that nothing more comes.
    is_shut: bool,
    lease: Lease,
}

impl ForwardStream {
    pub(crate) fn new(lease: Lease) -> Self {
        Self { writer: lease.channel().writer(), left: Bytes::new(), is_shut: false, lease }
    }

    /// Ready once the channel is closed, by whichever side, or lost with its connection: what is written from then on reaches
    /// nobody. What came before it can still be read. Until then the task of `cx` is woken when that happens.
    ///
    /// A far side that has no more to say and still listens ends its data, and closes nothing.
    ///
    /// ```no_run
    /// # async fn example(stream: rustle_session::ForwardStream) {
    /// std::future::poll_fn(|cx| stream.poll_closed(cx)).await;
    /// println!("nobody listens to {stream:?} any more");
    /// # }
    /// ```
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.lease.channel().intake().poll_end(cx).map(drop)
    }

    /// Ready once the stream has ended and is not whole: by the loss of its connection before the far side had said all
    /// ([`ErrorKind::Disconnected`]), or because it was not read and its buffers ran over ([`ErrorKind::Overrun`]). What came
    /// before can still be read. Until then the task of `cx` is woken when that happens. For whoever hands the bytes on to
    /// one who takes none: to read on would tell as well.
    ///
    /// ```no_run
    /// # async fn example(stream: rustle_session::ForwardStream) {
    /// let why = std::future::poll_fn(|cx| stream.poll_broken(cx)).await;
    /// println!("{stream:?} is broken: {}", why.code());
    /// # }
    /// ```
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<ErrorKind> {
        let intake = self.lease.channel().intake();
        match ready!(intake.poll_end(cx)) {
            End::Overrun => Poll::Ready(ErrorKind::Overrun),
            End::Lost if !intake.eof_seen() => Poll::Ready(ErrorKind::Disconnected),
            // It never will be.
            End::Lost | End::Closed | End::Released => Poll::Pending,
        }
    }

    /// The next bytes as they arrived, without copying; `None` at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionAborted`] when the connection was lost before the end.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if !self.left.is_empty() {
            return Ok(Some(std::mem::take(&mut self.left)));
        }
        let bytes = self.lease.channel().data(Stream::Out).await?;
        checked_end(self.lease.channel(), bytes)
    }

    /// Adds all bytes that have arrived to `into`, without copying and up to about `limit`; gives their number, 0 at the end.
    /// Until there are some the task of `cx` waits. For whoever hands them on in one go: fewer wake-ups than piece by piece.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionAborted`] when the connection was lost before the end.
    ///
    /// ```no_run
    /// # async fn example(mut stream: rustle_session::ForwardStream) -> std::io::Result<()> {
    /// let mut pieces = Vec::new();
    /// let bytes = std::future::poll_fn(|cx| stream.poll_chunks(&mut pieces, 128 * 1024, cx)).await?;
    /// println!("{bytes} bytes in {} pieces", pieces.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_chunks(
        &mut self,
        into: &mut Vec<Bytes>,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if !self.left.is_empty() {
            let left = std::mem::take(&mut self.left);
            let bytes = left.len();
            into.push(left);
            return Poll::Ready(Ok(bytes));
        }
        let channel = self.lease.channel();
        let bytes = ready!(channel.intake().poll_all_data(Stream::Out, into, limit, cx))?;
        if bytes == 0 {
            checked_end(channel, None)?;
        }
        Poll::Ready(Ok(bytes))
    }

    /// Writes all of it without copying, as the server's window allows.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when the far side closed the channel.
    ///
    /// # Cancel safety
    /// Not safe: an unknown part has been written.
    pub async fn write_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        self.lease
            .channel()
            .send(bytes)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the far side of the stream is closed"))
    }
}

impl AsyncRead for ForwardStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.left.is_empty() {
            let bytes = ready!(this.lease.channel().intake().poll_data(Stream::Out, cx))?;
            this.left = checked_end(this.lease.channel(), bytes)?.unwrap_or_default();
        }
        let part = this.left.len().min(buf.remaining());
        buf.put_slice(&this.left[..part]);
        this.left.advance(part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ForwardStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.writer).poll_shutdown(cx))?;
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for ForwardStream {
    fn drop(&mut self) {
        if self.is_shut && self.lease.channel().intake().eof_seen() {
            self.lease.set_ending(Ending::Ended);
        }
    }
}

impl fmt::Debug for ForwardStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardStream")
            .field("target", &self.lease.session().target())
            .field("channel", &self.lease.channel().number())
            .finish_non_exhaustive()
    }
}
