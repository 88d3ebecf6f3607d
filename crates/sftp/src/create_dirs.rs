//! Making a directory and those above it.

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};
use rustle_sftp_proto::{Attributes, FileKind, Request};

use crate::blocks::MOST_REQUESTS;
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explain};
use crate::metadata::Metadata;
use crate::path::{checked, prefixes};
use crate::sftp::Sftp;

impl Sftp {
    /// Makes a directory and those above it that are missing; one that is there is no error.
    ///
    /// One round trip where only the last is missing, two where it is there, three otherwise however deep it is. The
    /// order in which they are made is kept, also with servers that carry out several requests at once.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where the path, and [`ErrorKind::NotADirectory`] where one above it is something
    /// else than a directory; [`ErrorKind::PermissionDenied`], [`ErrorKind::NoSpace`] and its like.
    ///
    /// # Cancel safety
    /// Dropped, any of them may have been made; never one without those above it.
    pub async fn create_dir_all(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = checked("mkdir", path)?;
        let all = prefixes(&path);
        let Some(deepest) = all.last() else { return Ok(()) };
        let Err(error) = self.make(deepest).await else { return Ok(()) };
        if error.kind() != ErrorKind::NotFound {
            return self.settle(deepest, deepest, error).await;
        }
        // Those above that are there, found at once.
        let kinds: Vec<_> = iter(all.clone())
            .map(|path| self.engine().attributes("stat", Request::Stat { path }))
            .buffered(MOST_REQUESTS)
            .collect()
            .await;
        let missing = kinds.iter().rposition(Result::is_ok).map_or(0, |there| there + 1);
        if let Some(Ok(attributes)) = missing.checked_sub(1).and_then(|last| kinds.get(last))
            && attributes.kind().is_some_and(|kind| kind != FileKind::Directory)
        {
            let error = Error::new(ErrorKind::NotADirectory, "mkdir", "it is no directory");
            return Err(error.at(&all[missing - 1]));
        }
        self.make_in_order(&all[missing..], deepest).await
    }

    /// Makes them all at once; where the server was not in order, one by one from there on.
    async fn make_in_order(&self, missing: &[Bytes], deepest: &Bytes) -> Result<()> {
        let made = iter(missing.to_vec()).map(|path| async move { self.make(&path).await });
        let made: Vec<_> = made.buffered(MOST_REQUESTS).collect().await;
        for (path, made) in missing.iter().zip(made) {
            let Err(error) = made else { continue };
            let error = match error.kind() {
                ErrorKind::NotFound => match self.make(path).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                _ => error,
            };
            self.settle(path, deepest, error).await?;
        }
        Ok(())
    }

    async fn make(&self, path: &Bytes) -> Result<()> {
        let request = Request::MkDir { path: path.clone(), attributes: Attributes::new() };
        self.engine().done("mkdir", request).await
    }

    /// A directory that could not be made is fine if it is there: others may make it at the same time.
    async fn settle(&self, path: &Bytes, deepest: &Bytes, error: Error) -> Result<()> {
        let there = self.engine().attributes("stat", Request::Stat { path: path.clone() }).await;
        match there.map(Metadata::new) {
            Ok(there) if there.is_dir() || there.kind().is_none() => Ok(()),
            Ok(_) if path != deepest => {
                Err(error.explained(ErrorKind::NotADirectory, "it is no directory").at(path))
            }
            _ => Err(explain(self.engine(), error, Doing::MakeDirectory { path }).await),
        }
    }
}
