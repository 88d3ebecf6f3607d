//! A Unix socket that is listened on, and its file.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::forward::bind::BACKLOG;

/// Listens, and removes its file in the end.
#[derive(Debug)]
pub(super) struct SocketFile {
    listener: UnixListener,
    file: File,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Device and number: what has the name later may be somebody else's.
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let found = fs::symlink_metadata(path)?;
        let file = File { path: path.to_owned(), identity: (found.dev(), found.ino()) };
        // Nobody can connect before it is listened on.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(socket.into())?, file })
    }

    /// The next client.
    ///
    /// # Cancel safety
    /// Safe: no client is lost.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the file of a socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_its_owners_alone_and_goes_with_the_socket_unless_it_is_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let socket = SocketFile::listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let in_use = SocketFile::listen(&path).unwrap_err();
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
        let socket = SocketFile::listen(&path).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(socket);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }
}
