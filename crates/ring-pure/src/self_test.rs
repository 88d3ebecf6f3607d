//! Proves the implementations in use, on the CPU and in the build at hand.

use std::error::Error;
use std::fmt;

use self::vectors::{AesGcmVector, OpenSshVector};
use crate::aead::chacha20_poly1305_openssh as openssh;
use crate::aead::{AesGcmKey, KeySize};
use crate::backend::Backend;

pub(crate) mod vectors;

/// Lengths around every block and batch size of either back end, and the longest packets that SSH sees.
const COMPARED_LENGTHS: &[usize] = &[
    0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 271, 272, 511, 512, 513, 1000,
    4096, 4171, 32_768, 35_000, 262_144,
];

/// Runs known answers through every implementation that this CPU can run, and compares them with each other.
///
/// It checks that the sealed text and the tag are the known ones, that opening restores the plaintext, and
/// that one flipped bit of the tag, the text or the associated data is refused. It takes milliseconds in a
/// release build.
///
/// # Errors
/// [`SelfTestError`] names the cipher, the implementation and what it did wrong. Nothing should be encrypted
/// then.
///
/// ```
/// ring::self_test().expect("this CPU and this build encrypt as the standards say");
/// ```
pub fn self_test() -> Result<(), SelfTestError> {
    for &backend in Backend::runnable() {
        for vector in vectors::AES_GCM {
            known_aes_gcm(backend, vector)?;
        }
    }
    for size in [KeySize::Aes128, KeySize::Aes256] {
        for &backend in Backend::runnable() {
            for &len in COMPARED_LENGTHS {
                compare_aes_gcm(backend, Backend::RustCrypto, size, len)?;
            }
        }
    }
    for vector in vectors::OPENSSH {
        known_openssh(vector)?;
    }
    Ok(())
}

/// An implementation of a cipher gave a wrong answer.
///
/// ```
/// match ring::self_test() {
///     Ok(()) => println!("AES-GCM by {}, as the standards say", ring::backend()),
///     Err(error) => eprintln!("error: {error}"),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTestError {
    cipher: &'static str,
    implementation: &'static str,
    len: usize,
    fault: Fault,
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cipher, implementation, len, fault } = self;
        write!(
            f,
            "the self-test of {cipher} by {implementation} failed: with {len} bytes it {fault}; neither this \
             CPU nor this build can be trusted with keys: run it on another machine, and build it again from \
             a clean tree"
        )
    }
}

impl Error for SelfTestError {}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Key,
    Seal,
    Text,
    Tag,
    Open,
    Restore,
    Forgery(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "refused a key of the right length",
            Self::Seal => "refused to seal",
            Self::Text => "sealed to another text than the known one",
            Self::Tag => "sealed to another tag than the known one",
            Self::Open => "refused to open what is authentic",
            Self::Restore => "opened to another text than was sealed",
            Self::Forgery(part) => return write!(f, "accepted a forged {part}"),
        })
    }
}

/// One cipher of one implementation with one length of text: whom to blame.
#[derive(Clone, Copy)]
struct Subject {
    cipher: &'static str,
    implementation: &'static str,
    len: usize,
}

impl Subject {
    fn aes_gcm(backend: Backend, size: KeySize, len: usize) -> Self {
        let cipher = match size {
            KeySize::Aes128 => "AES-128-GCM",
            KeySize::Aes256 => "AES-256-GCM",
        };
        Self { cipher, implementation: backend.as_str(), len }
    }

    fn error(self, fault: Fault) -> SelfTestError {
        let Self { cipher, implementation, len } = self;
        SelfTestError { cipher, implementation, len, fault }
    }

    fn ensure(self, holds: bool, fault: Fault) -> Result<(), SelfTestError> {
        if holds { Ok(()) } else { Err(self.error(fault)) }
    }
}

fn known_aes_gcm(backend: Backend, vector: &AesGcmVector) -> Result<(), SelfTestError> {
    let plaintext = vector.plaintext.bytes();
    let subject = Subject::aes_gcm(backend, vector.size(), plaintext.len());
    let key = AesGcmKey::new(backend, vector.size(), vector.key).map_err(|_| subject.error(Fault::Key))?;

    let mut text = plaintext.clone();
    let tag = key.seal(&vector.nonce, vector.aad, &mut text).map_err(|_| subject.error(Fault::Seal))?;
    if let Some(ciphertext) = vector.ciphertext {
        subject.ensure(text == ciphertext, Fault::Text)?;
    }
    subject.ensure(tag == vector.tag, Fault::Tag)?;

    let refuses = |aad: &[u8], text: &[u8], tag: &[u8; 16]| {
        key.open(&vector.nonce, aad, &mut text.to_vec(), tag).is_err()
    };
    subject.ensure(refuses(vector.aad, &text, &flipped_tag(tag)), Fault::Forgery("tag"))?;
    if let Some(forged) = flipped(&text) {
        subject.ensure(refuses(vector.aad, &forged, &tag), Fault::Forgery("text"))?;
    }
    if let Some(forged) = flipped(vector.aad) {
        subject.ensure(refuses(&forged, &text, &tag), Fault::Forgery("associated data"))?;
    }

    key.open(&vector.nonce, vector.aad, &mut text, &tag).map_err(|_| subject.error(Fault::Open))?;
    subject.ensure(text == plaintext, Fault::Restore)
}

/// What `backend` seals must be what `other` seals, and must be opened by it.
fn compare_aes_gcm(backend: Backend, other: Backend, size: KeySize, len: usize) -> Result<(), SelfTestError> {
    let subject = Subject::aes_gcm(backend, size, len);
    let key = pattern(size.bytes(), len);
    let nonce = [3; 12];
    let aad = pattern(len % 21, 5);
    let plaintext = pattern(len, 1);

    let ours = AesGcmKey::new(backend, size, &key).map_err(|_| subject.error(Fault::Key))?;
    let theirs = AesGcmKey::new(other, size, &key).map_err(|_| subject.error(Fault::Key))?;

    let mut sealed = plaintext.clone();
    let tag = ours.seal(&nonce, &aad, &mut sealed).map_err(|_| subject.error(Fault::Seal))?;
    let mut reference = plaintext.clone();
    let reference_tag = theirs.seal(&nonce, &aad, &mut reference).map_err(|_| subject.error(Fault::Seal))?;
    subject.ensure(sealed == reference, Fault::Text)?;
    subject.ensure(tag == reference_tag, Fault::Tag)?;

    ours.open(&nonce, &aad, &mut sealed, &tag).map_err(|_| subject.error(Fault::Open))?;
    subject.ensure(sealed == plaintext, Fault::Restore)
}

fn known_openssh(vector: &OpenSshVector) -> Result<(), SelfTestError> {
    let payload = vector.payload.bytes();
    let subject = Subject {
        cipher: "chacha20-poly1305@openssh.com",
        implementation: Backend::RustCrypto.as_str(),
        len: payload.len(),
    };
    let sealing = openssh::SealingKey::new(&vector.key);
    let opening = openssh::OpeningKey::new(&vector.key);

    let mut packet = vector.length.to_vec();
    packet.extend_from_slice(&payload);
    let mut tag = [0; openssh::TAG_LEN];
    sealing.seal_in_place(vector.sequence_number, &mut packet, &mut tag);
    if let Some(sealed) = vector.sealed {
        subject.ensure(packet == sealed, Fault::Text)?;
    }
    subject.ensure(tag == vector.tag, Fault::Tag)?;

    let refuses = |packet: &[u8], tag: &[u8; 16]| {
        opening.open_in_place(vector.sequence_number, &mut packet.to_vec(), tag).is_err()
    };
    subject.ensure(refuses(&packet, &flipped_tag(tag)), Fault::Forgery("tag"))?;
    if let Some(forged) = flipped(&packet) {
        subject.ensure(refuses(&forged, &tag), Fault::Forgery("packet length"))?;
    }

    if let Some(&encrypted) = packet.first_chunk() {
        let length = opening.decrypt_packet_length(vector.sequence_number, encrypted);
        subject.ensure(length == vector.length, Fault::Restore)?;
    }
    let opened = opening
        .open_in_place(vector.sequence_number, &mut packet, &tag)
        .map_err(|_| subject.error(Fault::Open))?;
    subject.ensure(opened == payload, Fault::Restore)
}

/// Bytes that differ from place to place and from seed to seed: byte `i` is `7 i + seed`.
pub(crate) fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| i.wrapping_mul(7).wrapping_add(seed).to_le_bytes()[0]).collect()
}

/// `bytes` with one bit of the first flipped, if there is one.
fn flipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut forged = bytes.to_vec();
    *forged.first_mut()? ^= 0x10;
    Some(forged)
}

fn flipped_tag(mut tag: [u8; 16]) -> [u8; 16] {
    tag[15] ^= 1;
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implementation_on_this_cpu_passes() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn a_wrong_answer_is_noticed_and_blamed_on_its_implementation() {
        let mut vector = vectors::AES_GCM[3].clone();
        vector.tag[0] ^= 1;
        let error = known_aes_gcm(Backend::RustCrypto, &vector).unwrap_err();
        assert_eq!(error.fault, Fault::Tag);
        assert_eq!(
            error.to_string(),
            "the self-test of AES-128-GCM by rustcrypto failed: with 60 bytes it sealed to another tag than \
             the known one; neither this CPU nor this build can be trusted with keys: run it on another \
             machine, and build it again from a clean tree"
        );

        let mut vector = vectors::AES_GCM[3].clone();
        vector.ciphertext = Some(&[0; 60]);
        assert_eq!(known_aes_gcm(Backend::RustCrypto, &vector).unwrap_err().fault, Fault::Text);

        let mut vector = vectors::OPENSSH[0].clone();
        vector.tag[0] ^= 1;
        assert_eq!(known_openssh(&vector).unwrap_err().fault, Fault::Tag);
    }
}
