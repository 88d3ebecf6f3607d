//! Whole files at once.

use bytes::Bytes;
use futures_util::TryFutureExt;

use crate::blocks::Extent;
use crate::error::Result;
use crate::file::File;
use crate::path::checked;
use crate::sftp::Sftp;

impl Sftp {
    /// What a file holds, all of it in memory: of a file without an end, until there is none left. Blocks are asked for
    /// together, up to 4 MiB ahead, so that it takes two round trips for most files.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied),
    /// [`ErrorKind::IsADirectory`](crate::ErrorKind::IsADirectory).
    ///
    /// # Cancel safety
    /// Dropped, the file is closed; nothing is changed.
    pub async fn read(&self, path: impl AsRef<[u8]>) -> Result<Bytes> {
        let path = checked("open", path)?;
        // The length is asked for meanwhile. It only says how much to ask for at once: files of /proc have none.
        let length = self.metadata(&path).map_ok(|metadata| metadata.len().unwrap_or(0));
        let (file, length) = futures_util::join!(File::open(self, &path), length);
        file?.read_extent(0, Extent::ToEnd { thought: length.unwrap_or(0) }).await
    }

    /// Makes a file of this content, or replaces the content of the one that is there. The server's file is first
    /// emptied and then filled: for one that is never seen half, write to another name and [`rename`](Self::rename)
    /// it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where its directory is missing,
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied),
    /// [`ErrorKind::IsADirectory`](crate::ErrorKind::IsADirectory), [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace)
    /// and its like. What has been written by then stays.
    ///
    /// # Cancel safety
    /// Dropped, the file is closed with what was written by then.
    pub async fn write(&self, path: impl AsRef<[u8]>, content: impl Into<Bytes>) -> Result<()> {
        let file = File::create(self, path).await?;
        file.write_at(0, content).await?;
        file.close().await
    }
}
