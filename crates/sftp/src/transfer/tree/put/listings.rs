//! Which directories of a tree that is sent are listed, and when.

use crate::local::tree::{AT_ONCE, Listing};
use crate::transfer::tree::put::{Put, jobs};

impl Put<'_> {
    pub(super) fn begin_to_list(&mut self) {
        let found = self.found.len() + self.links.len() + self.large.len() + self.moving.comparing.waiting();
        let has_room = found < MOST_FOUND;
        for (number, listing) in if has_room { std::mem::take(&mut self.paused) } else { Vec::new() } {
            let waiting = self.moving.waiting.len() + self.going_on * AT_ONCE;
            match self.moving.directories.may_go_on(number, waiting, AT_ONCE) {
                true => self.go_on(number, listing),
                false => self.paused.push((number, listing)),
            }
        }
        // What waits for directories below it leaves its turn to these. No handle of the server is open for it.
        let tree = self.moving.tree;
        let turns = tree.room.listings + self.paused.len().min(tree.room.listings);
        while has_room
            && self.listing < turns
            && let Some(number) = self.moving.waiting.pop()
        {
            let Some(directory) = self.moving.directories.at(number) else { continue };
            self.listing += 1;
            self.jobs.push(Box::pin(jobs::make(tree, number, directory.clone())));
        }
        // All that may be listed at once have more directories than are kept: one goes on nevertheless.
        if self.jobs.is_empty()
            && let Some((number, listing)) = self.paused.pop()
        {
            self.go_on(number, listing);
        }
    }

    fn go_on(&mut self, number: usize, listing: Listing) {
        self.going_on += 1;
        self.jobs.push(Box::pin(jobs::list(number, listing)));
    }
}

/// Listings pause when so much has been found and not begun.
const MOST_FOUND: usize = 4096;
