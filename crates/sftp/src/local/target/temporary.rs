//! The file beside the file: made under a name that nobody has, renamed when it is whole, removed otherwise.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::local::details::{Details, Stamp};
use crate::local::target::OPERATION;
use crate::local::{failed, refused};

/// A temporary file. Dropped, it is removed, unless it can be resumed.
#[derive(Debug)]
pub(super) struct Temporary {
    // None once it is renamed or removed.
    path: Option<PathBuf>,
    stays: bool,
}

/// The longest name of most file systems, in bytes on Unix and UTF-16 units on Windows.
const LONGEST_NAME: usize = 255;
/// Another transfer may be about to end; and what this process gave up may still be in its last system call.
const LOCK_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

impl Temporary {
    /// A new file beside `path`, under a name that nobody can guess, with `mode` and the system's mask.
    pub(super) fn create(path: &Path, mode: u32) -> Result<(File, Self), Error> {
        // So many accidents do not happen; whatever says that each name is taken is broken.
        const TRIES: u32 = 8;
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            let mut random = [0; 5];
            getrandom::fill(&mut random)
                .map_err(|error| refused(OPERATION, path, io::Error::other(error)))?;
            let temporary = beside(path, &name_of(random))?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            with_mode(&mut options, mode | 0o600);
            match options.open(&temporary) {
                Ok(file) => return Ok((file, Self { path: Some(temporary), stays: false })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(refused(OPERATION, path, error)),
            }
        }
        Err(refused(OPERATION, path, last))
    }

    /// The part that an earlier transfer left beside `path`, or a new one, locked for this one.
    pub(super) fn open_part(path: &Path) -> Result<(File, Self), Error> {
        let part = beside(path, "part")?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        with_mode(&mut options, 0o600);
        // Never through a link: others may write in the directory, and the name is known.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            super::flag(rustix::fs::OFlags::NOFOLLOW) | super::NO_WAIT,
        );
        #[cfg(windows)]
        if fs::symlink_metadata(&part).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(failed(OPERATION, &part, "there is a link in the place of a part"));
        }
        let mut was_removed = false;
        for _ in 0..LOCK_TRIES {
            let file = match options.open(&part) {
                // An attempt that was cut off at its very end may have given it its final permissions.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_made_private(&part) => {
                    continue;
                }
                opened => opened.map_err(|error| refused(OPERATION, &part, error))?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(BETWEEN_TRIES);
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(refused(OPERATION, &part, error)),
            }
            // Whoever had the lock may have given the file its final name, or removed it.
            if is_still_there(&file, &part).map_err(|error| refused(OPERATION, &part, error))? {
                // Some file systems give every file such permissions: a new one has them again.
                if !was_removed && is_ours_and_open_to_others(&file) {
                    // The same, and somebody may have it open to write: it is not gone on with.
                    was_removed = true;
                    fs::remove_file(&part).map_err(|error| refused(OPERATION, &part, error))?;
                    continue;
                }
                check_own(&file, &part)?;
                return Ok((file, Self { path: Some(part), stays: true }));
            }
        }
        Err(failed(OPERATION, &part, "another transfer writes to it")
            .with_hint("wait for the other transfer, or end it"))
    }

    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Takes the place of `path`, in one step. Where that fails, it is removed.
    pub(super) fn rename(mut self, path: &Path) -> Result<(), Error> {
        self.stays = false;
        let Some(from) = self.path.as_deref() else { return Ok(()) };
        fs::rename(from, path).map_err(|error| refused("rename local file", path, error))?;
        self.path = None;
        Ok(())
    }

    /// Removes it.
    pub(super) fn remove(mut self) -> Result<(), Error> {
        let Some(path) = self.path.take() else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(refused("remove local file", &path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && !self.stays
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a temporary file could not be removed");
        }
    }
}

/// `.NAME.rustle-END` in the directory of `path`, with as much of the name as there is room for.
fn beside(path: &Path, end: &str) -> Result<PathBuf, Error> {
    let Some(name) = path.file_name() else {
        return Err(failed(OPERATION, path, "it does not end in the name of a file"));
    };
    let mut temporary = OsString::from(".");
    let suffix = format!(".rustle-{end}");
    temporary.push(shortened(name, LONGEST_NAME - 1 - suffix.len()));
    temporary.push(suffix);
    Ok(path.with_file_name(temporary))
}

/// The beginning of a name, and where some of it is left out a hash of all of it: two long names that begin alike would
/// have one part.
#[cfg(unix)]
fn shortened(name: &std::ffi::OsStr, most: usize) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = name.as_bytes();
    if bytes.len() <= most {
        return name.to_owned();
    }
    let hash = hash_of(bytes);
    let mut begin = &bytes[..most - hash.len()];
    // Not in the middle of a letter, which macOS refuses.
    if let (Ok(_), Err(cut)) = (str::from_utf8(bytes), str::from_utf8(begin)) {
        begin = &begin[..cut.valid_up_to()];
    }
    OsString::from_vec([begin, hash.as_bytes()].concat())
}

#[cfg(windows)]
fn shortened(name: &std::ffi::OsStr, most: usize) -> OsString {
    use std::os::windows::ffi::{OsStrExt, OsStringExt};
    let units: Vec<u16> = name.encode_wide().collect();
    if units.len() <= most {
        return name.to_owned();
    }
    let hash = hash_of(name.as_encoded_bytes());
    let mut short = OsString::from_wide(&units[..most - hash.len()]);
    short.push(hash);
    short
}

fn hash_of(name: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(name).into();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Eight characters that every file system tells apart, whatever it thinks of upper and lower case.
fn name_of(random: [u8; 5]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let number = random.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    let letter = |index: u32| char::from(ALPHABET[usize::try_from(number >> (5 * index) & 31).unwrap_or(0)]);
    (0..8).map(letter).collect()
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) {
    std::os::unix::fs::OpenOptionsExt::mode(options, mode);
}

/// On Windows a file inherits the access list of its directory.
#[cfg(windows)]
fn with_mode(_options: &mut OpenOptions, _mode: u32) {}

fn is_still_there(file: &File, path: &Path) -> io::Result<bool> {
    let there = match File::open(path) {
        Ok(there) => Details::of(&there)?.stamp(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let ours: Stamp = Details::of(file)?.stamp();
    Ok(ours.is_same_file(&there))
}

/// The name is known, so that anybody who may write in the directory can have put a file there: one of theirs, which
/// they could change after it was checked, or one with a second name.
#[cfg(unix)]
fn check_own(file: &File, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().map_err(|error| refused(OPERATION, path, error))?;
    if is_own(&metadata) && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(failed(OPERATION, path, "the part was made by somebody else, or others may write to it")
        .with_hint("look at it, and remove it"))
}

/// Whether it is a file of this user with one name, which others may write to.
#[cfg(unix)]
fn is_ours_and_open_to_others(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| is_own(&metadata) && metadata.mode() & 0o022 != 0)
}

/// A file of this user, under no other name.
#[cfg(unix)]
fn is_own(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    is_ours && metadata.nlink() == 1 && metadata.is_file()
}

/// Who else may write is in the directory's access list, and no part changes it.
#[cfg(windows)]
fn is_ours_and_open_to_others(_file: &File) -> bool {
    false
}

/// Gives a part of this user, which nobody else is at work on, the permissions that parts have.
#[cfg(unix)]
fn is_made_private(part: &Path) -> bool {
    let mut options = OpenOptions::new();
    options.read(true);
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        super::flag(rustix::fs::OFlags::NOFOLLOW) | super::NO_WAIT,
    );
    let Ok(file) = options.open(part) else { return false };
    let is_ours = file.metadata().is_ok_and(|metadata| is_own(&metadata));
    is_ours && file.try_lock().is_ok() && crate::local::preserve::set_mode(&file, 0o600).is_ok()
}

/// Takes from a part the attribute that keeps everybody from writing.
#[cfg(windows)]
#[expect(
    clippy::permissions_set_readonly_false,
    reason = "it lets nobody in who was kept out by an access list"
)]
fn is_made_private(part: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(part) else { return false };
    let mut permissions = metadata.permissions();
    if !metadata.is_file() || !permissions.readonly() {
        return false;
    }
    permissions.set_readonly(false);
    fs::set_permissions(part, permissions).is_ok()
}

#[cfg(windows)]
fn check_own(file: &File, path: &Path) -> Result<(), Error> {
    let information =
        winapi_util::file::information(file).map_err(|error| refused(OPERATION, path, error))?;
    match information.number_of_links() {
        1 => Ok(()),
        _ => {
            Err(failed(OPERATION, path, "the part has a second name").with_hint("look at it, and remove it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_beside_the_file_and_never_too_long() {
        let path = Path::new("dir").join("a.txt");
        assert_eq!(beside(&path, "part").unwrap(), Path::new("dir").join(".a.txt.rustle-part"));
        let long = Path::new("dir").join("\u{e9}".repeat(120));
        let temporary = beside(&long, "part").unwrap();
        let length = temporary.file_name().unwrap().to_str().unwrap().encode_utf16().count();
        assert!(length <= 255);
        #[cfg(unix)]
        assert!(temporary.file_name().unwrap().len() <= 255);
        for name in ["x".repeat(255), "\u{e9}".repeat(127)] {
            let temporary = beside(&Path::new("dir").join(&name), "abcdefgh").unwrap();
            let name = temporary.file_name().unwrap().to_str().expect("letters stay whole");
            let length = if cfg!(windows) { name.encode_utf16().count() } else { name.len() };
            assert!(length <= 255 && name.ends_with(".rustle-abcdefgh"), "{name}");
        }
        assert!(beside(Path::new(".."), "part").is_err());
    }

    #[test]
    fn long_names_that_begin_alike_have_parts_of_their_own() {
        let part =
            |end: &str| beside(&Path::new("d").join(format!("{}{end}", "x".repeat(254))), "part").unwrap();
        assert_ne!(part("a"), part("b"));
        assert_eq!(part("a"), part("a"));
    }

    #[test]
    fn random_names_are_of_letters_that_every_file_system_has() {
        assert_eq!(name_of([0; 5]), "aaaaaaaa");
        assert_eq!(name_of([0xff; 5]), "77777777");
    }
}
