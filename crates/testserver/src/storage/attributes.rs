//! What is known of a file, what can be changed of it, and the numbers of a whole file system.

use std::time::SystemTime;

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) kind: FileKind,
    /// The permission bits alone, at most 07777.
    pub(crate) mode: u32,
    /// In bytes; of a link, the length of what it reads.
    pub(crate) size: u64,
    /// The bytes that are really stored, without holes.
    pub(crate) allocated: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The names this file has; of a directory, two and one for each directory in it, if the file system counts so.
    pub(crate) links: u64,
    pub(crate) accessed: SystemTime,
    pub(crate) modified: SystemTime,
    /// What tells this file from all others of the tree, where the platform has such a number.
    pub(crate) inode: Option<u64>,
}

/// The sort of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    File,
    Directory,
    Symlink,
    /// A device, socket or pipe on a real disk.
    Other,
}

impl FileKind {
    /// The bits of POSIX's `S_IFMT` for this sort; 0 for [`Other`](Self::Other).
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Other => 0,
        }
    }
}

/// What to change of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) size: Option<u64>,
    /// Permission bits; others are ignored.
    pub(crate) mode: Option<u32>,
    pub(crate) accessed: Option<SystemTime>,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// The numbers of statvfs(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSystem {
    pub(crate) block_size: u64,
    /// The unit in which blocks are counted.
    pub(crate) fragment_size: u64,
    pub(crate) blocks: u64,
    pub(crate) blocks_free: u64,
    /// Those an ordinary user may take.
    pub(crate) blocks_available: u64,
    pub(crate) files: u64,
    pub(crate) files_free: u64,
    pub(crate) files_available: u64,
    pub(crate) id: u64,
    /// 1 if nothing can be changed, 2 if set-user-id bits mean nothing.
    pub(crate) flags: u64,
    pub(crate) longest_name: u64,
}
