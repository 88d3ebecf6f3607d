//! Fingerprints in DNS, against the records that `ssh-keygen -r` makes.

use rustle_trust::{SshfpMatch, SshfpRecord};

use crate::support::{ECDSA_256, ECDSA_384, ED25519, ED25519_B, RSA, SshKeygen, key};

/// The records that `ssh-keygen` makes of a key.
fn records(keygen: &SshKeygen, text: &str) -> Vec<SshfpRecord> {
    keygen.write("key.pub", text);
    let lines = keygen.must_run(&["-r", "web-1", "-f", "key.pub"]);
    let record = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, "IN", "SSHFP", algorithm, digest_type, digits] = fields[..] else { panic!("{line}") };
        let mut data = vec![algorithm.parse().unwrap(), digest_type.parse().unwrap()];
        data.extend(
            digits.as_bytes().chunks(2).map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()),
        );
        SshfpRecord::from_rdata(&data).unwrap()
    };
    lines.lines().map(record).collect()
}

#[test]
fn records_that_ssh_keygen_makes_are_of_their_key_alone() {
    let Some(keygen) = SshKeygen::find("records_that_ssh_keygen_makes_are_of_their_key_alone") else {
        return;
    };
    let keys = [ED25519, ED25519_B, ECDSA_256, ECDSA_384, RSA];
    for (index, text) in keys.iter().enumerate() {
        let records = records(&keygen, text);
        let digests: Vec<u8> = records.iter().map(SshfpRecord::digest_type).collect();
        assert_eq!(digests, [1, 2], "both digests");
        for (other, presented) in keys.iter().enumerate() {
            let expected = if other == index { SshfpMatch::Match } else { SshfpMatch::Mismatch };
            for records in [&records[..], &records[..1], &records[1..]] {
                assert_eq!(SshfpRecord::compare(records, &key(presented)), expected, "{text} {presented}");
            }
        }
    }
}

#[test]
fn one_record_of_another_key_undoes_the_others() {
    let Some(keygen) = SshKeygen::find("one_record_of_another_key_undoes_the_others") else { return };
    let mut both = records(&keygen, ED25519);
    both.extend(records(&keygen, RSA));
    assert_eq!(
        SshfpRecord::compare(&both, &key(ED25519)),
        SshfpMatch::Match,
        "another algorithm says nothing"
    );
    both.extend(records(&keygen, ED25519_B));
    assert_eq!(SshfpRecord::compare(&both, &key(ED25519)), SshfpMatch::Mismatch);
}

#[test]
fn sha1_vouches_for_nothing_that_sha256_speaks_against() {
    let Some(keygen) = SshKeygen::find("sha1_vouches_for_nothing_that_sha256_speaks_against") else { return };
    let (own, other) = (records(&keygen, ED25519), records(&keygen, ED25519_B));
    let [sha1, _] = &own[..] else { panic!("{own:?}") };
    let [_, sha256_of_other] = &other[..] else { panic!("{other:?}") };
    for both in [[sha1.clone(), sha256_of_other.clone()], [sha256_of_other.clone(), sha1.clone()]] {
        assert_eq!(SshfpRecord::compare(&both, &key(ED25519)), SshfpMatch::Mismatch);
    }
}

#[test]
fn records_that_say_nothing_of_a_key_are_no_match() {
    assert_eq!(SshfpRecord::compare(&[], &key(ED25519)), SshfpMatch::None);
    assert_eq!(SshfpRecord::from_rdata(&[]), None);
    assert_eq!(SshfpRecord::from_rdata(&[4, 2]), None);
    let digest = *key(ED25519).fingerprint_sha256().as_bytes();
    let record = |algorithm, digest_type, digest: &[u8]| {
        let mut data = vec![algorithm, digest_type];
        data.extend(digest);
        SshfpRecord::from_rdata(&data).unwrap()
    };
    for record in [
        record(4, 0, &digest),
        record(4, 3, &digest),
        record(0, 2, &digest),
        record(3, 2, &digest),
        record(4, 2, &digest[..31]),
        record(4, 1, &digest),
    ] {
        assert_eq!(SshfpRecord::compare(&[record], &key(ED25519)), SshfpMatch::Mismatch);
    }
}
