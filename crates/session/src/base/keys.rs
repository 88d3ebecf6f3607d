//! The base's parsers and signers for private keys, behind one function each.

mod short_scalar;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use russh::keys::signature::Signer;
use russh::keys::{self, decode_secret_key};
use ssh_key::encoding::Encode;
use ssh_key::private::KeypairData;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::auth::format::{Format, PemCipher, Protection};
use crate::auth::offer::decode_base64;

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

/// Decodes the private key in `text`, whose format is `format`.
pub(crate) fn decode(text: &str, format: Format, passphrase: Option<&str>) -> Result<PrivateKey, Undecoded> {
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
    if format == Format::Ec(PemCipher::Aes128Cbc) {
        // The base takes every file encrypted in this way for RSA.
        return Err(Undecoded::Unsupported("an EC key encrypted in OpenSSL's old way".to_owned()));
    }
    // The parsers under the base take a passphrase for a plain PKCS#8 or PEM file as proof that it is encrypted.
    let passphrase = passphrase.filter(|_| encrypted != Some(false));
    // A file is input like any other: should a parser of a release candidate panic on it, that is its damage.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_secret_key(text, passphrase)))
        .map_err(|_| Undecoded::Damaged)?;
    let key = match decoded {
        Ok(key) => key,
        Err(error) => {
            let short = (format == Format::OpenSsh).then(|| short_scalar::decode(text, passphrase)).flatten();
            short.ok_or_else(|| undecoded(&error, encrypted.unwrap_or(passphrase.is_some())))?
        }
    };
    check(&key, format)?;
    Ok(key)
}

/// The public half of a key in OpenSSH's format, which is never encrypted (OpenSSH's PROTOCOL.key, section 1).
pub(crate) fn public_half(text: &str) -> Result<PublicKey, Undecoded> {
    const MAGIC: &[u8] = b"openssh-key-v1\0";
    let base64: Zeroizing<String> = Zeroizing::new(
        text.lines()
            .map(str::trim)
            .skip_while(|line| !line.starts_with("-----BEGIN "))
            .skip(1)
            .take_while(|line| !line.starts_with("-----END "))
            .fold(String::with_capacity(text.len()), |all, line| all + line),
    );
    let bytes = Zeroizing::new(decode_base64(&base64).ok_or(Undecoded::Damaged)?);
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(Undecoded::Damaged)?;
    for _cipher_kdf_and_its_options in 0..3 {
        prefixed(&mut rest)?;
    }
    let (count, keys) = rest.split_first_chunk().ok_or(Undecoded::Damaged)?;
    rest = keys;
    if u32::from_be_bytes(*count) != 1 {
        return Err(Undecoded::Unsupported("a file of several keys".to_owned()));
    }
    let public = prefixed(&mut rest)?;
    let key = catch_unwind(|| PublicKey::from_bytes(public)).map_err(|_| Undecoded::Damaged)?;
    key.map_err(|error| undecoded(&error.into(), false))
}

/// Takes a string with its length before it (RFC 4251 section 5).
fn prefixed<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Undecoded> {
    let (length, tail) = rest.split_first_chunk().ok_or(Undecoded::Damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Undecoded::Damaged)?;
    let (part, tail) = tail.split_at_checked(length).ok_or(Undecoded::Damaged)?;
    *rest = tail;
    Ok(part)
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
#[cfg(test)]
pub(crate) fn verify(
    public: &PublicKey,
    data: &[u8],
    signature: &ssh_key::Signature,
) -> Result<(), keys::signature::Error> {
    keys::signature::Verifier::verify(public, data, signature)
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
fn check(key: &PrivateKey, format: Format) -> Result<(), Undecoded> {
    match key.key_data() {
        KeypairData::Rsa(_) | KeypairData::Ecdsa(_) => Ok(()),
        // PuTTY leaves out trailing zero bytes of the private half, which the parser puts back at the wrong
        // end: one such key in 128 comes out as another key, whose signatures no server would take.
        KeypairData::Ed25519(pair) if matches!(format, Format::Ppk(_)) => {
            let derived = ssh_key::private::Ed25519Keypair::from_seed(&pair.private.to_bytes());
            let stated = KeyData::Ed25519(derived.public);
            if &stated == key.public_key().key_data() { Ok(()) } else { Err(Undecoded::Damaged) }
        }
        KeypairData::Ed25519(_) => Ok(()),
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
