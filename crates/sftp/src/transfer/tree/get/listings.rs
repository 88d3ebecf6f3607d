//! Which directories of a tree that is fetched are listed, and when.

use crate::transfer::tree::get::{Get, jobs};
use crate::transfer::tree::listing::{Listing, TOGETHER};

impl Get<'_> {
    pub(super) fn begin_to_list(&mut self) {
        let has_room = self.found.len() + self.large.len() + self.moving.comparing.waiting() < MOST_FOUND;
        for listing in if has_room { std::mem::take(&mut self.paused) } else { Vec::new() } {
            let waiting = self.moving.waiting.len() + self.going_on * TOGETHER;
            match self.moving.directories.may_go_on(listing.number, waiting, TOGETHER) {
                true => self.go_on(listing),
                false => self.paused.push(listing),
            }
        }
        // What waits for directories below it leaves its turn to these, as far as files leave handles for them.
        let tree = self.moving.tree;
        let spare = tree.room.spare_listings().min(tree.room.files.saturating_sub(self.asking));
        let turns = tree.room.listings + self.paused.len().min(spare);
        while has_room
            && self.listing < turns
            && let Some(number) = self.moving.waiting.pop()
        {
            let Some(directory) = self.moving.directories.at(number) else { continue };
            self.listing += 1;
            self.begin_here(jobs::open(tree, number, directory.clone()));
        }
        // All that may be listed at once have more directories than are kept: one goes on nevertheless.
        if self.jobs.is_empty()
            && let Some(listing) = self.paused.pop()
        {
            self.go_on(listing);
        }
    }

    fn go_on(&mut self, listing: Listing) {
        self.going_on += 1;
        self.jobs.push(Box::pin(jobs::list(listing)));
    }
}

/// Listings pause when so much has been found and not begun.
const MOST_FOUND: usize = 4096;
