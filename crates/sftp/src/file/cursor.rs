//! A file as a stream of bytes, with a place in it.

mod ahead;
mod behind;

use std::fmt;
use std::future::Future;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use self::ahead::Ahead;
use self::behind::Behind;
use crate::error::{Error, Result};
use crate::file::File;

/// A [`File`] with a place in it: `AsyncRead`, `AsyncWrite` and `AsyncSeek`. Made by [`File::cursor`].
///
/// - Reading asks for blocks ahead: one at first, and twice as many each time they are used up, until
///   [`window`](Self::window) bytes are under way or here. A seek forgets them.
/// - Writing fills blocks and sends each when it is full; up to the window is under way, and a write waits
///   beyond that. An error comes with the next write, flush or shutdown, and every call after that fails too: nothing
///   that was lost goes unseen by who calls `shutdown`. `flush` sends what is left and waits until all is written;
///   `shutdown` also closes the file and says how that went. **Without either, what was written last may be lost.**
/// - Reading waits for what was written before.
///
/// Memory is the window, and twice that for one that is read and written in turns.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory()).await;
/// use rustle_sftp::File;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut writer = File::create(&sftp, "/f").await?.cursor();
/// writer.write_all(b"line by line\n").await?;
/// writer.shutdown().await?;
///
/// let mut text = String::new();
/// File::open(&sftp, "/f").await?.cursor().read_to_string(&mut text).await?;
/// assert_eq!(text, "line by line\n");
/// # Ok(())
/// # }
/// ```
#[must_use = "a cursor does nothing unless it is read or written"]
pub struct FileCursor {
    /// Gone when it was closed.
    file: Option<File>,
    position: u64,
    window: usize,
    ahead: Ahead,
    behind: Behind,
    seeking: Option<Seeking>,
    closing: Option<Closing>,
}

enum Seeking {
    /// To a place that is known.
    To(u64),
    /// So far from the end, which is being asked for.
    FromEnd { by: i64, len: Pin<Box<dyn Future<Output = Result<Option<u64>>> + Send + Sync>> },
}

type Closing = Pin<Box<dyn Future<Output = Result<()>> + Send + Sync>>;

impl FileCursor {
    pub(crate) fn new(file: File) -> Self {
        let (read, write) = (file.limits().max_read, file.limits().max_write);
        Self {
            file: Some(file),
            position: 0,
            window: WINDOW,
            ahead: Ahead::new(read),
            behind: Behind::new(write),
            seeking: None,
            closing: None,
        }
    }

    /// How many bytes may be read ahead, and how many written and not yet answered. 1 MiB unless set: it fills 80 Mb/s
    /// at a round trip of 100 ms, and 10 Gb/s in a LAN. At least one request is under way, whatever this is.
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }

    /// Where in the file the next read or write is.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file.
    ///
    /// # Errors
    /// It was closed by `shutdown`.
    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the file was closed"))
    }
}

impl AsyncRead for FileCursor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let cursor = &mut *self;
        let Some(file) = &cursor.file else { return Poll::Ready(cursor.file().map(|_| ())) };
        ready!(cursor.behind.poll_all(cx, file))?;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let bytes =
            ready!(cursor.ahead.poll_next(cx, file, cursor.position, cursor.window, buffer.remaining()))?;
        buffer.put_slice(&bytes);
        cursor.position += bytes.len() as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FileCursor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let cursor = &mut *self;
        let Some(file) = &cursor.file else { return Poll::Ready(cursor.file().map(|_| 0)) };
        // What was read ahead may be what is written now.
        cursor.ahead.forget();
        let count = ready!(cursor.behind.poll_write(cx, file, cursor.position, cursor.window, data))?;
        cursor.position += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let cursor = &mut *self;
        match &cursor.file {
            Some(file) => cursor.behind.poll_all(cx, file),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let cursor = &mut *self;
        if let Some(file) = cursor.file.take() {
            cursor.ahead.forget();
            cursor.closing = Some(Box::pin(file.close()));
        }
        let Some(closing) = &mut cursor.closing else { return Poll::Ready(Ok(())) };
        let closed = ready!(closing.as_mut().poll(cx));
        cursor.closing = None;
        Poll::Ready(closed.map_err(io::Error::from))
    }
}

impl AsyncSeek for FileCursor {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let here = self.position;
        let seeking = match position {
            SeekFrom::Start(place) => Seeking::To(place),
            SeekFrom::Current(by) => Seeking::To(here.checked_add_signed(by).ok_or_else(outside)?),
            SeekFrom::End(by) => {
                let file = self.file()?.clone();
                let len = Box::pin(async move { file.metadata().await.map(|metadata| metadata.len()) });
                Seeking::FromEnd { by, len }
            }
        };
        self.seeking = Some(seeking);
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let cursor = &mut *self;
        // The end is where the writes before have put it.
        if let (Some(_), Some(file)) = (&cursor.seeking, &cursor.file) {
            ready!(cursor.behind.poll_all(cx, file))?;
        }
        let place = match &mut cursor.seeking {
            None => return Poll::Ready(Ok(cursor.position)),
            Some(Seeking::To(place)) => Ok(*place),
            Some(Seeking::FromEnd { by, len }) => match ready!(len.as_mut().poll(cx)) {
                Ok(Some(len)) => len.checked_add_signed(*by).ok_or_else(outside),
                Ok(None) => {
                    Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not say how long it is"))
                }
                Err(error) => Err(error.into()),
            },
        };
        cursor.seeking = None;
        let place = place?;
        if place != cursor.position {
            cursor.ahead.forget();
            cursor.position = place;
        }
        Poll::Ready(Ok(place))
    }
}

impl fmt::Debug for FileCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCursor").field("file", &self.file).field("position", &self.position).finish()
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning of the file, or beyond any")
}

/// The error of a file's request.
fn failed(file: &File, error: Error) -> io::Error {
    error.at(file.path()).into()
}

const WINDOW: usize = 1024 * 1024;
