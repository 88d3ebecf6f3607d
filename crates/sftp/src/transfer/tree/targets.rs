//! What the target of a synchronisation has in its directories.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Kind;
use crate::local::tree::Entry;
use crate::sftp::Sftp;
use crate::transfer::names;
use crate::transfer::tree::rules::There;

/// The names of one directory of the target that the source has not named yet.
#[derive(Debug, Default)]
pub(super) struct Targets {
    names: HashMap<Vec<u8>, (Bytes, There)>,
    side: Side,
    /// Names that are new here, without regard to upper and lower case.
    new: HashSet<Vec<u8>>,
}

/// Where names are those of a file system that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Side {
    #[default]
    Here,
    There,
}

/// A name that only the target has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) name: Bytes,
    pub(super) is_directory: bool,
    /// It may be a file that the source has by a name that differs in letters' case.
    pub(super) may_be_another: bool,
}

impl Targets {
    pub(super) fn here(entries: Vec<Entry>) -> Result<Self> {
        let mut targets = Self::default();
        for entry in entries {
            let name = names::for_server(&entry.name)?;
            let there = There::from(&entry.details?);
            targets.names.insert(targets.side.key(&name), (name, there));
        }
        Ok(targets)
    }

    /// What is in a directory of the server.
    pub(super) async fn there(sftp: &Sftp, path: &Bytes) -> Result<Self> {
        let mut targets = Self { side: Side::There, ..Self::default() };
        let mut listing = sftp.read_dir(path).await?;
        while let Some(entry) = listing.next_entry().await? {
            if targets.names.len() >= names::Siblings::MOST {
                let text = "the server lists more names in one directory than are taken here";
                return Err(Error::new(ErrorKind::Protocol, "list", text).at(path));
            }
            let name = Bytes::copy_from_slice(entry.name());
            let there = There::from(entry.metadata().attributes());
            targets.names.insert(targets.side.key(&name), (name, there));
        }
        Ok(targets)
    }

    /// An empty directory of the server.
    pub(super) fn nothing_there() -> Self {
        Self { side: Side::There, ..Self::default() }
    }

    /// What the target has under a name of the source, which is taken out.
    pub(super) fn take(&mut self, name: &[u8]) -> Option<There> {
        let found = self.names.remove(&self.side.key(name));
        if found.is_none() {
            self.new.insert(names::without_case(name));
        }
        found.map(|(_, there)| there)
    }

    /// What the source has not named.
    pub(super) fn left(self) -> Vec<Left> {
        let Self { names, new, .. } = self;
        let left = names.into_values().map(|(name, there)| Left {
            is_directory: there.kind == Kind::Directory,
            may_be_another: new.contains(&names::without_case(&name)) || !names::is_certain(&name),
            name,
        });
        left.collect()
    }
}

impl Side {
    fn key(self, name: &[u8]) -> Vec<u8> {
        match self {
            Self::Here => names::as_one(name),
            Self::There => name.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_names_is_taken_out_and_case_alone_makes_doubt() {
        let there = There { kind: Kind::File, length: Some(1), modified: None };
        let mut targets = Targets::nothing_there();
        for name in ["a", "README", "old"] {
            targets.names.insert(name.into(), (name.into(), there));
        }
        assert_eq!((targets.take(b"a"), targets.take(b"readme")), (Some(there), None));
        let mut left = targets.left();
        left.sort_by(|one, other| one.name.cmp(&other.name));
        let said: Vec<_> = left.iter().map(|left| (&left.name[..], left.may_be_another)).collect();
        assert_eq!(said, [(&b"README"[..], true), (b"old", false)]);
    }
}
