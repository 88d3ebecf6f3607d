//! What is done with a tree that is sent where the target is compared.

mod remove;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::Result;
use crate::transfer::tree::certain::settled;
use crate::transfer::tree::comparing::compare;
use crate::transfer::tree::extra::Extra;
use crate::transfer::tree::put::Put;
use crate::transfer::tree::put::jobs::{self, Event};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::room::LISTED_BY_REMOVAL;
use crate::transfer::tree::rules::Rules;

impl Put<'_> {
    /// Begins to find out which files are the same, and to give other permissions to those that are.
    pub(super) fn begin_to_compare(&mut self) {
        let tree = self.moving.tree;
        while let Some(files) = self.moving.comparing.batch() {
            self.jobs.push(Box::pin(compare(tree, files).map(Event::Compared)));
        }
        while let Some(files) = self.moving.comparing.batch_of_modes() {
            self.jobs.push(Box::pin(jobs::set_modes(tree, files)));
        }
    }

    /// Removes what only the target has, where all else went well, and gives directories what they are to have after that.
    pub(super) async fn conclude(mut self) -> Result<TreeSummary> {
        if let Some((rules, extra)) = self.moving.take_extra() {
            self.remove(&rules, extra).await?;
        }
        self.finish_held().await?;
        Ok(self.moving.account.summary)
    }

    async fn remove(&mut self, rules: &Rules, extra: Extra<Bytes>) -> Result<()> {
        let (tree, missed) = (self.moving.tree, extra.missed());
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
            self.moving.fail(&spared.path, spared.error)?;
            self.moving.account.summary.kept += spared.count as u64;
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
                    Ok(true) => self.moving.account.removed(&path),
                    // There is something in it that is left alone.
                    Ok(false) => {}
                    Err(error) => self.moving.fail(&path, error)?,
                }
            }
        }
        if let Some(error) = missed {
            self.moving.account.fail(b"", error);
        }
        Ok(())
    }
}
