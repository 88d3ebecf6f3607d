//! What a file says of a plain key.

use rustle_trust::{
    ErrorKind, HostHashing, KnownHosts, Marker, PresentedKey, ProblemKind, TrustedBy, Verdict, entry_line,
};

use crate::support::{DSA, ECDSA_256, ED25519, ED25519_B, RSA, host, key, known, line, verdict};

fn offered(text: &str) -> PresentedKey {
    PresentedKey::Key(key(text))
}

fn trusted_line(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Trusted { place, by: TrustedBy::HostKey } => place.line(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_line_with_the_key_is_enough() {
    let known = known(&[line("web-1", ED25519_B), line("#", ""), line("*", RSA), line("web-*", ED25519)]);
    assert_eq!(trusted_line(&verdict(&known, "WEB-1", 22, &offered(ED25519))), 4);
}

#[test]
fn a_host_in_no_line_is_unknown() {
    let known = known(&[line("web-1", ED25519), line("!web-2,web-3", ED25519)]);
    for name in ["web-2", "web-10", "example.com"] {
        match verdict(&known, name, 22, &offered(ED25519)) {
            Verdict::Unknown { offered, unreadable } => {
                assert_eq!(offered, key(ED25519));
                assert_eq!(unreadable, []);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn another_key_is_a_change_that_shows_both_fingerprints_with_file_and_line() {
    let mut known = known(&[line("web-1", ED25519_B)]);
    let system = format!("# global\n{}\n", line("web-*", RSA));
    known.append(KnownHosts::parse("/etc/ssh/ssh_known_hosts", system.as_bytes()).unwrap());
    let verdict = verdict(&known, "web-1", 22, &offered(ED25519));
    let Verdict::Changed { offered, known } = &verdict else { panic!("{verdict:?}") };
    assert_eq!(offered, &key(ED25519));
    let known: Vec<_> = known.iter().map(|known| (known.place().to_string(), known.key().clone())).collect();
    assert_eq!(
        known,
        [("known_hosts:1".into(), key(ED25519_B)), ("/etc/ssh/ssh_known_hosts:2".into(), key(RSA))]
    );
    assert_eq!(
        verdict.to_string(),
        format!(
            "the host key has changed: it presented ssh-ed25519 {}, but known is ssh-ed25519 {} in known_hosts:1, \
             ssh-rsa {} in /etc/ssh/ssh_known_hosts:2; unless its owner confirms the new key, somebody may be in between",
            key(ED25519).fingerprint_sha256(),
            key(ED25519_B).fingerprint_sha256(),
            key(RSA).fingerprint_sha256(),
        )
    );
}

#[test]
fn a_key_of_another_type_than_the_known_ones_is_a_change() {
    for other in [RSA, ECDSA_256, DSA] {
        let known = known(&[line("web-1", other)]);
        assert!(matches!(verdict(&known, "web-1", 22, &offered(ED25519)), Verdict::Changed { .. }));
    }
}

#[test]
fn a_port_has_lines_of_its_own_and_falls_back_to_the_bare_name_for_trust_alone() {
    let known = known(&[line("web-1", ED25519), line("[web-1]:2222", RSA), line("[2001:db8::1]:2222", RSA)]);
    assert_eq!(trusted_line(&verdict(&known, "web-1", 22, &offered(ED25519))), 1);
    assert_eq!(trusted_line(&verdict(&known, "web-1", 2222, &offered(RSA))), 2);
    assert_eq!(trusted_line(&verdict(&known, "2001:DB8:0::1", 2222, &offered(RSA))), 3);
    assert_eq!(trusted_line(&verdict(&known, "web-1", 2200, &offered(ED25519))), 1, "the bare name");
    assert!(matches!(verdict(&known, "web-1", 22, &offered(RSA)), Verdict::Changed { .. }));
    assert!(matches!(verdict(&known, "web-1", 2222, &offered(ED25519)), Verdict::Changed { .. }));
    assert!(
        matches!(verdict(&known, "web-1", 2200, &offered(RSA)), Verdict::Unknown { .. }),
        "another server may listen at another port"
    );
}

#[test]
fn a_revoked_key_is_refused_wherever_its_line_stands() {
    for lines in [
        [line("web-1", ED25519), line("@revoked *", ED25519)],
        [line("@revoked web-1", ED25519), line("web-1", ED25519)],
    ] {
        let known = known(&lines);
        for port in [22, 2222] {
            let verdict = verdict(&known, "web-1", port, &offered(ED25519));
            assert!(matches!(verdict, Verdict::Revoked { .. }), "{verdict:?}");
        }
        assert!(matches!(verdict(&known, "web-1", 22, &offered(RSA)), Verdict::Changed { .. }));
    }
    let elsewhere = known(&[line("@revoked web-2", ED25519), line("web-1", ED25519)]);
    assert_eq!(trusted_line(&verdict(&elsewhere, "web-1", 22, &offered(ED25519))), 2);
}

#[test]
fn a_revoked_line_whose_key_is_damaged_refuses_its_hosts_and_no_others() {
    let whole = ED25519_B.trim_end();
    let cut = &whole[..whole.len() - 8];
    for damaged in
        [cut, "ssh-ed25519 AAAA", "ssh-ed25519", "", "# gone", "ssh-ed25519-cert-v01@openssh.com AAAA"]
    {
        let lines = [line("web-1", ED25519), line("@revoked web-*", damaged), line("db-1", ED25519)];
        let known = KnownHosts::parse("known_hosts", lines.join("\n").as_bytes()).unwrap();
        for port in [22, 2222] {
            let refused = verdict(&known, "web-1", port, &offered(ED25519));
            let Verdict::UnreadableRevocation { place } = &refused else { panic!("{damaged}: {refused:?}") };
            assert_eq!(place.to_string(), "known_hosts:2");
            assert!(refused.to_string().contains("known_hosts:2"), "{refused}");
        }
        assert_eq!(trusted_line(&verdict(&known, "db-1", 22, &offered(ED25519))), 3, "{damaged}");
        let problem = &known.problems()[0];
        assert!(problem.kind().may_revoke() && problem.to_string().contains("revokes"), "{problem}");
        assert_eq!(known.problems().len(), 1);
    }
    // What is revoked for certain goes first.
    let both = [line("@revoked *", "ssh-ed25519 AAAA"), line("@revoked *", ED25519)].join("\n");
    let both = KnownHosts::parse("known_hosts", both.as_bytes()).unwrap();
    assert!(matches!(verdict(&both, "web-1", 22, &offered(ED25519)), Verdict::Revoked { .. }));
}

#[test]
fn a_revoked_key_that_nobody_could_show_refuses_nobody() {
    for other in ["ssh-future AAAA", include_str!("../data/rsa768.pub")] {
        let lines = [line("web-1", ED25519), line("@revoked *", other)].join("\n");
        let known = KnownHosts::parse("known_hosts", lines.as_bytes()).unwrap();
        assert_eq!(trusted_line(&verdict(&known, "web-1", 22, &offered(ED25519))), 1, "{other}");
        assert!(known.problems()[0].kind().may_revoke(), "{other}");
    }
}

#[test]
fn a_revocation_of_the_bare_name_holds_at_other_ports() {
    let known = known(&[line("@revoked web-1", ED25519), line("[web-1]:2222", ED25519)]);
    assert!(matches!(verdict(&known, "web-1", 2222, &offered(ED25519)), Verdict::Revoked { .. }));
}

#[test]
fn one_bad_line_takes_nothing_from_the_others_and_is_reported() {
    let lines = [
        "@bogus web-1 ssh-ed25519 AAAA".to_owned(),
        "|1|damaged ssh-ed25519 AAAA".into(),
        "web-1".into(),
        line("web-1", "ssh-ed25519 AAAA"),
        format!("{} ssh-ed25519 AAAA", "a".repeat(2000)),
        line("web-1", include_str!("../data/rsa768.pub")),
        line("web-1", ED25519),
    ];
    let known = KnownHosts::parse("known_hosts", lines.join("\n").as_bytes()).unwrap();
    assert_eq!(trusted_line(&verdict(&known, "web-1", 22, &offered(ED25519))), 7);

    let problems = known.problems();
    assert_eq!(problems.iter().map(|problem| problem.place().line()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        problems[0].to_string(),
        "known_hosts:1: `@bogus` is not a marker: one of `@cert-authority` and `@revoked` may stand first; \
         the line is ignored"
    );
    let kinds: Vec<_> = problems.iter().map(rustle_trust::Problem::kind).collect();
    assert!(matches!(
        kinds[1..],
        [
            ProblemKind::HashedName,
            ProblemKind::NoKey,
            ProblemKind::Key(_),
            ProblemKind::PatternTooLong,
            ProblemKind::Key(_)
        ]
    ));
}

#[test]
fn an_unknown_host_says_which_of_its_lines_could_not_be_read() {
    let lines = format!(
        "{}\n{}\n{}",
        line("web-*", "ssh-future AAAA"),
        line("db-1", "ssh-future AAAA"),
        line("@revoked *", "ssh-future AAAA")
    );
    let known = KnownHosts::parse("known_hosts", lines.as_bytes()).unwrap();
    let verdict = verdict(&known, "web-1", 22, &offered(ED25519));
    let Verdict::Unknown { unreadable, .. } = &verdict else { panic!("{verdict:?}") };
    assert_eq!(unreadable.iter().map(rustle_trust::Place::line).collect::<Vec<_>>(), [1]);
    assert!(verdict.to_string().ends_with("(its key in known_hosts:1 cannot be read)"), "{verdict}");
}

#[test]
fn the_problems_of_a_hopeless_file_are_counted_not_kept() {
    let known = KnownHosts::parse("known_hosts", "garbage\n".repeat(250).as_bytes()).unwrap();
    assert_eq!((known.problems().len(), known.problems_omitted()), (100, 150));
}

#[test]
fn a_file_past_a_limit_or_in_another_encoding_is_an_error_not_an_empty_file() {
    let large = vec![b'#'; KnownHosts::MAX_FILE + 1];
    let many = vec![b'\n'; KnownHosts::MAX_LINES + 1];
    let utf16: Vec<u8> = "\u{feff}web-1 x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, part) in [(large, "16 MiB"), (many, "1000000 lines"), (utf16, "UTF-16")] {
        let refused = KnownHosts::parse("/etc/ssh/ssh_known_hosts", &bytes).unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::File, "SSH_HOST_KEY"));
        let shown = refused.to_string();
        assert!(shown.contains(part) && shown.contains("/etc/ssh/ssh_known_hosts"), "{shown}");
    }
    assert!(KnownHosts::parse("f", &vec![b'\n'; KnownHosts::MAX_LINES]).is_ok());
}

#[test]
fn files_written_on_windows_are_read() {
    let text = format!("\u{feff}{}\r\n\r\n{}\r\n", line("@revoked web-1", ED25519), line("web-1", RSA));
    let known = KnownHosts::parse("known_hosts", text.as_bytes()).unwrap();
    assert_eq!(known.problems(), &[]);
    assert!(matches!(verdict(&known, "web-1", 22, &offered(ED25519)), Verdict::Revoked { .. }));
    assert_eq!(trusted_line(&verdict(&known, "web-1", 22, &offered(RSA))), 3);
}

#[test]
fn entries_tell_what_is_known_of_a_host() {
    let known =
        known(&[line("web-1", ED25519), line("@cert-authority web-*", RSA), line("@revoked *", ED25519_B)]);
    let markers: Vec<_> = known
        .entries(&host("web-1"), 22)
        .iter()
        .map(|known| (known.place().line(), known.marker()))
        .collect();
    assert_eq!(markers, [(1, Marker::HostKey), (2, Marker::CertAuthority), (3, Marker::Revoked)]);
    let shown = known.entries(&host("web-1"), 22)[0].to_string();
    assert_eq!(shown, format!("ssh-ed25519 {} in known_hosts:1", key(ED25519).fingerprint_sha256()));
}

const PREFERENCES: [&str; 7] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
];

#[test]
fn algorithms_of_known_keys_are_asked_for_first() {
    let known = known(&[line("web-1", RSA), line("db-1", ECDSA_256)]);
    assert_eq!(known.known_algorithms(&host("web-1"), 22), ["rsa-sha2-512", "rsa-sha2-256"]);
    assert_eq!(
        known.order_algorithms(&host("web-1"), 22, &PREFERENCES),
        [
            "rsa-sha2-512-cert-v01@openssh.com",
            "rsa-sha2-512",
            "rsa-sha2-256",
            "ssh-rsa",
            "ssh-ed25519-cert-v01@openssh.com",
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
        ]
    );
    assert_eq!(
        known.order_algorithms(&host("web-1"), 2222, &PREFERENCES)[1],
        "rsa-sha2-512",
        "the bare name's"
    );
    assert_eq!(known.order_algorithms(&host("web-2"), 22, &PREFERENCES), PREFERENCES, "nothing known");
}

#[test]
fn certificates_are_asked_for_first_where_an_authority_is_known() {
    let known = known(&[line("@cert-authority *", RSA), line("web-1", ECDSA_256)]);
    let algorithms = known.known_algorithms(&host("web-1"), 22);
    assert_eq!(algorithms[0], "ssh-ed25519-cert-v01@openssh.com");
    assert_eq!(algorithms.last(), Some(&"ecdsa-sha2-nistp256"));
    assert_eq!(algorithms.len(), 9, "every certificate type, and the one plain key");
    assert_eq!(
        known.order_algorithms(&host("web-1"), 22, &PREFERENCES)[..3],
        ["ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com", "ecdsa-sha2-nistp256"]
    );
}

#[test]
fn revoked_keys_decide_no_algorithm() {
    let known = known(&[line("web-1", RSA), line("@revoked *", RSA), line("web-1", ED25519)]);
    assert_eq!(known.known_algorithms(&host("web-1"), 22), ["ssh-ed25519"]);
}

#[test]
fn a_certificate_is_asked_for_by_a_revoked_authority_too_since_it_shows_that() {
    let lines = [line("@cert-authority web-1", RSA), line("@revoked *", RSA), line("web-1", ED25519)];
    let algorithms = known(&lines).known_algorithms(&host("web-1"), 22);
    assert_eq!(algorithms[0], "ssh-ed25519-cert-v01@openssh.com");
}

#[test]
fn a_written_line_is_trusted_when_it_is_read_again() {
    let key = key(ED25519);
    for hashing in [HostHashing::Plain, HostHashing::Hashed { salt: [3; 20] }] {
        for (name, port) in [("Web-1", 22), ("web-1", 2222), ("::1", 22), ("fe80::1%eth0", 2222)] {
            let line = entry_line(&host(name), port, &key, hashing);
            assert!(line.ends_with('\n') && line.lines().count() == 1);
            assert_eq!(line.contains("eb-1") || line.contains("::1"), hashing == HostHashing::Plain);
            let known = KnownHosts::parse("known_hosts", line.as_bytes()).unwrap();
            assert_eq!(trusted_line(&verdict(&known, name, port, &offered(ED25519))), 1);
        }
    }
}

#[test]
fn a_line_past_the_limit_makes_the_file_unusable_and_is_named() {
    let long = format!("{}\n{}\n", line("web-1", ED25519), "x".repeat(KnownHosts::MAX_LINE + 1));
    let error = KnownHosts::parse("known_hosts", long.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("known_hosts:2"), "{error}");
    let most = format!("# {}\n{}\n", "x".repeat(KnownHosts::MAX_LINE - 2), line("web-1", ED25519));
    let known = KnownHosts::parse("known_hosts", most.as_bytes()).unwrap();
    assert_eq!(trusted_line(&verdict(&known, "web-1", 22, &offered(ED25519))), 2);
}
