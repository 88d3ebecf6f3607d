//! Changes of how it stands with hosts, as they come.

use std::time::SystemTime;

use tokio::sync::broadcast;

use crate::show::{ConnectionId, Status};

/// So many changes are kept for one who does not take them: a thousand hosts that are lost at once and come back.
pub(crate) const KEPT: usize = 4096;

/// It stands otherwise with a host from now on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
/// # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
/// # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
/// use rustle_pool::{Event, Pool, Status};
///
/// let pool = Pool::builder().build()?;
/// # pool.register("web-1", way);
/// let mut events = pool.events();
/// pool.connect("web-1").await?;
/// # pool.shutdown(std::time::Duration::ZERO).await;
/// let mut seen = Vec::new();
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Changed(change) => seen.push(change.status),
///         Event::Missed(count) => println!("{count} changes were missed"),
///         _ => {}
///     }
/// }
/// assert_eq!(seen[..2], [Status::Connecting, Status::Connected]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This changed.
    Changed(Change),
    /// So many changes came while nobody took them, and are gone: [`Pool::list`](crate::Pool::list) tells how it stands.
    Missed(u64),
}

/// One change.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use {rustle_pool::Pool, rustle_session::HostSetup};
/// # let closed = tokio::net::TcpSocket::new_v4()?; closed.bind("127.0.0.1:0".parse()?)?;
/// # let way = HostSetup::builder("a@127.0.0.1").without_config_files();
/// # let way = way.port(closed.local_addr()?.port()).resolve()?;
/// # use rustle_pool::Event;
/// # let pool = Pool::builder().attempts(1).build()?; pool.register("web-1", way);
/// let mut events = pool.events();
/// let _refused = pool.connect("web-1").await;
/// let Some(Event::Changed(change)) = events.next().await else { return Err("there was one".into()) };
/// assert_eq!((change.name.as_str(), change.status.to_string()), ("web-1", "connecting".to_owned()));
/// assert_eq!(change.id, pool.list().await[0].id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Which host.
    pub id: ConnectionId,
    /// The name that it was first asked for by.
    pub name: String,
    /// How it stands from now on.
    pub status: Status,
    /// Since when.
    pub at: SystemTime,
}

/// All changes from the moment on that it was asked for: see [`Event`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = rustle_pool::Pool::builder().build()?;
/// let mut events = pool.events();
/// pool.shutdown(std::time::Duration::ZERO).await;
/// assert_eq!(events.next().await, None);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Events(Option<broadcast::Receiver<Change>>);

impl Events {
    /// None where the pool is gone.
    pub(crate) fn new(receiver: Option<broadcast::Receiver<Change>>) -> Self {
        Self(receiver)
    }

    /// The next one; `None` after the pool's end.
    ///
    /// # Cancel safety
    /// Safe: dropped, nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.as_mut()?.recv().await {
            Ok(change) => Some(Event::Changed(change)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
