//! What the server is shown before anything is signed: a public key, or a certificate for one.

use ssh_key::certificate::CertType;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, Certificate, HashAlg, PublicKey};

/// How deep certificates may nest. One is normal (a plain key of an authority signs); the parser of
/// `ssh-key` recurses into each, so that a crafted one of a few hundred KiB would exhaust the stack.
const MAX_NESTING: usize = 8;

/// A public key or a certificate.
#[derive(Debug, Clone)]
pub(crate) enum Offer {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

impl Offer {
    /// The public key itself.
    pub(crate) fn key_data(&self) -> &KeyData {
        match self {
            Self::Key(key) => key.key_data(),
            Self::Certificate(certificate) => certificate.public_key(),
        }
    }

    /// As ssh shows it: `SHA256:…` of the public key.
    pub(crate) fn fingerprint(&self) -> String {
        self.key_data().fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn is_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }

    pub(crate) fn is_rsa(&self) -> bool {
        matches!(self.algorithm(), Algorithm::Rsa { .. })
    }

    /// The length of an RSA key's modulus in bits; `None` for another kind of key.
    pub(crate) fn rsa_bits(&self) -> Option<u32> {
        let KeyData::Rsa(key) = self.key_data() else { return None };
        Some(key.key_size())
    }

    /// Whether this is a certificate for a host, which logs nobody in.
    pub(crate) fn is_for_hosts(&self) -> bool {
        matches!(self, Self::Certificate(certificate) if certificate.cert_type() != CertType::User)
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Key(key) => key.algorithm(),
            Self::Certificate(certificate) => certificate.algorithm(),
        }
    }

    /// The name of the signature algorithm, as `PubkeyAcceptedAlgorithms` has it; RSA keys have one for each hash
    /// (RFC 8332), `None` being SHA-1.
    pub(crate) fn signature_name(&self, hash: Option<HashAlg>) -> String {
        let plain = match (self.is_rsa(), hash) {
            (true, Some(HashAlg::Sha256)) => "rsa-sha2-256".to_owned(),
            (true, Some(_)) => "rsa-sha2-512".to_owned(),
            (true, None) => "ssh-rsa".to_owned(),
            (false, _) => self.algorithm().as_str().to_owned(),
        };
        match self {
            Self::Key(_) => plain,
            // The certificate's own name is that of the key with a mark: `sk-ssh-ed25519-cert-v01@openssh.com`.
            Self::Certificate(_) => match plain.strip_suffix("@openssh.com") {
                Some(stem) => format!("{stem}-cert-v01@openssh.com"),
                None => format!("{plain}-cert-v01@openssh.com"),
            },
        }
    }

    /// Whether both would be shown to the server as the same bytes.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(one), Self::Key(two)) => one.key_data() == two.key_data(),
            (Self::Certificate(one), Self::Certificate(two)) => {
                matches!((one.to_bytes(), two.to_bytes()), (Ok(one), Ok(two)) if one == two)
            }
            _ => false,
        }
    }
}

/// A certificate from its wire form.
pub(crate) fn parse_certificate(blob: &[u8]) -> Option<Certificate> {
    const MARKER: &[u8] = b"-cert-v01@";
    if blob.windows(MARKER.len()).filter(|window| *window == MARKER).count() > MAX_NESTING {
        return None;
    }
    Certificate::from_bytes(blob).ok()
}

/// A certificate from a line of a `-cert.pub` file.
pub(crate) fn parse_certificate_line(line: &str) -> Option<Certificate> {
    let mut words = line.split_ascii_whitespace();
    let (name, base64) = (words.next()?, words.next()?);
    if !name.ends_with("-cert-v01@openssh.com") {
        return None;
    }
    let mut certificate = parse_certificate(&decode_base64(base64)?)?;
    certificate.set_comment(words.collect::<Vec<_>>().join(" "));
    Some(certificate)
}

/// A public key from a line of a `.pub` file.
pub(crate) fn parse_public_line(line: &str) -> Option<PublicKey> {
    let mut words = line.split_ascii_whitespace();
    let (_, base64) = (words.next()?, words.next()?);
    let mut key = PublicKey::from_bytes(&decode_base64(base64)?).ok()?;
    key.set_comment(words.collect::<Vec<_>>().join(" "));
    Some(key)
}

pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use ssh_key::encoding::base64::{Base64, Encoding};
    Base64::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me and more";

    #[test]
    fn reads_a_public_line_with_its_comment() {
        let key = parse_public_line(LINE).unwrap();
        assert_eq!(key.comment().to_string(), "me and more");
        assert_eq!(Offer::Key(key).algorithm(), Algorithm::Ed25519);
    }

    #[test]
    fn refuses_lines_that_are_no_key() {
        for line in ["", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-ed25519 AAAA", &LINE[..50]] {
            assert!(parse_public_line(line).is_none(), "{line}");
            assert!(parse_certificate_line(line).is_none(), "{line}");
        }
        assert!(parse_certificate_line(LINE).is_none());
    }

    #[test]
    fn nested_certificates_are_refused_before_they_are_parsed() {
        let mut blob = Vec::new();
        for _ in 0..10_000 {
            blob.extend_from_slice(b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com");
        }
        assert!(parse_certificate(&blob).is_none());
    }
}
