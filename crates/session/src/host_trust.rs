//! Whether the server is the one that was meant: the policy that is asked in every handshake.
//!
//! Everything here fails closed: an unknown key, a changed key, a file that cannot be read and a home
//! directory that cannot be found all refuse the connection, each with its own error. What skips the check
//! lives in [`danger`](crate::danger).

mod announced;
mod command;
mod dns;
mod judge;
mod known_hosts;
mod offer;
mod pinned;
mod refusal;
mod store;
mod update;
mod usual;

use crate::{BoxFuture, error::Result};

pub(crate) use command::CommandFacts;
#[cfg(feature = "fuzzing")]
pub(crate) use dns::records_in;
pub(crate) use judge::{NewHost, Standing};
pub use {
    announced::AnnouncedKeys,
    command::KnownHostsCommand,
    dns::DnsResolver,
    known_hosts::{HostHashing, KnownHosts},
    offer::{DnsFinding, HostKeyOffer},
    pinned::PinnedHostKey,
    update::HostKeysChange,
};

/// Decides whether a host key, or a host certificate, is the one of the host that was meant.
///
/// [`KnownHosts`] is what `ssh` does, [`PinnedHostKey`] compares fingerprints. An implementation of one's own
/// may ask a person or a directory; the time it takes does not count against the handshake's deadline but
/// against the one for a person's answers.
///
/// ```
/// use rustle_session::{BoxFuture, HostKeyOffer, HostTrust, KnownHosts, Result};
///
/// /// Asks `known_hosts`, and writes down what it was shown.
/// struct Logged(KnownHosts);
///
/// impl HostTrust for Logged {
///     fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>> {
///         self.0.known_algorithms(host, port)
///     }
///
///     fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
///         println!("{} shows {}", offer.host(), offer.fingerprint());
///         self.0.check(offer)
///     }
/// }
/// ```
pub trait HostTrust: Send + Sync {
    /// The host key algorithms, as they are negotiated, that this policy can judge for the host; empty when
    /// none is on record, or when it cannot be told yet.
    ///
    /// They are offered first, so that a server with several keys shows one that is known. Certificate
    /// algorithms are offered only when some are named here. Nothing is trusted by being named.
    fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>>;

    /// Decides on what the server showed, after its signature over the handshake was verified.
    ///
    /// `Ok` lets the connection go on; every error ends it before anything else is sent, and
    /// reaches the caller of `connect` as it is.
    ///
    /// # Errors
    /// Whatever keeps the host from being trusted; [`ErrorKind`](crate::ErrorKind) has kinds for the usual
    /// reasons.
    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>>;

    /// Hears which keys the host says it has, once a session is authenticated; a server says so once or never.
    ///
    /// By default nothing happens. It runs beside the session, which does not wait for it until it is closed.
    fn announced<'a>(&'a self, offer: &'a HostKeyOffer, keys: &'a AnnouncedKeys) -> BoxFuture<'a, ()> {
        let _ = (offer, keys);
        Box::pin(std::future::ready(()))
    }
}
