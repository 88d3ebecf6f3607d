//! AES-GCM over a sequence of nonces, and OpenSSH's ChaCha20-Poly1305 below it.
//!
//! Everything works in place. RFC 5647 section 7 says how AES-GCM serves SSH: the packet length is associated
//! data and stays in the clear, and the nonce's last 64 bits count packets (section 7.1), which is what a
//! [`NonceSequence`] is for.
//!
//! ```
//! use ring::aead::{
//!     AES_256_GCM, Aad, BoundKey, NONCE_LEN, Nonce, NonceSequence, OpeningKey, SealingKey, UnboundKey,
//! };
//! use ring::error::Unspecified;
//!
//! struct Counter(u64);
//!
//! impl NonceSequence for Counter {
//!     fn advance(&mut self) -> Result<Nonce, Unspecified> {
//!         let mut nonce = [0; NONCE_LEN];
//!         nonce[4..].copy_from_slice(&self.0.to_be_bytes());
//!         self.0 = self.0.checked_add(1).ok_or(Unspecified)?;
//!         Ok(Nonce::assume_unique_for_key(nonce))
//!     }
//! }
//!
//! # fn main() -> Result<(), Unspecified> {
//! let mut sealing = SealingKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32])?, Counter(0));
//! let mut opening = OpeningKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32])?, Counter(0));
//!
//! let mut packet = b"a packet's payload".to_vec();
//! let tag = sealing.seal_in_place_separate_tag(Aad::from(b"length"), &mut packet)?;
//! packet.extend_from_slice(tag.as_ref());
//!
//! let payload = opening.open_in_place(Aad::from(b"length"), &mut packet)?;
//! assert_eq!(payload, b"a packet's payload");
//! # Ok(())
//! # }
//! ```

mod aes_gcm;

pub mod chacha20_poly1305_openssh;

pub(crate) use self::aes_gcm::{AesGcmKey, KeySize};

use self::aes_gcm::TAG_LEN;
use crate::backend::backend;
use crate::error::Unspecified;

/// AES-GCM with a 128-bit key.
pub static AES_128_GCM: Algorithm = Algorithm { size: KeySize::Aes128 };

/// AES-GCM with a 256-bit key.
pub static AES_256_GCM: Algorithm = Algorithm { size: KeySize::Aes256 };

/// The length of an AES-GCM nonce in bytes: the 96 bits that RFC 5647 section 7.1 fixes for SSH.
pub const NONCE_LEN: usize = aes_gcm::NONCE_LEN;

/// [`AES_128_GCM`] or [`AES_256_GCM`].
#[derive(Debug, PartialEq, Eq)]
pub struct Algorithm {
    size: KeySize,
}

impl Algorithm {
    /// The length of the key in bytes.
    #[must_use]
    pub fn key_len(&self) -> usize {
        self.size.bytes()
    }

    /// The length of the nonce in bytes: [`NONCE_LEN`].
    #[must_use]
    pub fn nonce_len(&self) -> usize {
        NONCE_LEN
    }

    /// The length of the tag in bytes: 16, the only one that SSH has.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        TAG_LEN
    }
}

/// Associated data: authenticated, and not encrypted.
#[derive(Clone, Copy, Debug)]
pub struct Aad<A>(A);

impl<A: AsRef<[u8]>> From<A> for Aad<A> {
    fn from(bytes: A) -> Self {
        Self(bytes)
    }
}

/// A number used once under a key. It can be neither copied nor read back, so that it is not used twice.
pub struct Nonce([u8; NONCE_LEN]);

impl Nonce {
    /// Takes the caller's word that these bytes serve once under the key.
    #[must_use]
    pub fn assume_unique_for_key(value: [u8; NONCE_LEN]) -> Self {
        Self(value)
    }
}

/// Where a key takes its nonces from, one for each message.
pub trait NonceSequence {
    /// The next nonce, never the same one twice.
    ///
    /// # Errors
    /// [`Unspecified`] when there is none left; the message is then neither sealed nor opened.
    fn advance(&mut self) -> Result<Nonce, Unspecified>;
}

/// An authentication tag.
pub struct Tag([u8; TAG_LEN]);

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A key that is not yet bound to a direction and to its nonces.
pub struct UnboundKey {
    algorithm: &'static Algorithm,
    key: AesGcmKey,
}

impl UnboundKey {
    /// Expands `key_bytes` for the implementation which [`backend()`] names.
    ///
    /// # Errors
    /// [`Unspecified`] if `key_bytes` is not [`Algorithm::key_len`] bytes long.
    pub fn new(algorithm: &'static Algorithm, key_bytes: &[u8]) -> Result<Self, Unspecified> {
        let key = AesGcmKey::new(backend(), algorithm.size, key_bytes)?;
        Ok(Self { algorithm, key })
    }
}

/// What both directions have in common.
pub trait BoundKey<N: NonceSequence> {
    /// Binds `key` to its direction and to its nonces.
    fn new(key: UnboundKey, nonce_sequence: N) -> Self;

    /// The algorithm the key is for.
    fn algorithm(&self) -> &'static Algorithm;
}

/// A key that seals messages.
pub struct SealingKey<N: NonceSequence> {
    key: UnboundKey,
    nonces: N,
}

impl<N: NonceSequence> BoundKey<N> for SealingKey<N> {
    fn new(key: UnboundKey, nonce_sequence: N) -> Self {
        Self { key, nonces: nonce_sequence }
    }

    fn algorithm(&self) -> &'static Algorithm {
        self.key.algorithm
    }
}

impl<N: NonceSequence> SealingKey<N> {
    /// Replaces the plaintext in `in_out` by its ciphertext, and returns the tag over it and `aad`.
    ///
    /// # Errors
    /// [`Unspecified`] if the sequence has no nonce left, or if `in_out` is longer than the 64 GiB that one
    /// nonce may encrypt. `in_out` is then still the plaintext.
    #[expect(clippy::needless_pass_by_value, reason = "the signature that the SSH base calls")]
    pub fn seal_in_place_separate_tag<A: AsRef<[u8]>>(
        &mut self,
        aad: Aad<A>,
        in_out: &mut [u8],
    ) -> Result<Tag, Unspecified> {
        let nonce = self.nonces.advance()?;
        self.key.key.seal(&nonce.0, aad.0.as_ref(), in_out).map(Tag)
    }
}

/// A key that opens messages.
pub struct OpeningKey<N: NonceSequence> {
    key: UnboundKey,
    nonces: N,
}

impl<N: NonceSequence> BoundKey<N> for OpeningKey<N> {
    fn new(key: UnboundKey, nonce_sequence: N) -> Self {
        Self { key, nonces: nonce_sequence }
    }

    fn algorithm(&self) -> &'static Algorithm {
        self.key.algorithm
    }
}

impl<N: NonceSequence> OpeningKey<N> {
    /// Checks the tag at the end of `in_out` and replaces the ciphertext before it by the plaintext, which is
    /// returned.
    ///
    /// # Errors
    /// [`Unspecified`] if `in_out` is too short to hold a tag, if the tag is not that of the ciphertext and
    /// `aad`, or if the sequence has no nonce left. What `in_out` then holds is unspecified, and never the
    /// plaintext of a message that was refused.
    #[expect(clippy::needless_pass_by_value, reason = "the signature that the SSH base calls")]
    pub fn open_in_place<'in_out, A: AsRef<[u8]>>(
        &mut self,
        aad: Aad<A>,
        in_out: &'in_out mut [u8],
    ) -> Result<&'in_out mut [u8], Unspecified> {
        let nonce = self.nonces.advance()?;
        let (ciphertext, tag) = in_out.split_last_chunk_mut::<TAG_LEN>().ok_or(Unspecified)?;
        self.key.key.open(&nonce.0, aad.0.as_ref(), ciphertext, tag)?;
        Ok(ciphertext)
    }
}
