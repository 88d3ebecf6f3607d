//! What skips a check. Nothing outside this module does, and each name here says what is given up.

use crate::BoxFuture;
use crate::error::Result;
use crate::host_trust::{HostKeyOffer, HostTrust};

/// Accepts whatever key any host shows. **Anyone on the way can read and change everything**, passwords
/// included.
///
/// For throw-away machines on a network that nobody else is on. Each use is recorded as a `tracing` warning.
/// Where the fingerprint can be had beforehand, [`PinnedHostKey`](crate::PinnedHostKey) takes no more effort.
///
/// ```
/// let trust = rustle_session::danger::AcceptAnyHostKey::new();
/// ```
#[derive(Debug, Clone, Default)]
pub struct AcceptAnyHostKey {}

impl AcceptAnyHostKey {
    /// No check at all.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
}

impl HostTrust for AcceptAnyHostKey {
    fn known_algorithms<'a>(&'a self, _host: &'a str, _port: u16) -> BoxFuture<'a, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        tracing::warn!(
            host = offer.host(),
            port = offer.port(),
            algorithm = offer.algorithm(),
            fingerprint = offer.fingerprint(),
            "host key accepted without a check"
        );
        Box::pin(std::future::ready(Ok(())))
    }
}
