//! What is done with a tree that is fetched where the target is compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;

use crate::error::Result;
use crate::local::details::Kind;
use crate::local::remove;
use crate::local::tree::{self as local, Links};
use crate::transfer::names;
use crate::transfer::tree::certain::{Judged, Spared, Unseen, settled};
use crate::transfer::tree::comparing::compare;
use crate::transfer::tree::extra::{Extra, Extraneous, LeftIn, doubt};
use crate::transfer::tree::get::Get;
use crate::transfer::tree::get::jobs::{self, Event};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::rules::Rules;

impl Get<'_> {
    /// Begins to find out which files are the same, and to give other permissions to those that are.
    pub(super) fn begin_to_compare(&mut self) {
        let tree = self.moving.tree;
        while let Some(files) = self.moving.comparing.batch() {
            self.jobs.push(Box::pin(compare(tree, files).map(Event::Compared)));
        }
        while let Some(files) = self.moving.comparing.batch_of_modes() {
            self.begin_here(jobs::set_modes(files));
        }
    }

    /// Removes what only the target has, where all else went well, and gives directories what they are to have after that.
    pub(super) async fn conclude(mut self) -> Result<TreeSummary> {
        if let Some((rules, extra)) = self.moving.take_extra() {
            self.remove(&rules, extra).await;
        }
        self.finish_held().await?;
        Ok(self.moving.account.summary)
    }

    async fn remove(&mut self, rules: &Arc<Rules>, extra: Extra<PathBuf>) {
        let (account, missed) = (&mut self.moving.account, extra.missed());
        let mut judged = Vec::new();
        for found in extra.into_directories() {
            judged.push(checked(rules, found).await);
        }
        let (certain, spared) = settled(judged);
        for Spared { path, count, error } in spared {
            account.fail(path.as_os_str().as_encoded_bytes(), error);
            account.summary.kept += count as u64;
        }
        for extraneous in certain {
            let shown = Bytes::copy_from_slice(extraneous.path.as_os_str().as_encoded_bytes());
            match remove(rules, extraneous, &shown).await {
                Ok(true) => account.removed(&shown),
                // There is something in it that is left alone.
                Ok(false) => {}
                Err(error) => account.fail(&shown, error),
            }
        }
        if let Some(error) = missed {
            account.fail(b"", error);
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
