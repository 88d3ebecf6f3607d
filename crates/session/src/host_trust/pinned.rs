//! Trust in a key whose fingerprint is known beforehand.

use rustle_trust::Fingerprint;

use super::{HostKeyOffer, HostTrust};
use crate::BoxFuture;
use crate::error::{Error, ErrorKind, Result};

/// Trusts the host keys with these fingerprints and no others, and reads no file.
///
/// For hosts that were just created, say, whose fingerprint came over another safe way. A certificate is
/// judged by the key that it certifies.
///
/// ```
/// use rustle_session::PinnedHostKey;
///
/// let trust = PinnedHostKey::new("SHA256:uNiVztksCsDhcc0u9e8BrNYzxq2YxjgI2NiC2SWmYcA")?;
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PinnedHostKey {
    fingerprints: Vec<Fingerprint>,
}

impl PinnedHostKey {
    /// Pins the key with this fingerprint, written as `ssh-keygen -l` prints it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when this is no SHA-256 fingerprint.
    pub fn new(fingerprint: &str) -> Result<Self> {
        Ok(Self { fingerprints: vec![parse(fingerprint)?] })
    }

    /// Pins another key beside, for a host with several or one whose key is about to change.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when this is no SHA-256 fingerprint.
    pub fn or(mut self, fingerprint: &str) -> Result<Self> {
        self.fingerprints.push(parse(fingerprint)?);
        Ok(self)
    }
}

impl HostTrust for PinnedHostKey {
    fn known_algorithms<'a>(&'a self, _host: &'a str, _port: u16) -> BoxFuture<'a, Vec<String>> {
        // A fingerprint does not tell the type of its key.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        let key = offer.presented().key();
        let result = if self.fingerprints.contains(&key.fingerprint_sha256()) {
            Ok(())
        } else {
            let pinned: Vec<_> = self.fingerprints.iter().map(ToString::to_string).collect();
            Err(Error::new(
                ErrorKind::HostKeyChanged,
                "check host key",
                format!(
                    "the host key is not the pinned one: the server shows {key}, pinned is {}",
                    pinned.join(" or ")
                ),
            )
            .at(offer.target())
            .with_hint(
                "compare with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` on the host itself; a server \
                with several keys \
                 shows the type that is asked for first (`-o HostKeyAlgorithms=…`). If the fingerprint is \
                 not its own, somebody may be intercepting the connection",
            ))
        };
        Box::pin(std::future::ready(result))
    }
}

fn parse(fingerprint: &str) -> Result<Fingerprint> {
    fingerprint.parse().map_err(|cause: rustle_trust::Error| {
        Error::new(ErrorKind::Configuration, "pin host key", "the pinned fingerprint cannot be read")
            .with_hint("write it as `ssh-keygen -lf ssh_host_ed25519_key.pub` prints it, `SHA256:…`")
            .with_source(cause)
    })
}
