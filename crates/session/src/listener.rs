//! Connections that come in at the server and go on to this side.

use std::fmt;

use tokio::sync::mpsc;

use crate::base::{ForwardedChannel, Originator, Place};
use crate::error::Result;
use crate::session::{Bound, Session};
use crate::stream::ForwardStream;

/// A port or a socket that the server listens on for this side, made by [`Session::listen_tcpip`] or
/// [`Session::listen_streamlocal`].
///
/// Who connects there waits until [`accept`](Self::accept) takes them: the server is told that the channel is open only
/// then, and sends nothing before. At most 128 wait, as many as OpenSSH's server itself keeps waiting on a port; it is
/// told to hang up on those past that. A channel that the server opens for any other place is refused.
///
/// Dropped, the server is told in the background to listen no more, and those who wait are refused at once. What was
/// accepted goes on. [`close`](Self::close) does the same and says when it is done. It keeps the connection alive, as a
/// stream does.
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> rustle_session::Result<()> {
/// let mut listener = session.listen_tcpip("localhost", 8080).await?;
/// if let Some(incoming) = listener.accept().await {
///     println!("{:?} has connected", incoming.originator_address());
/// }
/// listener.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct RemoteListener {
    // Dropped first: who waits is refused before the server is told.
    channels: mpsc::Receiver<ForwardedChannel>,
    bound: Bound,
    session: Session,
}

/// Somebody who has connected to where the server listens, given by [`RemoteListener::accept`].
///
/// What it tells of them is the server's word.
#[derive(Debug)]
pub struct Incoming {
    stream: ForwardStream,
    originator: Option<Originator>,
}

impl RemoteListener {
    pub(crate) fn new(channels: mpsc::Receiver<ForwardedChannel>, bound: Bound, session: Session) -> Self {
        Self { channels, bound, session }
    }

    /// The address, as it was sent: `""` for all of them; `None` of a socket.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self.bound.place() {
            Place::Tcpip { address, .. } => Some(address),
            Place::Streamlocal { .. } => None,
        }
    }

    /// The port, which the server may have chosen; `None` of a socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.bound.place() {
            Place::Tcpip { port, .. } => Some(*port),
            Place::Streamlocal { .. } => None,
        }
    }

    /// The path of the socket; `None` of a port.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self.bound.place() {
            Place::Streamlocal { path } => Some(path),
            Place::Tcpip { .. } => None,
        }
    }

    /// The next who connects, for as long as that takes; `None` once the connection is over.
    ///
    /// # Cancel safety
    /// Safe: nobody is lost, and the server sees nothing.
    pub async fn accept(&mut self) -> Option<Incoming> {
        let (lease, originator) = self.session.accept(&mut self.channels, &self.bound).await?;
        Some(Incoming { stream: ForwardStream::new(lease), originator })
    }

    /// Tells the server to listen no more, and waits for its answer: then the port is free there. Those who wait are
    /// refused; what was accepted goes on.
    ///
    /// # Errors
    /// [`ErrorKind::RequestRefused`](crate::ErrorKind::RequestRefused) when the server says that it did not listen there,
    /// [`ErrorKind::ChannelTimeout`](crate::ErrorKind::ChannelTimeout),
    /// [`ErrorKind::Disconnected`](crate::ErrorKind::Disconnected).
    ///
    /// # Cancel safety
    /// Dropped, the server is told all the same.
    pub async fn close(self) -> Result<()> {
        let Self { channels, bound, session } = self;
        drop(channels);
        session.stop_listening(bound).await
    }
}

impl fmt::Debug for RemoteListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteListener")
            .field("target", &self.session.target())
            .field("place", &format_args!("{}", self.bound.place()))
            .finish_non_exhaustive()
    }
}

impl Incoming {
    /// The address that they have connected from, made fit to print; `None` of a socket.
    #[must_use]
    pub fn originator_address(&self) -> Option<&str> {
        self.originator.as_ref().map(|originator| originator.address.as_str())
    }

    /// The port that they have connected from; `None` of a socket, and where the server names none that there is.
    #[must_use]
    pub fn originator_port(&self) -> Option<u16> {
        self.originator.as_ref()?.port
    }

    /// What they say and hear.
    #[must_use]
    pub fn into_stream(self) -> ForwardStream {
        self.stream
    }
}
