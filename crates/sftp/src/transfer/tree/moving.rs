//! What the two directions have in common: the directories of a tree, what the target has in them, and what becomes of all.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rustle_sftp_proto::FileKind;

use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Kind;
use crate::path::join;
use crate::transfer::tree::account::{Account, Ends};
use crate::transfer::tree::already::Alone;
use crate::transfer::tree::compare::Both;
use crate::transfer::tree::comparing::Comparing;
use crate::transfer::tree::directories::{self, Directories, Directory};
use crate::transfer::tree::extra::{Extra, Extraneous, below};
use crate::transfer::tree::rules::{Rules, There};
use crate::transfer::tree::targets::Targets;
use crate::transfer::tree::{IN_PLACE, LinkPolicy, Linked, Tree};

/// Something that the source has, and where it goes. It knows which side the source is.
pub(super) trait Candidate {
    /// What is being done, as errors call it.
    const OPERATION: &'static str;

    /// A path of the target's side.
    type Target: Clone;

    /// The directory that it is in.
    fn directory(&self) -> usize;
    fn length(&self) -> Option<u64>;
    fn modified(&self) -> Option<u32>;
    /// The permissions of the original.
    fn mode(&self) -> Option<u32>;
    /// What the target has in its place, where that is compared.
    fn there(&self) -> Option<There>;
    fn both(&self) -> Both;
    fn ends(&self) -> Ends<'_>;
    /// Its path without links, where the directory that it is in has this one.
    fn real_in(&self, above: &[u8]) -> Bytes;
    fn into_directory(self) -> Directory;

    /// The path of a directory in the source.
    fn source_of(directory: &Directory) -> &[u8];
    /// That in the target.
    fn target_of(directory: &Directory) -> &Self::Target;
    /// That of what has a name in this directory of the target.
    fn target_in(directory: &Directory, name: &[u8]) -> Option<Self::Target>;
}

/// A tree that is being moved.
pub(super) struct Moving<'a, F: Candidate> {
    pub(super) tree: &'a Tree<'a>,
    pub(super) account: Account,
    pub(super) directories: Directories,
    /// Directories that are to be gone through, the last found first: so the tree is gone through in its depth.
    pub(super) waiting: Vec<usize>,
    /// Directories in which nothing is left to be done, and that are to get what their originals have.
    pub(super) due: Vec<(usize, Directory)>,
    /// Those of them that wait until what only the target has is removed.
    pub(super) held: Vec<(usize, Directory)>,
    pub(super) comparing: Comparing<F>,
    /// Where the tree begins on the server.
    top: Bytes,
    /// What the target has in directories that are being listed, where it is compared.
    targets: HashMap<usize, Targets>,
    /// What only the target has.
    extra: Extra<F::Target>,
}

impl<'a, F: Candidate> Moving<'a, F> {
    /// One of which the directory itself is being listed. Its number is [`TOP`].
    pub(super) fn begin(
        tree: &'a Tree<'a>,
        account: Account,
        top: Directory,
        targets: Option<Targets>,
    ) -> Self {
        let mut moving = Self {
            tree,
            account,
            directories: Directories::default(),
            waiting: Vec::new(),
            due: Vec::new(),
            held: Vec::new(),
            comparing: Comparing::default(),
            top: top.remote.clone(),
            targets: HashMap::new(),
            extra: Extra::default(),
        };
        let number = moving.directories.add(None, top);
        moving.made(number, targets);
        moving
    }

    /// A directory is on both sides, and the target has this in it.
    pub(super) fn made(&mut self, number: usize, targets: Option<Targets>) {
        self.account.summary.directories += 1;
        self.targets.extend(targets.map(|targets| (number, targets)));
    }

    /// What the target has at a path in a directory; `None` for a path that is left alone.
    pub(super) fn there(
        &mut self,
        number: usize,
        remote: &[u8],
        kind: Option<Kind>,
    ) -> Option<Option<There>> {
        let Some(rules) = &self.tree.rules else { return Some(None) };
        let name = remote.rsplit(|byte| *byte == b'/').next().unwrap_or(remote);
        let is_excluded = rules.excludes(below(&self.top, remote), kind == Some(Kind::Directory));
        let may_be_directory = match kind {
            Some(Kind::Directory) | None => true,
            Some(Kind::Link) => self.tree.links == LinkPolicy::Follow,
            Some(Kind::File | Kind::Special) => false,
        };
        let targets = self.targets.get_mut(&number);
        let there = targets.and_then(|targets| targets.take(name, may_be_directory && !is_excluded));
        (!is_excluded).then_some(there)
    }

    /// A directory was found. `real` is where a link led to it.
    pub(super) fn directory(&mut self, found: F, real: Option<Bytes>) -> Result<()> {
        let above = found.directory();
        let real = real.or_else(|| Some(found.real_in(self.directories.at(above)?.real.as_ref()?)));
        let refused = if real.as_ref().is_some_and(|real| self.directories.leads_back(above, real)) {
            Some("the link leads back to a directory that it is in")
        } else if self.waiting.len() >= directories::MOST_WAITING {
            Some("more directories are waiting to be listed than are kept")
        } else if found.there().is_some_and(|there| there.kind != Kind::Directory) {
            Some(IN_PLACE)
        } else {
            None
        };
        if let Some(text) = refused {
            let error = Error::new(ErrorKind::InvalidArgument, F::OPERATION, text).at(found.ends().source);
            return self.failed(&found, error);
        }
        let is_new = found.there().is_none();
        let below = Directory { real, is_new, ..found.into_directory() };
        let number = self.directories.add(Some(above), below);
        self.waiting.push(number);
        Ok(())
    }

    /// A directory was listed to its end: what of the target it did not name is extraneous.
    pub(super) fn listed(&mut self, number: usize) {
        let (Some(targets), Some(rules)) = (self.targets.remove(&number), &self.tree.rules) else { return };
        let Some(directory) = self.directories.at(number).filter(|_| rules.delete) else { return };
        let (left, new) = targets.left();
        let left = left.into_iter().filter_map(|left| {
            let relative = Bytes::copy_from_slice(below(&self.top, &join(&directory.remote, &left.name)));
            let path = F::target_in(directory, &left.name)?;
            let is_excluded = rules.excludes(&relative, left.is_directory);
            (!is_excluded).then_some(Extraneous { path, relative, left })
        });
        let relative = Bytes::copy_from_slice(below(&self.top, &directory.remote));
        match self.extra.push(F::target_of(directory).clone(), relative, new, left) {
            None => self.directories.hold(number),
            Some(new) => {
                let new = self.extra.remembered(new.directories());
                self.directories.remember(number, new);
            }
        }
    }

    /// A link was made, or was there.
    pub(super) fn linked(&mut self, found: &F, linked: Result<Linked>) -> Result<()> {
        match linked {
            Ok(Linked::Made) => self.account.link(found.ends()),
            Ok(Linked::Same) => self.account.unchanged(found.ends()),
            Err(error) => return self.failed(found, error),
        }
        self.one_less(found.directory());
        Ok(())
    }

    /// A file went by itself.
    pub(super) fn moved(&mut self, found: &F, moved: Result<Alone>) -> Result<()> {
        match moved {
            Ok(Alone::Moved(moved)) => self.account.alone(found.ends(), &moved),
            Ok(Alone::WasThere(there)) => self.account.was_there(found.ends(), &there),
            Err(error) => return self.failed(found, error),
        }
        self.one_less(found.directory());
        Ok(())
    }

    /// It is left out for what it is.
    pub(super) fn skip(&mut self, found: &F, kind: FileKind) {
        self.account.skip(found.ends().source, kind);
        self.one_less(found.directory());
    }

    /// A directory has what its original has, or cannot get it.
    pub(super) fn finished(&mut self, number: usize, finished: Result<()>) -> Result<()> {
        if let Err(error) = finished {
            self.directory_failed(number, error)?;
        }
        self.leave(number);
        Ok(())
    }

    /// A directory is done, or the target has something else in its place, which gets nothing.
    pub(super) fn leave(&mut self, number: usize) {
        if let Some(above) = self.directories.remove(number) {
            self.one_less(above);
        }
    }

    /// One thing less is to be done in a directory. Done itself, it is one less in the directory that it is in.
    pub(super) fn one_less(&mut self, number: usize) {
        let is_due = self.tree.options.preserve && !self.tree.is_dry();
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.directories.one_less(*number)) {
            self.watch(number);
            match self.directories.at(number).filter(|_| is_due) {
                Some(directory) if !directory.is_held => self.due.push((number, directory.clone())),
                Some(directory) => {
                    self.held.push((number, directory.clone()));
                    next = self.directories.remove(number);
                }
                None => next = self.directories.remove(number),
            }
        }
    }

    /// All that is below a directory is done: where something of that is to be removed, what was put into the directory
    /// tells of what it may be.
    fn watch(&mut self, number: usize) {
        let Some(new) = self.directories.remembered(number) else { return };
        match self.directories.at(number) {
            Some(directory) if directory.is_held && !new.is_empty() => {
                let relative = Bytes::copy_from_slice(below(&self.top, &directory.remote));
                self.extra.watch(F::target_of(directory).clone(), relative, new);
            }
            _ => self.extra.forget(&new),
        }
    }

    /// What only the target has and is to be removed, now that all else is done: nothing where something failed.
    pub(super) fn take_extra(&mut self) -> Option<(Arc<Rules>, Extra<F::Target>)> {
        let extra = std::mem::take(&mut self.extra);
        if !self.account.is_good() {
            self.account.summary.kept = extra.count();
            return None;
        }
        let rules = self.tree.rules.clone().filter(|_| !extra.is_empty())?;
        Some((rules, extra))
    }

    /// # Errors
    /// The channel is over, and this error comes from that.
    pub(super) fn failed(&mut self, found: &F, error: Error) -> Result<()> {
        self.fail(found.ends().source, error)?;
        self.one_less(found.directory());
        Ok(())
    }

    /// # Errors
    /// As [`failed`](Self::failed).
    pub(super) fn directory_failed(&mut self, number: usize, error: Error) -> Result<()> {
        let path = self.directories.at(number).map(|directory| F::source_of(directory).to_vec());
        self.fail(&path.unwrap_or_default(), error)
    }

    /// # Errors
    /// As [`failed`](Self::failed).
    pub(super) fn fail(&mut self, path: &[u8], error: Error) -> Result<()> {
        if self.tree.sftp.is_closed() {
            return Err(error);
        }
        self.account.fail(path, error);
        Ok(())
    }
}

/// The number of the directory itself: it is the first.
pub(super) const TOP: usize = 0;
