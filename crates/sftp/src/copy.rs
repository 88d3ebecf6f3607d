//! Copying on the server, or through this side.

use bytes::Bytes;
use rustle_sftp_proto::{ExtendedRequest, Extension};

use crate::blocks::WINDOW;
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::file::{File, OpenOptions};
use crate::files::{Far, Files, beyond_scp};
use crate::metadata::{Metadata, SetMetadata};
use crate::path::checked;
use crate::sftp::Sftp;

impl Sftp {
    /// Copies a file's content and permissions, and gives the number of bytes. Links are followed on both sides. With
    /// `copy-data` the server does it, and nothing of it comes over the network; otherwise it goes through here, up
    /// to 4 MiB at a time in each direction.
    ///
    /// A file is not copied onto itself. That is known by its absolute path; another name of the same file (a hard
    /// link) is not told apart by the protocol, and is left as it is: its content is never cut before it was read.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a file onto itself, [`ErrorKind::NotFound`], [`ErrorKind::IsADirectory`],
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::NoSpace`] and its like. What was copied by then stays.
    ///
    /// # Cancel safety
    /// Dropped, the files are closed; the copy has any part of the content.
    pub async fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<u64> {
        let (from, to) = (checked("copy", from)?, checked("copy", to)?);
        let (source, real, target) =
            futures_util::join!(File::open(self, &from), self.real(&from, &from), self.real(&to, &to));
        let source = source?;
        // A target that is not there has no absolute path with some servers.
        if let (Ok(real), Ok(target)) = (real, target)
            && real == target
        {
            return Err(Error::new(ErrorKind::InvalidArgument, "copy", "it is the same file").at(&to));
        }
        let what = source.metadata().await?;
        if what.is_dir() {
            return Err(Error::new(ErrorKind::IsADirectory, "copy", "it is a directory").at(&from));
        }
        let mut options = OpenOptions::new().write().create();
        if let Some(mode) = what.permissions() {
            options = options.mode(mode & 0o777);
        }
        let target = options.open(self, &to).await?;
        let before = target.metadata().await?;
        if may_not_be_the_same(&what, &before) && before.len() != Some(0) {
            target.set_len(0).await?;
        }
        let copied = match self.has(Extension::CopyData) {
            true => by_the_server(&source, &target, what.len().unwrap_or(0), &to).await?,
            false => through_here(&source, &target).await?,
        };
        finish(target, &what, &before, copied).await?;
        Ok(copied)
    }
}

impl Files {
    /// Copies a file's content and permissions on the server, or through here; see [`Sftp::copy`]. By commands it is the work
    /// of `cp`.
    ///
    /// # Errors
    /// As [`Sftp::copy`].
    ///
    /// # Cancel safety
    /// Dropped, the copy has any part of the content.
    pub async fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<u64> {
        match &self.far {
            Far::Sftp(sftp) => sftp.copy(from, to).await,
            Far::Commands(commands) => commands.copy(from.as_ref(), to.as_ref()).await,
            Far::Scp(_) => Err(beyond_scp()),
        }
    }
}

/// Two that differ in what is known of them are two files.
fn may_not_be_the_same(source: &Metadata, target: &Metadata) -> bool {
    source.len() != target.len() || source.modified() != target.modified() || source.uid() != target.uid()
}

/// Sets what a copy has besides its content, and hears how its closing went.
async fn finish(target: File, what: &Metadata, before: &Metadata, copied: u64) -> Result<()> {
    let mut changes = SetMetadata::new();
    if before.len().is_none_or(|before| before > copied) {
        changes = changes.len(copied);
    }
    if let Some(mode) = what.permissions()
        && before.permissions() != Some(mode)
    {
        changes = changes.permissions(mode);
    }
    if changes != SetMetadata::new() {
        target.set_metadata(&changes).await?;
    }
    target.close().await
}

/// In parts, since the server says nothing meanwhile: one that is silent for minutes is taken for dead.
async fn by_the_server(source: &File, target: &File, len: u64, to: &Bytes) -> Result<u64> {
    let engine = source.handle().engine();
    let mut at = 0;
    loop {
        // The last part is all that there is, also what was added meanwhile.
        let is_last = len.saturating_sub(at) <= PART;
        let request = ExtendedRequest::CopyData {
            from: source.handle().handle().clone(),
            from_offset: at,
            length: if is_last { 0 } else { PART },
            to: target.handle().handle().clone(),
            to_offset: at,
        };
        let copied = engine.extended_done("copy", request).await;
        explained(engine, copied, Doing::Write { path: to, bytes: len - at }).await?;
        if is_last {
            break;
        }
        at += PART;
    }
    // How much the last part was is not answered.
    Ok(target.metadata().await?.len().unwrap_or(len))
}

/// A part is written while the next is read.
async fn through_here(source: &File, target: &File) -> Result<u64> {
    let size = usize::try_from(WINDOW).unwrap_or(usize::MAX);
    let mut at = 0;
    let mut part = source.read_at(at, size).await?;
    while !part.is_empty() {
        let next = at + part.len() as u64;
        let is_last = part.len() < size;
        let read = async {
            match is_last {
                true => Ok(Bytes::new()),
                false => source.read_at(next, size).await,
            }
        };
        let ((), following) = futures_util::try_join!(target.write_at(at, part), read)?;
        (part, at) = (following, next);
    }
    Ok(at)
}

/// What a slow disk copies well within the time that a server may be silent.
const PART: u64 = 256 * 1024 * 1024;
