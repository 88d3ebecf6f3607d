//! How far away the server is, measured where nothing between can answer for it.
//!
//! The time in which TCP connects is that of the first thing on the way which takes connections: a relay, a container's
//! port, a load balancer. What the server itself answers comes from the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The shortest time in which the server answered; each answer takes the round trip, and what the server did besides.
#[derive(Debug)]
pub(super) struct RoundTrip(AtomicU64);

impl RoundTrip {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// A question was answered after this time.
    pub(super) fn answered(&self, after: Duration) {
        self.0.fetch_min(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As far as is known; [`UNKNOWN`] before the first answer.
    pub(super) fn shortest(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            u64::MAX => UNKNOWN,
            nanoseconds => Duration::from_nanos(nanoseconds),
        }
    }
}

/// Longer than the way to any server on this planet, shorter than a person's patience.
const UNKNOWN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_answer_counts() {
        let round_trip = RoundTrip::new();
        assert_eq!(round_trip.shortest(), UNKNOWN);
        for (answer, shortest) in [(300, 300), (200, 200), (900, 200)] {
            round_trip.answered(Duration::from_millis(answer));
            assert_eq!(round_trip.shortest().as_millis(), shortest);
        }
    }
}
