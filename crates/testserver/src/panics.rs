//! Panics of code that a test has given the server: an assertion in it fails the test, though it runs in another task.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
};

/// What has panicked so far, for [`TestServer::stop`](crate::TestServer::stop) to tell.
#[derive(Debug, Default)]
pub(crate) struct Panics {
    texts: Mutex<Vec<String>>,
}

impl Panics {
    /// Runs this code; `None` if it panics, which is kept under this name. What it has left half done is dropped with it.
    pub(crate) async fn caught<T>(&self, name: &str, code: impl Future<Output = T>) -> Option<T> {
        let mut code = pin!(code);
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| code.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(payload) => {
                let text = format!("{name}: {}", text_of(payload.as_ref()));
                self.texts.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                Poll::Ready(None)
            }
        })
        .await
    }

    /// All of them, in order, each with its name.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What `panic!` was told.
fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
