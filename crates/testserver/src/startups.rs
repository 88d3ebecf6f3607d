//! `MaxStartups`: how many connections may be about to log in at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::random::Random;

/// The limit, as sshd_config(5) says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxStartups {
    pub(crate) start: usize,
    pub(crate) rate: u8,
    pub(crate) full: usize,
}

/// The connections that have not logged in yet.
pub(crate) struct Startups {
    limit: Option<MaxStartups>,
    state: Mutex<State>,
}

struct State {
    open: usize,
    random: Random,
}

/// A connection's place among them; dropped when it has logged in, or is gone.
pub(crate) struct StartupSlot {
    startups: Arc<Startups>,
}

impl Startups {
    pub(crate) fn new(limit: Option<MaxStartups>, random: Random) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::new(State { open: 0, random }) })
    }

    /// A place for a new connection, if there is one.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<StartupSlot> {
        let mut state = self.lock();
        if let Some(limit) = &self.limit
            && limit.drops(state.open, &mut state.random)
        {
            return None;
        }
        state.open += 1;
        Some(StartupSlot { startups: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MaxStartups {
    /// Whether a new connection is dropped while so many others are about to log in.
    fn drops(&self, open: usize, random: &mut Random) -> bool {
        if open < self.start {
            return false;
        }
        if open >= self.full || self.rate >= 100 {
            return true;
        }
        // `full` is above `start` here: `open` lies between them.
        let rate = usize::from(self.rate);
        let chance = rate + (100 - rate) * (open - self.start) / (self.full - self.start);
        random.next() % 100 < chance as u64
    }
}

impl Drop for StartupSlot {
    fn drop(&mut self) {
        self.startups.lock().open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(start: usize, rate: u8, full: usize) -> MaxStartups {
        MaxStartups { start, rate, full }
    }

    #[test]
    fn nobody_is_dropped_before_the_start_and_all_are_at_the_end() {
        let mut random = Random::new(1);
        let limit = limit(3, 30, 10);
        assert!((0..3).all(|open| !limit.drops(open, &mut random)));
        assert!((10..50).all(|open| limit.drops(open, &mut random)));
    }

    #[test]
    fn chance_grows_evenly_from_the_rate() {
        let mut random = Random::new(2);
        let limit = limit(10, 30, 100);
        for (open, per_cent) in [(10, 30), (55, 65), (99, 99)] {
            let dropped = (0..10_000).filter(|_| limit.drops(open, &mut random)).count();
            assert!(dropped.abs_diff(per_cent * 100) < 200, "{dropped} of 10000 at {open}");
        }
    }

    #[test]
    fn place_is_free_again_when_it_is_given_up() {
        let startups = Startups::new(Some(limit(1, 100, 1)), Random::new(3));
        let first = startups.enter().unwrap();
        assert!(startups.enter().is_none());
        drop(first);
        assert!(startups.enter().is_some());
    }
}
