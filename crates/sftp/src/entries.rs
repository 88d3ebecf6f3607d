//! What is done to one name.

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, ExtendedRequest, Extension, FileSystem, Request};
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::metadata::{Metadata, SetMetadata};
use crate::path::checked;
use crate::sftp::Sftp;

impl Sftp {
    /// What is known of a file; of a link, of what it leads to.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], also for a link that leads nowhere; [`ErrorKind::PermissionDenied`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn metadata(&self, path: impl AsRef<[u8]>) -> Result<Metadata> {
        let path = checked("stat", path)?;
        let attributes = self.engine().attributes("stat", Request::Stat { path: path.clone() }).await;
        attributes.map(Metadata::new).map_err(|error| error.at(&path))
    }

    /// What is known of a file; of a link, of the link itself.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata).
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn symlink_metadata(&self, path: impl AsRef<[u8]>) -> Result<Metadata> {
        let path = checked("lstat", path)?;
        let attributes = self.engine().attributes("lstat", Request::Lstat { path: path.clone() }).await;
        attributes.map(Metadata::new).map_err(|error| error.at(&path))
    }

    /// Whether the path leads to something. A link that leads nowhere does not.
    ///
    /// # Errors
    /// It cannot be known: [`ErrorKind::PermissionDenied`] for a directory above it, say.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool> {
        match self.metadata(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes what is known of a file; of a link, of what it leads to. Several changes are one request, which servers
    /// carry out one after the other: where one fails, those before it are made.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::NotFound`], [`ErrorKind::InvalidArgument`] for a time that the
    /// protocol does not have.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_metadata(&self, path: impl AsRef<[u8]>, changes: &SetMetadata) -> Result<()> {
        let path = checked("setstat", path)?;
        let attributes = changes.attributes("setstat").map_err(|error| error.at(&path))?;
        let request = Request::SetStat { path: path.clone(), attributes };
        let set = self.engine().done("setstat", request).await;
        explained(self.engine(), set, Doing::Change { path: &path }).await
    }

    /// As [`set_metadata`](Self::set_metadata), of a link itself.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] where the server has no `lsetstat@openssh.com`, and for permissions of a
    /// link on systems where links have none, Linux among them.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_symlink_metadata(&self, path: impl AsRef<[u8]>, changes: &SetMetadata) -> Result<()> {
        let path = checked("lsetstat", path)?;
        let attributes = changes.attributes("lsetstat").map_err(|error| error.at(&path))?;
        let request = ExtendedRequest::LsetStat { path: path.clone(), attributes };
        let set = self.engine().extended_done("lsetstat", request).await;
        explained(self.engine(), set, Doing::Change { path: &path }).await
    }

    /// Sets the twelve permission bits, such as `0o644`.
    ///
    /// # Errors
    /// As [`set_metadata`](Self::set_metadata).
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_permissions(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        self.set_metadata(path, &SetMetadata::new().permissions(mode)).await
    }

    /// Gives the file to a user and a group, by the server's numbers for them.
    ///
    /// # Errors
    /// As [`set_metadata`](Self::set_metadata).
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_owner(&self, path: impl AsRef<[u8]>, uid: u32, gid: u32) -> Result<()> {
        self.set_metadata(path, &SetMetadata::new().owner(uid, gid)).await
    }

    /// Sets when it was last read and when its content last changed, to the second.
    ///
    /// # Errors
    /// As [`set_metadata`](Self::set_metadata).
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn set_times(
        &self,
        path: impl AsRef<[u8]>,
        accessed: SystemTime,
        modified: SystemTime,
    ) -> Result<()> {
        self.set_metadata(path, &SetMetadata::new().times(accessed, modified)).await
    }

    /// Makes a directory, with the permissions that the server gives to new ones.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::NotFound`] where the directory above is missing,
    /// [`ErrorKind::NoSpace`] and its like.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn create_dir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = checked("mkdir", path)?;
        let request = Request::MkDir { path: path.clone(), attributes: Attributes::new() };
        let made = self.engine().done("mkdir", request).await;
        explained(self.engine(), made, Doing::MakeDirectory { path: &path }).await
    }

    /// Removes a file or a link, and no directory.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::IsADirectory`], [`ErrorKind::PermissionDenied`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn remove_file(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = checked("remove", path)?;
        let removed = self.engine().done("remove", Request::Remove { path: path.clone() }).await;
        explained(self.engine(), removed, Doing::RemoveFile { path: &path }).await
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`ErrorKind::DirectoryNotEmpty`], [`ErrorKind::NotADirectory`], [`ErrorKind::NotFound`],
    /// [`ErrorKind::PermissionDenied`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn remove_dir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let path = checked("rmdir", path)?;
        let removed = self.engine().done("rmdir", Request::RmDir { path: path.clone() }).await;
        explained(self.engine(), removed, Doing::RemoveDirectory { path: &path }).await
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the server has no `hardlink@openssh.com`, [`ErrorKind::AlreadyExists`],
    /// [`ErrorKind::NotFound`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn hard_link(&self, original: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Result<()> {
        let (existing, link) = (checked("link", original)?, checked("link", link)?);
        let request = ExtendedRequest::HardLink { existing, link: link.clone() };
        let made = self.engine().extended_done("link", request).await;
        explained(self.engine(), made, Doing::MakeLink { link: &link }).await
    }

    /// Makes a symbolic link that reads `target`, which need not exist and is relative to where the link is.
    ///
    /// The protocol has the two in an order that OpenSSH reversed, and nearly everybody after it. Which one the server
    /// follows is known by what it calls itself, or told by [`SftpBuilder::link_order`](crate::SftpBuilder::link_order).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::NotFound`] where the directory of the link is missing.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn symlink(&self, target: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Result<()> {
        let (target, link) = (checked("symlink", target)?, checked("symlink", link)?);
        // The codec names the two as OpenSSH orders them.
        let request = match self.link_first() {
            false => Request::Symlink { target, link: link.clone() },
            true => Request::Symlink { target: link.clone(), link: target },
        };
        let made = self.engine().done("symlink", request).await;
        explained(self.engine(), made, Doing::MakeLink { link: &link }).await
    }

    /// What a symbolic link reads.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidArgument`] where it is no link.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Bytes> {
        let path = checked("readlink", path)?;
        let read = self.engine().path("readlink", Request::ReadLink { path: path.clone() }).await;
        explained(self.engine(), read, Doing::ReadLink { path: &path }).await
    }

    /// The absolute path, without links, `.` and `..`. One that begins with `~` or `~user` begins at a home, which needs
    /// `expand-path@openssh.com` of the server where it is another user's; a file whose name begins so is `./~…`.
    ///
    /// What of the path must exist differs between servers: with OpenSSH all but its last component. Some leave links
    /// as they are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Unsupported`] for `~user` without the extension.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn canonicalize(&self, path: impl AsRef<[u8]>) -> Result<Bytes> {
        let path = checked("realpath", path)?;
        let request = if !path.starts_with(b"~") {
            Request::RealPath { path: path.clone() }
        } else if self.has(Extension::ExpandPath) {
            Request::Extended(ExtendedRequest::ExpandPath { path: path.clone() })
        } else {
            let rest = match path.strip_prefix(b"~") {
                Some(b"") => ".",
                Some([b'/', rest @ ..]) => return self.real(&[b"./", rest].concat(), &path).await,
                _ => {
                    let text = "the server does not have the extension expand-path@openssh.com";
                    return Err(Error::new(ErrorKind::Unsupported, "realpath", text).at(&path));
                }
            };
            Request::RealPath { path: Bytes::from_static(rest.as_bytes()) }
        };
        self.engine().path("realpath", request).await.map_err(|error| error.at(&path))
    }

    /// The directory that relative paths begin at, which is the account's home unless the server was told otherwise.
    ///
    /// # Errors
    /// The channel is over.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn home(&self) -> Result<Bytes> {
        self.real(b".", b".").await
    }

    /// How full the file system of a path is.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the server has no `statvfs@openssh.com`, [`ErrorKind::NotFound`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn statvfs(&self, path: impl AsRef<[u8]>) -> Result<FileSystem> {
        let path = checked("statvfs", path)?;
        let request = ExtendedRequest::StatVfs { path: path.clone() };
        let body = self.engine().extended("statvfs", request).await.map_err(|error| error.at(&path))?;
        decoded(body).map_err(|error| error.at(&path))
    }

    /// REALPATH; an error is about the path that was meant.
    pub(crate) async fn real(&self, path: &[u8], meant: &[u8]) -> Result<Bytes> {
        let request = Request::RealPath { path: Bytes::copy_from_slice(path) };
        self.engine().path("realpath", request).await.map_err(|error| error.at(meant))
    }
}

pub(crate) fn decoded(body: Bytes) -> Result<FileSystem> {
    FileSystem::decode(body).map_err(|error| {
        Error::new(ErrorKind::Protocol, "statvfs", "the answer makes no sense").with_source(error)
    })
}
