//! What is done when nothing of a directory is left to be sent.

use std::cmp::Reverse;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::Result;
use crate::transfer::tree::Tree;
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::put::{Put, jobs};

impl Put<'_> {
    /// One thing less is to be done in a directory. Done itself, it is one less in the directory that it is in.
    pub(super) fn ended(&mut self, number: usize) {
        let is_due = self.tree.options.preserve && !self.tree.is_dry();
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.directories.one_less(*number)) {
            self.watch(number);
            match self.directories.at(number) {
                Some(directory) if is_due && directory.is_held => {
                    self.held.push(directory.clone());
                    next = self.directories.remove(number);
                }
                Some(directory) if is_due => {
                    self.jobs.push(Box::pin(jobs::finish(self.tree, number, directory.clone())));
                }
                _ => next = self.directories.remove(number),
            }
        }
    }

    /// A directory is not there: what is in its place may be anything, and gets nothing.
    pub(super) fn not_made(&mut self, number: usize) {
        if let Some(above) = self.directories.remove(number) {
            self.ended(above);
        }
    }

    /// Those that only waited until something in them was removed, each before the one that it is in, which may let nobody
    /// through when it is done.
    pub(super) async fn finish_held(&mut self) -> Result<()> {
        let tree = self.tree;
        let mut held = std::mem::take(&mut self.held);
        held.sort_by_key(|directory| Reverse(depth(directory)));
        for level in held.chunk_by(|one, other| depth(one) == depth(other)) {
            let (mut all, mut finishing) = (level.iter(), FuturesUnordered::new());
            loop {
                // Each is begun when there is room for it: a level may have very many.
                let room = AT_ONCE - finishing.len();
                finishing.extend(all.by_ref().take(room).map(|directory| finished(tree, directory)));
                let Some((directory, finished)) = finishing.next().await else { break };
                if let Err(error) = finished {
                    self.fail(directory.local.as_os_str().as_encoded_bytes(), error)?;
                }
            }
        }
        Ok(())
    }
}

async fn finished<'a>(tree: &Tree<'_>, directory: &'a Directory) -> (&'a Directory, Result<()>) {
    (directory, jobs::finished(tree, directory).await)
}

fn depth(directory: &Directory) -> usize {
    directory.remote.iter().filter(|byte| **byte == b'/').count()
}

/// As many round trips as overlap usefully.
const AT_ONCE: usize = 64;
