//! Files of a tree that the target has as a whole.

use std::time::Instant;

use rustle_sftp_proto::{FileKind, Request};

use crate::local::details::Kind;
use crate::local::tree::{self as local, Links};
use crate::transfer::options::Options;
use crate::transfer::summary::{Proof, Resumed, Summary, Verified};
use crate::transfer::tree::Tree;
use crate::transfer::tree::compare::{self, Both};
use crate::transfer::tree::moving::Candidate;

/// The side that has the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Here,
    There,
}

/// What came of a file that went by itself.
#[derive(Debug)]
pub(super) enum Alone {
    /// What has its name is new.
    Moved(Summary),
    /// What has its name had all its bytes before.
    WasThere(Summary),
}

impl Alone {
    /// What came of a transfer. One that is atomic has put a file into the place, also where all of it was in the part.
    pub(super) fn of(moved: Summary, options: &Options) -> Self {
        match !options.atomic && moved.is_all_there() {
            true => Self::WasThere(moved),
            false => Self::Moved(moved),
        }
    }
}

/// What comes of a file that the target has already, proved by its SHA-256: nothing is moved. `None` where it has not, or
/// where the transfer of the file looks for itself: without a part of its own, what is in its place is the part.
pub(super) async fn already(tree: &Tree<'_>, found: &impl Candidate, side: Side) -> Option<Alone> {
    let begun = Instant::now();
    let both = found.both();
    let is_asked = tree.options.resume && tree.options.atomic && both.length > 0;
    if !is_asked || length(tree, &both, side).await != Some(both.length) {
        return None;
    }
    let (remote, length) = (both.remote.clone(), both.length);
    // What cannot be read may still be replaced.
    let equal = compare::compare(tree, &[both]).await.pop().and_then(Result::ok).flatten();
    if equal != Some(true) {
        return None;
    }
    let counted = tree.meter.file(remote, Some(length));
    counted.found(length);
    counted.done();
    Some(Alone::WasThere(Summary {
        length,
        moved: 0,
        duration: begun.elapsed(),
        resumed: Resumed::From { from: length, proof: Proof::Sha256 },
        verified: Verified::NotAsked,
        changed: false,
        channels: 0,
        losses: 0,
    }))
}

/// How long the file is that the target has; none where it has something else.
async fn length(tree: &Tree<'_>, both: &Both, side: Side) -> Option<u64> {
    match side {
        Side::Here => {
            let there = local::details(both.local.clone(), Links::Keep).await.ok()?;
            (there.kind() == Kind::File).then(|| there.length())
        }
        Side::There => {
            let asked = Request::Lstat { path: both.remote.clone() };
            let there = tree.sftp.engine().attributes("lstat", asked).await.ok()?;
            there.size().filter(|_| there.kind() == Some(FileKind::File))
        }
    }
}
