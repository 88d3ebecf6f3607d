//! The SHA-256 fingerprint of a public key, written as `ssh` writes it.

use std::{fmt, str::FromStr};

use base64ct::{Base64Unpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};

const PREFIX: &str = "SHA256:";

/// The SHA-256 digest of a public key's wire form; its `Display` is `SHA256:…` in unpadded base64.
///
/// ```
/// use rustle_trust::{Fingerprint, PublicKey};
///
/// let key = PublicKey::from_openssh(
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
/// )?;
/// let shown = key.fingerprint_sha256().to_string();
/// assert!(shown.starts_with("SHA256:"));
/// assert_eq!(shown.parse::<Fingerprint>()?, key.fingerprint_sha256());
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(wire: &[u8]) -> Self {
        Self(Sha256::digest(wire).into())
    }

    /// The digest itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&Base64Unpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// Reads `SHA256:…`, with or without base64 padding.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || {
            Error::new(
                ErrorKind::Fingerprint,
                "not a SHA-256 fingerprint: expected `SHA256:` and 43 characters of base64, as `ssh-keygen -l` prints",
            )
        };
        let digits = text.trim().strip_prefix(PREFIX).ok_or_else(refused)?;
        let mut digest = [0; 32];
        match Base64Unpadded::decode(digits.trim_end_matches('='), &mut digest) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(digest)),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_sha256_fingerprint_is_refused() {
        for text in
            ["", "SHA256:", "SHA256:AAAA", "MD5:aa:bb", "SHA256:!!!!", &format!("SHA256:{}", "A".repeat(44))]
        {
            assert_eq!(text.parse::<Fingerprint>().unwrap_err().kind(), ErrorKind::Fingerprint, "{text}");
        }
    }

    #[test]
    fn padding_makes_no_difference() {
        let print = Fingerprint::of(b"x");
        assert_eq!(format!("{print}=").parse::<Fingerprint>().unwrap(), print);
    }
}
