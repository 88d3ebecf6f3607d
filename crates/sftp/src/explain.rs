//! Why the server said no more than "failure": asked of it, in one round trip.
//!
//! Version 3 has one code for a full disk, a taken name, a directory in the way and much else. What the server can tell
//! about the path, and about its file system where it has `statvfs@openssh.com`, shows which. All that is asked is
//! asked at once, and only after a failure.

use std::fmt;

use bytes::Bytes;
use rustle_sftp_proto::{ExtendedRequest, Extension, FileKind, FileSystem, Request, StatusCode};

use crate::engine::Engine;
use crate::entries::decoded;
use crate::error::{Error, ErrorKind, Result};
use crate::path::parent;

/// What was being done when the server failed.
#[derive(Clone, Copy)]
pub(crate) enum Doing<'a> {
    /// Opening a file for reading.
    Open {
        path: &'a Bytes,
    },
    /// Opening a file that would be made if it was missing.
    Create {
        path: &'a Bytes,
        existing: Existing,
    },
    /// Writing, flushing or closing a file, with so many bytes under way.
    Write {
        path: &'a Bytes,
        bytes: u64,
    },
    /// Setting attributes.
    Change {
        path: &'a Bytes,
    },
    MakeDirectory {
        path: &'a Bytes,
    },
    MakeLink {
        link: &'a Bytes,
    },
    RemoveFile {
        path: &'a Bytes,
    },
    RemoveDirectory {
        path: &'a Bytes,
    },
    Rename {
        from: &'a Bytes,
        to: &'a Bytes,
    },
    ReadLink {
        path: &'a Bytes,
    },
    List {
        path: &'a Bytes,
    },
}

/// Whether a file that is there already is one to be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Opened,
    Refused,
}

/// The result with its path, and a bare failure explained.
pub(crate) async fn explained<T>(engine: &Engine, result: Result<T>, doing: Doing<'_>) -> Result<T> {
    match result {
        Ok(done) => Ok(done),
        Err(error) => Err(explain(engine, error, doing).await),
    }
}

/// The error with its path, and the reason for a bare failure.
pub(crate) async fn explain(engine: &Engine, error: Error, doing: Doing<'_>) -> Error {
    let error = error.at(doing.path());
    match error.status().map(rustle_sftp_proto::Status::code) {
        Some(StatusCode::FAILURE) => {}
        // OpenSSH's code for a name that is too long, and for a request that is wrong for this file.
        Some(StatusCode::BAD_MESSAGE) => return bad_message(error, doing),
        _ => return error,
    }
    let (kind, file_system, origin) = futures_util::join!(
        kind_of(engine, doing.path()),
        file_system_of(engine, doing.place()),
        file_system_of(engine, doing.origin())
    );
    if let Some((kind, text)) = in_the_way(doing, kind) {
        return error.explained(kind, text);
    }
    let crowd = Crowd::on(engine).filter(|_| doing.opens());
    if let Some(crowd) = crowd
        && crowd.is_all()
    {
        return error.explained(ErrorKind::TooManyOpenFiles, crowd.to_string());
    }
    if doing.needs_room() {
        if let Some((kind, text)) = file_system.and_then(|file_system| exhausted(doing, &file_system)) {
            return error.explained(kind, text);
        }
        if let (Some(here), Some(there)) = (file_system, origin)
            && here.id != there.id
        {
            return error.explained(ErrorKind::Unsupported, "the two names are on different file systems");
        }
        let asked = if engine.has(Extension::StatVfs) { "" } else { NOT_ASKED };
        let crowd = crowd.map(|crowd| format!("; {crowd}")).unwrap_or_default();
        return error.with_hint(format!("{}{asked}{crowd}", doing.suspects()));
    }
    match crowd {
        Some(crowd) => error.with_hint(format!("the server may have too many files open: {crowd}")),
        None => error,
    }
}

/// How much this client holds open itself, where that is much.
#[derive(Clone, Copy)]
struct Crowd {
    open: usize,
    /// As the server says; 0 where it does not.
    most: u64,
}

impl Crowd {
    fn on(engine: &Engine) -> Option<Self> {
        let crowd = Self { open: engine.handles(), most: engine.max_handles() };
        (crowd.open >= MANY || crowd.is_all()).then_some(crowd)
    }

    fn is_all(&self) -> bool {
        self.most > 0 && self.open as u64 >= self.most
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files and directories are open on this channel", self.open)?;
        if self.most > 0 { write!(f, ", and the server allows {}", self.most) } else { Ok(()) }
    }
}

impl Doing<'_> {
    /// The path that the error names.
    fn path(&self) -> &Bytes {
        match self {
            Self::Open { path }
            | Self::Create { path, .. }
            | Self::Write { path, .. }
            | Self::Change { path }
            | Self::MakeDirectory { path }
            | Self::MakeLink { link: path }
            | Self::RemoveFile { path }
            | Self::RemoveDirectory { path }
            | Self::Rename { to: path, .. }
            | Self::ReadLink { path }
            | Self::List { path } => path,
        }
    }

    /// What is on the file system in question: the file where it exists, otherwise the directory.
    fn place(&self) -> Option<Bytes> {
        self.needs_room().then(|| match self {
            Self::Write { path, .. } => (*path).clone(),
            other => parent(other.path()),
        })
    }

    /// What is renamed, which has to be on the same file system.
    fn origin(&self) -> Option<Bytes> {
        match self {
            Self::Rename { from, .. } => Some(parent(from)),
            _ => None,
        }
    }

    /// Whether a full or read-only file system may be why.
    fn needs_room(&self) -> bool {
        !matches!(self, Self::Open { .. } | Self::ReadLink { .. } | Self::List { .. })
    }

    /// Whether what the server has open already may be why.
    fn opens(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Create { .. } | Self::List { .. })
    }

    fn makes_a_name(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::MakeDirectory { .. } | Self::MakeLink { .. } | Self::Rename { .. }
        )
    }

    fn suspects(&self) -> &'static str {
        match self {
            Self::Create { .. } => {
                "the disk, the quota or the inodes may be used up, the file system may be read-only, or the server has \
                 too many files open"
            }
            Self::MakeDirectory { .. } | Self::MakeLink { .. } => {
                "the disk, the quota or the inodes may be used up, or the file system may be read-only"
            }
            Self::Rename { .. } => {
                "the two names may be on different file systems, the disk or the quota may be used up, or the file \
                 system may be read-only"
            }
            Self::RemoveFile { .. } | Self::RemoveDirectory { .. } => {
                "the file system may be read-only, or the file may be in use"
            }
            _ => "the disk or the quota may be used up, or the file system may be read-only",
        }
    }
}

/// What stands at the path and is why.
fn in_the_way(doing: Doing<'_>, kind: Option<FileKind>) -> Option<(ErrorKind, &'static str)> {
    let kind = kind?;
    let is_dir = kind == FileKind::Directory;
    match doing {
        Doing::Create { existing: Existing::Refused, .. }
        | Doing::MakeDirectory { .. }
        | Doing::MakeLink { .. } => Some((ErrorKind::AlreadyExists, "the name is taken")),
        Doing::Create { .. } | Doing::Open { .. } | Doing::Write { .. } | Doing::RemoveFile { .. }
            if is_dir =>
        {
            Some((ErrorKind::IsADirectory, "it is a directory"))
        }
        Doing::Rename { .. } if is_dir => Some((
            ErrorKind::AlreadyExists,
            "the name is taken by a directory, which is not replaced by this",
        )),
        Doing::RemoveDirectory { .. } if is_dir => Some((
            ErrorKind::DirectoryNotEmpty,
            "the directory cannot be removed; most likely it is not empty",
        )),
        Doing::RemoveDirectory { .. } | Doing::List { .. } if !is_dir => {
            Some((ErrorKind::NotADirectory, "it is not a directory"))
        }
        Doing::ReadLink { .. } if kind != FileKind::Symlink => {
            Some((ErrorKind::InvalidArgument, "it is not a symbolic link"))
        }
        _ => None,
    }
}

/// What the file system has no more of, or does not allow.
fn exhausted(doing: Doing<'_>, file_system: &FileSystem) -> Option<(ErrorKind, &'static str)> {
    if file_system.flags & READ_ONLY != 0 {
        return Some((ErrorKind::ReadOnly, "the file system is read-only"));
    }
    if doing.makes_a_name() && file_system.files > 0 && file_system.files_available == 0 {
        return Some((ErrorKind::NoInodes, "the file system has no inode left for another file"));
    }
    let needed = match doing {
        Doing::Write { bytes, .. } => bytes.max(1),
        Doing::RemoveFile { .. } | Doing::RemoveDirectory { .. } => return None,
        _ => 1,
    };
    // The last block is no use to who needs two: what was asked for has to fit, and a little may go to bookkeeping.
    let unit = file_system.fragment_size.max(1);
    let free = file_system.blocks_available.saturating_mul(unit);
    (file_system.blocks > 0 && free < needed.saturating_add(unit))
        .then_some((ErrorKind::NoSpace, "the file system is full"))
}

/// A request that the server calls bad though it is well made.
fn bad_message(error: Error, doing: Doing<'_>) -> Error {
    let longest = doing.path().split(|byte| *byte == b'/').map(<[u8]>::len).max().unwrap_or_default();
    if longest > LONGEST_NAME || doing.path().len() > LONGEST_PATH {
        return error.explained(ErrorKind::InvalidName, "the name is too long for the server");
    }
    match doing {
        Doing::ReadLink { .. } => error.explained(ErrorKind::InvalidArgument, "it is not a symbolic link"),
        Doing::Rename { .. } => {
            error.explained(ErrorKind::InvalidArgument, "a directory cannot be moved into itself")
        }
        _ => error.explained(ErrorKind::InvalidArgument, "the server cannot do this with this file"),
    }
}

/// What stands at a path; of a link, the link.
async fn kind_of(engine: &Engine, path: &Bytes) -> Option<FileKind> {
    let attributes = engine.attributes("lstat", Request::Lstat { path: path.clone() }).await.ok()?;
    Some(attributes.kind().unwrap_or(FileKind::Other))
}

async fn file_system_of(engine: &Engine, path: Option<Bytes>) -> Option<FileSystem> {
    let request = ExtendedRequest::StatVfs { path: path? };
    decoded(engine.extended("statvfs", request).await.ok()?).ok()
}

/// So many open files are worth a word where another cannot be opened: systems start processes with room for 256 (macOS)
/// or 1024 (Linux), of which a server needs some itself, and some servers set less.
const MANY: usize = 64;

const NOT_ASKED: &str = "; the server cannot be asked, as it does not have statvfs@openssh.com";

/// ST_RDONLY (OpenSSH `PROTOCOL`, section 4.4).
const READ_ONLY: u64 = 1;

/// NAME_MAX and PATH_MAX of Linux, and of most others.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;

#[cfg(test)]
mod tests {
    use super::*;

    fn roomy() -> FileSystem {
        FileSystem {
            fragment_size: 4096,
            blocks: 100,
            blocks_available: 50,
            files: 10,
            files_available: 5,
            ..FileSystem::default()
        }
    }

    #[test]
    fn the_file_system_says_what_it_has_no_more_of() {
        let path = Bytes::from_static(b"/f");
        let write = Doing::Write { path: &path, bytes: 32_768 };
        let make = Doing::MakeDirectory { path: &path };
        let why = |doing, file_system| exhausted(doing, &file_system).map(|(kind, _)| kind);
        assert_eq!((why(write, roomy()), why(make, roomy())), (None, None));
        let full = FileSystem { blocks_available: 0, ..roomy() };
        assert_eq!((why(write, full), why(make, full)), (Some(ErrorKind::NoSpace), Some(ErrorKind::NoSpace)));
        assert_eq!(why(write, FileSystem { blocks_available: 8, ..roomy() }), Some(ErrorKind::NoSpace));
        let crowded = FileSystem { files_available: 0, ..roomy() };
        assert_eq!((why(write, crowded), why(make, crowded)), (None, Some(ErrorKind::NoInodes)));
        assert_eq!(why(write, FileSystem { flags: 1, ..roomy() }), Some(ErrorKind::ReadOnly));
        // One that counts nothing says nothing.
        assert_eq!(why(make, FileSystem::default()), None);
    }

    #[test]
    fn what_stands_at_the_path_says_why() {
        let path = Bytes::from_static(b"/f");
        let why = |doing, kind| in_the_way(doing, kind).map(|(kind, _)| kind);
        let (file, directory) = (Some(FileKind::File), Some(FileKind::Directory));
        assert_eq!(why(Doing::MakeDirectory { path: &path }, file), Some(ErrorKind::AlreadyExists));
        assert_eq!(
            why(Doing::RemoveDirectory { path: &path }, directory),
            Some(ErrorKind::DirectoryNotEmpty)
        );
        assert_eq!(why(Doing::RemoveDirectory { path: &path }, file), Some(ErrorKind::NotADirectory));
        assert_eq!(why(Doing::Create { path: &path, existing: Existing::Opened }, file), None);
        assert_eq!(
            why(Doing::Create { path: &path, existing: Existing::Opened }, directory),
            Some(ErrorKind::IsADirectory)
        );
        assert_eq!(why(Doing::MakeDirectory { path: &path }, None), None);
    }
}
