//! What is under a name before a file is: opened where it is, replaced, or refused.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::local::details::{Details, Kind};
use crate::local::target::{OPERATION, Placing, READ};
use crate::local::tree::Links;
use crate::local::{failed, refused};

/// What is there under the name already, if it can be replaced: its permissions.
pub(super) fn replaced_mode(path: &Path) -> Result<Option<u32>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => match Details::from(&metadata).kind() {
            Kind::File => Ok(Some(Details::from(&metadata).mode())),
            // A link has no permissions of its own.
            Kind::Link => Ok(None),
            Kind::Directory => Err(refused(OPERATION, path, io::ErrorKind::IsADirectory.into())),
            Kind::Special => Err(failed(
                OPERATION,
                path,
                "there is a device, a pipe or a socket, which is not replaced by a file",
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(OPERATION, path, error)),
    }
}

/// Where a link leads; another path is as it was.
pub(super) fn followed(path: PathBuf) -> Result<PathBuf, Error> {
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(&path).map_err(|error| {
            failed(OPERATION, &path, "there is a link, and what it leads to is not there").with_source(error)
        }),
        // Whatever else may be wrong with it is found when it is opened.
        Ok(_) | Err(_) => Ok(path),
    }
}

/// Opens a file where it is, or makes it. Unless it may be a part, it is emptied.
pub(super) fn open_in_place(path: &Path, placing: Placing, links: Links, mode: u32) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(placing != Placing::InPlaceResumable);
    let follows = links == Links::Follow;
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let no_follow = if follows { 0 } else { super::flag(rustix::fs::OFlags::NOFOLLOW) };
        options.mode(mode | 0o200).custom_flags(super::NO_WAIT | no_follow);
    }
    #[cfg(windows)]
    {
        // FILE_FLAG_OPEN_REPARSE_POINT: the link itself is opened, and then refused.
        let flags = if follows { 0 } else { 0x0020_0000 };
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, flags);
        let _ = mode;
        if path.is_dir() {
            return Err(refused(OPERATION, path, io::ErrorKind::IsADirectory.into()));
        }
    }
    let is_link = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let through_link = || failed(OPERATION, path, "there is a link, which may lead out of the directory");
    if cfg!(windows) && !follows && is_link() {
        // Opened to be cut, a link would be emptied.
        return Err(through_link());
    }
    let file = options.open(path).map_err(|error| match !follows && is_link() {
        true => through_link().with_source(error),
        false => refused(OPERATION, path, error),
    })?;
    let details = Details::of(&file).map_err(|error| refused(OPERATION, path, error))?;
    if details.kind() == Kind::Link {
        return Err(through_link());
    }
    if details.kind() == Kind::Special && !takes_any_place(&file).map_err(|e| refused(OPERATION, path, e))? {
        return Err(failed(OPERATION, path, "a pipe or a socket, which cannot be written out of order"));
    }
    Ok(file)
}

/// Opens a regular file to be read, and to be given attributes by its owner; how long it is.
pub(super) fn open_to_read(path: &Path, links: Links) -> Result<(File, u64), Error> {
    let mut options = OpenOptions::new();
    options.read(true);
    let follows = links == Links::Follow;
    #[cfg(unix)]
    {
        let no_follow = if follows { 0 } else { super::flag(rustix::fs::OFlags::NOFOLLOW) };
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, super::NO_WAIT | no_follow);
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::OpenOptionsExt;
        // GENERIC_READ and FILE_WRITE_ATTRIBUTES; FILE_FLAG_OPEN_REPARSE_POINT opens a link itself.
        options.access_mode(0x8000_0000 | 0x0100).custom_flags(if follows { 0 } else { 0x0020_0000 });
    }
    let file = options.open(path).map_err(|error| refused(READ, path, error))?;
    let details = Details::of(&file).map_err(|error| refused(READ, path, error))?;
    match details.kind() {
        Kind::File => Ok((file, details.length())),
        Kind::Directory | Kind::Link | Kind::Special => Err(failed(READ, path, "it is no regular file")),
    }
}

/// `/dev/null` and other devices do; a pipe has no places.
#[cfg(unix)]
fn takes_any_place(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    let kind = file.metadata()?.file_type();
    Ok(kind.is_char_device() || kind.is_block_device())
}

#[cfg(windows)]
fn takes_any_place(_file: &File) -> io::Result<bool> {
    Ok(false)
}
