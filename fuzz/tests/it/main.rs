//! The targets without a fuzzer: over every seed, over mutations of them, and over files made to be too much.

mod too_much;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustle_session::fuzzing::{self, KeyFile};

/// How long each target's seeds are mutated.
const TIME: Duration = Duration::from_secs(5);

fn folder(path: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Each case of the corpus by itself, with what it includes.
fn configurations() -> Vec<Vec<u8>> {
    let files = folder("../tests/config/corpus").into_iter().chain(folder("../tests/config/newer"));
    let cases = files.flat_map(|file| {
        let text = String::from_utf8(file).unwrap().replace("⟨DIR⟩", "~/.ssh").replace("⟨CR⟩", "\r");
        text.split("\n#= ").map(|case| case.as_bytes().to_vec()).collect::<Vec<_>>()
    });
    cases.collect()
}

fn run(target: fn(&[u8]), seeds: &[Vec<u8>]) {
    for seed in seeds {
        target(seed);
    }
    let number = std::env::var("RUSTLE_TEST_SEED").ok().map_or(0x0bad_5eed, |seed| seed.parse().unwrap());
    println!("RUSTLE_TEST_SEED={number}");
    let mut random = Random(number);
    let (started, mut count) = (Instant::now(), 0_u64);
    while started.elapsed() < TIME {
        let data = random.mutated(seeds);
        if std::panic::catch_unwind(|| target(&data)).is_err() {
            panic!("panicked on b\"{}\"", data.escape_ascii());
        }
        count += 1;
    }
    println!("{} seeds, {count} mutations of them", seeds.len());
}

#[test]
fn ssh_config_over_seeds_and_mutations() {
    run(rustle_fuzz::ssh_config, &configurations());
}

#[test]
fn known_hosts_over_seeds_and_mutations() {
    let keys = folder("../crates/trust/tests/data");
    let hosts: [&[u8]; 5] =
        [b"web-1 ", b"@revoked *,!db ", b"@cert-authority [web-1]:2222 ", b"|1|AAAA|BBBB ", b"10.0.0.?,::1 "];
    let lines: Vec<Vec<u8>> = keys.iter().flat_map(|key| hosts.map(|host| [host, key].concat())).collect();
    let whole = lines.concat();
    run(rustle_fuzz::known_hosts, &[lines, vec![whole]].concat());
}

#[test]
fn host_certificates_over_seeds_and_mutations() {
    let lines = folder("../crates/trust/tests/data");
    let wires: Vec<Vec<u8>> =
        lines.iter().filter_map(|line| decoded(line.split(|byte| *byte == b' ').nth(1)?)).collect();
    assert_eq!(wires.len(), lines.len(), "a seed is no base64");
    run(rustle_fuzz::host_certificate, &wires);
}

#[test]
fn revoked_keys_over_seeds_and_mutations() {
    let seeds = [folder("seeds/revoked_keys"), folder("../crates/trust/tests/data")].concat();
    run(rustle_fuzz::revoked_keys, &seeds);
}

#[test]
fn private_keys_over_seeds_and_mutations() {
    let seeds = folder("seeds/private_key");
    for seed in &seeds {
        assert_eq!(fuzzing::private_key(seed), KeyFile::Signed, "{}", String::from_utf8_lossy(seed));
    }
    run(rustle_fuzz::private_key, &seeds);
}

#[test]
fn dns_answers_over_seeds_and_mutations() {
    let seeds = folder("seeds/dns_answer");
    let most = seeds.iter().filter_map(|seed| fuzzing::dns_answer(seed)).max();
    assert_eq!(most, Some(2), "the seeds are answers to the question");
    run(rustle_fuzz::dns_answer, &seeds);
}

#[test]
fn sftp_clients_over_seeds_and_mutations() {
    let seeds = folder("seeds/sftp_client");
    let answered: Vec<usize> = seeds.iter().map(|seed| rustle_fuzz::sftp_answers(seed)).collect();
    let all = rustle_fuzz::sftp_requests();
    assert!(answered.iter().filter(|count| **count == all).count() >= 4, "{answered:?} of {all}");
    assert!(answered.iter().filter(|count| **count == 0).count() >= 4, "{answered:?} of {all}");
    run(rustle_fuzz::sftp_client, &seeds);
}

fn decoded(base64: &[u8]) -> Option<Vec<u8>> {
    let value = |byte: u8| -> Option<u32> {
        Some(match byte {
            b'A'..=b'Z' => u32::from(byte - b'A'),
            b'a'..=b'z' => u32::from(byte - b'a') + 26,
            b'0'..=b'9' => u32::from(byte - b'0') + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in base64.iter().take_while(|byte| !matches!(byte, b'=' | b'\n')) {
        bits = (bits << 6) | value(*byte)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    Some(out)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % end.max(1)
    }

    /// A seed with a few bytes changed, left out, doubled, or taken from another seed.
    fn mutated(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const ODD: [u8; 16] = *b"\0\xff\n\r\"'\\%$~#=*? \x7f";
        let mut data = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(data.len() + 1).min(data.len());
            let length = self.below(16).min(data.len() - at);
            match self.below(6) {
                0 if at < data.len() => data[at] ^= 1 << self.below(8),
                1 if at < data.len() => data[at] = ODD[self.below(ODD.len())],
                2 => data.insert(at, ODD[self.below(ODD.len())]),
                3 => drop(data.drain(at..at + length)),
                4 => {
                    let piece = data[at..at + length].to_vec();
                    data.splice(at..at, piece.repeat(1 + self.below(8)));
                }
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    let piece = other[from..(from + self.below(64)).min(other.len())].to_vec();
                    data.splice(at..at, piece);
                }
            }
        }
        data
    }
}
