//! Directories and links of this side.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::local::details::{Details, Kind};
use crate::local::driver::{broken_off, off_thread};
use crate::local::preserve::Preserved;
#[cfg(unix)]
use crate::local::preserve::set_mode;
use crate::local::{failed, refused};
use crate::transfer::names;

/// One name in a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    /// Of the entry itself, not of what a link leads to. An error where it cannot be asked; the others are not
    /// concerned.
    pub(crate) details: Result<Details, Error>,
}

/// A directory that is being listed, in the order in which the system gives its names.
#[derive(Debug)]
pub(crate) struct Listing {
    path: PathBuf,
    left: Left,
}

#[derive(Debug)]
enum Left {
    /// Nothing was read yet.
    All,
    Rest(Box<fs::ReadDir>),
    Nothing,
    /// A call was dropped, and what it had with it.
    Lost,
}

/// Makes a directory and those above it that are not there. Links on the way are followed: it is for a path that the
/// user named. With `fill` the last one is opened up as by [`make_dir`].
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where one cannot be made, or something else has its name.
///
/// # Cancel safety
/// Dropped, they are made nevertheless, unless it had not begun.
pub(crate) async fn create_dir_all(path: PathBuf, fill: bool) -> Result<(), Error> {
    let shown = path.clone();
    let work = move || {
        fs::create_dir_all(&path).map_err(|error| refused(MAKE, &path, error))?;
        if fill && let Ok(there) = fs::metadata(&path) {
            open_up(&path, Links::Follow, Details::from(&there).mode());
        }
        Ok(())
    };
    off_thread(MAKE, &shown, work).await
}

/// Makes one directory, or finds it there: a true one, no link to one. It is for names that the server chose, whose
/// earlier answer may have put a link there that leads elsewhere.
///
/// `mode` are the permissions of a new one, before the system's mask. Its owner can write in it in any case; what it
/// has in the end is set by [`preserve`] when everything is in it. With `fill` the owner can write in one that is there too,
/// which may be read-only since it was filled the last time.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be made, or something else has its name.
///
/// # Cancel safety
/// Dropped, it is made nevertheless, unless it had not begun.
pub(crate) async fn make_dir(path: PathBuf, mode: u32, fill: bool) -> Result<(), Error> {
    let shown = path.clone();
    off_thread(MAKE, &shown, move || match new_dir(&path, mode) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = fs::symlink_metadata(&path).map_err(|error| refused(MAKE, &path, error))?;
            let there = Details::from(&there);
            match there.kind() {
                Kind::Directory => {
                    if fill {
                        open_up(&path, Links::Keep, there.mode());
                    }
                    Ok(())
                }
                Kind::Link => {
                    Err(failed(MAKE, &path, "there is a link, which may lead out of the directory"))
                }
                Kind::File | Kind::Special => Err(failed(MAKE, &path, "there is a file of this name")),
            }
        }
        Err(error) => Err(refused(MAKE, &path, error)),
    })
    .await
}

/// Begins to list a directory.
pub(crate) fn list(path: PathBuf) -> Listing {
    Listing { path, left: Left::All }
}

impl Listing {
    /// The next names, up to [`AT_ONCE`], so that memory does not depend on the directory; `None` after the last.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where the directory cannot be read, or not any further.
    ///
    /// # Cancel safety
    /// Dropped, the listing is lost, and the next call says so.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        let left = std::mem::replace(&mut self.left, Left::Lost);
        let path = self.path.clone();
        let work = move || {
            let mut rest = match left {
                Left::All => Box::new(fs::read_dir(&path).map_err(|error| refused(LIST, &path, error))?),
                Left::Rest(rest) => rest,
                Left::Nothing => return Ok((Vec::new(), Left::Nothing)),
                Left::Lost => return Err(broken_off(LIST, &path)),
            };
            let mut entries = Vec::new();
            for entry in rest.by_ref().take(AT_ONCE) {
                let entry = entry.map_err(|error| refused(LIST, &path, error))?;
                let details = entry.metadata().map(|metadata| Details::from(&metadata));
                let details = details.map_err(|error| refused(LOOK, &entry.path(), error));
                entries.push(Entry { name: entry.file_name(), details });
            }
            let left = if entries.len() < AT_ONCE { Left::Nothing } else { Left::Rest(rest) };
            Ok((entries, left))
        };
        let (entries, left) = off_thread(LIST, &self.path, work).await?;
        self.left = left;
        Ok(Some(entries).filter(|entries| !entries.is_empty()))
    }
}

/// How many names come together.
pub(crate) const AT_ONCE: usize = 256;

/// All that is in a directory; nothing where it is not there.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where it cannot be read.
///
/// # Cancel safety
/// Nothing is changed.
pub(crate) async fn list_all(path: PathBuf) -> Result<Vec<Entry>, Error> {
    match details(path.clone(), Links::Follow).await {
        Err(error) if error.kind() == ErrorKind::NotFound || is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let mut listing = list(path);
    let mut entries = Vec::new();
    while let Some(more) = listing.next().await? {
        entries.extend(more);
    }
    Ok(entries)
}

/// What there is under a path: of what a link leads to, or of the link itself.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where nothing is there or it may not be asked.
///
/// # Cancel safety
/// Nothing is changed.
pub(crate) async fn details(path: PathBuf, links: Links) -> Result<Details, Error> {
    let shown = path.clone();
    let work = move || {
        let metadata = match links {
            Links::Follow => fs::metadata(&path),
            Links::Keep => fs::symlink_metadata(&path),
        };
        metadata.map(|metadata| Details::from(&metadata)).map_err(|error| refused(LOOK, &path, error))
    };
    off_thread(LOOK, &shown, work).await
}

/// The absolute path of something that is there, without links: two ways to one directory have the same. Its bytes are for
/// comparison.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where nothing is there or it may not be asked.
///
/// # Cancel safety
/// Nothing is changed.
pub(crate) async fn real_path(path: PathBuf) -> Result<Bytes, Error> {
    let shown = path.clone();
    let work = move || {
        let real = fs::canonicalize(&path).map_err(|error| refused(LOOK, &path, error))?;
        Ok(Bytes::copy_from_slice(real.as_os_str().as_encoded_bytes()))
    };
    off_thread(LOOK, &shown, work).await
}

/// What [`real_path`] gives for a name in a directory of which it gave `above`, if the name is no link.
pub(crate) fn below(above: &[u8], name: &[u8]) -> Bytes {
    let separator = [std::path::MAIN_SEPARATOR as u8];
    let separator = if above.ends_with(&separator) { &[][..] } else { &separator[..] };
    Bytes::from([above, separator, name].concat())
}

/// What is meant by a path that ends in a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// What it leads to.
    Follow,
    /// The link.
    Keep,
}

/// Gives permissions and times to a directory that is there, after everything in it is written.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where the system refuses, where it is no directory, and where it is a link
/// that is to be kept.
///
/// # Cancel safety
/// Dropped, it is done nevertheless, unless it had not begun.
pub(crate) async fn preserve(path: PathBuf, links: Links, preserved: Preserved) -> Result<(), Error> {
    let shown = path.clone();
    let work = move || {
        let refused = |error| refused(SET, &path, error);
        let directory = open_for_attributes(&path, links).map_err(refused)?;
        let metadata = directory.metadata().map_err(refused)?;
        match Details::from(&metadata).kind() {
            Kind::Directory => preserved.apply(&directory).map_err(refused),
            Kind::Link | Kind::File | Kind::Special => {
                Err(failed(SET, &path, "there is something else in the place of the directory"))
            }
        }
    };
    off_thread(SET, &shown, work).await
}

/// Makes a symbolic link with this text, which may lead anywhere: whether it should is the caller's to decide.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where the name is taken or the system refuses. Windows lets only
/// administrators make links, and in developer mode everybody; the error says so. It also tells links to directories
/// from others when they are made, so what the link leads to should be there before.
///
/// # Cancel safety
/// Dropped, it is made nevertheless, unless it had not begun.
pub(crate) async fn make_link(path: PathBuf, text: Bytes) -> Result<(), Error> {
    let shown = path.clone();
    off_thread(LINK, &shown, move || make_link_here(&path, &text)).await
}

/// Puts a symbolic link in the place of a file or of another link, in one step.
///
/// # Errors
/// As [`make_link`], and where the name cannot be taken.
///
/// # Cancel safety
/// Dropped, it is done nevertheless, unless it had not begun.
pub(crate) async fn replace_with_link(path: PathBuf, text: Bytes) -> Result<(), Error> {
    let shown = path.clone();
    let work = move || {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| failed(LINK, &path, "the system gives no random numbers").with_source(error))?;
        let temporary = path.with_file_name(format!(".rustle-{:016x}", u64::from_ne_bytes(random)));
        make_link_here(&temporary, &text)?;
        fs::rename(&temporary, &path).map_err(|error| {
            // The error that is told is the one that made it useless.
            let _ = fs::remove_file(&temporary);
            refused(LINK, &path, error)
        })
    };
    off_thread(LINK, &shown, work).await
}

/// The text of a symbolic link, as a server would have it: the same bytes on Unix, with `/` for `\` on Windows.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) where it is none, and
/// [`ErrorKind::InvalidName`](crate::ErrorKind::InvalidName) where its text is no Unicode on Windows.
///
/// # Cancel safety
/// Nothing is changed.
pub(crate) async fn link_target(path: PathBuf) -> Result<Bytes, Error> {
    let shown = path.clone();
    let work = move || {
        let text = fs::read_link(&path).map_err(|error| refused("read local link", &path, error))?;
        let text = names::for_server(text.as_os_str())?;
        if cfg!(windows) {
            let slashes = text.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte });
            return Ok(slashes.collect());
        }
        Ok(text)
    };
    off_thread("read local link", &shown, work).await
}

/// Whether an error of this side says that nothing is there.
pub(crate) fn is_missing(error: &Error) -> bool {
    is_of_kind(error, io::ErrorKind::NotFound)
}

/// Whether an error of this side says that this user may not.
pub(crate) fn is_denied(error: &Error) -> bool {
    is_of_kind(error, io::ErrorKind::PermissionDenied)
}

fn is_of_kind(error: &Error, kind: io::ErrorKind) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == kind)
}

const MAKE: &str = "make local directory";
const LIST: &str = "list local directory";
const LOOK: &str = "look at local file";
const SET: &str = "set attributes of local file";
const LINK: &str = "make local link";

#[cfg(unix)]
fn new_dir(path: &Path, mode: u32) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, (mode & 0o777) | 0o700);
    builder.create(path)
}

/// On Windows a directory inherits the access list of the one that it is in.
#[cfg(windows)]
fn new_dir(path: &Path, _mode: u32) -> io::Result<()> {
    fs::create_dir(path)
}

/// Lets the owner of a directory fill it, or empty it. Whoever may not do that may still be allowed to write, and is told of
/// each file otherwise.
#[cfg(unix)]
pub(super) fn open_up(path: &Path, links: Links, mode: u32) {
    if mode & 0o700 == 0o700 {
        return;
    }
    set_dir_mode(path, links, mode | 0o700);
}

/// Gives a directory permissions, as far as this user may.
#[cfg(unix)]
pub(super) fn set_dir_mode(path: &Path, links: Links, mode: u32) {
    let mode = mode & 0o7777;
    let _ = match open_for_attributes(path, links) {
        // Permissions can be given to one that may not be read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => set_unread_mode(path, links, mode),
        Err(error) => Err(error),
        Ok(directory) => set_mode(&directory, mode),
    };
}

/// Only a path below `/proc` gives permissions to what was opened without being read, and says that it is a directory.
#[cfg(target_os = "linux")]
fn set_unread_mode(path: &Path, links: Links, mode: u32) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd as _;
    let no_follow = if links == Links::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | no_follow;
    let opened = rustix::fs::open(path, flags, Mode::empty())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(format!("/proc/self/fd/{}", opened.as_raw_fd()), mode)
}

/// Here nothing says that it is still a directory: a file that took its place gets its permissions, a link does not.
#[cfg(all(unix, not(target_os = "linux")))]
fn set_unread_mode(path: &Path, links: Links, mode: u32) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Mode, RawMode};
    let flags = if links == Links::Keep { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
    let mode = Mode::from_raw_mode(RawMode::try_from(mode).map_err(io::Error::other)?);
    Ok(rustix::fs::chmodat(CWD, path, mode, flags)?)
}

/// On Windows no attribute of a directory keeps anybody from writing in it.
#[cfg(windows)]
pub(super) fn open_up(_path: &Path, _links: Links, _mode: u32) {}

#[cfg(windows)]
pub(super) fn set_dir_mode(_path: &Path, _links: Links, _mode: u32) {}

#[cfg(unix)]
fn open_for_attributes(path: &Path, links: Links) -> io::Result<File> {
    use super::target::{NO_WAIT, flag};
    use rustix::fs::OFlags;
    let no_follow = if links == Links::Keep { flag(OFlags::NOFOLLOW) } else { 0 };
    let mut options = fs::OpenOptions::new();
    // Its attributes are its owner's to set, who may not be allowed to write.
    let flags = NO_WAIT | flag(OFlags::DIRECTORY) | no_follow;
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    options.read(true).open(path)
}

/// `FILE_FLAG_BACKUP_SEMANTICS` opens directories too, `FILE_FLAG_OPEN_REPARSE_POINT` a link itself, and
/// `FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES` is all that is needed of them.
#[cfg(windows)]
pub(super) fn open_for_attributes(path: &Path, links: Links) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    let no_follow = if links == Links::Keep { 0x0020_0000 } else { 0 };
    fs::OpenOptions::new().access_mode(0x0080 | 0x0100).custom_flags(0x0200_0000 | no_follow).open(path)
}

#[cfg(unix)]
fn make_link_here(path: &Path, text: &[u8]) -> Result<(), Error> {
    let text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(text);
    std::os::unix::fs::symlink(text, path).map_err(|error| refused(LINK, path, error))
}

#[cfg(windows)]
fn make_link_here(path: &Path, text: &[u8]) -> Result<(), Error> {
    // ERROR_PRIVILEGE_NOT_HELD
    const NOT_ALLOWED: i32 = 1314;
    let Ok(text) = str::from_utf8(text) else {
        return Err(failed(
            LINK,
            path,
            "what it leads to is not UTF-8, and on this system a path is Unicode",
        ));
    };
    let text = PathBuf::from(text.replace('/', "\\"));
    let leads_to = path.parent().map_or_else(|| text.clone(), |parent| parent.join(&text));
    let made = match leads_to.is_dir() {
        true => std::os::windows::fs::symlink_dir(&text, path),
        false => std::os::windows::fs::symlink_file(&text, path),
    };
    made.map_err(|error| match error.raw_os_error() {
        Some(NOT_ALLOWED) => failed(LINK, path, "Windows lets this user make no links")
            .with_hint("run as administrator, or turn on developer mode")
            .with_source(error),
        _ => refused(LINK, path, error),
    })
}
