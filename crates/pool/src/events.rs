//! Changes of how it stands with hosts, as they come.

use std::time::SystemTime;

use tokio::sync::broadcast;

use crate::show::{ConnectionId, Status};

/// So many changes are kept for one who does not take them: a thousand hosts that are lost at once and come back.
pub(crate) const KEPT: usize = 4096;

/// It stands otherwise with a host from now on.
///
/// ```no_run
/// # async fn example() -> rustle_pool::Result<()> {
/// use rustle_pool::{Event, Pool};
///
/// let pool = Pool::builder().build()?;
/// let mut events = pool.events();
/// pool.connect("web-1").await?;
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Changed(change) => println!("{} is {}", change.name, change.status),
///         Event::Missed(count) => println!("{count} changes were missed"),
///         _ => {}
///     }
/// }
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
/// # fn example(change: rustle_pool::Change) {
/// println!("{} is {}", change.name, change.status);
/// # }
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
