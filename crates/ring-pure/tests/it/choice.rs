//! What encrypts, and the proof that it does.

use ring::{Backend, backend, self_test};

#[test]
fn the_self_test_passes_here() {
    self_test().unwrap();
}

#[test]
fn the_back_end_has_a_name() {
    let name = match backend() {
        Backend::Graviola => "graviola",
        Backend::RustCrypto => "rustcrypto",
        other => panic!("{other:?} has no place in this test yet"),
    };
    assert_eq!(backend().as_str(), name);
    assert_eq!(backend().to_string(), name);
}
