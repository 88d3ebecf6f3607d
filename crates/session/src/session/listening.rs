//! Having the server listen, for as long as somebody accepts.
//!
//! The connection's task asks and cancels: whoever waits for an answer may be dropped before it is there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::base::{
    Connection, ForwardedChannel, Gone, NotListening, Originator, Place, Registration, forwarded_channels,
};
use crate::driver::{Task, Tasks};
use crate::ending::Ending;
use crate::error::{Error, ErrorKind, Result};
use crate::listener::RemoteListener;
use crate::session::places::{Kept, Place as ChannelPlace};
use crate::session::{ChannelUse, Lease, Session};

/// What the server listens on; dropped, it is told to stop.
pub(crate) struct Bound {
    registration: Option<Registration>,
    place: Place,
    connection: Arc<Connection>,
    tasks: Tasks,
    /// Where somebody else says where channels are: this one is taken until the server has said that it listens no more.
    kept: Option<Kept>,
}

impl Session {
    /// Has the server listen on a port, and gives the connections that come in there (`tcpip-forward`, RFC 4254 section
    /// 7.1), as `ssh -R` does.
    ///
    /// The address says which addresses of the server are meant: `""` all of them, `0.0.0.0` all of IPv4, `::` all of
    /// IPv6, `localhost` those that the server alone reaches, `127.0.0.1` and `::1` the one of them; another is meant
    /// itself. `*` is sent as `""`, as by `ssh`. OpenSSH's server does so with `GatewayPorts clientspecified` alone;
    /// without it, it takes all but `127.0.0.1` and `::1` for `localhost`, with `yes` it takes every address for `""`, and
    /// it does not say so. With port 0 the server chooses one, which [`RemoteListener::port`] tells.
    ///
    /// ```no_run
    /// # async fn example(session: rustle_session::Session) -> std::io::Result<()> {
    /// let mut listener = session.listen_tcpip("localhost", 0).await.map_err(std::io::Error::other)?;
    /// println!("the host listens on port {}", listener.port().unwrap_or_default());
    /// while let Some(incoming) = listener.accept().await {
    ///     let (mut reading, mut writing) = tokio::io::split(incoming.into_stream());
    ///     tokio::io::copy(&mut reading, &mut writing).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::RequestRefused`] when the server does not: it does not say whether its policy forbids it or the port
    /// is taken. [`ErrorKind::Configuration`] when this session listens there already, [`ErrorKind::Protocol`] when the
    /// server does not say which port it has chosen, [`ErrorKind::ChannelTimeout`], [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// Dropped, what the server listens on later for this is cancelled at once.
    pub async fn listen_tcpip(&self, address: impl Into<String>, port: u16) -> Result<RemoteListener> {
        let mut address = address.into();
        if address == "*" {
            address.clear();
        }
        self.listen(Place::Tcpip { address, port }).await
    }

    /// Has the server listen on a Unix socket, and gives the connections that come in there
    /// (`streamlocal-forward@openssh.com`, OpenSSH PROTOCOL 2.4).
    ///
    /// OpenSSH's server refuses a path where there is a file, and leaves the socket's file there when it listens no
    /// more, unless `StreamLocalBindUnlink` is set there.
    ///
    /// # Errors
    /// As [`listen_tcpip`](Self::listen_tcpip).
    ///
    /// # Cancel safety
    /// Dropped, what the server listens on later for this is cancelled at once.
    pub async fn listen_streamlocal(&self, path: impl Into<String>) -> Result<RemoteListener> {
        self.listen(Place::Streamlocal { path: path.into() }).await
    }

    /// On this connection, unless somebody else says where: then the listener has a place there like a channel, and those
    /// who are accepted have it with it.
    async fn listen(&self, place: Place) -> Result<RemoteListener> {
        let Some(places) = &self.places else { return self.listen_here(place, None).await };
        let mut taken = places.take(ChannelUse::Forward).await?;
        loop {
            let session = Self { inner: Arc::clone(&taken.session().inner), places: None };
            let kept = Kept::new(taken);
            match session.listen_here(place.clone(), Some(kept.clone())).await {
                // Lost before the server listened: nothing was begun.
                Err(error) if error.kind() == ErrorKind::Disconnected => match kept.into_place() {
                    Some(lost) => taken = lost.another(error).await?,
                    None => return Err(error),
                },
                listening => return listening,
            }
        }
    }

    async fn listen_here(&self, place: Place, kept: Option<Kept>) -> Result<RemoteListener> {
        let (queue, channels) = forwarded_channels();
        let (answer, answered) = oneshot::channel();
        let (connection, tasks) = (Arc::clone(&self.inner.connection), self.inner.tasks.clone());
        let asked = place.clone();
        self.inner.tasks.send(Task::Serve(Box::pin(async move {
            let listening = connection.listen(asked, queue).await;
            let bound = listening.map(|registration| {
                kept.iter().for_each(Kept::opened);
                Bound::new(registration, connection, tasks, kept)
            });
            // Dropped where nobody waits for it any more, as on its way to whoever does.
            let _ = answer.send(bound);
        })));
        let listening = async {
            match answered.await {
                Ok(Ok(bound)) => Ok(bound),
                Ok(Err(why)) => Err(self.not_listening_error(&place, &why).await),
                // The connection's task has ended with it.
                Err(_) => Err(self.gone_error("listen").await),
            }
        };
        let bound = self.within_request_timeout("listen", listening).await?;
        tracing::debug!(parent: &self.inner.span, place = %bound.place(), "the server listens");
        Ok(RemoteListener::new(channels, bound, self.clone()))
    }

    /// The next who has connected; `None` once the connection is over.
    ///
    /// # Cancel safety
    /// Safe: nobody is lost.
    pub(crate) async fn accept(
        &self,
        channels: &mut mpsc::Receiver<ForwardedChannel>,
        bound: &Bound,
    ) -> Option<(Lease, Option<Originator>)> {
        let mut forwarded = tokio::select! {
            biased;
            () = self.inner.connection.gone() => return None,
            forwarded = channels.recv() => forwarded?,
        };
        // From here on nothing suspends.
        let originator = forwarded.originator();
        let channel = self.inner.connection.accept(forwarded).await;
        self.inner.channels_opened.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!(parent: &self.inner.span, "channel", number = channel.number());
        let place = bound.kept.clone().map(|kept| -> Box<dyn ChannelPlace> { Box::new(kept) });
        Some((Lease::new(self.clone(), channel, Ending::Close, place, span), originator))
    }

    /// Tells the server to listen no more, and waits for its answer.
    pub(crate) async fn stop_listening(&self, mut bound: Bound) -> Result<()> {
        const OPERATION: &str = "close listener";
        let (answer, answered) = oneshot::channel();
        bound.stop(|stopped| drop(answer.send(stopped)));
        let stopped = async {
            match answered.await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => Err(Error::new(
                    ErrorKind::RequestRefused,
                    OPERATION,
                    format!("the server says that it did not listen on {}", bound.place()),
                )
                .at(self.target())
                .with_hint(
                    "look on the server for what listens there; no connection from there is accepted",
                )),
                Ok(Err(Gone)) | Err(_) => Err(self.gone_error(OPERATION).await),
            }
        };
        self.within_request_timeout(OPERATION, stopped).await
    }

    async fn not_listening_error(&self, place: &Place, why: &NotListening) -> Error {
        let (kind, message, hint) = match why {
            // Nobody is there to hear that it was given up.
            NotListening::Gone | NotListening::GivenUp => return self.gone_error("listen").await,
            NotListening::Refused => (
                ErrorKind::RequestRefused,
                format!("the server refused to listen on {place}"),
                match place {
                    Place::Tcpip { port: 0, .. } => {
                        "its policy forbids it (AllowTcpForwarding, PermitListen and the like in its sshd_config), or it \
                         has no such address"
                    }
                    Place::Tcpip { .. } => {
                        "its policy forbids it (AllowTcpForwarding, PermitListen and the like in its sshd_config), or \
                         the port is taken there, or below 1024 and so for root; port 0 leaves the choice to the server"
                    }
                    Place::Streamlocal { .. } => {
                        "its policy forbids it (AllowStreamLocalForwarding and the like in its sshd_config), or a file \
                         is in the way, such as the socket of an earlier listener, or the account may not make one there"
                    }
                },
            ),
            NotListening::Taken => (
                ErrorKind::Configuration,
                format!("this session listens on {place} already"),
                "accept from the listener that is there, or close it first",
            ),
            NotListening::NoSuchPort(port) => (
                ErrorKind::Protocol,
                format!("the server was asked for {place} and named port {port}, which there is none of"),
                "ask for a certain port instead of 0",
            ),
        };
        Error::new(kind, "listen", message).at(self.target()).with_hint(hint)
    }
}

impl Bound {
    fn new(
        registration: Registration,
        connection: Arc<Connection>,
        tasks: Tasks,
        kept: Option<Kept>,
    ) -> Self {
        let place = registration.place().clone();
        Self { place, registration: Some(registration), connection, tasks, kept }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Has the connection's task cancel it, once, and say what came of that.
    fn stop(&mut self, then: impl FnOnce(Result<bool, Gone>) + Send + 'static) {
        let Some(registration) = self.registration.take() else { return };
        let (connection, kept) = (Arc::clone(&self.connection), self.kept.take());
        self.tasks.send(Task::Serve(Box::pin(async move {
            then(connection.stop_listening(registration).await);
            drop(kept);
        })));
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Whatever the server says, nobody from there is accepted any more.
        self.stop(drop);
    }
}
