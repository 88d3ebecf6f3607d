//! The nodes of a tree in memory: made, found, changed, linked, counted. Who may do so is not asked here, except on the
//! way along a path.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;

use crate::storage::{
    Attributes, FileKind, FileSystem, StorageError,
    memory::{
        access::{Person, Right},
        clock::Clock,
        content::{Content, Written},
    },
    walk::{Found, Ground, LONGEST_NAME},
};

/// All nodes, and what they share.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<Inode, Node>,
    next: Inode,
    /// The bytes that all files together store.
    allocated: u64,
    pub(crate) quota: u64,
    pub(crate) umask: u32,
    pub(crate) clock: Clock,
}

/// A number that no other node of the tree has or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inode(pub(crate) u64);

/// A file, directory or link, whatever its names.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) accessed: SystemTime,
    pub(crate) modified: SystemTime,
    /// The directory entries that name it.
    names: u64,
    /// The open files that keep it alive without a name.
    handles: u64,
}

#[derive(Debug)]
pub(crate) enum Body {
    File(Content),
    Directory(Directory),
    Symlink(Bytes),
}

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) entries: BTreeMap<Bytes, Inode>,
    /// The directory it is in and its name there; the root is in itself, without a name.
    parent: Inode,
    name: Bytes,
    /// How many of the entries are directories.
    directories: u64,
}

const ROOT: Inode = Inode(1);

/// What ext4 allows.
const MOST_NAMES: u64 = 65_000;

/// So many files that no test fills it, so few that a client that makes them for ever does not take the machine.
const MOST_FILES: u64 = 1 << 20;

/// 4 GiB: more than a test moves, less than takes the machine.
const QUOTA: u64 = 4 << 30;

const UMASK: u32 = 0o022;

const BLOCK: u64 = 4096;

/// POSIX's largest offset.
const LARGEST_FILE: u64 = i64::MAX as u64;

impl Tree {
    pub(crate) fn new(owner: Person) -> Self {
        let mut clock = Clock::steps();
        let root = Directory { entries: BTreeMap::new(), parent: ROOT, name: Bytes::new(), directories: 0 };
        let root = Node::new(Body::Directory(root), 0o755, owner, clock.now());
        let nodes = BTreeMap::from([(ROOT, Node { names: 1, ..root })]);
        Self { nodes, next: Inode(ROOT.0 + 1), allocated: 0, quota: QUOTA, umask: UMASK, clock }
    }

    /// A node that is known to be there, because something names it or holds it open.
    pub(crate) fn node(&self, inode: Inode) -> Result<&Node, StorageError> {
        self.nodes.get(&inode).ok_or(StorageError::NotFound)
    }

    pub(crate) fn node_mut(&mut self, inode: Inode) -> Result<&mut Node, StorageError> {
        self.nodes.get_mut(&inode).ok_or(StorageError::NotFound)
    }

    pub(crate) fn directory(&self, inode: Inode) -> Result<&Directory, StorageError> {
        match &self.node(inode)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(StorageError::NotADirectory),
        }
    }

    fn directory_mut(&mut self, inode: Inode) -> Result<&mut Directory, StorageError> {
        match &mut self.node_mut(inode)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(StorageError::NotADirectory),
        }
    }

    fn content_mut(&mut self, inode: Inode) -> Result<&mut Content, StorageError> {
        match &mut self.node_mut(inode)?.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(StorageError::IsADirectory),
            Body::Symlink(_) => Err(StorageError::Invalid("a symbolic link has no content")),
        }
    }

    /// Makes a node under a name that is free.
    pub(crate) fn make(
        &mut self,
        parent: Inode,
        name: Bytes,
        body: Body,
        mode: u32,
        owner: Person,
    ) -> Result<Inode, StorageError> {
        if self.nodes.len() as u64 >= MOST_FILES {
            return Err(StorageError::NoSpace);
        }
        let now = self.clock.now();
        let inode = self.next;
        self.next = Inode(inode.0 + 1);
        self.nodes.insert(inode, Node::new(body, mode, owner, now));
        self.link(parent, name, inode, now)?;
        Ok(inode)
    }

    /// Gives a file one more name, which is free.
    pub(crate) fn make_name(&mut self, parent: Inode, name: Bytes, inode: Inode) -> Result<(), StorageError> {
        if self.node(inode)?.names >= MOST_NAMES {
            return Err(StorageError::TooManyLinks);
        }
        let now = self.clock.now();
        self.link(parent, name, inode, now)
    }

    /// Takes a name away, and what had it as its last and is not open. A directory has to be empty.
    pub(crate) fn remove(&mut self, parent: Inode, name: &[u8]) -> Result<(), StorageError> {
        let inode = *self.directory(parent)?.entries.get(name).ok_or(StorageError::NotFound)?;
        if let Body::Directory(directory) = &self.node(inode)?.body
            && !directory.entries.is_empty()
        {
            return Err(StorageError::NotEmpty);
        }
        let now = self.clock.now();
        self.unlink(parent, name, inode, now)?;
        self.forget_if_unused(inode);
        Ok(())
    }

    /// Moves a name, whose new place is free or may be replaced, which is for the caller to have found.
    pub(crate) fn rename(
        &mut self,
        (from, old): (Inode, &[u8]),
        (to, new): (Inode, Bytes),
    ) -> Result<(), StorageError> {
        let inode = *self.directory(from)?.entries.get(old).ok_or(StorageError::NotFound)?;
        let now = self.clock.now();
        let replaced = self.directory(to)?.entries.get(&new).copied();
        if let Some(replaced) = replaced {
            self.unlink(to, &new, replaced, now)?;
        }
        self.unlink(from, old, inode, now)?;
        self.link(to, new, inode, now)?;
        if let Some(replaced) = replaced {
            self.forget_if_unused(replaced);
        }
        Ok(())
    }

    /// Whether `inode` is `directory` or above it.
    pub(crate) fn is_above(&self, inode: Inode, mut directory: Inode) -> Result<bool, StorageError> {
        while directory != inode {
            let parent = self.directory(directory)?.parent;
            if parent == directory {
                return Ok(false);
            }
            directory = parent;
        }
        Ok(true)
    }

    /// The absolute path of a name in a directory; without a name, of the directory.
    pub(crate) fn path(&self, mut directory: Inode, name: Option<&[u8]>) -> Result<Bytes, StorageError> {
        let mut parts = Vec::from_iter(name);
        while directory != ROOT {
            let here = self.directory(directory)?;
            parts.push(&here.name);
            directory = here.parent;
        }
        let mut path = Vec::new();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        Ok(if path.is_empty() { Bytes::from_static(b"/") } else { path.into() })
    }

    pub(crate) fn opened(&mut self, inode: Inode) -> Result<(), StorageError> {
        self.node_mut(inode)?.handles += 1;
        Ok(())
    }

    pub(crate) fn closed(&mut self, inode: Inode) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.handles -= 1;
            self.forget_if_unused(inode);
        }
    }

    pub(crate) fn read(&self, inode: Inode, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        match &self.node(inode)?.body {
            Body::File(content) => Ok(content.read(offset, length)),
            _ => Err(StorageError::IsADirectory),
        }
    }

    /// Writes at the offset, or at the end if there is none.
    pub(crate) fn write(
        &mut self,
        inode: Inode,
        offset: Option<u64>,
        data: &[u8],
        earlier: &mut Option<SystemTime>,
    ) -> Result<(), StorageError> {
        if data.is_empty() {
            return Ok(());
        }
        let room = self.quota.saturating_sub(self.allocated);
        let content = self.content_mut(inode)?;
        let offset = offset.unwrap_or_else(|| content.size());
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > LARGEST_FILE) {
            return Err(StorageError::TooLarge);
        }
        let before = content.allocated();
        let written = content.write(offset, data, room);
        self.allocated += self.content_mut(inode)?.allocated() - before;
        let now = self.clock.of_write(earlier);
        self.node_mut(inode)?.modified = now;
        match written {
            Written::All => Ok(()),
            Written::Some => Err(StorageError::NoSpace),
        }
    }

    pub(crate) fn resize(&mut self, inode: Inode, size: u64) -> Result<(), StorageError> {
        if size > LARGEST_FILE {
            return Err(StorageError::TooLarge);
        }
        let content = self.content_mut(inode)?;
        let before = content.allocated();
        content.resize(size);
        let after = content.allocated();
        self.allocated -= before - after;
        let now = self.clock.now();
        self.node_mut(inode)?.modified = now;
        Ok(())
    }

    pub(crate) fn attributes(&self, inode: Inode) -> Result<Attributes, StorageError> {
        let node = self.node(inode)?;
        let (kind, size, allocated, links) = match &node.body {
            Body::File(content) => (FileKind::File, content.size(), content.allocated(), node.names),
            Body::Directory(directory) => {
                // A removed directory has no name, and nothing in it.
                (FileKind::Directory, 0, 0, if node.names == 0 { 0 } else { 2 + directory.directories })
            }
            Body::Symlink(target) => (FileKind::Symlink, target.len() as u64, 0, node.names),
        };
        Ok(Attributes {
            kind,
            mode: node.mode,
            size,
            allocated,
            uid: node.uid,
            gid: node.gid,
            links,
            accessed: node.accessed,
            modified: node.modified,
            inode: Some(inode.0),
        })
    }

    /// Blocks are rounded so that what is shown as free is.
    pub(crate) fn file_system(&self) -> FileSystem {
        let blocks_free = self.quota.saturating_sub(self.allocated) / BLOCK;
        let files_free = MOST_FILES.saturating_sub(self.nodes.len() as u64);
        FileSystem {
            block_size: BLOCK,
            fragment_size: BLOCK,
            blocks: self.quota / BLOCK,
            blocks_free,
            blocks_available: blocks_free,
            files: MOST_FILES,
            files_free,
            files_available: files_free,
            id: 0,
            flags: 0,
            longest_name: LONGEST_NAME as u64,
        }
    }

    fn link(
        &mut self,
        parent: Inode,
        name: Bytes,
        inode: Inode,
        now: SystemTime,
    ) -> Result<(), StorageError> {
        let node = self.node_mut(inode)?;
        node.names += 1;
        let is_directory = match &mut node.body {
            Body::Directory(directory) => {
                directory.parent = parent;
                directory.name = name.clone();
                true
            }
            _ => false,
        };
        let directory = self.directory_mut(parent)?;
        directory.entries.insert(name, inode);
        directory.directories += u64::from(is_directory);
        self.node_mut(parent)?.modified = now;
        Ok(())
    }

    fn unlink(
        &mut self,
        parent: Inode,
        name: &[u8],
        inode: Inode,
        now: SystemTime,
    ) -> Result<(), StorageError> {
        let node = self.node_mut(inode)?;
        node.names -= 1;
        let is_directory = matches!(node.body, Body::Directory(_));
        let directory = self.directory_mut(parent)?;
        directory.entries.remove(name);
        directory.directories -= u64::from(is_directory);
        self.node_mut(parent)?.modified = now;
        Ok(())
    }

    fn forget_if_unused(&mut self, inode: Inode) {
        if let Some(node) = self.nodes.get(&inode)
            && node.names == 0
            && node.handles == 0
        {
            if let Body::File(content) = &node.body {
                self.allocated -= content.allocated();
            }
            self.nodes.remove(&inode);
        }
    }
}

impl Node {
    fn new(body: Body, mode: u32, owner: Person, now: SystemTime) -> Self {
        let Person { uid, gid } = owner;
        Self { body, mode, uid, gid, accessed: now, modified: now, names: 0, handles: 0 }
    }
}

impl Directory {
    /// A directory with nothing in it, to be given to [`Tree::make`], which gives it its place.
    pub(crate) fn empty() -> Self {
        Self { entries: BTreeMap::new(), parent: ROOT, name: Bytes::new(), directories: 0 }
    }

    pub(crate) fn parent(&self) -> Inode {
        self.parent
    }
}

/// A tree as one user walks on it.
pub(crate) struct Seen<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) person: Person,
}

impl Ground for Seen<'_> {
    type Place = Inode;

    fn root(&self) -> Inode {
        ROOT
    }

    fn parent(&self, directory: &Inode) -> Inode {
        self.tree.directory(*directory).map_or(ROOT, Directory::parent)
    }

    fn search(&self, directory: &Inode) -> Result<(), StorageError> {
        self.person.may(Right::Search, self.tree.node(*directory)?)
    }

    fn look(&self, directory: &Inode, name: &[u8]) -> Result<Found<Inode>, StorageError> {
        let Some(&inode) = self.tree.directory(*directory)?.entries.get(name) else {
            return Ok(Found::Missing);
        };
        Ok(match &self.tree.node(inode)?.body {
            Body::File(_) => Found::File(inode),
            Body::Directory(_) => Found::Directory(inode),
            Body::Symlink(target) => Found::Link(inode, target.clone()),
        })
    }
}
