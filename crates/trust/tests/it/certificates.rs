//! Host certificates: those that `ssh-keygen` made, and those that it would not make.

use rustle_trust::{
    CertificateProblem, ErrorKind, HostCertificate, KnownHosts, PresentedKey, PublicKey, TrustedBy, Verdict,
};
use signature::Signer;

use crate::support::{
    CertificateFields, ED25519, ED25519_B, NOW, RSA_B, certificate, host, key, known, line, put_string,
    verdict,
};

fn read(text: &str) -> HostCertificate {
    HostCertificate::from_openssh(text).unwrap()
}

fn check(fields: &CertificateFields, name: &str, now: u64) -> Result<(), CertificateProblem> {
    HostCertificate::from_wire(&fields.sign()).unwrap().check(&host(name), now)
}

#[test]
fn certificates_by_every_kind_of_authority_verify() {
    for (text, authority) in [
        (include_str!("../data/ed25519-by-ed25519b-cert.pub"), "ssh-ed25519"),
        (include_str!("../data/ed25519-by-ecdsa256-cert.pub"), "ecdsa-sha2-nistp256"),
        (include_str!("../data/ed25519-by-ecdsa384-cert.pub"), "ecdsa-sha2-nistp384"),
        (include_str!("../data/ed25519-by-ecdsa521-cert.pub"), "ecdsa-sha2-nistp521"),
        (include_str!("../data/ed25519-by-rsab-cert.pub"), "rsa-sha2-512"),
    ] {
        let certificate = read(text);
        assert_eq!(certificate.signature_algorithm(), authority);
        assert_eq!(certificate.key(), &key(ED25519));
        assert_eq!(certificate.serial(), 7);
        assert_eq!(certificate.principals().collect::<Vec<_>>(), ["web-1", "web-1.example.com"]);
        assert!(certificate.key_id().starts_with("web-1 by "));
        assert_eq!((certificate.valid_after(), certificate.valid_before()), (0, u64::MAX));
        assert_eq!(certificate.check(&host("web-1.example.com"), NOW), Ok(()));
    }
}

#[test]
fn certificates_for_every_kind_of_key_verify() {
    for (text, algorithm) in [
        (include_str!("../data/rsa-by-ed25519b-cert.pub"), "ssh-rsa"),
        (include_str!("../data/ecdsa256-by-ed25519b-cert.pub"), "ecdsa-sha2-nistp256"),
        (include_str!("../data/ecdsa384-by-ed25519b-cert.pub"), "ecdsa-sha2-nistp384"),
        (include_str!("../data/ecdsa521-by-ed25519b-cert.pub"), "ecdsa-sha2-nistp521"),
    ] {
        let certificate = read(text);
        assert_eq!(certificate.key().algorithm(), algorithm);
        assert_eq!(certificate.algorithm(), format!("{algorithm}-cert-v01@openssh.com"));
        assert_eq!(certificate.authority(), &key(ED25519_B));
        assert_eq!(certificate.check(&host("web-1"), NOW), Ok(()));
    }
}

#[test]
fn a_certificate_holds_from_its_first_second_to_the_one_before_its_last() {
    let certificate = read(include_str!("../data/rsa-by-rsab-cert.pub"));
    assert_eq!(certificate.signature_algorithm(), "rsa-sha2-256");
    let (first, end) = (1_767_225_600, 1_798_761_600);
    let at = |now| certificate.check(&host("web-1"), now);
    assert_eq!(at(first), Ok(()));
    assert_eq!(at(end - 1), Ok(()));
    let early = at(first - 1).unwrap_err();
    assert_eq!(early, CertificateProblem::NotYetValid { valid_after: first });
    assert!(early.to_string().contains("2026-01-01 00:00:00 UTC"), "{early}");
    let late = at(end).unwrap_err();
    assert_eq!(late, CertificateProblem::Expired { valid_before: end });
    assert!(late.to_string().contains("2027-01-01 00:00:00 UTC"), "{late}");
}

#[test]
fn a_signature_by_sha1_is_refused_by_name() {
    let text = include_str!("../data/ecdsa256-by-rsab-sha1-cert.pub");
    let refused = CertificateProblem::WeakSignature { algorithm: "ssh-rsa".into() };
    assert_eq!(read(text).check(&host("web-1"), NOW), Err(refused.clone()));

    let known = known(&[line("@cert-authority *", RSA_B)]);
    let verdict = verdict(&known, "web-1", 22, &certificate(text));
    assert!(matches!(verdict, Verdict::CertificateRejected { reason, .. } if reason == refused));
}

#[test]
fn principals_are_patterns_and_one_must_match() {
    let fields =
        CertificateFields { principals: vec![b"db-?", b"*.example.com", b"\xff"], ..Default::default() };
    for name in ["db-1", "a.example.com", "DB-2"] {
        assert_eq!(check(&fields, name, NOW), Ok(()), "{name}");
    }
    for name in ["db-10", "example.com", "web-1"] {
        let refused = check(&fields, name, NOW).unwrap_err();
        assert!(matches!(refused, CertificateProblem::WrongHost { .. }));
        assert!(refused.to_string().starts_with("it is for db-?, *.example.com, "), "{refused}");
    }
}

#[test]
fn case_of_a_principal_counts() {
    let fields = CertificateFields { principals: vec![b"Web-1"], ..Default::default() };
    assert!(matches!(check(&fields, "Web-1", NOW), Err(CertificateProblem::WrongHost { .. })));
}

#[test]
fn a_certificate_without_principals_is_for_no_host() {
    let fields = CertificateFields { principals: Vec::new(), ..Default::default() };
    assert_eq!(check(&fields, "web-1", NOW), Err(CertificateProblem::NoPrincipals));
}

#[test]
fn a_user_certificate_is_no_host_certificate() {
    let fields = CertificateFields { role: 1, ..Default::default() };
    assert_eq!(check(&fields, "web-1", NOW), Err(CertificateProblem::NotForHosts));
    let fields = CertificateFields { role: 3, ..Default::default() };
    let refused = HostCertificate::from_wire(&fields.sign()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MalformedCertificate);
}

#[test]
fn critical_options_are_refused_and_extensions_are_not() {
    let fields =
        CertificateFields { critical: vec![("force-command", b"\0\0\0\x01x")], ..Default::default() };
    assert_eq!(
        check(&fields, "web-1", NOW),
        Err(CertificateProblem::CriticalOption { name: "force-command".into() })
    );
    let extensions: Vec<(_, &'static [u8])> = vec![("z@example.com", b"\xff\xfe"), ("a@example.com", b"")];
    let fields = CertificateFields { extensions, ..Default::default() };
    assert_eq!(check(&fields, "web-1", NOW), Ok(()), "any order and any bytes, as the authority signed them");
}

#[test]
fn every_flipped_byte_makes_a_certificate_unreadable() {
    let good = CertificateFields::default().sign();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        assert!(HostCertificate::from_wire(&bad).is_err(), "byte {index}");
    }
    for length in 0..good.len() {
        assert!(HostCertificate::from_wire(&good[..length]).is_err(), "{length} bytes");
    }
    assert!(HostCertificate::from_wire(&[&good[..], b"x"].concat()).is_err());
}

#[test]
fn a_signature_with_bytes_behind_it_is_refused() {
    let mut wire = CertificateFields::default().to_be_signed(CertificateFields::authority_key().wire());
    let mut blob = Vec::new();
    put_string(&mut blob, b"ssh-ed25519");
    put_string(&mut blob, CertificateFields::authority().sign(&wire).as_bytes());
    blob.push(0);
    put_string(&mut wire, &blob);
    assert_eq!(HostCertificate::from_wire(&wire).unwrap_err().kind(), ErrorKind::CertificateSignature);
}

#[test]
fn a_security_key_can_be_an_authority() {
    use sha2::{Digest, Sha256};

    let mut authority = Vec::new();
    put_string(&mut authority, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut authority, &CertificateFields::authority().public.0);
    put_string(&mut authority, b"ssh:");
    let mut wire = CertificateFields::default().to_be_signed(&authority);
    // PROTOCOL.u2f: what is signed are digests of the application and the message, with flags and a counter.
    let flags_and_counter = [1, 0, 0, 0, 5];
    let message = [&Sha256::digest(b"ssh:")[..], &flags_and_counter, &Sha256::digest(&wire)[..]].concat();
    let mut blob = Vec::new();
    put_string(&mut blob, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut blob, CertificateFields::authority().sign(&message).as_bytes());
    blob.extend_from_slice(&flags_and_counter);
    put_string(&mut wire, &blob);

    let certificate = HostCertificate::from_wire(&wire).unwrap();
    assert_eq!(certificate.authority(), &PublicKey::from_wire(&authority).unwrap());
    assert_eq!(certificate.check(&host("web-1"), NOW), Ok(()));
}

#[test]
fn too_many_principals_are_refused() {
    let fields = CertificateFields { principals: vec![b"a"; 256], ..Default::default() };
    assert!(HostCertificate::from_wire(&fields.sign()).is_ok());
    let fields = CertificateFields { principals: vec![b"a"; 257], ..Default::default() };
    assert_eq!(
        HostCertificate::from_wire(&fields.sign()).unwrap_err().kind(),
        ErrorKind::MalformedCertificate
    );
}

#[test]
fn a_certificate_is_trusted_by_its_authority() {
    let authority = CertificateFields::authority_key().to_openssh();
    let known = known(&[line("db-1", ED25519_B), line("@cert-authority web-*", &authority)]);
    let presented = CertificateFields::default().presented();
    match verdict(&known, "web-1", 22, &presented) {
        Verdict::Trusted { place, by } => {
            assert_eq!((place.line(), by), (2, TrustedBy::CertAuthority));
        }
        other => panic!("{other:?}"),
    }
    // The same line does not make the authority's key a host key, nor another authority's certificate good.
    let Verdict::Unknown { .. } = verdict(&known, "web-1", 22, &PresentedKey::Key(key(&authority))) else {
        panic!("an authority is no host");
    };
    let other = certificate(include_str!("../data/ed25519-by-ed25519b-cert.pub"));
    assert!(matches!(verdict(&known, "web-1", 22, &other), Verdict::UnknownAuthority { .. }));
}

#[test]
fn a_plain_line_with_the_authority_does_not_trust_its_certificates() {
    let authority = CertificateFields::authority_key().to_openssh();
    let known = known(&[line("web-1", &authority)]);
    let presented = CertificateFields::default().presented();
    assert!(matches!(verdict(&known, "web-1", 22, &presented), Verdict::Changed { .. }));
}

#[test]
fn the_authority_of_the_bare_name_is_asked_where_the_port_has_none() {
    let ours = CertificateFields::authority_key().to_openssh();
    let presented = CertificateFields::default().presented();
    let bare = known(&[line("@cert-authority web-1", &ours)]);
    assert!(matches!(verdict(&bare, "web-1", 2222, &presented), Verdict::Trusted { .. }));
    let both =
        known(&[line("@cert-authority web-1", &ours), line("@cert-authority [web-1]:2222", ED25519_B)]);
    assert!(matches!(verdict(&both, "web-1", 2222, &presented), Verdict::UnknownAuthority { .. }));
}

#[test]
fn a_certificate_that_does_not_hold_leaves_the_plain_key_to_be_judged() {
    let authority = line("@cert-authority *", &CertificateFields::authority_key().to_openssh());
    let expired = CertificateFields { valid_before: NOW, ..Default::default() }.presented();

    let alone = known(std::slice::from_ref(&authority));
    match verdict(&alone, "web-1", 22, &expired) {
        Verdict::CertificateRejected { place, offered, reason } => {
            assert_eq!(place.to_string(), "known_hosts:1");
            assert_eq!(offered, key(ED25519));
            assert_eq!(reason, CertificateProblem::Expired { valid_before: NOW });
        }
        other => panic!("{other:?}"),
    }
    let with_key = known(&[authority.clone(), line("web-1", ED25519)]);
    match verdict(&with_key, "web-1", 22, &expired) {
        Verdict::Trusted { place, by } => assert_eq!((place.line(), by), (2, TrustedBy::HostKey)),
        other => panic!("{other:?}"),
    }
    let with_other = known(&[authority, line("web-1", ED25519_B)]);
    assert!(matches!(verdict(&with_other, "web-1", 22, &expired), Verdict::Changed { .. }));
}

#[test]
fn a_revoked_authority_or_certified_key_is_refused() {
    let ours = CertificateFields::authority_key().to_openssh();
    let authority = line("@cert-authority *", &ours);
    let presented = CertificateFields::default().presented();
    for (revoked, fingerprint) in [(&*ours, key(&ours)), (ED25519, key(ED25519))] {
        for lines in [
            [authority.clone(), line("@revoked *", revoked)],
            [line("@revoked web-1", revoked), authority.clone()],
        ] {
            match verdict(&known(&lines), "web-1", 22, &presented) {
                Verdict::Revoked { fingerprint: shown, .. } => {
                    assert_eq!(shown, fingerprint.fingerprint_sha256());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_revoked_certificate_revokes_its_key() {
    let lines = format!(
        "{}\n@revoked * {}",
        line("web-1", ED25519),
        include_str!("../data/ed25519-by-ed25519b-cert.pub")
    );
    let known = KnownHosts::parse("f", lines.as_bytes()).unwrap();
    assert_eq!(known.problems(), &[]);
    assert!(matches!(
        verdict(&known, "web-1", 22, &PresentedKey::Key(key(ED25519))),
        Verdict::Revoked { .. }
    ));
}
