//! Arbitrary input: nothing panics, and what is written is read again.

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use rustle_trust::{
    Fingerprint, HostCertificate, HostHashing, HostKeysUpdate, HostName, KnownHosts, PresentedKey, PublicKey,
    RevokedKeys, SshfpRecord, UpdateVerdict, Verdict, entry_line,
};

use crate::support::{CertificateFields, ED25519, ED25519_B, NOW, RSA, key, put_string};

/// Lines made of the pieces that matter, and of anything.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::prop_oneof![
        4 => proptest::sample::select(vec![
            "web-1", "*", "!", ",", "?", "[web-1]:2222", "|1|", "|", "@revoked", "@cert-authority", "@", "#", " ", "\t",
            "\n", "\r\n", "ssh-ed25519", "ssh-rsa", "AAAA", "=", ED25519, ED25519_B, RSA,
            include_str!("../data/ed25519-by-ed25519b-cert.pub"),
            "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn host_name() -> impl Strategy<Value = HostName> {
    "[a-zA-Z0-9._:%-]{1,40}".prop_map(|name| HostName::new(&name).unwrap())
}

fn plain_key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(|point| {
        let mut wire = Vec::new();
        put_string(&mut wire, b"ssh-ed25519");
        put_string(&mut wire, &point);
        PublicKey::from_wire(&wire).unwrap()
    })
}

fn hashing() -> impl Strategy<Value = HostHashing> {
    proptest::option::of(any::<[u8; 20]>())
        .prop_map(|salt| salt.map_or(HostHashing::Plain, |salt| HostHashing::Hashed { salt }))
}

proptest! {
    #[test]
    fn no_file_makes_a_verdict_panic(bytes in file(), port in any::<u16>(), now in any::<u64>()) {
        let known = KnownHosts::parse("f", &bytes).unwrap();
        let host = HostName::new("web-1").unwrap();
        for presented in [PresentedKey::Key(key(ED25519)), CertificateFields::default().presented()] {
            prop_assert!(!known.verdict(&host, port, &presented, now).to_string().is_empty());
        }
        prop_assert_eq!(known.order_algorithms(&host, port, &["ssh-ed25519"]), ["ssh-ed25519"]);
        for problem in known.problems() {
            let shown = problem.to_string();
            prop_assert!(shown.starts_with("f:") && !shown.contains(char::is_control), "{shown:?}");
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,80}") {
        let _ = KnownHosts::parse("f", &bytes).map(|known| known.problems().len());
        let _ = PublicKey::from_wire(&bytes);
        let _ = HostCertificate::from_wire(&bytes);
        let _ = PublicKey::from_openssh(&text);
        let _ = HostCertificate::from_openssh(&text);
        let _ = HostName::new(&text);
        let _ = text.parse::<Fingerprint>();
    }

    #[test]
    fn no_damaged_key_makes_a_reader_panic(
        which in 0..3usize,
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let good = [key(ED25519).wire().to_vec(), key(RSA).wire().to_vec(), CertificateFields::default().sign()];
        let mut bytes = good[which].clone();
        let at = at.index(bytes.len());
        for (byte, new) in bytes[at..].iter_mut().zip(&with) {
            *byte = *new;
        }
        if let Ok(read) = PublicKey::from_wire(&bytes) {
            prop_assert_eq!(read.wire(), &bytes[..]);
            prop_assert_eq!(PublicKey::from_openssh(&read.to_openssh()).unwrap(), read);
        }
        let _ = HostCertificate::from_wire(&bytes);
    }

    #[test]
    fn a_written_line_makes_its_key_trusted_and_every_other_changed(
        host in host_name(),
        port in any::<u16>(),
        mine in plain_key(),
        other in plain_key(),
        hashing in hashing(),
    ) {
        let line = entry_line(&host, port, &mine, hashing);
        let known = KnownHosts::parse("f", line.as_bytes()).unwrap();
        prop_assert!(known.problems().is_empty());
        let verdict = known.verdict(&host, port, &PresentedKey::Key(mine.clone()), NOW);
        prop_assert!(matches!(verdict, Verdict::Trusted { .. }), "{verdict:?}");
        if other != mine {
            let verdict = known.verdict(&host, port, &PresentedKey::Key(other), NOW);
            prop_assert!(matches!(verdict, Verdict::Changed { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn a_revoked_line_wins_in_any_file(bytes in file(), host in host_name(), port in any::<u16>(), mine in plain_key()) {
        let mut known = KnownHosts::parse("a", &bytes).unwrap();
        known.append(KnownHosts::parse("b", format!("@revoked * {}", mine.to_openssh()).as_bytes()).unwrap());
        known.append(KnownHosts::parse("c", entry_line(&host, port, &mine, HostHashing::Plain).as_bytes()).unwrap());
        let verdict = known.verdict(&host, port, &PresentedKey::Key(mine), NOW);
        prop_assert!(matches!(verdict, Verdict::Revoked { .. }), "{verdict:?}");
    }

    #[test]
    fn no_bytes_make_a_list_of_revoked_keys_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        kind in proptest::sample::select(vec![1u8, 2, 3, 4, 5, 255, 0x20]),
        part in proptest::sample::select(vec![0x20u8, 0x21, 0x22, 0x23, 0x39, 1]),
    ) {
        let _ = RevokedKeys::parse("f", &bytes);
        let _ = SshfpRecord::from_rdata(&bytes);
        // Once behind a good header, once inside a section for any authority.
        let mut list = b"SSHKRL\n\0\0\0\0\x01".to_vec();
        list.extend([0; 24 + 8]);
        let mut inner = vec![0; 8];
        inner.push(part);
        put_string(&mut inner, &bytes);
        for section in [bytes, inner] {
            let mut whole = list.clone();
            whole.push(kind);
            put_string(&mut whole, &section);
            if let Ok(read) = RevokedKeys::parse("f", &whole) {
                let _ = read.revokes(&CertificateFields::default().presented());
            }
        }
    }

    #[test]
    fn an_update_keeps_every_other_line_and_makes_the_files_say_what_the_host_says(
        bytes in file(),
        mine in plain_key(),
        learned in plain_key(),
        hashing in hashing(),
        port in any::<u16>(),
    ) {
        let host = HostName::new("a-host-of-its-own").unwrap();
        let mut text = bytes;
        text.push(b'\n');
        text.extend(entry_line(&host, port, &mine, hashing).bytes());
        let update = HostKeysUpdate::new(host, port, mine.clone(), vec![mine.clone(), learned.clone()]);
        let known = KnownHosts::parse("f", &text).unwrap();
        match update.judge(&known) {
            UpdateVerdict::Change { learned, deprecated } => {
                let new = update.rewrite(&text, &learned, &deprecated, || Ok::<_, ()>(hashing)).unwrap().unwrap();
                prop_assert!(new.starts_with(&text), "nothing was deprecated");
                let again = KnownHosts::parse("f", &new).unwrap();
                prop_assert_eq!(update.judge(&again), UpdateVerdict::Unchanged);
                prop_assert_eq!(update.rewrite(&new, &learned, &deprecated, || Ok::<_, ()>(hashing)), Ok(None));
            }
            // The pieces of a file hold lines for every host, which a person wrote.
            UpdateVerdict::Refused(_) => {}
            other => prop_assert!(mine == learned, "{other:?}"),
        }
    }
}
