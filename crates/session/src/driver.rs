//! The one task of a connection beside the base's own: it ends what was dropped, changes keys and says goodbye.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::BoxFuture;
use crate::base::{Channel, Connection, NotOpened, Open};
use crate::connect::route::Below;
use crate::ending::{Ending, Orphans};
use crate::host_trust::{AnnouncedKeys, HostKeyOffer, HostTrust};
use crate::session::Place;

/// How long a connection whose last handle was dropped may take to end its processes and say goodbye.
pub(crate) const GRACE_OF_DROP: Duration = Duration::from_secs(3);

/// How long the goodbye itself may take to reach the peer.
const GOODBYE: Duration = Duration::from_secs(1);

/// After so long, which is what a request may take unless something else is set, a server that has not answered an open is
/// taken for one that never will: nobody waits for the place any more.
const UNANSWERED: Duration = Duration::from_secs(30);

/// Work that outlives the future or handle that began it.
pub(crate) enum Task {
    /// An open nobody waits for any more: what it opens is closed, and its place is free. Its place is free after
    /// [`UNANSWERED`], too.
    AbandonedOpen(Open, BoxFuture<'static, Result<Channel, NotOpened>>, Option<Box<dyn Place>>),
    /// A channel nobody holds any more: its process is ended, then the channel, and its place is free.
    End(Arc<Channel>, Ending, Option<Box<dyn Place>>),
    /// A writer nobody holds any more: its input ends.
    Eof(Arc<Channel>),
    /// Work with the server that lasts as long as the connection, at the most, and has no part in its end.
    Serve(BoxFuture<'static, ()>),
    /// Ends the connection within this time.
    Close(Duration),
}

/// Where a connection's left-over work goes; it may be sent from `Drop`.
#[derive(Clone)]
pub(crate) struct Tasks {
    sender: mpsc::UnboundedSender<Work>,
    slots: Arc<watch::Sender<Slots>>,
}

/// Boxed: the queue has room for 32 of them from its beginning, and on most connections there is never one.
type Work = Box<(Task, Option<Leaving>)>;

/// Places at the server that are about to come free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slots {
    /// Of dropped channels whose processes may have to be ended from a channel beside them, which takes one place more.
    kills: usize,
    /// Of other dropped channels.
    endings: usize,
    /// Of sessions that nobody waits for any more, and that may be open already.
    opens: usize,
}

/// A place counts as leaving from the moment its work is handed over: a task that is slow to take it up must not look
/// like one that has nothing to do. It no longer counts when the work is done, or given up with the connection.
struct Leaving {
    slots: Arc<watch::Sender<Slots>>,
    kind: Kind,
}

/// What a place that is about to come free is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Ending,
    Open,
}

impl Kind {
    /// That of an ending; a forward has no session's place.
    fn of(ending: &Ending) -> Option<Self> {
        match ending {
            Ending::Process(Some(_)) => Some(Self::Kill),
            Ending::Process(None) | Ending::HangUp | Ending::EndOfInput | Ending::Close => Some(Self::Ending),
            Ending::Ended => None,
        }
    }
}

impl Slots {
    fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Kill => &mut self.kills,
            Kind::Ending => &mut self.endings,
            Kind::Open => &mut self.opens,
        }
    }
}

impl Leaving {
    fn new(slots: &Arc<watch::Sender<Slots>>, kind: Kind) -> Self {
        slots.send_modify(|slots| *slots.count(kind) += 1);
        Self { slots: Arc::clone(slots), kind }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.slots.send_modify(|slots| {
            let count = slots.count(self.kind);
            *count = count.saturating_sub(1);
        });
    }
}

impl Tasks {
    fn new() -> (Self, mpsc::UnboundedReceiver<Work>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, slots: Arc::default() }, receiver)
    }

    /// Hands work over; once the connection is gone there is nothing left to do.
    pub(crate) fn send(&self, task: Task) {
        let kind = match &task {
            Task::End(_, ending, _) => Kind::of(ending),
            Task::AbandonedOpen(Open::Session, ..) => Some(Kind::Open),
            // A forward takes no session's place, and may wait for its target for long.
            Task::AbandonedOpen(..) | Task::Eof(_) | Task::Serve(_) | Task::Close(_) => None,
        };
        let leaving = kind.map(|kind| Leaving::new(&self.slots, kind));
        let _ = self.sender.send(Box::new((task, leaving)));
    }

    /// Whether places of channels that were dropped are still to come free.
    pub(crate) fn frees_places(&self) -> bool {
        *self.slots.borrow() != Slots::default()
    }

    /// Resolves when at most `most` dropped channels are still being ended that may need a place more for that, or the
    /// connection is gone. Whether the server closes any other channel is nothing to wait for.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn kills_at_most(&self, most: usize) {
        let mut slots = self.slots.subscribe();
        let _ = slots.wait_for(|slots| slots.kills <= most).await;
    }
}

/// Who hears which keys the host announces, and what the host had shown.
pub(crate) struct Listener {
    pub(crate) trust: Arc<dyn HostTrust>,
    pub(crate) host_key: HostKeyOffer,
    /// The time a person has for a question.
    pub(crate) person: Duration,
}

/// Starts the connection's task. It lets go of what is below the connection when that is gone, however it ended.
pub(crate) fn start(
    connection: Arc<Connection>,
    below: Option<Below>,
    listener: Option<Listener>,
) -> (Tasks, Orphans) {
    let (tasks, mut receiver) = Tasks::new();
    let orphans = Orphans::new(Arc::clone(&connection), tasks.clone());
    let ends_dropped = orphans.clone();
    // Owner: the connection; the sessions, channels and children on it hold the other end, and it holds one itself. Ends: when
    // the connection is gone, at the latest `GRACE_OF_DROP` and `GOODBYE` after the last session was dropped, which says so.
    // Waited for: by `Session::close`, through the connection being gone.
    tokio::spawn(async move {
        drive(connection, ends_dropped, &mut receiver, listener).await;
        end_queue(receiver);
        if let Some(below) = below {
            below.let_go();
        }
    });
    (tasks, orphans)
}

/// Takes nothing more. Handles of a connection that is gone keep the queue's other end, and with it whoever would be woken by
/// it: that is nobody from here on, and not a task that has ended, with its memory.
fn end_queue<T>(mut queue: mpsc::UnboundedReceiver<T>) {
    // Whatever the task has done in this turn already: a queue that puts off the question keeps whoever asked before.
    drop(tokio::task::coop::unconstrained(queue.recv()).now_or_never());
}

async fn drive(
    connection: Arc<Connection>,
    orphans: Orphans,
    tasks: &mut mpsc::UnboundedReceiver<Work>,
    mut listener: Option<Listener>,
) {
    let mut work = FuturesUnordered::<BoxFuture<'static, ()>>::new();
    // Nobody waits for these, so that they do not hold up the end.
    let mut services = FuturesUnordered::<BoxFuture<'static, ()>>::new();
    let mut close_by = None;
    let closing = CancellationToken::new();
    loop {
        if close_by.is_some() && work.is_empty() {
            break;
        }
        tokio::select! {
            () = connection.gone() => return,
            () = sleep_until(close_by) => break,
            Some(()) = work.next(), if !work.is_empty() => {}
            Some(()) = services.next(), if !services.is_empty() => {}
            () = connection.keys_worn() => {
                let connection = Arc::clone(&connection);
                work.push(Box::pin(async move {
                    // A connection that went away needs no new keys.
                    let _ = connection.rekey().await;
                }));
            }
            keys = connection.host_keys_announced(), if listener.is_some() && close_by.is_none() => {
                // Heard once.
                let Some(Listener { trust, host_key, person }) = listener.take() else { continue };
                let keys = AnnouncedKeys::new(keys, Arc::clone(&connection), closing.clone(), person);
                work.push(Box::pin(async move { trust.announced(&host_key, &keys).await }));
            }
            // It has no end, since what is ended here hands over what it leaves; the last handle says that it goes.
            Some(told) = tasks.recv() => {
                let (task, leaving) = *told;
                match task {
                    Task::Close(grace) => {
                        closing.cancel();
                        let by = Instant::now() + grace;
                        close_by = Some(close_by.map_or(by, |earlier: Instant| earlier.min(by)));
                    }
                    // Nothing runs on what it opens.
                    Task::AbandonedOpen(_, mut open, place) => services.push(Box::pin(async move {
                        let mut until_done = Some((leaving, place));
                        let opened = match tokio::time::timeout(UNANSWERED, &mut open).await {
                            Ok(opened) => opened,
                            Err(_) => {
                                until_done = None;
                                open.await
                            }
                        };
                        if let Ok(channel) = opened {
                            let _ = channel.close().await;
                        }
                        drop(until_done);
                    })),
                    Task::Serve(service) => services.push(service),
                    Task::Eof(channel) => work.push(Box::pin(async move {
                        let _ = channel.eof().await;
                    })),
                    Task::End(channel, ending, place) => {
                        let orphans = orphans.clone();
                        work.push(Box::pin(async move {
                            let _until_done = (leaving, place);
                            orphans.end(&channel, &ending).await;
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

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;
    use crate::apart::counted;
    use crate::ending::ProcessGroup;

    #[test]
    fn a_queue_that_has_ended_keeps_nobody_who_read_from_it() {
        for is_woken in [false, true] {
            let (sender, mut queue) = mpsc::unbounded_channel();
            let (task, waker) = counted::waker();
            assert!(queue.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            assert!(task.is_kept());
            if is_woken {
                sender.send(()).unwrap();
            }
            end_queue(queue);
            assert!(!task.is_kept());
            assert!(sender.is_closed());
        }
    }

    fn abandoned() -> Task {
        Task::AbandonedOpen(Open::Session, Box::pin(std::future::pending()), None)
    }

    #[test]
    fn a_place_is_leaving_before_its_work_is_taken_up_and_no_more_once_it_is_given_up() {
        let (tasks, mut receiver) = Tasks::new();
        assert!(!tasks.frees_places());
        tasks.send(abandoned());
        tasks.send(abandoned());
        assert_eq!(tasks.slots.borrow().opens, 2, "nobody has looked at the queue yet");
        let (work, leaving) = *receiver.try_recv().unwrap();
        drop(work);
        assert_eq!(tasks.slots.borrow().opens, 2, "taken up is not done");
        drop(leaving);
        assert_eq!(tasks.slots.borrow().opens, 1);
        drop(receiver);
        assert!(!tasks.frees_places(), "what nobody will do is not waited for");
        tasks.send(abandoned());
        assert!(!tasks.frees_places(), "nor what comes after the end");
    }

    #[test]
    fn a_forward_takes_no_place_of_a_session() {
        let (tasks, _receiver) = Tasks::new();
        let forward = Open::DirectTcpip { host: "db".to_owned(), port: 5432 };
        tasks.send(Task::AbandonedOpen(forward, Box::pin(std::future::pending()), None));
        assert!(!tasks.frees_places());
    }

    #[tokio::test]
    async fn opening_waits_for_those_that_need_a_place_and_for_nothing_that_the_server_may_never_say() {
        let (tasks, receiver) = Tasks::new();
        tasks.send(abandoned());
        tasks.kills_at_most(0).await;
        for ending in [Ending::Process(None), Ending::HangUp, Ending::EndOfInput, Ending::Close] {
            let leaving = Leaving::new(&tasks.slots, Kind::of(&ending).unwrap());
            assert_eq!(tasks.slots.borrow().endings, 1, "a refusal may be over when it is gone");
            tasks.kills_at_most(0).await;
            drop(leaving);
        }
        assert_eq!(Kind::of(&Ending::Ended), None, "a forward has no session's place");
        let group = Arc::new(ProcessGroup::new().unwrap());
        let leaving = Leaving::new(&tasks.slots, Kind::of(&Ending::Process(Some(group))).unwrap());
        assert!(futures_util::poll!(std::pin::pin!(tasks.kills_at_most(0))).is_pending());
        drop(leaving);
        tasks.kills_at_most(0).await;
        drop(receiver);
    }
}
