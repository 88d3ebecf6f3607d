//! Public keys as OpenSSH writes them.

use rustle_trust::{ErrorKind, PublicKey};

use crate::support::{DSA, ECDSA_256, ECDSA_384, ECDSA_521, ED25519, RSA, key, put_string};

#[test]
fn every_key_type_round_trips_through_text_and_wire() {
    for (text, algorithm) in [
        (ED25519, "ssh-ed25519"),
        (ECDSA_256, "ecdsa-sha2-nistp256"),
        (ECDSA_384, "ecdsa-sha2-nistp384"),
        (ECDSA_521, "ecdsa-sha2-nistp521"),
        (RSA, "ssh-rsa"),
        (DSA, "ssh-dss"),
    ] {
        let key = key(text);
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.to_openssh(), text.trim_end());
        assert_eq!(PublicKey::from_wire(key.wire()).unwrap(), key);
        assert_eq!(PublicKey::from_openssh(&format!("  {} a comment", text.trim_end())).unwrap(), key);
    }
}

#[test]
fn fingerprints_are_those_that_ssh_keygen_shows() {
    for (text, fingerprint) in [
        (ED25519, "SHA256:uLPWpkXLKTIEceqao92nbi/LIbN0KOOA0Duz2vdbK+E"),
        (RSA, "SHA256:f+oGqYl1IwK09rKeYThstKJBoOCl38G2cvganuIP6L8"),
        (ECDSA_521, "SHA256:XAjLtYYTHYIzlKDAEOtO82gcK15EB856VwGALLYNDZk"),
    ] {
        assert_eq!(key(text).fingerprint_sha256().to_string(), fingerprint);
    }
}

#[test]
fn security_keys_are_read() {
    let mut wire = Vec::new();
    put_string(&mut wire, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut wire, &[9; 32]);
    put_string(&mut wire, b"ssh:");
    assert_eq!(PublicKey::from_wire(&wire).unwrap().algorithm(), "sk-ssh-ed25519@openssh.com");
}

#[test]
fn rsa_keys_have_a_least_size() {
    assert_eq!(key(RSA).rsa_bits(), Some(2048));
    assert_eq!(key(include_str!("../data/rsa1024.pub")).rsa_bits(), Some(1024));
    assert_eq!(key(ED25519).rsa_bits(), None);
    let refused = PublicKey::from_openssh(include_str!("../data/rsa768.pub")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeySize);
    assert_eq!(refused.to_string(), "an RSA key of 768 bits is refused: 1024 to 16384 are accepted");
}

#[test]
fn a_second_spelling_of_a_key_is_refused() {
    // An mpint with a superfluous zero byte (RFC 4251, section 5, forbids it) would be the same key by value.
    let wire = key(RSA).wire().to_vec();
    let (head, modulus) = wire.split_at(4 + 7 + 4 + 3);
    let modulus = &modulus[4..];
    let mut padded = head.to_vec();
    put_string(&mut padded, &[&[0], modulus].concat());
    assert_eq!(PublicKey::from_wire(&padded).unwrap_err().kind(), ErrorKind::MalformedKey);

    // A compressed point is the same key, too.
    let wire = key(ECDSA_256).wire().to_vec();
    let (head, point) = wire.split_at(wire.len() - 65);
    let mut compressed = head[..head.len() - 4].to_vec();
    put_string(&mut compressed, &[&[2 | (point[64] & 1)], &point[1..33]].concat());
    assert_eq!(PublicKey::from_wire(&compressed).unwrap_err().kind(), ErrorKind::MalformedKey);
}

#[test]
fn what_is_no_plain_key_is_refused_and_named() {
    let certificate = include_str!("../data/ed25519-by-ed25519b-cert.pub");
    let trailing = [key(ED25519).wire(), b"x"].concat();
    for (result, kind, part) in [
        (PublicKey::from_openssh(certificate), ErrorKind::UnsupportedKey, "is a certificate"),
        (
            PublicKey::from_openssh("ssh-future AAAA"),
            ErrorKind::UnsupportedKey,
            "`ssh-future` is not supported",
        ),
        (PublicKey::from_openssh("ssh-ed25519 AAA"), ErrorKind::MalformedKey, "base64"),
        (PublicKey::from_openssh("ssh-ed25519"), ErrorKind::MalformedKey, "base64"),
        (
            PublicKey::from_openssh(&RSA.replace("ssh-rsa", "ssh-ed25519")),
            ErrorKind::MalformedKey,
            "says ssh-rsa",
        ),
        (PublicKey::from_wire(b""), ErrorKind::MalformedKey, "no key type"),
        (PublicKey::from_wire(&[0; 20_000]), ErrorKind::MalformedKey, "no key type"),
        (PublicKey::from_wire(&trailing), ErrorKind::MalformedKey, "not a key of that type"),
        (PublicKey::from_wire(&key(ED25519).wire()[..40]), ErrorKind::MalformedKey, "not a key of that type"),
    ] {
        let refused = result.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        assert!(refused.to_string().contains(part), "{refused}");
    }
}

#[test]
fn foreign_text_reaches_a_message_without_control_characters() {
    let refused = PublicKey::from_openssh("\x1b[31mred AAAA").unwrap_err().to_string();
    assert!(refused.contains(r"\u{1b}[31mred") && !refused.contains('\x1b'), "{refused}");
}
