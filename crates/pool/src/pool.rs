//! What callers hold.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustle_session::{HostSettings, HostSetup, Place as _, Session};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::driver;
use crate::error::{Error, ErrorKind, Result};
use crate::line::{Line, Message, OfHost};
use crate::options::{Names, PoolBuilder};
use crate::policy::event::Lane;
use crate::registry::{Known, Registry};

/// Connections to many hosts, made when they are needed and shared by all who need them.
///
/// Cheap to clone; every clone is the same pool. When the last one, and the last session and channel from it, is dropped, the
/// connections end in the background; [`shutdown`](Self::shutdown) says when nothing is left.
///
/// ```no_run
/// # async fn example() -> rustle_pool::Result<()> {
/// use rustle_pool::Pool;
///
/// let pool = Pool::builder().build()?;
/// let (web, db) = tokio::join!(pool.get("web-1"), pool.get("db-1"));
/// let (web, db) = (web?, db?);
/// println!("{}{}", web.output("uptime").await?.stdout_text(), db.output("uptime").await?.stdout_text());
/// pool.shutdown(std::time::Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    line: Line,
    registry: Mutex<Registry>,
    patience: Duration,
    names: Names,
}

impl Pool {
    /// Begins with the defaults.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    pub(crate) fn new(line: Line, patience: Duration, names: Names) -> Self {
        Self { inner: Arc::new(Inner { line, registry: Mutex::default(), patience, names }) }
    }

    /// Gives a host a name of its own, and says how it is reached and logged in to. What had the name before is another host
    /// from now on; its connections are kept as long as they are used.
    pub fn register(&self, name: &str, setup: HostSetup) {
        self.registry().register(name, setup);
    }

    /// A session with a host that is registered under this name, or that ssh would reach under it. There is a connection to
    /// it then; each channel of the session is opened on whichever connection has a place.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownHost`]; [`ErrorKind::Session`] when the host cannot be connected to, with
    /// [`NoPlace`](rustle_session::ErrorKind::NoPlace) where a limit of the pool is in the way.
    ///
    /// # Cancel safety
    /// Dropped, a login that nobody else waits for becomes an idle connection.
    pub async fn get(&self, name: &str) -> Result<Session> {
        let host = self.known(name).await?;
        let patience = self.inner.patience;
        let taken = self.inner.line.acquire(&host, Lane::Bare, patience).await.map_err(Error::of_session)?;
        let line = self.inner.line.clone();
        Ok(taken.session().with_places(Arc::new(OfHost { line, host, patience })))
    }

    /// Ends all: nothing new begins, and what is open has so long to end by itself. Resolves when nothing is left.
    ///
    /// # Cancel safety
    /// Dropped, all ends all the same.
    pub async fn shutdown(&self, grace: Duration) {
        let (done, ended) = oneshot::channel();
        self.inner.line.send(Message::Shutdown { by: Instant::now() + grace, done });
        let _ = ended.await;
    }

    async fn known(&self, name: &str) -> Result<Arc<Known>> {
        if let Some(known) = self.registry().named(name) {
            return Ok(known);
        }
        if self.inner.names == Names::Registered {
            let message = format!("no host is registered as {name:?}");
            return Err(Error::new(
                ErrorKind::UnknownHost,
                message,
                "register it, or look for a mistake in its name",
            ));
        }
        let (settings, setup) = driver::resolve(HostSetup::builder(name)).await.map_err(Error::of_session)?;
        Ok(self.registry().resolved(name, identity(&settings), setup))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that the configuration says of a host: what differs in any of it shares no connection.
fn identity(settings: &HostSettings) -> String {
    let lines = settings.settings().iter().filter(|setting| setting.name() != "host");
    lines.map(|setting| format!("{} {}\n", setting.name(), setting.value())).collect()
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("patience", &self.inner.patience).finish_non_exhaustive()
    }
}
