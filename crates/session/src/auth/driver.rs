//! Work of authentication that would block the runtime: reading key files, deriving keys, signing.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The longest such work may take. A passphrase is stretched on purpose, for about a second; what takes
/// longer than a person would wait is a mistake in the file, or a file system that does not answer.
const LIMIT: Duration = Duration::from_secs(120);

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// It took longer than the limit.
    TooSlow,
    /// It panicked, or the runtime is shutting down.
    Aborted,
}

/// Runs `work` on a thread where blocking does no harm.
///
/// # Cancel safety
/// Dropping the future leaves the thread to finish its work; the result is then dropped, and wiped.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, NotDone>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // Owner: the runtime's pool of blocking threads. Ends: by itself, when `work` returns; it takes no input
    // and holds no socket. Waited for: here, and by the runtime when it shuts down.
    match timeout(LIMIT, spawn_blocking(work)).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(NotDone::Aborted),
        Err(_) => Err(NotDone::TooSlow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_result_and_survives_a_panic() {
        assert_eq!(blocking(|| 42).await, Ok(42));
        assert_eq!(blocking(|| -> u8 { panic!("as the test wants") }).await, Err(NotDone::Aborted));
    }
}
