//! Renaming, also where the server will not replace a file.

use bytes::Bytes;
use rustle_sftp_proto::{ExtendedRequest, Extension, FileKind, Request, StatusCode};

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explain, explained};
use crate::path::{checked, join, parent};
use crate::sftp::Sftp;
use crate::shown::Shown;

impl Sftp {
    /// Gives a file another name, and replaces what has that name.
    ///
    /// With `posix-rename@openssh.com` that is one step: whoever looks sees the old file or the new one. Without it,
    /// a plain RENAME is tried, which replaces nothing. If a file is in its way, that file is moved aside to
    /// `.rustle-…` in the same directory (16 hexadecimal digits), the new one takes its name, and then the old one is
    /// removed. In between nothing has the name, but both files exist: if the connection is lost there, the old one
    /// is under `.rustle-…` and the new one under its name or its former one. If the second step fails, the first is
    /// undone. A directory in the way is not replaced then.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyExists`] for a directory in the way,
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::Unsupported`] between file systems. If what was moved aside
    /// could not be moved back, the error's hint says where it is.
    ///
    /// # Cancel safety
    /// With the extension, it may or may not be carried out. Without it, a file that was moved aside gets its name back
    /// where the other has not got it yet, and may stay aside where it has.
    pub async fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        let (from, to) = (checked("rename", from)?, checked("rename", to)?);
        let doing = Doing::Rename { from: &from, to: &to };
        if self.has(Extension::PosixRename) {
            let request = ExtendedRequest::PosixRename { from: from.clone(), to: to.clone() };
            let renamed = self.engine().extended_done("rename", request).await;
            return explained(self.engine(), renamed, doing).await;
        }
        let Err(error) = self.plain_rename(&from, &to).await else { return Ok(()) };
        if !may_be_in_the_way(&error) {
            return Err(explain(self.engine(), error, doing).await);
        }
        match self.kind_at(&to).await {
            Some(FileKind::Directory) | None => Err(explain(self.engine(), error, doing).await),
            // What has both names already stays as it is, as POSIX has it.
            Some(_) if from == to => Ok(()),
            Some(_) => self.replace(&from, &to).await,
        }
    }

    /// Moves what is in the way aside, and removes it in the end.
    async fn replace(&self, from: &Bytes, to: &Bytes) -> Result<()> {
        let doing = Doing::Rename { from, to };
        let mut aside = Aside { sftp: self, path: aside(to)?, of: to, then: Then::MoveBack };
        if let Err(error) = self.plain_rename(to, &aside.path).await {
            aside.then = Then::Nothing;
            return Err(explain(self.engine(), error, doing).await);
        }
        if let Err(error) = self.plain_rename(from, to).await {
            aside.then = Then::Nothing;
            // Where the old file is comes before all that else may be said.
            let error = match self.plain_rename(&aside.path, to).await {
                Ok(()) => error,
                Err(_) => error.with_hint(format!("what had that name is {} now", Shown::of(&aside.path))),
            };
            return Err(explain(self.engine(), error, doing).await);
        }
        aside.then = Then::Remove;
        let removed = self.engine().done("rename", Request::Remove { path: aside.path.clone() }).await;
        aside.then = Then::Nothing;
        removed.map_err(|error| {
            error
                .at(&aside.path)
                .with_hint("the file has its new name; the one that it replaced could not be removed")
        })
    }

    async fn plain_rename(&self, from: &Bytes, to: &Bytes) -> Result<()> {
        self.engine().done("rename", Request::Rename { from: from.clone(), to: to.clone() }).await
    }

    async fn kind_at(&self, path: &Bytes) -> Option<FileKind> {
        let attributes =
            self.engine().attributes("rename", Request::Lstat { path: path.clone() }).await.ok()?;
        Some(attributes.kind().unwrap_or(FileKind::Other))
    }
}

/// A file that was moved out of another's way. Dropped midway, it gets its name back: whoever drops the rename may remove
/// the file that was to replace it, and one of the two has to have the name.
struct Aside<'a> {
    sftp: &'a Sftp,
    path: Bytes,
    of: &'a Bytes,
    then: Then,
}

/// What becomes of it when nobody waits any more.
enum Then {
    /// A plain RENAME, which replaces nothing: where the new file has the name by then, the old one stays aside.
    MoveBack,
    Remove,
    Nothing,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let path = self.path.clone();
        match self.then {
            Then::MoveBack => self.sftp.engine().tell(Request::Rename { from: path, to: self.of.clone() }),
            Then::Remove => self.sftp.engine().tell(Request::Remove { path }),
            Then::Nothing => {}
        }
    }
}

/// Whether a name that is taken may be the reason: servers say it by a bare failure, some by a code of later versions.
fn may_be_in_the_way(error: &Error) -> bool {
    let failure = error.status().is_some_and(|status| status.code() == StatusCode::FAILURE);
    failure || error.kind() == ErrorKind::AlreadyExists
}

/// A name in the same directory that nobody has: 64 random bits.
fn aside(path: &Bytes) -> Result<Bytes> {
    let random = getrandom::u64()
        .map_err(|error| Error::new(ErrorKind::Local, "rename", format!("no random numbers: {error}")))?;
    Ok(join(&parent(path), format!(".rustle-{random:016x}").as_bytes()))
}
