//! A directory that is listed by whatever means there is.

use std::fmt;

use crate::commands::Listing;
use crate::error::Result;
use crate::read_dir::{DirEntry, ReadDir};

/// A directory that is being listed; made by [`Files::read_dir`](crate::Files::read_dir). Dropped, it is closed.
///
/// A name that would lead out of the directory is an error in its place.
pub struct Entries {
    listing: Listed,
}

enum Listed {
    Sftp(ReadDir),
    Commands(Box<Listing>),
}

impl Entries {
    pub(super) fn by_sftp(listing: ReadDir) -> Self {
        Self { listing: Listed::Sftp(listing) }
    }

    pub(super) fn by_commands(listing: Listing) -> Self {
        Self { listing: Listed::Commands(Box::new(listing)) }
    }

    /// The next entry, `None` behind the last.
    ///
    /// # Errors
    /// As [`ReadDir::next_entry`].
    ///
    /// # Cancel safety
    /// No entry is lost: dropped, it can be called again.
    pub async fn next_entry(&mut self) -> Result<Option<DirEntry>> {
        match &mut self.listing {
            Listed::Sftp(listing) => listing.next_entry().await,
            Listed::Commands(listing) => listing.next_entry().await,
        }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}
