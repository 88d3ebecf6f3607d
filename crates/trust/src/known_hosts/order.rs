//! Which host key algorithms to ask for: those whose keys the files can judge.

use crate::{
    algorithms::SIGNATURE_ALGORITHMS,
    host::HostName,
    key::PublicKey,
    known_hosts::{Entry, KnownHosts, Marker},
};

impl KnownHosts {
    /// The signature algorithms with which the host can prove a key that is known, for the client's proposal.
    ///
    /// Certificates come first where an authority is known for the host. RSA keys sign with SHA-2 only.
    #[must_use]
    pub fn known_algorithms(&self, host: &HostName, port: u16) -> Vec<&'static str> {
        let known = self.keys_for_ordering(host, port);
        let wanted = |name: &&str| match name.strip_suffix(CERTIFICATE) {
            Some(_) => known.has_authority,
            None => known.can_prove(name),
        };
        SIGNATURE_ALGORITHMS.into_iter().filter(wanted).collect()
    }

    /// The client's host key algorithms with those first that the files can judge, otherwise in their order.
    ///
    /// A server signs with the first algorithm of the client that it has a key for (RFC 4253, section 7.1).
    /// Without this, a host known by its RSA key would present its newer Ed25519 key and seem changed.
    ///
    /// ```
    /// use rustle_trust::{HostName, KnownHosts};
    ///
    /// let line = b"web-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    /// let known = KnownHosts::parse("known_hosts", line)?;
    /// let preferred = known.order_algorithms(&HostName::new("web-1")?, 22, &["rsa-sha2-512", "ssh-ed25519"]);
    /// assert_eq!(preferred, ["ssh-ed25519", "rsa-sha2-512"]);
    /// # Ok::<(), rustle_trust::Error>(())
    /// ```
    #[must_use]
    pub fn order_algorithms<S: AsRef<str> + Clone>(
        &self,
        host: &HostName,
        port: u16,
        preferences: &[S],
    ) -> Vec<S> {
        let known = self.keys_for_ordering(host, port);
        let (mut first, last): (Vec<_>, Vec<_>) =
            preferences.iter().cloned().partition(|name| known.can_prove(name.as_ref()));
        first.extend(last);
        first
    }

    /// The lines of the first name that has any; revoked keys are worth nothing. A revoked authority counts: only the
    /// host's certificate shows that it is the one.
    fn keys_for_ordering(&self, host: &HostName, port: u16) -> ProvableKeys {
        let provable = self.look_up(host, port).into_iter().map(|lines| {
            let worth = |(_, key): &(&Entry, &PublicKey)| {
                lines.keys(Marker::Revoked).all(|(_, revoked)| revoked != *key)
            };
            ProvableKeys {
                has_authority: lines.keys(Marker::CertAuthority).next().is_some(),
                keys: lines.keys(Marker::HostKey).filter(worth).map(|(_, key)| key.clone()).collect(),
            }
        });
        let known = |provable: &ProvableKeys| provable.has_authority || !provable.keys.is_empty();
        provable.into_iter().find(known).unwrap_or_default()
    }
}

const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// What is known of a host, as far as it decides which algorithm to ask for.
#[derive(Default)]
struct ProvableKeys {
    has_authority: bool,
    keys: Vec<PublicKey>,
}

impl ProvableKeys {
    fn can_prove(&self, negotiated: &str) -> bool {
        // A certificate whose authority is not known is judged by the plain key within it.
        let (plain, certified) = match negotiated.strip_suffix(CERTIFICATE) {
            Some(plain) => (plain, true),
            None => (negotiated.strip_suffix("@openssh.com").unwrap_or(negotiated), false),
        };
        // RFC 8332: the same `ssh-rsa` key signs under three names.
        let plain = if plain.starts_with("rsa-sha2-") { "ssh-rsa" } else { plain };
        let is_known = |key: &PublicKey| {
            key.algorithm().strip_suffix("@openssh.com").unwrap_or(key.algorithm()) == plain
        };
        certified && self.has_authority || self.keys.iter().any(is_known)
    }
}
