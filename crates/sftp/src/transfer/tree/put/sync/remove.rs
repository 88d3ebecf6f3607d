//! What only the server has is removed, and what is excluded is spared.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use rustle_sftp_proto::{FileKind, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::path::join;
use crate::sftp::Sftp;
use crate::transfer::tree::extra::{Extraneous, doubt};
use crate::transfer::tree::rules::Rules;

/// Removes it: true where nothing of it is left.
pub(super) async fn remove(
    sftp: &Sftp,
    rules: &Rules,
    extraneous: Extraneous<Bytes>,
) -> (Bytes, Result<bool>) {
    let Extraneous { path, relative, left } = extraneous;
    let removed = if left.may_be_another {
        Err(doubt(&path))
    } else if rules.dry {
        Ok(true)
    } else if !left.is_directory {
        remove_file(sftp, &path).await
    } else if rules.excluded.is_empty() {
        sftp.remove_dir_all(&path).await.map(|()| true)
    } else {
        remove_sparing(sftp, rules, path.clone(), relative, 0).await
    };
    (path, removed)
}

async fn remove_file(sftp: &Sftp, path: &Bytes) -> Result<bool> {
    let engine = sftp.engine();
    let removed = engine.done("remove", Request::Remove { path: path.clone() }).await;
    match explained(engine, removed, Doing::RemoveFile { path }).await {
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        other => other.map(|()| true),
    }
}

/// A directory but for what is excluded.
fn remove_sparing<'a>(
    sftp: &'a Sftp,
    rules: &'a Rules,
    path: Bytes,
    relative: Bytes,
    depth: usize,
) -> Pin<Box<dyn Future<Output = Result<bool>> + Send + 'a>> {
    Box::pin(async move {
        if depth > DEEPEST {
            let text = "the directories are deeper than any file system has them";
            return Err(Error::new(ErrorKind::Protocol, "rmdir", text).at(&path));
        }
        let mut listing = sftp.read_dir(&path).await?;
        let mut found = Vec::new();
        while let Some(entry) = listing.next_entry().await? {
            if found.len() >= MOST {
                let text = "there are more names in it than are looked at for what is excluded";
                return Err(Error::new(ErrorKind::Failure, "rmdir", text).at(&path));
            }
            let is_directory = entry.metadata().kind() == Some(FileKind::Directory);
            found.push((Bytes::copy_from_slice(entry.name()), is_directory));
        }
        drop(listing);
        let mut is_gone = true;
        for (name, is_directory) in found {
            let (path, relative) = (join(&path, &name), join(&relative, &name));
            is_gone &= match is_directory {
                _ if rules.excludes(&relative, is_directory) => false,
                true => remove_sparing(sftp, rules, path, relative, depth + 1).await?,
                false => remove_file(sftp, &path).await?,
            };
        }
        if is_gone {
            sftp.remove_dir(&path).await?;
        }
        Ok(is_gone)
    })
}

/// A path has 4096 bytes at most on most systems.
const DEEPEST: usize = 2048;

const MOST: usize = 1 << 20;
