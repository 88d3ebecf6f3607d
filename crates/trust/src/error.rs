//! What can be wrong with a key, a certificate, a host name or a whole file.

use std::fmt;

/// Input that could not be understood.
///
/// A *verdict* against a host is no error: see [`Verdict`](crate::Verdict). Neither is a bad line in a
/// `known_hosts` file: see [`Problem`](crate::Problem).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What kind of input was refused.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable code that tools see.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::HostName => "SSH_HOST_UNREACHABLE",
            _ => "SSH_HOST_KEY",
        }
    }

    /// Whether the same call may succeed later: never, the answer depends on the arguments alone.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes or the text are not a public key.
    MalformedKey,
    /// A key of a type this crate does not know.
    UnsupportedKey,
    /// An RSA key too short, or too long, to be accepted.
    KeySize,
    /// The bytes are not a host certificate.
    MalformedCertificate,
    /// The certificate's signature is not the one its authority would make.
    CertificateSignature,
    /// The text is not a host name.
    HostName,
    /// The text is not a fingerprint.
    Fingerprint,
    /// The file is too large, or is not a `known_hosts` file at all.
    File,
    /// The list of revoked keys is damaged, or holds what is not known here.
    RevocationList,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MalformedKey => "malformed key",
            Self::UnsupportedKey => "unsupported key type",
            Self::KeySize => "key size not accepted",
            Self::MalformedCertificate => "malformed certificate",
            Self::CertificateSignature => "bad certificate signature",
            Self::HostName => "invalid host name",
            Self::Fingerprint => "invalid fingerprint",
            Self::File => "unusable known_hosts file",
            Self::RevocationList => "unusable list of revoked keys",
        })
    }
}
