//! Happy Eyeballs (RFC 8305): several addresses, a short head start each, the first that answers wins.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use crate::BoxFuture;

/// Attempts under way and still to come. Dropping it drops, and so closes, them all.
pub(super) struct Race<T, F> {
    waiting: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, BoxFuture<'static, io::Result<T>>)>,
    delay: Duration,
    start: F,
}

impl<T, F> Race<T, F>
where
    F: FnMut(SocketAddr) -> BoxFuture<'static, io::Result<T>>,
{
    pub(super) fn new(addresses: Vec<SocketAddr>, delay: Duration, start: F) -> Self {
        Self { waiting: addresses.into(), running: Vec::new(), delay, start }
    }

    /// The first attempt that succeeds; `None` when all failed, which `failed` then lists. The others are
    /// closed.
    ///
    /// # Cancel safety
    /// Dropped, it may be called again and goes on: attempts stay in the race.
    pub(super) async fn winner(
        &mut self,
        failed: &mut Vec<(SocketAddr, io::Error)>,
    ) -> Option<(SocketAddr, T)> {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                self.running.push((next, (self.start)(next)));
            } else if self.running.is_empty() {
                return None;
            }
            let finished = if self.waiting.is_empty() {
                self.finished().await
            } else {
                match timeout(self.delay, self.finished()).await {
                    Ok(finished) => finished,
                    // RFC 8305 §5: the one under way goes on while the next begins.
                    Err(_elapsed) => continue,
                }
            };
            match finished {
                (address, Ok(won)) => {
                    self.waiting.clear();
                    self.running.clear();
                    return Some((address, won));
                }
                // RFC 8305 §5: after a failure the next begins at once.
                (address, Err(error)) => failed.push((address, error)),
            }
        }
    }

    /// The addresses that have not answered yet.
    pub(super) fn under_way(&self) -> Vec<SocketAddr> {
        self.running.iter().map(|(address, _)| *address).collect()
    }

    /// Waits for whichever attempt ends next. There has to be one.
    async fn finished(&mut self) -> (SocketAddr, io::Result<T>) {
        let (index, result) = poll_fn(|context| {
            for (index, (_, attempt)) in self.running.iter_mut().enumerate() {
                if let Poll::Ready(result) = attempt.as_mut().poll(context) {
                    return Poll::Ready((index, result));
                }
            }
            Poll::Pending
        })
        .await;
        let (address, _done) = self.running.remove(index);
        (address, result)
    }
}

/// RFC 8305 §4: the families in turn, beginning with that of the first address, each in the resolver's order.
pub(super) fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let first_is_ipv6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        all.iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(all.len());
    while ordered.len() < all.len() {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_beginning_with_the_resolvers_first() {
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "[::1]:1", "2.2.2.2:1"].map(address);
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(address);
        assert_eq!(interleaved(found.into_iter()), expected);
        let found = ["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"].map(address);
        assert_eq!(interleaved(found.into_iter()), ["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"].map(address));
        assert_eq!(interleaved(std::iter::empty()), []);
    }

    /// What each address does: succeed or fail after so many milliseconds, or never answer.
    #[derive(Clone, Copy)]
    enum Answers {
        Yes(u64),
        No(u64),
        Never,
    }

    async fn run(answers: &[Answers]) -> (Option<SocketAddr>, u128, Vec<(SocketAddr, u128)>, usize) {
        let begun = Instant::now();
        let addresses: Vec<_> =
            (0..answers.len()).map(|index| address(&format!("10.0.0.1:{}", index + 1))).collect();
        let mut started = Vec::new();
        let start = |at: SocketAddr| -> BoxFuture<'static, io::Result<()>> {
            started.push((at, begun.elapsed().as_millis()));
            let answer = answers[usize::from(at.port()) - 1];
            Box::pin(async move {
                match answer {
                    Answers::Yes(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Ok(())
                    }
                    Answers::No(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Err(io::ErrorKind::ConnectionRefused.into())
                    }
                    Answers::Never => std::future::pending().await,
                }
            })
        };
        let mut failed = Vec::new();
        let mut race = Race::new(addresses, Duration::from_millis(250), start);
        let won = race.winner(&mut failed).await;
        let took = begun.elapsed().as_millis();
        (won.map(|(address, ())| address), took, started, failed.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_first_address_costs_a_quarter_of_a_second() {
        let (won, took, started, failed) = run(&[Answers::Never, Answers::Yes(20)]).await;
        assert_eq!((won, took, failed), (Some(address("10.0.0.1:2")), 270, 0));
        assert_eq!(started[1].1, 250);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_next_begins_at_once() {
        let (won, took, started, failed) = run(&[Answers::No(5), Answers::No(5), Answers::Yes(5)]).await;
        assert_eq!((won, took, failed), (Some(address("10.0.0.1:3")), 15, 2));
        assert_eq!(started.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [0, 5, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_may_still_win() {
        let (won, took, started, _) = run(&[Answers::Yes(300), Answers::Yes(100)]).await;
        assert_eq!((won, took, started.len()), (Some(address("10.0.0.1:1")), 300, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_all_are_listed() {
        let (won, took, _, failed) = run(&[Answers::No(400), Answers::No(10)]).await;
        assert_eq!((won, took, failed), (None, 400, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_wins_and_whoever_gives_up_leaves_no_attempt_open() {
        let open = Arc::new(());
        let start = |at: SocketAddr| -> BoxFuture<'static, io::Result<()>> {
            let held = Arc::clone(&open);
            Box::pin(async move {
                sleep(Duration::from_millis(if at.port() == 2 { 10 } else { 10_000 })).await;
                drop(held);
                Ok(())
            })
        };
        let addresses = ["1.1.1.1:1", "1.1.1.1:2", "1.1.1.1:3"].map(address).to_vec();
        let mut failed = Vec::new();
        let mut race = Race::new(addresses.clone(), Duration::from_millis(250), start);
        assert_eq!(race.winner(&mut failed).await.map(|(address, ())| address.port()), Some(2));
        assert_eq!(Arc::strong_count(&open), 1);

        let mut race = Race::new(addresses, Duration::from_millis(250), start);
        timeout(Duration::from_millis(255), race.winner(&mut failed)).await.unwrap_err();
        assert_eq!(Arc::strong_count(&open), 3);
        drop(race);
        assert_eq!(Arc::strong_count(&open), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_race_cut_short_tells_who_has_not_answered() {
        let addresses = ["1.1.1.1:1", "2.2.2.2:1"].map(address);
        let start =
            |_: SocketAddr| -> BoxFuture<'static, io::Result<()>> { Box::pin(std::future::pending()) };
        let mut race = Race::new(addresses.to_vec(), Duration::from_millis(250), start);
        let mut failed = Vec::new();
        timeout(Duration::from_millis(200), race.winner(&mut failed)).await.unwrap_err();
        assert_eq!(race.under_way(), addresses[..1]);
        timeout(Duration::from_millis(100), race.winner(&mut failed)).await.unwrap_err();
        assert_eq!(race.under_way(), addresses);
    }
}
