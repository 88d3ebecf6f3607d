//! The tasks of the control: one listens, and one serves each connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustle_testserver::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::State;
use super::requests;

/// As many connections at once as a test with many threads may need; more wait.
const CONNECTIONS: usize = 256;
/// How long a client may take for the head of its request.
const HEAD: Duration = Duration::from_secs(10);
/// How long an answer may take to be read when the control ends.
const LAST: Duration = Duration::from_secs(1);
/// The head of a request; a body is read piece by piece.
const BUFFER: usize = 64 * 1024;

/// Accepts connections until the control ends.
pub(super) fn accept(state: &Arc<State>, listener: TcpListener) {
    let work = listen(Arc::clone(state), listener);
    // Owner: the control, which waits for its tracker. Ends: with the token `ending`.
    state.tasks.spawn(work);
}

/// Takes the server down and up again, whether or not whoever has asked for that still waits. Nothing comes where the
/// control ends first.
pub(super) fn restart(state: &Arc<State>, down_for: Duration) -> oneshot::Receiver<Result<(), Error>> {
    let (done, result) = oneshot::channel();
    let owner = Arc::clone(state);
    // Owner: the control, which waits for its tracker. Ends: after that time, or with the token `ending`.
    state.tasks.spawn(async move {
        tokio::select! {
            restarted = owner.server.restart(down_for) => {
                // Nobody may be there to be told.
                done.send(restarted).ok();
            }
            () = owner.ending.cancelled() => {}
        }
    });
    result
}

async fn listen(state: Arc<State>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = state.ending.cancelled() => return,
            next = next => next,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, _))) => {
                let work = serve(Arc::clone(&state), stream);
                // Owner: the control, which waits for its tracker. Ends: with its connection, or `LAST` after `ending`.
                state.tasks.spawn(async move {
                    work.await;
                    drop(place);
                });
            }
            // Out of descriptors, or a client that left while queued: the next may succeed.
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(state: Arc<State>, stream: TcpStream) {
    let shared = Arc::clone(&state);
    let service = service_fn(move |request| {
        let state = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(requests::answer(&state, request).await) }
    });
    // One request for each connection: a client that keeps one for later would meet its end halfway through the next.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = state.ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the control ended");
    }
}
