//! What the target of a synchronisation has in its directories.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Kind;
use crate::local::tree::Entry;
use crate::sftp::Sftp;
use crate::transfer::names;
use crate::transfer::tree::listing::LONGEST_NAME;
use crate::transfer::tree::rules::There;

/// The names of one directory of the target that the source has not named yet.
#[derive(Debug, Default)]
pub(super) struct Targets {
    names: HashMap<Bytes, (Bytes, There)>,
    bytes: usize,
    side: Side,
    /// There are directories in it, which the source may give other names.
    has_directories: bool,
    new: New,
}

/// Where names are those of a file system that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Side {
    #[default]
    Here,
    There,
}

/// What the source has in a directory and the target did not have.
#[derive(Debug, Default)]
pub(super) struct New {
    /// Of each whether it may be a directory.
    pub(super) names: HashMap<Bytes, bool>,
    pub(super) bytes: usize,
    /// There are more than are kept.
    pub(super) are_more: bool,
}

/// A name that only the target has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) name: Bytes,
    pub(super) is_directory: bool,
    /// It may be a file that the source has by another name.
    pub(super) may_be_another: bool,
}

impl Targets {
    pub(super) fn here(entries: Vec<Entry>) -> Result<Self> {
        let mut targets = Self::default();
        for entry in entries {
            targets.keep(names::for_server(&entry.name)?, There::from(&entry.details?));
        }
        Ok(targets)
    }

    /// An empty directory of this side.
    pub(super) fn nothing_here() -> Self {
        Self::default()
    }

    /// What is in a directory of the server.
    pub(super) async fn there(sftp: &Sftp, path: &Bytes) -> Result<Self> {
        let mut targets = Self::nothing_there();
        let mut listing = sftp.read_dir(path).await?;
        while let Some(entry) = listing.next_entry().await? {
            let there = There::from(entry.metadata().attributes());
            targets.admit(entry.name(), there).map_err(|error| error.at(path))?;
        }
        Ok(targets)
    }

    /// An empty directory of the server.
    pub(super) fn nothing_there() -> Self {
        Self { side: Side::There, ..Self::default() }
    }

    /// Takes one more name of the server, as far as names may fill the memory.
    fn admit(&mut self, name: &[u8], there: There) -> Result<()> {
        self.bytes = self.bytes.saturating_add(name.len());
        let text = if name.len() > LONGEST_NAME {
            "the server lists a name that is longer than any file system takes"
        } else if self.names.len() >= names::Siblings::MOST || self.bytes > MOST_BYTES {
            "the server lists more names in one directory than are taken here"
        } else {
            self.keep(Bytes::copy_from_slice(name), there);
            return Ok(());
        };
        Err(Error::new(ErrorKind::Protocol, "list", text))
    }

    fn keep(&mut self, name: Bytes, there: There) {
        self.has_directories |= there.kind == Kind::Directory;
        self.names.insert(self.side.key(&name), (name, there));
    }

    /// What the target has under a name of the source, which is taken out.
    pub(super) fn take(&mut self, name: &[u8], may_be_directory: bool) -> Option<There> {
        let found = self.names.remove(&self.side.key(&Bytes::copy_from_slice(name)));
        // Where nothing is left, nothing is taken for it; what is in a directory may be, by another name of that.
        if found.is_none() && (!self.names.is_empty() || may_be_directory && self.has_directories) {
            self.new.insert(name, may_be_directory);
        }
        found.map(|(_, there)| there)
    }

    /// What the source has not named, and what it has named beside it.
    pub(super) fn left(self) -> (Vec<Left>, New) {
        let Self { names, new, .. } = self;
        if names.is_empty() {
            return (Vec::new(), new);
        }
        let folded: HashSet<_> = new.names.keys().map(|name| names::without_case(name)).collect();
        let left = names.into_values().map(|(name, there)| Left {
            is_directory: there.kind == Kind::Directory,
            may_be_another: folded.contains(&names::without_case(&name)),
            name,
        });
        (left.collect(), new)
    }
}

impl New {
    fn insert(&mut self, name: &[u8], may_be_directory: bool) {
        let bytes = self.bytes.saturating_add(name.len());
        if bytes > MOST_BYTES {
            self.are_more = true;
        } else {
            self.bytes = bytes;
            self.names.insert(Bytes::copy_from_slice(name), may_be_directory);
        }
    }

    /// Those that may be directories.
    pub(super) fn directories(mut self) -> Self {
        self.names.retain(|_, may_be_directory| *may_be_directory);
        self.names.shrink_to_fit();
        Self { bytes: self.names.keys().map(Bytes::len).sum(), ..self }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.are_more
    }
}

impl Side {
    fn key(self, name: &Bytes) -> Bytes {
        match self {
            Self::Here => Bytes::from(names::as_one(name)),
            Self::There => name.clone(),
        }
    }
}

/// A million names of 64 bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: There = There { kind: Kind::File, length: Some(1), modified: None, mode: None };

    #[test]
    fn what_the_source_names_is_taken_out_and_case_alone_makes_doubt() {
        let mut targets = Targets::nothing_there();
        for name in ["a", "README", "old"] {
            targets.admit(name.as_bytes(), FILE).unwrap();
        }
        assert_eq!((targets.take(b"a", false), targets.take(b"readme", false)), (Some(FILE), None));
        let (mut left, new) = targets.left();
        left.sort_by(|one, other| one.name.cmp(&other.name));
        let said: Vec<_> = left.iter().map(|left| (&left.name[..], left.may_be_another)).collect();
        assert_eq!(said, [(&b"README"[..], true), (b"old", false)]);
        assert_eq!(new.names, HashMap::from([(Bytes::from("readme"), false)]));
    }

    #[test]
    fn where_nothing_is_left_a_new_directory_may_still_be_one_that_is_there() {
        let mut targets = Targets::nothing_there();
        targets.admit(b"D", There { kind: Kind::Directory, ..FILE }).unwrap();
        assert!(targets.take(b"D", true).is_some());
        assert_eq!((targets.take(b"d", true), targets.take(b"file", false)), (None, None));
        let (left, new) = targets.left();
        assert!(left.is_empty());
        assert_eq!(new.directories().names, HashMap::from([(Bytes::from("d"), true)]));
        let mut targets = Targets::nothing_there();
        targets.admit(b"a", FILE).unwrap();
        assert!(targets.take(b"a", false).is_some() && targets.take(b"d", true).is_none());
        assert!(targets.left().1.is_empty());
    }

    #[test]
    fn names_do_not_fill_the_memory_whatever_their_length() {
        let mut targets = Targets::nothing_there();
        let error = targets.admit(&[b'x'; 32 * 1024], FILE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let name = |number: usize| format!("{number:0LONGEST_NAME$}");
        let mut targets = Targets::nothing_there();
        let taken = (0..100_000).take_while(|number| targets.admit(name(*number).as_bytes(), FILE).is_ok());
        assert_eq!(taken.count(), MOST_BYTES / LONGEST_NAME);
        assert!((0..70_000).all(|number| targets.take(name(1_000_000 + number).as_bytes(), false).is_none()));
        let (left, new) = targets.left();
        assert_eq!((left.len(), new.names.len(), new.are_more), (65_793, 65_793, true));
    }
}
