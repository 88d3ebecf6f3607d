//! Channels whose connection somebody else chooses: a pool of connections, say.

use std::sync::{Arc, Mutex, PoisonError};

use crate::BoxFuture;
use crate::error::{Error, Result};
use crate::session::{OpenedAhead, Session};

/// What a channel is for, as far as it concerns others on its connection.
///
/// ```
/// use rustle_session::ChannelUse;
///
/// // A reader that stalls holds up only what it reads.
/// assert_ne!(ChannelUse::Collected, ChannelUse::Streamed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelUse {
    /// A command whose output is taken at once ([`Command::output`](crate::Command::output), [`Lane::Shared`]).
    Collected,
    /// A command or subsystem with a reader who may stall ([`Command::spawn`](crate::Command::spawn), [`Lane::Isolated`]).
    Streamed,
    /// A byte stream to where the server can reach ([`Session::direct_tcpip`]), whose reader may stall as well. It takes no
    /// place of a session's (`MaxSessions`).
    Forward,
}

/// Beside whom a command or subsystem is where a pool chooses the connection; see [`Command::lane`](crate::Command::lane).
///
/// On one connection a reader who stalls can hold up the others: what is not taken is kept in memory, then in a file, and where
/// both are full nothing more is read from the connection for a while ([`BufferLimits`](crate::BufferLimits)).
///
/// ```
/// assert_ne!(rustle_session::Lane::Shared, rustle_session::Lane::Isolated);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lane {
    /// With all others that are short or whose reader keeps up: no connection is made for it while there is a place.
    Shared,
    /// Apart from what is shared, and from others that may stall, as far as there may be as many connections.
    Isolated,
}

impl From<Lane> for ChannelUse {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Shared => Self::Collected,
            Lane::Isolated => Self::Streamed,
        }
    }
}

/// Says on which connection each channel of a [`Session`] is opened: see [`Session::with_places`].
pub trait Places: Send + Sync {
    /// A place for one channel. The time that it takes is no part of any deadline of the session's.
    ///
    /// # Errors
    /// There is none; the caller is told so as if the server had refused the channel.
    ///
    /// # Cancel safety
    /// Dropped, nothing is taken.
    fn take(&self, purpose: ChannelUse) -> BoxFuture<'_, Result<Box<dyn Place>>>;
}

/// A place for one channel. It is dropped when no channel is in it any more, at the server neither, as far as can be known:
/// when the server has closed it, though somebody may still read what it sent before, or when this side has, because its output
/// ran over or its reader went away. That may be inside the connection's own loop, so that dropping it must not wait for
/// anything.
pub trait Place: Send + Sync {
    /// The connection that it is on.
    fn session(&self) -> &Session;

    /// A session channel that is there already, on this connection: it is used in place of a new one, if it is not gone.
    fn opened_ahead(&mut self) -> Option<OpenedAhead> {
        None
    }

    /// The server opened the channel.
    fn opened(&mut self);

    /// Nobody waits for the channel any more, and the server has not answered: it may be there all the same. The place is
    /// dropped when the server has answered and the channel is closed, or after 30 s without an answer.
    fn given_up(&mut self) {}

    /// The server has no place for it, or the connection was lost before there was a channel: nothing was started, so it
    /// may be tried anew. `error` is what the caller is told where there is nothing better.
    ///
    /// # Errors
    /// There is no other.
    ///
    /// # Cancel safety
    /// Dropped, nothing is taken.
    fn another(self: Box<Self>, error: Error) -> BoxFuture<'static, Result<Box<dyn Place>>>;
}

/// One place that several have together: it is free when none of them has it any more.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<Box<dyn Place>>>, Session);

impl Kept {
    pub(super) fn new(place: Box<dyn Place>) -> Self {
        let session = place.session().clone();
        Self(Arc::new(Mutex::new(place)), session)
    }

    pub(super) fn opened(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).opened();
    }

    /// The place, where nobody else has it.
    pub(super) fn into_place(self) -> Option<Box<dyn Place>> {
        Some(Arc::into_inner(self.0)?.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Place for Kept {
    fn session(&self) -> &Session {
        &self.1
    }

    /// It was, for the first of them.
    fn opened(&mut self) {}

    fn another(self: Box<Self>, error: Error) -> BoxFuture<'static, Result<Box<dyn Place>>> {
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Session {
    /// Whether its channels are opened where [somebody else says](Self::with_places), on other connections too.
    #[must_use]
    pub fn has_places(&self) -> bool {
        self.places.is_some()
    }

    /// A handle to the same connection whose channels are opened where `places` says, on this connection or others: what
    /// is asked of it otherwise (its name, counters and end) is asked of this connection.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use rustle_session::{BoxFuture, ChannelUse, Error, Place, Places, Session};
    ///
    /// /// Counts the channels of a session.
    /// struct Counted(Session, Arc<AtomicUsize>);
    ///
    /// impl Places for Counted {
    ///     fn take(&self, _purpose: ChannelUse) -> BoxFuture<'_, rustle_session::Result<Box<dyn Place>>> {
    ///         self.1.fetch_add(1, Ordering::Relaxed);
    ///         let place: Box<dyn Place> = Box::new(Counted(self.0.clone(), Arc::clone(&self.1)));
    ///         Box::pin(std::future::ready(Ok(place)))
    ///     }
    /// }
    ///
    /// impl Place for Counted {
    ///     fn session(&self) -> &Session {
    ///         &self.0
    ///     }
    ///
    ///     fn opened(&mut self) {}
    ///
    ///     fn another(self: Box<Self>, error: Error) -> BoxFuture<'static, rustle_session::Result<Box<dyn Place>>> {
    ///         Box::pin(std::future::ready(Err(error)))
    ///     }
    /// }
    ///
    /// fn counted(session: &Session) -> (Session, Arc<AtomicUsize>) {
    ///     let count = Arc::default();
    ///     (session.with_places(Arc::new(Counted(session.clone(), Arc::clone(&count)))), count)
    /// }
    /// ```
    #[must_use]
    pub fn with_places(&self, places: Arc<dyn Places>) -> Self {
        Self { inner: Arc::clone(&self.inner), places: Some(places) }
    }
}
