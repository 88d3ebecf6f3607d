//! The numbers of a forward, and the places of its clients.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// What a forward has done so far. Each client that was accepted is parked, open, ended or failed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{Target, TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins();
/// # let server = server.forward_target("echo", None, Target::echo()).start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # use rustle_pool::{Forward, ForwardBind};
/// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
/// # let pool = Pool::builder().build()?; pool.register("web-1", way);
/// # let forward = Forward::local(ForwardBind::loopback(0), ("echo", 7));
/// let echo = pool.forward("web-1", forward).await?;
/// let mut client = TcpStream::connect(echo.addresses()[0]).await?;
/// client.write_all(b"x").await?;
/// client.read_u8().await?;
/// let stats = echo.stats();
/// assert_eq!((stats.accepted, stats.parked, stats.open, stats.failed), (1, 0, 1, 0));
/// assert!(stats.last_error.is_none());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ForwardStats {
    /// Clients that were accepted.
    pub accepted: u64,
    /// Those that wait for a connection and a channel now; of a dynamic forward also those that have not said yet where
    /// they want to go.
    pub parked: usize,
    /// Those that are connected to their targets now.
    pub open: usize,
    /// Those that were, and are not any more.
    pub ended: u64,
    /// Those that never were.
    pub failed: u64,
    /// Bytes that went to the server: from clients, or from what those at the server were led to.
    pub bytes_to_server: u64,
    /// Bytes that came from the server.
    pub bytes_from_server: u64,
    /// How often no client could be accepted, as where this process has no file left for it (`EMFILE`).
    pub accept_errors: u64,
    /// How often a server was asked again to listen, after its connection was lost or it had refused.
    pub asked_again: u64,
    /// What went wrong last.
    pub last_error: Option<Error>,
}

/// The numbers, as they are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    stats: Mutex<ForwardStats>,
    pub(super) to_server: AtomicU64,
    pub(super) from_server: AtomicU64,
}

impl Counters {
    pub(super) fn stats(&self) -> ForwardStats {
        ForwardStats {
            bytes_to_server: self.to_server.load(Ordering::Relaxed),
            bytes_from_server: self.from_server.load(Ordering::Relaxed),
            ..self.lock().clone()
        }
    }

    pub(super) fn went_wrong(&self, error: Error) {
        self.lock().last_error = Some(error);
    }

    pub(super) fn accept_failed(&self, error: Error) {
        let mut stats = self.lock();
        stats.accept_errors += 1;
        stats.last_error = Some(error);
    }

    fn lock(&self) -> MutexGuard<'_, ForwardStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places for clients.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    parked: Arc<Semaphore>,
}

/// A place for one more.
pub(super) struct Free {
    all: OwnedSemaphorePermit,
    parked: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(clients: usize, parked: usize) -> Self {
        let of = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { all: of(clients), parked: of(parked) }
    }

    /// A place, once there is one; `None` never, since nobody closes the room.
    ///
    /// # Cancel safety
    /// Dropped, nothing is taken.
    pub(super) async fn place(&self) -> Option<Free> {
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        let parked = Arc::clone(&self.parked).acquire_owned().await.ok()?;
        Some(Free { all, parked })
    }
}

/// One client, from its being accepted to its end: however it is dropped, its place is free and the numbers are right.
pub(super) struct Client {
    counters: Arc<Counters>,
    /// `None` once it is open.
    parked: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Client {
    pub(super) fn accepted(counters: &Arc<Counters>, free: Free) -> Self {
        let mut stats = counters.lock();
        stats.accepted += 1;
        stats.parked += 1;
        drop(stats);
        Self { counters: Arc::clone(counters), parked: Some(free.parked), _all: free.all }
    }

    /// It is connected to its target.
    pub(super) fn opened(&mut self) {
        // Its place among the parked is free when the numbers say so.
        if let Some(_until_counted) = self.parked.take() {
            let mut stats = self.counters.lock();
            stats.parked -= 1;
            stats.open += 1;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut stats = self.counters.lock();
        if self.parked.is_some() {
            stats.parked -= 1;
            stats.failed += 1;
        } else {
            stats.open -= 1;
            stats.ended += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_is_open_leaves_a_place_for_another_to_be_parked_and_all_have_an_end() {
        let (counters, room) = (Arc::new(Counters::default()), Room::new(2, 1));
        let place = || room.place().now_or_never().flatten();
        let mut first = Client::accepted(&counters, place().unwrap());
        assert!(place().is_none(), "one is parked");
        first.opened();
        first.opened();
        let second = Client::accepted(&counters, place().unwrap());
        assert_eq!((counters.stats().parked, counters.stats().open), (1, 1));
        drop(second);
        let mut third = Client::accepted(&counters, place().unwrap());
        third.opened();
        assert!(place().is_none(), "two are there");
        drop((first, third));
        let stats = counters.stats();
        assert_eq!((stats.accepted, stats.parked, stats.open, stats.ended, stats.failed), (3, 0, 0, 2, 1));
        assert!(place().is_some());
    }
}
