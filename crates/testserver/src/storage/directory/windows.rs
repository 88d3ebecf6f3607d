//! What a directory of the disk needs of Windows. Names are UTF-8; there are no modes, owners or links to be made.

use std::{
    ffi::OsStr,
    fs::{self, File, FileTimes, Metadata},
    io,
    os::windows::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use bytes::Bytes;

use crate::storage::{
    Attributes, Changes, FileKind, FileSystem, OpenOptions, StorageError, directory::refusal, last_failure,
    walk::Found,
};

/// Files have no number here that can be had by their path. No client can make a link here, so no path leads out later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity;

pub(crate) fn identity(_metadata: &Metadata) -> Identity {
    Identity
}

/// Refuses what Windows would take for something else: a path, a stream, a device, or a name without its last dot.
pub(crate) fn name(name: &[u8]) -> Result<&OsStr, StorageError> {
    let name = std::str::from_utf8(name).map_err(|_| StorageError::InvalidName)?;
    let forbidden = |letter: char| letter.is_control() || r#"\/:*?"<>|"#.contains(letter);
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let device = DEVICES.iter().any(|device| device.eq_ignore_ascii_case(stem));
    if name.contains(forbidden) || name.ends_with(['.', ' ']) || device {
        return Err(StorageError::InvalidName);
    }
    Ok(OsStr::new(name))
}

/// The names that are devices in every directory, with any extension.
const DEVICES: [&str; 24] = [
    "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7",
    "COM8", "COM9", "LPT1", "LPT2", "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9",
];

/// A name that is not Unicode has no bytes that name it; its replacement is shown, so that it is seen.
#[expect(clippy::unnecessary_wraps, reason = "the caller asks whether a name can be shown")]
pub(crate) fn shown_name(name: &OsStr) -> Result<Vec<u8>, StorageError> {
    Ok(name.to_string_lossy().into_owned().into_bytes())
}

pub(crate) fn open(path: &Path, options: OpenOptions) -> Result<File, StorageError> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(LINKS);
    }
    let mut open = fs::OpenOptions::new();
    // Making or emptying a file needs the right to write; who may read only is told so by the handle.
    open.read(options.reads()).write(options.writes() || options.create);
    open.create(options.create).create_new(options.only_new()).truncate(options.truncate);
    open.open(path).map_err(refusal)
}

pub(crate) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut data = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.seek_read(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(filled);
    Ok(data.into())
}

pub(crate) fn write_at(file: &File, mut offset: u64, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let written = file.seek_write(data, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        data = data.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// A handle that Windows itself appends by cannot be cut off; so the end is looked up, by one writer at a time.
pub(crate) fn append(file: &File, data: &[u8]) -> io::Result<()> {
    static APPENDING: Mutex<()> = Mutex::new(());
    let _alone = APPENDING.lock().unwrap_or_else(PoisonError::into_inner);
    write_at(file, file.metadata()?.len(), data)
}

/// Windows knows one of the permissions, that to write.
pub(crate) fn attributes(metadata: &Metadata) -> Attributes {
    let (kind, most) = if metadata.is_symlink() {
        (FileKind::Symlink, 0o777)
    } else if metadata.is_dir() {
        (FileKind::Directory, 0o777)
    } else if metadata.is_file() {
        (FileKind::File, 0o666)
    } else {
        (FileKind::Other, 0o666)
    };
    let mode = if metadata.permissions().readonly() { most & 0o555 } else { most };
    Attributes {
        kind,
        mode,
        size: metadata.len(),
        allocated: metadata.len(),
        uid: 0,
        gid: 0,
        links: 1,
        accessed: metadata.accessed().unwrap_or(UNIX_EPOCH),
        modified: metadata.modified().unwrap_or(UNIX_EPOCH),
        inode: None,
    }
}

/// All changes but that of the size. Those that Windows knows are made before the others are refused.
pub(crate) fn change(path: &Path, metadata: &Metadata, changes: &Changes) -> Result<(), StorageError> {
    /// `FILE_WRITE_ATTRIBUTES`: all that is needed, and had for a file that may not be written.
    const WRITE_ATTRIBUTES: u32 = 0x100;
    /// `FILE_FLAG_BACKUP_SEMANTICS`, without which directories cannot be opened, and `FILE_FLAG_OPEN_REPARSE_POINT`,
    /// which does not follow a link.
    const FLAGS: u32 = 0x0200_0000 | 0x0020_0000;
    if metadata.is_symlink() {
        return Err(LINKS);
    }
    let mut timed = Ok(());
    if changes.accessed.is_some() || changes.modified.is_some() {
        let file = fs::OpenOptions::new().access_mode(WRITE_ATTRIBUTES).custom_flags(FLAGS).open(path);
        timed = file.map_err(refusal).and_then(|file| set_times(&file, changes));
    }
    last_failure([timed, refuse_unknown(changes)])
}

/// All changes but that of the size.
pub(crate) fn change_open(file: &File, changes: &Changes) -> Result<(), StorageError> {
    let mut timed = Ok(());
    if changes.accessed.is_some() || changes.modified.is_some() {
        timed = set_times(file, changes);
    }
    last_failure([timed, refuse_unknown(changes)])
}

/// Windows makes a directory without a mode; that of a new one is no promise that a client relies on.
pub(crate) fn make_directory(path: &Path, _mode: Option<u32>) -> io::Result<()> {
    fs::create_dir(path)
}

/// A file is replaced in one step. A directory cannot be, so the empty one that is there is removed first.
pub(crate) fn rename(from: &Path, to: &Path, replaced: Option<&Found<PathBuf>>) -> io::Result<()> {
    if from != to && matches!(replaced, Some(Found::Directory(_))) {
        fs::remove_dir(to)?;
    }
    fs::rename(from, to)
}

pub(crate) fn make_symlink(_target: &[u8], _link: &Path) -> Result<(), StorageError> {
    Err(LINKS)
}

pub(crate) fn link_text(_path: &Path) -> Result<Bytes, StorageError> {
    Err(LINKS)
}

/// A link is shown and can be removed, and leads nowhere.
#[expect(clippy::unnecessary_wraps, reason = "on a Unix, reading a link can fail")]
pub(crate) fn link(_root: &Path, path: PathBuf) -> Result<Found<PathBuf>, StorageError> {
    Ok(Found::File(path))
}

pub(crate) fn file_system(_path: &Path) -> Result<FileSystem, StorageError> {
    Err(NUMBERS)
}

pub(crate) fn open_file_system(_file: &File) -> Result<FileSystem, StorageError> {
    Err(NUMBERS)
}

const NUMBERS: StorageError = StorageError::Unsupported("the size of the disk is told on a Unix only");

const LINKS: StorageError = StorageError::Unsupported("symbolic links need a Unix");

fn set_times(file: &File, changes: &Changes) -> Result<(), StorageError> {
    let mut times = FileTimes::new();
    if let Some(accessed) = changes.accessed {
        times = times.set_accessed(accessed);
    }
    if let Some(modified) = changes.modified {
        times = times.set_modified(modified);
    }
    file.set_times(times).map_err(refusal)
}

fn refuse_unknown(changes: &Changes) -> Result<(), StorageError> {
    if changes.mode.is_some() || changes.uid.is_some() || changes.gid.is_some() {
        return Err(StorageError::Unsupported("permissions and owners need a Unix"));
    }
    Ok(())
}
