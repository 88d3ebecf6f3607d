//! A file of this side that is sent.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::local::details::Details;
use crate::local::driver::off_thread;
use crate::local::reader::{changed, open_regular};
use crate::local::refused;
use crate::local::whole::{ranges_of, sha256_by};

const OPERATION: &str = "read local file";

/// A file that is open to be read, as often as it takes. Whatever has its name by then, it is this one; and where it was
/// written to since it was opened, that is an error, whoever reads.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    path: Arc<Path>,
    file: Arc<File>,
    details: Details,
}

impl Original {
    /// Opens a regular file, on a thread that may block.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be opened or is no regular file.
    pub(super) fn open(path: Arc<Path>) -> Result<Self, Error> {
        let (file, details) = open_regular(&path)?;
        Ok(Self { path, file: Arc::new(file), details })
    }

    /// The name that it had when it was opened.
    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// What it was when it was opened.
    pub(crate) fn details(&self) -> &Details {
        &self.details
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The SHA-256 of a range of it.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be read, and
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where it was written to since it was opened.
    ///
    /// # Cancel safety
    /// Nothing is changed, and the thread stops reading.
    pub(crate) async fn sha256(&self, range: Range<u64>) -> Result<[u8; 32], Error> {
        let file = Arc::clone(&self.file);
        let hash = sha256_by(&self.path, range, move || Ok(file)).await?;
        let original = self.clone();
        off_thread(OPERATION, &self.path, move || original.is_unchanged()).await?;
        Ok(hash)
    }

    /// Reads some ranges of it, to be compared with the other side's. What is past its end is left out.
    ///
    /// # Errors
    /// As those of [`sha256`](Self::sha256).
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub(crate) async fn read_ranges(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, Error> {
        let original = self.clone();
        let work = move || {
            let read = ranges_of(&original.file, &ranges)
                .map_err(|error| refused(OPERATION, &original.path, error))?;
            original.is_unchanged()?;
            Ok(read)
        };
        off_thread(OPERATION, &self.path, work).await
    }

    /// Whether nobody wrote to it since it was opened, asked on a thread that may block.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where somebody did.
    pub(super) fn is_unchanged(&self) -> Result<(), Error> {
        let now = Details::of(&self.file).map_err(|error| refused(OPERATION, &self.path, error))?;
        if now.stamp() == self.details.stamp() {
            return Ok(());
        }
        Err(changed(&self.path, "it was written to while it was read"))
    }
}
