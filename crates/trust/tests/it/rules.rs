//! What is asked of keys and certificates beyond being known.

use rustle_trust::{CertificateProblem, KnownHosts, TrustRules, Verdict};

use crate::support::{CertificateFields, ED25519_B, NOW, RSA, certificate, host, key, known, line};

#[test]
fn an_authority_may_sign_with_the_algorithms_of_the_rules_alone() {
    let authority = line("@cert-authority *", ED25519_B);
    let shown = certificate(include_str!("../data/ed25519-by-ed25519b-cert.pub"));
    for (algorithms, is_taken) in [(&["ssh-ed25519"][..], true), (&["rsa-sha2-512"][..], false), (&[], false)]
    {
        let rules = TrustRules::new().ca_signature_algorithms(algorithms.iter().copied());
        let verdict = known(std::slice::from_ref(&authority)).with_rules(rules).verdict(
            &host("web-1"),
            22,
            &shown,
            NOW,
        );
        match verdict {
            Verdict::Trusted { .. } if is_taken => {}
            Verdict::CertificateRejected {
                reason: CertificateProblem::SignatureAlgorithm { algorithm },
                ..
            } if !is_taken => {
                assert_eq!(algorithm, "ssh-ed25519");
            }
            other => panic!("{algorithms:?}: {other:?}"),
        }
    }
}

#[test]
fn a_short_rsa_key_is_refused_though_it_is_known() {
    let bits = key(RSA).rsa_bits().unwrap();
    for (required, is_long_enough) in [(0, true), (bits, true), (bits + 1, false)] {
        let known = known(&[line("web-1", RSA)]).with_rules(TrustRules::new().required_rsa_bits(required));
        let verdict = known.verdict(&host("web-1"), 22, &rustle_trust::PresentedKey::Key(key(RSA)), NOW);
        assert_eq!(matches!(verdict, Verdict::Trusted { .. }), is_long_enough, "{verdict:?}");
        if !is_long_enough {
            let short = Verdict::TooShort { offered: key(RSA), bits, required };
            assert_eq!(verdict, short);
            assert!(verdict.to_string().contains(&required.to_string()), "{verdict}");
        }
    }
}

#[test]
fn a_certificate_by_another_authority_than_the_known_ones_is_named_as_such() {
    let known = known(&[line("@cert-authority web-1", ED25519_B)]);
    let verdict = known.verdict(&host("web-1"), 22, &CertificateFields::default().presented(), NOW);
    match &verdict {
        Verdict::UnknownAuthority { authority, known, .. } => {
            assert_eq!(authority, &CertificateFields::authority_key());
            assert_eq!(known.len(), 1);
            assert_eq!(known[0].key(), &key(ED25519_B));
        }
        other => panic!("{other:?}"),
    }
    let shown = verdict.to_string();
    assert!(shown.contains(&CertificateFields::authority_key().to_string()), "{shown}");
    // Without any authority the plain key is what counts.
    let verdict = crate::support::known(&[]).verdict(
        &host("web-1"),
        22,
        &CertificateFields::default().presented(),
        NOW,
    );
    assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
}

#[test]
fn a_line_that_cannot_be_read_keeps_a_host_from_being_new_whatever_certificate_is_shown() {
    // The authority that is known may stand in the line that is damaged.
    for damaged in ["@cert-authority web-1 ssh-ed25519 AAAA", "web-1 ssh-ed25519 AAAA"] {
        let lines = format!("{}\n{damaged}\n", line("@cert-authority web-1", ED25519_B));
        let known = KnownHosts::parse("known_hosts", lines.as_bytes()).unwrap();
        let verdict = known.verdict(&host("web-1"), 22, &CertificateFields::default().presented(), NOW);
        let Verdict::Unknown { unreadable, .. } = &verdict else { panic!("{damaged}: {verdict:?}") };
        assert_eq!(unreadable[0].to_string(), "known_hosts:2");
    }
}
