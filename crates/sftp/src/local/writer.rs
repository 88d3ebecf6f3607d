//! A file written at any place in any order, behind whoever has the bytes.

use std::fs::File;
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::local::{driver, failed, positional, refused};

const OPERATION: &str = "write local file";

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writing {
    most: usize,
    leaves_holes: bool,
}

/// A file that is written on a thread of its own.
///
/// What [`Writer::write`] takes is collected to batches, and at most 4 MiB wait in memory, unless asked otherwise; then
/// `write` waits. A piece counts with its own length: whoever passes on a slice of 4 KiB or more keeps all of the memory
/// that it is cut from alive until it is written. Smaller ones are copied.
///
/// The first thing that cannot be written is told by the next call, and by [`Writer::finish`] in any case. Dropped
/// without `finish`, what waits is not written, and nothing is told.
#[derive(Debug)]
pub(crate) struct Writer {
    path: Arc<Path>,
    orders: mpsc::Sender<Order>,
    failure: Arc<Failure>,
    staged: Vec<Run>,
    staged_bytes: usize,
    batch: usize,
    leaves_holes: bool,
    /// The end of the furthest byte that was written or left out.
    end: u64,
}

/// Pieces that follow each other in the file.
#[derive(Debug)]
struct Run {
    offset: u64,
    length: u64,
    pieces: Vec<Bytes>,
}

#[derive(Debug)]
enum Order {
    Write(Vec<Run>),
    /// Nothing comes any more; the file gets at least this length.
    Finish {
        length: Option<u64>,
        synced: bool,
        done: oneshot::Sender<Result<(), Error>>,
    },
}

/// The first error, for whoever asks first; and whether nobody will ask any more.
#[derive(Debug, Default)]
struct Failure {
    state: Mutex<FailureState>,
    is_abandoned: AtomicBool,
}

#[derive(Debug, Default)]
enum FailureState {
    #[default]
    None,
    Untold(Error),
    Told,
}

impl Default for Writing {
    /// 4 MiB in memory: what a disk that writes 100 MB/s takes in 40 ms, so that it seldom has nothing to do.
    fn default() -> Self {
        Self { most: 4 * 1024 * 1024, leaves_holes: false }
    }
}

impl Writing {
    /// At most so many bytes wait in memory, and one piece more.
    #[cfg(test)]
    pub(crate) fn most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Pieces of nothing but zeros, of 4 KiB and more, are left out and read as zeros all the same. For files that
    /// have nothing in those places yet.
    pub(crate) fn leave_holes(mut self) -> Self {
        self.leaves_holes = true;
        self
    }
}

impl Writer {
    /// Batches that wait in the channel, beside one that is collected and one that is written.
    const WAITING: usize = 6;

    /// Writes to `file`, which errors call `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) where the system has no thread left.
    pub(super) fn start(path: Arc<Path>, file: File, writing: Writing) -> Result<Self, Error> {
        let (orders, received) = mpsc::channel(Self::WAITING);
        let failure = Arc::new(Failure::default());
        let worker = Worker { path: Arc::clone(&path), file, failure: Arc::clone(&failure), received };
        driver::start_worker(OPERATION, &path, move || worker.run())?;
        Ok(Self {
            path,
            orders,
            failure,
            staged: Vec::new(),
            staged_bytes: 0,
            batch: writing.most / (Self::WAITING + 2),
            leaves_holes: writing.leaves_holes,
            end: 0,
        })
    }

    /// Takes the pieces, to be written one behind the other from `offset` on. It waits while enough is in memory.
    ///
    /// # Errors
    /// Whatever could not be written *before*, with the path: a full disk, a quota, a device that fails.
    ///
    /// # Cancel safety
    /// Dropped while it waits, all pieces of the call are taken: they are written with the next call.
    pub(crate) async fn write(
        &mut self,
        offset: u64,
        pieces: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), Error> {
        let mut at = offset;
        for piece in pieces {
            let length = piece.len() as u64;
            self.stage(at, piece);
            at = at.saturating_add(length);
        }
        if self.staged_bytes >= self.batch { self.hand_over().await } else { self.check() }
    }

    /// Writes what is left, gives the file the length of all that was written, waits for the disk where `synced` says
    /// so, and closes it.
    ///
    /// # Errors
    /// The first error of all, or where it was told already, that there was one.
    ///
    /// # Cancel safety
    /// Dropped, what was taken may be written or not.
    pub(crate) async fn finish(mut self, synced: bool) -> Result<(), Error> {
        self.hand_over().await?;
        let length = self.leaves_holes.then_some(self.end);
        let (done, told) = oneshot::channel();
        if self.orders.send(Order::Finish { length, synced, done }).await.is_err() {
            return Err(self.failure.take(&self.path));
        }
        match told.await {
            Ok(result) => result,
            Err(_gone) => Err(self.failure.take(&self.path)),
        }
    }

    fn stage(&mut self, offset: u64, piece: Bytes) {
        let piece = without_its_packet(piece);
        let length = piece.len() as u64;
        self.end = self.end.max(offset.saturating_add(length));
        if piece.is_empty() || (self.leaves_holes && is_hole(&piece)) {
            return;
        }
        self.staged_bytes += piece.len();
        match self.staged.last_mut() {
            Some(run) if run.offset.checked_add(run.length) == Some(offset) => {
                run.length += length;
                run.pieces.push(piece);
            }
            _ => self.staged.push(Run { offset, length, pieces: vec![piece] }),
        }
    }

    async fn hand_over(&mut self) -> Result<(), Error> {
        if !self.staged.is_empty() {
            // The place first: a future dropped here has not taken anything out of `staged`.
            let Ok(place) = self.orders.reserve().await else {
                return Err(self.failure.take(&self.path));
            };
            place.send(Order::Write(mem::take(&mut self.staged)));
            self.staged_bytes = 0;
        }
        self.check()
    }

    fn check(&self) -> Result<(), Error> {
        if self.orders.is_closed() { Err(self.failure.take(&self.path)) } else { Ok(()) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.failure.is_abandoned.store(true, Ordering::Relaxed);
    }
}

impl Failure {
    /// Why the thread takes nothing any more.
    fn take(&self, path: &Path) -> Error {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut *state, FailureState::Told) {
            FailureState::Untold(error) => error,
            FailureState::Told => failed(OPERATION, path, "an earlier write failed, as was told then"),
            FailureState::None => driver::broken_off(OPERATION, path),
        }
    }

    fn set(&self, error: Error) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = FailureState::Untold(error);
    }
}

/// The thread's side.
struct Worker {
    path: Arc<Path>,
    file: File,
    failure: Arc<Failure>,
    received: mpsc::Receiver<Order>,
}

impl Worker {
    /// It ends with the first error. Its receiver then is dropped, and the writer, which finds no one to send to,
    /// finds the error.
    fn run(mut self) {
        while let Some(order) = self.received.blocking_recv() {
            // What still waits would be written to a file that is given up.
            if self.failure.is_abandoned.load(Ordering::Relaxed) {
                return;
            }
            match order {
                Order::Write(runs) => {
                    let mut written =
                        runs.iter().map(|run| positional::write(&self.file, &run.pieces, run.offset));
                    if let Some(error) = written.find_map(Result::err) {
                        self.failure.set(refused(OPERATION, &self.path, error));
                        return;
                    }
                }
                Order::Finish { length, synced, done } => {
                    let Self { path, file, .. } = self;
                    let finished = finish(file, length, synced);
                    // Where nobody listens, the transfer was broken off.
                    let _ = done.send(finished.map_err(|error| refused(OPERATION, &path, error)));
                    return;
                }
            }
        }
    }
}

fn finish(file: File, length: Option<u64>, synced: bool) -> std::io::Result<()> {
    if let Some(length) = length
        && file.metadata()?.len() < length
    {
        file.set_len(length)?;
    }
    if synced {
        file.sync_all()?;
    }
    close(file)
}

/// NFS and quotas tell what became of writes when a file is closed.
#[cfg(unix)]
pub(super) fn close(file: File) -> std::io::Result<()> {
    match nix::unistd::close(file) {
        // It is closed nevertheless on all systems but HP-UX.
        Ok(()) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Windows tells with the write.
#[cfg(windows)]
pub(super) fn close(file: File) -> std::io::Result<()> {
    drop(file);
    Ok(())
}

/// A few bytes of a packet must not keep all of it: a server could have a byte in each.
pub(crate) fn without_its_packet(piece: Bytes) -> Bytes {
    if piece.len() < 4096 { Bytes::copy_from_slice(&piece) } else { piece }
}

/// Worth leaving out: a block of every usual file system is 4 KiB or less.
pub(crate) fn is_hole(piece: &[u8]) -> bool {
    piece.len() >= 4096 && piece.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in the file when the thread has done all of these orders.
    fn written(is_abandoned: bool) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (orders, received) = mpsc::channel(1);
        let failure = Arc::new(Failure { is_abandoned: AtomicBool::new(is_abandoned), ..Failure::default() });
        let run = Run { offset: 0, length: 4, pieces: vec![Bytes::from_static(b"data")] };
        orders.try_send(Order::Write(vec![run])).unwrap();
        drop(orders);
        Worker { path: file.path().into(), file: file.reopen().unwrap(), failure, received }.run();
        std::fs::read(file.path()).unwrap()
    }

    #[test]
    fn nothing_is_written_any_more_for_a_writer_that_was_dropped() {
        assert_eq!(written(false), b"data");
        assert_eq!(written(true), b"");
    }

    #[test]
    fn a_byte_of_a_packet_does_not_keep_it() {
        let packet = Bytes::from(vec![7; 32 * 1024]);
        let kept = [without_its_packet(packet.slice(..1)), without_its_packet(packet.slice(9..4104))];
        assert!(packet.is_unique());
        assert_eq!(kept.map(|piece| piece.len()), [1, 4095]);
        let large = without_its_packet(packet.slice(..4096));
        assert_eq!(large.as_ptr(), packet.as_ptr());
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_without_a_word_is_an_error() {
        let (orders, received) = mpsc::channel(1);
        drop(received);
        let mut writer = Writer {
            path: Path::new("a").into(),
            orders,
            failure: Arc::default(),
            staged: Vec::new(),
            staged_bytes: 0,
            batch: 1,
            leaves_holes: false,
            end: 0,
        };
        let error = writer.write(0, [Bytes::from_static(b"x")]).await.unwrap_err();
        assert!(error.to_string().contains("broken off"), "{error}");
        let error = writer.finish(false).await.unwrap_err();
        assert!(error.to_string().contains("as was told then"), "{error}");
    }
}
