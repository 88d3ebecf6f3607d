//! The stand-in for `ring` checks itself on CPUs with fewer instructions than this one, under `qemu-x86_64`.
//!
//! Westmere has AES but no AVX; Haswell has AVX2 but no ADX. On both the fast back end would panic, so the chooser
//! must take the portable one, and what it computes must be right.

use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::{apt, shell};

const LESSER_CPUS: [&str; 2] = ["Westmere", "Haswell"];
/// What the self-test prints there.
const PORTABLE: &str = "backend: rustcrypto";

/// Builds the self-test and runs it on this CPU and on each of the lesser ones.
pub(crate) fn run() -> Result<Outcome, Failure> {
    shell::run(&mut self_test())?;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Outcome::skip_unless_ci("other CPUs are played by qemu-x86_64 on x86_64 Linux only");
    }
    if shell::find_program("qemu-x86_64").is_none() {
        apt::ensure(&["qemu-user"])?;
    }
    if shell::find_program("qemu-x86_64").is_none() {
        return Outcome::skip_unless_ci("no qemu-x86_64 here (Debian's package is qemu-user)");
    }
    for cpu in LESSER_CPUS {
        let runner = format!("qemu-x86_64 -cpu {cpu}");
        let printed =
            shell::capture_ok(self_test().env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner))?;
        println!("on {cpu}: {}", printed.trim_end().replace('\n', ", "));
        check_choice(cpu, &printed)?;
    }
    Ok(Outcome::Done)
}

fn self_test() -> Command {
    let mut cargo = shell::cargo();
    cargo.args(["run", "--quiet", "-p", "ring", "--example", "self_test"]);
    cargo
}

fn check_choice(cpu: &str, printed: &str) -> Result<(), Failure> {
    if printed.lines().any(|line| line == PORTABLE) {
        return Ok(());
    }
    Err(Failure::new(format!("on a {cpu} the self-test should print `{PORTABLE}`, it printed:\n{printed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_back_end_on_a_lesser_cpu_is_refused() {
        assert!(check_choice("Haswell", "backend: rustcrypto\nself-test: passed\n").is_ok());
        assert!(check_choice("Haswell", "backend: graviola\nself-test: passed\n").is_err());
    }
}
