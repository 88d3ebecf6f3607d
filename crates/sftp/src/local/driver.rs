//! Where the threads that block are started.

use std::io;
use std::path::Path;
use std::thread;

use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::local::{failed, refused};

/// Starts the thread that reads or writes one file until its handle is dropped or the file is done.
///
/// A thread of its own and none of the runtime's pool: those are counted, and files that stay open for hours would
/// leave none for name look-ups, which wait for a free one.
pub(super) fn start_worker(
    operation: &'static str,
    path: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    // It calls the system with buffers that it has, and nothing that recurses.
    const STACK: usize = 256 * 1024;
    let builder = thread::Builder::new().name("rustle-file".to_owned()).stack_size(STACK);
    // Owner: the `Reader` or `Writer` whose channel it has. Ends: when the file is done or has failed, or after the
    // system call it is in when the handle is dropped. Waited for: by `Reader::next` and `Writer::finish` up to its last
    // message; after a drop by nobody, and what it still writes goes to a file that its `Target` has given up.
    builder.spawn(work).map(drop).map_err(|error| refused(operation, path, error))
}

/// Does one short job where blocking does no harm.
///
/// # Cancel safety
/// Dropped, the job is done nevertheless, unless it had not begun; its result is dropped.
pub(super) async fn off_thread<T: Send + 'static>(
    operation: &'static str,
    path: &Path,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // Owner: the runtime's pool of blocking threads. Ends: by itself, after a few system calls. Waited for: here, and by
    // the runtime when it shuts down.
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(aborted) => Err(broken_off(operation, path).with_source(io::Error::other(aborted))),
    }
}

/// A thread is gone without a word.
pub(super) fn broken_off(operation: &'static str, path: &Path) -> Error {
    failed(operation, path, "broken off: the program is ending, or this is a mistake in it")
}
