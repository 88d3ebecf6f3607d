//! A `known_hosts` file that no other process of ours writes to meanwhile.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::{MAX_FILE, Outcome, irregular, options};

/// A lock is held for one read and one write. Who holds it longer is stuck; a machine that starts fifty programs at
/// once may take seconds for each.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait before the next try, at first and at the least: nothing makes the lock go round, so whoever has
/// waited longer tries more often.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// Windows puts nothing in the place of a file that anybody has open, and opens none that is just being replaced. Nobody
/// reads or looks at such a file for longer than a moment.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// How the system locks a file; a test puts another in its place.
#[derive(Clone, Copy)]
pub(super) struct Locking {
    pub(super) alone: fn(&File) -> Result<(), TryLockError>,
    pub(super) shared: fn(&File) -> Result<(), TryLockError>,
}

impl Locking {
    pub(super) const SYSTEM: Self = Self { alone: File::try_lock, shared: File::try_lock_shared };
}

/// A file open for appending, with the lock that keeps other processes of ours out. Dropping it unlocks.
pub(super) struct Locked {
    pub(super) file: File,
    /// None where the file system has no locks.
    lock: Option<Lock>,
}

/// What keeps the others out: on Unix a second descriptor of the file, on Windows a file beside.
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Closing alone does not unlock a file on Unix while anybody holds a copy of the descriptor, as every process
    /// does that this one is just starting, on whatever thread.
    fn drop(&mut self) {
        // Where that fails, closing is what is left.
        let _ = self.0.unlock();
    }
}

/// By what a file shows that somebody wrote to it, or put another in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    written: Option<SystemTime>,
    /// Device and number, where a file has them.
    identity: Option<(u64, u64)>,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { length: metadata.len(), written: metadata.modified().ok(), identity: identity(&metadata) })
    }
}

impl Locked {
    /// Unix locks the file itself, which leaves nothing behind.
    #[cfg(unix)]
    pub(super) async fn open(path: &Path, locking: Locking) -> io::Result<Self> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            let file = options().create(true).open(path)?;
            if !file.metadata()?.is_file() {
                return Err(irregular());
            }
            let lock = match in_turn(|| (locking.alone)(&file), deadline).await? {
                Turn::Ours => Some(Lock(file.try_clone()?)),
                Turn::NoLocks => None,
            };
            // `ssh-keygen -R` puts a new file in its place; a line written to the old one would be lost.
            let (ours, there) = (file.metadata()?, fs::metadata(path));
            if there.is_ok_and(|there| identity(&there) == identity(&ours)) {
                return Ok(Self { file, lock });
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it is replaced again and again"));
            }
        }
    }

    /// A lock on Windows keeps readers out too, `ssh` among them, so it is on a file beside, which stays there: who took
    /// it away would take it from under another's lock.
    #[cfg(windows)]
    pub(super) async fn open(path: &Path, locking: Locking) -> io::Result<Self> {
        let beside = fs::OpenOptions::new().write(true).create(true).truncate(false).open(beside(path))?;
        let lock = match in_turn(|| (locking.alone)(&beside), Instant::now() + LOCK_PATIENCE).await? {
            Turn::Ours => Some(Lock(beside)),
            Turn::NoLocks => None,
        };
        let file = patiently(|| options().create(true).open(path)).await?;
        if !file.metadata()?.is_file() {
            return Err(irregular());
        }
        Ok(Self { file, lock })
    }

    /// Whether other processes of ours are kept out: not where the file system has no locks.
    pub(super) fn is_alone(&self) -> bool {
        self.lock.is_some()
    }

    /// One write of whole lines, which is not one to whoever reads meanwhile: most file systems show it page by page.
    pub(super) fn append(&mut self, line: &str) -> io::Result<Outcome> {
        let length = self.file.seek(SeekFrom::End(0))?;
        let mut text = String::with_capacity(line.len() + 2);
        if length > 0 && self.last_byte()? != b'\n' {
            text.push('\n');
        }
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push('\n');
        }
        bounded(length.saturating_add(text.len() as u64))?;
        let written = loop {
            match self.file.write(text.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if written == text.len() {
            return Ok(Outcome::Written);
        }
        // The disk is full. Half a line would swallow the one that comes after it.
        let taken_back = take_back(&self.file, length, written as u64)?;
        let rest = if taken_back { "it was taken back" } else { "somebody else wrote behind it" };
        let why = format!("only a part of the line could be written; {rest}");
        Err(io::Error::new(io::ErrorKind::StorageFull, why))
    }

    /// A new file in the same directory, on the disk before it takes the old one's place and rights.
    ///
    /// Where the old one is not as it was `before`, everything stays as it is: somebody who takes no lock has written to
    /// it, which would be lost.
    ///
    /// # Cancel safety
    /// Dropped while others have the file open on Windows, nothing has changed.
    pub(super) async fn replace(self, path: &Path, bytes: &[u8], before: &Stamp) -> io::Result<Outcome> {
        bounded(bytes.len() as u64)?;
        let Self { file, lock } = self;
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut fresh = tempfile::Builder::new().prefix(".known_hosts.").tempfile_in(directory)?;
        fresh.write_all(bytes)?;
        take_rights(fresh.as_file(), &file.metadata()?)?;
        fresh.as_file().sync_all()?;
        // Ours is no more open than anybody's.
        drop(file);
        let deadline = Instant::now() + OPEN_PATIENCE;
        loop {
            if Stamp::of(path)? != *before {
                return Ok(Outcome::AsItWas);
            }
            match fresh.persist(path) {
                Ok(_) => break,
                Err(error) if is_open_elsewhere(&error.error) && Instant::now() < deadline => {
                    fresh = error.file;
                    sleep(LEAST_PAUSE).await;
                }
                Err(error) => return Err(error.error),
            }
        }
        drop(lock);
        // The name too is on the disk then; where a directory cannot be synchronised, nothing is lost but that.
        #[cfg(unix)]
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(Outcome::Written)
    }

    fn last_byte(&mut self) -> io::Result<u8> {
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        Ok(last[0])
    }
}

/// What is tried again while Windows says that somebody else has the file open.
///
/// # Cancel safety
/// As the attempt, which is made at once.
pub(super) async fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + OPEN_PATIENCE;
    loop {
        match attempt() {
            Err(error) if is_open_elsewhere(&error) && Instant::now() < deadline => sleep(LEAST_PAUSE).await,
            other => return other,
        }
    }
}

fn is_open_elsewhere(error: &io::Error) -> bool {
    /// `ERROR_SHARING_VIOLATION`, which the standard library has no kind for.
    const SHARING_VIOLATION: i32 = 32;
    let is_shared_by_nobody = error.raw_os_error() == Some(SHARING_VIOLATION);
    cfg!(windows) && (is_shared_by_nobody || error.kind() == io::ErrorKind::PermissionDenied)
}

/// Takes back what was written last, and no more than that: `ssh` may have written behind it. Says whether it did.
pub(super) fn take_back(file: &File, length: u64, written: u64) -> io::Result<bool> {
    let is_last = file.metadata()?.len() == length.saturating_add(written);
    if is_last {
        file.set_len(length)?;
    }
    Ok(is_last)
}

/// A file past the limit would not be read again, and so refuse every host.
fn bounded(length: u64) -> io::Result<()> {
    if length <= MAX_FILE {
        return Ok(());
    }
    let why =
        format!("it would be larger than {} MiB, and then not be read any more", MAX_FILE / (1024 * 1024));
    Err(io::Error::new(io::ErrorKind::FileTooLarge, why))
}

/// The rights of the file that is replaced. Where the new one cannot be of the same group, no other group gets what was
/// that one's.
#[cfg(unix)]
fn take_rights(fresh: &File, of: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    // Root alone may give a file away; to everybody else it is the user's own already, or stays so.
    let _ = fchown(fresh, Some(of.uid()), None);
    let mode = match fchown(fresh, None, Some(of.gid())) {
        Ok(()) => of.mode() & 0o777,
        Err(_) => of.mode() & 0o700,
    };
    fresh.set_permissions(PermissionsExt::from_mode(mode))
}

/// On Windows a new file has the access list of its directory.
#[cfg(windows)]
fn take_rights(fresh: &File, of: &Metadata) -> io::Result<()> {
    fresh.set_permissions(of.permissions())
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    Some((metadata.dev(), metadata.ino()))
}

#[cfg(windows)]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// What comes of asking for a lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Ours,
    /// The file system has none: nobody can be kept out, nor waited for.
    NoLocks,
}

/// Waits for a writer of ours that is in a file now. There is none where the file, or the one beside it on Windows, is
/// not there; one that cannot be waited for, since the file system has no locks, has a moment to end.
///
/// # Cancel safety
/// Dropped while it waits, it has locked nothing.
pub(super) async fn for_reading(path: &Path, locking: Locking) -> io::Result<Option<Lock>> {
    #[cfg(unix)]
    let locked = File::open(path);
    // Under the name by which writers call it: beside a link there is no lock.
    #[cfg(windows)]
    let locked = patiently(|| fs::canonicalize(path)).await.and_then(|path| File::open(beside(&path)));
    let file = match locked {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match in_turn(|| (locking.shared)(&file), Instant::now() + LOCK_PATIENCE).await? {
        Turn::Ours => Ok(Some(Lock(file))),
        Turn::NoLocks => {
            sleep(FIRST_PAUSE).await;
            Ok(None)
        }
    }
}

#[cfg(windows)]
fn beside(path: &Path) -> std::path::PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    beside.into()
}

async fn in_turn<F>(try_lock: F, deadline: Instant) -> io::Result<Turn>
where
    F: Fn() -> Result<(), TryLockError>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match try_lock() {
            Ok(()) => return Ok(Turn::Ours),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(Turn::NoLocks),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("its lock was not to be had for {} s", LOCK_PATIENCE.as_secs()),
                ));
            }
            Err(TryLockError::WouldBlock) => sleep(pause).await,
        }
        pause = (pause * 9 / 10).max(LEAST_PAUSE);
    }
}

/// Whether the error says that the file system has no locks, as network file systems do: there is no daemon for them on
/// the other side, or nobody ever wrote them.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    let codes = {
        use rustix::io::Errno;

        // The last two are one but on macOS, where `flock` says the last.
        [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP].map(Errno::raw_os_error)
    };
    // ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED.
    #[cfg(windows)]
    let codes = [1, 50];
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
