//! `cargo xtask fuzz`: the readers of the user's files, of DNS messages and of what an SFTP server says, given anything.
//!
//! `fuzz/` is a workspace of its own. Its tests run each target over seeds and mutations of them with nothing but Rust.
//! Where cargo-fuzz and a nightly toolchain are, libFuzzer then takes each target for a while, with the memory limited.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::{shell, test};

/// The targets, each with folders of seeds.
const TARGETS: [(&str, &[&str]); 7] = [
    ("ssh_config", &["tests/config/corpus", "tests/config/newer"]),
    ("known_hosts", &["crates/trust/tests/data"]),
    ("host_certificate", &["crates/trust/tests/data"]),
    ("revoked_keys", &["fuzz/seeds/revoked_keys", "crates/trust/tests/data"]),
    ("private_key", &["fuzz/seeds/private_key"]),
    ("dns_answer", &["fuzz/seeds/dns_answer"]),
    ("sftp_client", &["fuzz/seeds/sftp_client"]),
];
/// What a smoke run takes for each.
const SECONDS: u32 = 20;
/// What a target may hold: the sanitizer takes some of it for itself.
const MEGABYTES: u32 = 1024;

/// Runs the tests, and then the fuzzer where there is one.
pub(crate) fn run() -> Result<Outcome, Failure> {
    let folder = shell::root().join("fuzz");
    let mut tests = shell::cargo();
    tests.args(["test", "--locked", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    // What it has in common with the product is built there already.
    if env::var_os("CARGO_TARGET_DIR").is_none() {
        tests.env("CARGO_TARGET_DIR", shell::root().join("target"));
    }
    if test::passed(&mut tests)? == 0 {
        return Err(Failure::new("there is no test in fuzz/"));
    }
    if let Some(missing) = what_is_missing() {
        // On CI too: the same targets have run over the seeds and their mutations.
        return Ok(Outcome::Skipped(format!("the tests have run, libFuzzer has not: {missing}")));
    }
    for (target, seeds) in TARGETS {
        let found = shell::root().join("target/fuzz").join(target);
        std::fs::create_dir_all(&found)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", found.display())))?;
        let mut fuzz = Command::new("cargo");
        fuzz.current_dir(shell::root()).args(["+nightly", "fuzz", "run", "--features", "libfuzzer", target]);
        fuzz.arg(&found)
            .args(seeds.iter().map(|folder| shell::root().join(folder)).collect::<Vec<PathBuf>>());
        fuzz.arg("--").args([
            format!("-max_total_time={SECONDS}"),
            format!("-rss_limit_mb={MEGABYTES}"),
            "-timeout=10".to_owned(),
        ]);
        shell::run(&mut fuzz)?;
    }
    Ok(Outcome::Done)
}

fn what_is_missing() -> Option<&'static str> {
    if shell::find_program("cargo-fuzz").is_none() {
        return Some("no cargo-fuzz (`cargo install cargo-fuzz`)");
    }
    if !["c++", "g++", "clang++"].iter().any(|name| shell::find_program(name).is_some()) {
        return Some("no C++ compiler, which libFuzzer needs");
    }
    let nightly = shell::capture(Command::new("cargo").args(["+nightly", "--version"]));
    (!nightly.is_ok_and(|out| out.status.success()))
        .then_some("no nightly toolchain (`rustup toolchain install nightly`)")
}
