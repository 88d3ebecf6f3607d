//! What is done when nothing of a directory is left to be sent.

use std::cmp::Reverse;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::Result;
use crate::transfer::tree::Tree;
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::put::{Put, jobs};

impl Put<'_> {
    /// Gives directories what they are to have.
    pub(super) fn begin_to_finish(&mut self) {
        for (number, directory) in std::mem::take(&mut self.moving.due) {
            self.jobs.push(Box::pin(jobs::finish(self.moving.tree, number, directory)));
        }
    }

    /// Those that only waited until something in them was removed, each before the one that it is in, which may let nobody
    /// through when it is done.
    pub(super) async fn finish_held(&mut self) -> Result<()> {
        let tree = self.moving.tree;
        let held = std::mem::take(&mut self.moving.held);
        let mut held: Vec<_> = held.into_iter().map(|(_, directory)| directory).collect();
        held.sort_by_key(|directory| Reverse(depth(directory)));
        for level in held.chunk_by(|one, other| depth(one) == depth(other)) {
            let (mut all, mut finishing) = (level.iter(), FuturesUnordered::new());
            loop {
                // Each is begun when there is room for it: a level may have very many.
                let room = AT_ONCE - finishing.len();
                finishing.extend(all.by_ref().take(room).map(|directory| finished(tree, directory)));
                let Some((directory, finished)) = finishing.next().await else { break };
                if let Err(error) = finished {
                    self.moving.fail(directory.local.as_os_str().as_encoded_bytes(), error)?;
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
