//! The base, in a small set of commands and events of our own.
//!
//! Nothing outside this folder names the SSH implementation underneath, so that it can be replaced, and so
//! that its breaking releases stay in here.

pub(crate) mod agent;
pub(crate) mod auth;
mod channel;
mod close_reason;
mod driver;
mod forwarded;
mod handler;
mod handshake;
mod heap;
mod inbound;
mod intake;
pub(crate) mod keys;
mod listeners;
mod negotiate;
mod rekey;
mod round_trip;
mod shared;
mod stalls;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::client::Handle;
use russh::{ChannelOpenFailure, Disconnect};

use crate::algorithms::Negotiated;
use crate::auth::agent::AgentBinding;
use crate::base::handler::Handler;
use crate::base::shared::Shared;
use crate::base::wire::{CutReason, WireControl};
use crate::session::Stalls;

pub(crate) use crate::base::channel::{Channel, Gone, Request, Writer};
pub use crate::base::close_reason::CloseReason;
pub(crate) use crate::base::forwarded::{
    ForwardedChannel, NotListening, Originator, Registration, forwarded_channels,
};
pub(crate) use crate::base::handshake::{HostKeyQuestion, handshake};
pub(crate) use crate::base::inbound::AgentChannel;
pub(crate) use crate::base::intake::{End, Exit, Stream};
pub(crate) use crate::base::listeners::Place;
pub(crate) use crate::base::shared::Refusal;
pub(crate) use crate::base::wire::Io;

/// A connection after its handshake and before its authentication. Dropped, it is cut.
pub(crate) struct Transport {
    handle: Handle<Handler>,
    shared: Arc<Shared>,
    cut: CutOnDrop,
}

/// An authenticated connection. Dropped, it is cut; whoever owns it ends it in a better way first.
pub(crate) struct Connection {
    handle: Handle<Handler>,
    shared: Arc<Shared>,
    _cut: CutOnDrop,
}

/// Ends the stream when its owner goes away: the base itself would keep task and socket.
struct CutOnDrop(Arc<WireControl>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut(CutReason::Aborted);
    }
}

/// Which channel to open.
#[derive(Debug, Clone)]
pub(crate) enum Open {
    /// RFC 4254 section 6.1.
    Session,
    /// RFC 4254 section 7.2.
    DirectTcpip { host: String, port: u16 },
    /// OpenSSH PROTOCOL section 2.4.
    DirectStreamlocal { path: String },
}

/// Why a channel was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The server refused.
    Refused(Refusal),
    /// The connection ended first.
    Gone,
}

impl Transport {
    /// Whether the connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.handle.is_closed() || self.shared.control.gone().is_cancelled()
    }

    /// Why the connection ended; call it once [`Transport::is_gone`].
    pub(crate) fn close_reason(&self) -> CloseReason {
        self.shared.reason()
    }

    /// Resolves when nothing is left of the connection, so that its close reason is known.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn gone(&self) {
        self.shared.control.gone().cancelled().await;
    }

    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        self.shared.negotiated()
    }

    /// What the server wanted a person to read before logging in (RFC 4252 section 5.4).
    pub(crate) fn banner(&self) -> String {
        self.shared.banner()
    }

    /// Ends authentication; the connection is ready for channels.
    pub(crate) fn into_connection(self) -> Connection {
        Connection { handle: self.handle, shared: self.shared, _cut: self.cut }
    }
}

impl Connection {
    /// Opens a channel.
    ///
    /// # Cancel safety
    /// Not safe: dropped after its request was sent, nobody would close what the server opens. The owner of
    /// the connection therefore drives it to its end in every case.
    pub(crate) async fn open(&self, open: &Open) -> Result<Channel, NotOpened> {
        // The originator is for the server's logs; ssh sends its own for a forward and these for stdio.
        const ORIGINATOR: &str = "127.0.0.1";
        let _opening = Opening::new(&self.shared.opening);
        let start = tokio::time::Instant::now();
        let opened = match open {
            Open::Session => self.handle.channel_open_session().await,
            Open::DirectTcpip { host, port } => {
                self.handle.channel_open_direct_tcpip(host, u32::from(*port), ORIGINATOR, 0).await
            }
            Open::DirectStreamlocal { path } => self.handle.channel_open_direct_streamlocal(path).await,
        };
        match opened {
            Ok(channel) => {
                self.shared.round_trip.answered(start.elapsed());
                Ok(Channel::new(channel, Arc::clone(&self.shared)))
            }
            Err(russh::Error::ChannelOpenFailure(reason)) => {
                Err(NotOpened::Refused(self.shared.refusal(refusal_code(&reason)).await))
            }
            Err(_) => Err(NotOpened::Gone),
        }
    }

    /// Says goodbye; the connection is gone some time after ([`Connection::gone`]).
    ///
    /// # Cancel safety
    /// Said whole or not at all.
    pub(crate) async fn disconnect(&self) {
        self.shared.set_reason(CloseReason::Local);
        // Gone already is as good.
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }

    /// Ends the connection now, without a word.
    pub(crate) fn cut(&self) {
        self.shared.set_reason(CloseReason::Aborted);
        self.shared.control.cut(CutReason::Aborted);
    }

    /// Whether the connection has ended, or is about to and takes nothing more.
    pub(crate) fn is_gone(&self) -> bool {
        self.handle.is_closed() || self.shared.control.gone().is_cancelled()
    }

    /// Resolves when the socket is closed and the loop has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn gone(&self) {
        self.shared.control.gone().cancelled().await;
    }

    /// Why the connection ended; call it once gone.
    pub(crate) fn close_reason(&self) -> CloseReason {
        self.shared.reason()
    }

    /// Asks the server for a sign of life and waits for it (`keepalive@openssh.com`, OpenSSH PROTOCOL 2).
    ///
    /// # Cancel safety
    /// Safe; a late answer is dropped.
    pub(crate) async fn ping(&self) -> Result<Duration, Gone> {
        let start = tokio::time::Instant::now();
        self.handle.send_ping().await.map_err(|_| Gone)?;
        let took = start.elapsed();
        // The base answers a lost connection with success.
        if self.is_gone() {
            return Err(Gone);
        }
        self.shared.round_trip.answered(took);
        Ok(took)
    }

    /// The shortest time in which the server has answered so far.
    pub(crate) fn round_trip(&self) -> Duration {
        self.shared.round_trip.shortest()
    }

    /// The host keys that the server announces after authentication (OpenSSH PROTOCOL 2.5), in wire form; never, where it
    /// does not.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn host_keys_announced(&self) -> Vec<Vec<u8>> {
        self.shared.announced().await
    }

    /// Whether the server proves that it has these host keys, by a signature of each over this connection.
    ///
    /// # Cancel safety
    /// Safe; a late answer is dropped.
    pub(crate) async fn prove_host_keys(&self, wires: &[Vec<u8>]) -> Result<bool, Gone> {
        let keys: Result<Vec<_>, _> =
            wires.iter().map(|wire| russh::keys::PublicKey::from_bytes(wire)).collect();
        let Ok(keys) = keys else { return Ok(false) };
        match self.handle.hostkeys_prove(keys).await {
            // The base answers a lost connection in several ways.
            _ if self.is_gone() => Err(Gone),
            proved => Ok(proved.is_ok()),
        }
    }

    /// Resolves when the keys in use have served as long as their cipher, or the options, allow.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn keys_worn(&self) {
        tokio::select! {
            () = self.shared.control.alarm() => {}
            () = self.shared.keys_old() => {}
        }
    }

    /// Exchanges new keys; see [`rekey`](mod@rekey) for how nothing in flight is lost.
    ///
    /// # Cancel safety
    /// The exchange goes on or has not begun; nothing is held back after a drop.
    pub(crate) async fn rekey(&self) -> Result<(), Gone> {
        rekey::rekey(&self.handle, &self.shared).await
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            received: self.shared.control.received(),
            sent: self.shared.control.sent(),
            rekeys: self.shared.rekeys(),
            channels_open: self.shared.channels_open(),
            stalls: self.shared.stalls.seen(),
        }
    }

    pub(crate) fn key_use(&self) -> f64 {
        self.shared.key_use()
    }

    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        self.shared.negotiated()
    }

    /// What tells an agent which host and which connection it is asked from.
    pub(crate) fn agent_binding(&self) -> Option<AgentBinding> {
        auth::binding(&self.handle)
    }

    /// The server's identification line.
    pub(crate) fn server_version(&self) -> String {
        handshake::identification(&self.shared.control.preface()).unwrap_or_default()
    }

    pub(crate) fn banner(&self) -> String {
        self.shared.banner()
    }
}

/// Counts a channel that is being opened.
struct Opening<'a>(&'a AtomicUsize);

impl<'a> Opening<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection has carried.
pub(crate) struct Counters {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) rekeys: u64,
    pub(crate) channels_open: usize,
    pub(crate) stalls: Stalls,
}

fn refusal_code(reason: &ChannelOpenFailure) -> u32 {
    reason.code()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_base_can_be_polled_from_any_thread() {
        fn assert_send_sync<T: Send + Sync>() {}
        assert_send_sync::<super::Connection>();
        assert_send_sync::<super::Channel>();
    }
}
