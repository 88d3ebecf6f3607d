//! A deadline that counts the time spent waiting for the network, and no other.
//!
//! Authentication waits for two sides: the server, which has seconds, and a person (a prompt, the touch of a
//! key), who has minutes. A single clock would either cut people off or wait minutes for a dead
//! server, so [`NetworkClock`] runs only inside [`NetworkClock::run`] and stands still while a
//! [`PersonWait`] is held.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, timeout};

/// What an authentication may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of the network's time, all attempts together.
    pub(crate) network: Duration,
    /// Of a person's time, for each prompt, each touch of a key, each question.
    pub(crate) person: Duration,
}

/// The network's time ran out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeadlinePassed;

/// Network time spent so far, against a limit.
#[derive(Debug)]
pub(crate) struct NetworkClock {
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spent: Duration,
    running_since: Option<Instant>,
    pauses: u32,
}

impl NetworkClock {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, state: Mutex::new(State::default()) }
    }

    /// The limit this clock was made with.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The network time spent so far.
    pub(crate) fn spent(&self) -> Duration {
        self.limit - self.left()
    }

    /// Drives `wait`, which waits for the network, until it ends or the limit is reached.
    ///
    /// # Cancel safety
    /// Dropping the future drops `wait` and stops the clock.
    pub(crate) async fn run<F: Future>(&self, wait: F) -> Result<F::Output, DeadlinePassed> {
        let mut wait = pin!(wait);
        let _running = Running::start(self);
        let mut timer = pin!(sleep(self.left()));
        poll_fn(|context| {
            if let Poll::Ready(output) = wait.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            // A pause begins and ends only inside the poll above, so its end wakes this task by itself.
            if self.lock().pauses > 0 {
                return Poll::Pending;
            }
            let left = self.left();
            if left.is_zero() {
                return Poll::Ready(Err(DeadlinePassed));
            }
            Sleep::reset(timer.as_mut(), Instant::now() + left);
            match timer.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(DeadlinePassed)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Stops the clock until the guard is dropped: what is waited for now is a person.
    pub(crate) fn pause(&self) -> PersonWait<'_> {
        let mut state = self.lock();
        if state.pauses == 0 {
            state.settle();
        }
        state.pauses += 1;
        PersonWait { clock: self }
    }

    fn left(&self) -> Duration {
        let state = self.lock();
        let running = match state.running_since {
            Some(since) if state.pauses == 0 => since.elapsed(),
            _ => Duration::ZERO,
        };
        self.limit.saturating_sub(state.spent + running)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds the time since the last settlement to what is spent.
    fn settle(&mut self) {
        if let Some(since) = self.running_since {
            let now = Instant::now();
            self.spent += now.saturating_duration_since(since);
            self.running_since = Some(now);
        }
    }
}

/// Waits for a person with [`PERSON_LIMIT`]; `None` when nobody answered in time.
///
/// # Cancel safety
/// Dropping the future drops `wait`.
pub(crate) async fn for_a_person<F: Future>(limit: Duration, wait: F) -> Option<F::Output> {
    timeout(limit, wait).await.ok()
}

/// While this is held, its clock stands still.
#[derive(Debug)]
pub(crate) struct PersonWait<'a> {
    clock: &'a NetworkClock,
}

impl Drop for PersonWait<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        state.pauses = state.pauses.saturating_sub(1);
        if state.pauses == 0 && state.running_since.is_some() {
            state.running_since = Some(Instant::now());
        }
    }
}

struct Running<'a> {
    clock: &'a NetworkClock,
}

impl<'a> Running<'a> {
    fn start(clock: &'a NetworkClock) -> Self {
        clock.lock().running_since = Some(Instant::now());
        Self { clock }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        if state.pauses == 0 {
            state.settle();
        }
        state.running_since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn ends_a_wait_that_takes_too_long() {
        let clock = NetworkClock::new(10 * SECOND);
        let start = Instant::now();
        assert_eq!(clock.run(pending::<()>()).await, Err(DeadlinePassed));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn adds_up_several_waits_and_skips_what_lies_between() {
        let clock = NetworkClock::new(10 * SECOND);
        clock.run(sleep(6 * SECOND)).await.unwrap();
        sleep(100 * SECOND).await;
        let start = Instant::now();
        assert_eq!(clock.run(pending::<()>()).await, Err(DeadlinePassed));
        assert_eq!(start.elapsed().as_secs(), 4);
        assert_eq!(clock.run(pending::<()>()).await, Err(DeadlinePassed));
    }

    #[tokio::test(start_paused = true)]
    async fn stands_still_while_a_person_is_waited_for() {
        let clock = NetworkClock::new(10 * SECOND);
        let start = Instant::now();
        let outcome = clock
            .run(async {
                sleep(4 * SECOND).await;
                {
                    let _person = clock.pause();
                    sleep(60 * SECOND).await;
                }
                pending::<()>().await;
            })
            .await;
        assert_eq!(outcome, Err(DeadlinePassed));
        assert_eq!(start.elapsed().as_secs(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_stops_the_clock() {
        let clock = NetworkClock::new(10 * SECOND);
        let _ = timeout(3 * SECOND, clock.run(pending::<()>())).await;
        sleep(60 * SECOND).await;
        let start = Instant::now();
        assert_eq!(clock.run(pending::<()>()).await, Err(DeadlinePassed));
        assert_eq!(start.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_has_a_limit() {
        const LIMIT: Duration = Duration::from_secs(77);
        let start = Instant::now();
        assert!(for_a_person(LIMIT, pending::<()>()).await.is_none());
        assert_eq!(start.elapsed(), LIMIT);
        assert_eq!(for_a_person(LIMIT, async { 7 }).await, Some(7));
    }
}
