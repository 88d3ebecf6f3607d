//! What is done when nothing of a directory is left to be fetched.

use crate::error::Result;
use crate::local::tree::Links;
use crate::transfer::tree::get::{Get, jobs};
use crate::transfer::tree::moving::TOP;

impl Get<'_> {
    /// Gives directories what they are to have.
    pub(super) fn begin_to_finish(&mut self) {
        for (number, directory) in std::mem::take(&mut self.moving.due) {
            let links = self.links_of(number);
            self.begin_here(jobs::finish(number, directory, links));
        }
    }

    /// Those that only waited until something in them was removed, each before the one that it is in.
    pub(super) async fn finish_held(&mut self) -> Result<()> {
        for (number, directory) in std::mem::take(&mut self.moving.held) {
            let remote = directory.remote.clone();
            if let Err(error) = jobs::finished(directory, self.links_of(number)).await {
                self.moving.fail(&remote, error)?;
            }
        }
        Ok(())
    }

    /// Whether a link in the place of a directory is gone through. The first may be named by one.
    fn links_of(&self, number: usize) -> Links {
        if number == TOP && !self.moving.tree.keep_out { Links::Follow } else { Links::Keep }
    }
}
