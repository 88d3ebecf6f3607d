//! Files that are read or written at once: small ones by the dozen, and blocks and hashes of larger ones.
//!
//! A thread for each of a thousand small files would cost more than the files. Here many are one job, as large as the
//! caller makes it: what it asks for is what is in memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::local::details::Details;
use crate::local::driver::{broken_off, off_thread};
use crate::local::reader::{changed, open_regular};
use crate::local::target::{Finish, Placing, Target};
use crate::local::tree::Links;
use crate::local::{positional, refused};

const READ: &str = "read local file";
const WRITE: &str = "write local file";

/// A file that was asked for as a whole.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) details: Details,
    /// All of it; `None` where it is longer than was asked for, and has to be read in blocks.
    pub(crate) data: Option<Bytes>,
}

/// A file that is to be written as a whole, under a name that the server chose.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) path: PathBuf,
    pub(crate) placing: Placing,
    /// As for [`Target::create_inside`].
    pub(crate) mode: u32,
    pub(crate) data: Vec<Bytes>,
    pub(crate) finish: Finish,
}

/// Reads each of the files that has no more than `most` bytes. The results are in the order of the paths.
///
/// # Errors
/// For each file by itself, as those of [`Reader`](crate::local::reader::Reader). For all of them where the program is ending.
///
/// # Cancel safety
/// Nothing is changed.
pub(crate) async fn read_small(paths: Vec<PathBuf>, most: usize) -> Result<Vec<Result<Small, Error>>, Error> {
    let shown = paths.first().cloned().unwrap_or_default();
    let work = move || Ok(paths.iter().map(|path| read_whole(path, most)).collect());
    off_thread(READ, &shown, work).await
}

/// Writes each of the files. The results are in the order of the files.
///
/// # Errors
/// For each file by itself, as those of [`Target`]. For all of them where the program is ending.
///
/// # Cancel safety
/// Dropped, they are written nevertheless, unless it had not begun; each is left as its placing says.
pub(crate) async fn write_small(files: Vec<Wanted>) -> Result<Vec<Result<(), Error>>, Error> {
    let shown = files.first().map(|file| file.path.clone()).unwrap_or_default();
    let work = move || Ok(files.into_iter().map(write_whole).collect());
    off_thread(WRITE, &shown, work).await
}

/// The SHA-256 of a range of a file, or of what of it there is. `sha2` uses the processor's own instructions where it
/// finds them at run time.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be read, and
/// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where it was cut meanwhile.
///
/// # Cancel safety
/// Nothing is changed, and the thread stops reading.
pub(crate) async fn sha256(path: PathBuf, range: Range<u64>) -> Result<[u8; 32], Error> {
    let shown = path.clone();
    sha256_by(&shown, range, move || open_regular(&path).map(|(file, _details)| Arc::new(file))).await
}

/// [`sha256`] of a file that `open` opens, on the thread that may block.
pub(super) async fn sha256_by(
    path: &Path,
    range: Range<u64>,
    open: impl FnOnce() -> Result<Arc<File>, Error> + Send + 'static,
) -> Result<[u8; 32], Error> {
    // Reading may take minutes, for which nobody should wait who wants to end the program.
    let asker = Arc::new(());
    let (asked, shown) = (Arc::downgrade(&asker), path.to_owned());
    let work = move || {
        let file = open()?;
        sha256_of(&file, &shown, range, &asked)
    };
    let hash = off_thread(READ, path, work).await;
    drop(asker);
    hash
}

/// Some ranges of a file, without what is past its end, on a thread that may block.
pub(super) fn ranges_of(file: &File, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
    let end = file.metadata()?.len();
    let read = |range: &Range<u64>| {
        let length = range.end.min(end).saturating_sub(range.start);
        let mut room = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let filled = positional::read(file, &mut room, range.start)?;
        room.truncate(filled);
        Ok(Bytes::from(room))
    };
    ranges.iter().map(read).collect()
}

fn sha256_of(file: &File, path: &Path, range: Range<u64>, asker: &Weak<()>) -> Result<[u8; 32], Error> {
    let refused_here = |error| refused(READ, path, error);
    let end = range.end.min(file.metadata().map_err(refused_here)?.len());
    let mut hash = Sha256::new();
    let mut room = vec![0; 256 * 1024];
    let mut at = range.start;
    while at < end {
        if asker.strong_count() == 0 {
            return Err(broken_off(READ, path));
        }
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(room.len());
        if positional::read(file, &mut room[..wanted], at).map_err(refused_here)? < wanted {
            return Err(changed(path, "it became shorter while it was read"));
        }
        hash.update(&room[..wanted]);
        at += wanted as u64;
    }
    Ok(hash.finalize().into())
}

fn read_whole(path: &Path, most: usize) -> Result<Small, Error> {
    let (file, details) = open_regular(path)?;
    let Some(length) = usize::try_from(details.length()).ok().filter(|&length| length <= most) else {
        return Ok(Small { details, data: None });
    };
    let mut room = vec![0; length];
    let filled = positional::read(&file, &mut room, 0).map_err(|error| refused(READ, path, error))?;
    let now = Details::of(&file).map_err(|error| refused(READ, path, error))?;
    if filled < length || now.stamp() != details.stamp() {
        return Err(changed(path, "it was written to while it was read"));
    }
    Ok(Small { details, data: Some(room.into()) })
}

fn write_whole(wanted: Wanted) -> Result<(), Error> {
    let Wanted { path, placing, mode, data, finish } = wanted;
    let target = Target::create_here(path.into(), placing, Links::Keep, mode)?;
    target.fill(&data)?;
    target.commit_here(&finish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_nobody_waits_for_is_not_finished() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "data").unwrap();
        let asker = Arc::new(());
        let asked = Arc::downgrade(&asker);
        let hash = || sha256_of(file.as_file(), file.path(), 0..4, &asked);
        assert_eq!(hash().unwrap(), <[u8; 32]>::from(Sha256::digest("data")));
        drop(asker);
        assert!(hash().unwrap_err().to_string().contains("broken off"));
    }
}
