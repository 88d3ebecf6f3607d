//! The same files read by the real `ssh-keygen`.

use std::collections::BTreeSet;

use rustle_trust::{
    CertificateProblem, HostCertificate, HostHashing, KnownHosts, Marker, PresentedKey, PublicKey, Verdict,
    entry_line,
};

use crate::support::{ECDSA_384, ED25519, RSA, SshKeygen, host, key, line, now};

/// The names to look up, each as a host, a port and what `ssh-keygen -F` is told.
const NAMES: [(&str, u16, &str); 10] = [
    ("web-1", 22, "web-1"),
    ("web-1", 2222, "[web-1]:2222"),
    ("web-1.example.com", 22, "web-1.example.com"),
    ("Web-2.Example.com", 22, "web-2.example.com"),
    ("10.0.0.7", 22, "10.0.0.7"),
    ("10.0.0.7", 2200, "[10.0.0.7]:2200"),
    ("::1", 22, "::1"),
    ("2001:db8::1", 2222, "[2001:db8::1]:2222"),
    ("fe80::1%eth0", 22, "fe80::1%eth0"),
    ("a", 22, "a"),
];

const PATTERNS: [&str; 44] = [
    "web-1",
    "WEB-1",
    "web-?",
    "web-??",
    "web*",
    "*",
    "**",
    "?",
    "???",
    "*1",
    "*-*",
    "*.example.com",
    "*.EXAMPLE.com",
    "web-1,web-2",
    "web-1,!web-1",
    "!web-1,web-*",
    "web-*,!web-1",
    "web-*,!WEB-1",
    "!web-1",
    "!*",
    "*,!*.example.com",
    "!!web-1",
    "!!web-1,*",
    "web-1,,web-2",
    ",",
    ",web-1",
    "web-1,",
    "[web-1]:22",
    "[web-1]:2222",
    "[web-1]:*",
    "[*]:2222",
    "[web-1]",
    "*]:2222",
    "*,!\\[*",
    "*,![*",
    "10.0.0.7",
    "10.0.0.*",
    "10.0.0.0/24",
    "::1",
    "[::1]",
    "*:*",
    "2001:db8::*",
    "fe80::1%*",
    "[2001:db8::1]:2222,10.0.0.?",
];

fn ours(known: &KnownHosts, name: &str, port: u16) -> BTreeSet<(usize, String)> {
    let entries = known.entries(&host(name), port);
    let with_marker = entries.iter().map(|entry| {
        let marker = match entry.marker() {
            Marker::CertAuthority => "CA",
            Marker::Revoked => "REVOKED",
            _ => "",
        };
        (entry.place().line(), marker.to_owned())
    });
    with_marker.collect()
}

fn agree(keygen: &SshKeygen, lines: &[String]) -> usize {
    let text = lines.join("\n") + "\n";
    let file = keygen.write("known_hosts", &text);
    let known = KnownHosts::parse("known_hosts", text.as_bytes()).unwrap();
    let mut found = 0;
    for (name, port, spelled) in NAMES {
        let theirs: BTreeSet<_> = keygen.find_lines(spelled, &file).into_iter().collect();
        let ours = ours(&known, name, port);
        if let Some((number, marker)) = theirs.symmetric_difference(&ours).next() {
            panic!("{spelled}: we disagree about line {number} ({marker}): {}", lines[number - 1]);
        }
        found += theirs.len();
    }
    found
}

#[test]
fn every_pattern_finds_the_hosts_that_ssh_keygen_finds() {
    let Some(keygen) = SshKeygen::find("every_pattern_finds_the_hosts_that_ssh_keygen_finds") else { return };
    let mut lines = Vec::new();
    for pattern in PATTERNS {
        lines.push(line(pattern, ED25519));
        lines.push(format!("  {} a comment", line(&format!("@cert-authority {pattern}"), RSA)));
        lines.push(line(&format!("@revoked  {pattern}\t"), ECDSA_384));
    }
    lines.push(String::new());
    lines.push("# web-1".into());
    lines.push(line("@unknown web-1", ED25519));
    lines.push("web-1".into());
    lines.push("@revoked".into());
    assert!(agree(&keygen, &lines) > 200, "the matrix must find much");
}

#[test]
fn random_patterns_find_the_hosts_that_ssh_keygen_finds() {
    let Some(keygen) = SshKeygen::find("random_patterns_find_the_hosts_that_ssh_keygen_finds") else {
        return;
    };
    // A small generator of our own: the same patterns in each run, and no more processes than names.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let pieces =
        ["web", "-", "1", "*", "?", ",", "!", ".", "[", "]", ":", "2222", "10.0", "example.com", "a", "WEB"];
    let mut lines = Vec::new();
    while lines.len() < 2000 {
        let pattern: String = (0..=next(9)).map(|_| pieces[next(pieces.len())]).collect();
        lines.push(line(&pattern, ED25519));
    }
    assert!(agree(&keygen, &lines) > 100, "the patterns must find something");
}

#[test]
fn names_that_ssh_keygen_hashed_are_found() {
    let Some(keygen) = SshKeygen::find("names_that_ssh_keygen_hashed_are_found") else { return };
    let plain: Vec<_> =
        NAMES.iter().enumerate().map(|(index, (_, _, name))| line(name, [ED25519, RSA][index % 2])).collect();
    let file = keygen.write("known_hosts", plain.join("\n") + "\n");
    keygen.must_run(&["-H", "-f", file.to_str().unwrap()]);
    let hashed = keygen.read("known_hosts");
    assert!(!hashed.contains("web-1") && hashed.lines().all(|line| line.starts_with("|1|")), "{hashed}");
    let known = KnownHosts::parse("known_hosts", hashed.as_bytes()).unwrap();
    assert_eq!(known.problems(), &[]);
    for (index, (name, port, _)) in NAMES.into_iter().enumerate() {
        assert_eq!(ours(&known, name, port), BTreeSet::from([(index + 1, String::new())]), "{name}");
    }
}

#[test]
fn lines_that_we_write_are_found_by_ssh_keygen() {
    let Some(keygen) = SshKeygen::find("lines_that_we_write_are_found_by_ssh_keygen") else { return };
    for hashing in [HostHashing::Plain, HostHashing::Hashed { salt: *b"twenty bytes of salt" }] {
        let lines: String = NAMES
            .iter()
            .map(|(name, port, _)| entry_line(&host(name), *port, &key(ED25519), hashing))
            .collect();
        let file = keygen.write("known_hosts", lines);
        for (index, (_, _, spelled)) in NAMES.into_iter().enumerate() {
            assert_eq!(
                keygen.find_lines(spelled, &file),
                [(index + 1, String::new())],
                "{spelled} {hashing:?}"
            );
        }
    }
}

#[test]
fn fingerprints_of_fresh_keys_are_those_that_ssh_keygen_shows() {
    let Some(keygen) = SshKeygen::find("fingerprints_of_fresh_keys_are_those_that_ssh_keygen_shows") else {
        return;
    };
    for (kind, bits) in
        [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "1024")]
    {
        let name = format!("{kind}{bits}");
        keygen.must_run(&["-q", "-t", kind, "-b", bits, "-N", "", "-C", "x", "-f", &name]);
        let key = key(&keygen.read(&format!("{name}.pub")));
        let shown = keygen.must_run(&["-l", "-E", "sha256", "-f", &format!("{name}.pub")]);
        assert_eq!(shown.split(' ').nth(1), Some(key.fingerprint_sha256().to_string().as_str()));
    }
}

#[test]
fn certificates_that_ssh_keygen_signs_are_judged() {
    let Some(keygen) = SshKeygen::find("certificates_that_ssh_keygen_signs_are_judged") else { return };
    for (kind, bits) in [("ed25519", "256"), ("ecdsa", "521"), ("rsa", "2048")] {
        keygen.must_run(&["-q", "-t", kind, "-b", bits, "-N", "", "-f", &format!("ca-{kind}")]);
        keygen.must_run(&["-q", "-t", kind, "-b", bits, "-N", "", "-f", &format!("host-{kind}")]);
    }
    for (authority, certified) in [("ed25519", "rsa"), ("ecdsa", "ed25519"), ("rsa", "ecdsa"), ("rsa", "rsa")]
    {
        let authority = format!("ca-{authority}");
        let file = format!("host-{certified}.pub");
        let sign = |options: &[&str]| {
            keygen.must_run(
                &[&["-q", "-s", &authority, "-I", "an id", "-z", "12"], options, &[&file]].concat(),
            );
            HostCertificate::from_openssh(&keygen.read(&format!("host-{certified}-cert.pub"))).unwrap()
        };
        let ca = key(&keygen.read(&format!("{authority}.pub")));
        let known = KnownHosts::parse(
            "known_hosts",
            format!("@cert-authority *.example.com {}\n", ca.to_openssh()).as_bytes(),
        )
        .unwrap();
        let judge = |certificate: &HostCertificate| {
            let presented = PresentedKey::Certificate(Box::new(certificate.clone()));
            known.verdict(&host("web-1.example.com"), 22, &presented, now())
        };
        let reason = |verdict: Verdict| match verdict {
            Verdict::CertificateRejected { reason, .. } => reason,
            other => panic!("{other:?}"),
        };

        let good = sign(&["-h", "-n", "web-1,web-?.example.com", "-V", "-1m:+1h"]);
        assert_eq!((good.key_id(), good.serial(), good.authority()), ("an id", 12, &ca));
        assert_eq!(good.key(), &PublicKey::from_openssh(&keygen.read(&file)).unwrap());
        assert!(matches!(judge(&good), Verdict::Trusted { .. }));

        let other = sign(&["-h", "-n", "web-2.example.com"]);
        assert!(matches!(reason(judge(&other)), CertificateProblem::WrongHost { .. }));
        let expired = sign(&["-h", "-n", "web-1.example.com", "-V", "-2h:-1h"]);
        assert!(matches!(reason(judge(&expired)), CertificateProblem::Expired { .. }));
        let early = sign(&["-h", "-n", "web-1.example.com", "-V", "+1h:+2h"]);
        assert!(matches!(reason(judge(&early)), CertificateProblem::NotYetValid { .. }));
        let user = sign(&["-n", "web-1.example.com"]);
        assert_eq!(reason(judge(&user)), CertificateProblem::NotForHosts);
        assert!(!user.principals().collect::<Vec<_>>().is_empty());
    }
}
