//! PEM files encrypted in OpenSSL's old way: `Proc-Type: 4,ENCRYPTED` and `DEK-Info` in front of the base64.
//!
//! The key comes from the passphrase by MD5, in one pass and salted with the first half of the initialisation
//! vector (OpenSSL's `EVP_BytesToKey` with a count of 1), and nothing but the padding and the content tells a wrong
//! passphrase. Here such a file becomes the plain one that it was, which the parser under the base reads. That
//! parser does AES-128 by itself, for RSA alone.

use ssh_key::Cipher;
use zeroize::Zeroizing;

use super::{Undecoded, container, hex};
use crate::auth::format::{PemCipher, dek_info};

/// Bytes of a block of AES, and of MD5's digest.
const BLOCK: usize = 16;

/// How much of the initialisation vector salts the passphrase.
const SALT: usize = 8;

/// The file without its encryption. `label` is what its first line says that it holds.
pub(super) fn opened(
    text: &str,
    label: &str,
    cipher: PemCipher,
    passphrase: &str,
) -> Result<Zeroizing<String>, Undecoded> {
    let (cipher, length) = match cipher {
        PemCipher::None => return Err(Undecoded::Damaged),
        PemCipher::Aes128Cbc => (Cipher::Aes128Cbc, 16),
        PemCipher::Aes192Cbc => (Cipher::Aes192Cbc, 24),
        PemCipher::Aes256Cbc => (Cipher::Aes256Cbc, 32),
    };
    let (_name, iv) = dek_info(text).ok_or(Undecoded::Damaged)?;
    let iv: [u8; BLOCK] = hex(iv).and_then(|iv| iv.try_into().ok()).ok_or(Undecoded::Damaged)?;
    let mut content = content(text, label).ok_or(Undecoded::Damaged)?;
    let whole = content.len() % BLOCK == 0 && !content.is_empty();
    let key = derived(passphrase, &iv);
    let key = key.get(..length).filter(|_| whole).ok_or(Undecoded::Damaged)?;
    cipher.decrypt(key, &iv, &mut content, None).map_err(|_| Undecoded::Damaged)?;
    let plain = unpadded(&content).ok_or(Undecoded::WrongPassphrase)?;
    Ok(container::framed(label, plain))
}

/// The bytes between the lines of `label`, past the headers.
fn content(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != begin)
        .skip(1)
        .take_while(|line| *line != end)
        .filter(|line| !line.contains(':'));
    container::joined(lines, text.len())
}

/// As much as the longest key takes: two digests, of which the second begins with the first.
fn derived(passphrase: &str, iv: &[u8; BLOCK]) -> Zeroizing<[u8; 2 * BLOCK]> {
    let mut key = Zeroizing::new([0; 2 * BLOCK]);
    let mut before = Zeroizing::new([0; BLOCK]);
    for (round, part) in key.chunks_exact_mut(BLOCK).enumerate() {
        let mut hash = md5::Context::new();
        if round > 0 {
            hash.consume(before.as_slice());
        }
        hash.consume(passphrase.as_bytes());
        hash.consume(iv.get(..SALT).unwrap_or_default());
        *before = hash.finalize().0;
        part.copy_from_slice(before.as_slice());
    }
    key
}

/// The content without its padding: as many bytes as the last one says, all alike (RFC 8018 section 6.1.1).
fn unpadded(content: &[u8]) -> Option<&[u8]> {
    let last = *content.last()?;
    let count = usize::from(last);
    let (plain, padding) = content.split_at_checked(content.len().checked_sub(count)?)?;
    let right = (1..=BLOCK).contains(&count) && padding.iter().all(|byte| *byte == last);
    right.then_some(plain)
}

#[cfg(test)]
mod tests;
