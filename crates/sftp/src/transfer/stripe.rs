//! More channels for one file, where the window of one is what holds it back.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustle_sftp_proto::{Attributes, OpenFlags, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::sftp::Sftp;
use crate::transfer::lane::Lane;
use crate::transfer::options::Options;
use crate::transfer::window::Bounds;

/// Lanes that are being opened while the transfer goes on without them.
pub(crate) struct Stripes {
    opening: FuturesUnordered<BoxFuture<'static, Result<Lane>>>,
}

/// Which window a channel has in this direction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    /// This side grants it, and fits it to the link.
    Down,
    /// The server grants it: OpenSSH 2 MiB, however long the link.
    Up,
}

/// How many channels a file of so many bytes should have.
///
/// By itself one is enough where what it may have in flight fills a link of 1 Gb/s: two windows' worth of 2 MiB is
/// half as much again as 20 ms of that. A file that is done in a few round trips is not worth the five that a channel
/// takes. What may be resumed goes over one channel: over several, a part could have holes far behind its end.
/// `MaxSessions` is 10 unless a server's configuration says otherwise, and others may need some.
pub(crate) fn count(sftp: &Sftp, direction: Direction, length: u64, options: &Options) -> usize {
    let Some(session) = sftp.session().filter(|_| !options.resume) else { return 1 };
    let wanted = match options.channels {
        Some(most) => most.get(),
        None => usual(direction, session.stats().round_trip),
    };
    let worth = usize::try_from(length / LEAST_SHARE).unwrap_or(usize::MAX).max(1);
    wanted.min(worth).min(MOST)
}

fn usual(direction: Direction, round_trip: Duration) -> usize {
    match direction {
        Direction::Down if round_trip >= LONG => 2,
        Direction::Down => 1,
        Direction::Up => {
            let in_flight = u64::try_from(round_trip.as_micros())
                .unwrap_or(u64::MAX)
                .saturating_mul(BYTES_PER_MICROSECOND);
            usize::try_from(in_flight.saturating_mul(3).div_ceil(2 * SERVER_WINDOW))
                .unwrap_or(MOST)
                .clamp(1, MOST)
        }
    }
}

impl Stripes {
    /// Begins to open so many channels of the same connection, and the file on each. Where `original` is known, a file
    /// that differs from it is another one, which has taken the name meanwhile: it is left alone.
    pub(crate) fn open(
        sftp: &Sftp,
        count: usize,
        path: &Bytes,
        flags: OpenFlags,
        original: Option<&Attributes>,
        bounds: Bounds,
    ) -> Self {
        let opening = FuturesUnordered::new();
        for _ in 0..count {
            let Some(session) = sftp.session().cloned() else { break };
            let (path, original) = (path.clone(), original.cloned());
            let lane = async move {
                let channel = Sftp::open(&session).await?;
                let attributes = Attributes::new();
                let file = channel.engine().handle("open", Request::Open { path, flags, attributes }).await?;
                if let Some(original) = original {
                    let asked = Request::Fstat { handle: file.handle().clone() };
                    let attributes = channel.engine().attributes("fstat", asked).await?;
                    if !is_alike(&original, &attributes) {
                        return Err(Error::new(ErrorKind::Changed, "open", "another file has the name now"));
                    }
                }
                Ok(Lane::new(file, bounds))
            };
            opening.push(lane.boxed());
        }
        Self { opening }
    }

    /// A lane that is open by now. A server that refuses one is left alone: there will be as many as there are.
    pub(crate) fn ready(&mut self) -> Option<Lane> {
        if self.opening.is_empty() {
            return None;
        }
        // Looked at whenever a block is done, which is often enough.
        match self.opening.next().now_or_never()?? {
            Ok(lane) => Some(lane),
            Err(error) => {
                tracing::debug!(%error, "a transfer goes on with the channels that it has");
                self.opening.clear();
                None
            }
        }
    }
}

/// As far as SFTP tells one file from another, and a version of it from the next.
pub(crate) fn is_alike(before: &Attributes, after: &Attributes) -> bool {
    before.size() == after.size() && before.modified() == after.modified()
}

/// Each channel should have this many bytes to carry: opening one costs five round trips.
const LEAST_SHARE: u64 = 4 * 1024 * 1024;

/// Two short of the ten that OpenSSH's `MaxSessions` allows.
const MOST: usize = 8;

/// What OpenSSH's server grants a channel.
const SERVER_WINDOW: u64 = 2 * 1024 * 1024;

/// 1 Gb/s.
const BYTES_PER_MICROSECOND: u64 = 125;

/// From here on the window that this side grants, 1 Gb/s for one round trip, is worth doubling.
const LONG: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_links_have_more_channels_and_short_ones_have_one() {
        let up = |milliseconds| usual(Direction::Up, Duration::from_millis(milliseconds));
        assert_eq!([0, 1, 10, 20, 50, 100, 100_000].map(up), [1, 1, 1, 2, 5, 8, 8]);
        let down = |milliseconds| usual(Direction::Down, Duration::from_millis(milliseconds));
        assert_eq!([0, 10, 20, 100].map(down), [1, 1, 2, 2]);
    }
}
