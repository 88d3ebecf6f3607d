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

use crate::raw::transport::{Broken, Cover};

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
/// RFC 4253 section 6: the whole packet without its MAC.
const LEAST_PACKET: usize = 16;
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
    /// One bit of the MAC or tag is wrong, where there is one.
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
        let mut tag = tag.unwrap_or_default();
        if flaw.integrity == Integrity::Corrupt
            && let Some(last) = tag.last_mut()
        {
            *last ^= 1;
        }
        out.extend(tag);
    }

    pub(crate) fn cover(&self) -> Cover {
        match self {
            Self::Clear => Cover::Bare,
            Self::Gcm(_) | Self::Ctr(_) => Cover::Keyed,
        }
    }

    /// Takes the payload of the next packet off the input, once all of that packet is there.
    pub(crate) fn open(&mut self, sequence: u32, input: &mut BytesMut) -> Result<Option<Vec<u8>>, Broken> {
        match self {
            Self::Clear => {
                let Some(length) = Alignment::CLEAR.announced(input)? else { return Ok(None) };
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
        let Alignment { block, counted } = match self {
            Self::Clear => Alignment::CLEAR,
            Self::Gcm(_) => Alignment::BODY,
            Self::Ctr(ctr) => ctr.order.alignment(),
        };
        let unpadded = counted + 1 + payload.len();
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
        let Some(length) = Alignment::BODY.announced(input)? else { return Ok(None) };
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
            (Order::EncryptThenMac, _) => self.order.alignment().announced(input)?,
            (Order::EncryptAndMac, Some(length)) => Some(length),
            (Order::EncryptAndMac, None) => match input.get_mut(..BLOCK) {
                Some(block) => {
                    self.stream.apply(block);
                    self.begun = self.order.alignment().announced(input)?;
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

impl Order {
    fn alignment(self) -> Alignment {
        match self {
            Self::EncryptThenMac => Alignment::BODY,
            Self::EncryptAndMac => Alignment::WHOLE,
        }
    }
}

/// Of what a packet must be a multiple, RFC 4253 section 6.
#[derive(Clone, Copy)]
struct Alignment {
    block: usize,
    /// How many bytes of the length field count as part of the packet here.
    counted: usize,
}

impl Alignment {
    const CLEAR: Self = Self { block: 8, counted: LENGTH };
    const WHOLE: Self = Self { block: BLOCK, counted: LENGTH };
    /// RFC 5647 and encrypt-then-mac leave the length field out.
    const BODY: Self = Self { block: BLOCK, counted: 0 };

    /// The length field at the front, if it is there and a length that a packet may have.
    fn announced(self, input: &[u8]) -> Result<Option<usize>, Broken> {
        let Some((length, _)) = input.split_first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let Some(count) = usize::try_from(length).ok().filter(|count| *count <= LARGEST_PACKET) else {
            return Err(Broken::new(format!("a packet claims to be {length} bytes long")));
        };
        let whole = self.counted + count;
        if whole < LEAST_PACKET || !whole.is_multiple_of(self.block) {
            let block = self.block;
            return Err(Broken::new(format!(
                "a packet claims to be {length} bytes long, which is too short or fills no blocks of {block}"
            )));
        }
        Ok(Some(count))
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
    if padding < LEAST_PADDING {
        return Err(Broken::new(format!("a packet with {padding} bytes of padding, where 4 are the least")));
    }
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

    /// A packet as its sender wrote it, sealed as it is.
    fn sealed_as_is(protection: &mut Protection, mut packet: Vec<u8>) -> BytesMut {
        let tag = match protection {
            Protection::Clear => Vec::new(),
            Protection::Gcm(gcm) => gcm.seal(&mut packet).unwrap(),
            Protection::Ctr(ctr) => ctr.seal(0, &mut packet),
        };
        BytesMut::from([packet, tag].concat().as_slice())
    }

    /// So many bytes after the length field, the first of which says how much of them is padding.
    fn packet(length: u32, padding: u8) -> Vec<u8> {
        let mut packet = [length.to_be_bytes().as_slice(), &[padding]].concat();
        packet.resize(LENGTH + usize::try_from(length).unwrap(), 7);
        packet
    }

    /// All protections by what they align, each with lengths that fit.
    fn by_alignment() -> Vec<((Protection, Protection), [u32; 2])> {
        let aligned = |pair: (Protection, Protection)| {
            let lengths = match &pair.0 {
                Protection::Clear => [12, 20],
                Protection::Ctr(ctr) if ctr.order == Order::EncryptAndMac => [12, 28],
                Protection::Gcm(_) | Protection::Ctr(_) => [16, 32],
            };
            (pair, lengths)
        };
        all().into_iter().map(aligned).collect()
    }

    #[test]
    fn least_padding_is_enough_and_less_is_refused() {
        for padding in [4, 3, 1, 0] {
            for ((mut near, mut far), lengths) in by_alignment() {
                let mut wire = sealed_as_is(&mut near, packet(lengths[0], padding));
                let opened = far.open(0, &mut wire);
                let Ok(payload) = opened else {
                    let error = opened.unwrap_err().to_string();
                    assert!(padding < 4 && error.contains(&format!("{padding} bytes of padding")), "{error}");
                    continue;
                };
                let rest = usize::try_from(lengths[0]).unwrap() - 5;
                assert_eq!((padding, payload), (4, Some(vec![7; rest])));
            }
        }
    }

    #[test]
    fn packets_fill_whole_blocks_and_sixteen_bytes_at_least() {
        for length in 0..40 {
            for ((mut near, mut far), lengths) in by_alignment() {
                let fits = match near {
                    Protection::Clear => length >= 12 && (length - lengths[0]).is_multiple_of(8),
                    _ => length >= lengths[0] && (length - lengths[0]).is_multiple_of(16),
                };
                // Enough behind it for any length.
                let mut written = packet(length.max(1), 4);
                written[..LENGTH].copy_from_slice(&length.to_be_bytes());
                let mut wire = sealed_as_is(&mut near, written);
                match far.open(0, &mut wire) {
                    Ok(payload) => assert!(fits && payload.is_some(), "{length}: {payload:?}"),
                    Err(error) => {
                        let error = error.to_string();
                        assert!(!fits && error.contains(&format!("claims to be {length} bytes")), "{error}");
                    }
                }
            }
        }
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
