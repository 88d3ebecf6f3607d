//! The `known_hosts` files themselves: read whole, appended to under a lock.
//!
//! Reading and writing block the thread, on purpose. The files are small, the check happens once per
//! connection while nothing else of that connection can go on, and a thread pool would cost more than the
//! read. The one wait that may be long, for another process's lock, is asynchronous and bounded.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, ErrorKind, Result};

/// Some 25,000 lines with RSA keys; more would hold the thread up for longer than a look-up may.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A lock is held for one read and one write. Who holds it longer is stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// The bytes of a file. One that does not exist is empty; one that cannot be read, or is no file, is an
/// error, since a changed key would otherwise look like a new one.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    match read_bounded(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::new(
            ErrorKind::HostKeyRejected,
            "check host key",
            format!("the known hosts in {} cannot be read, so no host key can be checked", path.display()),
        )
        .with_hint(format!(
            "make {} a file that this user can read, or name another with `-o UserKnownHostsFile=…`",
            path.display()
        ))
        .with_source(error)),
    }
}

/// Appends a line, if `line` still wants to when the file is locked; whole or not at all, and on a line of
/// its own.
///
/// `line` is called while the lock is held, and reads the file again: another process may have added the
/// host.
///
/// # Cancel safety
/// Waiting for the lock is the only wait. Dropped there, nothing has been written; after it everything is
/// done at once.
pub(super) async fn append<F>(path: &Path, line: F) -> Result<()>
where
    F: FnOnce() -> Result<Option<String>>,
{
    let failed = |error: io::Error| {
        Error::new(
            ErrorKind::HostKeyRejected,
            "record host key",
            format!("the host is new, and its key cannot be recorded in {}", path.display()),
        )
        .with_hint(format!(
            "make {} writable for this user, or name another file with `-o UserKnownHostsFile=…`",
            path.display()
        ))
        .with_source(error)
    };
    if is_null_device(path) {
        return line().map(|_forgotten| ());
    }
    make_directory(path).map_err(failed)?;
    let mut locked = Locked::open(path).await.map_err(failed)?;
    match line()? {
        Some(line) => locked.append(&line).map_err(failed),
        None => Ok(()),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if is_null_device(path) {
        return Ok(Vec::new());
    }
    // Before opening: that would wait on a named pipe until somebody writes.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is larger than {} MiB", MAX_FILE / (1024 * 1024)),
        ));
    }
    Ok(bytes)
}

/// `UserKnownHostsFile=/dev/null` is the usual way to remember nothing.
pub(super) fn is_null_device(path: &Path) -> bool {
    #[cfg(windows)]
    return path.as_os_str().eq_ignore_ascii_case("NUL") || path == Path::new("/dev/null");
    #[cfg(not(windows))]
    return path == Path::new("/dev/null");
}

/// Makes the directory that holds the file, for its owner alone, as `ssh` makes `~/.ssh`. Its own parent must
/// exist.
fn make_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Ok(());
    };
    // On Windows a directory inherits the access list of the user's profile.
    #[cfg_attr(windows, expect(unused_mut, reason = "only Unix has a mode to set"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A read-only or foreign parent hides that the directory is there already.
        Err(_) if directory.is_dir() => Ok(()),
        other => other,
    }
}

/// A file open for appending, with the lock that keeps other processes of ours out. Dropping it unlocks.
struct Locked {
    file: File,
    #[cfg(windows)]
    beside: File,
}

impl Drop for Locked {
    /// Closing alone does not unlock a file on Unix while anybody holds a copy of the descriptor, as every process
    /// does that this one is just starting, on whatever thread.
    fn drop(&mut self) {
        #[cfg(unix)]
        let locked = &self.file;
        #[cfg(windows)]
        let locked = &self.beside;
        // Where that fails, closing is what is left.
        let _ = locked.unlock();
    }
}

impl Locked {
    /// Unix locks the file itself, which leaves nothing behind.
    #[cfg(unix)]
    async fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
            }
            lock(&file, deadline).await?;
            let locked = Self { file };
            // `ssh-keygen -R` puts a new file in its place; a line written to the old one would be lost.
            let (ours, there) = (locked.file.metadata()?, fs::metadata(path));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                return Ok(locked);
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it is replaced again and again"));
            }
        }
    }

    /// A lock on Windows keeps readers out too, `ssh` among them, so it is on a file beside.
    #[cfg(windows)]
    async fn open(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let guard = OpenOptions::new().write(true).create(true).truncate(false).open(Path::new(&beside))?;
        lock(&guard, Instant::now() + LOCK_PATIENCE).await?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        Ok(Self { file, beside: guard })
    }

    /// One write of whole lines: whoever reads meanwhile sees all of it or nothing.
    fn append(&mut self, line: &str) -> io::Result<()> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let mut text = String::with_capacity(line.len() + 2);
        if length > 0 && self.last_byte()? != b'\n' {
            text.push('\n');
        }
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push('\n');
        }
        let written = loop {
            match self.file.write(text.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if written == text.len() {
            return Ok(());
        }
        // The disk is full. Half a line would swallow the one that comes after it.
        self.file.set_len(length)?;
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "only a part of the line could be written; it was taken back",
        ))
    }

    fn last_byte(&mut self) -> io::Result<u8> {
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        Ok(last[0])
    }
}

async fn lock(file: &File, deadline: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("another process has held its lock for {} s", LOCK_PATIENCE.as_secs()),
                ));
            }
            Err(TryLockError::WouldBlock) => sleep(LOCK_POLL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ssh").join("known_hosts");
        (directory, path)
    }

    #[tokio::test]
    async fn a_line_is_put_behind_one_without_an_end() {
        let (_directory, path) = scratch();
        append(&path, || Ok(Some("one\n".into()))).await.unwrap();
        fs::write(&path, "one\ntwo").unwrap();
        append(&path, || Ok(Some("three".into()))).await.unwrap();
        append(&path, || Ok(None)).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_made_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let (_directory, path) = scratch();
        append(&path, || Ok(Some("one".into()))).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_replaced_while_it_was_locked_is_opened_anew() {
        let (_directory, path) = scratch();
        append(&path, || Ok(Some("old".into()))).await.unwrap();
        let holder = File::open(&path).unwrap();
        holder.lock().unwrap();
        let waiting = append(&path, || Ok(Some("new".into())));
        let replacing = async {
            let fresh = path.with_extension("fresh");
            fs::write(&fresh, "kept\n").unwrap();
            tokio::task::yield_now().await;
            fs::rename(&fresh, &path).unwrap();
            drop(holder);
        };
        let (appended, ()) = tokio::join!(waiting, replacing);
        appended.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept\nnew\n");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let (_directory, path) = scratch();
        append(&path, || Ok(None)).await.unwrap();
        let locked = Locked::open(&path).await.unwrap();
        // The system makes no difference between this and the copy of a process that is being started.
        let copy = locked.file.try_clone().unwrap();
        assert!(File::open(&path).unwrap().try_lock().is_err());
        drop(locked);
        File::open(&path).unwrap().try_lock().unwrap();
        drop(copy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_never_given_back_is_an_error_with_the_file() {
        let (_directory, path) = scratch();
        append(&path, || Ok(None)).await.unwrap();
        #[cfg(unix)]
        let holder = File::open(&path).unwrap();
        #[cfg(windows)]
        let holder = OpenOptions::new().write(true).open(path.with_file_name("known_hosts.lock")).unwrap();
        holder.lock().unwrap();
        let error = append(&path, || Ok(Some("one".into()))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
        assert!(error.to_string().contains("known_hosts"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_missing_file_is_empty_and_a_directory_is_an_error() {
        let (directory, path) = scratch();
        assert_eq!(read(&path).unwrap(), b"");
        let error = read(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
        assert!(error.hint().unwrap().contains("UserKnownHostsFile"));
    }

    #[tokio::test]
    async fn the_null_device_is_empty_and_forgets() {
        let null = Path::new("/dev/null");
        assert_eq!(read(null).unwrap(), b"");
        append(null, || Ok(Some("one".into()))).await.unwrap();
    }

    #[test]
    fn a_file_past_the_limit_is_an_error() {
        let (directory, _) = scratch();
        let path = directory.path().join("huge");
        File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::HostKeyRejected);
    }
}
