//! Whether what only the target has is something else than what was just moved.
//!
//! A file system may take names for one that are not the same bytes: by the case of letters, the spelling of an accent, a dot
//! at the end. So what is left in a directory was perhaps just replaced, under a name that the source has. Which names are
//! one nobody can say for every server; but when the directory is listed again, and has both byte for byte, they are two.
//!
//! It is the same with directories: two of the source may be one of the target, where what came through one of them looks
//! left over in the other. A directory of the source that is there, and is not listed under its name, is one of those that
//! are listed. Which one nobody says, so nothing is removed below any of them.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::path::join;
use crate::shown::Shown;
use crate::transfer::tree::extra::{Extraneous, LeftIn};

/// What a later listing of a directory has not shown yet, of what was moved into it and of what is to be removed.
#[derive(Debug)]
pub(super) struct Unseen {
    new: HashMap<Bytes, bool>,
    left: HashSet<Bytes>,
    /// Something new is there nevertheless.
    is_doubtful: bool,
    /// What is known of a directory of the source that is one with another.
    merged: Option<String>,
}

/// A directory that was looked at again.
#[derive(Debug)]
pub(super) struct Judged<P> {
    path: P,
    relative: Bytes,
    /// How much there was to be removed in it.
    count: usize,
    left: Result<Vec<Extraneous<P>>>,
    merged: Option<String>,
}

/// A directory in which nothing is removed, and why.
#[derive(Debug)]
pub(super) struct Spared<P> {
    pub(super) path: P,
    pub(super) count: usize,
    pub(super) error: Error,
}

impl Unseen {
    /// `None` where nothing new could be what is left.
    pub(super) fn of<P>(found: &LeftIn<P>) -> Option<Self> {
        if found.new.is_empty() {
            return None;
        }
        let left = found.all.iter().map(|extraneous| extraneous.left.name.clone()).collect();
        let place = Shown::of(&found.relative);
        let merged = found.new.are_more.then(|| format!("one of very many new ones in {place}"));
        Some(Self { new: found.new.names.clone(), left, is_doubtful: found.new.are_more, merged })
    }

    pub(super) fn listed(&mut self, name: &[u8]) {
        self.new.remove(name);
        self.left.remove(name);
    }

    /// What was new and is not listed: left out for what it is, or there under another name, which its path tells.
    pub(super) fn unlisted(&self) -> Vec<Bytes> {
        self.new.keys().cloned().collect()
    }

    /// What is not listed is there.
    pub(super) fn is_there<P>(&mut self, found: &LeftIn<P>, name: &[u8], is_directory: bool) {
        self.is_doubtful = true;
        if is_directory && self.new.get(name).is_some_and(|may_be_directory| *may_be_directory) {
            let shown = || Shown::of(&join(&found.relative, name)).to_string();
            self.merged.get_or_insert_with(shown);
        }
    }

    /// What is still to be removed. What is not listed any more is not: it has gone, or taken the name of what is new.
    pub(super) fn judge<P>(self, mut found: LeftIn<P>) -> Judged<P> {
        let count = found.all.len();
        found.all.retain(|extraneous| !self.left.contains(&extraneous.left.name));
        for extraneous in &mut found.all {
            extraneous.left.may_be_another |= self.is_doubtful;
        }
        let LeftIn { path, relative, all, .. } = found;
        Judged { path, relative, count, left: Ok(all), merged: self.merged }
    }
}

impl<P> Judged<P> {
    /// Nothing in it could be what was just moved.
    pub(super) fn certain(found: LeftIn<P>) -> Self {
        let LeftIn { path, relative, all, .. } = found;
        Self { path, relative, count: all.len(), left: Ok(all), merged: None }
    }

    /// It could not be looked at.
    pub(super) fn failed(found: LeftIn<P>, error: Error) -> Self {
        let LeftIn { path, relative, all, .. } = found;
        let merged = Some(format!("one in {}, which could not be listed,", Shown::of(&relative)));
        Self { path, relative, count: all.len(), left: Err(error), merged }
    }
}

/// What is to be removed of all, and where nothing is.
pub(super) fn settled<P>(judged: Vec<Judged<P>>) -> (Vec<Extraneous<P>>, Vec<Spared<P>>) {
    let merged = judged.iter().filter_map(|one| Some((one.relative.clone(), one.merged.clone()?)));
    let merged: HashMap<_, _> = merged.collect();
    let (mut certain, mut spared) = (Vec::new(), Vec::new());
    for Judged { path, relative, count, left, .. } in judged {
        let doubt = above(&relative).find_map(|above| merged.get(above));
        match (left, doubt) {
            (Err(error), _) => spared.push(Spared { path, count, error }),
            (Ok(left), Some(other)) if !left.is_empty() => {
                let error = doubt_below(&relative, other);
                spared.push(Spared { path, count, error });
            }
            (Ok(left), _) => certain.extend(left),
        }
    }
    (certain, spared)
}

/// The directories that a directory is in, from the top on.
fn above(relative: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(relative), |path| up(path)).skip(1)
}

fn up(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some(&path[..slash]),
        None => (!path.is_empty()).then_some(&b""[..]),
    }
}

/// Why nothing is removed in a directory that may have another name.
fn doubt_below(relative: &[u8], other: &str) -> Error {
    let text = format!(
        "what only the target has in it stays: a directory of the source, {other}, may be the same directory as this one or one \
         above it, since the target does not list it under its name"
    );
    let hint = "case, the spelling of an accent or a dot at the end make no difference to some file systems: rename one of them";
    Error::new(ErrorKind::AlreadyExists, "sync", text).at(relative).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::tree::targets::{Left, New};

    const COMPOSED: &str = "\u{e9}";
    const DECOMPOSED: &str = "e\u{301}";

    fn left_in(relative: &'static str, new: &[(&'static str, bool)], left: &[&'static str]) -> LeftIn<()> {
        let extraneous = |name: &&'static str| {
            let left = Left { name: (*name).into(), is_directory: false, may_be_another: false };
            Extraneous { path: (), relative: Bytes::new(), left }
        };
        let names = new.iter().map(|(name, is_directory)| (Bytes::from(*name), *is_directory)).collect();
        let new = New { names, ..New::default() };
        LeftIn { path: (), relative: relative.into(), new, all: left.iter().map(extraneous).collect() }
    }

    fn found() -> LeftIn<()> {
        left_in("", &[(COMPOSED, false)], &[DECOMPOSED, "old"])
    }

    fn unseen(found: &LeftIn<()>, listed: &[&str]) -> Unseen {
        let mut unseen = Unseen::of(found).unwrap();
        listed.iter().for_each(|name| unseen.listed(name.as_bytes()));
        unseen
    }

    fn names(left: &[Extraneous<()>]) -> Vec<&str> {
        left.iter().map(|extraneous| str::from_utf8(&extraneous.left.name).unwrap()).collect()
    }

    #[test]
    fn what_is_listed_beside_what_is_new_is_something_else() {
        let unseen = unseen(&found(), &[COMPOSED, DECOMPOSED, "old", "other"]);
        assert!(unseen.unlisted().is_empty());
        let left = unseen.judge(found()).left.unwrap();
        assert_eq!(names(&left), [DECOMPOSED, "old"]);
        assert!(left.iter().all(|extraneous| !extraneous.left.may_be_another));
    }

    #[test]
    fn what_is_new_and_has_the_old_name_is_asked_for() {
        let mut unseen = unseen(&found(), &[DECOMPOSED, "old"]);
        assert_eq!(unseen.unlisted(), [COMPOSED]);
        unseen.is_there(&found(), COMPOSED.as_bytes(), false);
        let left = unseen.judge(found()).left.unwrap();
        assert!(left.len() == 2 && left.iter().all(|extraneous| extraneous.left.may_be_another));
    }

    #[test]
    fn what_has_taken_the_new_name_is_not_removed() {
        let unseen = unseen(&found(), &[COMPOSED, "old"]);
        assert_eq!(names(&unseen.judge(found()).left.unwrap()), ["old"]);
    }

    #[test]
    fn names_that_were_too_many_to_be_kept_are_doubt() {
        let mut found = found();
        found.new = New { are_more: true, ..New::default() };
        let unseen = unseen(&found, &[DECOMPOSED, "old"]);
        let judged = unseen.judge(found);
        assert!(judged.left.unwrap().iter().all(|extraneous| extraneous.left.may_be_another));
        assert!(judged.merged.is_some());
    }

    #[test]
    fn below_a_directory_that_has_merged_two_nothing_goes_and_elsewhere_it_does() {
        let above = left_in("a", &[("d", true), ("gone", true), ("file", false)], &[]);
        let mut unseen = unseen(&above, &["D", "other"]);
        // One was left out and is not there, another is no directory.
        unseen.is_there(&above, b"file", false);
        assert!(unseen.merged.is_none());
        unseen.is_there(&above, b"d", true);
        let judged = vec![
            unseen.judge(above),
            Judged::certain(left_in("a/D", &[], &["y"])),
            Judged::certain(left_in("a/other/deep", &[], &["z"])),
            Judged::certain(left_in("ab", &[], &["b"])),
            Judged::certain(left_in("", &[], &["top"])),
        ];
        let (certain, spared) = settled(judged);
        assert_eq!(names(&certain), ["b", "top"]);
        let said: Vec<_> = spared.iter().map(|spared| spared.error.to_string()).collect();
        assert!(said.len() == 2 && said.iter().all(|said| said.contains("\"a/d\"")), "{said:?}");
    }

    #[test]
    fn below_a_directory_that_cannot_be_listed_again_nothing_goes() {
        let error = Error::new(ErrorKind::PermissionDenied, "list", "no");
        let top = Judged::failed(left_in("", &[("d", true)], &["old", "older"]), error);
        let (certain, spared) = settled(vec![top, Judged::certain(left_in("D/below", &[], &["y"]))]);
        assert!(certain.is_empty());
        let counts: Vec<_> = spared.iter().map(|spared| (spared.count, spared.error.kind())).collect();
        assert_eq!(counts, [(2, ErrorKind::PermissionDenied), (1, ErrorKind::AlreadyExists)]);
    }
}
