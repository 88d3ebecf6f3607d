//! The raw peer as a builder is told of it, and the handle by which a script speaks for it.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::raw::{
    line::Order,
    message,
    wire::{Reader, Writer},
};

/// The second personality of a [`TestServer`](crate::TestServer): an SSH server of this crate's own, which owns every
/// byte after the key exchange and so can do what a proper implementation cannot; see
/// [`Builder::raw_peer`](crate::Builder::raw_peer).
///
/// It serves the same users, commands, SFTP and faults, and keeps the same record, as far as sessions: it opens no
/// forwards. Its key exchange is `curve25519-sha256`, with the builder's first host key; its ciphers are
/// `aes256-gcm@openssh.com`, `aes256-ctr` and `aes128-ctr`, the latter two with `hmac-sha2-256-etm@openssh.com` or
/// `hmac-sha2-256`. [`Algorithms`](crate::Algorithms) may leave some of them out, and with them the
/// [extensions](crate::Algorithms::without_ext_info), which the other personality always sends.
///
/// It holds clients to what was agreed: one that sends more than its window or the packet limit allows is
/// disconnected, and the record tells why.
#[derive(Clone, Default)]
#[must_use]
pub struct RawPeer {
    rekey_every: Option<u64>,
    script: Option<Arc<Script>>,
    /// Whether a client has met the script, or need not.
    played: Arc<AtomicBool>,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Script = dyn Fn(RawSession) -> Running + Send + Sync;

impl RawPeer {
    /// A peer that does nothing wrong until a fault has it do so.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a key exchange after each `n` messages it sends: with 1, one after the other for as long as there is
    /// anything to say. At least 1. Counting begins at the login, with a script at the first key exchange. It never does
    /// by itself otherwise, but for [`Builder::rekey_after`](crate::Builder::rekey_after).
    ///
    /// ```
    /// use rustle_testserver::{RawPeer, TestServer};
    ///
    /// let builder = TestServer::builder().raw_peer(RawPeer::new().rekey_every(10));
    /// ```
    pub fn rekey_every(mut self, n: u64) -> Self {
        self.rekey_every = Some(n.max(1));
        self
    }

    /// Has this code speak, in place of the server, from the first key exchange on. When it returns, what it has sent
    /// goes out and the connection is closed. Faults by message strike what it sends; the record has the connection
    /// and its bytes alone. A script that panics, by an assertion for one, has said its last word. That, and a
    /// script that no client has met, is an error of [`TestServer::stop`](crate::TestServer::stop).
    ///
    /// ```
    /// use rustle_testserver::{RawPeer, TestServer, message};
    ///
    /// let builder = TestServer::builder().raw_peer(RawPeer::new().script(async |mut peer| {
    ///     // Lets anybody in, and answers the first channel by a message that no RFC knows.
    ///     let Some(_user) = peer.accept_login().await else { return };
    ///     while let Some(payload) = peer.next().await {
    ///         if payload.first() == Some(&message::CHANNEL_OPEN) {
    ///             drop(peer.send(vec![200, 1, 2, 3]).await);
    ///             drop(peer.rekey().await);
    ///             drop(peer.disconnect(11, "enough").await);
    ///             return;
    ///         }
    ///     }
    /// }));
    /// ```
    pub fn script<F, Fut>(mut self, script: F) -> Self
    where
        F: Fn(RawSession) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.script = Some(Arc::new(move |session| Box::pin(script(session))));
        self
    }

    pub(crate) fn messages_between_rekeys(&self) -> Option<u64> {
        self.rekey_every
    }

    pub(crate) fn play(&self, session: impl FnOnce() -> RawSession) -> Option<Running> {
        let script = Arc::clone(self.script.as_ref()?);
        let (played, session) = (Arc::clone(&self.played), session());
        Some(Box::pin(async move {
            played.store(true, Ordering::Release);
            script(session).await;
        }))
    }

    /// The same for a server of its own.
    pub(crate) fn anew(self) -> Self {
        Self { played: Arc::default(), ..self }
    }

    /// Whether it has a script that no client has met.
    pub(crate) fn is_unplayed(&self) -> bool {
        self.script.is_some() && !self.played.load(Ordering::Acquire)
    }

    pub(crate) fn forgive(&self) {
        self.played.store(true, Ordering::Release);
    }
}

impl fmt::Debug for RawPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPeer")
            .field("rekey_every", &self.rekey_every)
            .field("scripted", &self.script.is_some())
            .finish()
    }
}

/// A connection after its key exchange, in the hands of [`RawPeer::script`].
///
/// Key exchanges go on beneath it: their messages are neither seen nor sent here. A connection that the client has ended
/// stays open in the record until the script returns; one that cannot be written to any more ends the script where it
/// is. On one on which the client has broken the protocol the script hears what came before that and then the end, and
/// has ten seconds to return.
#[derive(Debug)]
pub struct RawSession {
    received: mpsc::Receiver<Bytes>,
    orders: mpsc::Sender<Order>,
}

impl RawSession {
    pub(crate) fn new(received: mpsc::Receiver<Bytes>, orders: mpsc::Sender<Order>) -> Self {
        Self { received, orders }
    }

    /// The next message from the client, number and fields; `None` when the connection is gone.
    ///
    /// # Cancel safety
    /// No message is lost when this future is dropped.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.received.recv().await
    }

    /// Sends this payload, whatever it is.
    ///
    /// # Errors
    /// The connection is gone.
    ///
    /// # Cancel safety
    /// The message is sent whole or not at all when this future is dropped.
    pub async fn send(&mut self, payload: impl Into<Bytes>) -> io::Result<()> {
        self.order(Order::Payload(payload.into())).await
    }

    /// Begins a new key exchange, after the one under way if there is one.
    ///
    /// # Errors
    /// The connection is gone.
    ///
    /// # Cancel safety
    /// It is begun or not when this future is dropped; nothing is left in between.
    pub async fn rekey(&mut self) -> io::Result<()> {
        self.order(Order::Rekey).await
    }

    /// Sends `DISCONNECT` with this reason code (RFC 4253 section 11.1) and text. The connection stays open until the
    /// script returns or the client closes it.
    ///
    /// # Errors
    /// The connection is gone.
    ///
    /// # Cancel safety
    /// The message is sent whole or not at all when this future is dropped.
    pub async fn disconnect(&mut self, code: u32, text: &str) -> io::Result<()> {
        self.send(disconnect(code, text)).await
    }

    /// Accepts the request for the authentication service and then whoever asks to be let in, by whatever method;
    /// returns the user's name, or `None` when the connection is gone or the client says something else.
    ///
    /// # Cancel safety
    /// A message may have been taken and not been answered when this future is dropped.
    pub async fn accept_login(&mut self) -> Option<String> {
        loop {
            let payload = self.next().await?;
            let mut reader = Reader::new(&payload);
            let answer = match reader.byte()? {
                message::IGNORE | message::DEBUG | message::EXT_INFO => continue,
                message::SERVICE_REQUEST => {
                    Writer::message(message::SERVICE_ACCEPT).string(reader.string()?).finish()
                }
                message::USERAUTH_REQUEST => {
                    let user = reader.text()?.to_owned();
                    self.send(vec![message::USERAUTH_SUCCESS]).await.ok()?;
                    return Some(user);
                }
                _ => return None,
            };
            self.send(answer).await.ok()?;
        }
    }

    async fn order(&self, order: Order) -> io::Result<()> {
        self.orders.send(order).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

pub(crate) fn disconnect(code: u32, text: &str) -> Vec<u8> {
    Writer::message(message::DISCONNECT).u32(code).string(text).string("").finish()
}
