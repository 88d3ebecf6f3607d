//! What is done with a tree that is fetched where the target is compared.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use rustle_sftp_proto::FileKind;

use crate::error::{Error, Result};
use crate::local::tree as local;
use crate::path::join;
use crate::transfer::names;
use crate::transfer::tree::Tree;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::comparing::{Compares, Comparing, compare};
use crate::transfer::tree::extra::{Extraneous, below, doubt};
use crate::transfer::tree::get::Get;
use crate::transfer::tree::get::jobs::{self, Event, Found};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::routes::Proof;
use crate::transfer::tree::rules::There;

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

    fn queue(&mut self, found: Found) {
        let size = found.attributes.size().unwrap_or(0);
        self.routes.found(size, || (size > 0).then(|| Proof::Read(found.remote.clone())));
        self.tree.meter.expect(found.attributes.size());
        match found.attributes.size() {
            Some(size) if self.tree.is_small(size) => self.found.push_back(found),
            _ => self.large.push_back(found),
        }
    }

    /// Done itself, a directory is one thing less in the one that it is in.
    fn one_less(&mut self, number: usize) {
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.directories.one_less(*number)) {
            match self.directories.at(number) {
                Some(directory) if self.tree.options.preserve && !self.tree.is_dry() => {
                    self.jobs.push(Box::pin(jobs::finish(number, directory.clone())));
                }
                _ => next = self.directories.remove(number),
            }
        }
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
        let there = self.targets.get_mut(&number).and_then(|targets| targets.take(name));
        let is_directory = kind == Some(FileKind::Directory);
        (!rules.excludes(below(&self.top, remote), is_directory)).then_some(there)
    }

    /// A directory was listed to its end: what of the target it did not name is extraneous.
    pub(super) fn listed(&mut self, number: usize) {
        let (Some(targets), Some(rules)) = (self.targets.remove(&number), &self.tree.rules) else { return };
        let Some(directory) = self.directories.at(number).filter(|_| rules.delete) else { return };
        for left in targets.left() {
            let remote = join(&directory.remote, &left.name);
            let relative = Bytes::copy_from_slice(below(&self.top, &remote));
            // It was listed here, so it is a name here.
            let Ok(path) = names::join(&directory.local, &left.name) else { continue };
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
        for extraneous in extra.into_all() {
            let shown = Bytes::copy_from_slice(extraneous.path.as_os_str().as_encoded_bytes());
            let rules = Arc::clone(&rules);
            let removed = if extraneous.left.may_be_another {
                Err(doubt(&shown))
            } else if rules.dry {
                Ok(true)
            } else {
                let Extraneous { path, relative, left } = extraneous;
                let above = path.clone();
                let spared = move |path: &Path, is_directory: bool| {
                    let below = path.strip_prefix(&above).unwrap_or(path);
                    let names = below.iter().map(|name| name.as_encoded_bytes());
                    let relative =
                        names.fold(relative.to_vec(), |path, name| [&path[..], b"/", name].concat());
                    rules.excludes(&relative, is_directory)
                };
                local::remove(path, left.is_directory, spared).await
            };
            match removed {
                Ok(true) => self.account.removed(&shown),
                // There is something in it that is left alone.
                Ok(false) => {}
                Err(error) => self.account.fail(&shown, error),
            }
        }
        if let Some(error) = missed {
            self.account.fail(b"", error);
        }
        Ok(self.account.summary)
    }
}
