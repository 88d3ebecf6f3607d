//! What is done with a tree that is sent where the target is compared.

mod remove;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::StreamExt;

use crate::error::{Error, Result};
use crate::local::details::Kind;
use crate::path::join;
use crate::transfer::tree::Tree;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::comparing::{Compares, Comparing, compare};
use crate::transfer::tree::extra::{Extraneous, below};
use crate::transfer::tree::put::Put;
use crate::transfer::tree::put::jobs::{self, Event, Found};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::routes::Proof;
use crate::transfer::tree::rules::There;

impl<'a> Compares<'a> for Put<'a> {
    type File = Found;

    fn tree(&self) -> &'a Tree<'a> {
        self.tree
    }

    fn account(&mut self) -> &mut Account {
        &mut self.account
    }

    fn comparing(&mut self) -> &mut Comparing<Found> {
        &mut self.comparing
    }

    fn begin_batch(&mut self, files: Vec<Found>) {
        self.jobs.push(Box::pin(compare(self.tree, files).map(Event::Compared)));
    }

    fn queue(&mut self, found: Found) {
        let top = &self.top;
        self.routes.found(found.details.length(), || Some(Proof::Written(top.clone())));
        self.tree.meter.expect(Some(found.details.length()));
        match self.tree.is_small(found.details.length()) {
            true => self.found.push_back(found),
            false => self.large.push_back(found),
        }
    }

    /// Done itself, a directory is one thing less in the one that it is in.
    fn one_less(&mut self, number: usize) {
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.directories.one_less(*number)) {
            match self.directories.at(number) {
                Some(directory) if self.tree.options.preserve && !self.tree.is_dry() => {
                    let job = jobs::finish(self.tree, number, directory.clone());
                    self.jobs.push(Box::pin(job));
                }
                _ => next = self.directories.remove(number),
            }
        }
    }

    fn failed(&mut self, found: &Found, error: Error) -> Result<()> {
        self.fail(found.local.as_os_str().as_encoded_bytes(), error)?;
        self.one_less(found.directory);
        Ok(())
    }
}

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
