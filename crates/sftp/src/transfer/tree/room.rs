//! How much of a tree may be under way at once.

use std::num::NonZeroUsize;

use rustle_sftp_proto::ServerLimits;

use crate::transfer::options::Options;
use crate::transfer::tree::SMALL;

/// How much of a tree may be under way at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Small files.
    pub(super) files: usize,
    /// Files that go alone.
    pub(super) large: usize,
    /// Directories that are being listed.
    pub(super) listings: usize,
    /// Files that one batch opens to compare them.
    pub(super) comparing: usize,
    /// Files of either sort.
    pub(super) together: usize,
    /// Bytes of small files.
    pub(super) bytes: usize,
    /// What one READ asks for, and one WRITE has, at most.
    pub(super) read: usize,
    pub(super) write: usize,
}

impl Room {
    pub(super) fn new(limits: ServerLimits, options: &Options) -> Self {
        let said = usize::try_from(limits.max_handles).unwrap_or(usize::MAX);
        let handles = if said == 0 { UNSAID_HANDLES } else { said };
        // Some are left to whoever uses the channel beside this.
        let ours = (handles - handles / 8).min(MOST_HANDLES);
        let listings = (ours / 8).clamp(1, MOST_LISTINGS);
        let large = LARGE.min((ours / 4).max(1));
        let files = if options.verify || options.resume { MOST_PROVED } else { MOST_FILES };
        // With a limit, no more than it lets through in a second.
        let limit =
            options.limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
        let within = |most: u64| usize::try_from(most).unwrap_or(usize::MAX).clamp(1, SMALL);
        Self {
            files: ours.saturating_sub(listings + large).clamp(1, files),
            large,
            listings,
            comparing: 1,
            together: options.at_once.map_or(usize::MAX, NonZeroUsize::get),
            bytes: MOST_BYTES.min(limit).max(SMALL),
            read: within(limits.max_read),
            write: within(limits.max_write),
        }
    }

    /// All that may be open when nothing else is under way.
    pub(super) fn handles(&self) -> usize {
        self.files + self.large + self.listings
    }

    /// The same where the server opens files to compare them: these leave room for that.
    pub(super) fn comparing(self) -> Self {
        let comparing = (self.files / 4).max(1);
        Self { files: self.files.saturating_sub(BATCHES * comparing).max(1), comparing, ..self }
    }

    /// How many directories more may be listed in the place of files.
    pub(super) fn spare_listings(&self) -> usize {
        self.listings.min(self.files / 2)
    }
}

/// More round trips than these overlap nowhere: at 50 ms they are 2500 files a second.
const MOST_FILES: usize = 256;

/// Of files of which each is a transfer of its own: each has a thread and an open file on this side, of which macOS gives a
/// process 256. It is twice what one command hashes, so that others are moved meanwhile.
const MOST_PROVED: usize = 128;

/// Large files that are under way together: one fills a link but for its beginning and end.
const LARGE: usize = 2;

const MOST_HANDLES: usize = 320;

const MOST_LISTINGS: usize = 16;

/// Directories that the removal of one lists at once.
pub(super) const LISTED_BY_REMOVAL: usize = 16;

/// Batches of files that are compared at once.
pub(super) const BATCHES: usize = 2;

/// What every server has that does not say how many: macOS gives a process 256 open files.
const UNSAID_HANDLES: usize = 128;

const MOST_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn room(max_handles: u64) -> Room {
        let limits = ServerLimits { max_packet: 34_000, max_read: 32_768, max_write: 0, max_handles };
        Room::new(limits, &Options::default())
    }

    #[test]
    fn all_that_is_open_stays_below_what_the_server_has() {
        for handles in [3, 4, 10, 64, 1019, u64::MAX] {
            let room = room(handles);
            assert!((room.files + room.large + room.listings) as u64 <= handles, "{handles}: {room:?}");
        }
        assert_eq!(room(1019).files, MOST_FILES);
        assert!(room(0).files >= 64);
        assert_eq!((room(1).files, room(1).write), (1, 1));
    }

    #[test]
    fn what_is_opened_to_be_compared_stays_below_it_too() {
        for handles in [8, 10, 64, 1019, u64::MAX] {
            let (plain, room) = (room(handles), room(handles).comparing());
            assert!(room.handles() + BATCHES * room.comparing <= plain.handles(), "{handles}: {room:?}");
        }
    }

    #[test]
    fn a_limit_bounds_what_is_under_way() {
        let options = Options { limit: NonZeroU64::new(1_000_000), ..Options::default() };
        let limits = ServerLimits { max_packet: 34_000, max_read: 32_768, max_write: 32_768, max_handles: 0 };
        assert_eq!(Room::new(limits, &options).bytes, 1_000_000);
    }
}
