//! Whether a presented key belongs to a host.

use std::fmt;

use crate::{
    certificate::{CertificateProblem, HostCertificate},
    fingerprint::Fingerprint,
    host::HostName,
    key::PublicKey,
    known_hosts::{Entry, KnownHosts, KnownKey, Marker, Place},
    rules::TrustRules,
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
/// [`Unknown`](Self::Unknown) and, as OpenSSH has it, [`UnknownAuthority`](Self::UnknownAuthority) are the only ones that
/// a policy like `accept-new` may turn into trust, of the plain key.
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
    /// A `@revoked` line of the host holds a key that cannot be read, which may be the one that was presented.
    UnreadableRevocation {
        /// The line.
        place: Place,
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
    /// Authorities are known for the host, another one signed its certificate, and the plain key is not known.
    UnknownAuthority {
        /// The key that the certificate certifies.
        offered: PublicKey,
        /// The key of the authority that signed.
        authority: PublicKey,
        /// The lines of the authorities that are known.
        known: Vec<KnownKey>,
    },
    /// The key is an RSA key of fewer bits than [the rules](TrustRules::required_rsa_bits) ask for.
    TooShort {
        /// The key that was presented.
        offered: PublicKey,
        /// Its bits.
        bits: usize,
        /// The least that is accepted.
        required: usize,
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
    /// Stricter than OpenSSH: a `@revoked` line of the bare name also holds at other ports, and one whose key is damaged
    /// [refuses](Verdict::UnreadableRevocation) its hosts.
    #[must_use]
    pub fn verdict(&self, host: &HostName, port: u16, presented: &PresentedKey, now_unix: u64) -> Verdict {
        let required = self.rules.rsa_bits();
        if let Some(bits) = presented.key().rsa_bits().filter(|bits| *bits < required) {
            return Verdict::TooShort { offered: presented.key().clone(), bits, required };
        }
        let found = self.look_up(host, port);
        if let Some(revoked) = found.iter().find_map(|lines| lines.revoked(presented)) {
            return revoked;
        }
        if let Some(place) = found.iter().find_map(Lines::unreadable_revocation) {
            return Verdict::UnreadableRevocation { place };
        }
        let mut rejected = None;
        if let PresentedKey::Certificate(certificate) = presented {
            match by_authority(&found, host, certificate, now_unix, &self.rules) {
                Some(trusted @ Verdict::Trusted { .. }) => return trusted,
                other => rejected = other,
            }
        }
        match by_key(&found, presented.key()) {
            Verdict::Unknown { offered, unreadable } => match rejected {
                // What cannot be read may hold the authority, or another key of the host.
                Some(Verdict::UnknownAuthority { .. }) if !unreadable.is_empty() => {
                    Verdict::Unknown { offered, unreadable }
                }
                Some(rejected) => rejected,
                None => Verdict::Unknown { offered, unreadable },
            },
            known => known,
        }
    }

    /// The lines of `[host]:port`, then those of the bare name.
    pub(super) fn look_up(&self, host: &HostName, port: u16) -> Vec<Lines<'_>> {
        host.lookups(port).iter().map(|name| Lines(self.matching(name))).collect()
    }
}

/// The lines about one name.
pub(super) struct Lines<'a>(Vec<&'a Entry>);

impl<'a> Lines<'a> {
    pub(super) fn keys(&self, marker: Marker) -> impl Iterator<Item = (&'a Entry, &'a PublicKey)> {
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

    fn unreadable_revocation(&self) -> Option<Place> {
        let damaged = self.0.iter().find(|entry| entry.marker == Marker::Revoked && entry.is_damaged);
        damaged.map(|entry| entry.place.clone())
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

/// `Trusted` or `CertificateRejected` where a line has the certificate's authority, `UnknownAuthority` where lines have
/// others.
///
/// The bare name is asked only where no authority at all is known for `[host]:port`.
fn by_authority(
    found: &[Lines<'_>],
    host: &HostName,
    certificate: &HostCertificate,
    now_unix: u64,
    rules: &TrustRules,
) -> Option<Verdict> {
    let lines = found.iter().find(|lines| lines.keys(Marker::CertAuthority).next().is_some())?;
    let Some(place) = lines.find(Marker::CertAuthority, certificate.authority()) else {
        let known = lines.keys(Marker::CertAuthority).filter_map(|(entry, _)| entry.known_key());
        let (offered, authority) = (certificate.key().clone(), certificate.authority().clone());
        return Some(Verdict::UnknownAuthority { offered, authority, known: known.collect() });
    };
    Some(match certificate.check_by(host, now_unix, rules) {
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
            Self::UnreadableRevocation { place } => {
                write!(
                    f,
                    "the key that {place} revokes cannot be read: it may be the one that the host presented"
                )
            }
            Self::CertificateRejected { place, offered, reason } => {
                write!(
                    f,
                    "the host certificate for {offered} by the authority in {place} does not hold: {reason}"
                )
            }
            Self::UnknownAuthority { offered, authority, known } => {
                write!(
                    f,
                    "the host certificate for {offered} is by the authority {authority}, which is not known for it"
                )?;
                match known.first() {
                    Some(known) => write!(f, "; known is {known}"),
                    None => Ok(()),
                }
            }
            Self::TooShort { offered, bits, required } => {
                write!(f, "the host key {offered} has {bits} bits, and at least {required} are required")
            }
        }
    }
}
