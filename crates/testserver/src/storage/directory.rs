//! A tree of files that is a directory of the disk, seen as if nothing were outside it.
//!
//! The way along a path is walked here and not by the system: `..` stops at the root, and an absolute link begins there,
//! so no path leads out. Sessions take turns, so a client that races itself finds no way out either. It is no prison:
//! who can run programs on this machine can exchange a directory for a link between two steps. Links that name the directory by its real path, as programs make them that run in it, lead to
//! where they mean.
//!
//! Modes, owners and the umask are those of the test's own process. The calls block, on local files only: a device, socket
//! or pipe is refused rather than waited for.

mod handle;
#[cfg(unix)]
#[path = "directory/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "directory/windows.rs"]
mod platform;

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::storage::{
    Attributes, Changes, Existing, FileSystem, Links, Listing, OpenFile, OpenOptions, Storage, StorageError,
    directory::handle::{DiskFile, DiskListing},
    last_failure,
    walk::{self, Found, Ground, LONGEST_PATH, Last, Renaming, Spot},
};

/// A directory of the disk as a tree of its own.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    /// Held from the walk along a path to the end of what is done there, so that no session moves what another one
    /// has just found.
    names: Arc<Mutex<()>>,
}

impl Directory {
    /// # Errors
    /// The directory cannot be found.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.canonicalize()?, names: Arc::default() })
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn walk(&self, path: &[u8], last: Last) -> Result<Spot<PathBuf>, StorageError> {
        walk::walk(self, path, last)
    }

    /// A path of the disk as clients know it.
    fn shown(&self, path: &Path) -> Result<Vec<u8>, StorageError> {
        let inner = path.strip_prefix(&self.root).map_err(|_| StorageError::NotFound)?;
        let mut shown = Vec::new();
        for part in inner.components() {
            if let Component::Normal(name) = part {
                shown.push(b'/');
                shown.extend_from_slice(&platform::shown_name(name)?);
            }
        }
        if shown.is_empty() {
            shown.push(b'/');
        }
        Ok(shown)
    }
}

impl Ground for Directory {
    type Place = PathBuf;

    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn parent(&self, directory: &PathBuf) -> PathBuf {
        match directory.parent() {
            Some(parent) if *directory != self.root => parent.to_owned(),
            _ => self.root.clone(),
        }
    }

    /// The system asks this itself.
    fn search(&self, _directory: &PathBuf) -> Result<(), StorageError> {
        Ok(())
    }

    fn look(&self, directory: &PathBuf, name: &[u8]) -> Result<Found<PathBuf>, StorageError> {
        let path = directory.join(platform::name(name)?);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => platform::link(&self.root, path),
            Ok(metadata) if metadata.is_dir() => Ok(Found::Directory(path)),
            Ok(_) => Ok(Found::File(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(error) => Err(refusal(error)),
        }
    }
}

impl Storage for Directory {
    fn open(&self, path: &[u8], options: OpenOptions) -> Result<Box<dyn OpenFile>, StorageError> {
        options.check()?;
        let _names = self.names();
        let path = match self.walk(path, options.last())? {
            Spot::Named { parent, name, found: Found::Missing, slash } => {
                options.may_make(slash)?;
                parent.join(platform::name(&name)?)
            }
            _ if options.only_new() => return Err(StorageError::Exists),
            Spot::Named { found: Found::File(path), .. } => path,
            _ => return Err(StorageError::IsADirectory),
        };
        let file = platform::open(&path, options)?;
        if !file.metadata().map_err(refusal)?.is_file() {
            return Err(StorageError::Unsupported("only regular files can be opened"));
        }
        Ok(Box::new(DiskFile::new(file, options)))
    }

    fn attributes(&self, path: &[u8], links: Links) -> Result<Attributes, StorageError> {
        let _names = self.names();
        let path = self.walk(path, links.into())?.existing()?;
        Ok(platform::attributes(&path.symlink_metadata().map_err(refusal)?))
    }

    fn set_attributes(&self, path: &[u8], links: Links, changes: &Changes) -> Result<(), StorageError> {
        let _names = self.names();
        let path = self.walk(path, links.into())?.existing()?;
        let metadata = path.symlink_metadata().map_err(refusal)?;
        let resize = |size| {
            if metadata.is_dir() {
                return Err(StorageError::IsADirectory);
            }
            if !metadata.is_file() {
                return Err(StorageError::Invalid("only a regular file has a size that can be set"));
            }
            handle::resize(&platform::open(&path, OpenOptions::new().write())?, size)
        };
        last_failure([changes.size.map_or(Ok(()), resize), platform::change(&path, &metadata, changes)])
    }

    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, StorageError> {
        let _names = self.names();
        let path = self.walk(path, Last::Target)?.directory()?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(refusal)? {
            let name = entry.map_err(refusal)?.file_name();
            names.push((Bytes::from(platform::shown_name(&name)?), name));
        }
        names.sort();
        let parent = self.parent(&path);
        Ok(Box::new(DiskListing::new(Arc::clone(&self.names), &path, &parent, names)?))
    }

    fn make_directory(&self, path: &[u8], mode: Option<u32>) -> Result<(), StorageError> {
        let _names = self.names();
        let (parent, name, _) = self.walk(path, Last::Name)?.vacant()?;
        platform::make_directory(&parent.join(platform::name(&name)?), mode).map_err(refusal)
    }

    fn remove_directory(&self, path: &[u8]) -> Result<(), StorageError> {
        let _names = self.names();
        match self.walk(path, Last::Name)?.occupied()? {
            (_, _, Found::Directory(path)) => fs::remove_dir(path).map_err(refusal),
            _ => Err(StorageError::NotADirectory),
        }
    }

    fn remove_file(&self, path: &[u8]) -> Result<(), StorageError> {
        let _names = self.names();
        let spot = self.walk(path, Last::Name)?;
        if let Spot::Unnamed(_) = spot {
            return Err(StorageError::IsADirectory);
        }
        match spot.occupied()? {
            (_, _, Found::File(path) | Found::Link(path, _)) => fs::remove_file(path).map_err(refusal),
            _ => Err(StorageError::IsADirectory),
        }
    }

    fn rename(&self, from: &[u8], to: &[u8], existing: Existing) -> Result<(), StorageError> {
        let _names = self.names();
        let source = self.walk(from, Last::Name)?;
        let target = self.walk(to, Last::Name)?;
        let Renaming { moved, from: (old_parent, old_name), to: (new_parent, new_name), replaced } =
            Renaming::new(source, target, existing)?;
        let from = old_parent.join(platform::name(&old_name)?);
        let to = new_parent.join(platform::name(&new_name)?);
        if matches!(moved, Found::Directory(_)) && from != to && to.starts_with(&from) {
            return Err(StorageError::Invalid("a directory cannot be moved into itself"));
        }
        platform::rename(&from, &to, replaced.as_ref()).map_err(refusal)
    }

    fn make_symlink(&self, target: &[u8], link: &[u8]) -> Result<(), StorageError> {
        walk::check_link_text(target)?;
        let _names = self.names();
        let (parent, name, slash) = self.walk(link, Last::Name)?.vacant()?;
        slash.refuse()?;
        platform::make_symlink(target, &parent.join(platform::name(&name)?))
    }

    fn read_link(&self, path: &[u8]) -> Result<Bytes, StorageError> {
        let _names = self.names();
        // The walk knows the text as it leads on; what is shown is the text as it stands.
        match self.walk(path, Last::Itself)? {
            Spot::Named { found: Found::Link(path, _), .. } => platform::link_text(&path),
            spot => spot.link_text(),
        }
    }

    fn make_hard_link(&self, existing: &[u8], link: &[u8]) -> Result<(), StorageError> {
        let _names = self.names();
        let source = self.walk(existing, Last::Itself)?;
        let source_is_directory =
            matches!(source, Spot::Unnamed(_) | Spot::Named { found: Found::Directory(_), .. });
        let source = source.existing()?;
        let (parent, name, slash) = self.walk(link, Last::Name)?.vacant()?;
        slash.refuse()?;
        if source_is_directory {
            return Err(StorageError::PermissionDenied);
        }
        fs::hard_link(source, parent.join(platform::name(&name)?)).map_err(refusal)
    }

    fn real_path(&self, path: &[u8]) -> Result<Bytes, StorageError> {
        let _names = self.names();
        let path = if path.is_empty() { b"/" } else { path };
        let real = match self.walk(path, Last::Target)? {
            Spot::Unnamed(directory) => self.shown(&directory)?,
            Spot::Named { parent, name, .. } => self.shown(&parent.join(platform::name(&name)?))?,
        };
        if real.len() > LONGEST_PATH { Err(StorageError::InvalidName) } else { Ok(real.into()) }
    }

    fn file_system(&self, path: &[u8]) -> Result<FileSystem, StorageError> {
        let _names = self.names();
        platform::file_system(&self.walk(path, Last::Target)?.existing()?)
    }
}

/// The system's error as one of ours. Takes it, to be handed to `map_err` as it is.
#[expect(clippy::needless_pass_by_value)]
fn refusal(error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound,
        io::ErrorKind::PermissionDenied => StorageError::PermissionDenied,
        io::ErrorKind::AlreadyExists => StorageError::Exists,
        io::ErrorKind::NotADirectory => StorageError::NotADirectory,
        io::ErrorKind::IsADirectory => StorageError::IsADirectory,
        io::ErrorKind::DirectoryNotEmpty => StorageError::NotEmpty,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::NoSpace,
        io::ErrorKind::TooManyLinks => StorageError::TooManyLinks,
        io::ErrorKind::FileTooLarge => StorageError::TooLarge,
        io::ErrorKind::InvalidFilename => StorageError::InvalidName,
        io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly,
        io::ErrorKind::InvalidInput => StorageError::Invalid("refused by the system"),
        io::ErrorKind::Unsupported => StorageError::Unsupported("by the system"),
        _ => StorageError::Io(error.to_string()),
    }
}
