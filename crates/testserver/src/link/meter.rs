//! A drip: so many bytes in each interval.

use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Drip;

/// Lets a number of bytes pass, then none until the interval is over.
///
/// Nothing ticks while nobody wants to pass: under paused time a timer that goes off for nothing would keep the clock
/// running.
#[derive(Debug)]
pub(crate) struct Meter {
    bytes: u64,
    every: Duration,
    left: u64,
    refill: Instant,
    until: Option<Instant>,
    waited_for: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(drip: Drip, now: Instant) -> Self {
        let until = drip.lasts.and_then(|time| now.checked_add(time));
        Self { bytes: drip.bytes, every: drip.every, left: drip.bytes, refill: now, until, waited_for: None }
    }

    /// Whether the drip is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// How many bytes may pass now; with none, somebody waits for [`due`](Self::due).
    pub(crate) fn room(&mut self, now: Instant) -> u64 {
        if self.left == 0 && self.refill <= now {
            self.left = self.bytes;
        }
        self.waited_for =
            (self.left == 0).then(|| self.until.map_or(self.refill, |end| end.min(self.refill)));
        self.left
    }

    pub(crate) fn passed(&mut self, bytes: u64, now: Instant) {
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 {
            // An interval too long for the clock never ends.
            self.refill =
                now.checked_add(self.every).unwrap_or(now + Duration::from_secs(u64::from(u32::MAX)));
        }
    }

    /// When whoever waits may go on.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waited_for
    }

    /// Nobody waits any more: they have been woken.
    pub(crate) fn woken(&mut self) {
        self.waited_for = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Direction;

    #[tokio::test(start_paused = true)]
    async fn so_many_bytes_pass_in_each_interval() {
        let every = Duration::from_secs(1);
        let mut now = Instant::now();
        let drip = Drip { direction: Direction::Sent, bytes: 3, every, lasts: Some(every * 2) };
        let mut meter = Meter::new(drip, now);
        assert_eq!((meter.room(now), meter.due()), (3, None));
        meter.passed(2, now);
        assert_eq!(meter.room(now), 1);
        meter.passed(1, now);
        assert_eq!((meter.room(now), meter.due()), (0, Some(now + every)));
        now += every;
        assert_eq!(meter.room(now), 3);
        assert!(!meter.is_over(now));
        assert!(meter.is_over(now + every));
    }
}
