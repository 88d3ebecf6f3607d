//! Which algorithms may be used, and for how long one key.

use crate::settings::Settings;
use crate::value::RekeyLimit;
use crate::{AlgorithmList, WarnWeakCrypto};

impl Settings {
    /// Ciphers; `None` leaves the defaults.
    #[must_use]
    pub fn ciphers(&self) -> Option<&AlgorithmList> {
        self.options.ciphers.as_ref()
    }

    /// MACs; `None` leaves the defaults.
    #[must_use]
    pub fn macs(&self) -> Option<&AlgorithmList> {
        self.options.macs.as_ref()
    }

    /// KexAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn kex_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.kex_algorithms.as_ref()
    }

    /// HostKeyAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn host_key_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.host_key_algorithms.as_ref()
    }

    /// PubkeyAcceptedAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn pubkey_accepted_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.pubkey_accepted_algorithms.as_ref()
    }

    /// CASignatureAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn ca_signature_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.ca_signature_algorithms.as_ref()
    }

    /// RequiredRSASize: the least number of bits of an RSA key; 1024 by default.
    #[must_use]
    pub fn required_rsa_size(&self) -> u32 {
        self.options.required_rsa_size.unwrap_or(1024)
    }

    /// RekeyLimit.
    #[must_use]
    pub fn rekey_limit(&self) -> RekeyLimit {
        self.options.rekey_limit()
    }

    /// WarnWeakCrypto; yes by default.
    #[must_use]
    pub fn warn_weak_crypto(&self) -> WarnWeakCrypto {
        self.options.warn_weak_crypto.unwrap_or(WarnWeakCrypto::Yes)
    }
}
