//! Futures that are woken by way of something small.
//!
//! Whoever keeps a waker keeps the task that it wakes, and all the memory of that task, also when the task has ended. The base
//! keeps such for as long as a connection is there: of questions that the server never answered, say. Of a future from
//! [`apart`] it keeps a few bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The same future, of which nothing is left once it has ended or was dropped, whoever was to wake it.
pub(crate) fn apart<F: Future>(future: F) -> Apart<F> {
    Apart { future: Box::pin(future), relay: Arc::default() }
}

/// See [`apart`].
#[must_use]
pub(crate) struct Apart<F> {
    future: Pin<Box<F>>,
    relay: Arc<Relay>,
}

/// Wakes the task that polled last, as long as it waits.
#[derive(Default)]
struct Relay(Mutex<Option<Waker>>);

impl Relay {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It comes again, and says so then.
        let task = self.task().take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F: Future> Future for Apart<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let task = cx.waker().clone();
        let before = self.relay.task().replace(task);
        // Not under the lock: it may be the last of its task.
        drop(before);
        let waker = Waker::from(Arc::clone(&self.relay));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl<F> Drop for Apart<F> {
    fn drop(&mut self) {
        let task = self.relay.task().take();
        drop(task);
    }
}

/// A waker that counts, for whoever wants to know how often it was woken, and who has it still.
#[cfg(test)]
pub(crate) mod counted {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// As often as it was woken.
    #[derive(Default)]
    pub(crate) struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        pub(crate) fn wakes(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }

        /// Whether anybody has the waker.
        pub(crate) fn is_kept(self: &Arc<Self>) -> bool {
            Arc::strong_count(self) > 1
        }
    }

    pub(crate) fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn whoever_still_would_wake_it_keeps_nothing_of_its_task() {
        for is_ended in [true, false] {
            let kept = Mutex::new(Vec::new());
            let wake = || kept.lock().unwrap().iter().for_each(Waker::wake_by_ref);
            let mut polls = 0;
            let mut future = apart(poll_fn(|cx| {
                kept.lock().unwrap().push(cx.waker().clone());
                polls += 1;
                if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
            }));
            let (task, waker) = counted::waker();
            let mut cx = Context::from_waker(&waker);
            for wakes in [1, 2] {
                assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
                assert_eq!(task.wakes(), wakes - 1);
                wake();
                assert_eq!(task.wakes(), wakes, "once for each time that it waits");
            }
            if is_ended {
                assert!(Pin::new(&mut future).poll(&mut cx).is_ready());
            }
            drop(future);
            drop(waker);
            assert!(!task.is_kept());
            wake();
            assert_eq!(task.wakes(), 2);
        }
    }
}
