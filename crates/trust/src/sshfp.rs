//! Fingerprints of host keys in DNS (SSHFP records, RFC 4255, RFC 6594, RFC 7479).

use sha1::{Digest, Sha1};

use crate::key::PublicKey;

const SHA1: u8 = 1;
const SHA256: u8 = 2;

/// One SSHFP record: which key, by which digest, and the digest.
///
/// ```
/// use rustle_trust::{PublicKey, SshfpMatch, SshfpRecord};
///
/// let key = PublicKey::from_openssh(
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
/// )?;
/// let mut data = vec![4, 2];
/// data.extend(key.fingerprint_sha256().as_bytes());
/// let record = SshfpRecord::from_rdata(&data).unwrap();
/// assert_eq!(SshfpRecord::compare(&[record], &key), SshfpMatch::Match);
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshfpRecord {
    algorithm: u8,
    digest_type: u8,
    digest: Box<[u8]>,
}

/// What the records of a host say of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SshfpMatch {
    /// There is no record.
    None,
    /// There are records, and none is of this key, or one that should be is of another.
    Mismatch,
    /// A record is of this key, and none of its algorithm and digest is of another.
    Match,
}

impl SshfpRecord {
    /// Reads a record's data (RFC 4255 section 3.1); `None` where it is too short for one.
    #[must_use]
    pub fn from_rdata(data: &[u8]) -> Option<Self> {
        match data {
            [algorithm, digest_type, digest @ ..] if !digest.is_empty() => {
                Some(Self { algorithm: *algorithm, digest_type: *digest_type, digest: digest.into() })
            }
            _ => None,
        }
    }

    /// The algorithm's number: 1 RSA, 2 DSA, 3 ECDSA, 4 Ed25519.
    #[must_use]
    pub fn algorithm(&self) -> u8 {
        self.algorithm
    }

    /// The digest's number: 1 SHA-1, 2 SHA-256.
    #[must_use]
    pub fn digest_type(&self) -> u8 {
        self.digest_type
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Compares a key with the records of its host.
    ///
    /// As OpenSSH: records of other algorithms and unknown digests say nothing, and of the others each has to
    /// be of this key. So SHA-1 vouches for a key only where no record of SHA-256 speaks against it (RFC 6594 section 4.1).
    /// Keys of security keys have no number, and match nothing.
    #[must_use]
    pub fn compare(records: &[Self], key: &PublicKey) -> SshfpMatch {
        if records.is_empty() {
            return SshfpMatch::None;
        }
        let mut found = SshfpMatch::Mismatch;
        for record in records.iter().filter(|record| Some(record.algorithm) == number(key.algorithm())) {
            let is_its = match record.digest_type {
                SHA1 => *record.digest == Sha1::digest(key.wire())[..],
                SHA256 => *record.digest == *key.fingerprint_sha256().as_bytes(),
                _ => continue,
            };
            if !is_its {
                return SshfpMatch::Mismatch;
            }
            found = SshfpMatch::Match;
        }
        found
    }
}

/// The number of a key type (IANA, "SSHFP RR Types for public key algorithms").
fn number(algorithm: &str) -> Option<u8> {
    match algorithm {
        "ssh-rsa" => Some(1),
        "ssh-dss" => Some(2),
        "ssh-ed25519" => Some(4),
        name if name.starts_with("ecdsa-sha2-") => Some(3),
        _ => None,
    }
}
