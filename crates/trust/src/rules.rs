//! What is asked of keys and certificates beyond being known.

use crate::algorithms::{CERTIFICATES_AMONG_THEM, SIGNATURE_ALGORITHMS};
use crate::key::PublicKey;

/// With what an authority may sign unless the rules say otherwise: what keys sign with, for no certificate signs another.
const SIGNATURES: &[&str] = SIGNATURE_ALGORITHMS.split_at(CERTIFICATES_AMONG_THEM).1;

/// OpenSSH's default for `RequiredRSASize`, and the least that is read at all.
const RSA_BITS: usize = 1024;

/// What is asked of a host's key or certificate beyond being known; the default is OpenSSH's.
///
/// ```
/// use rustle_trust::{KnownHosts, TrustRules};
///
/// let rules = TrustRules::new().required_rsa_bits(3072).ca_signature_algorithms(["ssh-ed25519"]);
/// let known = KnownHosts::default().with_rules(rules);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TrustRules {
    ca_signatures: Vec<String>,
    rsa_bits: usize,
}

impl Default for TrustRules {
    fn default() -> Self {
        Self { ca_signatures: SIGNATURES.iter().copied().map(str::to_owned).collect(), rsa_bits: RSA_BITS }
    }
}

impl TrustRules {
    /// OpenSSH's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With what an authority may sign a certificate (`CASignatureAlgorithms`); by default all but SHA-1, which is
    /// never taken: its signatures are not even verified.
    pub fn ca_signature_algorithms<I>(mut self, algorithms: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ca_signatures = algorithms.into_iter().map(Into::into).collect();
        self
    }

    /// The least bits of an RSA host key (`RequiredRSASize`); 1024 by default, and never less.
    pub fn required_rsa_bits(mut self, bits: usize) -> Self {
        self.rsa_bits = bits.max(RSA_BITS);
        self
    }

    /// The algorithms that [`ca_signature_algorithms`](Self::ca_signature_algorithms) changes.
    #[must_use]
    pub fn default_ca_signature_algorithms() -> &'static [&'static str] {
        SIGNATURES
    }

    /// Whether a key is long enough.
    #[must_use]
    pub fn takes_key(&self, key: &PublicKey) -> bool {
        key.rsa_bits().is_none_or(|bits| bits >= self.rsa_bits)
    }

    pub(crate) fn takes_signature(&self, algorithm: &str) -> bool {
        self.ca_signatures.iter().any(|taken| taken == algorithm)
    }

    pub(crate) fn rsa_bits(&self) -> usize {
        self.rsa_bits
    }
}
