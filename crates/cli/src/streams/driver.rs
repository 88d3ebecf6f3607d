//! A thread that writes where a reader may stop reading, and the account of what waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::Notify;

/// Packets that are written together at most: 1 MiB of the largest that servers send.
const AT_ONCE: usize = 32;

/// What a packet costs beside its bytes while it waits.
const EACH: usize = 64;

/// Where a [`Writer`] writes.
pub(crate) trait Sink: Send + 'static {
    type Packet: Send + 'static;

    /// The bytes that a packet holds.
    fn len(packet: &Self::Packet) -> usize;

    /// Writes all packets, however long that takes. After an error, what can no longer be written is let go.
    ///
    /// # Errors
    /// What writing gave, of which the first is told.
    fn write(&mut self, packets: &mut VecDeque<Self::Packet>) -> io::Result<()>;
}

/// A thread that writes. Handing something over never waits; whoever hands over without an end asks [`is_behind`] and
/// waits for [`room`], which bounds the memory.
///
/// [`is_behind`]: Self::is_behind
/// [`room`]: Self::room
pub(crate) struct Writer<S: Sink> {
    queue: mpsc::Sender<S::Packet>,
    account: Arc<Account>,
    limit: u64,
}

impl<S: Sink> Writer<S> {
    /// One that is behind when more bytes than this wait to be written.
    pub(crate) fn start(mut sink: S, limit: usize) -> Self {
        let (queue, waiting) = mpsc::channel();
        let account = Arc::new(Account::default());
        let kept = Arc::clone(&account);
        // Owner: this `Writer`. Ends: when that is dropped and all is written; blocked in a write, with the process.
        // Waited for: by `settled`.
        std::thread::spawn(move || {
            let _ended = Ended(&kept);
            write_all(&mut sink, &waiting, &kept);
        });
        Self { queue, account, limit: limit as u64 }
    }

    /// Hands a packet over. After an error it is let go.
    pub(crate) fn push(&self, packet: S::Packet) {
        self.account.lock().handed += weight::<S>(&packet);
        // A thread that has ended has said so in the account.
        let _ = self.queue.send(packet);
    }

    /// Whether more is waiting than should be.
    pub(crate) fn is_behind(&self) -> bool {
        self.waiting() > self.limit
    }

    /// What waits to be written.
    pub(crate) fn waiting(&self) -> u64 {
        self.account.lock().waiting()
    }

    /// Waits while more is waiting than should be.
    ///
    /// # Errors
    /// What writing gave so far; a reader that has gone away is [`io::ErrorKind::BrokenPipe`].
    ///
    /// # Cancel safety
    /// Safe: what was handed over is written all the same.
    pub(crate) async fn room(&self) -> io::Result<()> {
        self.account
            .until(|state| match &state.failed {
                Some(error) => Some(Err(again(error))),
                None => (state.waiting() <= self.limit).then_some(Ok(())),
            })
            .await
    }

    /// Waits until all that was handed over is written, and says how that went.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    ///
    /// # Cancel safety
    /// As [`room`](Self::room).
    pub(crate) async fn settled(&self) -> io::Result<()> {
        let handed = self.account.lock().handed;
        self.account.until(|state| state.is_settled(handed)).await
    }

    /// The same where there is no runtime: the thread waits.
    pub(crate) fn settled_here(&self) -> io::Result<()> {
        let mut state = self.account.lock();
        let handed = state.handed;
        loop {
            if let Some(result) = state.is_settled(handed) {
                return result;
            }
            state = self.account.changed_here.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for an error.
    ///
    /// # Cancel safety
    /// Safe: it is still there.
    pub(crate) async fn failed(&self) -> io::Error {
        self.account.until(|state| state.failed.as_ref().map(again)).await
    }

    /// The error, if there was one.
    pub(crate) fn error(&self) -> Option<io::Error> {
        self.account.lock().failed.as_ref().map(again)
    }
}

fn weight<S: Sink>(packet: &S::Packet) -> u64 {
    (S::len(packet) + EACH) as u64
}

fn write_all<S: Sink>(sink: &mut S, waiting: &mpsc::Receiver<S::Packet>, account: &Account) {
    let mut packets = VecDeque::with_capacity(AT_ONCE);
    while let Ok(packet) = waiting.recv() {
        packets.push_back(packet);
        // What piled up during the last call goes with this one.
        while packets.len() < AT_ONCE
            && let Ok(packet) = waiting.try_recv()
        {
            packets.push_back(packet);
        }
        let bytes = packets.iter().map(weight::<S>).sum::<u64>();
        let result = sink.write(&mut packets);
        packets.clear();
        account.wrote(bytes, result);
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// What was handed over, and what became of it.
#[derive(Default)]
struct Account {
    state: Mutex<State>,
    changed: Notify,
    changed_here: Condvar,
}

#[derive(Default)]
struct State {
    handed: u64,
    written: u64,
    failed: Option<io::Error>,
    has_ended: bool,
}

impl Account {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, bytes: u64, result: io::Result<()>) {
        self.change(|state| {
            state.written += bytes;
            if let (Err(error), None) = (result, &state.failed) {
                state.failed = Some(error);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
        self.changed_here.notify_all();
    }

    async fn until<T>(&self, mut reached: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            // Before the look, so that no change after it is missed.
            let changed = self.changed.notified();
            if let Some(value) = reached(&self.lock()) {
                return value;
            }
            changed.await;
        }
    }
}

impl State {
    fn waiting(&self) -> u64 {
        if self.has_ended { 0 } else { self.handed - self.written }
    }

    /// Whether so much is written, and how that went.
    fn is_settled(&self, handed: u64) -> Option<io::Result<()>> {
        if self.written < handed && !self.has_ended {
            return None;
        }
        Some(self.failed.as_ref().map_or(Ok(()), |error| Err(again(error))))
    }
}

/// Says at its end that nothing will be written any more.
struct Ended<'a>(&'a Account);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.has_ended = true;
            if state.written < state.handed && state.failed.is_none() {
                state.failed = Some(io::Error::other("the thread that writes it has stopped"));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    const LIMIT: usize = 4 * (100 + EACH);

    /// Takes a packet for each word that lets it, and breaks at the word to do so.
    struct Gate {
        words: mpsc::Receiver<bool>,
        taken: Arc<Mutex<Vec<usize>>>,
    }

    impl Sink for Gate {
        type Packet = usize;

        fn len(packet: &usize) -> usize {
            *packet
        }

        fn write(&mut self, packets: &mut VecDeque<usize>) -> io::Result<()> {
            for packet in packets.drain(..) {
                match self.words.recv() {
                    Ok(true) => self.taken.lock().unwrap().push(packet),
                    Ok(false) => return Err(io::ErrorKind::BrokenPipe.into()),
                    Err(_) => panic!("nobody speaks any more"),
                }
            }
            Ok(())
        }
    }

    fn gate() -> (Writer<Gate>, mpsc::Sender<bool>, Arc<Mutex<Vec<usize>>>) {
        let (speak, words) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        (Writer::start(Gate { words, taken: Arc::clone(&taken) }, LIMIT), speak, taken)
    }

    async fn waits<T>(future: impl Future<Output = T>) -> bool {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn a_reader_who_stops_makes_those_wait_who_ask_and_nobody_else() {
        let (writer, speak, taken) = gate();
        for packet in 0..4 {
            writer.push(97 + packet);
        }
        // 97 to 100 are no more than four times a hundred.
        assert!(!writer.is_behind());
        writer.room().await.unwrap();
        writer.push(1);
        assert!(writer.is_behind());
        assert!(waits(writer.room()).await && waits(writer.settled()).await && waits(writer.failed()).await);
        (0..5).for_each(|_| speak.send(true).unwrap());
        writer.room().await.unwrap();
        writer.settled().await.unwrap();
        assert!(!writer.is_behind());
        assert_eq!(*taken.lock().unwrap(), [97, 98, 99, 100, 1]);
    }

    #[tokio::test]
    async fn a_reader_who_has_gone_is_told_to_everybody_and_holds_up_nobody() {
        let (writer, speak, taken) = gate();
        speak.send(true).unwrap();
        writer.push(1);
        writer.settled().await.unwrap();
        writer.push(2);
        speak.send(false).unwrap();
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(writer.failed().await.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(kind(writer.settled().await), io::ErrorKind::BrokenPipe);
        assert_eq!(kind(writer.settled_here()), io::ErrorKind::BrokenPipe);
        assert_eq!(kind(writer.room().await), io::ErrorKind::BrokenPipe);
        assert_eq!(writer.error().unwrap().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(*taken.lock().unwrap(), [1]);
    }

    #[tokio::test]
    async fn a_thread_that_ends_is_an_error_and_nobody_waits_for_it() {
        let (writer, speak, _) = gate();
        drop(speak);
        (0..9).for_each(|_| writer.push(LIMIT));
        assert_eq!(writer.settled().await.unwrap_err().to_string(), "the thread that writes it has stopped");
        assert!(!writer.is_behind() && writer.room().await.is_err());
    }
}
