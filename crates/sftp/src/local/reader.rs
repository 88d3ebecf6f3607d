//! A file read from front to back, ahead of whoever wants it.

mod extents;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use self::extents::Extents;
use crate::error::{Error, ErrorKind};
use crate::local::block::{Block, Pool};
use crate::local::details::{Details, Kind};
use crate::local::original::Original;
use crate::local::{driver, failed, positional, refused};

const OPERATION: &str = "read local file";

/// How a file is read.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    range: Range<u64>,
    block: usize,
    batch: usize,
    skips_holes: bool,
    hashes: bool,
}

/// A part of a file, in the order of the file.
#[derive(Debug)]
pub(crate) enum Piece {
    Block(Block),
    /// Bytes that are zero and take no room on the disk.
    Hole {
        offset: u64,
        length: u64,
    },
}

impl Piece {
    /// Where it is in the file.
    pub(crate) fn range(&self) -> Range<u64> {
        match self {
            Self::Block(block) => block.offset()..block.offset() + block.len() as u64,
            Self::Hole { offset, length } => *offset..offset + length,
        }
    }
}

/// A file that is being read on a thread of its own.
///
/// In memory are up to three batches, of 512 KiB unless the plan says otherwise and of at least one block: one that is
/// being read, one that waits, one that is handed out. On top come the blocks that the caller has, and as many free
/// buffers as make two batches.
#[derive(Debug)]
pub(crate) struct Reader {
    original: Original,
    news: mpsc::Receiver<News>,
    ready: VecDeque<Piece>,
    end: Option<End>,
}

/// What the thread has to say.
#[derive(Debug)]
enum News {
    Opened(Original),
    Pieces(Vec<Piece>),
    Ended(End),
    Failed(Error),
}

#[derive(Debug)]
struct End {
    sha256: Option<[u8; 32]>,
}

impl Plan {
    /// The whole file in blocks of so many bytes.
    pub(crate) fn new(block: usize) -> Self {
        Self { range: 0..u64::MAX, block: block.max(1), batch: 512 * 1024, skips_holes: false, hashes: false }
    }

    /// Only these bytes; what is past the end of the file is left out.
    pub(crate) fn range(mut self, range: Range<u64>) -> Self {
        self.range = range;
        self
    }

    /// How much is read at a time; see [`Reader`] for what that means for memory.
    #[cfg(test)]
    pub(crate) fn batch(mut self, bytes: usize) -> Self {
        self.batch = bytes;
        self
    }

    /// Holes are told and not read, where the system can tell cheaply: on Linux. Elsewhere they are read as zeros.
    pub(crate) fn skip_holes(mut self) -> Self {
        self.skips_holes = true;
        self
    }

    /// A SHA-256 is made of what is read, on the thread that reads it.
    pub(crate) fn hash(mut self) -> Self {
        self.hashes = true;
        self
    }
}

impl Reader {
    /// Opens a regular file. Reading ahead begins at once.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] where it cannot be opened or is no regular file.
    ///
    /// # Cancel safety
    /// Dropped, the file is closed.
    pub(crate) async fn open(path: PathBuf, plan: Plan) -> Result<Self, Error> {
        let path: Arc<Path> = path.into();
        let opened = Arc::clone(&path);
        Self::start(path, plan, move || Original::open(opened)).await
    }

    /// Reads a file that is open: where another one has its name by now, that does no harm. Reading ahead begins at once.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] where it was written to since it was opened, [`ErrorKind::Local`] where the system has no
    /// thread left.
    ///
    /// # Cancel safety
    /// Dropped, the file stays open for those who have it.
    pub(crate) async fn of(original: Original, plan: Plan) -> Result<Self, Error> {
        let path = Arc::clone(original.path());
        let open = move || {
            original.is_unchanged()?;
            Ok(original)
        };
        Self::start(path, plan, open).await
    }

    async fn start(
        path: Arc<Path>,
        plan: Plan,
        open: impl FnOnce() -> Result<Original, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        // One batch waits here while the next is read.
        let (tell, mut news) = mpsc::channel(1);
        let worker = Worker { path: Arc::clone(&path), plan, tell };
        driver::start_worker(OPERATION, &path, move || worker.run(open))?;
        match news.recv().await {
            Some(News::Opened(original)) => Ok(Self { original, news, ready: VecDeque::new(), end: None }),
            Some(News::Failed(error)) => Err(error),
            Some(News::Pieces(_) | News::Ended(_)) | None => Err(driver::broken_off(OPERATION, &path)),
        }
    }

    /// What the file was when it was opened.
    pub(crate) fn details(&self) -> &Details {
        self.original.details()
    }

    /// The file, for those who read of it too.
    pub(crate) fn original(&self) -> &Original {
        &self.original
    }

    /// The next piece; `None` where the range or the file ends. A block is shorter than its size only at the end, and
    /// before a hole that is told.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`], instead of `None` at the latest, where somebody wrote to the file or cut it since it was
    /// opened: what came may be of two versions. One that took its *name* meanwhile is another file, and does no harm.
    /// [`ErrorKind::Local`] where it cannot be read.
    ///
    /// # Cancel safety
    /// Dropped, nothing is lost: the next call gives the piece.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.end.is_some() {
                return Ok(None);
            }
            match self.news.recv().await {
                Some(News::Pieces(pieces)) => self.ready.extend(pieces),
                Some(News::Ended(end)) => self.end = Some(end),
                Some(News::Failed(error)) => return Err(error),
                Some(News::Opened(_)) | None => {
                    return Err(driver::broken_off(OPERATION, self.original.path()));
                }
            }
        }
    }

    /// The SHA-256 of the range, once [`Reader::next`] has given `None`, if the plan asked for one.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        self.end.as_ref()?.sha256
    }
}

/// The thread's side.
struct Worker {
    path: Arc<Path>,
    plan: Plan,
    tell: mpsc::Sender<News>,
}

/// Nobody wants to know any more.
struct Dropped;

impl Worker {
    fn run(self, open: impl FnOnce() -> Result<Original, Error>) {
        let last = match open().and_then(|original| self.read(&original)) {
            Ok(Ok(end)) => News::Ended(end),
            Err(error) => News::Failed(error),
            Ok(Err(Dropped)) => return,
        };
        // Where nobody listens, nobody needs to know.
        let _ = self.tell.blocking_send(last);
    }

    fn read(&self, original: &Original) -> Result<Result<End, Dropped>, Error> {
        let details = *original.details();
        if self.tell.blocking_send(News::Opened(original.clone())).is_err() {
            return Ok(Err(Dropped));
        }
        let file = original.file();
        let mut hash = self.plan.hashes.then(Sha256::new);
        let range = self.plan.range.start..self.plan.range.end.min(details.length());
        let mut extents = Extents::of(file, range, self.plan.skips_holes && details.is_sparse());
        let mut batch = Batch::new(self);
        while let Some(extent) = extents.next().map_err(|error| self.refused(error))? {
            if extent.is_hole {
                if let Some(hash) = &mut hash {
                    hash_zeros(hash, extent.length());
                }
                let hole = Piece::Hole { offset: extent.range.start, length: extent.length() };
                if batch.add(hole, 0).is_err() {
                    return Ok(Err(Dropped));
                }
                continue;
            }
            let mut at = extent.range.start;
            while at < extent.range.end {
                let size = self.plan.block;
                let wanted = usize::try_from(extent.range.end - at).unwrap_or(usize::MAX).min(size);
                // A last block that is short still has a buffer like the others, which can be used again.
                let fill = |room: &mut [u8]| positional::read(file, &mut room[..wanted], at);
                let block = batch.pool.block(at, size, fill).map_err(|error| self.refused(error))?;
                if block.len() < wanted {
                    return Err(changed(&self.path, "it became shorter while it was read"));
                }
                if let Some(hash) = &mut hash {
                    hash.update(block.data());
                }
                at += wanted as u64;
                if batch.add(Piece::Block(block), wanted).is_err() {
                    return Ok(Err(Dropped));
                }
            }
        }
        original.is_unchanged()?;
        if batch.send().is_err() {
            return Ok(Err(Dropped));
        }
        Ok(Ok(End { sha256: hash.map(|hash| hash.finalize().into()) }))
    }

    fn refused(&self, error: io::Error) -> Error {
        refused(OPERATION, &self.path, error)
    }
}

/// Pieces that are handed over together.
struct Batch<'a> {
    worker: &'a Worker,
    pool: Arc<Pool>,
    pieces: Vec<Piece>,
    bytes: usize,
    // The first is small, so that the transfer begins soon.
    goal: usize,
}

impl<'a> Batch<'a> {
    /// Many holes must not wait for a batch of data, nor be collected without end.
    const MOST_PIECES: usize = 1024;

    fn new(worker: &'a Worker) -> Self {
        let plan = &worker.plan;
        let pool = Pool::new((2 * plan.batch / plan.block).max(2));
        Self { worker, pool, pieces: Vec::new(), bytes: 0, goal: 1 }
    }

    fn add(&mut self, piece: Piece, bytes: usize) -> Result<(), Dropped> {
        // Otherwise noticed when the batch is full.
        if self.worker.tell.is_closed() {
            return Err(Dropped);
        }
        self.pieces.push(piece);
        self.bytes += bytes;
        if self.bytes >= self.goal || self.pieces.len() >= Self::MOST_PIECES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Dropped> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        self.goal = (self.bytes * 2).clamp(1, self.worker.plan.batch.max(1));
        self.bytes = 0;
        let pieces = mem::take(&mut self.pieces);
        self.worker.tell.blocking_send(News::Pieces(pieces)).map_err(|_unsent| Dropped)
    }
}

/// Opens a regular file to be read, without waiting for the other end of a pipe.
pub(super) fn open_regular(path: &Path) -> Result<(File, Details), Error> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, super::target::NO_WAIT);
    // Windows opens no directory this way, and says "access denied" where it is asked to.
    #[cfg(windows)]
    if path.is_dir() {
        return Err(failed(OPERATION, path, "a directory on this side"));
    }
    let file = options.open(path).map_err(|error| refused(OPERATION, path, error))?;
    let details = Details::of(&file).map_err(|error| refused(OPERATION, path, error))?;
    match details.kind() {
        Kind::File => Ok((file, details)),
        Kind::Directory => Err(failed(OPERATION, path, "a directory on this side")),
        Kind::Link | Kind::Special => Err(failed(OPERATION, path, "not a regular file")),
    }
}

pub(super) fn changed(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Changed, OPERATION, message)
        .at(path.as_os_str().as_encoded_bytes())
        .with_hint("transfer it again when nobody writes to it")
}

fn hash_zeros(hash: &mut Sha256, mut length: u64) {
    const ZEROS: [u8; 4096] = [0; 4096];
    while length > 0 {
        let part = usize::try_from(length).unwrap_or(usize::MAX).min(ZEROS.len());
        hash.update(&ZEROS[..part]);
        length -= part as u64;
    }
}
