//! Connections that a transfer may use beside its own.

use std::fmt;
use std::future::Future;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};
use rustle_session::Session;

/// Other connections to the same machine, made or to be made.
#[derive(Clone, Default)]
pub(crate) struct Others(Vec<Other>);

/// One of them. Its clones are the same connection, which is made once, when the first of them is waited for.
#[derive(Clone)]
pub(crate) struct Other {
    session: Shared<BoxFuture<'static, Option<Session>>>,
    is_made: bool,
}

impl Others {
    pub(crate) fn add(&mut self, session: Session) {
        self.0.push(Other { session: ready(Some(session)).boxed().shared(), is_made: true });
    }

    pub(crate) fn add_to_come(
        &mut self,
        connecting: impl Future<Output = rustle_session::Result<Session>> + Send + 'static,
    ) {
        let session = connecting.map(|made| match made {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::info!(%error, "a transfer goes on with the connections that it has");
                None
            }
        });
        self.0.push(Other { session: session.boxed().shared(), is_made: false });
    }

    /// The one of this number, if it is worth it for so many bytes.
    pub(crate) fn nth_worth(&self, number: usize, length: u64) -> Option<&Other> {
        self.0.get(number).filter(|other| other.is_made || length >= WORTH_CONNECTING)
    }

    /// Those that are worth it for so many bytes.
    pub(crate) fn worth(&self, length: u64) -> impl Iterator<Item = &Other> {
        self.0.iter().filter(move |other| other.is_made || length >= WORTH_CONNECTING)
    }
}

impl Other {
    /// The connection; none where it could not be made.
    pub(crate) fn session(&self) -> impl Future<Output = Option<Session>> + Send + 'static {
        self.session.clone()
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Others({})", self.0.len())
    }
}

/// From so many bytes on a connection is made for a file: a login takes both sides about 10 ms of processor time and the
/// network eight round trips, and one connection moves this much in 80 ms at best.
const WORTH_CONNECTING: u64 = 64 * 1024 * 1024;
