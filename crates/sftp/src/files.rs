//! Files of a host, by whatever means it has.

mod entries;
mod lack;
pub(crate) mod space;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use rustle_session::Session;

use crate::commands::{Commands, NoShell};
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::{Metadata, SetMetadata};
use crate::scp::Scp;
use crate::sftp::Sftp;
use crate::transfer::Transfer;

pub use crate::files::entries::Entries;
pub use crate::files::lack::{Lack, Means};
pub use crate::files::space::Space;

/// Files of a host: by SFTP, where that is switched off by plain commands of its shell, and where it has no shell either by
/// scp's own protocol.
///
/// The operations are those of [`Sftp`], under the same names and with the same kinds of errors. What commands cannot do
/// is in [`lacks`](Self::lacks), and asking for it is an error of
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before anything is done.
///
/// By commands, each operation starts a process or a few on the host. They are given paths as parameters, quoted for the
/// account's shell, so that no name is ever taken for anything else. Cheap to clone; every clone is the same.
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> rustle_sftp::Result<()> {
/// use rustle_sftp::Files;
///
/// let files = Files::open(&session).await?;
/// for lack in files.lacks() {
///     eprintln!("by {}: {lack}", files.means());
/// }
/// files.put("target/release/app", "/srv/app/app").atomic().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Files {
    pub(crate) far: Far,
    /// Why it is not SFTP, where nobody wished that.
    refusal: Option<Arc<Error>>,
}

/// What is on the other side.
#[derive(Debug, Clone)]
pub(crate) enum Far {
    Sftp(Sftp),
    Commands(Commands),
    Scp(Scp),
}

/// One operation by either means.
macro_rules! either {
    ($files:ident, $there:ident => $by_sftp:expr, $by_commands:expr) => {
        match &$files.far {
            Far::Sftp($there) => $by_sftp.await,
            Far::Commands($there) => $by_commands.await,
            Far::Scp(_) => Err(beyond_scp()),
        }
    };
}

impl Files {
    /// Opens SFTP on a channel of this session. Where the server refuses it, or has no program for it, finds out what
    /// its commands can do, and where no shell takes them whether `scp` answers. Nothing else leads to commands: neither a lost connection nor a start-up file that prints,
    /// which would be in their way as well.
    ///
    /// # Errors
    /// As those of [`Sftp::open`]; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) where neither is to be had.
    ///
    /// # Cancel safety
    /// Dropped, the channel is closed, and what was started on the host ends.
    pub async fn open(session: &Session) -> Result<Self> {
        let refusal = match Sftp::open(session).await {
            Ok(sftp) => return Ok(Self::from(sftp)),
            Err(error) if error.says_that_sftp_is_off() => error,
            Err(error) => return Err(error),
        };
        let far = match Commands::open(session).await? {
            Ok(commands) => Far::Commands(commands),
            Err(NoShell(error)) => match Scp::answering(session, None).await {
                Ok(scp) => Far::Scp(scp),
                Err(scp) if scp.kind() == ErrorKind::Unavailable => {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        "open",
                        format!("no SFTP; {}", error.message()),
                    )
                    .with_hint(format!("scp was asked as well: {}", scp.message()))
                    .with_source(refusal));
                }
                Err(lost) => return Err(lost),
            },
        };
        Ok(Self { far, refusal: Some(Arc::new(refusal)) })
    }

    /// Uses commands, whether there is SFTP or not. Two round trips and more where the login shell is no POSIX shell:
    /// fish and csh are found out, and others are refused.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) where no shell answers as it should, or a start-up file
    /// prints; [`ErrorKind::Disconnected`](crate::ErrorKind::Disconnected).
    ///
    /// # Cancel safety
    /// Dropped, what was started on the host ends.
    pub async fn by_commands(session: &Session) -> Result<Self> {
        match Commands::open(session).await? {
            Ok(commands) => Ok(Self { far: Far::Commands(commands), refusal: None }),
            Err(NoShell(error)) => Err(error),
        }
    }

    /// Uses scp's own protocol, as `scp -O` does, whatever else there is. It fetches and sends files and directories and says what
    /// [`metadata`](Self::metadata) there is; every other operation is an error of [`ErrorKind::Unsupported`]. A file that is
    /// sent to a directory's name goes into it under its own.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where no `scp` answers; [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// Dropped, what was started on the host ends.
    pub async fn by_scp(session: &Session) -> Result<Self> {
        Ok(Self { far: Far::Scp(Scp::open(session).await?), refusal: None })
    }

    /// How the files are reached.
    #[must_use]
    pub fn means(&self) -> Means {
        match &self.far {
            Far::Sftp(_) => Means::Sftp,
            Far::Commands(_) => Means::Commands,
            Far::Scp(_) => Means::Scp,
        }
    }

    /// What cannot be done by these means on this host; nothing of it with SFTP.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        match &self.far {
            Far::Sftp(_) => Vec::new(),
            Far::Commands(commands) => Lack::of_commands(commands.programs()),
            Far::Scp(_) => Lack::of_scp(),
        }
    }

    /// Why [`open`](Self::open) did not use SFTP, if so.
    #[must_use]
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_deref()
    }

    /// The SFTP channel, where there is one: for what only it can do.
    #[must_use]
    pub fn sftp(&self) -> Option<&Sftp> {
        match &self.far {
            Far::Sftp(sftp) => Some(sftp),
            Far::Commands(_) | Far::Scp(_) => None,
        }
    }

    /// What is known of a file; of a link, of what it leads to. By scp it is what can be read, with permissions, length and
    /// times.
    ///
    /// # Errors
    /// As [`Sftp::metadata`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn metadata(&self, path: impl AsRef<[u8]>) -> Result<Metadata> {
        match &self.far {
            Far::Sftp(sftp) => sftp.metadata(path).await,
            Far::Commands(commands) => commands.metadata(path.as_ref()).await,
            Far::Scp(scp) => scp.metadata(path.as_ref()).await,
        }
    }

    /// What is known of a file; of a link, of the link itself.
    ///
    /// # Errors
    /// As [`Sftp::symlink_metadata`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn symlink_metadata(&self, path: impl AsRef<[u8]>) -> Result<Metadata> {
        either!(self, there => there.symlink_metadata(path), there.symlink_metadata(path.as_ref()))
    }

    /// Whether the path leads to something. A link that leads nowhere does not.
    ///
    /// # Errors
    /// As [`Sftp::exists`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool> {
        match &self.far {
            Far::Sftp(sftp) => sftp.exists(path).await,
            Far::Commands(commands) => commands.exists(path.as_ref()).await,
            Far::Scp(scp) => scp.exists(path.as_ref()).await,
        }
    }

    /// Changes what is known of a file; of a link, of what it leads to. Several changes are carried out one after the
    /// other: where one fails, those before it are made.
    ///
    /// # Errors
    /// As [`Sftp::set_metadata`].
    ///
    /// # Cancel safety
    /// Dropped, any part of it may be carried out.
    pub async fn set_metadata(&self, path: impl AsRef<[u8]>, changes: &SetMetadata) -> Result<()> {
        either!(self, there => there.set_metadata(path, changes), there.set_metadata(path.as_ref(), changes))
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
    /// Dropped, one of the two may be set.
    pub async fn set_times(
        &self,
        path: impl AsRef<[u8]>,
        accessed: SystemTime,
        modified: SystemTime,
    ) -> Result<()> {
        self.set_metadata(path, &SetMetadata::new().times(accessed, modified)).await
    }

    /// What a file holds, all of it in memory.
    ///
    /// # Errors
    /// As [`Sftp::read`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn read(&self, path: impl AsRef<[u8]>) -> Result<Bytes> {
        either!(self, there => there.read(path), there.read(path.as_ref()))
    }

    /// Makes a file of this content, or replaces the content of the one that is there. It is first emptied and then
    /// filled: for one that is never seen half, use an [atomic](Transfer::atomic) [`put`](Self::put).
    ///
    /// # Errors
    /// As [`Sftp::write`]; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) where not all of it arrived.
    ///
    /// # Cancel safety
    /// Dropped, the file has what was written by then.
    pub async fn write(&self, path: impl AsRef<[u8]>, content: impl Into<Bytes>) -> Result<()> {
        let content = content.into();
        either!(self, there => there.write(path, content), there.write(path.as_ref(), content))
    }

    /// The entries of a directory, in no order.
    ///
    /// # Errors
    /// As [`Sftp::read_dir`].
    ///
    /// # Cancel safety
    /// Dropped, the directory is closed.
    pub async fn read_dir(&self, path: impl AsRef<[u8]>) -> Result<Entries> {
        match &self.far {
            Far::Sftp(sftp) => sftp.read_dir(path).await.map(Entries::by_sftp),
            Far::Commands(commands) => commands.read_dir(path.as_ref()).await.map(Entries::by_commands),
            Far::Scp(_) => Err(beyond_scp()),
        }
    }

    /// Makes a directory, with the permissions that the server gives to new ones.
    ///
    /// # Errors
    /// As [`Sftp::create_dir`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn create_dir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.create_dir(path), there.create_dir(path.as_ref()))
    }

    /// Makes a directory and those above it that are missing; one that is there is no error.
    ///
    /// # Errors
    /// As [`Sftp::create_dir_all`].
    ///
    /// # Cancel safety
    /// Dropped, any of them may have been made.
    pub async fn create_dir_all(&self, path: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.create_dir_all(path), there.create_dir_all(path.as_ref()))
    }

    /// Removes a file or a link, and no directory.
    ///
    /// # Errors
    /// As [`Sftp::remove_file`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn remove_file(&self, path: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.remove_file(path), there.remove_file(path.as_ref()))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As [`Sftp::remove_dir`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn remove_dir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.remove_dir(path), there.remove_dir(path.as_ref()))
    }

    /// Removes a directory with all that is in it. Links are removed and never followed.
    ///
    /// # Errors
    /// As [`Sftp::remove_dir_all`].
    ///
    /// # Cancel safety
    /// Dropped, some of it is removed.
    pub async fn remove_dir_all(&self, path: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.remove_dir_all(path), there.remove_dir_all(path.as_ref()))
    }

    /// Gives a file another name, and replaces what has that name. By commands it is the work of `mv`; see
    /// [`Lack::SafeRename`]. Between file systems it is an error of [`ErrorKind::Unsupported`], as with SFTP, but where the host
    /// has no `stat` to show it: there `mv` copies, and is waited for as long as it takes.
    ///
    /// # Errors
    /// As [`Sftp::rename`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.rename(from, to), there.rename(from.as_ref(), to.as_ref()))
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    /// As [`Sftp::hard_link`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn hard_link(&self, original: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.hard_link(original, link), there.hard_link(original.as_ref(), link.as_ref()))
    }

    /// Makes a symbolic link that reads `target`, which need not exist and is relative to where the link is.
    ///
    /// # Errors
    /// As [`Sftp::symlink`].
    ///
    /// # Cancel safety
    /// Dropped, it may or may not be carried out.
    pub async fn symlink(&self, target: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Result<()> {
        either!(self, there => there.symlink(target, link), there.symlink(target.as_ref(), link.as_ref()))
    }

    /// What a symbolic link reads.
    ///
    /// # Errors
    /// As [`Sftp::read_link`]; see [`Lack::Links`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Bytes> {
        either!(self, there => there.read_link(path), there.read_link(path.as_ref()))
    }

    /// The absolute path, without links, `.` and `..`; one that begins with `~` begins at the account's home, and one
    /// that begins with `~NAME` at the home of that account.
    ///
    /// # Errors
    /// As [`Sftp::canonicalize`].
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn canonicalize(&self, path: impl AsRef<[u8]>) -> Result<Bytes> {
        match &self.far {
            Far::Sftp(sftp) => sftp.canonicalize(path).await,
            Far::Commands(commands) => commands.canonicalize(path.as_ref()).await,
            Far::Scp(_) => {
                let text = "scp's protocol does not say where homes are, nor where a path leads";
                Err(Error::new(ErrorKind::Unsupported, "realpath", text).at(path.as_ref()))
            }
        }
    }

    /// The directory that relative paths begin at.
    ///
    /// # Errors
    /// The channel or the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn home(&self) -> Result<Bytes> {
        either!(self, there => there.home(), there.canonicalize(b"."))
    }

    /// Fetches a file. Nothing happens until the [`Transfer`] is awaited.
    pub fn get(&self, remote: impl AsRef<[u8]>, local: impl AsRef<Path>) -> Transfer {
        Transfer::of_get(self.far.clone(), remote.as_ref(), local.as_ref())
    }

    /// Sends a file. Nothing happens until the [`Transfer`] is awaited.
    pub fn put(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> Transfer {
        Transfer::of_put(self.far.clone(), local.as_ref(), remote.as_ref())
    }

    /// Waits until nothing is unanswered, for at most 5 s, as [`Sftp::settled`]. Commands that were dropped are not
    /// waited for.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn settled(&self) {
        if let Far::Sftp(sftp) = &self.far {
            sftp.settled().await;
        }
    }

    /// Ends what is open for it, and waits until it is over. Commands have nothing open between operations.
    ///
    /// # Cancel safety
    /// Dropped, it ends in the background.
    pub async fn close(self) {
        if let Far::Sftp(sftp) = self.far {
            sftp.close().await;
        }
    }
}

pub(crate) fn beyond_scp() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "files",
        "scp's protocol fetches and sends files and directories, and does nothing else with them",
    )
}

impl From<Sftp> for Files {
    /// Uses an SFTP channel that is open.
    fn from(sftp: Sftp) -> Self {
        Self { far: Far::Sftp(sftp), refusal: None }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("means", &self.means()).field("lacks", &self.lacks()).finish()
    }
}
