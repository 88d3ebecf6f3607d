//! The open files and directories of one session.

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};
use rustle_sftp_proto::{Handle, OpenFlags};

use crate::storage::{Listing, OpenFile};

/// What a handle stands for.
pub(super) enum Open {
    File { file: Box<dyn OpenFile>, flags: OpenFlags },
    Directory(Box<dyn Listing>),
}

/// The handles of one session. A number is never given twice, so a stale handle stays one; the channel's number is in
/// each, so that one of another session is foreign here.
pub(super) struct Handles {
    bytes: HandleBytes,
    channel: u32,
    next: u32,
    most: usize,
    open: HashMap<Handle, Open>,
}

/// What handles look like. Both have a NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandleBytes {
    /// As OpenSSH's numbers: no text from the 129th on.
    Numbers,
    /// No text from the first on.
    NeverText,
}

impl Handles {
    pub(super) fn new(bytes: HandleBytes, channel: usize, most: usize) -> Self {
        let channel = u32::try_from(channel).unwrap_or(u32::MAX);
        Self { bytes, channel, next: 0, most, open: HashMap::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.most
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn insert(&mut self, open: Open) -> Handle {
        let mut bytes = BytesMut::with_capacity(9);
        if self.bytes == HandleBytes::NeverText {
            bytes.put_u8(0xfe);
        }
        bytes.put_u32(self.channel);
        bytes.put_u32(self.next);
        self.next = self.next.wrapping_add(1);
        let handle = Handle::new(bytes.freeze());
        self.open.insert(handle.clone(), open);
        handle
    }

    pub(super) fn remove(&mut self, handle: &Handle) -> Option<Open> {
        self.open.remove(handle)
    }

    /// An open file.
    pub(super) fn file(&self, handle: &Handle) -> Option<(&dyn OpenFile, OpenFlags)> {
        match self.open.get(handle)? {
            Open::File { file, flags } => Some((&**file, *flags)),
            Open::Directory(_) => None,
        }
    }

    /// An open directory.
    pub(super) fn directory(&mut self, handle: &Handle) -> Option<&mut Box<dyn Listing>> {
        match self.open.get_mut(handle)? {
            Open::File { .. } => None,
            Open::Directory(listing) => Some(listing),
        }
    }
}
