//! A future polled so many times and not once more.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The moment at which a suspended future is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// As soon as it suspends: nothing that it asked for has come yet.
    Suspended,
    /// When it is woken: what it asked for is there, and it never takes it.
    Woken,
}

/// What became of a future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled<T> {
    /// It finished within its polls, after so many suspensions.
    Finished { value: T, suspensions: usize },
    /// It was dropped where it stood.
    Dropped,
    /// It was dropped because nothing woke it for as long as one was ready to wait.
    NeverWoken { suspensions: usize },
}

/// Polls `future` exactly `polls` times unless it finishes before, each time after the first only once its own
/// waker was called, and then drops it; sooner, once `patience` has ended.
pub(super) async fn poll_times<F: Future>(
    future: F,
    polls: usize,
    moment: Moment,
    patience: impl Future<Output = ()>,
) -> Polled<F::Output> {
    let mut suspensions = 0;
    let polled = {
        let mut future = pin!(future);
        let suspensions = &mut suspensions;
        let call = Arc::new(Call::default());
        let waker = Waker::from(Arc::clone(&call));
        let turns = poll_fn(move |cx| {
            if !call.came(cx.waker()) {
                return Poll::Pending;
            }
            if *suspensions == polls {
                return Poll::Ready(Polled::Dropped);
            }
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(Polled::Finished { value, suspensions: *suspensions });
            }
            *suspensions += 1;
            match moment {
                Moment::Suspended if *suspensions == polls => Poll::Ready(Polled::Dropped),
                _ => Poll::Pending,
            }
        });
        tokio::select! {
            biased;
            polled = turns => Some(polled),
            () = patience => None,
        }
    };
    polled.unwrap_or(Polled::NeverWoken { suspensions })
}

/// The waker of one future: wakes meant for others in the same task do not count as its own.
struct Call {
    came: AtomicBool,
    task: Mutex<Waker>,
}

impl Default for Call {
    fn default() -> Self {
        // The first poll needs no call.
        Self { came: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) }
    }
}

impl Call {
    /// Whether the future was woken since the last time; if not, `task` is told when it is.
    fn came(&self, task: &Waker) -> bool {
        self.task.lock().unwrap().clone_from(task);
        self.came.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.came.store(true, Ordering::Release);
        self.task.lock().unwrap().wake_by_ref();
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_is_polled_so_many_times_and_not_once_more() {
    let patience = || tokio::time::sleep(Duration::from_secs(60));
    for moment in [Moment::Suspended, Moment::Woken] {
        for polls in 0..6 {
            let mut seen = 0;
            let three_sleeps = async {
                for _ in 0..3 {
                    seen += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                seen += 1;
            };
            let polled = poll_times(three_sleeps, polls, moment, patience()).await;
            let finished = Polled::Finished { value: (), suspensions: 3 };
            assert_eq!(polled, if polls > 3 { finished } else { Polled::Dropped }, "{polls} {moment:?}");
            assert_eq!(seen, polls.min(4), "{polls} {moment:?}");
        }
    }
    let silent = std::future::pending::<()>();
    assert_eq!(
        poll_times(silent, 2, Moment::Suspended, patience()).await,
        Polled::NeverWoken { suspensions: 1 }
    );
}
