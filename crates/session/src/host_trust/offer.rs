//! What a server showed to prove who it is.

use std::fmt;
use std::net::SocketAddr;

use rustle_trust::{HostCertificate, PresentedKey, PublicKey};

use crate::error::{Error, ErrorKind, Result};
use crate::target::host_and_port;

/// A host key or host certificate, with the host it is said to be of.
///
/// ```
/// use rustle_session::HostKeyOffer;
///
/// let mut wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
/// wire.extend([7; 32]);
/// let offer = HostKeyOffer::from_wire("web-1", 22, &wire)?;
/// assert_eq!(offer.algorithm(), "ssh-ed25519");
/// assert!(offer.fingerprint().starts_with("SHA256:"));
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Clone)]
pub struct HostKeyOffer {
    host: String,
    port: u16,
    address: Option<SocketAddr>,
    presented: PresentedKey,
    other_names: Vec<String>,
    dns: Option<DnsFinding>,
    picture: bool,
}

/// What DNS says of a host key, as far as a person may want to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsFinding {
    /// There is a record of this key, which nobody vouches for.
    Matching,
    /// There is no record of this key, or none could be had.
    NotMatching,
}

impl HostKeyOffer {
    /// Reads a key (RFC 4253 §6.6) or an OpenSSH host certificate, whose signature is verified.
    ///
    /// # Errors
    /// [`ErrorKind::HostKeyRejected`] when the bytes are neither, or of a type, size or signature that is not
    /// accepted.
    pub fn from_wire(host: impl Into<String>, port: u16, wire: &[u8]) -> Result<Self> {
        let host = host.into();
        let presented = match is_certificate(wire) {
            true => HostCertificate::from_wire(wire)
                .map(|certificate| PresentedKey::Certificate(Box::new(certificate))),
            false => PublicKey::from_wire(wire).map(PresentedKey::Key),
        };
        match presented {
            Ok(presented) => Ok(Self {
                host,
                port,
                address: None,
                presented,
                other_names: Vec::new(),
                dns: None,
                picture: false,
            }),
            Err(cause) => Err(Error::new(
                ErrorKind::HostKeyRejected,
                "check host key",
                "what the server shows as its host key cannot be accepted",
            )
            .at(host_and_port(&host, port))
            .with_hint(
                "the server needs a host key of a usual type and size; `ssh-keygen -A` makes them there",
            )
            .with_source(cause)),
        }
    }

    /// The same offer with the address that it came from.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The host as it was asked for, not as an address resolves back.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that was connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that was connected to; `None` over a transport that has none.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The type of the plain key, such as `ssh-ed25519`; within a certificate, of the key that is certified.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.presented.key().algorithm()
    }

    /// The wire form of the plain key, or of the key that is certified.
    #[must_use]
    pub fn key_wire(&self) -> &[u8] {
        self.presented.key().wire()
    }

    /// The wire form of the certificate, where the server showed one.
    #[must_use]
    pub fn certificate_wire(&self) -> Option<&[u8]> {
        match &self.presented {
            PresentedKey::Certificate(certificate) => Some(certificate.wire()),
            _ => None,
        }
    }

    /// The SHA-256 fingerprint of the plain key, as `ssh` shows it: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.presented.key().fingerprint_sha256().to_string()
    }

    /// The picture that `ssh-keygen -lv` draws of the key: eleven lines (`VisualHostKey`).
    #[must_use]
    pub fn randomart(&self) -> String {
        self.presented.key().randomart()
    }

    /// The same picture, where the configuration asks for it to be shown.
    #[must_use]
    pub fn picture(&self) -> Option<String> {
        self.picture.then(|| self.randomart())
    }

    /// Lines of known hosts in which the same key stands under other names, as `file:line: names`; filled in where a
    /// person is asked.
    #[must_use]
    pub fn other_names(&self) -> &[String] {
        &self.other_names
    }

    /// What DNS says of the key, where it was asked and a person is.
    #[must_use]
    pub fn dns(&self) -> Option<DnsFinding> {
        self.dns
    }

    pub(super) fn found(mut self, other_names: Vec<String>, dns: Option<DnsFinding>) -> Self {
        (self.other_names, self.dns) = (other_names, dns);
        self
    }

    /// The same offer with its picture to be shown.
    pub(crate) fn with_picture(mut self) -> Self {
        self.picture = true;
        self
    }

    /// The type of what was shown, certificates by their own.
    pub(super) fn shown_algorithm(&self) -> &str {
        match &self.presented {
            PresentedKey::Certificate(certificate) => certificate.algorithm(),
            other => other.key().algorithm(),
        }
    }

    /// What was shown, certificates whole, in base64.
    pub(super) fn shown_base64(&self) -> String {
        use base64ct::{Base64, Encoding};

        Base64::encode_string(self.certificate_wire().unwrap_or(self.key_wire()))
    }

    /// `host:port`, as errors name it.
    pub(super) fn target(&self) -> String {
        host_and_port(&self.host, self.port)
    }

    pub(super) fn presented(&self) -> &PresentedKey {
        &self.presented
    }
}

impl fmt::Debug for HostKeyOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKeyOffer")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("address", &self.address)
            .field("key", self.presented.key())
            .field("certified", &self.certificate_wire().is_some())
            .finish()
    }
}

/// By the name at the front, as every key and certificate begins (RFC 4253 §6.6; OpenSSH PROTOCOL.certkeys).
fn is_certificate(wire: &[u8]) -> bool {
    let Some((length, rest)) = wire.split_first_chunk::<4>() else { return false };
    usize::try_from(u32::from_be_bytes(*length))
        .ok()
        .and_then(|length| rest.get(..length))
        .is_some_and(|name| name.ends_with(b"-cert-v01@openssh.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_key_are_rejected_whatever_they_are() {
        let long = [0xff; 100_000];
        for wire in [
            &b""[..],
            b"\0",
            b"\0\0\0\x0bssh-ed25519",
            b"\xff\xff\xff\xffssh",
            b"\0\0\0\x07ssh-foo\0\0\0\0",
            &long,
        ] {
            let error = HostKeyOffer::from_wire("web-1", 2222, wire).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
            assert_eq!(error.target(), Some("web-1:2222"));
            assert!(error.hint().is_some());
        }
    }
}
