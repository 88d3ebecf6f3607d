//! What a directory of the disk needs of a Unix.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt, fchown, lchown, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rustix::{
    buffer::spare_capacity,
    fs::{AtFlags, CWD, Mode, OFlags, StatVfs, StatVfsMountFlags, Timespec, Timestamps, UTIME_OMIT},
};

use crate::storage::{
    Attributes, Changes, FileKind, FileSystem, OpenOptions, StorageError, directory::refusal, last_failure,
    walk::Found,
};

/// Which file this is, under whatever name.
pub(crate) type Identity = (u64, u64);

pub(crate) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Any name is one: the walk has refused what none can be.
#[expect(clippy::unnecessary_wraps, reason = "on Windows there are names that cannot be")]
pub(crate) fn name(name: &[u8]) -> Result<&OsStr, StorageError> {
    Ok(OsStr::from_bytes(name))
}

#[expect(clippy::unnecessary_wraps, reason = "on Windows there are names that cannot be shown")]
pub(crate) fn shown_name(name: &OsStr) -> Result<Vec<u8>, StorageError> {
    Ok(name.as_bytes().to_vec())
}

/// Opens a file as it stands at the end of a walk: it is no link, and a pipe is not waited for.
pub(crate) fn open(path: &Path, options: OpenOptions) -> Result<File, StorageError> {
    let mut flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    flags |= match (options.reads(), options.writes()) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    };
    flags.set(OFlags::APPEND, options.append);
    flags.set(OFlags::TRUNC, options.truncate);
    flags.set(OFlags::CREATE, options.create);
    flags.set(OFlags::EXCL, options.only_new());
    let mode = mode_bits(options.mode.unwrap_or(0o666));
    match rustix::fs::open(path, flags, mode) {
        Ok(file) => Ok(File::from(file)),
        // A pipe without a reader, opened for writing; or a socket.
        Err(rustix::io::Errno::NXIO) => Err(StorageError::Unsupported("only regular files can be opened")),
        Err(error) => Err(refusal(error.into())),
    }
}

pub(crate) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        let place = offset.saturating_add(data.len() as u64);
        match rustix::io::pread(file, spare_capacity(&mut data), place) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    data.truncate(length);
    Ok(data.into())
}

pub(crate) fn write_at(file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
    file.write_all_at(data, offset)
}

/// The file was opened so that the system finds the end.
pub(crate) fn append(mut file: &File, data: &[u8]) -> io::Result<()> {
    file.write_all(data)
}

pub(crate) fn attributes(metadata: &Metadata) -> Attributes {
    let kind = if metadata.is_file() {
        FileKind::File
    } else if metadata.is_dir() {
        FileKind::Directory
    } else if metadata.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    };
    Attributes {
        kind,
        mode: metadata.mode() & 0o7777,
        size: metadata.size(),
        // The unit is 512 bytes on every Unix, whatever the block size.
        allocated: metadata.blocks().saturating_mul(512),
        uid: metadata.uid(),
        gid: metadata.gid(),
        links: metadata.nlink(),
        accessed: metadata.accessed().unwrap_or(UNIX_EPOCH),
        modified: metadata.modified().unwrap_or(UNIX_EPOCH),
        inode: Some(metadata.ino()),
    }
}

/// All changes but that of the size, of what stands at the path, be it a link.
pub(crate) fn change(path: &Path, metadata: &Metadata, changes: &Changes) -> Result<(), StorageError> {
    let mode = |mode| {
        if metadata.is_symlink() {
            return Err(StorageError::Unsupported("a symbolic link has no permissions of its own"));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777)).map_err(refusal)
    };
    let set_times = |times| {
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| refusal(error.into()))
    };
    last_failure([
        changes.mode.map_or(Ok(()), mode),
        times(changes).map_or(Ok(()), set_times),
        if changes.uid.is_some() || changes.gid.is_some() {
            lchown(path, changes.uid, changes.gid).map_err(refusal)
        } else {
            Ok(())
        },
    ])
}

/// All changes but that of the size.
pub(crate) fn change_open(file: &File, changes: &Changes) -> Result<(), StorageError> {
    let mode = |mode| file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).map_err(refusal);
    let set_times = |times| rustix::fs::futimens(file, &times).map_err(|error| refusal(error.into()));
    last_failure([
        changes.mode.map_or(Ok(()), mode),
        times(changes).map_or(Ok(()), set_times),
        if changes.uid.is_some() || changes.gid.is_some() {
            fchown(file, changes.uid, changes.gid).map_err(refusal)
        } else {
            Ok(())
        },
    ])
}

pub(crate) fn make_directory(path: &Path, mode: Option<u32>) -> io::Result<()> {
    fs::DirBuilder::new().mode(mode.unwrap_or(0o777) & 0o7777).create(path)
}

pub(crate) fn rename(from: &Path, to: &Path, _replaced: Option<&Found<PathBuf>>) -> io::Result<()> {
    fs::rename(from, to)
}

pub(crate) fn make_symlink(target: &[u8], link: &Path) -> Result<(), StorageError> {
    symlink(OsStr::from_bytes(target), link).map_err(refusal)
}

/// What a link reads.
pub(crate) fn link_text(path: &Path) -> Result<Bytes, StorageError> {
    Ok(fs::read_link(path).map_err(refusal)?.into_os_string().into_vec().into())
}

/// A link and where it leads, in the tree whose root this is.
pub(crate) fn link(root: &Path, path: PathBuf) -> Result<Found<PathBuf>, StorageError> {
    let target = fs::read_link(&path).map_err(refusal)?;
    let inner = target.strip_prefix(root).map(|inner| Path::new("/").join(inner));
    let text = OsString::from(inner.unwrap_or(target));
    Ok(Found::Link(path, text.into_vec().into()))
}

pub(crate) fn file_system(path: &Path) -> Result<FileSystem, StorageError> {
    rustix::fs::statvfs(path).map(|numbers| convert(&numbers)).map_err(|error| refusal(error.into()))
}

pub(crate) fn open_file_system(file: &File) -> Result<FileSystem, StorageError> {
    rustix::fs::fstatvfs(file).map(|numbers| convert(&numbers)).map_err(|error| refusal(error.into()))
}

fn convert(numbers: &StatVfs) -> FileSystem {
    FileSystem {
        block_size: numbers.f_bsize,
        fragment_size: numbers.f_frsize,
        blocks: numbers.f_blocks,
        blocks_free: numbers.f_bfree,
        blocks_available: numbers.f_bavail,
        files: numbers.f_files,
        files_free: numbers.f_ffree,
        files_available: numbers.f_favail,
        id: numbers.f_fsid,
        flags: u64::from(numbers.f_flag.contains(StatVfsMountFlags::RDONLY))
            | (u64::from(numbers.f_flag.contains(StatVfsMountFlags::NOSUID)) << 1),
        longest_name: numbers.f_namemax,
    }
}

fn mode_bits(mode: u32) -> Mode {
    Mode::from_bits_truncate((mode & 0o7777) as rustix::fs::RawMode)
}

/// The times to set; what is not asked for stays.
fn times(changes: &Changes) -> Option<Timestamps> {
    let time = |time: Option<SystemTime>| match time {
        Some(time) => timespec(time),
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    let any = changes.accessed.or(changes.modified);
    any.map(|_| Timestamps { last_access: time(changes.accessed), last_modification: time(changes.modified) })
}

fn timespec(time: SystemTime) -> Timespec {
    let split = |duration: Duration| {
        (i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), i64::from(duration.subsec_nanos()))
    };
    let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => split(since),
        Err(before) => match split(before.duration()) {
            (seconds, 0) => (-seconds, 0),
            (seconds, nanoseconds) => (-seconds - 1, 1_000_000_000 - nanoseconds),
        },
    };
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ }
}
