//! The stand-in for `ring` checks itself on CPUs with fewer instructions than this one, under `qemu-x86_64`.
//!
//! Westmere has AES but no AVX; Haswell has AVX2 but no ADX. On both the fast back end would panic, so the chooser
//! must take the portable one, and what it computes must be right.

use crate::apt;
use crate::outcome::{Failure, Outcome};
use crate::shell;

const CPUS: [&str; 2] = ["Westmere", "Haswell"];

/// Builds the self-test and runs it on this CPU and on each of the lesser ones.
pub(crate) fn run() -> Result<Outcome, Failure> {
    let self_test = ["run", "--quiet", "-p", "ring", "--example", "self_test"];
    shell::run(shell::cargo().args(self_test))?;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Outcome::skip_unless_ci("other CPUs are played by qemu-x86_64 on x86_64 Linux only");
    }
    if shell::find_program("qemu-x86_64").is_none() {
        apt::ensure(&["qemu-user"])?;
    }
    if shell::find_program("qemu-x86_64").is_none() {
        return Outcome::skip_unless_ci("no qemu-x86_64 here (Debian's package is qemu-user)");
    }
    for cpu in CPUS {
        let runner = format!("qemu-x86_64 -cpu {cpu}");
        shell::run(
            shell::cargo().args(self_test).env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner),
        )?;
    }
    Ok(Outcome::Done)
}
