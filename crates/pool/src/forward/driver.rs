//! The one task of a forward: it takes in clients, and sees them out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::RemoteListener;
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
use crate::forward::stats::{Client, Room};

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
        // Owner: the `ForwardHandle`, and the pool. Ends: as that of `start` does, once the server has answered what it was asked
        // and was told that it need not listen any more, or the grace is over. Waited for: by `ForwardHandle::close` and
        // `Pool::shutdown`.
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
        let job = Arc::clone(&self.job);
        let (by, listener) = loop {
            let mut listener = {
                let mut asking = pin!(wish.fulfilled(&job));
                match self.before_the_end(&mut asking).await {
                    Ok(Some(listener)) => listener,
                    Ok(None) => break (after(job.limits.grace), None),
                    Err(by) => {
                        // A question that is out may be granted yet: where it is, that is taken back before anybody hears that
                        // nothing listens any more. None is asked from here on.
                        job.closing.cancel();
                        break (by, tokio::time::timeout_at(by, asking).await.ok().flatten());
                    }
                }
            };
            match self.let_in(&mut listener, &room).await {
                Some(by) => break (by, Some(listener)),
                None => wish.lost(),
            }
        };
        if let Some(listener) = listener
            && let Ok(Err(error)) = tokio::time::timeout_at(by, listener.close()).await
        {
            tracing::debug!(host = self.job.host.name, %error, "the server did not say that it listens no more");
        }
        wish.given_up();
        drop(listens);
        self.see_out(by).await;
    }

    /// Takes in who comes at the server: by when all has to have ended, once it has to, or `None` when the connection is lost.
    async fn let_in(&mut self, listener: &mut RemoteListener, room: &Room) -> Option<Instant> {
        loop {
            let mut accepting = pin!(async {
                let free = room.place().await;
                (listener.accept().await, free)
            });
            match self.before_the_end(&mut accepting).await {
                Ok((Some(incoming), Some(free))) => {
                    let client = Client::accepted(&self.job.counters, free);
                    // Owner: this task. Ends: with its client, or by the forward's `closing` and `cut`. Waited for: here,
                    // before this task ends.
                    self.clients.spawn(remote::serve(Arc::clone(&self.job), incoming, client));
                }
                Ok((Some(_), None)) => {}
                Ok((None, _)) => return None,
                Err(by) => return Some(by),
            }
        }
    }

    /// What comes of this, which no client's end breaks off; or by when all has to have ended, if that is known first. It may be
    /// gone on with then.
    async fn before_the_end<T>(
        &mut self,
        work: &mut (impl Future<Output = T> + Unpin),
    ) -> Result<T, Instant> {
        loop {
            tokio::select! {
                biased;
                () = self.job.closing.cancelled() => return Err(after(self.job.limits.grace)),
                by = ending(&mut self.ending) => return Err(by),
                // A task of ours does not panic; if one did, its client would be gone all the same.
                Some(_) = self.clients.join_next(), if !self.clients.is_empty() => {}
                done = &mut *work => return Ok(done),
            }
        }
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

/// By when the pool wants all ended; while it does not, nothing comes of it.
async fn ending(told: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match told.wait_for(Option::is_some).await.map(|by| *by) {
        Ok(Some(by)) => by,
        // The pool itself is gone, and its end is that of the last who uses it: this forward's, for one.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
