//! Standard input, and a descriptor of the parent, block whoever waits on them; so threads do.

use std::io::{self, Read};

/// Resolves when standard input ends.
///
/// # Cancel safety
/// Safe.
pub(super) async fn end_of_input() {
    if blocking(drain).await.is_err() {
        // Nothing to go by any more: signals still end the server.
        std::future::pending::<()>().await;
    }
}

/// Runs this on a thread of its own.
///
/// # Cancel safety
/// The work goes on, and nobody learns what came of it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    // Owner: the running server. Ends: with what it waits for, or with the process, which does not wait for it.
    let waiting = tokio::task::spawn_blocking(work);
    waiting.await.map_err(io::Error::other)
}

/// Reads standard input to its end and throws it away. Blocks.
fn drain() {
    let mut buffer = [0; 1024];
    let mut input = io::stdin().lock();
    while matches!(input.read(&mut buffer), Ok(count) if count > 0) {}
}
