//! Files made to be too much: each ends in an error, and takes no memory to speak of.

use std::process::Command;

use rustle_session::fuzzing::{self, KeyFile};
use rustle_ssh_config::{ConfigErrorKind, ConfigFile, MemorySource, Query, resolve};
use rustle_trust::{HostCertificate, KnownHosts, PublicKey, RevokedKeys};

/// Ten megabytes, as the files here have them.
const LONG: usize = 10 << 20;

/// What a process may have in all when it reads one of these: the program itself, the file in a few copies, and little more.
const LIMIT: usize = 400 << 20;

/// Set where the limit holds.
const LIMITED: &str = "RUSTLE_FUZZ_LIMITED";

#[test]
fn no_parser_takes_memory_for_what_a_file_claims() {
    if cfg!(not(target_os = "linux")) {
        println!("skipped: the limit on memory is Linux's");
        return;
    }
    // The shell's limit is handed down to what it becomes.
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {} && exec \"$0\" \"$@\"", LIMIT >> 10)]);
    limited.arg(std::env::current_exe().unwrap());
    limited.args(["too_much::", "--skip", "claims", "--test-threads", "1", "--nocapture"]);
    // One pool of memory: each of glibc's takes 64 MiB of addresses.
    let output = limited.env(LIMITED, "1").env("MALLOC_ARENA_MAX", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the limit holds") && !said.contains("running 0 tests"), "{said}");
}

#[test]
fn the_limit_on_memory_holds_where_it_is_set() {
    if std::env::var_os(LIMITED).is_none() {
        println!("skipped: it is part of another test");
        return;
    }
    assert!(Vec::<u8>::new().try_reserve_exact(LIMIT).is_err());
    println!("the limit holds");
}

#[test]
fn a_line_of_ten_megabytes_is_an_error_to_each() {
    let line = [b"User ".to_vec(), vec![b'a'; LONG]].concat();
    assert_eq!(resolved(&line).unwrap_err(), ConfigErrorKind::TooLarge);
    assert!(KnownHosts::parse("known_hosts", &line).is_err());
    assert!(RevokedKeys::parse("revoked", &line).is_err());
    assert!(HostCertificate::from_wire(&line).is_err());
    assert!(PublicKey::from_wire(&line).is_err());
    assert_eq!(fuzzing::dns_answer(&line), None);
    for frame in ["OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let text = format!("-----BEGIN {frame}-----\n{}\n-----END {frame}-----\n", "A".repeat(LONG));
        assert_eq!(fuzzing::private_key(text.as_bytes()), KeyFile::Refused, "{frame}");
    }
    let putty = format!("PuTTY-User-Key-File-3: {}\n", "A".repeat(LONG));
    assert_eq!(fuzzing::private_key(putty.as_bytes()), KeyFile::Refused);
}

/// A server of files that sends ten megabytes, one byte at a time: as one packet, as packets of one byte, as text.
#[test]
fn ten_megabytes_byte_by_byte_are_an_error_to_a_client_of_sftp() {
    /// Already open, one byte at a time.
    const OPEN: u8 = 0x80 | 1;
    let answered = |head: &[u8], rest: Vec<u8>| rustle_fuzz::sftp_answers(&[head, &rest].concat());
    assert_eq!(answered(&[OPEN], [0, 4, 0, 0].repeat(LONG / 4)), 0);
    assert_eq!(answered(&[OPEN], [0, 0, 0, 1, 7].repeat(LONG / 5)), 0);
    assert_eq!(answered(&[1], vec![b'a'; LONG]), 0);
    // The answer to a READ in the longest packet that is taken, and that packet without its end.
    let longest = [OPEN, 0, 4, 0, 0, 103, 0, 0, 0, 3, 0, 0, 0x10, 0];
    assert_eq!(answered(&longest, vec![1; 256 * 1024 - 9]), 1);
    assert_eq!(answered(&longest, vec![1; 256 * 1024 - 10]), 0);
    // Names of which there are said to be 2³² - 1.
    assert_eq!(answered(&[OPEN, 0, 0, 1, 9, 104, 0, 0, 0, 10, 255, 255, 255, 255], vec![0; 256]), 0);
}

#[test]
fn a_hundred_thousand_includes_are_an_error() {
    assert_eq!(resolved("Include a\n".repeat(100_000).as_bytes()).unwrap_err(), ConfigErrorKind::TooLarge);
    assert_eq!(resolved(b"Include *\nInclude *\nInclude *\n").unwrap_err(), ConfigErrorKind::TooLarge);
}

#[test]
fn a_hundred_thousand_lines_that_cannot_be_read_are_counted_and_not_kept() {
    let known = KnownHosts::parse("known_hosts", "web-1 ssh-ed25519 AAAA*\n".repeat(100_000).as_bytes());
    assert!(known.unwrap().problems().len() <= 100);
    let error = RevokedKeys::parse("revoked", "no key\n".repeat(100_000).as_bytes()).unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}

#[test]
fn a_length_of_four_gigabytes_is_no_reason_to_take_them() {
    let length = u32::MAX.to_be_bytes();
    for kind in ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519-cert-v01@openssh.com"] {
        let mut wire = u32::try_from(kind.len()).unwrap().to_be_bytes().to_vec();
        wire.extend(kind.as_bytes());
        wire.extend(length);
        assert!(PublicKey::from_wire(&wire).is_err() && HostCertificate::from_wire(&wire).is_err(), "{kind}");
    }
    let krl = [b"SSHKRL\n\0\0\0\0\x01".as_slice(), &[0; 32], &length].concat();
    assert!(RevokedKeys::parse("revoked", &krl).is_err());
    for lines in ["4294967295", "18446744073709551615", "99999999999999999999"] {
        let putty = format!(
            "PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nComment: \nPublic-Lines: {lines}\nAAAA\n\
             Private-Lines: {lines}\nAAAA\nPrivate-MAC: 00\n"
        );
        assert!(fuzzing::private_key(putty.as_bytes()) <= KeyFile::Locked, "{lines}");
    }
    // Records without anything in them: as many as there are, and more than that.
    for (count, read) in [(b"\x15\x4e", Some(0)), (b"\xff\xff", None)] {
        let head: [&[u8]; 3] =
            [b"\0\x07\x80\0\0\x01", count, b"\0\0\0\0\x05web-1\x07example\x03com\0\0\x2c\0\x01"];
        assert_eq!(fuzzing::dns_answer(&[head.concat(), vec![0; 60_000]].concat()), read);
    }
}

fn resolved(text: &[u8]) -> Result<(), ConfigErrorKind> {
    let home = "/home/alice";
    let source = MemorySource::new("alice", home)
        .file(format!("{home}/.ssh/config"), text)
        .file(format!("{home}/.ssh/a"), "User a\n");
    let files = ConfigFile::defaults(&source).unwrap();
    resolve(&Query::new("web"), &files, &source).map(|_| ()).map_err(|error| error.kind())
}
