//! Ports and sockets that the server listens on for this side: `tcpip-forward` (RFC 4254 section 7.1) and OpenSSH's
//! `streamlocal-forward@openssh.com` (PROTOCOL section 2.4), and the channels that it opens for who connects there.

use std::sync::Arc;

use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel as BaseChannel, ChannelOpenFailure};
use tokio::sync::mpsc;

use crate::base::inbound::Inbound;
use crate::base::listeners::{NotClaimed, Place, Turned, WAITING, Why};
use crate::base::shared::{Shared, sanitised};
use crate::base::{Channel, Connection, Gone};

/// Longer than any name that a host may have; what a server tells of more is cut off.
const ADDRESS_LIMIT: usize = 255;

/// A channel for somebody who has connected to where the server listens. The server has no answer yet, so it sends
/// nothing for it. Dropped, it is refused.
pub(crate) struct ForwardedChannel {
    channel: BaseChannel<Msg>,
    reply: ChannelOpenHandle,
    originator: Option<Originator>,
}

/// Who has connected, as the server tells: it may tell anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Originator {
    pub(crate) address: String,
    pub(crate) port: Option<u16>,
}

/// A place where the server listens, or is being asked to. Dropped, it is forgotten on this side alone.
pub(crate) struct Registration {
    shared: Arc<Shared>,
    number: u64,
    place: Place,
}

/// Why the server does not listen.
#[derive(Debug)]
pub(crate) enum NotListening {
    /// The server refused, and does not say why.
    Refused,
    /// It has chosen a port that there is none of, or did not say which.
    NoSuchPort(u32),
    /// This side accepts from there already.
    Taken,
    /// It was not asked: whoever wanted it did not wait.
    GivenUp,
    /// The connection ended first.
    Gone,
}

impl ForwardedChannel {
    pub(super) fn new(channel: BaseChannel<Msg>, reply: ChannelOpenHandle) -> Self {
        Self { channel, reply, originator: None }
    }

    pub(super) fn with_originator(mut self, address: &str, port: u32) -> Self {
        let address = sanitised(address).replace(['\n', '\t'], " ").chars().take(ADDRESS_LIMIT).collect();
        self.originator = Some(Originator { address, port: u16::try_from(port).ok() });
        self
    }

    /// Who has connected; of a socket nobody knows.
    pub(crate) fn originator(&mut self) -> Option<Originator> {
        self.originator.take()
    }
}

impl Inbound {
    /// Hands a channel to the listener at this place, or refuses it; `None` is a place that there cannot be.
    pub(super) async fn forwarded(&self, at: Option<Place>, channel: ForwardedChannel, kind: &'static str) {
        let offered = match at {
            Some(at) => self.listeners.offer(&at, channel),
            None => Err(Turned { channel, why: Why::NobodyAsked }),
        };
        if let Err(turned) = offered {
            self.turn_away(turned, kind).await;
        }
    }

    async fn turn_away(&self, turned: Turned<ForwardedChannel>, kind: &'static str) {
        let reply = turned.channel.reply;
        match turned.why {
            Why::NobodyAsked => self.refuse(reply, kind).await,
            Why::Over => reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await,
            Why::TooMany => {
                tracing::debug!(
                    kind,
                    waiting = WAITING,
                    "so many wait to be accepted that another is refused"
                );
                reply.reject(ChannelOpenFailure::ResourceShortage).await;
            }
        }
    }
}

impl Registration {
    async fn claim(
        shared: &Arc<Shared>,
        place: Place,
        queue: mpsc::Sender<ForwardedChannel>,
    ) -> Result<Self, NotClaimed> {
        let number = shared.inbound.listeners.claim(&place, queue).await?;
        Ok(Self { shared: Arc::clone(shared), number, place })
    }

    /// Takes in the port that the server has chosen.
    async fn settle(&mut self, chosen: u16) {
        if let Place::Tcpip { port, .. } = &mut self.place {
            *port = chosen;
        }
        for turned in self.shared.inbound.listeners.settle(self.number, chosen) {
            self.shared.inbound.turn_away(turned, "forwarded-tcpip").await;
        }
    }

    /// Where the server listens.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.inbound.listeners.forget(self.number);
    }
}

/// A queue for the channels of one listener.
pub(crate) fn forwarded_channels() -> (mpsc::Sender<ForwardedChannel>, mpsc::Receiver<ForwardedChannel>) {
    mpsc::channel(WAITING)
}

impl Connection {
    /// Asks the server to listen; what it opens for that goes to the queue from then on.
    ///
    /// # Cancel safety
    /// Not safe: dropped after its request was sent, the server would listen for nobody. Whoever asks therefore has the
    /// connection's task drive it to its end, and cancel what it gives.
    pub(crate) async fn listen(
        &self,
        place: Place,
        queue: mpsc::Sender<ForwardedChannel>,
    ) -> Result<Registration, NotListening> {
        let claimed = Registration::claim(&self.shared, place, queue).await;
        let mut registration = claimed.map_err(|why| match why {
            NotClaimed::Taken => NotListening::Taken,
            NotClaimed::GivenUp => NotListening::GivenUp,
        })?;
        let answer = match &registration.place {
            Place::Tcpip { address, port } => self.handle.tcpip_forward(address, u32::from(*port)).await,
            Place::Streamlocal { path } => self.handle.streamlocal_forward(path).await.map(|()| 0),
        };
        let chosen = match answer {
            Ok(chosen) => chosen,
            Err(russh::Error::RequestDenied) => return Err(NotListening::Refused),
            Err(_) => return Err(NotListening::Gone),
        };
        if registration.place.has_no_port_yet() {
            match u16::try_from(chosen) {
                Ok(port) if port != 0 => registration.settle(port).await,
                _ => {
                    let Ok(_) = self.stop_listening(registration).await else {
                        return Err(NotListening::Gone);
                    };
                    return Err(NotListening::NoSuchPort(chosen));
                }
            }
        }
        Ok(registration)
    }

    /// Asks the server to listen no more; `false` where it says that it did not.
    ///
    /// # Cancel safety
    /// The request is sent whole or not at all.
    pub(crate) async fn stop_listening(&self, registration: Registration) -> Result<bool, Gone> {
        let answer = match &registration.place {
            Place::Tcpip { address, port } => {
                self.handle.cancel_tcpip_forward(address, u32::from(*port)).await
            }
            Place::Streamlocal { path } => self.handle.cancel_streamlocal_forward(path).await,
        };
        match answer {
            Ok(()) => Ok(true),
            Err(russh::Error::RequestDenied) => Ok(false),
            Err(_) => Err(Gone),
        }
    }

    /// Opens a channel to somebody who has connected. From then on the server sends what they say, and what is not taken
    /// of it is kept within the same limits as of any other channel.
    ///
    /// # Cancel safety
    /// Does not suspend.
    pub(crate) async fn accept(&self, forwarded: ForwardedChannel) -> Channel {
        self.shared.limit(forwarded.channel.id(), self.shared.limits);
        forwarded.reply.accept().await;
        Channel::new(forwarded.channel, Arc::clone(&self.shared))
    }
}
