//! Who waits for what on a channel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::Stream;

/// What a waiter of a channel waits for, or what a message changes: a set of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct News(u8);

impl News {
    pub(super) const NONE: Self = Self(0);
    pub(super) const OUT: Self = Self(1);
    pub(super) const ERR: Self = Self(2);
    pub(super) const REPLY: Self = Self(4);
    pub(super) const EXIT: Self = Self(8);
    pub(super) const END: Self = Self(16);
    pub(super) const ALL: Self = Self(31);

    pub(super) fn of(stream: Stream) -> Self {
        match stream {
            Stream::Out => Self::OUT,
            Stream::Err => Self::ERR,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn concerns(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The waiters of a channel. The base wakes all of them; whoever comes first then sorts its queue, and wakes those
/// again who came before it and for whom it found something.
#[derive(Default)]
pub(super) struct Wakers(Mutex<Vec<(News, Waker)>>);

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell(News::ALL);
    }
}

impl Wakers {
    pub(super) fn register(&self, wanted: News, waker: &Waker) {
        let mut waiters = self.waiters();
        match waiters.iter_mut().find(|(_, known)| known.will_wake(waker)) {
            Some((wants, _)) => *wants = wants.and(wanted),
            None => waiters.push((wanted, waker.clone())),
        }
    }

    /// Wakes those who wait for any of it.
    pub(super) fn tell(&self, news: News) {
        let woken: Vec<_> = self.waiters().extract_if(.., |(wanted, _)| wanted.concerns(news)).collect();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn waiters(&self) -> MutexGuard<'_, Vec<(News, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apart::counted;

    #[test]
    fn only_those_are_woken_whom_it_concerns_and_once() {
        let wakers = Wakers::default();
        let ((reader, reads), (other, waits)) = (counted::waker(), counted::waker());
        wakers.register(News::OUT, &reads);
        wakers.register(News::EXIT, &waits);
        wakers.tell(News::OUT.and(News::ERR));
        wakers.tell(News::OUT);
        assert_eq!((reader.wakes(), other.wakes()), (1, 0));
        wakers.tell(News::ALL);
        assert_eq!((reader.wakes(), other.wakes()), (1, 1));
    }

    #[test]
    fn a_task_that_waits_for_several_things_is_woken_for_each_of_them() {
        for news in [News::OUT, News::EXIT] {
            let wakers = Wakers::default();
            let (count, waker) = counted::waker();
            wakers.register(News::OUT, &waker);
            wakers.register(News::EXIT, &waker);
            wakers.tell(news);
            wakers.tell(news);
            assert_eq!(count.wakes(), 1);
        }
    }
}
