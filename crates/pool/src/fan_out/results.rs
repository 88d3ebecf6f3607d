//! What became of the work, host by host.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};

use crate::error::Error;
use crate::fan_out::driver::Running;

/// What became of the work on one host.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = rustle_pool::Pool::builder().only_registered().build()?;
/// let mut results = pool.on(["wev-1"]).output("uptime");
/// let result = results.next().await.ok_or("one for each host")?;
/// println!("{} took {:?}", result.host, result.duration);
/// assert_eq!((result.host.as_str(), result.outcome.is_ok()), ("wev-1", false));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct HostResult<T, E = Error> {
    /// Which host, by the name that was given.
    pub host: String,
    /// What it gave. Work that was not begun, or was broken off, is [`NotRun`](crate::ErrorKind::NotRun), and work that took
    /// too long [`TimedOut`](crate::ErrorKind::TimedOut): what was begun may have been done.
    pub outcome: Result<T, E>,
    /// How long it took, with the connection where one had to be made; zero where it was not begun.
    pub duration: Duration,
}

/// What became of the work, host by host as it ends: one result for each that was named.
///
/// Nothing begins before the first result is asked for. From then on what was begun goes on, asked for or not; another host
/// is begun when a result is taken. Dropped, what is under way ends.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// # let pool = Pool::builder().build()?;
/// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
/// let mut results = pool.on(["web-1", "web-2"]).output("echo up");
/// let mut hosts = Vec::new();
/// while let Some(result) = results.next().await {
///     assert_eq!(result.outcome?.stdout_text(), "up\n");
///     hosts.push(result.host);
/// }
/// hosts.sort(); // they came as they ended
/// assert_eq!(hosts, ["web-1", "web-2"]);
/// # Ok(()) }
/// ```
#[must_use = "nothing begins before the first result is asked for"]
pub struct Results<T, E = Error> {
    waiting: VecDeque<String>,
    at_once: NonZeroUsize,
    running: Running<T, E>,
}

impl<T, E> Results<T, E> {
    pub(super) fn new(hosts: Vec<String>, at_once: NonZeroUsize, running: Running<T, E>) -> Self {
        Self { waiting: hosts.into(), at_once, running }
    }

    /// Breaks off what is under way, and begins nothing more. Each host still has a result: what was done already keeps its
    /// own, the others have [`NotRun`](crate::ErrorKind::NotRun).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use {futures_util::FutureExt, rustle_pool::ErrorKind};
    /// # let pool = Pool::builder().build()?;
    /// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
    /// let mut results = pool.on(["web-1", "web-2"]).at_once(1).output("reboot");
    /// assert!(results.next().now_or_never().is_none()); // web-1's is under way
    /// results.cancel();
    /// while let Some(result) = results.next().await {
    ///     let error = result.outcome.unwrap_err();
    ///     // web-1 was not connected yet: nothing was done there either.
    ///     assert_eq!((error.kind(), error.is_outcome_unknown()), (ErrorKind::NotRun, false));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cancel(&mut self) {
        self.running.stop().end_all("it was cancelled");
    }
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> Results<T, E> {
    /// The next one; `None` when all have been told.
    ///
    /// # Panics
    /// Where the work panicked; and outside of a Tokio runtime.
    ///
    /// # Cancel safety
    /// Safe: dropped, nothing is lost, and what was begun goes on.
    pub async fn next(&mut self) -> Option<HostResult<T, E>> {
        StreamExt::next(self).await
    }
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> Stream for Results<T, E> {
    type Item = HostResult<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while this.running.len() < this.at_once.get() && this.running.stop().may_begin() {
            match this.waiting.pop_front() {
                Some(host) => this.running.begin(host),
                None => break,
            }
        }
        if let Poll::Ready(Some(done)) = this.running.poll_next(cx) {
            return Poll::Ready(Some(done));
        }
        if this.running.stop().may_begin() {
            // None of those that wait, or there would be one under way.
            return if this.running.len() == 0 { Poll::Ready(None) } else { Poll::Pending };
        }
        match this.waiting.pop_front() {
            Some(host) => {
                let outcome = Err(this.running.stop().not_begun(&host).into());
                Poll::Ready(Some(HostResult { host, outcome, duration: Duration::ZERO }))
            }
            None if this.running.len() == 0 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.waiting.len() + self.running.len();
        (left, Some(left))
    }
}

impl<T, E> fmt::Debug for Results<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("waiting", &self.waiting)
            .field("under_way", &self.running.hosts())
            .finish_non_exhaustive()
    }
}
