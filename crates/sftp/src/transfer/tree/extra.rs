//! What only the target of a synchronisation has.

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::transfer::tree::targets::{Left, New};

/// What is to be removed when all else went well: `P` is a path of this side or of the server.
#[derive(Debug)]
pub(super) struct Extra<P> {
    directories: Vec<LeftIn<P>>,
    count: usize,
    bytes: usize,
    /// How much more there was than is kept.
    more: u64,
}

/// A directory of the target in which something is to be removed, or below which.
#[derive(Debug)]
pub(super) struct LeftIn<P> {
    pub(super) path: P,
    /// From the top of the tree on.
    pub(super) relative: Bytes,
    /// What was put into the directory beside what is in it.
    pub(super) new: New,
    pub(super) all: Vec<Extraneous<P>>,
}

#[derive(Debug)]
pub(super) struct Extraneous<P> {
    pub(super) path: P,
    /// From the top of the tree on.
    pub(super) relative: Bytes,
    pub(super) left: Left,
}

impl<P> Default for Extra<P> {
    fn default() -> Self {
        Self { directories: Vec::new(), count: 0, bytes: 0, more: 0 }
    }
}

impl<P> Extra<P> {
    /// What is left in one directory. Where that is nothing, what was put into it comes back.
    pub(super) fn push(
        &mut self,
        path: P,
        relative: Bytes,
        new: New,
        left: impl Iterator<Item = Extraneous<P>>,
    ) -> Option<New> {
        let (mut all, before) = (Vec::new(), self.more);
        for extraneous in left {
            // Of which the path has most, as a whole and from the top on.
            let bytes = self.bytes.saturating_add(3 * extraneous.relative.len());
            if self.count < MOST && bytes <= MOST_BYTES {
                (self.count, self.bytes) = (self.count + 1, bytes);
                all.push(extraneous);
            } else {
                self.more += 1;
            }
        }
        if all.is_empty() && self.more == before {
            return Some(new);
        }
        let new = self.remembered(new);
        self.directories.push(LeftIn { path, relative, new, all });
        None
    }

    /// What was put into a directory, as far as there is room to remember it.
    pub(super) fn remembered(&mut self, new: New) -> New {
        let bytes = self.bytes.saturating_add(new.bytes);
        match bytes <= MOST_BYTES {
            true => {
                self.bytes = bytes;
                new
            }
            false => New { are_more: true, ..New::default() },
        }
    }

    /// What was remembered of a directory below which nothing is to be removed.
    pub(super) fn forget(&mut self, new: &New) {
        self.bytes = self.bytes.saturating_sub(new.bytes);
    }

    /// What was remembered of a directory below which something is to be removed, and nothing in it.
    pub(super) fn watch(&mut self, path: P, relative: Bytes, new: New) {
        self.directories.push(LeftIn { path, relative, new, all: Vec::new() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.more == 0
    }

    pub(super) fn count(&self) -> u64 {
        self.count as u64 + self.more
    }

    /// What to say of those that are not kept.
    pub(super) fn missed(&self) -> Option<Error> {
        let text = format!("{} more were to be removed than are remembered at once", self.more);
        (self.more > 0).then(|| Error::new(ErrorKind::Failure, "sync", text).with_hint("run it again"))
    }

    pub(super) fn into_directories(self) -> Vec<LeftIn<P>> {
        self.directories
    }
}

/// The path from the top of a tree on.
pub(super) fn below<'a>(top: &[u8], path: &'a [u8]) -> &'a [u8] {
    let rest = path.strip_prefix(top).unwrap_or(path);
    rest.strip_prefix(b"./").or_else(|| rest.strip_prefix(b"/")).unwrap_or(rest)
}

/// Why something is not removed that may be what was just moved.
pub(super) fn doubt(path: &[u8]) -> Error {
    let text = "it may be the same file as one of the source that has another name: case, the spelling of an accent or a dot \
                at the end make no difference to some file systems";
    Error::new(ErrorKind::AlreadyExists, "sync", text).at(path).with_hint("remove it yourself, or rename it")
}

/// Not more are remembered.
const MOST: usize = 262_144;

/// Of all that is remembered.
const MOST_BYTES: usize = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn extraneous(relative: Bytes) -> Extraneous<()> {
        let left = Left { name: Bytes::new(), is_directory: false, may_be_another: false };
        Extraneous { path: (), relative, left }
    }

    #[test]
    fn a_path_begins_behind_the_top() {
        assert_eq!(below(b"/srv", b"/srv/a/b"), b"a/b");
        assert_eq!(
            (below(b"", b"a"), below(b".", b"./a"), below(b"/", b"/a")),
            (&b"a"[..], &b"a"[..], &b"a"[..])
        );
    }

    #[test]
    fn what_is_not_remembered_is_said() {
        let mut extra = Extra::default();
        assert!(extra.push((), Bytes::new(), New::default(), std::iter::empty()).is_some());
        assert!(extra.is_empty());
        let all = std::iter::repeat_with(|| extraneous(Bytes::new())).take(MOST + 2);
        assert!(extra.push((), Bytes::new(), New::default(), all).is_none());
        assert_eq!(extra.count(), MOST as u64 + 2);
        assert!(extra.missed().unwrap().to_string().contains("2 more were"));
    }

    #[test]
    fn long_paths_and_many_new_names_do_not_fill_the_memory_either() {
        let mut extra = Extra::default();
        let long = Bytes::from(vec![b'x'; MOST_BYTES / 30]);
        let new = New { bytes: MOST_BYTES, ..New::default() };
        let all = std::iter::repeat_with(|| extraneous(long.clone())).take(15);
        assert!(extra.push((), Bytes::new(), new, all).is_none());
        assert_eq!((extra.count(), extra.more), (15, 5));
        let directories = extra.into_directories();
        assert_eq!((directories[0].all.len(), directories[0].new.are_more), (10, true));
    }
}
