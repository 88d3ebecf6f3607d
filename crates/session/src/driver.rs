//! The one task of a connection beside the base's own: it ends what was dropped, changes keys and says goodbye.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::BoxFuture;
use crate::base::{Channel, Connection, NotOpened};
use crate::ending::{Ending, Orphans};

/// How long a connection whose last handle was dropped may take to end its processes and say goodbye.
pub(crate) const GRACE_OF_DROP: Duration = Duration::from_secs(3);

/// How long the goodbye itself may take to reach the peer.
const GOODBYE: Duration = Duration::from_secs(1);

/// Work that outlives the future or handle that began it.
pub(crate) enum Task {
    /// An open nobody waits for any more: what it opens is closed.
    AbandonedOpen(BoxFuture<'static, Result<Channel, NotOpened>>),
    /// A channel nobody holds any more: its process is ended, then the channel.
    End(Arc<Channel>, Ending),
    /// A writer nobody holds any more: its input ends.
    Eof(Arc<Channel>),
    /// Ends the connection within this time.
    Close(Duration),
}

/// Where a connection's left-over work goes; it may be sent from `Drop`.
#[derive(Clone)]
pub(crate) struct Tasks {
    sender: mpsc::UnboundedSender<Task>,
    pending: watch::Receiver<usize>,
}

impl Tasks {
    /// Hands work over; once the connection is gone there is nothing left to do.
    pub(crate) fn send(&self, task: Task) {
        let _ = self.sender.send(task);
    }

    /// How many dropped channels are still being ended.
    pub(crate) fn pending(&self) -> usize {
        *self.pending.borrow()
    }

    /// Resolves when at most `most` dropped channels are still being ended, or the connection is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn pending_at_most(&self, most: usize) {
        let mut pending = self.pending.clone();
        let _ = pending.wait_for(|count| *count <= most).await;
    }
}

/// Starts the connection's task.
pub(crate) fn start(connection: Arc<Connection>, round_trip: Duration) -> Tasks {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (count, pending) = watch::channel(0);
    let orphans = Orphans::new(Arc::clone(&connection), round_trip);
    // Owner: the connection; the sessions, channels and children on it hold the other end. Ends: when the
    // connection is gone, at the latest `GRACE_OF_DROP` and `GOODBYE` after the last of them was dropped. Waited for: by
    // `Session::close`, through the connection being gone.
    tokio::spawn(drive(connection, orphans, receiver, count, round_trip));
    Tasks { sender, pending }
}

async fn drive(
    connection: Arc<Connection>,
    orphans: Orphans,
    mut tasks: mpsc::UnboundedReceiver<Task>,
    count: watch::Sender<usize>,
    round_trip: Duration,
) {
    let mut work = FuturesUnordered::<BoxFuture<'static, ()>>::new();
    let mut close_by = None;
    let mut handles_gone = false;
    loop {
        if close_by.is_some() && work.is_empty() {
            break;
        }
        tokio::select! {
            () = connection.gone() => return,
            () = sleep_until(close_by) => break,
            Some(()) = work.next(), if !work.is_empty() => {}
            () = connection.keys_worn() => {
                let connection = Arc::clone(&connection);
                work.push(Box::pin(async move {
                    // A connection that went away needs no new keys.
                    let _ = connection.rekey(round_trip).await;
                }));
            }
            task = tasks.recv(), if !handles_gone => {
                // Said once: asked again, an empty queue that nobody can fill answers at once and for ever.
                handles_gone = task.is_none();
                let task = task.unwrap_or(Task::Close(GRACE_OF_DROP));
                match task {
                    Task::Close(grace) => {
                        let by = Instant::now() + grace;
                        close_by = Some(close_by.map_or(by, |earlier: Instant| earlier.min(by)));
                    }
                    Task::AbandonedOpen(open) => work.push(Box::pin(async move {
                        if let Ok(channel) = open.await {
                            let _ = channel.close().await;
                        }
                    })),
                    Task::Eof(channel) => work.push(Box::pin(async move {
                        let _ = channel.eof().await;
                    })),
                    Task::End(channel, ending) => {
                        let orphans = orphans.clone();
                        count.send_modify(|count| *count += 1);
                        let count = count.clone();
                        work.push(Box::pin(async move {
                            orphans.end(&channel, &ending).await;
                            count.send_modify(|count| *count = count.saturating_sub(1));
                        }));
                    }
                }
            }
        }
    }
    let said = async {
        connection.disconnect().await;
        connection.gone().await;
    };
    if tokio::time::timeout(GOODBYE, said).await.is_err() {
        connection.cut();
        connection.gone().await;
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
