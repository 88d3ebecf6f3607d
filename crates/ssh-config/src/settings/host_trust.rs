//! Whether the host is the one that is meant.

use crate::settings::Settings;
use crate::{FingerprintHash, StrictHostKeyChecking, YesNoAsk};

impl Settings {
    /// UserKnownHostsFile; `~/.ssh/known_hosts` and `known_hosts2` by default. Empty for `none`.
    #[must_use]
    pub fn user_known_hosts_files(&self) -> &[String] {
        &self.user_known_hosts_files
    }

    /// GlobalKnownHostsFile; `ssh_known_hosts` and `ssh_known_hosts2` in the system's directory by default.
    #[must_use]
    pub fn global_known_hosts_files(&self) -> &[String] {
        &self.global_known_hosts_files
    }

    /// StrictHostKeyChecking; ask by default.
    #[must_use]
    pub fn strict_host_key_checking(&self) -> StrictHostKeyChecking {
        self.options.strict_host_key_checking.unwrap_or(StrictHostKeyChecking::Ask)
    }

    /// HostKeyAlias, in lower case: the name to look up in known_hosts instead of the host's.
    #[must_use]
    pub fn host_key_alias(&self) -> Option<&str> {
        self.options.host_key_alias.as_deref()
    }

    /// HashKnownHosts; no by default.
    #[must_use]
    pub fn hash_known_hosts(&self) -> bool {
        self.options.hash_known_hosts.unwrap_or(false)
    }

    /// CheckHostIP: whether the address has to be known by the same key; no by default.
    #[must_use]
    pub fn check_host_ip(&self) -> bool {
        self.options.check_host_ip.unwrap_or(false)
    }

    /// RevokedHostKeys: lists of keys that are never accepted, with `~`, tokens and environment expanded; none by
    /// default. A list that cannot be read refuses every host.
    #[must_use]
    pub fn revoked_host_keys(&self) -> &[String] {
        &self.revoked_host_keys
    }

    /// UpdateHostKeys. By default yes where the usual known_hosts is used and VerifyHostKeyDNS is not; a question
    /// is a no where nobody could be asked.
    #[must_use]
    pub fn update_host_keys(&self) -> YesNoAsk {
        self.update_host_keys
    }

    /// VerifyHostKeyDNS; no by default.
    #[must_use]
    pub fn verify_host_key_dns(&self) -> YesNoAsk {
        self.options.verify_host_key_dns.unwrap_or(YesNoAsk::No)
    }

    /// VisualHostKey: whether a picture of the key is drawn; no by default.
    #[must_use]
    pub fn visual_host_key(&self) -> bool {
        self.options.visual_host_key.unwrap_or(false)
    }

    /// FingerprintHash; SHA-256 by default.
    #[must_use]
    pub fn fingerprint_hash(&self) -> FingerprintHash {
        self.options.fingerprint_hash.unwrap_or(FingerprintHash::Sha256)
    }

    /// NoHostAuthenticationForLocalhost: whether this machine's own key goes unchecked; no by default.
    #[must_use]
    pub fn no_host_authentication_for_localhost(&self) -> bool {
        self.options.no_host_authentication_for_localhost.unwrap_or(false)
    }
}
