//! A tree of files in memory, with the semantics of a POSIX file system.
//!
//! Files are sparse, have modes, owners, times and any number of names, and live on while they are open. A quota bounds
//! what they store. Nothing depends on the machine: the same operations give the same names, numbers and times.
//! Reading does not change the time of access, as on a disk mounted `noatime`, so that looking changes nothing.

mod access;
mod clock;
mod content;
mod handle;
mod tree;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

use crate::storage::{
    Attributes, Changes, Existing, FileSystem, Links, Listing, OpenFile, OpenOptions, Storage, StorageError,
    last_failure,
    memory::{
        access::{Person, Right},
        clock::Clock,
        content::Content,
        handle::{MemoryFile, MemoryListing},
        tree::{Body, Directory, Inode, Seen, Tree},
    },
    walk::{self, Found, LONGEST_PATH, Last, Renaming, Spot},
};

/// A tree in memory, as one user sees it. Clones and other users' views show the same tree.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    tree: Arc<Mutex<Tree>>,
    person: Person,
    changes: Allowed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Yes,
    No,
}

/// The first ordinary user of most systems, with a group of the same number.
const USER: Person = Person { uid: 1000, gid: 1000 };

impl Memory {
    /// An empty tree, seen by user 1000 of group 1000, who owns its root. At most 4 GiB and 2^20 files are stored; the
    /// umask is 022; the first change is at 1 700 000 000 seconds after the epoch, and each one a second after the last.
    pub(crate) fn new() -> Self {
        Self { tree: Arc::new(Mutex::new(Tree::new(USER))), person: USER, changes: Allowed::Yes }
    }

    /// At most so many bytes are stored, in all files together. Holes are free.
    pub(crate) fn quota(self, bytes: u64) -> Self {
        self.tree().quota = bytes;
        self
    }

    /// The permission bits that new files do not get.
    pub(crate) fn umask(self, bits: u32) -> Self {
        self.tree().umask = bits & 0o777;
        self
    }

    /// Changes carry the times that this function tells.
    pub(crate) fn clock(self, now: impl FnMut() -> SystemTime + Send + 'static) -> Self {
        self.tree().clock = Clock::Told(Box::new(now));
        self
    }

    /// The same tree as another user sees it. User 0 may do all, so this is how files of others get there.
    pub(crate) fn as_user(&self, uid: u32, gid: u32) -> Self {
        Self { person: Person { uid, gid }, ..self.clone() }
    }

    /// The same tree, in which nothing can be changed from here.
    pub(crate) fn read_only(&self) -> Self {
        Self { changes: Allowed::No, ..self.clone() }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn walk(&self, tree: &Tree, path: &[u8], last: Last) -> Result<Spot<Inode>, StorageError> {
        walk::walk(&Seen { tree, person: self.person }, path, last)
    }

    fn may_change_anything(&self) -> Result<(), StorageError> {
        match self.changes {
            Allowed::Yes => Ok(()),
            Allowed::No => Err(StorageError::ReadOnly),
        }
    }

    /// Whether names in these directories may be added and removed.
    fn may_change_names<const N: usize>(&self, tree: &Tree, parents: [Inode; N]) -> Result<(), StorageError> {
        self.may_change_anything()?;
        parents.iter().try_for_each(|parent| self.person.may_change(tree.node(*parent)?))
    }

    /// Whether the file may be opened so.
    fn may_open(&self, tree: &Tree, inode: Inode, options: OpenOptions) -> Result<(), StorageError> {
        let node = tree.node(inode)?;
        if options.reads() {
            self.person.may(Right::Read, node)?;
        }
        if options.writes() {
            self.person.may(Right::Write, node)?;
            self.may_change_anything()?;
        }
        Ok(())
    }

    /// Applies all changes but that of the size.
    fn change(&self, tree: &mut Tree, inode: Inode, changes: &Changes) -> Result<(), StorageError> {
        let node = tree.node_mut(inode)?;
        let (mut mode, mut times) = (Ok(()), Ok(()));
        if let Some(bits) = changes.mode {
            if matches!(node.body, Body::Symlink(_)) {
                mode = Err(StorageError::Unsupported("a symbolic link has no permissions of its own"));
            } else {
                mode = self.person.owns(node).map(|()| node.mode = bits & 0o7777);
            }
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            times = self.person.owns(node).map(|()| {
                node.accessed = changes.accessed.unwrap_or(node.accessed);
                node.modified = changes.modified.unwrap_or(node.modified);
            });
        }
        let owner = self.person.may_give(node, changes.uid, changes.gid).map(|()| {
            node.uid = changes.uid.unwrap_or(node.uid);
            node.gid = changes.gid.unwrap_or(node.gid);
        });
        last_failure([mode, times, owner])
    }
}

impl Storage for Memory {
    fn open(&self, path: &[u8], options: OpenOptions) -> Result<Box<dyn OpenFile>, StorageError> {
        options.check()?;
        let mut tree = self.tree();
        let inode = match self.walk(&tree, path, options.last())? {
            Spot::Named { parent, name, found: Found::Missing, slash } => {
                options.may_make(slash)?;
                self.may_change_names(&tree, [parent])?;
                let mode = options.mode.unwrap_or(0o666) & 0o7777 & !tree.umask;
                tree.make(parent, name, Body::File(Content::default()), mode, self.person)?
            }
            _ if options.only_new() => return Err(StorageError::Exists),
            Spot::Named { found: Found::File(inode), .. } => {
                self.may_open(&tree, inode, options)?;
                if options.truncate {
                    tree.resize(inode, 0)?;
                }
                inode
            }
            _ => return Err(StorageError::IsADirectory),
        };
        tree.opened(inode)?;
        drop(tree);
        Ok(Box::new(MemoryFile::new(self.clone(), inode, options)))
    }

    fn attributes(&self, path: &[u8], links: Links) -> Result<Attributes, StorageError> {
        let tree = self.tree();
        tree.attributes(self.walk(&tree, path, links.into())?.existing()?)
    }

    fn set_attributes(&self, path: &[u8], links: Links, changes: &Changes) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let inode = self.walk(&tree, path, links.into())?.existing()?;
        self.may_change_anything()?;
        let mut resized = Ok(());
        if let Some(size) = changes.size {
            resized =
                self.person.may(Right::Write, tree.node(inode)?).and_then(|()| tree.resize(inode, size));
        }
        last_failure([resized, self.change(&mut tree, inode, changes)])
    }

    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, StorageError> {
        let tree = self.tree();
        let inode = self.walk(&tree, path, Last::Target)?.directory()?;
        self.person.may(Right::Read, tree.node(inode)?)?;
        let names = tree.directory(inode)?.entries.keys().cloned().collect();
        drop(tree);
        Ok(Box::new(MemoryListing::new(self.clone(), inode, names)))
    }

    fn make_directory(&self, path: &[u8], mode: Option<u32>) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let (parent, name, _) = self.walk(&tree, path, Last::Name)?.vacant()?;
        self.may_change_names(&tree, [parent])?;
        let mode = mode.unwrap_or(0o777) & 0o7777 & !tree.umask;
        tree.make(parent, name, Body::Directory(Directory::empty()), mode, self.person)?;
        Ok(())
    }

    fn remove_directory(&self, path: &[u8]) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let (parent, name, found) = self.walk(&tree, path, Last::Name)?.occupied()?;
        self.may_change_names(&tree, [parent])?;
        match found {
            Found::Directory(_) => tree.remove(parent, &name),
            _ => Err(StorageError::NotADirectory),
        }
    }

    fn remove_file(&self, path: &[u8]) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let spot = self.walk(&tree, path, Last::Name)?;
        if let Spot::Unnamed(_) = spot {
            return Err(StorageError::IsADirectory);
        }
        let (parent, name, found) = spot.occupied()?;
        self.may_change_names(&tree, [parent])?;
        match found {
            Found::Directory(_) => Err(StorageError::IsADirectory),
            _ => tree.remove(parent, &name),
        }
    }

    fn rename(&self, from: &[u8], to: &[u8], existing: Existing) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let source = self.walk(&tree, from, Last::Name)?;
        let target = self.walk(&tree, to, Last::Name)?;
        let Renaming { moved, from: (old_parent, old_name), to: (new_parent, new_name), replaced } =
            Renaming::new(source, target, existing)?;
        let (moved, replaced) =
            (moved.place().ok_or(StorageError::NotFound)?, replaced.and_then(Found::place));
        if replaced == Some(moved) {
            // Two names of one file: rename(2) leaves both.
            return Ok(());
        }
        self.may_change_names(&tree, [old_parent, new_parent])?;
        if let Body::Directory(_) = tree.node(moved)?.body {
            if tree.is_above(moved, new_parent)? {
                return Err(StorageError::Invalid("a directory cannot be moved into itself"));
            }
            if old_parent != new_parent {
                // Its entry `..` changes.
                self.person.may(Right::Write, tree.node(moved)?)?;
            }
        }
        if let Some(replaced) = replaced
            && let Body::Directory(directory) = &tree.node(replaced)?.body
            && !directory.entries.is_empty()
        {
            return Err(StorageError::NotEmpty);
        }
        tree.rename((old_parent, &old_name), (new_parent, new_name))
    }

    fn make_symlink(&self, target: &[u8], link: &[u8]) -> Result<(), StorageError> {
        walk::check_link_text(target)?;
        let mut tree = self.tree();
        let (parent, name, slash) = self.walk(&tree, link, Last::Name)?.vacant()?;
        slash.refuse()?;
        self.may_change_names(&tree, [parent])?;
        tree.make(parent, name, Body::Symlink(Bytes::copy_from_slice(target)), 0o777, self.person)?;
        Ok(())
    }

    fn read_link(&self, path: &[u8]) -> Result<Bytes, StorageError> {
        let tree = self.tree();
        self.walk(&tree, path, Last::Itself)?.link_text()
    }

    fn make_hard_link(&self, existing: &[u8], link: &[u8]) -> Result<(), StorageError> {
        let mut tree = self.tree();
        let inode = self.walk(&tree, existing, Last::Itself)?.existing()?;
        let (parent, name, slash) = self.walk(&tree, link, Last::Name)?.vacant()?;
        slash.refuse()?;
        if let Body::Directory(_) = tree.node(inode)?.body {
            return Err(StorageError::PermissionDenied);
        }
        self.may_change_names(&tree, [parent])?;
        tree.make_name(parent, name, inode)
    }

    fn real_path(&self, path: &[u8]) -> Result<Bytes, StorageError> {
        let tree = self.tree();
        let path = if path.is_empty() { b"/" } else { path };
        let real = match self.walk(&tree, path, Last::Target)? {
            Spot::Unnamed(directory) => tree.path(directory, None),
            Spot::Named { parent, name, .. } => tree.path(parent, Some(&name)),
        }?;
        if real.len() > LONGEST_PATH { Err(StorageError::InvalidName) } else { Ok(real) }
    }

    fn file_system(&self, path: &[u8]) -> Result<FileSystem, StorageError> {
        let tree = self.tree();
        self.walk(&tree, path, Last::Target)?.existing()?;
        Ok(self.numbers(&tree))
    }
}

impl Memory {
    fn numbers(&self, tree: &Tree) -> FileSystem {
        FileSystem { flags: u64::from(self.changes == Allowed::No), ..tree.file_system() }
    }
}
