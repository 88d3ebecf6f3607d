//! What is done with a tree that is sent where the target is compared.

mod remove;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::{Error, Result};
use crate::local::details::Kind;
use crate::path::join;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::certain::settled;
use crate::transfer::tree::comparing::{Compares, Comparing, compare};
use crate::transfer::tree::extra::{Extra, Extraneous, below};
use crate::transfer::tree::put::Put;
use crate::transfer::tree::put::jobs::{self, Event, Found};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::room::LISTED_BY_REMOVAL;
use crate::transfer::tree::rules::{Rules, There};
use crate::transfer::tree::{LinkPolicy, Tree};

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

    fn begin_to_set_modes(&mut self, files: Vec<(Found, u32)>) {
        self.jobs.push(Box::pin(jobs::set_modes(self.tree, files)));
    }

    fn queue(&mut self, found: Found) {
        self.tree.meter.expect(Some(found.details.length()));
        match self.tree.is_small(found.details.length()) {
            true => self.found.push_back(found),
            false => self.large.push_back(found),
        }
    }

    /// Done itself, a directory is one thing less in the one that it is in.
    fn one_less(&mut self, number: usize) {
        self.ended(number);
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
        let is_excluded = rules.excludes(below(&self.top, remote), kind == Kind::Directory);
        let may_be_directory = match kind {
            Kind::Directory => true,
            Kind::Link => self.tree.links == LinkPolicy::Follow,
            Kind::File | Kind::Special => false,
        };
        let targets = self.targets.get_mut(&number);
        let there = targets.and_then(|targets| targets.take(name, may_be_directory && !is_excluded));
        (!is_excluded).then_some(there)
    }

    /// A directory was listed to its end: what of the target it did not name is extraneous.
    pub(super) fn listed(&mut self, number: usize) {
        let (Some(targets), Some(rules)) = (self.targets.remove(&number), &self.tree.rules) else { return };
        let Some(directory) = self.directories.at(number).filter(|_| rules.delete) else { return };
        let (left, new) = targets.left();
        let left = left.into_iter().filter_map(|left| {
            let path = join(&directory.remote, &left.name);
            let relative = Bytes::copy_from_slice(below(&self.top, &path));
            let is_excluded = rules.excludes(&relative, left.is_directory);
            (!is_excluded).then_some(Extraneous { path, relative, left })
        });
        let relative = Bytes::copy_from_slice(below(&self.top, &directory.remote));
        match self.extra.push(directory.remote.clone(), relative, new, left) {
            None => self.directories.hold(number),
            Some(new) => {
                let new = self.extra.remembered(new.directories());
                self.directories.remember(number, new);
            }
        }
    }

    /// All that is below a directory is done: where something of that is to be removed, what was put into the directory
    /// tells of what it may be.
    pub(super) fn watch(&mut self, number: usize) {
        let Some(new) = self.directories.remembered(number) else { return };
        match self.directories.at(number) {
            Some(directory) if directory.is_held && !new.is_empty() => {
                let relative = Bytes::copy_from_slice(below(&self.top, &directory.remote));
                self.extra.watch(directory.remote.clone(), relative, new);
            }
            _ => self.extra.forget(&new),
        }
    }

    /// Removes what only the target has, where all else went well, and gives directories what they are to have after that.
    pub(super) async fn conclude(mut self) -> Result<TreeSummary> {
        let extra = std::mem::take(&mut self.extra);
        if let Some(rules) = self.tree.rules.clone().filter(|_| !extra.is_empty()) {
            match self.account.is_good() {
                true => self.remove(&rules, extra).await?,
                false => self.account.summary.kept = extra.count(),
            }
        }
        self.finish_held().await?;
        Ok(self.account.summary)
    }

    async fn remove(&mut self, rules: &Rules, extra: Extra<Bytes>) -> Result<()> {
        let (tree, missed) = (self.tree, extra.missed());
        let mut found = extra.into_directories().into_iter();
        let (mut looking, mut judged) = (FuturesUnordered::new(), Vec::new());
        loop {
            // Each is begun when there is room for it: there may be very many.
            looking.extend(
                found
                    .by_ref()
                    .take(tree.room.listings - looking.len())
                    .map(|found| remove::checked(tree, found)),
            );
            let Some(one) = looking.next().await else { break };
            judged.push(one);
        }
        let (certain, spared) = settled(judged);
        for spared in spared {
            self.fail(&spared.path, spared.error)?;
            self.account.summary.kept += spared.count as u64;
        }
        let (directories, files): (Vec<_>, Vec<_>) =
            certain.into_iter().partition(|extraneous| extraneous.left.is_directory);
        // Of directories each lists some of its own.
        let few = (tree.room.handles() / LISTED_BY_REMOVAL).max(1);
        for (all, at_once) in [(files, remove::REMOVING), (directories, few)] {
            let (mut all, mut removing) = (all.into_iter(), FuturesUnordered::new());
            loop {
                let room = at_once - removing.len();
                removing.extend(all.by_ref().take(room).map(|one| remove::remove(tree, rules, one)));
                let Some((path, removed)) = removing.next().await else { break };
                match removed {
                    Ok(true) => self.account.removed(&path),
                    // There is something in it that is left alone.
                    Ok(false) => {}
                    Err(error) => self.fail(&path, error)?,
                }
            }
        }
        if let Some(error) = missed {
            self.account.fail(b"", error);
        }
        Ok(())
    }
}
