//! Generated `known_hosts` files, against `ssh-keygen -F`: which lines are about a host, with which marker and which
//! key.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use rustle_tests::Scratch;
use rustle_trust::{HostName, KnownHosts, Marker};
use sha1::Sha1;

use crate::random::{self, Random};
use crate::scale::Scale;

/// How many files are generated when all are.
const FILES: usize = 2_000;
/// The names that are looked up in each.
const LOOKUPS: usize = 2;
/// How many files are put to `ssh-keygen` by one process.
const BATCH: usize = 250;

/// A name, and the port that is meant.
const NAMES: [(&str, u16); 12] = [
    ("web-1", 22),
    ("web-1", 2222),
    ("web-1.example.com", 22),
    ("Web-2.Example.com", 22),
    ("10.0.0.7", 22),
    ("10.0.0.7", 2200),
    ("::1", 22),
    ("2001:db8::1", 2222),
    ("fe80::1%eth0", 22),
    ("a", 22),
    ("db", 2222),
    ("host-with-a-long-name.in.a.domain.example.com", 22),
];

const PATTERNS: [&str; 34] = [
    "*",
    "**",
    "?",
    "???",
    "web-?",
    "web*",
    "WEB-1",
    "*.example.com",
    "*.EXAMPLE.com",
    "!web-1",
    "!*",
    "!!web-1",
    "[web-1]:22",
    "[web-1]:2222",
    "[web-1]:*",
    "[*]:2222",
    "[web-1]",
    "*]:2222",
    "[*",
    "10.0.0.*",
    "10.0.0.0/24",
    "[::1]",
    "*:*",
    "2001:db8::*",
    "[2001:db8::1]:2222",
    "fe80::1%*",
    "[10.0.0.7]:2200",
    "",
    "|",
    "|1",
    "web-1 ",
    "#web-1",
    "@web-1",
    "\\*",
];

const MARKERS: [&str; 9] =
    ["", "", "", "", "@revoked ", "@cert-authority ", "@cert-authority\t", "@Revoked ", "@unknown "];

const KEYS: [&str; 6] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGsX0fLhLEJH+Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT+NC4v4af5uO5+tKfA+eFivOM1drMV7Oy7ZAaDe/UfU=",
    "ssh-ed25519 damaged",
    "ssh-nonsense AAAA",
    "1024 35 123456789",
];

#[test]
fn generated_files_name_the_hosts_that_ssh_keygen_finds() {
    let what = "generated known_hosts files";
    if Command::new("ssh-keygen").arg("-?").stdin(Stdio::null()).output().is_err() {
        return Scale::now().skip(what, "no ssh-keygen");
    }
    let (seed, count) = (random::seed(), Scale::now().of(FILES));
    println!("RUSTLE_TEST_SEED={seed}");
    let mut found = 0;
    for first in (0..count).step_by(BATCH) {
        let scratch = Scratch::new();
        let made: Vec<(Vec<u8>, Vec<_>)> = (first..count.min(first + BATCH))
            .map(|number| {
                let mut random = Random::stream(seed, number);
                (file(&mut random), (0..LOOKUPS).map(|_| *random.pick(&NAMES)).collect())
            })
            .collect();
        let asked: Vec<(usize, &str, u16)> = made
            .iter()
            .enumerate()
            .flat_map(|(index, (_, names))| names.iter().map(move |(name, port)| (index, *name, *port)))
            .collect();
        for (index, (text, _)) in made.iter().enumerate() {
            scratch.write(index.to_string(), text);
        }
        let theirs = keygen(&scratch, &asked);
        for ((index, name, port), theirs) in asked.into_iter().zip(theirs) {
            let text = &made[index].0;
            let ours = ours(&without_tabbed(text), name, port);
            assert_eq!(
                ours,
                theirs,
                "here, and by ssh-keygen, {name} at {port} (RUSTLE_TEST_SEED={seed}, file {})\n{}",
                first + index,
                crate::written::shown(text)
            );
            found += ours.len();
        }
    }
    println!("{count} files, {LOOKUPS} names each: {found} lines found");
    assert!(found > count, "the files must name their hosts");
}

/// A tab ends a marker here as a blank does. OpenSSH looks for a blank first, finds one further on, and takes all before
/// it for a marker that it does not know.
#[test]
fn a_marker_may_end_in_a_tab() {
    let text = format!("@revoked\tweb-1 {}\n", KEYS[0]);
    assert_eq!(ours(text.as_bytes(), "web-1", 22).len(), 1);
    if Command::new("ssh-keygen").arg("-?").stdin(Stdio::null()).output().is_err() {
        return Scale::now().skip("what ssh-keygen makes of it", "no ssh-keygen");
    }
    let scratch = Scratch::new();
    scratch.write("0", &text);
    let theirs = keygen(&scratch, &[(0, "web-1", 22)]);
    assert_eq!(theirs, [Vec::<String>::new()], "ssh-keygen takes it too: the line in docs/testing.md can go");
}

/// Without the lines whose markers end in a tab.
fn without_tabbed(text: &[u8]) -> Vec<u8> {
    let tabbed = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        line.first() == Some(&b'@') && end.is_some_and(|end| line[end] == b'\t')
    };
    let lines = text.split(|byte| *byte == b'\n').map(|line| if tabbed(line) { &b"#"[..] } else { line });
    lines.collect::<Vec<_>>().join(&b'\n')
}

/// The lines of a file about a host: number, marker, and the fingerprint of a key that can be read.
fn ours(text: &[u8], name: &str, port: u16) -> Vec<String> {
    let known = KnownHosts::parse("known_hosts", text).unwrap();
    let shown = known.entries(&HostName::new(name).unwrap(), port).into_iter().map(|entry| {
        let marker = match entry.marker() {
            Marker::CertAuthority => "CA",
            Marker::Revoked => "REVOKED",
            _ => "",
        };
        format!("{} {marker} {}", entry.place().line(), entry.key().fingerprint_sha256())
    });
    shown.collect()
}

/// What `ssh-keygen -F` says, of the lines with keys that it can read: those that it shows with `-l` too.
fn keygen(scratch: &Scratch, asked: &[(usize, &str, u16)]) -> Vec<Vec<String>> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let mut scripts = vec![String::new(); workers];
    for (number, (file, name, port)) in asked.iter().enumerate() {
        let name =
            if *port == 22 { (*name).to_lowercase() } else { format!("[{name}]:{port}").to_lowercase() };
        for (end, flag) in [("plain", ""), ("keys", "-l")] {
            scripts[number % workers].push_str(&format!(
                "ssh-keygen -F '{name}' {flag} -f '{folder}/{file}' >'{folder}/{number}.{end}' 2>/dev/null\n",
                folder = scratch.path().display()
            ));
        }
    }
    // It exits with 1 where it finds nothing.
    let running: Vec<_> = scripts
        .iter()
        .enumerate()
        .map(|(worker, script)| {
            let script = scratch.write(format!("{worker}.sh"), script);
            Command::new("sh").arg(script).stdin(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut worker in running {
        worker.wait().unwrap();
    }
    (0..asked.len()).map(|number| lines_found(scratch.path(), number)).collect()
}

/// A comment with the number and the marker of each line goes before it; with `-l`, the line has the fingerprint.
fn lines_found(folder: &Path, number: usize) -> Vec<String> {
    let part = |end: &str| {
        String::from_utf8_lossy(&fs::read(folder.join(format!("{number}.{end}"))).unwrap()).into_owned()
    };
    let announced: Vec<String> = part("plain").lines().filter_map(announcement).collect();
    let keys = part("keys");
    let mut shown = Vec::new();
    let mut at = String::new();
    for line in keys.lines() {
        if let Some(place) = announcement(line) {
            at = place;
        } else if let Some(print) = line.split_whitespace().find(|word| word.starts_with("SHA256:")) {
            shown.push(format!("{at} {print}"));
        }
    }
    for line in &shown {
        let place = line.rsplit_once(' ').unwrap().0;
        assert!(announced.iter().any(|known| known == place), "-l finds what plain -F does not: {line}");
    }
    shown
}

/// `# Host NAME found: line 3 CA` as `3 CA`.
fn announcement(line: &str) -> Option<String> {
    let (_, place) = line.strip_prefix("# Host ")?.rsplit_once(" found: line ")?;
    let (number, marker) = place.split_once(' ').unwrap_or((place, ""));
    Some(format!("{number} {}", marker.trim()))
}

/// A file of up to a dozen lines, some of them broken.
fn file(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    let count = 1 + random.below(12);
    for index in 0..count {
        let line = line(random);
        text.extend_from_slice(line.as_bytes());
        let ends: &[&str] =
            if index + 1 == count { &["\n", "\n", ""] } else { &["\n", "\n", "\n", "\n", "\r\n", "\n\n"] };
        text.extend_from_slice(random.pick(ends).as_bytes());
    }
    text
}

fn line(random: &mut Random) -> String {
    match random.below(20) {
        0 => {
            return (*random.pick(&[
                "",
                "# web-1 a comment",
                "   ",
                "\t",
                "web-1",
                "@revoked",
                "@revoked web-1",
                "web-1 ssh-ed25519",
            ]))
            .to_owned();
        }
        1 => return format!(" {} {}", hosts(random), random.pick(&KEYS)),
        _ => {}
    }
    let marker = *random.pick(&MARKERS);
    let between = *random.pick(&[" ", " ", "\t", "  "]);
    let comment = *random.pick(&["", "", " a comment", " # x", "\t", "  me@here"]);
    let key = if random.percent(85) { *random.pick(&KEYS[..3]) } else { *random.pick(&KEYS) };
    format!("{marker}{}{between}{key}{comment}", hosts(random))
}

fn hosts(random: &mut Random) -> String {
    if random.percent(25) {
        return hashed(random);
    }
    let count = 1 + random.below(3);
    let names: Vec<String> = (0..count).map(|_| pattern(random)).collect();
    names.join(",")
}

fn pattern(random: &mut Random) -> String {
    if random.percent(40) {
        return (*random.pick(&PATTERNS)).to_owned();
    }
    let (name, port) = *random.pick(&NAMES);
    let negated = if random.percent(15) { "!" } else { "" };
    if port == 22 { format!("{negated}{name}") } else { format!("{negated}[{name}]:{port}") }
}

/// A name as `HashKnownHosts` writes it, now and then a damaged one.
fn hashed(random: &mut Random) -> String {
    use base64ct::{Base64, Encoding};

    let (name, port) = *random.pick(&NAMES);
    let name = if port == 22 { name.to_lowercase() } else { format!("[{}]:{port}", name.to_lowercase()) };
    let salt: Vec<u8> = (0..20).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let mut hash = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    hash.update(name.as_bytes());
    let written = format!(
        "|1|{}|{}",
        Base64::encode_string(&salt),
        Base64::encode_string(&hash.finalize().into_bytes())
    );
    match random.below(12) {
        0 => written[..written.len() - 3].to_owned(),
        1 => written.replacen("|1|", "|2|", 1),
        2 => format!("{written},web-1"),
        _ => written,
    }
}
