//! Standard input blocks whoever reads it, so a thread waits for its end.

/// Resolves when standard input ends.
///
/// # Cancel safety
/// Safe.
pub(super) async fn end_of_input() {
    // Owner: the running server. Ends: with standard input, or with the process, which does not wait for it.
    let waiting = tokio::task::spawn_blocking(super::drain);
    if waiting.await.is_err() {
        // Nothing to go by any more: signals still end the server.
        std::future::pending::<()>().await;
    }
}
