//! AES-GCM (NIST SP 800-38D) on either back end, behind one key type.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
#[cfg(has_graviola)]
use graviola::aead::AesGcm as GraviolaAesGcm;

use crate::backend::Backend;
use crate::error::Unspecified;

#[cfg(test)]
mod tests;

pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;

/// The longest plaintext under one nonce, in bytes: 2^39 - 256 bits (SP 800-38D section 5.2.1.1).
const MAX_PLAINTEXT: u64 = (1 << 36) - 32;

/// How long an AES key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySize {
    Aes128,
    Aes256,
}

impl KeySize {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }
}

/// An expanded key. It is boxed because a move of the key itself would leave a copy where it was, which
/// nobody wipes; each of the three types wipes itself when dropped.
pub(crate) enum AesGcmKey {
    #[cfg(has_graviola)]
    Graviola(Box<GraviolaAesGcm>),
    RustCrypto128(Box<Aes128Gcm>),
    RustCrypto256(Box<Aes256Gcm>),
}

impl AesGcmKey {
    /// Refuses a key of another length than `size` says, and a back end that the target does not have.
    pub(crate) fn new(backend: Backend, size: KeySize, bytes: &[u8]) -> Result<Self, Unspecified> {
        if bytes.len() != size.bytes() {
            return Err(Unspecified);
        }
        match (backend, size) {
            #[cfg(has_graviola)]
            (Backend::Graviola, _) => Ok(Self::Graviola(Box::new(GraviolaAesGcm::new(bytes)))),
            #[cfg(not(has_graviola))]
            (Backend::Graviola, _) => Err(Unspecified),
            (Backend::RustCrypto, KeySize::Aes128) => {
                let key = Aes128Gcm::new_from_slice(bytes).map_err(|_| Unspecified)?;
                Ok(Self::RustCrypto128(Box::new(key)))
            }
            (Backend::RustCrypto, KeySize::Aes256) => {
                let key = Aes256Gcm::new_from_slice(bytes).map_err(|_| Unspecified)?;
                Ok(Self::RustCrypto256(Box::new(key)))
            }
        }
    }

    /// Encrypts in place and returns the tag. On an error the text is untouched.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Unspecified> {
        check_length(in_out)?;
        match self {
            #[cfg(has_graviola)]
            Self::Graviola(key) => {
                let mut tag = [0; TAG_LEN];
                key.encrypt(nonce, aad, in_out, &mut tag);
                Ok(tag)
            }
            Self::RustCrypto128(key) => rustcrypto_seal(&**key, nonce, aad, in_out),
            Self::RustCrypto256(key) => rustcrypto_seal(&**key, nonce, aad, in_out),
        }
    }

    /// Decrypts in place if the tag is right. If not, the text is the ciphertext still, or zeros.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Unspecified> {
        check_length(in_out)?;
        match self {
            #[cfg(has_graviola)]
            Self::Graviola(key) => key.decrypt(nonce, aad, in_out, tag).map_err(|_| Unspecified),
            Self::RustCrypto128(key) => rustcrypto_open(&**key, nonce, aad, in_out, tag),
            Self::RustCrypto256(key) => rustcrypto_open(&**key, nonce, aad, in_out, tag),
        }
    }
}

fn rustcrypto_seal<K: AeadInOut>(
    key: &K,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    in_out: &mut [u8],
) -> Result<[u8; TAG_LEN], Unspecified> {
    let nonce = nonce.as_slice().try_into().map_err(|_| Unspecified)?;
    let tag = key.encrypt_inout_detached(nonce, aad, in_out.into()).map_err(|_| Unspecified)?;
    tag.as_slice().try_into().map_err(|_| Unspecified)
}

fn rustcrypto_open<K: AeadInOut>(
    key: &K,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    in_out: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), Unspecified> {
    let nonce = nonce.as_slice().try_into().map_err(|_| Unspecified)?;
    let tag = tag.as_slice().try_into().map_err(|_| Unspecified)?;
    key.decrypt_inout_detached(nonce, aad, in_out.into(), tag).map_err(|_| Unspecified)
}

/// Past the limit the 32-bit block counter would wrap and repeat the key stream; `graviola` does not look.
fn check_length(text: &[u8]) -> Result<(), Unspecified> {
    if fits_one_nonce(text.len()) { Ok(()) } else { Err(Unspecified) }
}

fn fits_one_nonce(len: usize) -> bool {
    u64::try_from(len).is_ok_and(|len| len <= MAX_PLAINTEXT)
}
