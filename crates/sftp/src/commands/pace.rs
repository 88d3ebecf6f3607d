//! A limit that the far side keeps: it sends what it is asked for, and no more.
//!
//! What has come has crossed the wire, whenever it is taken: to take it slowly would limit nothing but this side's disk.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use rustle_session::ChildStdin;
use tokio::sync::Notify;

use crate::transfer::rate::Limit;

/// How fast blocks are asked for.
pub(super) struct Pace {
    limit: NonZeroU64,
    limiter: Limit,
    came: AtomicU64,
    more: Notify,
}

impl Pace {
    pub(super) fn new(limit: NonZeroU64, limiter: Limit) -> Self {
        Self { limit, limiter, came: AtomicU64::new(0), more: Notify::new() }
    }

    /// So many bytes have come.
    pub(super) fn came(&self, bytes: u64) {
        self.came.fetch_add(bytes, Ordering::Relaxed);
        self.more.notify_one();
    }

    /// Asks on this input until all has been received.
    ///
    /// # Cancel safety
    /// As `receiving`.
    pub(super) async fn kept<T>(&self, stdin: ChildStdin, receiving: impl Future<Output = T>) -> T {
        match select(pin!(receiving), pin!(self.ask(stdin))).await {
            Either::Left((received, _)) => received,
            // It reads no more: what has come, and how it ended, say the rest.
            Either::Right(((), receiving)) => receiving.await,
        }
    }

    async fn ask(&self, mut stdin: ChildStdin) {
        let block = (self.limit.get() / BLOCKS_A_SECOND).clamp(1, MOST);
        let line = Bytes::from(format!("{block}\n"));
        let mut asked: u64 = 0;
        loop {
            self.limiter.take(block).await;
            // After a pause of the line no more than a second's worth comes at once.
            while asked.saturating_sub(self.came.load(Ordering::Relaxed)) >= self.limit.get().max(block) {
                // Some files give less than was asked for (Linux' `/proc`), which leaves a block to be asked for in vain.
                if tokio::time::timeout(STALLED, self.more.notified()).await.is_err() {
                    break;
                }
            }
            if stdin.write_bytes(line.clone()).await.is_err() {
                return;
            }
            asked = asked.saturating_add(block);
        }
    }
}

/// Each block costs the far side a process or two.
const BLOCKS_A_SECOND: u64 = 8;

/// What one process holds in memory.
const MOST: u64 = 1024 * 1024;

const STALLED: Duration = Duration::from_secs(1);
