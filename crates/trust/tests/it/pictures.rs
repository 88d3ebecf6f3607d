//! The pictures of keys, compared with those that `ssh-keygen` draws.

use rustle_trust::PublicKey;

use crate::support::{ECDSA_256, ECDSA_384, ECDSA_521, ED25519, RSA, SshKeygen, key, put_string};

fn drawn(keygen: &SshKeygen, line: &str) -> String {
    keygen.write("key.pub", line);
    let output = keygen.must_run(&["-lv", "-E", "sha256", "-f", "key.pub"]);
    output.split_once('\n').unwrap().1.trim_end_matches('\n').to_owned()
}

#[test]
fn pictures_are_those_that_ssh_keygen_draws() {
    let Some(keygen) = SshKeygen::find("pictures_are_those_that_ssh_keygen_draws") else { return };
    for text in [ED25519, ECDSA_256, ECDSA_384, ECDSA_521, RSA, include_str!("../data/rsa1024.pub")] {
        assert_eq!(key(text).randomart(), drawn(&keygen, text), "{text}");
    }
    // Many walks, along every wall.
    for seed in 0..=60 {
        let mut wire = Vec::new();
        put_string(&mut wire, b"ssh-ed25519");
        put_string(&mut wire, &[seed; 32]);
        let key = PublicKey::from_wire(&wire).unwrap();
        assert_eq!(key.randomart(), drawn(&keygen, &key.to_openssh()), "seed {seed}");
    }
}
