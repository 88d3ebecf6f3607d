//! Session channels that are opened before anybody knows what for, so that a command starts in one round trip.

use std::sync::Arc;

use futures_util::FutureExt;

use crate::ending::Ending;
use crate::error::Result;
use crate::session::{ChannelUse, Lease, Place, Session};

/// A session channel that nothing was asked of yet: see [`Session::open_ahead`]. It takes one of the server's places
/// (`MaxSessions`). Dropped, it is closed.
pub struct OpenedAhead(Lease);

impl Session {
    /// Opens a session channel for a command that comes later: handed over by [`Place::opened_ahead`], it saves the command
    /// the round trip of opening one.
    ///
    /// ```no_run
    /// # async fn example(session: rustle_session::Session) -> rustle_session::Result<()> {
    /// let ahead = session.open_ahead().await?;
    /// tokio::spawn(ahead.ended()); // by the server, or with its connection
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for a command that cannot be begun: the server has no place for it, or the connection is gone.
    ///
    /// # Cancel safety
    /// Dropped, a channel that the server opens all the same is closed.
    pub async fn open_ahead(&self) -> Result<OpenedAhead> {
        self.open_session(Ending::Close, ChannelUse::Collected).await.map(OpenedAhead)
    }
}

impl OpenedAhead {
    /// Resolves when the channel is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let channel = Arc::clone(self.0.channel());
        async move {
            channel.ended().await;
        }
    }

    /// The channel with its end and its place; `None` where it is gone.
    pub(super) fn into_lease(mut self, ending: Ending, place: &mut Option<Box<dyn Place>>) -> Option<Lease> {
        if self.0.channel().ended().now_or_never().is_some() {
            return None;
        }
        self.0.set_ending(ending);
        if let Some(mut place) = place.take() {
            place.opened();
            self.0.set_place(place);
        }
        Some(self.0)
    }
}

impl std::fmt::Debug for OpenedAhead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedAhead").field("session", &self.0.session().target()).finish_non_exhaustive()
    }
}
