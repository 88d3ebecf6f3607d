//! A limit that the far side keeps: it sends what it is asked for, and no more.
//!
//! What has come has crossed the wire, whenever it is taken: to take it slowly would limit nothing but this side's disk.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use crate::transfer::rate::Limit;

/// How fast blocks are asked for.
pub(super) struct Pace {
    limit: NonZeroU64,
    limiter: Limit,
    came: AtomicU64,
    /// For so many bytes the limiter was asked.
    paid: AtomicU64,
    more: Notify,
}

impl Pace {
    pub(super) fn new(limit: NonZeroU64, limiter: Limit) -> Self {
        Self { limit, limiter, came: AtomicU64::new(0), paid: AtomicU64::new(0), more: Notify::new() }
    }

    /// So many bytes have come.
    pub(super) fn came(&self, bytes: u64) {
        self.came.fetch_add(bytes, Ordering::Relaxed);
        self.more.notify_one();
    }

    /// Asks on this input, for a file that is said to be so long, until all has been received.
    ///
    /// # Cancel safety
    /// As `receiving`.
    pub(super) async fn kept<T>(
        &self,
        stdin: impl AsyncWrite + Unpin,
        said: u64,
        receiving: impl Future<Output = T>,
    ) -> T {
        let received = match select(pin!(receiving), pin!(self.ask(stdin, said))).await {
            Either::Left((received, _)) => received,
            // It reads no more: what has come, and how it ended, say the rest.
            Either::Right(((), receiving)) => receiving.await,
        };
        self.settle().await;
        received
    }

    /// Asks for as much as the file is said to have, each block at its turn. What it may have behind that costs nothing to ask
    /// for: that is mostly its end, and else it is paid for when it has come. So a short file costs what it has.
    async fn ask(&self, mut stdin: impl AsyncWrite + Unpin, said: u64) {
        let block = (self.limit.get() / BLOCKS_A_SECOND).clamp(1, MOST);
        let mut asked: u64 = 0;
        loop {
            let wanted = match said.saturating_sub(asked) {
                0 => {
                    while asked > said && self.unpaid() == 0 && self.comes().await {}
                    self.settle().await;
                    block
                }
                rest => {
                    let wanted = rest.min(block);
                    self.limiter.take(wanted).await;
                    self.paid.fetch_add(wanted, Ordering::Relaxed);
                    wanted
                }
            };
            // After a pause of the line no more than a second's worth comes at once.
            while asked.saturating_sub(self.came.load(Ordering::Relaxed)) >= self.limit.get().max(block) {
                // Some files give less than was asked for (Linux' `/proc`), which leaves a block to be asked for in vain.
                if !self.comes().await {
                    break;
                }
            }
            if stdin.write_all(format!("{wanted}\n").as_bytes()).await.is_err() {
                return;
            }
            asked = asked.saturating_add(wanted);
        }
    }

    /// Waits for more; false where nothing has come for some time.
    async fn comes(&self) -> bool {
        tokio::time::timeout(STALLED, self.more.notified()).await.is_ok()
    }

    fn unpaid(&self) -> u64 {
        self.came.load(Ordering::Relaxed).saturating_sub(self.paid.load(Ordering::Relaxed))
    }

    /// Takes the time of what came without having been paid for.
    async fn settle(&self) {
        let unpaid = self.unpaid();
        if unpaid > 0 {
            self.limiter.take(unpaid).await;
            self.paid.fetch_add(unpaid, Ordering::Relaxed);
        }
    }
}

/// Each block costs the far side a process or two.
const BLOCKS_A_SECOND: u64 = 8;

/// What one process holds in memory.
const MOST: u64 = 1024 * 1024;

const STALLED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::time::Instant;

    use super::*;

    /// A file that is said to be so long and is so long, as `dd` gives it at once.
    async fn fetched(limit: NonZeroU64, limiter: &Limit, said: u64, length: u64) {
        let pace = Pace::new(limit, limiter.clone());
        let (near, far) = tokio::io::duplex(1024);
        let mut lines = BufReader::new(far).lines();
        let receiving = async {
            let mut left = length;
            while let Some(line) = lines.next_line().await.unwrap() {
                let came = line.parse::<u64>().unwrap().min(left);
                if came == 0 {
                    return;
                }
                left -= came;
                pace.came(came);
            }
        };
        pace.kept(near, said, receiving).await;
        assert_eq!(pace.came.load(Ordering::Relaxed), length);
    }

    /// How many seconds it takes to fetch so many files, at 1000 bytes a second.
    async fn seconds(files: u32, said: u64, length: u64) -> f64 {
        let limit = NonZeroU64::new(1000).unwrap();
        let (limiter, begun) = (Limit::new(limit), Instant::now());
        for _ in 0..files {
            fetched(limit, &limiter, said, length).await;
        }
        // The turn of whoever comes next.
        limiter.take(0).await;
        begun.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn short_files_cost_what_they_have_and_long_ones_what_they_have() {
        // A tenth of a second passes at once.
        for (files, length) in [(200, 10), (20, 100), (4, 500), (1, 2000)] {
            let took = seconds(files, length, length).await;
            assert!((1.89..=1.91).contains(&took), "{files} of {length}: {took}");
        }
        assert!(seconds(1000, 0, 0).await < 0.001);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_behind_the_end_that_was_said_is_paid_for_when_it_has_come() {
        for (files, said, length) in [(1, 0, 2000), (1, 500, 2000), (20, 0, 100), (200, 3, 10)] {
            let took = seconds(files, said, length).await;
            assert!((1.89..=1.91).contains(&took), "{files} of {length}: {took}");
        }
    }

    /// What was cut costs what was asked for: it is known too late.
    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_shorter_than_it_was_said_to_be_ends() {
        assert!(seconds(1, 2000, 10).await <= 2.0);
    }
}
