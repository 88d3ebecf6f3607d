//! The `known_hosts` files themselves: read whole, appended to and rewritten under a lock.
//!
//! Reading and writing block the thread, on purpose. The files are small, the check happens once per
//! connection while nothing else of that connection can go on, and a thread pool would cost more than the
//! read. Following the keys that a host announces comes later and is rare: what it writes down changes once in years.
//! The one wait that may be long, for another process's lock, is asynchronous and bounded. Network file systems may have no
//! locks: files are read and lines added there all the same, and nothing is rewritten.

mod locked;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use self::locked::{Locked, Locking, Stamp};
use crate::error::{Error, ErrorKind, Result};

/// The largest `known_hosts` file that is read, and so the largest that is written.
pub(super) const MAX_FILE: u64 = rustle_trust::KnownHosts::MAX_FILE as u64;

/// How often a file is rewritten anew that `ssh`, which takes no lock, changed meanwhile.
const MOST_TRIES: u32 = 5;

/// What became of a file that might have been changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// There was nothing to change, or no file to change it in.
    AsItWas,
}

/// The bytes of a file. One that does not exist is empty; one that cannot be read, or is no file, is an
/// error, since a changed key would otherwise look like a new one.
///
/// For whoever holds the file's lock; others might find half a line ([`read_whole_lines`]).
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    read_if_there(path).map_err(|error| unreadable(path, error))
}

/// As [`read`], for whoever does not hold the file's lock.
///
/// A line that is just being written down is seen in pieces: it would be no line, or that of another host. So where the
/// last one has no end, the lock of who writes is waited for and the file read again. Most files end with a newline, and
/// cost no lock. Where the file system has no locks, the file is read once more a moment later. On Windows nobody can open
/// the file while another takes its place, which is waited for too.
///
/// # Cancel safety
/// Dropped while it waits, it has locked nothing.
pub(super) async fn read_whole_lines(path: &Path) -> Result<Vec<u8>> {
    read_whole_lines_by(path, Locking::SYSTEM).await
}

async fn read_whole_lines_by(path: &Path, locking: Locking) -> Result<Vec<u8>> {
    let bytes = read_at_once(path).await?;
    if bytes.last().is_none_or(|last| *last == b'\n') {
        return Ok(bytes);
    }
    let _lock = locked::for_reading(path, locking).await.map_err(|error| unreadable(path, error))?;
    read_at_once(path).await
}

/// As [`read`], for a file that nobody here writes to, and whose lock anybody may hold: the system's.
///
/// # Cancel safety
/// Dropped while it waits on Windows, it has done nothing.
pub(super) async fn read_at_once(path: &Path) -> Result<Vec<u8>> {
    locked::patiently(|| read_if_there(path)).await.map_err(|error| unreadable(path, error))
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match read_present(path, MAX_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::HostKeyRejected,
        "check host key",
        format!("the known hosts in {} cannot be read, so no host key can be checked", path.display()),
    )
    .with_hint(format!(
        "make {} a file that this user can read, or name another with `-o UserKnownHostsFile=…`",
        path.display()
    ))
    .with_source(error)
}

/// The bytes of a file that has to be there and to have no more than so many.
pub(super) fn read_present(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if is_null_device(path) {
        return Ok(Vec::new());
    }
    // Before opening: that would wait on a named pipe until somebody writes.
    if !fs::metadata(path)?.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it is larger than {} MiB", most / (1024 * 1024));
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}

/// Puts new bytes in the place of a file's, all at once: whoever reads it meanwhile sees the old ones or the new.
///
/// `change` is called while the file is locked, with what stands in it, and gives back `None` to leave it. It is called
/// again where somebody who takes no lock, as `ssh`, has written to the file meanwhile. A file that is not there is
/// left so.
///
/// # Cancel safety
/// It waits for the lock and, on Windows, for others to close the file. Dropped there, nothing has been written; after
/// it everything is done at once.
///
/// # Errors
/// Also where the file system has no locks: lines that others of ours write at the same time would be lost.
pub(super) async fn rewrite<F>(path: &Path, change: F) -> Result<Outcome>
where
    F: FnMut(&[u8]) -> Result<Option<Vec<u8>>>,
{
    rewrite_by(path, Locking::SYSTEM, change).await
}

async fn rewrite_by<F>(path: &Path, locking: Locking, mut change: F) -> Result<Outcome>
where
    F: FnMut(&[u8]) -> Result<Option<Vec<u8>>>,
{
    let failed = |error: io::Error| {
        let message = format!("the new host keys cannot be written to {}", path.display());
        Error::new(ErrorKind::HostKeyRejected, "update host keys", message)
            .with_hint("make the file and its directory writable for this user, or set `UpdateHostKeys no`")
            .with_source(error)
    };
    if is_null_device(path) || !path.exists() {
        return Ok(Outcome::AsItWas);
    }
    let path = locked::patiently(|| fs::canonicalize(path)).await.map_err(failed)?;
    for _ in 0..MOST_TRIES {
        let locked = Locked::open(&path, locking).await.map_err(failed)?;
        if !locked.is_alone() {
            let message = format!(
                "the new host keys are not written to {}: its file system has no locks, so that lines which others write \
                 to it might be lost",
                path.display()
            );
            return Err(Error::new(ErrorKind::HostKeyRejected, "update host keys", message)
                .with_hint("have it on a local disk (`UserKnownHostsFile`), or set `UpdateHostKeys no`"));
        }
        let before = Stamp::of(&path).map_err(failed)?;
        let bytes = read_present(&path, MAX_FILE).map_err(failed)?;
        let Some(new) = change(&bytes)? else { return Ok(Outcome::AsItWas) };
        if locked.replace(&path, &new, &before).await.map_err(failed)? == Outcome::Written {
            return Ok(Outcome::Written);
        }
    }
    Err(failed(io::Error::new(io::ErrorKind::ResourceBusy, "somebody else writes to it again and again")))
}

/// Appends a line, if `line` still wants to when the file is locked; whole or not at all, and on a line of
/// its own.
///
/// `line` is called while the lock is held, and reads the file again: another process may have added the
/// host.
///
/// Where the file system has no locks, the line is added as ssh adds one: with one write at the end of the file, behind a
/// line that has no end with a newline first. Processes that add the same host at once may add it twice then. Of lines
/// that several machines write in the same moment, only the last is sure to be there; a host whose line is lost is new
/// the next time.
///
/// # Cancel safety
/// It waits for the lock and, on Windows, for others to close the file. Dropped there, nothing has been written;
/// after it everything is done at once.
pub(super) async fn append<F>(path: &Path, line: F) -> Result<Outcome>
where
    F: FnOnce() -> Result<Option<String>>,
{
    append_by(path, Locking::SYSTEM, line).await
}

async fn append_by<F>(path: &Path, locking: Locking, line: F) -> Result<Outcome>
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
        return line().map(|_forgotten| Outcome::AsItWas);
    }
    make_directory(path).map_err(failed)?;
    let path = locked::patiently(|| made(path)).await.map_err(failed)?;
    let mut locked = Locked::open(&path, locking).await.map_err(failed)?;
    if !locked.is_alone() {
        tracing::debug!(file = %path.display(), "the file system has no locks: the line is added without one");
    }
    match line()? {
        Some(line) => locked.append(&line).map_err(failed),
        None => Ok(Outcome::AsItWas),
    }
}

/// `UserKnownHostsFile=/dev/null` is the usual way to remember nothing.
pub(super) fn is_null_device(path: &Path) -> bool {
    #[cfg(windows)]
    return path == Path::new("/dev/null")
        || ["NUL", "NUL:", r"\\.\NUL"].iter().any(|name| path.as_os_str().eq_ignore_ascii_case(name));
    #[cfg(not(windows))]
    return path == Path::new("/dev/null");
}

/// The file's own path, made where it is not there. A link stays one: what it leads to is locked and written, under one
/// name for all who write.
fn made(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(irregular()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => drop(options().create(true).open(path)?),
        Ok(_) | Err(_) => {}
    }
    fs::canonicalize(path)
}

/// How a file is opened that is written to; one that is made is for its owner alone.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
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

#[cfg(test)]
mod tests;
