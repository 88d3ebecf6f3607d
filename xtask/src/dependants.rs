//! Crates outside the workspace that depend on ours, as a user's would: `tests/dependants/`.
//!
//! A `[patch]` in our workspace does not reach them. With the same lines of their own they build without C; without
//! them they get our error, which names the lines; with the opt-out feature they get the real `ring`, and C.

use std::path::PathBuf;
use std::process::Command;

use crate::no_c;
use crate::outcome::{Failure, Outcome};
use crate::shell;

/// What the error without the patch lines has to name.
const LINES_TO_ADD: &str = "[patch.crates-io]";

/// Builds all three.
pub(crate) fn run() -> Result<Outcome, Failure> {
    shell::run(no_c::without_c_compiler(cargo("build", "with-patch")?.arg("--quiet")))?;
    println!("with-patch: builds without a C compiler");

    let refused = shell::capture(no_c::without_c_compiler(&mut cargo("build", "without-patch")?))?;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    check_refusal(refused.status.success(), &stderr)?;
    println!("without-patch: refused, and the error names the lines to add");

    if !["cc", "gcc", "clang"].iter().any(|name| shell::find_program(name).is_some()) {
        let why = "opt-out builds the real ring, and this machine has no C compiler (the other two dependants held)";
        return Outcome::skip_unless_ci(why);
    }
    shell::run(no_c::quick(&mut cargo("run", "opt-out")?).env("CARGO_TARGET_DIR", no_c::target_folder()))?;
    println!("opt-out: builds and runs with a C compiler and the real ring");
    Ok(Outcome::Done)
}

fn check_refusal(built: bool, stderr: &str) -> Result<(), Failure> {
    if built {
        return Err(Failure::new("without-patch built: a user would get C without a word"));
    }
    if !stderr.contains(LINES_TO_ADD) {
        return Err(Failure::new(format!(
            "without-patch failed, but its error does not name `{LINES_TO_ADD}`:\n{stderr}"
        )));
    }
    Ok(())
}

fn cargo(verb: &str, dependant: &str) -> Result<Command, Failure> {
    let manifest = manifest(dependant);
    if !manifest.is_file() {
        return Err(Failure::new(format!("{} is missing", manifest.display())));
    }
    let mut command = shell::cargo();
    command.arg(verb).arg("--manifest-path").arg(manifest).env("CARGO_TERM_COLOR", "never");
    Ok(command)
}

fn manifest(dependant: &str) -> PathBuf {
    shell::root().join("tests/dependants").join(dependant).join("Cargo.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependant_without_the_lines_must_fail_with_our_words() {
        assert!(check_refusal(true, "").is_err());
        assert!(check_refusal(false, "error occurred: ToolExecError").is_err());
        assert!(check_refusal(false, "add to Cargo.toml:\n[patch.crates-io]\nring = …").is_ok());
    }
}
