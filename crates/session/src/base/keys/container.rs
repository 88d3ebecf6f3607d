//! OpenSSH's container for private keys (its PROTOCOL.key), and the strings it is made of.
//!
//! The public half stands outside of what is encrypted. Behind the private section, which is the only one that may
//! be encrypted, comes the cipher's tag, where the cipher has one.

use ssh_key::encoding::base64::{Base64, Encoding};
use zeroize::Zeroizing;

use super::Undecoded;
use crate::auth::offer::decode_base64;

/// What every such file begins with.
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The parts of a container with one key.
pub(super) struct Container<'a> {
    /// The name of the cipher; `none` for a plain file.
    pub(super) cipher: &'a [u8],
    /// How often the passphrase is stretched; 0 for a plain file.
    pub(super) rounds: u32,
    /// The public half, encoded.
    pub(super) public: &'a [u8],
    /// The private section, encrypted by `cipher`.
    pub(super) private: &'a [u8],
    /// Whatever follows.
    pub(super) tag: &'a [u8],
}

impl<'a> Container<'a> {
    /// Takes apart the bytes of a file, as [`bytes`] gives them.
    ///
    /// # Errors
    /// That they are no container, or one of several keys.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Undecoded> {
        let mut reader = Reader(bytes.strip_prefix(MAGIC).ok_or(Undecoded::Damaged)?);
        let mut head = || {
            let (cipher, kdf, options) = (reader.string()?, reader.string()?, Reader(reader.string()?));
            Some((cipher, rounds(kdf, options)?, reader.number()?))
        };
        let (cipher, rounds, keys) = head().ok_or(Undecoded::Damaged)?;
        if keys != 1 {
            return Err(Undecoded::Unsupported("a file of several keys".to_owned()));
        }
        let mut body = || Some((reader.string()?, reader.string()?));
        let (public, private) = body().ok_or(Undecoded::Damaged)?;
        Ok(Self { cipher, rounds, public, private, tag: reader.0 })
    }

    pub(super) fn is_plain(&self) -> bool {
        self.cipher == b"none"
    }

    /// A plain container of these halves; `None` where a length does not fit the format.
    pub(super) fn plain(public: &[u8], private: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        // Room for all of it: what grew would leave a copy behind.
        let room = MAGIC.len() + public.len() + private.len() + 64;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        bytes.extend_from_slice(MAGIC);
        for part in [b"none".as_slice(), b"none", b""] {
            push(&mut bytes, part)?;
        }
        bytes.extend_from_slice(&1u32.to_be_bytes());
        push(&mut bytes, public)?;
        push(&mut bytes, private)?;
        Some(bytes)
    }
}

/// What the options of a key derivation say. `bcrypt` is the only one that there is beside `none`.
fn rounds(kdf: &[u8], mut options: Reader<'_>) -> Option<u32> {
    if kdf != b"bcrypt" {
        return Some(0);
    }
    let _salt = options.string()?;
    options.number()
}

/// The bytes between the first and the last line of a file.
pub(super) fn bytes(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("-----BEGIN "))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END "));
    joined(lines, text.len())
}

/// A file of these bytes and nothing else, with `label` in its first and its last line.
pub(super) fn framed(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(Base64::encode_string(bytes));
    let mut file = Zeroizing::new(String::with_capacity(base64.len() + 2 * label.len() + 64));
    for part in ["-----BEGIN ", label, "-----\n", &base64, "\n-----END ", label, "-----\n"] {
        file.push_str(part);
    }
    file
}

/// Decodes base64 that is spread over lines of together at most `room` characters.
pub(super) fn joined<'a>(lines: impl Iterator<Item = &'a str>, room: usize) -> Option<Zeroizing<Vec<u8>>> {
    let base64 = Zeroizing::new(lines.fold(String::with_capacity(room), |all, line| all + line));
    decode_base64(&base64).map(Zeroizing::new)
}

/// Appends a string with its length before it (RFC 4251 section 5).
pub(super) fn push(into: &mut Vec<u8>, string: &[u8]) -> Option<()> {
    into.extend_from_slice(&u32::try_from(string.len()).ok()?.to_be_bytes());
    into.extend_from_slice(string);
    Some(())
}

/// Takes RFC 4251 section 5's types off the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = Container::plain(b"public", b"private").unwrap();
        let container = Container::read(&bytes).unwrap();
        assert_eq!((container.cipher, container.rounds, container.tag), (&b"none"[..], 0, &b""[..]));
        assert_eq!((container.public, container.private), (&b"public"[..], &b"private"[..]));
    }

    #[test]
    fn what_follows_the_private_section_is_the_tag() {
        let mut bytes = Container::plain(b"public", b"private").unwrap();
        bytes.extend_from_slice(&[7; 16]);
        assert_eq!(Container::read(&bytes).unwrap().tag, [7; 16]);
    }

    #[test]
    fn every_cut_is_damage_and_several_keys_are_named() {
        let mut bytes = Container::plain(b"public", b"private").unwrap();
        for length in 0..bytes.len() {
            assert_eq!(Container::read(&bytes[..length]).err(), Some(Undecoded::Damaged), "{length}");
        }
        let count = bytes.len() - (4 + 7) - (4 + 6) - 1;
        bytes[count] = 2;
        assert!(matches!(Container::read(&bytes).err(), Some(Undecoded::Unsupported(_))));
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error() {
        for length in [1, 0x7fff_ffff, u32::MAX] {
            assert_eq!(Reader(&length.to_be_bytes()).string(), None, "{length}");
        }
        assert_eq!(Reader(&[0; 3]).number(), None);
    }
}
