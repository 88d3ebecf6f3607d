//! The one task of a forward: it takes in clients, and sees them out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::{Incoming, RemoteListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::error::{Error, ErrorKind};
use crate::forward::after;
use crate::forward::bind::Listeners;
use crate::forward::client::{Job, serve};
use crate::forward::remote::{self, Wish};
use crate::forward::stats::{Client, Free, Room};

/// After no client could be accepted, the next attempt waits so long. Who comes is still there (`EMFILE` leaves clients in the
/// system's queue), so that asked at once it would be a busy loop; and what is short comes free by others' ends.
pub(super) const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// The forwards of a pool, as the pool sees them.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    /// By when all have to have ended, once they have to.
    ending: watch::Sender<Option<Instant>>,
    tasks: TaskTracker,
}

impl Forwards {
    /// Ends all: none listens any more, and what is open has until then.
    pub(crate) fn end(&self, by: Instant) {
        self.ending.send_modify(|ending| *ending = Some(ending.map_or(by, |earlier| earlier.min(by))));
        self.tasks.close();
    }

    /// Resolves when nothing is left of them.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ended(&self) {
        self.tasks.wait().await;
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.borrow().is_some()
    }

    /// Starts the task, which listens until the job is closing.
    pub(super) fn start(&self, listeners: Listeners, job: Job) -> Ends {
        let driver = Driver::new(self, job);
        let (ends, listens, is_there) = Ends::new();
        // Owner: the `ForwardHandle`, and the pool. Ends: when the handle is closed or dropped, or the pool is shut down, once
        // its clients have ended or their grace is over. Waited for: by `ForwardHandle::close` and `Pool::shutdown`.
        self.tasks.spawn(async move {
            driver.run(listeners, listens).await;
            drop(is_there);
        });
        ends
    }

    /// The same for what a server is to listen on.
    pub(super) fn start_at_server(&self, wish: Wish, job: Job) -> Ends {
        let driver = Driver::new(self, job);
        let (ends, listens, is_there) = Ends::new();
        // Owner: the `ForwardHandle`, and the pool. Ends: as that of `start` does, once the server was told that it need not
        // listen any more. Waited for: by `ForwardHandle::close` and `Pool::shutdown`.
        self.tasks.spawn(async move {
            driver.run_at_server(wish, listens).await;
            drop(is_there);
        });
        ends
    }
}

/// How far the end of a forward has come.
#[derive(Debug)]
pub(super) struct Ends {
    /// Cancelled when nothing listens any more; somebody may still be connected.
    pub(super) of_listening: CancellationToken,
    /// Cancelled when nothing is left.
    pub(super) of_all: CancellationToken,
}

impl Ends {
    /// With those who tell of each when they are dropped.
    fn new() -> (Self, DropGuard, DropGuard) {
        let ends = Self { of_listening: CancellationToken::new(), of_all: CancellationToken::new() };
        let (listens, is_there) = (ends.of_listening.clone().drop_guard(), ends.of_all.clone().drop_guard());
        (ends, listens, is_there)
    }
}

struct Driver {
    job: Arc<Job>,
    ending: watch::Receiver<Option<Instant>>,
    clients: JoinSet<()>,
}

impl Driver {
    fn new(of: &Forwards, job: Job) -> Self {
        Self { job: Arc::new(job), ending: of.ending.subscribe(), clients: JoinSet::new() }
    }

    async fn run(mut self, mut listeners: Listeners, listens: DropGuard) {
        let room = Room::new(self.job.limits.clients, self.job.limits.parked);
        let mut not_before = Instant::now();
        let by = loop {
            let next = async {
                tokio::time::sleep_until(not_before).await;
                let free = room.place().await;
                (listeners.accept().await, free)
            };
            tokio::select! {
                biased;
                () = self.job.closing.cancelled() => break after(self.job.limits.grace),
                by = ending(&mut self.ending) => break by,
                // A task of ours does not panic; if one did, its client would be gone all the same.
                Some(_) = self.clients.join_next(), if !self.clients.is_empty() => {}
                (accepted, free) = next => match (accepted, free) {
                    (Ok(near), Some(free)) => {
                        let client = Client::accepted(&self.job.counters, free);
                        // Owner: this task. Ends: with its client, or by the forward's `closing` and `cut`. Waited for:
                        // here, before this task ends.
                        self.clients.spawn(serve(Arc::clone(&self.job), near, client));
                    }
                    (Ok(_), None) => {}
                    (Err(error), _) => {
                        tracing::debug!(host = self.job.host.name, %error, "no client could be accepted");
                        not_before = Instant::now() + AFTER_A_FAILED_ACCEPT;
                        self.job.counters.accept_failed(Error::new(
                            ErrorKind::Listen,
                            format!("a client could not be accepted: {error}"),
                            "it goes on; allow the process more open files if it has none left (ulimit -n)",
                        ));
                    }
                },
            }
        };
        // From here on the system refuses those who come.
        drop(listeners);
        drop(listens);
        self.see_out(by).await;
    }

    async fn run_at_server(mut self, mut wish: Wish, listens: DropGuard) {
        let room = Room::new(self.job.limits.clients, self.job.limits.parked);
        let mut listener = None;
        let by = 'taking_in: loop {
            let next = {
                let mut next = pin!(async {
                    match &mut listener {
                        Some(listener) => {
                            let free = room.place().await;
                            Next::Client(RemoteListener::accept(listener).await, free)
                        }
                        None => match wish.fulfilled(&self.job).await {
                            Some(listener) => Next::Listens(listener),
                            // There is nothing to wait for but the end.
                            None => std::future::pending().await,
                        },
                    }
                });
                // What is asked of the server is not broken off by a client's end.
                loop {
                    tokio::select! {
                        biased;
                        () = self.job.closing.cancelled() => break 'taking_in after(self.job.limits.grace),
                        by = ending(&mut self.ending) => break 'taking_in by,
                        // A task of ours does not panic; if one did, its client would be gone all the same.
                        Some(_) = self.clients.join_next(), if !self.clients.is_empty() => {}
                        next = &mut next => break next,
                    }
                }
            };
            match next {
                Next::Listens(listens) => listener = Some(listens),
                Next::Client(Some(incoming), Some(free)) => {
                    let client = Client::accepted(&self.job.counters, free);
                    // Owner: this task. Ends: with its client, or by the forward's `closing` and `cut`. Waited for: here,
                    // before this task ends.
                    self.clients.spawn(remote::serve(Arc::clone(&self.job), incoming, client));
                }
                Next::Client(Some(_), None) => {}
                Next::Client(None, _) => {
                    listener = None;
                    wish.lost();
                }
            }
        };
        if let Some(listener) = listener
            && let Ok(Err(error)) = tokio::time::timeout_at(by, listener.close()).await
        {
            tracing::debug!(host = self.job.host.name, %error, "the server did not say that it listens no more");
        }
        drop(listens);
        self.see_out(by).await;
    }

    /// Nobody comes any more; those who are there have until then.
    async fn see_out(mut self, mut by: Instant) {
        self.job.closing.cancel();
        loop {
            tokio::select! {
                biased;
                left = self.clients.join_next() => if left.is_none() { break },
                Ok(()) = self.ending.changed() => by = self.ending.borrow().map_or(by, |earlier| by.min(earlier)),
                () = tokio::time::sleep_until(by) => {
                    self.job.cut.cancel();
                    while self.clients.join_next().await.is_some() {}
                    break;
                }
            }
        }
    }
}

/// What comes next of a forward whose clients come in at the server.
enum Next {
    Listens(RemoteListener),
    /// None when the connection is lost.
    Client(Option<Incoming>, Option<Free>),
}

/// By when the pool wants all ended; while it does not, nothing comes of it.
async fn ending(told: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match told.wait_for(Option::is_some).await.map(|by| *by) {
        Ok(Some(by)) => by,
        // The pool itself is gone, and its end is that of the last who uses it: this forward's, for one.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
