//! What only the target of a synchronisation has.

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::transfer::tree::targets::Left;

/// What is to be removed when all else went well: `P` is a path of this side or of the server.
#[derive(Debug)]
pub(super) struct Extra<P> {
    all: Vec<Extraneous<P>>,
    /// How much more there was than is kept.
    more: u64,
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
        Self { all: Vec::new(), more: 0 }
    }
}

impl<P> Extra<P> {
    pub(super) fn push(&mut self, extraneous: Extraneous<P>) {
        if self.all.len() < MOST {
            self.all.push(extraneous);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.all.len() as u64 + self.more
    }

    /// What to say of those that are not kept.
    pub(super) fn missed(&self) -> Option<Error> {
        let text = format!("{} more were to be removed than are remembered at once", self.more);
        (self.more > 0).then(|| Error::new(ErrorKind::Failure, "sync", text).with_hint("run it again"))
    }

    pub(super) fn into_all(self) -> Vec<Extraneous<P>> {
        self.all
    }
}

/// The path from the top of a tree on.
pub(super) fn below<'a>(top: &[u8], path: &'a [u8]) -> &'a [u8] {
    let rest = path.strip_prefix(top).unwrap_or(path);
    rest.strip_prefix(b"./").or_else(|| rest.strip_prefix(b"/")).unwrap_or(rest)
}

/// Why something is not removed that may be what was just moved.
pub(super) fn doubt(path: &[u8]) -> Error {
    let text = "its name differs from that of something in the source by the case of letters or the spelling of an accent \
                alone, so that it may be the same file";
    Error::new(ErrorKind::AlreadyExists, "sync", text).at(path).with_hint("remove it yourself, or rename it")
}

/// Not more are remembered: each has a path, so that they may be some hundred MiB.
const MOST: usize = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

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
        for _ in 0..MOST + 2 {
            let left = Left { name: Bytes::new(), is_directory: false, may_be_another: false };
            extra.push(Extraneous { path: (), relative: Bytes::new(), left });
        }
        assert_eq!(extra.count(), MOST as u64 + 2);
        assert!(extra.missed().unwrap().to_string().contains("2 more were"));
    }
}
