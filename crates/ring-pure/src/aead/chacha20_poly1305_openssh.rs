//! `chacha20-poly1305@openssh.com`, as OpenSSH's `PROTOCOL.chacha20poly1305` defines it.
//!
//! Of the 512 bits of key the first half, K_2, encrypts the payload and gives the Poly1305 key; the second
//! half, K_1, encrypts nothing but the packet length. Both are the original ChaCha20 with a 64-bit nonce, the
//! packet's sequence number, and a 64-bit block counter. The Poly1305 key is the start of K_2's block 0, the
//! payload is encrypted from block 1 on, and the tag covers the encrypted length and the encrypted payload as
//! they lie on the wire, without RFC 8439's padding and lengths.
//!
//! ```
//! use ring::aead::chacha20_poly1305_openssh::{KEY_LEN, OpeningKey, SealingKey, TAG_LEN};
//!
//! # fn main() -> Result<(), ring::error::Unspecified> {
//! let key = [7; KEY_LEN];
//! let sequence_number = 3;
//!
//! let mut packet = [0, 0, 0, 8, b'p', b'a', b'y', b'l', b'o', b'a', b'd', b'!'];
//! let mut tag = [0; TAG_LEN];
//! SealingKey::new(&key).seal_in_place(sequence_number, &mut packet, &mut tag);
//!
//! let receiver = OpeningKey::new(&key);
//! let length = [packet[0], packet[1], packet[2], packet[3]];
//! assert_eq!(receiver.decrypt_packet_length(sequence_number, length), [0, 0, 0, 8]);
//! assert_eq!(receiver.open_in_place(sequence_number, &mut packet, &tag)?, b"payload!");
//! # Ok(())
//! # }
//! ```

use chacha20::cipher::array::Array;
use chacha20::cipher::consts::U32;
use chacha20::cipher::{Block, StreamCipherCore};
use chacha20::{ChaCha20LegacyCore, KeyIvInit};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::Unspecified;

/// The length of the key in bytes: K_2 and K_1.
pub const KEY_LEN: usize = 2 * HALF_KEY_LEN;

/// The length of the tag in bytes.
pub const TAG_LEN: usize = 16;

const HALF_KEY_LEN: usize = 32;

/// The packet length field, RFC 4253 section 6.
const PACKET_LENGTH_LEN: usize = 4;

/// A key that seals packets.
pub struct SealingKey(Box<Keys>);

impl SealingKey {
    /// Takes K_2, then K_1, out of `key_material`.
    #[must_use]
    pub fn new(key_material: &[u8; KEY_LEN]) -> Self {
        Self(Keys::boxed(key_material))
    }

    /// Encrypts a packet in place: its length under K_1, all after it under K_2. The tag goes into `tag_out`.
    ///
    /// What is too short to hold a packet length is encrypted under K_1 as far as it goes; no receiver opens
    /// it.
    pub fn seal_in_place(
        &self,
        sequence_number: u32,
        plaintext_in_ciphertext_out: &mut [u8],
        tag_out: &mut [u8; TAG_LEN],
    ) {
        let header = plaintext_in_ciphertext_out.len().min(PACKET_LENGTH_LEN);
        let (length, payload) = plaintext_in_ciphertext_out.split_at_mut(header);
        self.0.apply_to_length(sequence_number, length);
        let mut cipher = PayloadCipher::new(&self.0, sequence_number);
        cipher.apply(payload);
        *tag_out = cipher.tag(plaintext_in_ciphertext_out);
    }
}

/// A key that opens packets.
pub struct OpeningKey(Box<Keys>);

impl OpeningKey {
    /// Takes K_2, then K_1, out of `key_material`.
    #[must_use]
    pub fn new(key_material: &[u8; KEY_LEN]) -> Self {
        Self(Keys::boxed(key_material))
    }

    /// The packet length in the clear, so that the receiver knows how much to read. It is **not
    /// authenticated** until [`OpeningKey::open_in_place`] has accepted the packet: bound it before use.
    #[must_use]
    pub fn decrypt_packet_length(
        &self,
        sequence_number: u32,
        encrypted_packet_length: [u8; PACKET_LENGTH_LEN],
    ) -> [u8; PACKET_LENGTH_LEN] {
        let mut length = encrypted_packet_length;
        self.0.apply_to_length(sequence_number, &mut length);
        length
    }

    /// Checks the tag over a whole encrypted packet, then decrypts what follows its length and returns that.
    ///
    /// The length in front stays encrypted.
    ///
    /// # Errors
    /// [`Unspecified`] if the packet is too short to hold its length, or if `tag` is not the packet's. The
    /// packet is then as it was.
    pub fn open_in_place<'a>(
        &self,
        sequence_number: u32,
        ciphertext_in_plaintext_out: &'a mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<&'a [u8], Unspecified> {
        if ciphertext_in_plaintext_out.len() < PACKET_LENGTH_LEN {
            return Err(Unspecified);
        }
        let mut cipher = PayloadCipher::new(&self.0, sequence_number);
        let expected = cipher.tag(ciphertext_in_plaintext_out);
        if !bool::from(expected.ct_eq(tag)) {
            return Err(Unspecified);
        }
        let (_, payload) = ciphertext_in_plaintext_out.split_at_mut(PACKET_LENGTH_LEN);
        cipher.apply(payload);
        Ok(payload)
    }
}

/// Both keys of one direction.
struct Keys {
    k_2: Array<u8, U32>,
    k_1: Array<u8, U32>,
}

impl Keys {
    /// Fills the keys in where they stay: a move would leave a copy that nobody wipes.
    fn boxed(material: &[u8; KEY_LEN]) -> Box<Self> {
        let mut keys = Box::new(Self { k_2: Array::default(), k_1: Array::default() });
        let (k_2, k_1) = material.split_at(HALF_KEY_LEN);
        keys.k_2.copy_from_slice(k_2);
        keys.k_1.copy_from_slice(k_1);
        keys
    }

    /// Encrypts or decrypts a packet length, at most four bytes.
    fn apply_to_length(&self, sequence_number: u32, length: &mut [u8]) {
        let mut stream = Block::<ChaCha20LegacyCore>::default();
        ChaCha20LegacyCore::new(&self.k_1, &nonce(sequence_number)).write_keystream_block(&mut stream);
        xor(length, &stream);
        stream.zeroize();
    }
}

impl Zeroize for Keys {
    fn zeroize(&mut self) {
        self.k_2.zeroize();
        self.k_1.zeroize();
    }
}

impl ZeroizeOnDrop for Keys {}

impl Drop for Keys {
    fn drop(&mut self) {
        self.zeroize();
        #[cfg(test)]
        tests::WIPED.with(|wiped| wiped.set(wiped.get() + 1));
    }
}

/// K_2 at work on one packet: it has yielded block 0 and stands at block 1.
struct PayloadCipher {
    core: ChaCha20LegacyCore,
    block_0: Block<ChaCha20LegacyCore>,
}

impl PayloadCipher {
    fn new(keys: &Keys, sequence_number: u32) -> Self {
        let mut core = ChaCha20LegacyCore::new(&keys.k_2, &nonce(sequence_number));
        let mut block_0 = Block::<ChaCha20LegacyCore>::default();
        core.write_keystream_block(&mut block_0);
        Self { core, block_0 }
    }

    /// Encrypts or decrypts the payload. Called once.
    fn apply(&mut self, payload: &mut [u8]) {
        let (blocks, rest) = Block::<ChaCha20LegacyCore>::slice_as_chunks_mut(payload);
        self.core.apply_keystream_blocks(blocks);
        if !rest.is_empty() {
            let mut stream = Block::<ChaCha20LegacyCore>::default();
            self.core.write_keystream_block(&mut stream);
            xor(rest, &stream);
            stream.zeroize();
        }
    }

    /// Poly1305 over an encrypted packet, its length included.
    fn tag(&self, packet: &[u8]) -> [u8; TAG_LEN] {
        let (key, _) = self.block_0.split_ref::<U32>();
        let mut poly1305 = Poly1305::new(key);
        let (blocks, rest) = poly1305::Block::slice_as_chunks(packet);
        poly1305.update(blocks);
        poly1305.compute_unpadded(rest).into()
    }
}

impl Drop for PayloadCipher {
    fn drop(&mut self) {
        // `core` wipes itself.
        self.block_0.zeroize();
    }
}

/// The sequence number as a big-endian 64-bit integer.
fn nonce(sequence_number: u32) -> chacha20::LegacyNonce {
    u64::from(sequence_number).to_be_bytes().into()
}

/// As far as the shorter one goes.
fn xor(text: &mut [u8], stream: &[u8]) {
    for (byte, key) in text.iter_mut().zip(stream) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests;
