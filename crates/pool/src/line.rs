//! Those who want places: what they tell the pool's task, and what they hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustle_session::{BoxFuture, ChannelUse, Error, ErrorKind, OpenedAhead, Place, Places, Session};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::policy::event::{ConnectionId, HostId, Lane, WaiterId};
use crate::registry::Known;
use crate::show::{Connection, Stats};

/// What the pool's task is told.
pub(crate) enum Message {
    /// Somebody wants a place.
    Acquire {
        waiter: WaiterId,
        host: Arc<Known>,
        lane: Lane,
        deadline: Instant,
        answer: Answer,
    },
    /// Nobody waits for it any more.
    Cancel {
        waiter: WaiterId,
    },
    /// There is a channel in the place.
    Opened {
        waiter: WaiterId,
        connection: ConnectionId,
    },
    /// Nothing is in the place any more.
    Released {
        waiter: WaiterId,
        connection: ConnectionId,
    },
    /// The server refused the channel in these words, or the connection is gone (`None`): another place is wanted.
    Again {
        waiter: WaiterId,
        connection: ConnectionId,
        refusal: Option<Error>,
        answer: Answer,
    },
    /// Nothing new begins, and what is open has until then.
    Shutdown {
        by: Instant,
        done: oneshot::Sender<()>,
    },
    /// How it stands with a host.
    Show {
        host: HostId,
        answer: oneshot::Sender<Option<Connection>>,
    },
    ShowAll {
        answer: oneshot::Sender<Vec<Connection>>,
    },
    Stats {
        answer: oneshot::Sender<Stats>,
    },
    /// Whether a host's connections are there.
    Check {
        host: HostId,
        answer: oneshot::Sender<Result<Duration, crate::Error>>,
    },
    /// What a forward asked for over it was not answered in time: whether it is gone.
    Unanswered {
        connection: ConnectionId,
        answer: oneshot::Sender<bool>,
    },
    /// A host's connections end; what is on them has until then.
    Disconnect {
        host: HostId,
        by: Instant,
        done: oneshot::Sender<()>,
    },
    RetireIdle {
        answer: oneshot::Sender<usize>,
    },
    NetworkChanged,
    /// A name means another host.
    Replaced,
}

/// Where a place goes, or the reason why there is none.
pub(crate) type Answer = oneshot::Sender<Result<Taken, Error>>;

/// The way to the pool's task, which ends when nobody has one any more. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Line {
    sender: mpsc::UnboundedSender<Message>,
    /// How many waiters there ever were.
    waiters: Arc<AtomicU64>,
}

/// The same for the task itself: it keeps nothing alive.
#[derive(Clone)]
pub(crate) struct WeakLine {
    sender: mpsc::WeakUnboundedSender<Message>,
    waiters: Arc<AtomicU64>,
}

impl WeakLine {
    /// None when nobody could use it any more.
    pub(crate) fn upgrade(&self) -> Option<Line> {
        Some(Line { sender: self.sender.upgrade()?, waiters: Arc::clone(&self.waiters) })
    }
}

impl Line {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, waiters: Arc::default() }, receiver)
    }

    pub(crate) fn downgrade(&self) -> WeakLine {
        WeakLine { sender: self.sender.downgrade(), waiters: Arc::clone(&self.waiters) }
    }

    /// A place for one channel; on [`Lane::Bare`] the connection alone.
    ///
    /// # Cancel safety
    /// Dropped, nothing is taken.
    pub(crate) async fn acquire(
        &self,
        host: &Arc<Known>,
        lane: Lane,
        patience: Duration,
    ) -> Result<Taken, Error> {
        let (waiter, deadline) = (self.next_waiter(), Instant::now() + patience);
        let (answer, answered) = oneshot::channel();
        self.send(Message::Acquire { waiter, host: Arc::clone(host), lane, deadline, answer });
        self.answered(waiter, answered).await
    }

    /// One that nobody ever was.
    pub(crate) fn next_waiter(&self) -> WaiterId {
        WaiterId(self.waiters.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks it something; `None` once the pool is gone.
    ///
    /// # Cancel safety
    /// Dropped, it is done all the same, and nobody hears of it.
    pub(crate) async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.send(message(answer));
        answered.await.ok()
    }

    /// Tells it; once the pool is gone nobody listens, and nothing is left to be told.
    pub(crate) fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    async fn answered(
        &self,
        waiter: WaiterId,
        answered: oneshot::Receiver<Result<Taken, Error>>,
    ) -> Result<Taken, Error> {
        /// Whoever is dropped while it waits has no turn any more. A place that is under way to it comes back by itself.
        struct Waiting<'a>(&'a Line, Option<WaiterId>);

        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                if let Some(waiter) = self.1.take() {
                    self.0.send(Message::Cancel { waiter });
                }
            }
        }

        let mut waiting = Waiting(self, Some(waiter));
        let answer = answered.await;
        waiting.1 = None;
        answer.unwrap_or_else(|_gone| Err(shut_down()))
    }
}

/// A place on a connection. Dropped, it is given back.
pub(crate) struct Taken {
    line: WeakLine,
    /// Keeps the pool, unless nobody waits for the channel any more.
    keeps: Option<Line>,
    waiter: WaiterId,
    connection: ConnectionId,
    lane: Lane,
    session: Session,
    ahead: Option<OpenedAhead>,
    /// Whether it is given back by the one who wants another.
    is_given_back: bool,
}

impl Taken {
    pub(crate) fn new(
        line: Line,
        waiter: WaiterId,
        connection: ConnectionId,
        lane: Lane,
        session: Session,
        ahead: Option<OpenedAhead>,
    ) -> Self {
        // Nothing is taken where no channel is wanted.
        let (line, keeps) = (line.downgrade(), Some(line));
        Self { line, keeps, waiter, connection, lane, session, ahead, is_given_back: lane == Lane::Bare }
    }
}

impl Taken {
    /// Where it is.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Nobody uses it, and nobody has to hear of that.
    pub(crate) fn forget(mut self) {
        self.is_given_back = true;
    }

    /// Tells the pool, if it is there.
    fn send(&self, message: Message) {
        if let Some(line) = self.line.upgrade() {
            line.send(message);
        }
    }
}

impl Place for Taken {
    fn session(&self) -> &Session {
        &self.session
    }

    fn opened_ahead(&mut self) -> Option<OpenedAhead> {
        self.ahead.take()
    }

    fn opened(&mut self) {
        self.send(Message::Opened { waiter: self.waiter, connection: self.connection });
    }

    /// A server that never answers keeps no pool.
    fn given_up(&mut self) {
        self.keeps = None;
    }

    fn another(mut self: Box<Self>, error: Error) -> BoxFuture<'static, Result<Box<dyn Place>, Error>> {
        Box::pin(async move {
            let refusal = match error.kind() {
                ErrorKind::Disconnected => None,
                // A forward that is refused would be refused on another connection too.
                _ if self.lane == Lane::Stream => return Err(error),
                _ => Some(error.clone()),
            };
            let (waiter, connection) = (self.waiter, self.connection);
            let Some(line) = self.keeps.take() else { return Err(error) };
            self.is_given_back = true;
            let (answer, answered) = oneshot::channel();
            line.send(Message::Again { waiter, connection, refusal, answer });
            let another = line.answered(waiter, answered).await?;
            Ok(Box::new(another) as Box<dyn Place>)
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.send(Message::Released { waiter: self.waiter, connection: self.connection });
        }
    }
}

/// Where the channels of a host are opened.
pub(crate) struct OfHost {
    pub(crate) line: Line,
    pub(crate) host: Arc<Known>,
    /// How long each may wait for a place.
    pub(crate) patience: Duration,
}

impl Places for OfHost {
    fn take(&self, purpose: ChannelUse) -> BoxFuture<'_, Result<Box<dyn Place>, Error>> {
        let lane = match purpose {
            ChannelUse::Collected => Lane::Shared,
            ChannelUse::Forward => Lane::Stream,
            // What is not known may stall.
            _ => Lane::Isolated,
        };
        Box::pin(async move {
            let taken = self.line.acquire(&self.host, lane, self.patience).await?;
            Ok(Box::new(taken) as Box<dyn Place>)
        })
    }
}

pub(crate) fn shut_down() -> Error {
    Error::no_more_places("the pool is shut down", "nothing new begins on it: make another pool")
}
