//! What is done with a tree that is sent where the target is compared.

mod remove;

use bytes::Bytes;
use futures_util::stream::StreamExt;

use crate::error::Result;
use crate::local::details::Kind;
use crate::path::join;
use crate::transfer::tree::extra::{Extraneous, below};
use crate::transfer::tree::put::Put;
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::rules::There;

impl Put<'_> {
    /// What the target has at a path in this directory; `None` for a path that is left alone.
    pub(super) fn target_of(&mut self, number: usize, remote: &[u8], kind: Kind) -> Option<Option<There>> {
        let Some(rules) = &self.tree.rules else { return Some(None) };
        let name = remote.rsplit(|byte| *byte == b'/').next().unwrap_or(remote);
        let there = self.targets.get_mut(&number).and_then(|targets| targets.take(name));
        (!rules.excludes(below(&self.top, remote), kind == Kind::Directory)).then_some(there)
    }

    /// A directory was listed to its end: what of the target it did not name is extraneous.
    pub(super) fn listed(&mut self, number: usize) {
        let (Some(targets), Some(rules)) = (self.targets.remove(&number), &self.tree.rules) else { return };
        let Some(directory) = self.directories.at(number).filter(|_| rules.delete) else { return };
        for left in targets.left() {
            let path = join(&directory.remote, &left.name);
            let relative = Bytes::copy_from_slice(below(&self.top, &path));
            if !rules.excludes(&relative, left.is_directory) {
                self.extra.push(Extraneous { path, relative, left });
            }
        }
    }

    /// Removes what only the target has, where all else went well.
    pub(super) async fn conclude(mut self) -> Result<TreeSummary> {
        let extra = std::mem::take(&mut self.extra);
        let Some(rules) = self.tree.rules.clone().filter(|_| !extra.is_empty()) else {
            return Ok(self.account.summary);
        };
        if !self.account.is_good() {
            self.account.summary.kept = extra.count();
            return Ok(self.account.summary);
        }
        let missed = extra.missed();
        let mut removals = futures_util::stream::iter(extra.into_all())
            .map(|extraneous| remove::remove(self.tree.sftp, &rules, extraneous))
            .buffer_unordered(REMOVING);
        while let Some((path, removed)) = removals.next().await {
            match removed {
                Ok(true) => self.account.removed(&path),
                // There is something in it that is left alone.
                Ok(false) => {}
                Err(error) if self.tree.sftp.is_closed() => return Err(error),
                Err(error) => self.account.fail(&path, error),
            }
        }
        drop(removals);
        if let Some(error) = missed {
            self.account.fail(b"", error);
        }
        Ok(self.account.summary)
    }
}

/// What is removed at once: as many round trips as overlap usefully.
const REMOVING: usize = 64;
