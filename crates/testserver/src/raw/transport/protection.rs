//! Packet protection (RFC 4253 section 6): how a payload becomes a packet, and a packet a payload again.

use aes::{Aes128, Aes256};
use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};
use bytes::{Buf, BytesMut};
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::raw::transport::Broken;

/// `aes256-gcm@openssh.com`: RFC 5647 as OpenSSH's PROTOCOL amends it, without a MAC of its own.
pub(crate) const AES_256_GCM: &str = "aes256-gcm@openssh.com";
const AES_256_CTR: &str = "aes256-ctr";
const AES_128_CTR: &str = "aes128-ctr";
const HMAC_ETM: &str = "hmac-sha2-256-etm@openssh.com";
const HMAC: &str = "hmac-sha2-256";

/// The ciphers there are, best first.
pub(crate) const CIPHERS: [&str; 3] = [AES_256_GCM, AES_256_CTR, AES_128_CTR];

/// The MACs there are, best first.
pub(crate) const MACS: [&str; 2] = [HMAC_ETM, HMAC];

/// As OpenSSH's PACKET_MAX_SIZE: more than any packet a peer has a reason for.
const LARGEST_PACKET: usize = 256 * 1024;

const LENGTH: usize = 4;
const MAC: usize = 32;
const TAG: usize = 16;
const BLOCK: usize = 16;
/// RFC 4253 section 6: at least so many bytes of padding.
const LEAST_PADDING: usize = 4;

/// One direction's protection.
pub(crate) enum Protection {
    Clear,
    Gcm(Box<Gcm>),
    Ctr(Box<Ctr>),
}

/// What is wrong with a packet on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Written into the packet's length field in place of the length.
    pub(crate) length: Option<u32>,
    pub(crate) integrity: Integrity,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Integrity {
    #[default]
    Sound,
    /// One bit of the MAC or tag is wrong; where there is none yet, one bit of the last byte.
    Corrupt,
}

/// Keys for one direction, of the lengths that [`key_lengths`] asks for.
pub(crate) struct Keys {
    pub(crate) iv: Vec<u8>,
    pub(crate) cipher: Vec<u8>,
    pub(crate) mac: Vec<u8>,
}

pub(crate) struct Gcm {
    key: Aes256Gcm,
    fixed: [u8; 4],
    counter: u64,
}

pub(crate) struct Ctr {
    stream: Stream,
    mac: Hmac<Sha256>,
    order: Order,
    /// The length of the packet whose first block has been deciphered already.
    begun: Option<usize>,
}

enum Stream {
    Aes128(Ctr128BE<Aes128>),
    Aes256(Ctr128BE<Aes256>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    EncryptThenMac,
    EncryptAndMac,
}

/// The lengths of IV, cipher key and MAC key of this cipher.
pub(crate) fn key_lengths(cipher: &str) -> (usize, usize, usize) {
    match cipher {
        AES_256_GCM => (12, 32, 0),
        AES_128_CTR => (16, 16, 32),
        _ => (16, 32, 32),
    }
}

impl Protection {
    /// The protection by these algorithms; `None` if there is no such, or the keys have other lengths.
    pub(crate) fn new(cipher: &str, mac: &str, keys: &Keys) -> Option<Self> {
        if cipher == AES_256_GCM {
            let (fixed, counter) = keys.iv.split_first_chunk()?;
            return Some(Self::Gcm(Box::new(Gcm {
                key: Aes256Gcm::new_from_slice(&keys.cipher).ok()?,
                fixed: *fixed,
                counter: u64::from_be_bytes(counter.try_into().ok()?),
            })));
        }
        let stream = match cipher {
            AES_128_CTR => Stream::Aes128(Ctr128BE::new_from_slices(&keys.cipher, &keys.iv).ok()?),
            AES_256_CTR => Stream::Aes256(Ctr128BE::new_from_slices(&keys.cipher, &keys.iv).ok()?),
            _ => return None,
        };
        let order = match mac {
            HMAC_ETM => Order::EncryptThenMac,
            HMAC => Order::EncryptAndMac,
            _ => return None,
        };
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&keys.mac).ok()?;
        Some(Self::Ctr(Box::new(Ctr { stream, mac, order, begun: None })))
    }

    /// Appends the packet that carries this payload, with the flaw asked for.
    pub(crate) fn seal(&mut self, sequence: u32, payload: &[u8], flaw: Flaw, out: &mut Vec<u8>) {
        let start = out.len();
        self.frame(payload, flaw.length, out);
        let Some(packet) = out.get_mut(start..) else { return };
        let tag = match self {
            Self::Clear => None,
            Self::Gcm(gcm) => gcm.seal(packet),
            Self::Ctr(ctr) => Some(ctr.seal(sequence, packet)),
        };
        out.extend(tag.unwrap_or_default());
        if flaw.integrity == Integrity::Corrupt
            && let Some(last) = out.last_mut()
        {
            *last ^= 1;
        }
    }

    /// Takes the payload of the next packet off the input, once all of that packet is there.
    pub(crate) fn open(&mut self, sequence: u32, input: &mut BytesMut) -> Result<Option<Vec<u8>>, Broken> {
        match self {
            Self::Clear => {
                let Some(length) = announced(input)? else { return Ok(None) };
                if input.len() < LENGTH + length {
                    return Ok(None);
                }
                payload(&input.split_to(LENGTH + length)).map(Some)
            }
            Self::Gcm(gcm) => gcm.open(input),
            Self::Ctr(ctr) => ctr.open(sequence, input),
        }
    }

    /// Length, padding length, payload, padding. The padding is zeros: what is sent here is no secret.
    fn frame(&self, payload: &[u8], announce: Option<u32>, out: &mut Vec<u8>) {
        // RFC 5647 and encrypt-then-mac leave the length field out of what is aligned.
        let (block, aligned_length) = match self {
            Self::Clear => (8, LENGTH),
            Self::Gcm(_) => (BLOCK, 0),
            Self::Ctr(ctr) if ctr.order == Order::EncryptThenMac => (BLOCK, 0),
            Self::Ctr(_) => (BLOCK, LENGTH),
        };
        let unpadded = aligned_length + 1 + payload.len();
        let mut padding = block - unpadded % block;
        if padding < LEAST_PADDING {
            padding += block;
        }
        let length = u32::try_from(1 + payload.len() + padding).unwrap_or(u32::MAX);
        out.extend(announce.unwrap_or(length).to_be_bytes());
        // Less than two blocks.
        out.push(u8::try_from(padding).unwrap_or_default());
        out.extend_from_slice(payload);
        out.resize(out.len() + padding, 0);
    }
}

impl Gcm {
    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        let (fixed, counter) = nonce.split_at_mut(4);
        fixed.copy_from_slice(&self.fixed);
        counter.copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        nonce
    }

    fn seal(&mut self, packet: &mut [u8]) -> Option<Vec<u8>> {
        let nonce = self.nonce();
        let (length, body) = packet.split_at_mut_checked(LENGTH)?;
        // Fails for bodies of 64 GiB alone.
        let tag = self.key.encrypt_inout_detached(&nonce.into(), length, body.into()).ok()?;
        Some(tag.to_vec())
    }

    fn open(&mut self, input: &mut BytesMut) -> Result<Option<Vec<u8>>, Broken> {
        let Some(length) = announced(input)? else { return Ok(None) };
        if input.len() < LENGTH + length + TAG {
            return Ok(None);
        }
        let mut packet = input.split_to(LENGTH + length);
        let tag: [u8; TAG] = input.split_to(TAG).as_ref().try_into().map_err(|_| Broken::new("no tag"))?;
        let nonce = self.nonce();
        let (head, body) = packet.split_at_mut(LENGTH);
        self.key
            .decrypt_inout_detached(&nonce.into(), head, body.into(), &tag.into())
            .map_err(|_| Broken::new("a packet's tag is wrong"))?;
        payload(&packet).map(Some)
    }
}

impl Ctr {
    fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Vec<u8> {
        match self.order {
            Order::EncryptThenMac => {
                self.stream.apply(packet.get_mut(LENGTH..).unwrap_or_default());
                self.mac(sequence, packet).finalize().into_bytes().to_vec()
            }
            Order::EncryptAndMac => {
                let mac = self.mac(sequence, packet).finalize().into_bytes().to_vec();
                self.stream.apply(packet);
                mac
            }
        }
    }

    fn open(&mut self, sequence: u32, input: &mut BytesMut) -> Result<Option<Vec<u8>>, Broken> {
        let length = match (self.order, self.begun) {
            (Order::EncryptThenMac, _) => announced(input)?,
            (Order::EncryptAndMac, Some(length)) => Some(length),
            (Order::EncryptAndMac, None) => match input.get_mut(..BLOCK) {
                Some(block) => {
                    self.stream.apply(block);
                    self.begun = announced(input)?;
                    self.begun
                }
                None => None,
            },
        };
        let Some(length) = length.filter(|length| input.len() >= LENGTH + length + MAC) else {
            return Ok(None);
        };
        let mut packet = input.split_to(LENGTH + length);
        let mac = input.split_to(MAC);
        let verified = match self.order {
            Order::EncryptThenMac => {
                let verified = self.mac(sequence, &packet).verify_slice(&mac);
                self.stream.apply(packet.get_mut(LENGTH..).unwrap_or_default());
                verified
            }
            Order::EncryptAndMac => {
                self.begun = None;
                self.stream.apply(packet.get_mut(BLOCK..).unwrap_or_default());
                self.mac(sequence, &packet).verify_slice(&mac)
            }
        };
        verified.map_err(|_| Broken::new("a packet's MAC is wrong"))?;
        payload(&packet).map(Some)
    }

    fn mac(&self, sequence: u32, packet: &[u8]) -> Hmac<Sha256> {
        self.mac.clone().chain_update(sequence.to_be_bytes()).chain_update(packet)
    }
}

impl Stream {
    fn apply(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Aes128(stream) => stream.apply_keystream(bytes),
            Self::Aes256(stream) => stream.apply_keystream(bytes),
        }
    }
}

/// The length field at the front, if it is there and a length that a packet may have.
fn announced(input: &[u8]) -> Result<Option<usize>, Broken> {
    let Some((length, _)) = input.split_first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    match usize::try_from(length) {
        // RFC 4253 section 6: a packet is at least 16 bytes, or a block.
        Ok(length @ 12..=LARGEST_PACKET) => Ok(Some(length)),
        _ => Err(Broken::new(format!("a packet claims to be {length} bytes long"))),
    }
}

/// What a deciphered packet carries.
fn payload(packet: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut body = packet;
    let padding = if body.len() > LENGTH {
        body.advance(LENGTH);
        usize::from(body.get_u8())
    } else {
        return Err(Broken::new("a packet without a body"));
    };
    match body.len().checked_sub(padding) {
        Some(0) | None => Err(Broken::new("a packet that is all padding")),
        Some(length) => Ok(body.get(..length).unwrap_or_default().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(cipher: &str, mac: &str) -> (Protection, Protection) {
        let (iv, key, mac_key) = key_lengths(cipher);
        let keys = Keys { iv: vec![0xfe; iv], cipher: vec![2; key], mac: vec![3; mac_key] };
        let make = || Protection::new(cipher, mac, &keys).unwrap();
        (make(), make())
    }

    fn all() -> Vec<(Protection, Protection)> {
        let mut pairs = vec![(Protection::Clear, Protection::Clear), pair(AES_256_GCM, "")];
        for cipher in [AES_256_CTR, AES_128_CTR] {
            pairs.extend(MACS.map(|mac| pair(cipher, mac)));
        }
        pairs
    }

    #[test]
    fn payloads_of_every_length_come_back_from_bytes_that_come_singly() {
        for (mut near, mut far) in all() {
            let mut input = BytesMut::new();
            for sequence in 0..70 {
                let sent = vec![7; 1 + usize::try_from(sequence).unwrap()];
                let mut wire = Vec::new();
                near.seal(sequence, &sent, Flaw::default(), &mut wire);
                let (last, most) = wire.split_last().unwrap();
                for byte in most {
                    input.extend_from_slice(&[*byte]);
                    assert!(far.open(sequence, &mut input).unwrap().is_none());
                }
                input.extend_from_slice(&[*last]);
                assert_eq!(far.open(sequence, &mut input).unwrap(), Some(sent));
                assert!(input.is_empty());
            }
        }
    }

    #[test]
    fn a_changed_bit_and_another_number_are_noticed() {
        for (mut near, mut far) in all().into_iter().skip(1) {
            let mut wire = Vec::new();
            let flaw = Flaw { integrity: Integrity::Corrupt, length: None };
            near.seal(0, b"payload", flaw, &mut wire);
            assert!(far.open(0, &mut BytesMut::from(wire.as_slice())).is_err());
        }
        let (mut near, mut far) = pair(AES_128_CTR, HMAC_ETM);
        let mut wire = Vec::new();
        near.seal(4, b"payload", Flaw::default(), &mut wire);
        assert!(far.open(5, &mut BytesMut::from(wire.as_slice())).is_err());
    }

    #[test]
    fn hostile_lengths_are_refused_before_anything_is_allocated() {
        for length in [0, 1, 11, 262_145, u32::MAX] {
            for (mut near, mut far) in all() {
                let mut wire = Vec::new();
                near.seal(0, &[9; 40], Flaw { length: Some(length), ..Flaw::default() }, &mut wire);
                assert!(far.open(0, &mut BytesMut::from(wire.as_slice())).is_err(), "{length}");
            }
        }
        // A padding longer than the packet.
        let mut packet = BytesMut::from([0, 0, 0, 12, 12].as_slice());
        packet.resize(16, 0);
        assert!(Protection::Clear.open(0, &mut packet).is_err());
    }
}
