//! Lists of revoked keys, made by `ssh-keygen -k` and judged beside `ssh-keygen -Q`.

use rustle_trust::{ErrorKind, HostCertificate, PresentedKey, PublicKey, RevokedBy, RevokedKeys};

use crate::support::{
    CertificateFields, DSA, ECDSA_256, ED25519, ED25519_B, RSA, SshKeygen, certificate, key, line, put_string,
};

/// Certificates by two authorities, with serial numbers and ids that the lists below name or do not.
struct Site {
    keygen: SshKeygen,
    certificates: Vec<String>,
}

impl Site {
    fn new(test: &str) -> Option<Self> {
        let keygen = SshKeygen::find(test)?;
        for name in ["ca", "ca2", "host", "other"] {
            keygen.must_run(&["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name]);
        }
        let mut certificates = Vec::new();
        for authority in ["ca", "ca2"] {
            for serial in ["0", "1", "5", "6", "7", "64", "1000", "1001", "18446744073709551615"] {
                for id in ["web-1", "web 2"] {
                    keygen.must_run(&[
                        "-q", "-s", authority, "-h", "-n", "h", "-I", id, "-z", serial, "host.pub",
                    ]);
                    let name = format!("{authority}-{serial}-{}-cert.pub", id.replace(' ', "-"));
                    keygen.write(&name, keygen.read("host-cert.pub"));
                    certificates.push(name);
                }
            }
        }
        Some(Self { keygen, certificates })
    }

    /// The list that `ssh-keygen -k` makes of a specification.
    fn list(&self, authority: Option<&str>, specification: &str) -> RevokedKeys {
        self.keygen.write("spec", specification);
        let authority = authority.map(|name| ["-s", name]);
        let arguments =
            [&["-q", "-k", "-f", "krl"][..], authority.as_ref().map_or(&[][..], |a| &a[..]), &["spec"][..]]
                .concat();
        self.keygen.must_run(&arguments);
        RevokedKeys::parse("krl", &std::fs::read(self.keygen.path("krl")).unwrap()).unwrap()
    }

    /// Whether ours and theirs agree about every key and certificate; how many are revoked.
    fn agree(&self, list: &RevokedKeys, specification: &str) -> usize {
        let mut revoked = 0;
        let keys = ["ca.pub", "ca2.pub", "host.pub", "other.pub"].map(str::to_owned);
        for file in keys.iter().chain(&self.certificates) {
            let presented = self.presented(file);
            let (clean, said) = self.keygen.run(&["-Q", "-f", "krl", file]);
            assert_eq!(!clean, said.contains("REVOKED"), "{said}");
            let ours = list.revokes(&presented);
            assert_eq!(ours.is_some(), !clean, "{specification}: {file}: {ours:?}");
            revoked += usize::from(!clean);
        }
        revoked
    }

    fn presented(&self, file: &str) -> PresentedKey {
        let text = self.keygen.read(file);
        if file.ends_with("-cert.pub") { certificate(&text) } else { PresentedKey::Key(key(&text)) }
    }
}

#[test]
fn every_form_of_specification_revokes_what_ssh_keygen_says() {
    let Some(site) = Site::new("every_form_of_specification_revokes_what_ssh_keygen_says") else { return };
    let fingerprint = |file: &str| key(&site.keygen.read(file)).fingerprint_sha256().to_string();
    let public = |file: &str| site.keygen.read(file);
    let (host, ca2) = (public("host.pub"), public("ca2.pub"));
    let many: String = (0..900).step_by(3).map(|serial| format!("serial: {}\n", 1000 + serial)).collect();
    for (authority, specification, expected) in [
        (Some("ca"), "serial: 5".to_owned(), 2),
        (Some("ca"), "serial: 5-7".to_owned(), 6),
        (Some("ca"), "serial: 1-1000".to_owned(), 12),
        (Some("ca"), "serial: 5\nserial: 7\nserial: 64\n".to_owned(), 6),
        (Some("ca"), "serial: 18446744073709551615".to_owned(), 2),
        (Some("ca"), many, 2),
        (Some("ca"), "serial: 0x5".to_owned(), 2),
        (Some("ca"), "id: web-1".to_owned(), 9),
        (Some("ca"), "id: web 2\n# a comment\n\nserial: 6".to_owned(), 10),
        (None, format!("key: {host}"), 37),
        (None, format!("sha1: {host}"), 37),
        (None, format!("sha256: {host}"), 37),
        (None, format!("hash: {}", fingerprint("host.pub")), 37),
        (None, format!("key: {ca2}"), 19),
        (None, format!("sha256: {ca2}"), 19),
        (None, host.clone(), 37),
        (None, format!("key: {}", public("other.pub")), 1),
        (Some("ca"), public("ca-5-web-1-cert.pub"), 2),
        (Some("ca"), public("ca-0-web-1-cert.pub"), 9),
        (None, String::new(), 0),
    ] {
        let list = site.list(authority, &specification);
        assert_eq!(site.agree(&list, &specification), expected, "{specification}");
    }
}

#[test]
fn certificates_of_any_authority_are_revoked_where_none_is_named() {
    let Some(site) = Site::new("certificates_of_any_authority_are_revoked_where_none_is_named") else {
        return;
    };
    site.keygen.write("spec", "serial: 5-6\nid: web 2\n");
    site.keygen.must_run(&["-q", "-k", "-f", "krl", "-s", "none", "spec"]);
    let list = RevokedKeys::parse("krl", &std::fs::read(site.keygen.path("krl")).unwrap()).unwrap();
    assert_eq!(site.agree(&list, "any authority"), 22);
    let by = |file: &str| list.revokes(&site.presented(file)).unwrap().by().clone();
    assert_eq!(by("ca-5-web-1-cert.pub"), RevokedBy::Serial(5));
    assert_eq!(by("ca2-1-web-2-cert.pub"), RevokedBy::KeyId("web 2".into()));
}

#[test]
fn a_list_that_was_updated_keeps_what_it_had_and_its_header_is_read() {
    let Some(site) = Site::new("a_list_that_was_updated_keeps_what_it_had_and_its_header_is_read") else {
        return;
    };
    site.keygen.write("spec", "serial: 5");
    site.keygen.must_run(&["-q", "-k", "-f", "krl", "-z", "7", "-s", "ca.pub", "spec"]);
    site.keygen.write("spec", "serial: 6");
    site.keygen.must_run(&["-q", "-k", "-u", "-f", "krl", "-z", "8", "-s", "ca2.pub", "spec"]);
    let list = RevokedKeys::parse("krl", &std::fs::read(site.keygen.path("krl")).unwrap()).unwrap();
    assert_eq!(site.agree(&list, "updated"), 4);
    assert_eq!(list.version(), Some(8));
    assert!(list.generated().unwrap() > 1_700_000_000);
    assert_eq!(list.comment(), Some(""));
}

#[test]
fn a_list_of_lines_revokes_its_keys_and_the_certificates_that_they_sign() {
    let text = format!("# stolen\r\n\n \t{}\n{}", line("", ED25519_B).trim_start(), RSA);
    let list = RevokedKeys::parse("/etc/revoked", text.as_bytes()).unwrap();
    assert_eq!(list.version(), None);
    let revocation = list.revokes(&PresentedKey::Key(key(ED25519_B))).unwrap();
    assert_eq!(revocation.by(), &RevokedBy::Key);
    assert_eq!(revocation.fingerprint(), key(ED25519_B).fingerprint_sha256());
    assert!(revocation.to_string().ends_with("revoked by /etc/revoked:3"), "{revocation}");
    let signed = certificate(include_str!("../data/ecdsa256-by-ed25519b-cert.pub"));
    let revocation = list.revokes(&signed).unwrap();
    assert_eq!(revocation.by(), &RevokedBy::Authority);
    assert_eq!(revocation.fingerprint(), key(ED25519_B).fingerprint_sha256());
    assert_eq!(list.revokes(&PresentedKey::Key(key(ED25519))), None);
    // A certificate revokes its key.
    let certificate = include_str!("../data/ed25519-by-rsab-cert.pub");
    let list = RevokedKeys::parse("f", certificate.as_bytes()).unwrap();
    assert!(list.revokes(&PresentedKey::Key(key(ED25519))).is_some());
    assert_eq!(RevokedKeys::parse("f", b"").unwrap().revokes(&PresentedKey::Key(key(ED25519))), None);
}

#[test]
fn a_line_that_is_no_key_makes_the_list_unusable_with_its_number() {
    for bad in ["web-1 ssh-ed25519 AAAA", "ssh-ed25519", "ssh-ed25519 AAAA", "nonsense", "@revoked * x", "\0"]
    {
        let text = format!("{}\n{bad}\n", ECDSA_256.trim_end());
        let error = RevokedKeys::parse("/etc/revoked", text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RevocationList, "{bad}");
        assert!(error.to_string().contains("/etc/revoked:2"), "{error}");
    }
    // One that no host may have is as good as read.
    let small = include_str!("../data/rsa768.pub");
    let list = RevokedKeys::parse("f", format!("{small}{DSA}").as_bytes()).unwrap();
    assert!(list.revokes(&PresentedKey::Key(key(DSA))).is_some());
}

/// A binary list with these sections.
fn krl(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut list = b"SSHKRL\n\0\0\0\0\x01".to_vec();
    list.extend([0; 24]);
    put_string(&mut list, b"");
    put_string(&mut list, b"a \x1bcomment");
    for (kind, section) in sections {
        list.push(*kind);
        put_string(&mut list, section);
    }
    list
}

fn strings(strings: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    strings.iter().for_each(|string| put_string(&mut out, string));
    out
}

/// A section of certificates for any authority with one part.
fn certificates(kind: u8, part: &[u8]) -> Vec<u8> {
    let mut section = strings(&[b"", b""]);
    section.push(kind);
    put_string(&mut section, part);
    section
}

fn extension(critical: u8) -> Vec<u8> {
    let mut section = strings(&[b"new@example.com"]);
    section.push(critical);
    put_string(&mut section, b"content");
    section
}

#[test]
fn what_is_not_known_in_a_list_makes_it_unusable_unless_it_says_that_it_may_be_passed_over() {
    let good =
        RevokedKeys::parse("f", &krl(&[(255, &extension(0)), (1, &certificates(0x39, &extension(0)))]));
    assert_eq!(good.unwrap().comment(), Some("a \\u{1b}comment"));
    let (range, zero) = ([[0; 7], [9; 7]].concat(), [0; 8]);
    let backwards = [9u64.to_be_bytes(), 8u64.to_be_bytes()].concat();
    let long = [krl(&[]), vec![2]].concat();
    for (why, bytes) in [
        ("a critical extension", krl(&[(255, &extension(1))])),
        ("a critical extension of certificates", krl(&[(1, &certificates(0x39, &extension(2)))])),
        ("an unknown section", krl(&[(6, b"")])),
        ("an unknown kind", krl(&[(1, &certificates(0x24, b""))])),
        ("a short fingerprint", krl(&[(5, &strings(&[&[1; 31]]))])),
        ("a long fingerprint", krl(&[(3, &strings(&[&[1; 21]]))])),
        ("half a serial number", krl(&[(1, &certificates(0x20, &range))])),
        ("serial number 0", krl(&[(1, &certificates(0x20, &zero))])),
        ("a range backwards", krl(&[(1, &certificates(0x21, &backwards))])),
        ("more than a range", krl(&[(1, &certificates(0x21, &[1; 17]))])),
        ("a NUL in an id", krl(&[(1, &certificates(0x23, &strings(&[b"a\0b"])))])),
        ("an authority that is none", krl(&[(1, &strings(&[b"x", b""]))])),
        ("a length past the end", krl(&[(2, b"\xff\xff\xff\xff")])),
        ("a section cut short", long),
        ("a format of its own", [b"SSHKRL\n\0\0\0\0\x02".to_vec(), vec![0; 32]].concat()),
        ("no header", b"SSHKRL\n\0".to_vec()),
    ] {
        let error = RevokedKeys::parse("f", &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RevocationList, "{why}: {error}");
    }
    let whole = krl(&[(2, &strings(&[key(ED25519).wire()])), (1, &certificates(0x23, &strings(&[b"id"])))]);
    RevokedKeys::parse("f", &whole).unwrap();
    for end in 1..whole.len() {
        // Cut between two sections it is a shorter list; there is nothing in the format that would tell.
        let is_whole = end == krl(&[]).len() || end == krl(&[(2, &strings(&[key(ED25519).wire()]))]).len();
        assert_eq!(RevokedKeys::parse("f", &whole[..end]).is_ok(), is_whole, "{end} bytes");
    }
}

#[test]
fn signatures_are_passed_over_and_what_follows_them_is_read() {
    let mut list = krl(&[(4, b"a key")]);
    put_string(&mut list, b"a signature");
    list.push(2);
    put_string(&mut list, &strings(&[key(ED25519).wire()]));
    let list = RevokedKeys::parse("f", &list).unwrap();
    assert!(list.revokes(&PresentedKey::Key(key(ED25519))).is_some());
    assert!(RevokedKeys::parse("f", &krl(&[(4, b"a key")])).is_err(), "a key without its signature");
}

#[test]
fn an_id_revokes_byte_for_byte() {
    let presented = CertificateFields::default().presented();
    let list =
        |id: &[u8]| RevokedKeys::parse("f", &krl(&[(1, &certificates(0x23, &strings(&[id])))])).unwrap();
    let revocation = list(b"id \xff\x1b[31m").revokes(&presented).unwrap();
    assert!(!revocation.to_string().contains('\x1b'), "{revocation}");
    assert_eq!(list("id \u{fffd}\x1b[31m".as_bytes()).revokes(&presented), None);
    let authority: PublicKey = CertificateFields::authority_key();
    let list = RevokedKeys::parse("f", authority.to_openssh().as_bytes()).unwrap();
    assert_eq!(list.revokes(&presented).unwrap().by(), &RevokedBy::Authority);
    assert!(HostCertificate::from_wire(&CertificateFields::default().sign()).is_ok());
}
