//! PuTTY's files of Ed25519 keys (versions 2 and 3 of its format, appendix C of its manual).
//!
//! PuTTY writes the seed as a number, least byte first, and leaves out zero bytes at its end. The parser under the
//! base takes it for an `mpint` (RFC 4251 section 5): it puts the missing zeros at the wrong end, and refuses a seed
//! that begins with one. That is one key in 128, so that these files are read here; the other types, whose numbers
//! are `mpint`s, are left to the parser.

use argon2::Argon2;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use ssh_key::private::Ed25519Keypair;
use ssh_key::public::KeyData;
use ssh_key::{Cipher, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::container::{self, Reader};
use super::{Undecoded, hex};

const ED25519: &str = "ssh-ed25519";

/// Bytes of a seed.
const SEED: usize = 32;

/// Whether `text` is such a file, by its first line.
pub(super) fn is_ed25519(text: &str) -> bool {
    text.trim_start().lines().next().and_then(first_line).is_some_and(|(_, algorithm)| algorithm == ED25519)
}

/// The key in `text`, once its code of authentication was right and its halves belong together.
pub(super) fn decode(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, Undecoded> {
    let mut file = File::read(text).ok_or(Undecoded::Damaged)?;
    let keys = match (file.encryption, passphrase) {
        ("none", _) => Keys::plain(file.version),
        ("aes256-cbc", Some(passphrase)) => Keys::of(&file, passphrase)?,
        ("aes256-cbc", None) => return Err(Undecoded::NeedsPassphrase),
        _ => return Err(Undecoded::Damaged),
    };
    if let Some((key, iv)) = &keys.cipher {
        let decrypted = Cipher::Aes256Cbc.decrypt(key.as_slice(), iv, &mut file.private, None);
        decrypted.map_err(|_| Undecoded::Damaged)?;
    }
    if !file.is_authentic(&keys.mac) {
        return Err(if keys.cipher.is_some() { Undecoded::WrongPassphrase } else { Undecoded::Damaged });
    }
    let seed = seed(&file.private).ok_or(Undecoded::Damaged)?;
    let pair = Ed25519Keypair::from_seed(&seed);
    let stated = PublicKey::from_bytes(&file.public).map_err(|_| Undecoded::Damaged)?;
    if stated.key_data() != &KeyData::Ed25519(pair.public) {
        return Err(Undecoded::Damaged);
    }
    PrivateKey::new(pair.into(), file.comment).map_err(|_| Undecoded::Damaged)
}

/// The seed with the zeros that were left out. Behind the number an encrypted file has random bytes up to its block.
fn seed(private: &[u8]) -> Option<Zeroizing<[u8; SEED]>> {
    let number = Reader(private).string()?;
    let mut seed = Zeroizing::new([0; SEED]);
    seed.get_mut(..number.len())?.copy_from_slice(number);
    Some(seed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Two,
    Three,
}

/// A file taken apart, its private half as it stands there.
struct File<'a> {
    version: Version,
    encryption: &'a str,
    comment: &'a str,
    public: Vec<u8>,
    /// Of version 3, where it is encrypted.
    stretching: Option<Stretching<'a>>,
    private: Zeroizing<Vec<u8>>,
    code: Vec<u8>,
}

/// How version 3 makes keys of a passphrase.
struct Stretching<'a> {
    algorithm: &'a str,
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
}

impl<'a> File<'a> {
    /// Reads the fields in their order, which is the only one that PuTTY itself takes.
    fn read(text: &'a str) -> Option<Self> {
        let mut lines = text.trim_start().lines();
        let (version, ED25519) = first_line(lines.next()?)? else { return None };
        let mut fields = Fields { lines, room: text.len() };
        let encryption = fields.value("Encryption")?;
        let comment = fields.value("Comment")?;
        let public = fields.block("Public-Lines")?.to_vec();
        let stretching = match version {
            Version::Three if encryption != "none" => Some(Stretching {
                algorithm: fields.value("Key-Derivation")?,
                memory: fields.value("Argon2-Memory")?.parse().ok()?,
                passes: fields.value("Argon2-Passes")?.parse().ok()?,
                lanes: fields.value("Argon2-Parallelism")?.parse().ok()?,
                salt: hex(fields.value("Argon2-Salt")?)?,
            }),
            Version::Two | Version::Three => None,
        };
        let private = fields.block("Private-Lines")?;
        let code = hex(fields.value("Private-MAC")?)?;
        Some(Self { version, encryption, comment, public, stretching, private, code })
    }

    /// Whether the code of authentication is the one of the decrypted file under `key`.
    fn is_authentic(&self, key: &[u8]) -> bool {
        let parts = [
            ED25519.as_bytes(),
            self.encryption.as_bytes(),
            self.comment.as_bytes(),
            &self.public,
            &self.private,
        ];
        match self.version {
            Version::Two => is_code_of::<Hmac<Sha1>>(key, parts, &self.code),
            Version::Three => is_code_of::<Hmac<Sha256>>(key, parts, &self.code),
        }
    }
}

/// `PuTTY-User-Key-File-<version>: <algorithm>`.
fn first_line(line: &str) -> Option<(Version, &str)> {
    let (version, algorithm) = line.strip_prefix("PuTTY-User-Key-File-")?.split_once(':')?;
    let version = match version {
        "2" => Version::Two,
        "3" => Version::Three,
        _ => return None,
    };
    Some((version, algorithm.trim()))
}

/// The lines after the first one, each a name and a value.
struct Fields<'a> {
    lines: std::str::Lines<'a>,
    room: usize,
}

impl<'a> Fields<'a> {
    /// The value of the next line, if that has this name.
    fn value(&mut self, name: &str) -> Option<&'a str> {
        let value = self.lines.next()?.strip_prefix(name)?.strip_prefix(':')?;
        Some(value.strip_prefix(' ').unwrap_or(value))
    }

    /// The number of lines that this name announces, decoded.
    fn block(&mut self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let count: usize = self.value(name)?.parse().ok()?;
        container::joined(self.lines.by_ref().take(count).map(str::trim), self.room)
    }
}

/// What opens a file and shows that nobody changed it.
struct Keys {
    cipher: Option<(Zeroizing<[u8; 32]>, [u8; 16])>,
    mac: Zeroizing<Vec<u8>>,
}

impl Keys {
    /// Those of a plain file, whose code of authentication finds mistakes, not attackers.
    fn plain(version: Version) -> Self {
        let mac = match version {
            Version::Two => Zeroizing::new(mac_key_of_two("").to_vec()),
            Version::Three => Zeroizing::new(Vec::new()),
        };
        Self { cipher: None, mac }
    }

    fn of(file: &File<'_>, passphrase: &str) -> Result<Self, Undecoded> {
        let Some(stretching) = &file.stretching else { return Ok(Self::of_two(passphrase)) };
        Self::of_three(stretching, passphrase)
    }

    /// SHA-1 over a counter and the passphrase, until there is enough for AES-256; no initialisation vector.
    fn of_two(passphrase: &str) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        for (counter, part) in (0u32..).zip(key.chunks_mut(20)) {
            let hash = Sha1::new().chain_update(counter.to_be_bytes()).chain_update(passphrase);
            let hash = Zeroizing::new(<[u8; 20]>::from(hash.finalize()));
            part.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
        }
        Self { cipher: Some((key, [0; 16])), mac: Zeroizing::new(mac_key_of_two(passphrase).to_vec()) }
    }

    /// Argon2, whose output is the key, the initialisation vector and the key of the code of authentication.
    fn of_three(stretching: &Stretching<'_>, passphrase: &str) -> Result<Self, Undecoded> {
        let algorithm = match stretching.algorithm {
            "Argon2id" => argon2::Algorithm::Argon2id,
            "Argon2i" => argon2::Algorithm::Argon2i,
            "Argon2d" => argon2::Algorithm::Argon2d,
            _ => return Err(Undecoded::Unsupported("a PuTTY key with an unknown key derivation".to_owned())),
        };
        // How much memory and time the file may ask for was settled when its format was told.
        let Stretching { memory, passes, lanes, .. } = *stretching;
        let parameters = argon2::Params::new(memory, passes, lanes, None).map_err(|_| Undecoded::Damaged)?;
        let mut output = Zeroizing::new([0; 80]);
        Argon2::new(algorithm, argon2::Version::V0x13, parameters)
            .hash_password_into(passphrase.as_bytes(), &stretching.salt, output.as_mut_slice())
            .map_err(|_| Undecoded::Damaged)?;
        let parts = || {
            let (key, rest) = output.split_first_chunk::<32>()?;
            let (iv, mac) = rest.split_first_chunk::<16>()?;
            Some(Self { cipher: Some((Zeroizing::new(*key), *iv)), mac: Zeroizing::new(mac.to_vec()) })
        };
        parts().ok_or(Undecoded::Damaged)
    }
}

fn mac_key_of_two(passphrase: &str) -> Zeroizing<[u8; 20]> {
    let hash = Sha1::new().chain_update("putty-private-key-file-mac-key").chain_update(passphrase);
    Zeroizing::new(hash.finalize().into())
}

/// Whether `code` is the one over `parts`, each with its length before it.
fn is_code_of<M: Mac + KeyInit>(key: &[u8], parts: [&[u8]; 5], code: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    for part in parts {
        let Ok(length) = u32::try_from(part.len()) else { return false };
        mac.update(&length.to_be_bytes());
        mac.update(part);
    }
    mac.verify_slice(code).is_ok()
}

#[cfg(test)]
mod tests;
