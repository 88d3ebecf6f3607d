//! What is done with a tree that is fetched where the target is compared.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustle_sftp_proto::FileKind;

use crate::error::{Error, ErrorKind, Result};
use crate::local::tree as local;
use crate::path::join;
use crate::transfer::names;
use crate::transfer::tree::IN_PLACE;
use crate::transfer::tree::extra::{Extraneous, below, doubt};
use crate::transfer::tree::get::Get;
use crate::transfer::tree::get::jobs::{self, Found};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::rules::{There, Verdict};

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

    /// The file, where it is known that it has to be fetched.
    pub(super) fn compared(&mut self, found: Found) -> Result<Option<Found>> {
        let Some(rules) = &self.tree.rules else { return Ok(Some(found)) };
        let (size, modified) = (found.attributes.size(), found.attributes.modified());
        match rules.judge(size, modified, found.there) {
            Verdict::Same => {
                self.account.unchanged(found.ends());
                self.one_less(found.directory);
            }
            Verdict::Taken => {
                let error = Error::new(ErrorKind::AlreadyExists, "sync", IN_PLACE).at(&found.remote);
                self.fail(&found.remote, error)?;
                self.one_less(found.directory);
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
        self.account.file(found.ends(), found.attributes.size().unwrap_or(0));
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
                Err(error) => {
                    self.fail(&found.remote, error)?;
                    self.one_less(found.directory);
                }
            }
        }
        Ok(())
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

/// Files whose content is compared with one command, and how many such commands there are at once: OpenSSH grants ten
/// channels, and a disk is busy with less.
const TOGETHER: usize = 64;
const COMPARING: usize = 2;
