//! What is done with a tree that is sent where the target is compared.

mod remove;

use bytes::Bytes;
use futures_util::stream::StreamExt;

use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Kind;
use crate::path::join;
use crate::transfer::tree::IN_PLACE;
use crate::transfer::tree::extra::{Extraneous, below};
use crate::transfer::tree::put::Put;
use crate::transfer::tree::put::jobs::{self, Found};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::rules::{There, Verdict};

impl Put<'_> {
    /// What the target has at a path in this directory; `None` for a path that is left alone.
    pub(super) fn target_of(&mut self, number: usize, remote: &[u8], kind: Kind) -> Option<Option<There>> {
        let Some(rules) = &self.tree.rules else { return Some(None) };
        let name = remote.rsplit(|byte| *byte == b'/').next().unwrap_or(remote);
        let there = self.targets.get_mut(&number).and_then(|targets| targets.take(name));
        (!rules.excludes(below(&self.top, remote), kind == Kind::Directory)).then_some(there)
    }

    /// The file, where it is known that it has to be sent.
    pub(super) fn compared(&mut self, found: Found) -> Result<Option<Found>> {
        let Some(rules) = &self.tree.rules else { return Ok(Some(found)) };
        match rules.judge(Some(found.details.length()), found.details.modified(), found.there) {
            Verdict::Same => {
                self.account.unchanged(found.ends());
                self.one_less(found.directory);
            }
            Verdict::Taken => {
                let error = Error::new(ErrorKind::AlreadyExists, "sync", IN_PLACE).at(&found.remote);
                self.failed(&found, error)?;
            }
            Verdict::Doubtful => self.doubtful.push(found),
            Verdict::Move => return Ok(self.unless_dry(found)),
        }
        Ok(None)
    }

    /// Where nothing is to be changed, it is only told.
    fn unless_dry(&mut self, found: Found) -> Option<Found> {
        if !self.tree.is_dry() {
            return Some(found);
        }
        self.account.file(found.ends(), found.details.length());
        self.one_less(found.directory);
        None
    }

    pub(super) fn begin_to_compare(&mut self) {
        while self.comparing < COMPARING && !self.doubtful.is_empty() {
            let files = self.doubtful.split_off(self.doubtful.len().saturating_sub(TOGETHER));
            self.comparing += 1;
            self.jobs.push(Box::pin(jobs::compare(self.tree, files)));
        }
    }

    pub(super) fn take_compared(
        &mut self,
        files: Vec<Found>,
        equal: Vec<Result<Option<bool>>>,
    ) -> Result<()> {
        for (found, equal) in files.into_iter().zip(equal) {
            match equal {
                Ok(Some(true)) => {
                    self.account.unchanged(found.ends());
                    self.one_less(found.directory);
                }
                Ok(equal) => {
                    self.account.summary.uncompared += u64::from(equal.is_none());
                    if let Some(found) = self.unless_dry(found) {
                        self.queue(found);
                    }
                }
                Err(error) => self.failed(&found, error)?,
            }
        }
        Ok(())
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

/// Files whose content is compared with one command, and how many such commands there are at once: OpenSSH grants ten
/// channels, and a disk is busy with less.
const TOGETHER: usize = 64;
const COMPARING: usize = 2;

/// What is removed at once: as many round trips as overlap usefully.
const REMOVING: usize = 64;
