//! Whether what only the target has is something else than what was just moved.
//!
//! A file system may take names for one that are not the same bytes: by the case of letters, the spelling of an accent, a dot
//! at the end. So what is left in a directory was perhaps just replaced, under a name that the source has. Which names are
//! one nobody can say for every server; but when the directory is listed again, and has both byte for byte, they are two.

use std::collections::HashSet;

use bytes::Bytes;

use crate::transfer::tree::extra::{Extraneous, LeftIn};

/// What a later listing of a directory has not shown yet, of what was moved into it and of what is to be removed.
#[derive(Debug)]
pub(super) struct Unseen {
    new: HashSet<Bytes>,
    left: HashSet<Bytes>,
}

impl Unseen {
    /// `None` where nothing new could be what is left.
    pub(super) fn of<P>(found: &LeftIn<P>) -> Option<Self> {
        let left = || found.all.iter().map(|extraneous| extraneous.left.name.clone()).collect();
        (!found.new.names.is_empty()).then(|| Self { new: found.new.names.clone(), left: left() })
    }

    pub(super) fn listed(&mut self, name: &[u8]) {
        self.new.remove(name);
        self.left.remove(name);
    }

    /// What was new and is not listed: left out for what it is, or there under another name, which its path tells.
    pub(super) fn unlisted(&self) -> impl Iterator<Item = &Bytes> {
        self.new.iter()
    }

    /// What is still to be removed. What is not listed any more is not: it has gone, or taken the name of what is new.
    pub(super) fn still_left<P>(&self, all: Vec<Extraneous<P>>, in_doubt: bool) -> Vec<Extraneous<P>> {
        let mut all = all;
        all.retain(|extraneous| !self.left.contains(&extraneous.left.name));
        for extraneous in &mut all {
            extraneous.left.may_be_another |= in_doubt;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::tree::targets::{Left, New};

    const COMPOSED: &str = "\u{e9}";
    const DECOMPOSED: &str = "e\u{301}";

    fn found() -> LeftIn<()> {
        let extraneous = |name: &'static str| {
            let left = Left { name: name.into(), is_directory: false, may_be_another: false };
            Extraneous { path: (), relative: Bytes::new(), left }
        };
        let new = New { names: HashSet::from([Bytes::from(COMPOSED)]), ..New::default() };
        LeftIn { path: (), new, all: vec![extraneous(DECOMPOSED), extraneous("old")] }
    }

    #[test]
    fn what_is_listed_beside_what_is_new_is_something_else() {
        let mut unseen = Unseen::of(&found()).unwrap();
        for name in [COMPOSED, DECOMPOSED, "old", "other"] {
            unseen.listed(name.as_bytes());
        }
        assert_eq!(unseen.unlisted().count(), 0);
        assert_eq!(unseen.still_left(found().all, false).len(), 2);
    }

    #[test]
    fn what_is_new_and_has_the_old_name_is_asked_for() {
        let mut unseen = Unseen::of(&found()).unwrap();
        for name in [DECOMPOSED, "old"] {
            unseen.listed(name.as_bytes());
        }
        assert_eq!(unseen.unlisted().collect::<Vec<_>>(), [COMPOSED]);
        assert!(unseen.still_left(found().all, true).iter().all(|extraneous| extraneous.left.may_be_another));
    }

    #[test]
    fn what_has_taken_the_new_name_is_not_removed() {
        let mut unseen = Unseen::of(&found()).unwrap();
        for name in [COMPOSED, "old"] {
            unseen.listed(name.as_bytes());
        }
        let left = unseen.still_left(found().all, false);
        assert_eq!(left.iter().map(|extraneous| &extraneous.left.name[..]).collect::<Vec<_>>(), [b"old"]);
    }
}
