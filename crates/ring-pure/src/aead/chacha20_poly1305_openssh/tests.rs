//! What only the inside can see: the wiping of keys, and the stream's position. The vectors are in
//! `tests/it`.

use std::cell::Cell;

use poly1305::universal_hash::KeyInit as _;
use zeroize::ZeroizeOnDrop;

use super::*;

thread_local! {
    /// How many keys this thread has wiped.
    pub(super) static WIPED: Cell<usize> = const { Cell::new(0) };
}

fn material() -> [u8; KEY_LEN] {
    std::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(171) ^ 0xa5)
}

#[test]
fn k_2_is_the_first_half_and_k_1_the_second() {
    let keys = Keys::boxed(&material());
    assert_eq!(keys.k_2.as_slice(), &material()[..32]);
    assert_eq!(keys.k_1.as_slice(), &material()[32..]);
}

#[test]
fn each_dropped_key_is_wiped_once_and_packets_cost_no_copies_of_it() {
    let before = WIPED.get();
    let sealing = SealingKey::new(&material());
    let opening = OpeningKey::new(&material());
    let mut packet = [1; 40];
    let mut tag = [0; TAG_LEN];
    sealing.seal_in_place(1, &mut packet, &mut tag);
    opening.open_in_place(1, &mut packet, &tag).unwrap();
    assert_eq!(WIPED.get() - before, 0);
    drop(sealing);
    assert_eq!(WIPED.get() - before, 1);
    drop(Box::new(opening));
    assert_eq!(WIPED.get() - before, 2);
}

#[test]
fn wiping_leaves_zeros() {
    let mut keys = Keys::boxed(&material());
    keys.zeroize();
    assert_eq!((keys.k_2.as_slice(), keys.k_1.as_slice()), ([0; 32].as_slice(), [0; 32].as_slice()));
}

#[test]
fn the_parts_wipe_themselves() {
    fn wipes_itself<T: ZeroizeOnDrop>() {}
    wipes_itself::<Keys>();
    wipes_itself::<ChaCha20LegacyCore>();
}

#[cfg(target_os = "linux")]
#[test]
fn a_dropped_key_is_gone_from_memory() {
    use crate::memory::snapshot;

    let sealing = SealingKey::new(&material());
    let address = std::ptr::from_ref(&*sealing.0).addr();
    let before = snapshot(address, size_of::<Keys>());
    assert_eq!(before, material(), "the key was not where the test looked");
    drop(sealing);
    let after = snapshot(address, size_of::<Keys>());
    // The allocator writes its own links over the first 16 bytes of what is freed.
    for at in 16..KEY_LEN - 8 {
        assert_ne!(before[at..at + 8], after[at..at + 8], "byte {at} outlives the key");
    }
}

#[test]
fn block_0_is_spent_on_the_tag_and_the_payload_starts_at_block_1() {
    let keys = Keys::boxed(&material());
    let mut stream = [0; 192];
    let (blocks, _) = Block::<ChaCha20LegacyCore>::slice_as_chunks_mut(&mut stream);
    ChaCha20LegacyCore::new(&keys.k_2, &nonce(7)).write_keystream_blocks(blocks);

    let mut packet = [0; 4 + 100];
    let mut tag = [0; TAG_LEN];
    SealingKey::new(&material()).seal_in_place(7, &mut packet, &mut tag);
    assert_eq!(packet[4..], stream[64..164]);
    let mut key = poly1305::Key::default();
    key.copy_from_slice(&stream[..32]);
    assert_eq!(Poly1305::new(&key).compute_unpadded(&packet).as_slice(), tag);
}

#[test]
fn the_nonce_is_the_sequence_number_in_network_order() {
    assert_eq!(nonce(0x0102_0304).as_slice(), [0, 0, 0, 0, 1, 2, 3, 4]);
}
