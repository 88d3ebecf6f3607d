//! A public key as a server presents it and as a `known_hosts` line holds it.

use std::fmt;

use base64ct::{Base64, Encoding};
use ssh_key::public::KeyData;

use crate::{
    error::{Error, ErrorKind},
    fingerprint::Fingerprint,
    wire::Reader,
};

/// No key type needs more: RSA with 16384 bits takes 2 KiB.
const MAX_WIRE: usize = 16 * 1024;
/// The bounds that OpenSSH puts on RSA host keys (`RequiredRSASize` has this default; OpenSSL the other end).
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=16384;

/// A plain public key: its canonical wire form and the name of its type.
///
/// Two keys are equal when their wire forms are. Certificates are [`HostCertificate`](crate::HostCertificate)s.
///
/// ```
/// use rustle_trust::PublicKey;
///
/// let text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
/// let key = PublicKey::from_openssh(&format!("{text} root@web-1"))?;
/// assert_eq!(key.algorithm(), "ssh-ed25519");
/// assert_eq!(PublicKey::from_wire(key.wire())?, key);
/// assert_eq!(key.to_openssh(), text);
/// # Ok::<(), rustle_trust::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: &'static str,
    wire: Box<[u8]>,
}

impl PublicKey {
    /// Reads the wire form (RFC 4253, section 6.6), as it stands in a key exchange reply.
    ///
    /// # Errors
    /// When the bytes are no key, a key of a type not known here, a certificate, an encoding other than the
    /// canonical one, or an RSA key outside 1024 to 16384 bits.
    pub fn from_wire(wire: &[u8]) -> Result<Self, Error> {
        let name = Reader::new(wire).string().unwrap_or_default();
        if name.is_empty() || wire.len() > MAX_WIRE {
            return Err(malformed("no key type and key data of a sensible size"));
        }
        let algorithm = known_algorithm(name)?;
        let key = ssh_key::PublicKey::from_bytes(wire).map_err(|_| malformed_of(algorithm))?;
        check_key_data(algorithm, key.key_data())?;
        // Equality is by wire form, so a second spelling of the same key must not exist.
        match key.to_bytes() {
            Ok(canonical) if canonical == wire => Ok(Self { algorithm, wire: wire.into() }),
            _ => Err(malformed_of(algorithm)),
        }
    }

    /// Reads the text form: the type, base64, and a comment that is ignored.
    ///
    /// # Errors
    /// As [`from_wire`](Self::from_wire), and when the type before the base64 is not the one within it.
    pub fn from_openssh(text: &str) -> Result<Self, Error> {
        Self::from_fields(text.as_bytes())
    }

    /// As [`from_openssh`](Self::from_openssh), from a line whose comment may hold any bytes.
    pub(crate) fn from_fields(text: &[u8]) -> Result<Self, Error> {
        let (name, blob) = split_fields(text)?;
        let algorithm = known_algorithm(name)?;
        let key = Self::from_wire(&blob)?;
        if key.algorithm == algorithm {
            Ok(key)
        } else {
            Err(malformed(&format!("the text says {algorithm}, the key within says {}", key.algorithm)))
        }
    }

    /// The name of the key's type, such as `ssh-ed25519`. An RSA key is `ssh-rsa` whatever it signs with.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.algorithm
    }

    /// The wire form.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The SHA-256 fingerprint, as `ssh` shows it.
    #[must_use]
    pub fn fingerprint_sha256(&self) -> Fingerprint {
        Fingerprint::of(&self.wire)
    }

    /// The text form without a comment: type, space, base64.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        format!("{} {}", self.algorithm, Base64::encode_string(&self.wire))
    }

    /// The name and size that `ssh-keygen -l` shows.
    pub(crate) fn short_name_and_bits(&self) -> (&'static str, usize) {
        match self.algorithm {
            "ssh-ed25519" => ("ED25519", 256),
            "sk-ssh-ed25519@openssh.com" => ("ED25519-SK", 256),
            "sk-ecdsa-sha2-nistp256@openssh.com" => ("ECDSA-SK", 256),
            "ecdsa-sha2-nistp256" => ("ECDSA", 256),
            "ecdsa-sha2-nistp384" => ("ECDSA", 384),
            "ecdsa-sha2-nistp521" => ("ECDSA", 521),
            "ssh-dss" => ("DSA", self.first_number_bits()),
            _ => ("RSA", self.rsa_bits().unwrap_or_default()),
        }
    }

    /// The bits of the number that stands first, which is a DSA key's modulus.
    fn first_number_bits(&self) -> usize {
        let mut reader = Reader::new(&self.wire);
        let _name = reader.string();
        reader.string().map_or(0, bit_length)
    }

    /// The size of an RSA key's modulus; `None` for the other types, whose size is fixed.
    ///
    /// Keys under 1024 bits never get here; a caller that asks for more compares this.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<usize> {
        if self.algorithm != "ssh-rsa" {
            return None;
        }
        let mut reader = Reader::new(&self.wire);
        let (_name, _exponent) = (reader.string()?, reader.string()?);
        reader.string().map(bit_length)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint_sha256())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The plain key types, each with the number of wire strings that follow its name.
pub(crate) const ALGORITHMS: [(&str, usize); 8] = [
    ("ssh-ed25519", 1),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
    ("ssh-rsa", 2),
    ("ssh-dss", 4),
];

/// Splits `TYPE BASE64 [COMMENT]` and decodes the middle.
pub(crate) fn split_fields(text: &[u8]) -> Result<(&[u8], Vec<u8>), Error> {
    let mut fields = text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let name = fields.next().unwrap_or_default();
    let Some(digits) = fields.next() else {
        return Err(malformed("expected a key type and its base64"));
    };
    let digits = std::str::from_utf8(digits).map_err(|_| malformed("its base64 is damaged"))?;
    let blob = Base64::decode_vec(digits).map_err(|_| malformed("its base64 is damaged or cut short"))?;
    Ok((name, blob))
}

fn known_algorithm(name: &[u8]) -> Result<&'static str, Error> {
    if let Some((known, _)) = ALGORITHMS.iter().find(|(known, _)| known.as_bytes() == name) {
        return Ok(known);
    }
    let shown = shown(name);
    Err(Error::new(
        ErrorKind::UnsupportedKey,
        if name.ends_with(b"-cert-v01@openssh.com") {
            format!("`{shown}` is a certificate where a plain key is expected")
        } else {
            format!("key type `{shown}` is not supported")
        },
    ))
}

fn check_key_data(algorithm: &'static str, data: &KeyData) -> Result<(), Error> {
    match data {
        KeyData::Rsa(key) => {
            let bits = key.n().as_positive_bytes().map_or(0, bit_length);
            if RSA_BITS.contains(&bits) {
                return Ok(());
            }
            Err(Error::new(
                ErrorKind::KeySize,
                format!(
                    "an RSA key of {bits} bits is refused: {} to {} are accepted",
                    RSA_BITS.start(),
                    RSA_BITS.end()
                ),
            ))
        }
        // RFC 5656, section 3.1 allows compressed points; OpenSSH refuses them, and so no known_hosts holds one.
        KeyData::Ecdsa(key) if key.as_sec1_bytes().first() != Some(&4) => Err(malformed_of(algorithm)),
        KeyData::SkEcdsaSha2NistP256(key) if key.ec_point().as_bytes().first() != Some(&4) => {
            Err(malformed_of(algorithm))
        }
        _ => Ok(()),
    }
}

/// The bits of a big-endian unsigned number.
fn bit_length(bytes: &[u8]) -> usize {
    let significant = bytes.iter().skip_while(|byte| **byte == 0).count();
    let leading = bytes.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros());
    (significant * 8).saturating_sub(usize::try_from(leading).unwrap_or_default())
}

/// Foreign bytes for a message: short, and without control characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const LIMIT: usize = 64;
    let mut text: String =
        String::from_utf8_lossy(bytes).chars().take(LIMIT).flat_map(char::escape_debug).collect();
    if bytes.len() > LIMIT {
        text.push('…');
    }
    text
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::MalformedKey, format!("not a public key: {why}"))
}

fn malformed_of(algorithm: &str) -> Error {
    malformed(&format!("what follows `{algorithm}` is not a key of that type"))
}
