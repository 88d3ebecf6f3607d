//! How a transfer is to go.

use std::num::{NonZeroU64, NonZeroUsize};

use crate::transfer::hashes::Hashes;
use crate::transfer::others::Others;
use crate::transfer::parts::Parts;
use crate::transfer::rate::Limit;
use crate::transfer::window::Bounds;

/// How a transfer is to go; the defaults are those of `sftp`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) atomic: bool,
    pub(crate) resume: bool,
    pub(crate) verify: bool,
    pub(crate) preserve: bool,
    /// Blocks of zeros become holes.
    pub(crate) sparse: bool,
    pub(crate) mode: Option<u32>,
    /// The name on this side may be the server's choice.
    pub(crate) no_follow: bool,
    pub(crate) limit: Option<NonZeroU64>,
    pub(crate) channels: Option<NonZeroUsize>,
    /// A link where a file is to be on the server is replaced, and not followed.
    pub(crate) replace_links: bool,
    /// What was changed in this second or later may be changed again in the second that its time says: it is given a time
    /// that is a second older, so that it is not taken for the same when it is compared. Seconds since 1970.
    pub(crate) fresh_since: Option<u32>,
    /// Files of a tree that may be under way together.
    pub(crate) at_once: Option<NonZeroUsize>,
    pub(crate) others: Others,
    /// How many losses of all its channels it survives.
    pub(crate) survive: Option<u32>,
    /// Its connection was lost, and maybe because the server crashed: what is there was not stored for certain.
    pub(crate) is_begun_again: bool,
    /// The parts of a tree that may begin again.
    pub(crate) parts: Option<Parts>,
    /// Where several files ask for what the server's have.
    pub(crate) hashes: Option<Hashes>,
    /// What keeps the rate, where several files share it.
    pub(crate) shared: Option<Limit>,
    pub(crate) scope: Scope,
}

/// What a file is to the transfer that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scope {
    /// All of it; the user named both sides.
    #[default]
    Alone,
    /// One of many, which the tree has counted already.
    InTree,
}

impl Options {
    /// The time that a copy is given.
    pub(crate) fn recorded(&self, modified: u32) -> u32 {
        match self.fresh_since {
            Some(since) if modified >= since => modified.saturating_sub(1),
            _ => modified,
        }
    }

    /// What keeps the rate, if it is limited.
    pub(crate) fn limiter(&self) -> Option<Limit> {
        self.shared.clone().or_else(|| self.limit.map(Limit::new))
    }

    /// How much each of so many channels may have in flight where the server takes so much at once. With a limit, no more than it lets through in a
    /// second, so that it holds from the first moment on.
    pub(crate) fn bounds(&self, most_request: u64, channels: usize) -> Bounds {
        let bounds = Bounds::for_server(u32::try_from(most_request).unwrap_or(u32::MAX));
        let bounds = bounds.ceiling(bounds.most() / channels.max(1));
        match self.limit {
            Some(limit) => {
                bounds.ceiling(usize::try_from(limit.get()).unwrap_or(usize::MAX).min(bounds.most()))
            }
            None => bounds,
        }
    }
}
