//! AES-GCM as the SSH base calls it: the packet length as associated data, the tag behind the ciphertext.

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, BoundKey, NONCE_LEN, Nonce, NonceSequence, OpeningKey,
    SealingKey, UnboundKey,
};
use ring::error::Unspecified;

const ALGORITHMS: [&Algorithm; 2] = [&AES_128_GCM, &AES_256_GCM];

/// RFC 5647 section 7.1: a fixed field of 32 bits, then a counter of 64. It ends after `left` packets.
struct Counter {
    next: u64,
    left: u64,
}

impl Counter {
    fn from(next: u64) -> Self {
        Self { next, left: u64::MAX }
    }
}

impl NonceSequence for Counter {
    fn advance(&mut self) -> Result<Nonce, Unspecified> {
        self.left = self.left.checked_sub(1).ok_or(Unspecified)?;
        let mut nonce = [0xab; NONCE_LEN];
        nonce[4..].copy_from_slice(&self.next.to_be_bytes());
        self.next = self.next.wrapping_add(1);
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

fn pair(algorithm: &'static Algorithm, first: u64) -> (SealingKey<Counter>, OpeningKey<Counter>) {
    let bytes = vec![0x42; algorithm.key_len()];
    let unbound = || UnboundKey::new(algorithm, &bytes).unwrap();
    (SealingKey::new(unbound(), Counter::from(first)), OpeningKey::new(unbound(), Counter::from(first)))
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251).to_le_bytes()[0]).collect()
}

/// The encrypted payload and its tag.
fn sealed(key: &mut SealingKey<Counter>, length: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut packet = payload.to_vec();
    let tag = key.seal_in_place_separate_tag(Aad::from(&length), &mut packet).unwrap();
    packet.extend_from_slice(tag.as_ref());
    packet
}

#[test]
fn the_lengths_are_those_of_rfc_5647() {
    assert_eq!((AES_128_GCM.key_len(), AES_128_GCM.nonce_len(), AES_128_GCM.tag_len()), (16, 12, 16));
    assert_eq!((AES_256_GCM.key_len(), AES_256_GCM.nonce_len(), AES_256_GCM.tag_len()), (32, 12, 16));
}

#[test]
fn a_stream_of_packets_comes_back_in_order() {
    for algorithm in ALGORITHMS {
        // Over the carry from the counter's lower half, and over its end.
        for first in [0, u64::from(u32::MAX) - 2, u64::MAX - 2] {
            let (mut sealing, mut opening) = pair(algorithm, first);
            for len in [0, 1, 12, 16, 100, 255, 256, 1500, 32_768, 262_144] {
                let length = u32::try_from(len).unwrap().to_be_bytes();
                let mut packet = sealed(&mut sealing, length, &payload(len));
                assert_eq!(packet.len(), len + algorithm.tag_len());
                let opened = opening.open_in_place(Aad::from(&length), &mut packet).unwrap();
                assert!(opened == payload(len), "{algorithm:?}, {len} bytes");
            }
        }
    }
}

#[test]
fn the_algorithm_stays_with_the_key() {
    for algorithm in ALGORITHMS {
        let (sealing, opening) = pair(algorithm, 0);
        assert_eq!(sealing.algorithm(), algorithm);
        assert_eq!(opening.algorithm(), algorithm);
    }
}

#[test]
fn packets_out_of_order_repeated_or_left_out_are_refused() {
    for algorithm in ALGORITHMS {
        let (mut sealing, _) = pair(algorithm, 0);
        let packets: Vec<_> = (0..3).map(|_| sealed(&mut sealing, [0, 0, 0, 32], &payload(32))).collect();
        for order in [[1, 0, 2], [0, 0, 1], [0, 2, 1]] {
            let (_, mut opening) = pair(algorithm, 0);
            let all_opened = order.iter().all(|&at: &usize| {
                opening.open_in_place(Aad::from([0, 0, 0, 32]), &mut packets[at].clone()).is_ok()
            });
            assert!(!all_opened, "{algorithm:?} in the order {order:?}");
        }
    }
}

#[test]
fn every_flipped_bit_of_packet_tag_and_length_is_refused() {
    for algorithm in ALGORITHMS {
        let (mut sealing, _) = pair(algorithm, 9);
        let length = [0, 0, 0, 48];
        let packet = sealed(&mut sealing, length, &payload(48));
        let refused = |length: [u8; 4], packet: &[u8]| {
            let (_, mut opening) = pair(algorithm, 9);
            let mut packet = packet.to_vec();
            let refused = opening.open_in_place(Aad::from(&length), &mut packet).is_err();
            refused && !packet.starts_with(&payload(48))
        };
        assert!(!refused(length, &packet));
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(length, &forged), "{algorithm:?}: bit {bit} of ciphertext and tag");
        }
        for bit in 0..32 {
            let mut forged = length;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(forged, &packet), "{algorithm:?}: bit {bit} of the length");
        }
    }
}

#[test]
fn what_is_too_short_for_a_tag_is_an_error() {
    for algorithm in ALGORITHMS {
        for len in 0..algorithm.tag_len() {
            let (_, mut opening) = pair(algorithm, 0);
            assert_eq!(opening.open_in_place(Aad::from([]), &mut payload(len)), Err(Unspecified));
        }
        // Long enough, and no packet.
        let (_, mut opening) = pair(algorithm, 0);
        assert_eq!(opening.open_in_place(Aad::from([]), &mut [0; 16]), Err(Unspecified));
    }
}

#[test]
fn a_key_of_another_length_is_an_error() {
    for algorithm in ALGORITHMS {
        for len in [0, 1, 15, 16, 17, 24, 31, 32, 33, 64] {
            let made = UnboundKey::new(algorithm, &payload(len)).is_ok();
            assert_eq!(made, len == algorithm.key_len(), "{algorithm:?} from {len} bytes");
        }
    }
}

#[test]
fn a_spent_sequence_neither_seals_nor_opens() {
    for algorithm in ALGORITHMS {
        let unbound = || UnboundKey::new(algorithm, &vec![1; algorithm.key_len()]).unwrap();
        let one = || Counter { next: 0, left: 1 };

        let mut sealing = SealingKey::new(unbound(), one());
        let packet = sealed(&mut sealing, [0; 4], &payload(20));
        let mut second = payload(20);
        let refused = sealing.seal_in_place_separate_tag(Aad::from([0; 4]), &mut second);
        assert!(refused.is_err());
        assert_eq!(second, payload(20));

        let mut opening = OpeningKey::new(unbound(), one());
        opening.open_in_place(Aad::from([0; 4]), &mut packet.clone()).unwrap();
        assert!(opening.open_in_place(Aad::from([0; 4]), &mut packet.clone()).is_err());
    }
}
