//! The base's parsers and signers for private keys, behind one function each.

mod container;
#[cfg(test)]
mod frames;
mod pem;
mod pkcs8;
mod ppk;
mod short_scalar;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use russh::keys::signature::{self, Signer, Verifier};
use russh::keys::{self, decode_secret_key};
use ssh_key::encoding::Encode;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey};

use self::container::Container;
use crate::auth::format::{Format, PemCipher, Protection};
use crate::secret::SecretBuf;

/// Why a text of a known format gave no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// It is encrypted and no passphrase was given.
    NeedsPassphrase,
    /// The passphrase does not open it, as far as one can tell that from damage.
    WrongPassphrase,
    /// Its content does not follow its format.
    Damaged,
    /// A sort of key that is not supported; the text names it.
    Unsupported(String),
}

/// The most rounds of bcrypt that a file may ask for: about a minute, which a wrong passphrase for a P-256 key costs
/// twice. `ssh-keygen` writes 16 or 24, which take a quarter of a second. A fuzzer has no time for more than a few.
const MAX_ROUNDS: u32 = if cfg!(feature = "fuzzing") { 4 } else { 5_000 };

/// The longest file, in bytes. `ssh-keygen` makes RSA keys of at most 16384 bits, whose files have 13 KB. To check one
/// takes a second or two, and eight times that for twice the bits: hours for a file of a megabyte.
const MAX_LENGTH: usize = 20 * 1024;

/// Decodes the private key in `text`, whose format is `format`.
pub(crate) fn decode(text: &str, format: Format, passphrase: Option<&str>) -> Result<PrivateKey, Undecoded> {
    if text.len() > MAX_LENGTH {
        return Err(too_costly());
    }
    let encrypted = match format {
        Format::OpenSsh => None,
        Format::Rsa(cipher) | Format::Ec(cipher) => Some(cipher != PemCipher::None),
        Format::Pkcs8 => Some(false),
        Format::Pkcs8Encrypted => Some(true),
        Format::Ppk(protection) => Some(protection == Protection::Encrypted),
    };
    if encrypted == Some(true) && passphrase.is_none() {
        return Err(Undecoded::NeedsPassphrase);
    }
    // The parsers under the base take a passphrase for a plain PKCS#8 or PEM file as proof that it is encrypted.
    let passphrase = passphrase.filter(|_| encrypted != Some(false));
    let read = || match (format, passphrase) {
        (Format::Rsa(cipher), Some(passphrase)) => {
            parse(&pem::opened(text, "RSA PRIVATE KEY", cipher, passphrase)?, None, true)
        }
        (Format::Ec(cipher), Some(passphrase)) => {
            parse(&pem::opened(text, "EC PRIVATE KEY", cipher, passphrase)?, None, true)
        }
        (Format::Pkcs8Encrypted, _) => parse(&pkcs8::bounded(text)?, passphrase, true),
        (Format::Ppk(_), _) if ppk::is_ed25519(text) => ppk::decode(text, passphrase),
        (Format::OpenSsh, _) => openssh(text, passphrase),
        (Format::Rsa(_) | Format::Ec(_) | Format::Pkcs8, _) => parse(text, None, false),
        (Format::Ppk(_), _) => parse(text, passphrase, passphrase.is_some()),
    };
    // A file is input like any other: should a parser of a release candidate panic on it, that is its damage.
    let key = catch_unwind(AssertUnwindSafe(read)).map_err(|_| Undecoded::Damaged)??;
    check(&key)?;
    Ok(key)
}

fn openssh(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, Undecoded> {
    let file = container::bytes(text).ok_or(Undecoded::Damaged)?;
    let container = Container::read(&file)?;
    if container.rounds > MAX_ROUNDS {
        return Err(too_costly());
    }
    let tried = passphrase.is_some() && !container.is_plain();
    // Framed anew, so that the parser reads what was looked at here, should a file hold several.
    parse(&container::framed("OPENSSH PRIVATE KEY", &file), passphrase, tried)
        .or_else(|why| short_scalar::decode(&file, &container, passphrase).ok_or(why))
}

/// The file chooses what its passphrase costs, and no limit on time ends the thread that pays.
fn too_costly() -> Undecoded {
    Undecoded::Unsupported(
        "a key file that would take minutes, or gigabytes of memory, to be opened".to_owned(),
    )
}

/// Hands `text` to the parsers of the base.
fn parse(text: &str, passphrase: Option<&str>, encrypted: bool) -> Result<PrivateKey, Undecoded> {
    decode_secret_key(text, passphrase).map_err(|error| undecoded(&error, encrypted))
}

/// The public half of a key in OpenSSH's format, which is never encrypted (OpenSSH's PROTOCOL.key, section 1).
pub(crate) fn public_half(text: &str) -> Result<PublicKey, Undecoded> {
    let bytes = container::bytes(text).ok_or(Undecoded::Damaged)?;
    let public = Container::read(&bytes)?.public;
    let key = catch_unwind(|| PublicKey::from_bytes(public)).map_err(|_| Undecoded::Damaged)?;
    key.map_err(|error| undecoded(&error.into(), false))
}

/// Bytes written as pairs of hexadecimal digits.
fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.trim().as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}

/// Whether such a key, unencrypted, is read and signs in less time than it takes to hand the work to another thread.
pub(crate) fn is_quick(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. })
}

/// Signs `data` with `key`; RSA with `hash`. Returns the signature blob: its algorithm's name, then itself.
pub(crate) fn sign(key: &PrivateKey, hash: Option<HashAlg>, data: &[u8]) -> Result<Vec<u8>, Unsigned> {
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(data),
        pair => pair.try_sign(data),
    };
    let signature = signature.map_err(|_| Unsigned)?;
    signature.encode_vec().map_err(|_| Unsigned)
}

/// Whether `signature` is one over `data` by the owner of `public`.
pub(crate) fn verify(
    public: &PublicKey,
    data: &[u8],
    signature: &ssh_key::Signature,
) -> Result<(), signature::Error> {
    Verifier::verify(public, data, signature)
}

/// The key could not sign: its parts do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsigned;

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the private key could not sign; its file is damaged")
    }
}

impl std::error::Error for Unsigned {}

/// Refuses what cannot sign, and what a lenient parser lets through.
fn check(key: &PrivateKey) -> Result<(), Undecoded> {
    match key.key_data() {
        KeypairData::Rsa(_) | KeypairData::Ecdsa(_) => Ok(()),
        // The parsers believe what a file says of its public half; deriving it costs next to nothing.
        KeypairData::Ed25519(pair) => {
            let derived = Ed25519Keypair::from_seed(&pair.private.to_bytes());
            let is_one = &KeyData::Ed25519(derived.public) == key.public_key().key_data();
            if is_one { Ok(()) } else { Err(Undecoded::Damaged) }
        }
        KeypairData::Dsa(_) => Err(Undecoded::Unsupported("a DSA key".to_owned())),
        KeypairData::SkEcdsaSha2NistP256(_) | KeypairData::SkEd25519(_) => {
            Err(Undecoded::Unsupported("a security key, which signs only through an agent".to_owned()))
        }
        KeypairData::Encrypted(_) => Err(Undecoded::NeedsPassphrase),
        _ => Err(Undecoded::Unsupported(format!("a key of type {}", key.algorithm()))),
    }
}

fn undecoded(error: &keys::Error, with_passphrase: bool) -> Undecoded {
    match error {
        keys::Error::KeyIsEncrypted | keys::Error::SshKey(ssh_key::Error::Encrypted) => {
            Undecoded::NeedsPassphrase
        }
        keys::Error::UnsupportedKeyType { key_type_string, .. } => {
            Undecoded::Unsupported(format!("a key of type {key_type_string}"))
        }
        keys::Error::UnknownAlgorithm(identifier) => {
            Undecoded::Unsupported(format!("a key of type {identifier}"))
        }
        keys::Error::SshKey(ssh_key::Error::AlgorithmUnsupported { algorithm: Algorithm::Dsa }) => {
            Undecoded::Unsupported("a DSA key".to_owned())
        }
        keys::Error::SshKey(ssh_key::Error::AlgorithmUnsupported { algorithm }) => {
            Undecoded::Unsupported(format!("a key of type {algorithm}"))
        }
        _ if with_passphrase => Undecoded::WrongPassphrase,
        _ => Undecoded::Damaged,
    }
}

/// Hands the private half, as an agent takes it, to `with`; `None` for a key that has no such form. The bytes are wiped.
pub(crate) fn agent_entry<T>(key: &PrivateKey, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let data = key.key_data();
    // Its length is known, so that it never grows.
    let mut bytes = Vec::with_capacity(data.encoded_len().ok()?);
    data.encode(&mut bytes).ok()?;
    let bytes = SecretBuf::from_vec(bytes);
    Some(with(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use ssh_key::encoding::base64::{Base64, Encoding};

    use super::*;

    /// A file whose passphrase is stretched this often, with nothing in it.
    fn stretched(rounds: u32) -> String {
        let mut options = Vec::new();
        container::push(&mut options, &[1; 16]).unwrap();
        options.extend_from_slice(&rounds.to_be_bytes());
        let mut bytes = b"openssh-key-v1\0".to_vec();
        for part in [b"aes256-ctr".as_slice(), b"bcrypt", &options] {
            container::push(&mut bytes, part).unwrap();
        }
        bytes.extend_from_slice(&1u32.to_be_bytes());
        for part in [&[0; 51][..], &[0; 160]] {
            container::push(&mut bytes, part).unwrap();
        }
        let base64 = Base64::encode_string(&bytes);
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n-----END OPENSSH PRIVATE KEY-----\n")
    }

    #[test]
    fn a_file_that_would_take_hours_to_open_is_refused_before_it_takes_any() {
        // One that hides behind another is not the one that is opened.
        let behind = format!(" {}{}", stretched(1), stretched(u32::MAX));
        for text in [stretched(MAX_ROUNDS + 1), stretched(u32::MAX), stretched(u32::MAX) + &behind] {
            let refused = decode(&text, Format::OpenSsh, Some("correct horse"));
            assert!(matches!(refused, Err(Undecoded::Unsupported(_))), "{refused:?}");
        }
        let tried = decode(&behind, Format::OpenSsh, Some("correct horse"));
        assert!(matches!(tried, Err(Undecoded::WrongPassphrase)), "{tried:?}");
        let tried = decode(&stretched(1), Format::OpenSsh, Some("correct horse"));
        assert!(matches!(tried, Err(Undecoded::WrongPassphrase)), "{tried:?}");
    }

    #[test]
    fn a_file_longer_than_any_key_that_is_made_is_refused_before_there_is_arithmetic() {
        let frame = |base64: usize| {
            format!(
                "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
                "A".repeat(base64)
            )
        };
        let format = Format::Rsa(PemCipher::None);
        let longest = frame(MAX_LENGTH - frame(0).len());
        assert_eq!(decode(&longest, format, None).unwrap_err(), Undecoded::Damaged);
        let longer = decode(&format!("{longest} "), format, None).unwrap_err();
        assert!(matches!(longer, Undecoded::Unsupported(_)), "{longer:?}");
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(hex("00fFa1 "), Some(vec![0, 255, 161]));
        assert_eq!(hex(""), Some(vec![]));
        for wrong in ["0", "0g", "é", "+1", "0 0 "] {
            assert_eq!(hex(wrong), None, "{wrong}");
        }
    }
}
