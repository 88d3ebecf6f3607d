//! The same work on many hosts.

mod driver;
mod results;
mod stop;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::{BoxFuture, Output, Session};

use self::driver::Running;
pub use self::results::{HostResult, Results};
use self::stop::Stop;
use crate::error::Error;
use crate::pool::Pool;

/// Hosts that are worked on at once unless something else is said: what they print has to be taken in here, by one program.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Work on many hosts, before it begins: made by [`Pool::on`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// use std::time::Duration;
///
/// use rustle_pool::OnFailure;
///
/// # let pool = Pool::builder().build()?;
/// # ["web-1", "web-2", "web-3"].map(|name| pool.register(name, way.clone()));
/// let all = pool.on(["web-1", "web-2", "web-3"]).at_once(2).timeout(Duration::from_secs(30));
/// let mut results = all.on_failure(OnFailure::BeginNoMore).output("echo active");
/// let mut active = 0;
/// while let Some(result) = results.next().await {
///     match result.outcome {
///         Ok(output) => active += usize::from(output.stdout_text() == "active\n"),
///         Err(error) => eprintln!("{}: {error}", result.host),
///     }
/// }
/// assert_eq!(active, 3);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing begins before the results are asked for"]
pub struct FanOut {
    pool: Pool,
    hosts: Vec<String>,
    at_once: NonZeroUsize,
    timeout: Option<Duration>,
    on_failure: OnFailure,
}

/// What follows from a failure on one host. An error is one, a timeout among them; so is a command of
/// [`output`](FanOut::output) that ends with another status than 0.
///
/// ```
/// assert_eq!(rustle_pool::OnFailure::default(), rustle_pool::OnFailure::GoOn);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// Nothing: the others go on, since one host's failure seldom says something of another.
    #[default]
    GoOn,
    /// What is under way goes on, and nothing new begins.
    BeginNoMore,
    /// What is under way is broken off, and nothing new begins.
    EndAll,
}

/// What is done on a host of this name, with a session there.
type Work<T, E> = dyn Fn(String, Session) -> BoxFuture<'static, Result<T, E>> + Send + Sync;

/// What is done on one host, and what counts as a failure there.
struct Job<T, E> {
    pool: Pool,
    work: Box<Work<T, E>>,
    is_failure: fn(&Result<T, E>) -> bool,
    timeout: Option<Duration>,
    on_failure: OnFailure,
    stop: Stop,
}

impl Pool {
    /// Work on all of these hosts, some of them at once. A host that is named twice is worked on twice.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = rustle_pool::Pool::builder().only_registered().build()?;
    /// let mut results = pool.on(["wev-1", "wev-1"]).output("uptime");
    /// while let Some(result) = results.next().await {
    ///     assert_eq!(result.outcome.unwrap_err().code(), "HOST_UNKNOWN");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn on<N: Into<String>>(&self, hosts: impl IntoIterator<Item = N>) -> FanOut {
        FanOut {
            pool: self.clone(),
            hosts: hosts.into_iter().map(Into::into).collect(),
            at_once: AT_ONCE,
            timeout: None,
            on_failure: OnFailure::default(),
        }
    }
}

impl FanOut {
    /// How many hosts are worked on at once; 32 unless set, and 1 at least. One that is done counts until its result is
    /// taken, so that no more results than this wait in memory.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// # use {futures_util::StreamExt, rustle_pool::Error, std::sync::Arc};
    /// # let pool = Pool::builder().build()?;
    /// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
    /// # let running = Arc::new(tokio::sync::Mutex::new(()));
    /// let one_by_one = pool.on(["web-1", "web-2"]).at_once(1).each(move |_host, session| {
    ///     let running = Arc::clone(&running);
    ///     async move {
    ///         let _alone = running.try_lock().expect("no other is under way");
    ///         Ok::<_, Error>(session.output("true").await?)
    ///     }
    /// });
    /// assert_eq!(one_by_one.collect::<Vec<_>>().await.len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn at_once(mut self, most: usize) -> Self {
        self.at_once = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// What the work on one host may take, with the connection where one has to be made; as long as it takes unless set.
    /// The time in which a host is not begun yet does not count.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup};
    /// # let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
    /// # let way = way.port(silent.local_addr()?.port()).resolve()?;
    /// # use {rustle_pool::ErrorKind, std::time::Duration};
    /// # let pool = Pool::builder().build()?; pool.register("web-1", way);
    /// let mut results = pool.on(["web-1"]).timeout(Duration::from_millis(10)).output("uptime");
    /// let result = results.next().await.ok_or("one for each host")?; // its server says nothing
    /// assert_eq!(result.outcome.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// What follows from a failure; [`OnFailure::GoOn`] unless set.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use rustle_pool::{ErrorKind, OnFailure, Pool};
    /// # let pool = Pool::builder().only_registered().build()?;
    /// let all = pool.on(["wev-1", "web-2"]).at_once(1).on_failure(OnFailure::BeginNoMore);
    /// let mut results = all.output("uptime");
    /// for (host, kind) in [("wev-1", ErrorKind::UnknownHost), ("web-2", ErrorKind::NotRun)] {
    ///     let result = results.next().await.ok_or("one for each host")?;
    ///     assert_eq!((result.host.as_str(), result.outcome.unwrap_err().kind()), (host, kind));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn on_failure(mut self, what: OnFailure) -> Self {
        self.on_failure = what;
        self
    }

    /// Runs a command line on each, as [`Session::output`] does.
    #[must_use = "nothing begins before the first result is asked for"]
    pub fn output(self, line: impl AsRef<[u8]>) -> Results<Output> {
        let line: Arc<[u8]> = line.as_ref().into();
        let work = move |_host: String, session: Session| {
            let line = Arc::clone(&line);
            async move { session.output(&line).await.map_err(Error::of_session) }
        };
        self.begin(work, |outcome| !outcome.as_ref().is_ok_and(|output: &Output| output.status.success()))
    }

    /// Does this on each, with the name that was given and a session there: transfers, several commands. The error may be any
    /// that this crate's becomes by itself.
    ///
    /// It is a task for each host, which goes on while results are dealt with. A panic in one is passed on to whoever asks
    /// for the results.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {rustle_pool::Pool, rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
    /// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
    /// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
    /// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
    /// use rustle_pool::Error;
    ///
    /// # let pool = Pool::builder().build()?;
    /// # ["web-1", "web-2"].map(|name| pool.register(name, way.clone()));
    /// let mut kernels = pool.on(["web-1", "web-2"]).each(|host, session| async move {
    ///     let output = session.command("echo").arg("6.1").output().await?;
    ///     Ok::<_, Error>(format!("{host} runs {}", output.stdout_text().trim()))
    /// });
    /// while let Some(result) = kernels.next().await {
    ///     assert_eq!(result.outcome?, format!("{} runs 6.1", result.host));
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use = "nothing begins before the first result is asked for"]
    pub fn each<T, E, F>(self, work: impl Fn(String, Session) -> F + Send + Sync + 'static) -> Results<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.begin(work, Result::is_err)
    }

    fn begin<T, E, F>(
        self,
        work: impl Fn(String, Session) -> F + Send + Sync + 'static,
        is_failure: fn(&Result<T, E>) -> bool,
    ) -> Results<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let Self { pool, hosts, at_once, timeout, on_failure } = self;
        let job = Job {
            pool,
            work: Box::new(move |host, session| Box::pin(work(host, session))),
            is_failure,
            timeout,
            on_failure,
            stop: Stop::default(),
        };
        Results::new(hosts, at_once, Running::new(job))
    }
}
