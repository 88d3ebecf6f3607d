//! Who may do what to a file in memory: POSIX mode bits, and nothing beyond them.

use crate::storage::{StorageError, memory::tree::Node};

/// The user on whose behalf operations are checked. User 0 may do all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// One of the three bits that each class of users has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read = 4,
    Write = 2,
    /// Of a directory: looking up names.
    Search = 1,
}

impl Person {
    /// Whether the mode bits give this right. The owner has the owner's bits alone, be the others more generous.
    pub(crate) fn may(self, right: Right, node: &Node) -> Result<(), StorageError> {
        let shift = if self.uid == node.uid {
            6
        } else if self.gid == node.gid {
            3
        } else {
            0
        };
        let granted = (node.mode >> shift) & right as u32 != 0;
        if granted || self.uid == 0 { Ok(()) } else { Err(StorageError::PermissionDenied) }
    }

    /// Whether names in this directory may be added and removed.
    pub(crate) fn may_change(self, directory: &Node) -> Result<(), StorageError> {
        self.may(Right::Search, directory)?;
        self.may(Right::Write, directory)
    }

    /// Mode and times are the owner's to change.
    pub(crate) fn owns(self, node: &Node) -> Result<(), StorageError> {
        if self.uid == 0 || self.uid == node.uid { Ok(()) } else { Err(StorageError::PermissionDenied) }
    }

    /// A file is given away by user 0 alone; its owner may name the owner it has, and their own group.
    pub(crate) fn may_give(
        self,
        node: &Node,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<(), StorageError> {
        if self.uid == 0 || (uid.is_none() && gid.is_none()) {
            return Ok(());
        }
        self.owns(node)?;
        let keeps_owner = uid.is_none_or(|uid| uid == node.uid);
        let known_group = gid.is_none_or(|gid| gid == node.gid || gid == self.gid);
        if keeps_owner && known_group { Ok(()) } else { Err(StorageError::PermissionDenied) }
    }
}
