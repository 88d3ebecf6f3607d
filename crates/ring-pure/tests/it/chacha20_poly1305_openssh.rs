//! `chacha20-poly1305@openssh.com` against vectors that a program of its own derived from the specification,
//! and against forgeries.

use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, prop_assert_eq, proptest};
use ring::aead::chacha20_poly1305_openssh::{KEY_LEN, OpeningKey, SealingKey, TAG_LEN};

const VECTORS: &str = include_str!("../vectors/openssh_chacha20_poly1305.txt");

fn hex(digits: &str) -> Vec<u8> {
    let digits = if digits == "-" { "" } else { digits };
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(digits: &str) -> [u8; N] {
    hex(digits).try_into().unwrap()
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (7 * i + seed).to_le_bytes()[0]).collect()
}

/// Length and payload in the clear.
fn packet(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [length.as_slice(), payload].concat()
}

fn seal(key: &[u8; KEY_LEN], sequence_number: u32, payload: &[u8]) -> (Vec<u8>, [u8; TAG_LEN]) {
    let mut packet = packet(payload);
    let mut tag = [0; TAG_LEN];
    SealingKey::new(key).seal_in_place(sequence_number, &mut packet, &mut tag);
    (packet, tag)
}

/// The receiver's two steps: the length, then the packet.
fn open(
    key: &[u8; KEY_LEN],
    sequence_number: u32,
    sealed: &[u8],
    tag: &[u8; TAG_LEN],
) -> Option<(u32, Vec<u8>)> {
    let opening = OpeningKey::new(key);
    let length = opening.decrypt_packet_length(sequence_number, *sealed.first_chunk()?);
    let mut packet = sealed.to_vec();
    let payload = opening.open_in_place(sequence_number, &mut packet, tag).ok()?;
    Some((u32::from_be_bytes(length), payload.to_vec()))
}

#[test]
fn the_vectors_derived_from_the_specification_hold() {
    let mut checked = (0, 0);
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split(' ').collect();
        let (sequence_number, key, payload, expected, tag) = match fields[..] {
            ["long", number, key, len, seed, tag] => {
                checked.1 += 1;
                (number, key, pattern(len.parse().unwrap(), seed.parse().unwrap()), None, tag)
            }
            [number, key, payload, sealed, tag] => {
                checked.0 += 1;
                (number, key, hex(payload), Some(hex(sealed)), tag)
            }
            _ => panic!("not a vector: {line}"),
        };
        let sequence_number = sequence_number.parse().unwrap();
        let (key, tag) = (array(key), array(tag));

        let (sealed, sealed_tag) = seal(&key, sequence_number, &payload);
        assert_eq!(sealed_tag, tag, "{} bytes", payload.len());
        if let Some(expected) = expected {
            assert_eq!(sealed, expected, "{} bytes", payload.len());
        }
        let len = u32::try_from(payload.len()).unwrap();
        assert_eq!(open(&key, sequence_number, &sealed, &tag), Some((len, payload)));
    }
    assert_eq!(checked, (18, 6));
}

#[test]
fn every_flipped_bit_of_length_payload_and_tag_is_refused() {
    let key = std::array::from_fn(|i| i.to_le_bytes()[0]);
    let payload = pattern(72, 1);
    let (sealed, tag) = seal(&key, 5, &payload);
    let opening = OpeningKey::new(&key);
    for bit in 0..sealed.len() * 8 {
        let mut forged = sealed.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let received = forged.clone();
        assert!(opening.open_in_place(5, &mut forged, &tag).is_err(), "bit {bit} of length and payload");
        assert_eq!(forged, received, "a refused packet is left as it came");
    }
    for bit in 0..TAG_LEN * 8 {
        let mut forged = tag;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&key, 5, &sealed, &forged), None, "bit {bit} of the tag");
    }
    for len in 0..sealed.len() {
        assert_eq!(open(&key, 5, &sealed[..len], &tag), None, "cut to {len} bytes");
    }
    assert_eq!(open(&key, 5, &[sealed.as_slice(), &[0]].concat(), &tag), None, "one byte more");
    for other in [0, 4, 6, 5 << 8, u32::MAX] {
        assert_eq!(open(&key, other, &sealed, &tag), None, "as packet {other}");
    }
}

#[test]
fn either_half_of_another_key_is_told_from_the_right_one() {
    let key: [u8; KEY_LEN] = std::array::from_fn(|i| i.to_le_bytes()[0]);
    let (sealed, tag) = seal(&key, 0, &pattern(40, 2));

    let mut other_k_2 = key;
    other_k_2[0] ^= 1;
    assert_eq!(open(&other_k_2, 0, &sealed, &tag), None);

    // K_1 hides the length and nothing else: the packet is authentic, and its length reads as nonsense.
    let mut other_k_1 = key;
    other_k_1[32] ^= 1;
    let (length, payload) = open(&other_k_1, 0, &sealed, &tag).unwrap();
    assert_ne!(length, 40);
    assert_eq!(payload, pattern(40, 2));
}

#[test]
fn what_is_too_short_for_a_length_is_refused_and_never_sent_in_the_clear() {
    let key = [3; KEY_LEN];
    for len in 0..4 {
        let clear = pattern(len, 1);
        let mut packet = clear.clone();
        let mut tag = [0; TAG_LEN];
        SealingKey::new(&key).seal_in_place(1, &mut packet, &mut tag);
        assert!(len == 0 || packet != clear);
        assert!(OpeningKey::new(&key).open_in_place(1, &mut packet, &tag).is_err(), "{len} bytes");
    }
}

#[test]
fn a_packet_of_nothing_but_its_length_opens_to_nothing() {
    let key = [4; KEY_LEN];
    let (sealed, tag) = seal(&key, 2, &[]);
    assert_eq!(open(&key, 2, &sealed, &tag), Some((0, Vec::new())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn packets_of_any_size_come_back(
        len in 0..=300 * 1024_usize,
        seed in any::<u8>(),
        sequence_number in any::<u32>(),
        key in proptest::collection::vec(any::<u8>(), KEY_LEN),
    ) {
        let key: [u8; KEY_LEN] = key.try_into().unwrap();
        let payload = pattern(len, seed.into());
        let (sealed, tag) = seal(&key, sequence_number, &payload);
        prop_assert!(len < 16 || sealed[4..] != payload);
        let (length, opened) = open(&key, sequence_number, &sealed, &tag).unwrap();
        prop_assert_eq!(length as usize, len);
        prop_assert!(opened == payload);
    }

    #[test]
    fn noise_is_refused_without_a_panic(
        mut noise in proptest::collection::vec(any::<u8>(), 0..200),
        tag in any::<[u8; TAG_LEN]>(),
        sequence_number in any::<u32>(),
    ) {
        let opening = OpeningKey::new(&[1; KEY_LEN]);
        prop_assert!(opening.open_in_place(sequence_number, &mut noise, &tag).is_err());
    }
}
