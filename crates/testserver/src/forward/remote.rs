//! Forwards that a client asks the server to listen for: `tcpip-forward` (RFC 4254 section 7.1) and OpenSSH's
//! `streamlocal-forward`, from the request to its cancellation or the connection's end.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    connection::Connection,
    driver,
    error::{Error, ErrorKind},
    forward::{
        listener::Listener,
        open::{Opener, Originator},
        stream::ChannelStream,
    },
    record::{ChannelKind, ForwardPlace},
};

/// What a server does about requests to listen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Policy<R> {
    #[default]
    Refused,
    /// Agrees, and only the test connects.
    Scripted,
    Real(R),
}

/// The requests to listen that are in force, of all connections.
#[derive(Default)]
pub(crate) struct Forwards {
    entries: Mutex<Vec<Entry>>,
    scripted_ports: AtomicU16,
    /// Held from finding a place free to taking it: of two connections that ask at once for one place, one gets it.
    turn: tokio::sync::Mutex<()>,
}

struct Entry {
    number: usize,
    connection: Weak<Connection>,
    opener_handle: Option<russh::server::Handle>,
    place: ForwardPlace,
    port: Option<u16>,
    cancel: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

/// The first port that a scripted forward gets when the client leaves the choice to the server: that of the range
/// which nobody is registered for (RFC 6335 section 6). Counted up from there, so that every run has the same.
const SCRIPTED_PORTS: u16 = 49_152;

/// A pause after a failed accept, such as one for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

impl Forwards {
    /// Listens if the policy allows it; `None` is a refusal. Of a TCP forward the port is told.
    pub(crate) async fn begin(&self, opener: Opener, place: ForwardPlace) -> Option<Option<u16>> {
        let connection = Arc::clone(&opener.connection);
        let keeper = &connection.shared.keeper;
        let turn = self.turn.lock().await;
        let (listener, port) = match self.listen(&connection, &place).await {
            Ok(listening) => listening,
            Err(error) => {
                tracing::debug!(%error, ?place, "remote forward refused");
                keeper.forward_refused(connection.number, place);
                return None;
            }
        };
        let number = keeper.forward_begun(connection.number, place.clone(), port);
        let (end, ended) = oneshot::channel();
        let cancel = connection.gone.child_token();
        self.lock().push(Entry {
            number,
            connection: Arc::downgrade(&connection),
            opener_handle: opener.handle.clone(),
            place: place.clone(),
            port,
            cancel: cancel.clone(),
            ended: Some(ended),
        });
        drop(turn);
        let kind = kind(&place, port);
        driver::serve_channel(&connection, serve(opener, listener, kind, number, cancel, end));
        Some(port)
    }

    /// Stops listening; `false` is a refusal, there being nothing to stop. Nobody listens any more when it returns;
    /// who has connected before stays.
    pub(crate) async fn cancel(&self, connection: &Connection, place: &ForwardPlace) -> bool {
        let found = {
            let mut entries = self.lock();
            let same = |entry: &&mut Entry| {
                entry.connection.upgrade().is_some_and(|owner| owner.number == connection.number)
                    && entry.is_cancelled_by(place)
            };
            entries
                .iter_mut()
                .find(same)
                .and_then(|entry| entry.ended.take().map(|ended| (entry.cancel.clone(), ended)))
        };
        let Some((cancel, ended)) = found else { return false };
        cancel.cancel();
        // An end that is not announced is an end as well.
        drop(ended.await);
        true
    }

    /// Connects as somebody who has found the port or the path.
    pub(crate) async fn visit(&self, wanted: &Visited<'_>) -> Result<ChannelStream, Error> {
        let found = {
            let entries = self.lock();
            entries.iter().find(|entry| entry.is_visited_by(wanted)).and_then(|entry| {
                let connection = entry.connection.upgrade()?;
                let opener = Opener { connection, handle: entry.opener_handle.clone() };
                Some((opener, kind(&entry.place, entry.port)))
            })
        };
        let Some((opener, kind)) = found else {
            return Err(Error::new(ErrorKind::Channel, format!("no client has asked to listen on {wanted}")));
        };
        let opened = opener.stream(kind, Originator::test()).await;
        opened.map_err(|source| Error::channel("open a forwarded channel", source))
    }

    async fn listen(
        &self,
        connection: &Connection,
        place: &ForwardPlace,
    ) -> io::Result<(Listener, Option<u16>)> {
        let settings = &connection.shared.settings.forwarding;
        let refused = Err(io::ErrorKind::PermissionDenied.into());
        match place {
            ForwardPlace::Tcpip(address, port) => match settings.tcpip_forward {
                Policy::Refused => refused,
                Policy::Real(reach) => {
                    let (listener, port) = Listener::tcp(address, *port, reach).await?;
                    Ok((listener, Some(port)))
                }
                Policy::Scripted => Ok((Listener::Scripted, Some(self.scripted_port(*port)?))),
            },
            ForwardPlace::Streamlocal(path) => match settings.streamlocal_forward {
                Policy::Refused => refused,
                Policy::Real(()) => {
                    let listener = Listener::unix(&connection.shared.directory.path().join(path))?;
                    Ok((listener, None))
                }
                Policy::Scripted if self.lock().iter().any(|entry| entry.place == *place) => {
                    Err(io::ErrorKind::AddrInUse.into())
                }
                Policy::Scripted => Ok((Listener::Scripted, None)),
            },
        }
    }

    fn scripted_port(&self, asked: u32) -> io::Result<u16> {
        let asked = u16::try_from(asked).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let entries = self.lock();
        let is_free = |port: u16| !entries.iter().any(|entry| entry.port == Some(port));
        if asked != 0 {
            return if is_free(asked) { Ok(asked) } else { Err(io::ErrorKind::AddrInUse.into()) };
        }
        let range = u16::MAX - SCRIPTED_PORTS;
        (0..range)
            .map(|_| SCRIPTED_PORTS + self.scripted_ports.fetch_add(1, Ordering::Relaxed) % range)
            .find(|port| is_free(*port))
            .ok_or_else(|| io::ErrorKind::AddrInUse.into())
    }

    fn forget(&self, number: usize) {
        self.lock().retain(|entry| entry.number != number);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a test connects to.
pub(crate) enum Visited<'a> {
    Port(u16),
    Path(&'a str),
}

impl std::fmt::Display for Visited<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Path(path) => write!(f, "the path {path:?}"),
        }
    }
}

impl Entry {
    /// RFC 4254 section 7.1: by the address as it was asked for, and the port that is listened on.
    fn is_cancelled_by(&self, place: &ForwardPlace) -> bool {
        match (&self.place, place) {
            (ForwardPlace::Tcpip(address, _), ForwardPlace::Tcpip(given, port)) => {
                address == given && self.port.is_some_and(|own| u32::from(own) == *port)
            }
            (own, given) => own == given,
        }
    }

    fn is_visited_by(&self, wanted: &Visited<'_>) -> bool {
        match (wanted, &self.place) {
            (Visited::Port(port), _) => self.port == Some(*port),
            (Visited::Path(path), ForwardPlace::Streamlocal(own)) => own == path,
            (Visited::Path(_), ForwardPlace::Tcpip(..)) => false,
        }
    }
}

/// Accepts until the forward is cancelled or the connection gone. Each who connects is a task of the connection's.
async fn serve(
    opener: Opener,
    listener: Listener,
    kind: ChannelKind,
    number: usize,
    cancel: CancellationToken,
    end: oneshot::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => break,
        };
        match accepted {
            Ok((line, from)) => {
                driver::serve_channel(&opener.connection, opener.clone().carry(kind.clone(), from, line));
            }
            Err(error) => {
                tracing::warn!(%error, "accept on a forwarded port failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let shared = &opener.connection.shared;
    shared.forwards.forget(number);
    shared.keeper.forward_ended(number);
    // Nobody waits for it unless it was cancelled.
    end.send(()).ok();
}

/// The channel for somebody who has connected. The address is the one asked for, as OpenSSH's client looks it up by.
fn kind(place: &ForwardPlace, port: Option<u16>) -> ChannelKind {
    match place {
        ForwardPlace::Tcpip(address, asked) => {
            ChannelKind::ForwardedTcpip(address.clone(), port.map_or(*asked, u32::from))
        }
        ForwardPlace::Streamlocal(path) => ChannelKind::ForwardedStreamlocal(path.clone()),
    }
}
