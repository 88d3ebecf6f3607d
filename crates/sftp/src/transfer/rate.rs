//! A limit on how many bytes are moved in a second.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A rate that all who share it keep together.
///
/// Bytes are let through at their turn: each call of [`Limit::take`] moves the turn of the next by as long as its own
/// bytes last at the rate. After a pause a tenth of a second's worth passes at once, so that a short wait elsewhere costs
/// nothing; more would be a burst that a shared line notices.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    bytes_per_second: NonZeroU64,
    // When the next byte is due. It lies in the past while less is moved than might be.
    due: Arc<Mutex<Option<Instant>>>,
}

const BURST: Duration = Duration::from_millis(100);

impl Limit {
    pub(crate) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, due: Arc::default() }
    }

    /// Waits until these bytes may be moved.
    ///
    /// # Cancel safety
    /// Dropped while it waits, its bytes count as not moved, and the others are let through as if it had never asked,
    /// but for those that wait already.
    pub(crate) async fn take(&self, bytes: u64) {
        let lasts = self.lasts(bytes);
        let turn = self.reserve(Instant::now(), lasts);
        let mut reserved = Reserved { limit: self, lasts };
        sleep_until(turn).await;
        reserved.lasts = Duration::ZERO;
    }

    /// The turn of whoever asks now; the next comes `lasts` later.
    fn reserve(&self, now: Instant, lasts: Duration) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let turn = due.map_or(earliest, |due| due.max(earliest));
        *due = Some(turn + lasts);
        turn
    }

    fn lasts(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        // More than a year for one call is as good as for ever, and far from where an `Instant` ends.
        const LONGEST: Duration = Duration::from_secs(366 * 86_400);
        u64::try_from(nanos).map_or(LONGEST, Duration::from_nanos).min(LONGEST)
    }
}

/// A turn that is given back where nobody waits for it any more.
struct Reserved<'a> {
    limit: &'a Limit,
    lasts: Duration,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut due = self.limit.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = due.and_then(|due| due.checked_sub(self.lasts));
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn limit(bytes_per_second: u64) -> Limit {
        Limit::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    async fn seconds(work: impl Future<Output = ()>) -> f64 {
        let begin = Instant::now();
        work.await;
        begin.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_time_that_the_rate_gives_them() {
        let limit = limit(1_000_000);
        let took = seconds(async {
            for _ in 0..100 {
                limit.take(100_000).await;
            }
        })
        .await;
        // The last is let through at its turn, after 99 others and less the burst.
        assert!((9.75..=9.85).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_share_a_limit_keep_it_together_and_in_turn() {
        let limit = limit(1_000_000);
        let flow = || async {
            for _ in 0..50 {
                limit.take(50_000).await;
            }
        };
        let took = seconds(async {
            tokio::join!(flow(), flow());
        })
        .await;
        assert!((4.8..=4.9).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_a_tenth_of_a_second_passes_at_once() {
        let limit = limit(1_000_000);
        limit.take(1).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        let took = seconds(async {
            limit.take(50_000).await;
            limit.take(50_000).await;
            limit.take(50_000).await;
        })
        .await;
        assert!(took < 0.01, "{took}");
        let took = seconds(limit.take(1)).await;
        assert!((0.045..0.06).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_larger_than_a_burst_passes_and_the_next_waits_for_it() {
        let limit = limit(1000);
        assert!(seconds(limit.take(10_000)).await < 0.01);
        let took = seconds(limit.take(1)).await;
        assert!((9.8..=10.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_leaves_its_turn_to_the_next() {
        let limit = limit(1000);
        limit.take(1000).await;
        {
            let mut waiting = pin!(limit.take(50_000));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let took = seconds(limit.take(1)).await;
        assert!((0.85..=1.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_bytes_is_too_large() {
        let limit = limit(1);
        limit.take(u64::MAX).await;
        let mut waiting = pin!(limit.take(u64::MAX));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
