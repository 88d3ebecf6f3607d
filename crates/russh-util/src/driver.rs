//! The tasks that the base starts.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// Starts a task, which goes on whether or not anybody waits for it.
///
/// It takes as much memory as the future does, and some ninety bytes.
///
/// # Panics
/// Outside of a tokio runtime.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let task = russh_util::runtime::spawn(async { 6 * 7 });
/// assert_eq!(task.await.unwrap(), 42);
/// # });
/// ```
pub fn spawn<F, T>(future: F) -> JoinHandle<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (sender, result) = oneshot::channel();
    // In one place from here on: what is moved into an `async` block and awaited there has two.
    let future = Box::pin(future);
    // Owner: the base's handle of the connection, which waits for the result and whose end ends the loop.
    tokio::spawn(async move {
        // Nobody may be there any more to hear it.
        let _ = sender.send(future.await);
    });
    JoinHandle { result }
}

/// What a task will give. Dropped, the task goes on.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let handle: russh_util::runtime::JoinHandle<&str> = russh_util::runtime::spawn(async { "done" });
/// assert_eq!(handle.await.unwrap(), "done");
/// # });
/// ```
#[derive(Debug)]
pub struct JoinHandle<T> {
    result: oneshot::Receiver<T>,
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map_err(|_| JoinError)
    }
}

/// The task ended without a result: it panicked, or its runtime was shut down.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let broken = russh_util::runtime::spawn(async { panic!("on purpose") });
/// assert!(matches!(broken.await, Err(russh_util::runtime::JoinError)));
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinError;

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task ended without a result")
    }
}

impl Error for JoinError {}
