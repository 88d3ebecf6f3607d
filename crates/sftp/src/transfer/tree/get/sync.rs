//! What is done with a tree that is fetched where the target is compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use rustle_sftp_proto::FileKind;

use crate::error::{Error, Result};
use crate::local::details::Kind;
use crate::local::remove;
use crate::local::tree::{self as local, Links};
use crate::path::join;
use crate::transfer::names;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::certain::{Judged, Spared, Unseen, settled};
use crate::transfer::tree::comparing::{Compares, Comparing, compare};
use crate::transfer::tree::extra::{Extra, Extraneous, LeftIn, below, doubt};
use crate::transfer::tree::get::Get;
use crate::transfer::tree::get::jobs::{self, Event, Found};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::rules::{Rules, There};
use crate::transfer::tree::{LinkPolicy, Tree};

impl<'a> Compares<'a> for Get<'a> {
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
        self.jobs.push(Box::pin(jobs::set_modes(files)));
    }

    fn queue(&mut self, found: Found) {
        let size = found.attributes.size().unwrap_or(0);
        self.routes.found(size, || (size > 0).then(|| found.remote.clone()));
        self.tree.meter.expect(found.attributes.size());
        match found.attributes.size() {
            Some(size) if self.tree.is_small(size) => self.found.push_back(found),
            _ => self.large.push_back(found),
        }
    }

    /// Done itself, a directory is one thing less in the one that it is in.
    fn one_less(&mut self, number: usize) {
        self.ended(number);
    }

    fn failed(&mut self, found: &Found, error: Error) -> Result<()> {
        self.fail(&found.remote, error)?;
        self.one_less(found.directory);
        Ok(())
    }
}

impl Get<'_> {
    /// What the target has under this name of a directory; `None` for a name that is left alone.
    pub(super) fn target_of(
        &mut self,
        number: usize,
        name: &[u8],
        remote: &[u8],
        kind: Option<FileKind>,
    ) -> Option<Option<There>> {
        let Some(rules) = &self.tree.rules else { return Some(None) };
        let is_excluded = rules.excludes(below(&self.top, remote), kind == Some(FileKind::Directory));
        let may_be_directory = match kind {
            Some(FileKind::Directory) | None => true,
            Some(FileKind::Symlink) => self.tree.links == LinkPolicy::Follow,
            Some(_) => false,
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
            let remote = join(&directory.remote, &left.name);
            let relative = Bytes::copy_from_slice(below(&self.top, &remote));
            // It was listed here, so it is a name here.
            let path = names::join(&directory.local, &left.name).ok()?;
            let is_excluded = rules.excludes(&relative, left.is_directory);
            (!is_excluded).then_some(Extraneous { path, relative, left })
        });
        let relative = Bytes::copy_from_slice(below(&self.top, &directory.remote));
        match self.extra.push(directory.local.clone(), relative, new, left) {
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
                self.extra.watch(directory.local.clone(), relative, new);
            }
            _ => self.extra.forget(&new),
        }
    }

    /// Removes what only the target has, where all else went well, and gives directories what they are to have after that.
    pub(super) async fn conclude(mut self) -> Result<TreeSummary> {
        let extra = std::mem::take(&mut self.extra);
        if let Some(rules) = self.tree.rules.clone().filter(|_| !extra.is_empty()) {
            match self.account.is_good() {
                true => self.remove(&rules, extra).await,
                false => self.account.summary.kept = extra.count(),
            }
        }
        self.finish_held().await?;
        Ok(self.account.summary)
    }

    async fn remove(&mut self, rules: &Arc<Rules>, extra: Extra<PathBuf>) {
        let missed = extra.missed();
        let mut judged = Vec::new();
        for found in extra.into_directories() {
            judged.push(checked(rules, found).await);
        }
        let (certain, spared) = settled(judged);
        for Spared { path, count, error } in spared {
            self.account.fail(path.as_os_str().as_encoded_bytes(), error);
            self.account.summary.kept += count as u64;
        }
        for extraneous in certain {
            let shown = Bytes::copy_from_slice(extraneous.path.as_os_str().as_encoded_bytes());
            match remove(rules, extraneous, &shown).await {
                Ok(true) => self.account.removed(&shown),
                // There is something in it that is left alone.
                Ok(false) => {}
                Err(error) => self.account.fail(&shown, error),
            }
        }
        if let Some(error) = missed {
            self.account.fail(b"", error);
        }
    }
}

/// What is to be removed in a directory, after it was looked at once more for what was put into it.
async fn checked(rules: &Rules, found: LeftIn<PathBuf>) -> Judged<PathBuf> {
    let Some(mut unseen) = Unseen::of(&found).filter(|_| !rules.dry) else { return Judged::certain(found) };
    match look(&found, &mut unseen).await {
        Ok(()) => unseen.judge(found),
        Err(error) => Judged::failed(found, error),
    }
}

/// Lists a directory, and asks what of it is there by a path that it does not list.
async fn look(found: &LeftIn<PathBuf>, unseen: &mut Unseen) -> Result<()> {
    let mut listing = local::list(found.path.clone());
    while let Some(entries) = listing.next().await? {
        for entry in entries {
            unseen.listed(&names::for_server(&entry.name)?);
        }
    }
    for name in unseen.unlisted() {
        match local::details(names::join(&found.path, &name)?, Links::Keep).await {
            Err(error) if local::is_missing(&error) => {}
            Err(_) => unseen.is_there(found, &name, true),
            Ok(there) => unseen.is_there(found, &name, there.kind() == Kind::Directory),
        }
    }
    Ok(())
}

/// Removes it: true where nothing of it is left.
async fn remove(rules: &Arc<Rules>, extraneous: Extraneous<PathBuf>, shown: &Bytes) -> Result<bool> {
    if extraneous.left.may_be_another {
        return Err(doubt(shown));
    }
    if rules.dry {
        return Ok(true);
    }
    let Extraneous { path, relative, left } = extraneous;
    let (above, rules) = (path.clone(), Arc::clone(rules));
    let spared = move |path: &Path, is_directory: bool| {
        let below = path.strip_prefix(&above).unwrap_or(path);
        let names = below.iter().map(|name| name.as_encoded_bytes());
        let relative = names.fold(relative.to_vec(), |path, name| [&path[..], b"/", name].concat());
        rules.excludes(&relative, is_directory)
    };
    remove::remove(path, left.is_directory, spared).await
}
