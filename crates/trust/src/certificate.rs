//! OpenSSH host certificates (PROTOCOL.certkeys): read, verified, and checked against a host and a time.
//!
//! The fields are read here and not by `ssh-key`, because the signature covers the bytes as they came: a reader
//! that re-encodes them cannot verify a certificate whose extensions or texts it would spell in another way.

use std::{borrow::Cow, fmt};

use signature::Verifier;

use crate::{
    error::{Error, ErrorKind},
    host::HostName,
    key::{ALGORITHMS, PublicKey, shown, split_fields},
    pattern::glob,
    rules::TrustRules,
    time::utc,
    wire::{Reader, put_string},
};

const SUFFIX: &str = "-cert-v01@openssh.com";
/// Far above a certificate with the most principals OpenSSH accepts, each as long as a host name may be.
const MAX_WIRE: usize = 256 * 1024;
/// OpenSSH's bound (`SSHKEY_CERT_MAX_PRINCIPALS`).
const MAX_PRINCIPALS: usize = 256;
/// Those over SHA-1, which OpenSSH's `CASignatureAlgorithms` leaves out too.
const WEAK_SIGNATURES: [&str; 2] = ["ssh-rsa", "ssh-dss"];

/// A host certificate whose signature has been verified with the authority's key that it names.
///
/// That says nothing about trust: anybody can sign. Whether the authority is trusted for a host is what
/// [`KnownHosts::verdict`](crate::KnownHosts::verdict) finds out; [`check`](Self::check) covers the rest, and
/// refuses the one kind that is read without its signature verified: signed over SHA-1.
///
/// ```
/// use rustle_trust::{CertificateProblem, HostCertificate, HostName};
///
/// let text = include_str!("../tests/data/ed25519-by-ed25519b-cert.pub");
/// let certificate = HostCertificate::from_openssh(text)?;
/// let now = 1_800_000_000;
/// assert_eq!(certificate.check(&HostName::new("web-1")?, now), Ok(()));
/// assert!(matches!(
///     certificate.check(&HostName::new("db-1")?, now),
///     Err(CertificateProblem::WrongHost { .. })
/// ));
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HostCertificate {
    algorithm: String,
    wire: Box<[u8]>,
    key: PublicKey,
    authority: PublicKey,
    signature_algorithm: String,
    role: Role,
    serial: u64,
    key_id: String,
    /// As it came: a list of revoked ids names bytes.
    key_id_bytes: Box<[u8]>,
    principals: Vec<Box<[u8]>>,
    valid_after: u64,
    valid_before: u64,
    critical_options: Vec<String>,
}

/// What the certified key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    User,
    Host,
}

impl HostCertificate {
    /// Reads a certificate's wire form and verifies its signature.
    ///
    /// # Errors
    /// When the bytes are no certificate, certify or are signed by a key that is not supported, or bear a
    /// signature that does not verify.
    pub fn from_wire(wire: &[u8]) -> Result<Self, Error> {
        if wire.len() > MAX_WIRE {
            return Err(malformed("it is too large"));
        }
        let mut reader = Reader::new(wire);
        let algorithm = reader.string().unwrap_or_default();
        let (plain, strings) = certified_algorithm(algorithm)?;
        let body =
            Body::read(&mut reader, plain, strings).ok_or_else(|| malformed("its fields are damaged"))?;
        let signed = &wire[..wire.len() - reader.remaining()];
        let signature = match reader.string() {
            Some(signature) if reader.is_empty() => signature,
            _ => return Err(malformed("its signature is cut short, or more bytes follow it")),
        };

        let role = match body.role {
            1 => Role::User,
            2 => Role::Host,
            other => return Err(malformed(&format!("its type {other} is neither user nor host"))),
        };
        let principals =
            strings_of(body.principals).ok_or_else(|| malformed("its principals are damaged"))?;
        if principals.len() > MAX_PRINCIPALS {
            return Err(malformed("it has too many principals"));
        }
        let critical_options =
            option_names(body.critical).ok_or_else(|| malformed("its options are damaged"))?;
        option_names(body.extensions).ok_or_else(|| malformed("its extensions are damaged"))?;
        let key = within("the key it certifies", PublicKey::from_wire(&body.key))?;
        let authority = within("its authority's key", PublicKey::from_wire(body.authority))?;
        let signature_algorithm = Reader::new(signature).string().map(shown).unwrap_or_default();

        let certificate = Self {
            algorithm: shown(algorithm),
            wire: wire.into(),
            key,
            authority,
            signature_algorithm,
            role,
            serial: body.serial,
            key_id: String::from_utf8_lossy(body.key_id).into_owned(),
            key_id_bytes: body.key_id.into(),
            principals: principals.into_iter().map(Into::into).collect(),
            valid_after: body.valid_after,
            valid_before: body.valid_before,
            critical_options,
        };
        // A signature over SHA-1 is not computed at all; `check` refuses and names it.
        if !certificate.has_weak_signature() {
            verify(&certificate.authority, signed, signature)?;
        }
        Ok(certificate)
    }

    /// Reads the text form, as `ssh-keygen -s` writes it: the type, base64, and a comment that is ignored.
    ///
    /// # Errors
    /// As [`from_wire`](Self::from_wire), and when the type before the base64 is not the one within it.
    pub fn from_openssh(text: &str) -> Result<Self, Error> {
        let (name, wire) = split_fields(text.as_bytes())?;
        let certificate = Self::from_wire(&wire)?;
        if name == certificate.algorithm.as_bytes() {
            Ok(certificate)
        } else {
            Err(malformed(&format!(
                "the text says {}, the certificate says {}",
                shown(name),
                certificate.algorithm
            )))
        }
    }

    /// The certificate's type, such as `ssh-ed25519-cert-v01@openssh.com`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The wire form.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The plain key that is certified.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key of the authority that signed.
    #[must_use]
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// The algorithm of the authority's signature, such as `rsa-sha2-512`.
    #[must_use]
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// The serial number, 0 where the authority does not number.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The text by which the authority names the certificate in logs. It may hold control characters.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(crate) fn key_id_bytes(&self) -> &[u8] {
        &self.key_id_bytes
    }

    /// The host name patterns it is for.
    pub fn principals(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.principals.iter().map(|principal| String::from_utf8_lossy(principal))
    }

    /// The first second, in Unix time, at which it holds.
    #[must_use]
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// The first second, in Unix time, at which it holds no longer; `u64::MAX` is for ever.
    #[must_use]
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// The names of its critical options. No option is defined for hosts, so each one makes it unusable.
    #[must_use]
    pub fn critical_options(&self) -> &[String] {
        &self.critical_options
    }

    /// Checks all but the authority: signature algorithm, type, time, name, and critical options.
    ///
    /// The name is matched against each principal as a pattern with `*` and `?`, as OpenSSH does. A certificate
    /// without principals is refused, as OpenSSH does since 10.3; earlier releases took it for every host.
    ///
    /// # Errors
    /// The first reason for which the certificate does not speak for the host at that time.
    pub fn check(&self, host: &HostName, now_unix: u64) -> Result<(), CertificateProblem> {
        self.check_by(host, now_unix, &TrustRules::default())
    }

    /// As [`check`](Self::check), with the algorithms that an authority may sign with (`CASignatureAlgorithms`).
    pub(crate) fn check_by(
        &self,
        host: &HostName,
        now_unix: u64,
        rules: &TrustRules,
    ) -> Result<(), CertificateProblem> {
        if self.role != Role::Host {
            return Err(CertificateProblem::NotForHosts);
        }
        if now_unix < self.valid_after {
            return Err(CertificateProblem::NotYetValid { valid_after: self.valid_after });
        }
        if now_unix >= self.valid_before {
            return Err(CertificateProblem::Expired { valid_before: self.valid_before });
        }
        if self.principals.is_empty() {
            return Err(CertificateProblem::NoPrincipals);
        }
        if !self.principals.iter().any(|pattern| glob(pattern, host.as_str().as_bytes())) {
            let principals = self.principals.iter().map(|principal| shown(principal)).collect();
            return Err(CertificateProblem::WrongHost { host: host.clone(), principals });
        }
        if let Some(name) = self.critical_options.first() {
            return Err(CertificateProblem::CriticalOption { name: name.clone() });
        }
        let algorithm = || self.signature_algorithm.clone();
        if self.has_weak_signature() {
            return Err(CertificateProblem::WeakSignature { algorithm: algorithm() });
        }
        if !rules.takes_signature(&self.signature_algorithm) {
            return Err(CertificateProblem::SignatureAlgorithm { algorithm: algorithm() });
        }
        Ok(())
    }

    /// Whether the authority signed as its kind of key did before SHA-2 (RFC 8332, section 5.1).
    fn has_weak_signature(&self) -> bool {
        WEAK_SIGNATURES.contains(&self.signature_algorithm.as_str())
            && self.signature_algorithm == self.authority.algorithm()
    }
}

impl fmt::Debug for HostCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCertificate")
            .field("key", &self.key)
            .field("authority", &self.authority)
            .field("serial", &self.serial)
            .field("key_id", &self.key_id)
            .field("principals", &self.principals().collect::<Vec<_>>())
            .field("valid_after", &self.valid_after)
            .field("valid_before", &self.valid_before)
            .finish_non_exhaustive()
    }
}

/// Why a certificate of a trusted authority does not vouch for the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It certifies a user's key.
    #[error("it is a user certificate, not a host certificate")]
    NotForHosts,
    /// Its time has not come.
    #[error("it is not valid before {}; compare the clock of this machine", utc(*.valid_after))]
    NotYetValid {
        /// The first second at which it holds.
        valid_after: u64,
    },
    /// Its time is over.
    #[error("it expired at {}; the host needs a new one from its authority", utc(*.valid_before))]
    Expired {
        /// The first second at which it holds no longer.
        valid_before: u64,
    },
    /// It names no host at all.
    #[error("it names no host; sign it again with `-n` and the names of the host")]
    NoPrincipals,
    /// It names other hosts.
    #[error("it is for {}, not for {host}", .principals.join(", "))]
    WrongHost {
        /// The host that was asked for.
        host: HostName,
        /// The hosts it names.
        principals: Vec<String>,
    },
    /// It has a condition that this crate cannot check.
    #[error("its critical option `{name}` is not known")]
    CriticalOption {
        /// The option's name.
        name: String,
    },
    /// The authority signed with an algorithm that can be forged.
    #[error(
        "its authority signed it with `{algorithm}`, which is not accepted; sign it again with `-t rsa-sha2-512`"
    )]
    WeakSignature {
        /// The algorithm's name.
        algorithm: String,
    },
    /// The authority signed with an algorithm that the rules leave out.
    #[error("its authority signed it with `{algorithm}`, which `CASignatureAlgorithms` leaves out")]
    SignatureAlgorithm {
        /// The algorithm's name.
        algorithm: String,
    },
}

/// The fields between the type's name and the signature.
struct Body<'a> {
    key: Vec<u8>,
    serial: u64,
    role: u32,
    key_id: &'a [u8],
    principals: &'a [u8],
    valid_after: u64,
    valid_before: u64,
    critical: &'a [u8],
    extensions: &'a [u8],
    authority: &'a [u8],
}

impl<'a> Body<'a> {
    fn read(reader: &mut Reader<'a>, plain: &str, strings: usize) -> Option<Self> {
        let _nonce = reader.string()?;
        let mut key = Vec::new();
        put_string(&mut key, plain.as_bytes())?;
        for _ in 0..strings {
            put_string(&mut key, reader.string()?)?;
        }
        let (serial, role) = (reader.u64()?, reader.u32()?);
        let (key_id, principals) = (reader.string()?, reader.string()?);
        let (valid_after, valid_before) = (reader.u64()?, reader.u64()?);
        let (critical, extensions) = (reader.string()?, reader.string()?);
        let _reserved = reader.string()?;
        let authority = reader.string()?;
        Some(Self {
            key,
            serial,
            role,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical,
            extensions,
            authority,
        })
    }
}

/// The plain type behind a certificate's, and how many strings make its key.
fn certified_algorithm(name: &[u8]) -> Result<(&'static str, usize), Error> {
    // `sk-ssh-ed25519@openssh.com` is certified as `sk-ssh-ed25519-cert-v01@openssh.com`.
    let stem = |plain: &'static str| plain.strip_suffix("@openssh.com").unwrap_or(plain);
    let known = std::str::from_utf8(name).ok().and_then(|name| name.strip_suffix(SUFFIX));
    let found = known.and_then(|known| ALGORITHMS.into_iter().find(|(plain, _)| stem(plain) == known));
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::UnsupportedKey,
            format!("`{}` is not a certificate type that is supported", shown(name)),
        )
    })
}

fn verify(authority: &PublicKey, signed: &[u8], signature: &[u8]) -> Result<(), Error> {
    let refused = || {
        Error::new(
            ErrorKind::CertificateSignature,
            format!("the certificate's signature is not one by its authority {authority}"),
        )
    };
    let key = ssh_key::PublicKey::from_bytes(authority.wire()).map_err(|_| refused())?;
    let mut rest = Reader::new(signature);
    let name = rest.string().ok_or_else(refused)?;
    let _blob = rest.string().ok_or_else(refused)?;
    // A security key's signature has a byte of flags and a counter behind the blob; no other has anything.
    if rest.remaining() != if name.starts_with(b"sk-") { 5 } else { 0 } {
        return Err(refused());
    }
    let signature = ssh_key::Signature::try_from(signature).map_err(|_| refused())?;
    key.key_data().verify(signed, &signature).map_err(|_| refused())
}

/// A field that is a sequence of strings.
fn strings_of(field: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(field);
    let mut strings = Vec::new();
    while !reader.is_empty() {
        strings.push(reader.string()?);
    }
    Some(strings)
}

/// The names of a field that is a sequence of name and value pairs.
fn option_names(field: &[u8]) -> Option<Vec<String>> {
    let strings = strings_of(field)?;
    (strings.len() % 2 == 0).then(|| strings.chunks_exact(2).map(|pair| shown(pair[0])).collect())
}

fn within(what: &str, key: Result<PublicKey, Error>) -> Result<PublicKey, Error> {
    key.map_err(|error| Error::new(error.kind(), format!("in the host certificate, {what}: {error}")))
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::MalformedCertificate, format!("not a host certificate: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_type_of_a_security_key_drops_the_domain_first() {
        assert_eq!(
            certified_algorithm(b"sk-ssh-ed25519-cert-v01@openssh.com").unwrap(),
            ("sk-ssh-ed25519@openssh.com", 2)
        );
        assert_eq!(certified_algorithm(b"ssh-rsa-cert-v01@openssh.com").unwrap(), ("ssh-rsa", 2));
        for name in [&b""[..], b"ssh-ed25519", b"-cert-v01@openssh.com", b"rsa-sha2-512-cert-v01@openssh.com"]
        {
            assert_eq!(certified_algorithm(name).unwrap_err().kind(), ErrorKind::UnsupportedKey);
        }
    }
}
