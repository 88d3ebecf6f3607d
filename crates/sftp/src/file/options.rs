//! How a file is opened.

use rustle_sftp_proto::{Attributes, OpenFlags, Request};

use crate::blocks::Order;
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, Existing, explained};
use crate::file::File;
use crate::path::checked;
use crate::sftp::Sftp;

/// How a file is opened: as [`std::fs::OpenOptions`], where each thing that is said is meant.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory()).await;
/// use rustle_sftp::{ErrorKind, OpenOptions};
///
/// let options = OpenOptions::new().write().create_new().mode(0o600);
/// let lock = options.open(&sftp, "/lock").await?;
/// assert_eq!(options.open(&sftp, "/lock").await.unwrap_err().kind(), ErrorKind::AlreadyExists);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct OpenOptions {
    flags: OpenFlags,
    mode: Option<u32>,
}

impl OpenOptions {
    /// Nothing yet: at least [`read`](Self::read), [`write`](Self::write) or [`append`](Self::append) is needed.
    pub fn new() -> Self {
        Self::default()
    }

    /// For reading.
    pub fn read(self) -> Self {
        self.with(OpenFlags::READ)
    }

    /// For writing, at any place.
    pub fn write(self) -> Self {
        self.with(OpenFlags::WRITE)
    }

    /// For writing at the end. Servers differ in what they make of it where several write at once.
    pub fn append(self) -> Self {
        self.with(OpenFlags::WRITE | OpenFlags::APPEND)
    }

    /// Makes the file if it is missing; needs [`write`](Self::write) or [`append`](Self::append).
    pub fn create(self) -> Self {
        self.with(OpenFlags::CREATE)
    }

    /// Makes the file; one that is there is an error. The server does both in one step, so that of several who try one
    /// succeeds.
    pub fn create_new(self) -> Self {
        self.with(OpenFlags::CREATE | OpenFlags::EXCLUSIVE)
    }

    /// Empties the file; needs [`write`](Self::write).
    pub fn truncate(self) -> Self {
        self.with(OpenFlags::TRUNCATE)
    }

    /// The permissions of a file that is made, less the server's umask. Its own default unless set, usually `0o666`.
    pub fn mode(mut self, permissions: u32) -> Self {
        self.mode = Some(permissions & 0o7777);
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::PermissionDenied`], [`ErrorKind::AlreadyExists`] with
    /// [`create_new`](Self::create_new), [`ErrorKind::IsADirectory`], [`ErrorKind::NoSpace`] and its like where it
    /// would be made, [`ErrorKind::InvalidArgument`] for options that make no sense together.
    ///
    /// # Cancel safety
    /// Dropped, the file is closed; it may have been made, or emptied, if that was asked for.
    pub async fn open(&self, sftp: &Sftp, path: impl AsRef<[u8]>) -> Result<File> {
        let path = checked("open", path)?;
        self.check().map_err(|error| error.at(&path))?;
        let mut attributes = Attributes::new();
        if let Some(mode) = self.mode {
            attributes = attributes.with_permissions(mode);
        }
        let request = Request::Open { path: path.clone(), flags: self.flags, attributes };
        let opened = futures_util::try_join!(sftp.engine().handle("open", request), sftp.engine().limits());
        let doing = match (self.has(OpenFlags::CREATE), self.has(OpenFlags::EXCLUSIVE)) {
            (false, _) if !self.has(OpenFlags::WRITE) => Doing::Open { path: &path },
            (_, false) => Doing::Create { path: &path, existing: Existing::Opened },
            (_, true) => Doing::Create { path: &path, existing: Existing::Refused },
        };
        let (handle, limits) = explained(sftp.engine(), opened, doing).await?;
        let order = if self.has(OpenFlags::APPEND) { Order::OneByOne } else { Order::Any };
        Ok(File::new(handle, path, limits, order))
    }

    fn with(mut self, flags: OpenFlags) -> Self {
        self.flags |= flags;
        self
    }

    fn has(&self, flag: OpenFlags) -> bool {
        self.flags.contains(flag)
    }

    fn check(&self) -> Result<()> {
        let wrong = |text| Err(Error::new(ErrorKind::InvalidArgument, "open", text));
        if !self.has(OpenFlags::READ) && !self.has(OpenFlags::WRITE) {
            return wrong("a file is opened for reading, for writing or for both");
        }
        if !self.has(OpenFlags::WRITE) && (self.has(OpenFlags::CREATE) || self.has(OpenFlags::TRUNCATE)) {
            return wrong("a file is made or emptied only where it is opened for writing");
        }
        if self.has(OpenFlags::APPEND | OpenFlags::TRUNCATE) {
            return wrong("a file is not both emptied and written to at its end");
        }
        Ok(())
    }
}
