//! What a session gives out and takes care of when it is dropped: channels, their ends of input, and channels that are
//! still being opened.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::BoxFuture;
use crate::base::{Channel, NotOpened, Open};
use crate::driver::{Task, Tasks};
use crate::ending::Ending;
use crate::error::Result;
use crate::session::{Place, Session};

/// An open channel and how to end it; dropped, it hands the ending to the connection's task. Its place is free when
/// either side has closed it, whoever still reads what came before.
pub(crate) struct Lease {
    channel: Arc<Channel>,
    ending: Ending,
    session: Session,
    place: Option<Arc<Slot>>,
    span: tracing::Span,
    since: Instant,
}

impl Lease {
    pub(super) fn new(
        session: Session,
        channel: Channel,
        ending: Ending,
        place: Option<Box<dyn Place>>,
        span: tracing::Span,
    ) -> Self {
        let channel = Arc::new(channel);
        let mut lease = Self { channel, ending, session, place: None, span, since: Instant::now() };
        if let Some(place) = place {
            lease.set_place(place);
        }
        lease
    }

    /// That of the connection that the channel is on.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    pub(crate) fn set_ending(&mut self, ending: Ending) {
        self.ending = ending;
    }

    pub(super) fn set_place(&mut self, place: Box<dyn Place>) {
        let slot = Arc::new(Slot(Mutex::new(Some(place))));
        self.place = Some(Arc::clone(&slot));
        self.channel.intake().when_closed(Box::new(move || drop(slot.take())));
    }
}

/// A place, until it is free. The channel's account has it too: it is taken out when the lease goes, since it may hold the
/// connection that holds the account.
struct Slot(Mutex<Option<Box<dyn Place>>>);

impl Slot {
    fn take(&self) -> Option<Box<dyn Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        tracing::debug!(open_ms = self.since.elapsed().as_millis(), "channel released");
        let place = self.place.take().and_then(|slot| slot.take());
        if self.channel.intake().end_seen().is_none() {
            let channel = Arc::clone(&self.channel);
            self.session.inner.tasks.send(Task::End(channel, self.ending.clone(), place));
        }
    }
}

/// Sends the end of input when a writer is dropped without having done so.
pub(crate) struct EofOnDrop {
    channel: Option<Arc<Channel>>,
    tasks: Tasks,
}

impl EofOnDrop {
    pub(super) fn new(channel: &Arc<Channel>, tasks: Tasks) -> Self {
        Self { channel: Some(Arc::clone(channel)), tasks }
    }

    /// It was sent already.
    pub(crate) fn sent(mut self) {
        self.channel = None;
    }
}

impl Drop for EofOnDrop {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.tasks.send(Task::Eof(channel));
        }
    }
}

/// A channel open that nobody may forget: dropped before its end, the driver takes it over.
pub(crate) struct OpenInBackground {
    open: Open,
    place: Option<Box<dyn Place>>,
    future: Option<BoxFuture<'static, Result<Channel, NotOpened>>>,
    tasks: Tasks,
}

impl OpenInBackground {
    pub(crate) fn new(
        open: Open,
        place: Option<Box<dyn Place>>,
        opening: BoxFuture<'static, Result<Channel, NotOpened>>,
        tasks: Tasks,
    ) -> Self {
        Self { open, place, future: Some(opening), tasks }
    }
}

impl Future for OpenInBackground {
    type Output = (Result<Channel, NotOpened>, Option<Box<dyn Place>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let opened = match &mut self.future {
            Some(future) => ready!(future.as_mut().poll(cx)),
            None => Err(NotOpened::Gone),
        };
        self.future = None;
        Poll::Ready((opened, self.place.take()))
    }
}

impl Drop for OpenInBackground {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            let mut place = self.place.take();
            if let Some(place) = &mut place {
                place.given_up();
            }
            self.tasks.send(Task::AbandonedOpen(self.open.clone(), future, place));
        }
    }
}
