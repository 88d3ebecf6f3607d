//! The requests of an SFTP channel that are unanswered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustle_sftp_proto::{Answered, Framer, Handle, Request, Requests, Segments};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::engine::{Failure, Waiter};
use crate::error::ErrorKind;

/// The requests that are unanswered, between the half that sends and the half that receives.
pub(super) struct Table {
    requests: Mutex<Requests<Wanted>>,
    /// Handles that were opened for nobody, to be closed.
    strays: Mutex<VecDeque<Handle>>,
    pub(super) stray: Notify,
    asked: Notify,
    /// Nothing is unanswered.
    pub(super) settled: Notify,
    /// Who is told so.
    settling: Mutex<Vec<oneshot::Sender<()>>>,
    heard: Mutex<Instant>,
}

/// Who an answer is for.
pub(super) enum Wanted {
    By(Waiter),
    Limits,
    Nobody,
}

impl Table {
    pub(super) fn new(framer: &Framer) -> Self {
        Self {
            requests: Mutex::new(Requests::new(framer.limits().clone())),
            strays: Mutex::default(),
            stray: Notify::new(),
            asked: Notify::new(),
            settled: Notify::new(),
            settling: Mutex::default(),
            heard: Mutex::new(Instant::now()),
        }
    }

    /// Encodes a request behind `out`; what is returned goes next. `None`, and the waiter told, where it cannot be.
    pub(super) fn begin(&self, request: &Request, wanted: Wanted, out: &mut BytesMut) -> Option<Bytes> {
        let mut requests = lock(&self.requests);
        if requests.outstanding() == 0 {
            *lock(&self.heard) = Instant::now();
            self.asked.notify_one();
        }
        match requests.begin_into(request, wanted, out) {
            Ok(payload) => Some(payload),
            Err((error, wanted)) => {
                if let Wanted::By(waiter) = wanted {
                    let _ = waiter.tell(Err(Failure::new(ErrorKind::InvalidArgument, error.to_string())));
                }
                None
            }
        }
    }

    /// Whom a packet of the server answers, and with what.
    pub(super) fn answer(&self, packet: Segments) -> Result<Answered<Wanted>, rustle_sftp_proto::Error> {
        lock(&self.requests).answer(packet)
    }

    /// Something came from the server.
    pub(super) fn hear(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// Resolves when requests have been unanswered for so long that nothing was heard.
    pub(super) async fn silence(&self, patience: Duration) {
        loop {
            while lock(&self.requests).outstanding() == 0 {
                self.asked.notified().await;
            }
            // Longer than a clock can say is for ever.
            let Some(until) = lock(&self.heard).checked_add(patience) else {
                return std::future::pending().await;
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    pub(super) fn give_up(&self) -> Vec<Waiter> {
        let mut requests = lock(&self.requests);
        let wanted = requests.abandon_all();
        wanted
            .filter_map(|wanted| if let Wanted::By(waiter) = wanted { Some(waiter) } else { None })
            .collect()
    }

    pub(super) fn close_stray(&self, handle: Handle) {
        lock(&self.strays).push_back(handle);
        self.stray.notify_one();
    }

    pub(super) fn is_settled(&self) -> bool {
        lock(&self.requests).outstanding() == 0
    }

    /// Somebody is to be told when nothing is unanswered.
    pub(super) fn tell_when_settled(&self, waiter: oneshot::Sender<()>) {
        lock(&self.settling).push(waiter);
    }

    /// Tells those who wait for it, if nothing is unanswered and nothing is left to be closed.
    pub(super) fn tell_if_settled(&self) {
        if self.is_settled() && lock(&self.strays).is_empty() {
            for waiter in lock(&self.settling).drain(..) {
                let _ = waiter.send(());
            }
        }
    }

    pub(super) fn strays(&self) -> Vec<Request> {
        lock(&self.strays).drain(..).map(|handle| Request::Close { handle }).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
