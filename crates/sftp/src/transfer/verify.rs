//! Whether the other side has the same bytes.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use rustle_sftp_proto::{CheckFile, ExtendedRequest, Extension, FileHashes, Limits, Request};

use crate::engine::OpenHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::local::original::Original;
use crate::local::target::Target;
use crate::sftp::Sftp;
use crate::shown::Shown;
use crate::transfer::hashes::Hashes;
use crate::transfer::summary::Verified;

/// A file on the server, as it can be asked about.
#[derive(Clone, Copy)]
pub(crate) struct Remote<'a> {
    pub(crate) sftp: &'a Sftp,
    pub(crate) path: &'a Bytes,
    pub(crate) file: Option<&'a OpenHandle>,
    /// Where it is asked for together with others.
    pub(crate) hashes: Option<&'a Hashes>,
}

/// A file of this side, as it can be asked about.
#[derive(Clone, Copy)]
pub(crate) enum Here<'a> {
    Source(&'a Original),
    /// One that is being made: it may be locked, so that nobody but its owner can read it.
    Made(&'a Target),
}

impl Here<'_> {
    pub(crate) async fn sha256(&self, range: Range<u64>) -> Result<[u8; 32]> {
        match self {
            Self::Source(original) => original.sha256(range).await,
            Self::Made(target) => target.sha256(range).await,
        }
    }

    pub(crate) async fn read_ranges(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        match self {
            Self::Source(original) => original.read_ranges(ranges).await,
            Self::Made(target) => target.read_ranges(ranges).await,
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Source(original) => original.path(),
            Self::Made(target) => target.path(),
        }
    }
}

impl Remote<'_> {
    /// The SHA-256 of its first `length` bytes: by the server's own extension where it has one, else by a command of the
    /// account; or why neither was to be had.
    pub(crate) async fn sha256(&self, length: u64) -> Result<Result<[u8; 32], String>> {
        if let Some(hash) = self.check_file(length).await {
            return Ok(Ok(hash));
        }
        let Some(account) = self.sftp.account() else {
            return Ok(Err(
                "the server has no check-file, and commands cannot be run over this stream".into()
            ));
        };
        // A command may begin elsewhere than SFTP does, which the absolute path makes up for.
        let absolute =
            self.sftp.engine().path("realpath", Request::RealPath { path: self.path.clone() }).await;
        let path = absolute.map_err(|error| error.at(self.path))?;
        Ok(match self.hashes {
            Some(hashes) => hashes.ask(account, path, length).await.map(|seen| seen.sha256),
            None => account.sha256(&path, length).await,
        })
    }

    /// What the server's own extension says of its first `length` bytes, if it has it.
    pub(crate) async fn check_file(&self, length: u64) -> Option<[u8; 32]> {
        let file = self.file?;
        let engine = file.engine();
        if !engine.has(Extension::CheckFile) || length == 0 || length > MOST_AT_ONCE {
            return None;
        }
        let handle = file.handle().clone();
        let check = CheckFile { algorithms: Bytes::from_static(b"sha256"), offset: 0, length, block_size: 0 };
        let asked = ExtendedRequest::CheckFileHandle { handle, check };
        let body = engine.extended("check-file", asked).await.ok()?;
        let answer = FileHashes::decode(body, &Limits::default()).ok()?;
        if answer.algorithm != "sha256" {
            return None;
        }
        <[u8; 32]>::try_from(&*answer.hashes).ok()
    }
}

/// A server says nothing on the channel while it hashes, for longer than is waited for where there is more.
const MOST_AT_ONCE: u64 = 4 * 1024 * 1024 * 1024;

/// Whether the server's file has this SHA-256.
///
/// # Errors
/// [`ErrorKind::Mismatch`] where it has another.
pub(crate) async fn has(remote: Remote<'_>, length: u64, ours: [u8; 32]) -> Result<Verified> {
    match remote.sha256(length).await? {
        Ok(theirs) if theirs == ours => Ok(Verified::Sha256(ours)),
        Ok(_) => {
            let text = "the server's file has another SHA-256 than this side's";
            Err(Error::new(ErrorKind::Mismatch, "verify", text).at(remote.path))
        }
        Err(why) => Ok(Verified::Impossible(why)),
    }
}

/// Whether both sides have the same bytes.
///
/// # Errors
/// [`ErrorKind::Mismatch`] where they have not, [`ErrorKind::Local`] where this side's cannot be read.
pub(crate) async fn compare(remote: Remote<'_>, here: Here<'_>, length: u64) -> Result<Verified> {
    let (theirs, ours) = tokio::join!(remote.sha256(length), here.sha256(0..length));
    let ours = ours?;
    match theirs? {
        Ok(theirs) if theirs == ours => Ok(Verified::Sha256(ours)),
        Ok(_) => {
            let text = format!(
                "it has another SHA-256 than {}",
                Shown::of_local(here.path().as_os_str().as_encoded_bytes())
            );
            Err(Error::new(ErrorKind::Mismatch, "verify", text).at(remote.path))
        }
        Err(why) => Ok(Verified::Impossible(why)),
    }
}
