//! An open file.

mod cursor;
mod options;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rustle_sftp_proto::{ExtendedRequest, Extension, Request, ServerLimits};

use crate::blocks::{Blocks, Extent, Order};
use crate::engine::OpenHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::metadata::{Metadata, SetMetadata};
use crate::sftp::Sftp;

pub use self::cursor::FileCursor;
pub use self::options::OpenOptions;

/// A file that is open on the server.
///
/// Reads and writes say where in the file they are, so that any number of them may be under way at once, from several
/// tasks: a clone is the same open file, and costs nothing. For `AsyncRead` and the like there is
/// [`cursor`](Self::cursor).
///
/// The file is closed when its last clone is dropped, which nobody waits for, or by [`close`](Self::close), which says
/// how that went.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory()).await;
/// use rustle_sftp::File;
///
/// let file = File::create(&sftp, "/log").await?;
/// tokio::try_join!(file.write_at(0, "first, "), file.write_at(7, "second"))?;
/// file.close().await?;
///
/// let file = File::open(&sftp, "/log").await?;
/// assert_eq!(file.read_at(7, 100).await?, "second");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct File {
    open: Arc<Open>,
}

struct Open {
    handle: OpenHandle,
    path: Bytes,
    limits: ServerLimits,
    order: Order,
}

impl File {
    pub(crate) fn new(handle: OpenHandle, path: Bytes, limits: ServerLimits, order: Order) -> Self {
        Self { open: Arc::new(Open { handle, path, limits, order }) }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Cancel safety
    /// Dropped, the file is closed.
    pub async fn open(sftp: &Sftp, path: impl AsRef<[u8]>) -> Result<Self> {
        OpenOptions::new().read().open(sftp, path).await
    }

    /// Opens a file for writing, empty: made if it was missing.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Cancel safety
    /// Dropped, the file is closed; it may have been made, and emptied.
    pub async fn create(sftp: &Sftp, path: impl AsRef<[u8]>) -> Result<Self> {
        OpenOptions::new().write().create().truncate().open(sftp, path).await
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.open.path
    }

    /// Reads `len` bytes from `offset` on, or as many as there are: fewer mean that the file ends there. It is cut into
    /// requests of the size that the server takes, up to 64 of them or 4 MiB under way at once. What comes in one answer
    /// is not copied.
    ///
    /// # Errors
    /// The file is not open for reading, is a directory, or cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.read_extent(offset, Extent::Length(len as u64)).await
    }

    /// As [`read_at`](Self::read_at), and a file that ends before that is an error.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Changed`] for a file that is too short.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn read_exact_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let bytes = self.read_at(offset, len).await?;
        if bytes.len() < len {
            let text = format!("the file ends {} bytes short of what was to be read", len - bytes.len());
            return Err(Error::new(ErrorKind::Changed, "read", text).at(&self.open.path));
        }
        Ok(bytes)
    }

    pub(crate) async fn read_extent(&self, offset: u64, extent: Extent) -> Result<Bytes> {
        let read = self.blocks().read("read", offset, extent).await;
        explained(self.open.handle.engine(), read, Doing::Open { path: &self.open.path }).await
    }

    /// Writes at `offset`; what lies between the end of the file and there is filled with zeros. It is cut into
    /// requests of the size that the server takes, without a copy, as many under way as with
    /// [`read_at`](Self::read_at). A file that was opened for appending gets it at its end, wherever `offset` is, one
    /// request after the other.
    ///
    /// # Errors
    /// The first that a request met, explained: [`ErrorKind::NoSpace`] and its like. Other requests may have been
    /// carried out.
    ///
    /// # Cancel safety
    /// Dropped, any part of it may have been written, or will be.
    pub async fn write_at(&self, offset: u64, data: impl Into<Bytes>) -> Result<()> {
        let data = data.into();
        let bytes = data.len() as u64;
        let written = self.blocks().write("write", offset, data, self.open.order).await;
        explained(self.open.handle.engine(), written, Doing::Write { path: &self.open.path, bytes }).await
    }

    /// Reads and writes it from its beginning on, as `AsyncRead`, `AsyncWrite` and `AsyncSeek`.
    pub fn cursor(self) -> FileCursor {
        FileCursor::new(self)
    }

    /// What is known of it now.
    ///
    /// # Errors
    /// The channel is over, or the server cannot say.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn metadata(&self) -> Result<Metadata> {
        let request = Request::Fstat { handle: self.open.handle.handle().clone() };
        let attributes = self.open.handle.engine().attributes("fstat", request).await;
        attributes.map(Metadata::new).map_err(|error| error.at(&self.open.path))
    }

    /// Changes what is known of it.
    ///
    /// # Errors
    /// As [`Sftp::set_metadata`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_metadata(&self, changes: &SetMetadata) -> Result<()> {
        let path = &self.open.path;
        let attributes = changes.attributes("fsetstat").map_err(|error| error.at(path))?;
        let request = Request::FsetStat { handle: self.open.handle.handle().clone(), attributes };
        let set = self.open.handle.engine().done("fsetstat", request).await;
        explained(self.open.handle.engine(), set, Doing::Change { path }).await
    }

    /// Cuts it to this length in bytes, or fills it up with zeros.
    ///
    /// # Errors
    /// As [`Sftp::set_metadata`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_len(&self, bytes: u64) -> Result<()> {
        self.set_metadata(&SetMetadata::new().len(bytes)).await
    }

    /// Waits until all that was written is on the server's disk, as far as its system can tell.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the server has no `fsync@openssh.com`; [`ErrorKind::NoSpace`] and its like.
    ///
    /// # Cancel safety
    /// Dropped, the server flushes it nevertheless.
    pub async fn sync_all(&self) -> Result<()> {
        let request = ExtendedRequest::Fsync { handle: self.open.handle.handle().clone() };
        let synced = self.open.handle.engine().extended_done("fsync", request).await;
        explained(self.open.handle.engine(), synced, Doing::Write { path: &self.open.path, bytes: 0 }).await
    }

    /// Closes it and says how that went: some servers write late, and say there that they could not.
    ///
    /// While there are other clones it stays open, and this is `Ok` at once: the last of them closes it.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] and its like: what was written may be lost, though each write was answered well.
    ///
    /// # Cancel safety
    /// Dropped, it is closed nevertheless.
    pub async fn close(self) -> Result<()> {
        let Some(Open { handle, path, .. }) = Arc::into_inner(self.open) else { return Ok(()) };
        let engine = handle.engine().clone();
        let closed = handle.close("close").await;
        explained(&engine, closed, Doing::Write { path: &path, bytes: 0 }).await
    }

    /// Whether the server can tell when the file is on its disk; see [`sync_all`](Self::sync_all).
    #[must_use]
    pub fn can_sync(&self) -> bool {
        self.open.handle.engine().has(Extension::Fsync)
    }

    pub(crate) fn handle(&self) -> &OpenHandle {
        &self.open.handle
    }

    pub(crate) fn limits(&self) -> ServerLimits {
        self.open.limits
    }

    pub(crate) fn is_appended_to(&self) -> bool {
        self.open.order == Order::OneByOne
    }

    fn blocks(&self) -> Blocks<'_> {
        Blocks { handle: &self.open.handle, limits: self.open.limits }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.open.path).field("handle", &self.open.handle).finish()
    }
}
