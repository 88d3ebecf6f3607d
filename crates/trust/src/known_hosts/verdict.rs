//! Whether a presented key belongs to a host.

use std::fmt;

use crate::{
    certificate::{CertificateProblem, HostCertificate},
    fingerprint::Fingerprint,
    host::HostName,
    key::PublicKey,
    known_hosts::{Entry, KnownHosts, KnownKey, Marker, Place},
};

/// What a server showed in the key exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresentedKey {
    /// A plain host key.
    Key(PublicKey),
    /// A host certificate.
    Certificate(Box<HostCertificate>),
}

impl PresentedKey {
    /// The plain key: itself, or the one that is certified.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.key(),
        }
    }
}

/// What the files say of a key that a host presented. Its `Display` is a sentence for a person.
///
/// Only [`Trusted`](Self::Trusted) lets a connection go on without a decision of somebody else;
/// [`Unknown`](Self::Unknown) is the only one that a policy like `accept-new` may turn into trust.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The key, or its certificate's authority, stands in a file.
    Trusted {
        /// The line.
        place: Place,
        /// Whether the line holds the key or the authority.
        by: TrustedBy,
    },
    /// No line holds a key of the host.
    Unknown {
        /// The key that was presented.
        offered: PublicKey,
        /// Lines that name the host but whose key cannot be read: see [`KnownHosts::problems`].
        unreadable: Vec<Place>,
    },
    /// The host is known by other keys: perhaps an attack, perhaps a new installation.
    Changed {
        /// The key that was presented.
        offered: PublicKey,
        /// Each key that is known.
        known: Vec<KnownKey>,
    },
    /// The key, or its certificate's authority, is marked `@revoked`.
    Revoked {
        /// The line.
        place: Place,
        /// The fingerprint of the revoked key.
        fingerprint: Fingerprint,
    },
    /// The authority is trusted for the host, its certificate does not hold, and the plain key is not known.
    CertificateRejected {
        /// The line of the authority.
        place: Place,
        /// The key that the certificate certifies.
        offered: PublicKey,
        /// Why the certificate does not hold.
        reason: CertificateProblem,
    },
}

/// By what a key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrustedBy {
    /// The host key stands in the file.
    HostKey,
    /// The authority that signed its certificate does.
    CertAuthority,
}

impl KnownHosts {
    /// Judges the key that `host` presented at `port`. `now_unix` is the time in seconds since 1970.
    ///
    /// As OpenSSH: the host is looked up bare at port 22 and as `[host]:port` elsewhere, with the bare name as a
    /// second try. Any line with the key makes it trusted. A certificate counts when a `@cert-authority` line of the
    /// host has its authority and it [holds](HostCertificate::check); otherwise the plain key within it is judged.
    /// A host that is known by other keys only has [changed](Verdict::Changed), even where those are of another
    /// type: [`order_algorithms`](Self::order_algorithms) keeps a server from presenting one of those first.
    ///
    /// Stricter than OpenSSH: a `@revoked` line of the bare name also holds at other ports.
    #[must_use]
    pub fn verdict(&self, host: &HostName, port: u16, presented: &PresentedKey, now_unix: u64) -> Verdict {
        let found = self.look_up(host, port);
        if let Some(revoked) = found.iter().find_map(|lines| lines.revoked(presented)) {
            return revoked;
        }
        let mut rejected = None;
        if let PresentedKey::Certificate(certificate) = presented {
            match by_authority(&found, host, certificate, now_unix) {
                Some(trusted @ Verdict::Trusted { .. }) => return trusted,
                other => rejected = other,
            }
        }
        match by_key(&found, presented.key()) {
            Verdict::Unknown { offered, unreadable } => {
                rejected.unwrap_or(Verdict::Unknown { offered, unreadable })
            }
            known => known,
        }
    }

    /// The signature algorithms with which the host can prove a key that is known, for the client's proposal.
    ///
    /// Certificates come first where an authority is known for the host. RSA keys sign with SHA-2 only.
    #[must_use]
    pub fn known_algorithms(&self, host: &HostName, port: u16) -> Vec<&'static str> {
        let known = self.keys_for_ordering(host, port);
        let wanted = |name: &&str| match name.strip_suffix(CERTIFICATE) {
            Some(_) => known.has_authority,
            None => *name != "ssh-rsa" && known.can_prove(name),
        };
        NEGOTIATED.into_iter().filter(wanted).collect()
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

    /// The lines of `[host]:port`, then those of the bare name.
    fn look_up(&self, host: &HostName, port: u16) -> Vec<Lines<'_>> {
        host.lookups(port).iter().map(|name| Lines(self.matching(name))).collect()
    }

    /// The lines of the first name that has any; revoked keys are worth nothing.
    fn keys_for_ordering(&self, host: &HostName, port: u16) -> ProvableKeys {
        let provable = self.look_up(host, port).into_iter().map(|lines| {
            let worth = |(_, key): &(&Entry, &PublicKey)| {
                lines.keys(Marker::Revoked).all(|(_, revoked)| revoked != *key)
            };
            ProvableKeys {
                has_authority: lines.keys(Marker::CertAuthority).any(|known| worth(&known)),
                keys: lines.keys(Marker::HostKey).filter(worth).map(|(_, key)| key.clone()).collect(),
            }
        });
        let known = |provable: &ProvableKeys| provable.has_authority || !provable.keys.is_empty();
        provable.into_iter().find(known).unwrap_or_default()
    }
}

/// The lines about one name.
struct Lines<'a>(Vec<&'a Entry>);

impl<'a> Lines<'a> {
    fn keys(&self, marker: Marker) -> impl Iterator<Item = (&'a Entry, &'a PublicKey)> {
        let marked = self.0.iter().copied().filter(move |entry| entry.marker == marker);
        marked.filter_map(|entry| Some((entry, entry.key.as_ref()?)))
    }

    fn find(&self, marker: Marker, wanted: &PublicKey) -> Option<Place> {
        self.keys(marker).find(|(_, key)| *key == wanted).map(|(entry, _)| entry.place.clone())
    }

    /// A revoked line says nothing of the host's own key.
    fn unreadable(&self) -> Vec<Place> {
        let unreadable = self.0.iter().filter(|entry| entry.key.is_none() && entry.marker != Marker::Revoked);
        unreadable.map(|entry| entry.place.clone()).collect()
    }

    fn revoked(&self, presented: &PresentedKey) -> Option<Verdict> {
        let authority = match presented {
            PresentedKey::Key(_) => None,
            PresentedKey::Certificate(certificate) => Some(certificate.authority()),
        };
        [Some(presented.key()), authority].into_iter().flatten().find_map(|key| {
            let place = self.find(Marker::Revoked, key)?;
            Some(Verdict::Revoked { place, fingerprint: key.fingerprint_sha256() })
        })
    }
}

/// `Trusted` or `CertificateRejected` where a line has the certificate's authority.
///
/// The bare name is asked only where no authority at all is known for `[host]:port`.
fn by_authority(
    found: &[Lines<'_>],
    host: &HostName,
    certificate: &HostCertificate,
    now_unix: u64,
) -> Option<Verdict> {
    let lines = found.iter().find(|lines| lines.keys(Marker::CertAuthority).next().is_some())?;
    let place = lines.find(Marker::CertAuthority, certificate.authority())?;
    Some(match certificate.check(host, now_unix) {
        Ok(()) => Verdict::Trusted { place, by: TrustedBy::CertAuthority },
        Err(reason) => Verdict::CertificateRejected { place, offered: certificate.key().clone(), reason },
    })
}

/// `Trusted`, `Changed` or `Unknown`. Other keys of the bare name do not make a host at another port changed.
fn by_key(found: &[Lines<'_>], offered: &PublicKey) -> Verdict {
    for (index, lines) in found.iter().enumerate() {
        if let Some(place) = lines.find(Marker::HostKey, offered) {
            return Verdict::Trusted { place, by: TrustedBy::HostKey };
        }
        let known: Vec<_> = lines.keys(Marker::HostKey).filter_map(|(entry, _)| entry.known_key()).collect();
        if index == 0 && !known.is_empty() {
            return Verdict::Changed { offered: offered.clone(), known };
        }
    }
    let unreadable = found.first().map(Lines::unreadable).unwrap_or_default();
    Verdict::Unknown { offered: offered.clone(), unreadable }
}

/// Host key algorithms as they are negotiated, certificates first, in OpenSSH's order of preference.
const NEGOTIATED: [&str; 17] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
];

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

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted { place, by: TrustedBy::HostKey } => write!(f, "the host key stands in {place}"),
            Self::Trusted { place, by: TrustedBy::CertAuthority } => {
                write!(f, "the host certificate is by the authority in {place}")
            }
            Self::Unknown { offered, unreadable } => {
                write!(f, "the host is not known; it presented {offered}")?;
                match unreadable.first() {
                    Some(place) => write!(f, " (its key in {place} cannot be read)"),
                    None => Ok(()),
                }
            }
            Self::Changed { offered, known } => {
                write!(f, "the host key has changed: it presented {offered}, but known is ")?;
                for (index, known) in known.iter().enumerate() {
                    write!(f, "{}{known}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("; unless its owner confirms the new key, somebody may be in between")
            }
            Self::Revoked { place, fingerprint } => {
                write!(f, "the key {fingerprint} is revoked by {place} and must not be accepted")
            }
            Self::CertificateRejected { place, offered, reason } => {
                write!(
                    f,
                    "the host certificate for {offered} by the authority in {place} does not hold: {reason}"
                )
            }
        }
    }
}
