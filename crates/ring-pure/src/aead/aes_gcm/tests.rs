//! Both back ends: against Wycheproof, against each other, against forgeries, and after their end.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_assume, proptest};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};
use zeroize::ZeroizeOnDrop;

use super::*;
use crate::chooser::{CpuFeatures, choose};
use crate::self_test::pattern;

const SIZES: [KeySize; 2] = [KeySize::Aes128, KeySize::Aes256];

/// Every key size on every back end that this CPU can run.
fn each_kind() -> impl Iterator<Item = (Backend, KeySize)> {
    Backend::runnable().iter().flat_map(|&backend| SIZES.map(|size| (backend, size)))
}

fn key(backend: Backend, size: KeySize, bytes: &[u8]) -> AesGcmKey {
    AesGcmKey::new(backend, size, bytes).unwrap()
}

fn backend_of(key: &AesGcmKey) -> Backend {
    match key {
        #[cfg(has_graviola)]
        AesGcmKey::Graviola(_) => Backend::Graviola,
        AesGcmKey::RustCrypto128(_) | AesGcmKey::RustCrypto256(_) => Backend::RustCrypto,
    }
}

#[test]
fn the_chosen_back_end_is_the_one_that_runs() {
    let chosen = choose(&CpuFeatures::detect());
    for size in SIZES {
        let bytes = pattern(size.bytes(), 1);
        assert_eq!(backend_of(&key(chosen, size, &bytes)), chosen);
        assert_eq!(backend_of(&key(Backend::RustCrypto, size, &bytes)), Backend::RustCrypto);
    }
}

#[test]
fn a_key_of_another_length_is_refused() {
    for (backend, size) in each_kind() {
        for len in (0..70).filter(|&len| len != size.bytes()) {
            assert!(AesGcmKey::new(backend, size, &pattern(len, 1)).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn wycheproof_agrees() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let mut ran = BTreeMap::new();
    for group in &set.test_groups {
        let size = match (group.key_size, group.nonce_size, group.tag_size) {
            (128, 96, 128) => KeySize::Aes128,
            (256, 96, 128) => KeySize::Aes256,
            // AES-192 and other nonces, which SSH does not have.
            _ => continue,
        };
        for test in &group.tests {
            for &backend in Backend::runnable() {
                let key = key(backend, size, &test.key);
                let nonce: [u8; NONCE_LEN] = test.nonce.as_slice().try_into().unwrap();
                let tag: [u8; TAG_LEN] = test.tag.as_slice().try_into().unwrap();
                let valid = match test.result {
                    TestResult::Valid => true,
                    TestResult::Invalid => false,
                    TestResult::Acceptable => panic!("test {} leaves the verdict open", test.tc_id),
                };

                let mut text = test.ct.to_vec();
                let opened = key.open(&nonce, &test.aad, &mut text, &tag);
                assert_eq!(opened.is_ok(), valid, "{backend}, test {}: {}", test.tc_id, test.comment);
                if valid {
                    assert_eq!(text, test.pt.as_slice(), "{backend}, test {}", test.tc_id);
                    assert_eq!(key.seal(&nonce, &test.aad, &mut text).unwrap(), tag, "test {}", test.tc_id);
                    assert_eq!(text, test.ct.as_slice(), "{backend}, test {}", test.tc_id);
                }
                *ran.entry((backend.as_str(), size.bytes(), valid)).or_insert(0) += 1;
            }
        }
    }
    for backend in Backend::runnable() {
        for size in SIZES {
            for (valid, least) in [(true, 35), (false, 25)] {
                let count = ran.get(&(backend.as_str(), size.bytes(), valid)).copied().unwrap_or(0);
                assert!(count >= least, "{backend}: {count} tests of {size:?} that are valid: {valid}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_back_ends_seal_alike_and_open_each_other_s_packets(
        len in prop_oneof_lengths(),
        seed in any::<usize>(),
        nonce in any::<[u8; NONCE_LEN]>(),
        aad in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let plaintext = pattern(len, seed);
        for size in SIZES {
            let bytes = pattern(size.bytes(), seed.rotate_left(11));
            let reference = key(Backend::RustCrypto, size, &bytes);
            let mut expected = plaintext.clone();
            let expected_tag = reference.seal(&nonce, &aad, &mut expected).unwrap();
            for &backend in Backend::runnable() {
                let key = key(backend, size, &bytes);
                let mut text = plaintext.clone();
                prop_assert_eq!(key.seal(&nonce, &aad, &mut text).unwrap(), expected_tag);
                prop_assert!(text == expected, "{} and rustcrypto differ at {} bytes", backend, len);
                key.open(&nonce, &aad, &mut text, &expected_tag).unwrap();
                prop_assert!(text == plaintext, "{} opens {} bytes to another text", backend, len);
            }
        }
    }

    #[test]
    fn a_random_flipped_bit_anywhere_is_refused(
        len in 1..20_000_usize,
        seed in any::<usize>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let plaintext = pattern(len, seed);
        prop_assume!(plaintext.iter().any(|&byte| byte != 0));
        for (backend, size) in each_kind() {
            let key = key(backend, size, &pattern(size.bytes(), seed));
            let mut text = plaintext.clone();
            let tag = key.seal(&[1; NONCE_LEN], &[], &mut text).unwrap();
            text[at.index(len)] ^= 1 << bit;
            prop_assert!(key.open(&[1; NONCE_LEN], &[], &mut text, &tag).is_err());
            prop_assert!(text != plaintext, "{} leaves the plaintext of a forged packet", backend);
        }
    }
}

/// 0 to 300 KiB, with as many short ones as long ones.
fn prop_oneof_lengths() -> impl proptest::strategy::Strategy<Value = usize> {
    proptest::prop_oneof![0..600_usize, 0..40_000_usize, 0..=300 * 1024_usize]
}

#[test]
fn every_length_up_to_some_batches_is_sealed_alike() {
    for size in SIZES {
        let bytes = pattern(size.bytes(), 9);
        let keys: Vec<_> = Backend::runnable().iter().map(|&backend| key(backend, size, &bytes)).collect();
        for len in 0..700 {
            let sealed: Vec<_> = keys
                .iter()
                .map(|key| {
                    let mut text = pattern(len, len);
                    let tag = key.seal(&[2; NONCE_LEN], &pattern(len % 37, 4), &mut text).unwrap();
                    (text, tag)
                })
                .collect();
            assert!(sealed.iter().all(|one| *one == sealed[0]), "{size:?}, {len} bytes");
        }
    }
}

#[test]
fn every_flipped_bit_of_tag_text_and_associated_data_is_refused() {
    let nonce = [5; NONCE_LEN];
    // The packet length is SSH's associated data.
    let aad = [0, 0, 1, 32];
    let plaintext = pattern(288, 7);
    for (backend, size) in each_kind() {
        let key = key(backend, size, &pattern(size.bytes(), 3));
        let mut sealed = plaintext.clone();
        let tag = key.seal(&nonce, &aad, &mut sealed).unwrap();
        let refused = |nonce: &[u8; NONCE_LEN], aad: &[u8], text: &[u8], tag: &[u8; TAG_LEN]| {
            let mut text = text.to_vec();
            let refused = key.open(nonce, aad, &mut text, tag).is_err();
            refused && text != plaintext
        };
        assert!(!refused(&nonce, &aad, &sealed, &tag), "{backend} refuses what is authentic");

        for bit in 0..TAG_LEN * 8 {
            let mut forged = tag;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&nonce, &aad, &sealed, &forged), "{backend} {size:?}: tag, bit {bit}");
        }
        for bit in 0..aad.len() * 8 {
            let mut forged = aad;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&nonce, &forged, &sealed, &tag), "{backend} {size:?}: length, bit {bit}");
        }
        for bit in 0..NONCE_LEN * 8 {
            let mut forged = nonce;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&forged, &aad, &sealed, &tag), "{backend} {size:?}: nonce, bit {bit}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&nonce, &aad, &forged, &tag), "{backend} {size:?}: text, bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(refused(&nonce, &aad, &sealed[..len], &tag), "{backend} {size:?}: cut to {len} bytes");
        }
        assert!(refused(&nonce, &aad[..3], &sealed, &tag), "{backend} {size:?}: shorter associated data");
        assert!(refused(&nonce, &[], &sealed, &[0; TAG_LEN]), "{backend} {size:?}: a tag of zeros");
    }
}

#[test]
fn no_text_is_longer_than_the_block_counter() {
    assert!(fits_one_nonce(0));
    assert!(fits_one_nonce(300 * 1024));
    if let Ok(most) = usize::try_from(MAX_PLAINTEXT) {
        assert!(fits_one_nonce(most));
        assert!(!fits_one_nonce(most + 1));
        assert!(!fits_one_nonce(usize::MAX));
    }
}

#[test]
fn rustcrypto_keys_wipe_themselves() {
    fn wipes_itself<T: ZeroizeOnDrop>() {}
    wipes_itself::<Aes128Gcm>();
    wipes_itself::<Aes256Gcm>();
}

/// Looks at the process's memory from outside, as a core dump would, before and after the key's end.
#[cfg(target_os = "linux")]
#[test]
fn a_dropped_key_is_gone_from_memory() {
    use crate::memory::snapshot;

    // The allocator writes its own links over the first words of what is freed.
    const ALLOCATOR: usize = 32;

    for (backend, size) in each_kind() {
        // Random enough that no 16 bytes of the expanded key come up again by chance.
        let bytes: Vec<u8> =
            pattern(size.bytes(), 41).iter().map(|byte| byte.wrapping_mul(171) ^ 0x5a).collect();
        let key = key(backend, size, &bytes);
        let (address, len) = match &key {
            #[cfg(has_graviola)]
            AesGcmKey::Graviola(key) => (std::ptr::from_ref(&**key).addr(), size_of_val(&**key)),
            AesGcmKey::RustCrypto128(key) => (std::ptr::from_ref(&**key).addr(), size_of_val(&**key)),
            AesGcmKey::RustCrypto256(key) => (std::ptr::from_ref(&**key).addr(), size_of_val(&**key)),
        };
        let before = snapshot(address, len);
        drop(key);
        let after = snapshot(address, len);

        let secrets: Vec<_> =
            (ALLOCATOR..len - 16).step_by(16).filter(|&at| before[at..at + 16] != [0; 16]).collect();
        assert!(secrets.len() >= 8, "{backend} {size:?}: the key was not where the test looked");
        for at in secrets {
            assert_ne!(
                before[at..at + 16],
                after[at..at + 16],
                "{backend} {size:?}: byte {at} outlives the key"
            );
        }
    }
}
