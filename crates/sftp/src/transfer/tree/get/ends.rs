//! What is done when nothing of a directory is left to be fetched.

use crate::error::Result;
use crate::local::tree::Links;
use crate::transfer::tree::get::{Get, jobs};

impl Get<'_> {
    /// One thing less is to be done in a directory. Done itself, it is one less in the directory that it is in.
    pub(super) fn ended(&mut self, number: usize) {
        let is_due = self.tree.options.preserve && !self.tree.is_dry();
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.directories.one_less(*number)) {
            self.watch(number);
            let links = self.links_of(number);
            match self.directories.at(number) {
                Some(directory) if is_due && directory.is_held => {
                    self.held.push((directory.clone(), links));
                    next = self.directories.remove(number);
                }
                Some(directory) if is_due => {
                    self.jobs.push(Box::pin(jobs::finish(number, directory.clone(), links)));
                }
                _ => next = self.directories.remove(number),
            }
        }
    }

    /// A directory is not here: what is in its place may be anything, and gets nothing.
    pub(super) fn not_made(&mut self, number: usize) {
        if let Some(above) = self.directories.remove(number) {
            self.ended(above);
        }
    }

    /// Those that only waited until something in them was removed, each before the one that it is in.
    pub(super) async fn finish_held(&mut self) -> Result<()> {
        for (directory, links) in std::mem::take(&mut self.held) {
            let remote = directory.remote.clone();
            if let Err(error) = jobs::finished(directory, links).await {
                self.fail(&remote, error)?;
            }
        }
        Ok(())
    }

    /// Whether a link in the place of a directory is gone through. The first may be named by one.
    fn links_of(&self, number: usize) -> Links {
        if number == 0 && !self.tree.keep_out { Links::Follow } else { Links::Keep }
    }
}
