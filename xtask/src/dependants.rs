//! Crates outside the workspace that depend on ours, as a user's would: `tests/dependants/`.
//!
//! A `[patch]` in our workspace does not reach them. With the same lines of their own they build without C; without
//! them they get our error, which names the lines; with the opt-out feature they get the real `ring`, and C.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::no_c;
use crate::outcome::{Failure, Outcome};
use crate::shell;

/// What the error without the patch lines has to name.
const LINES_TO_ADD: &str = "[patch.crates-io]";

/// Builds all three, and runs the two that build.
pub(crate) fn run() -> Result<Outcome, Failure> {
    shell::run(no_c::without_c_compiler(&mut cargo("run", "with-patch")?))?;
    println!("with-patch: builds and runs without a C compiler");

    // Both of the others compile the real ring: where no C compiler is, its own build script fails before ours can
    // say what to do, which the README shows.
    if !["cc", "gcc", "clang"].iter().any(|name| shell::find_program(name).is_some()) {
        return Outcome::skip_unless_ci(
            "with-patch holds; the other two need a C compiler, and there is none here",
        );
    }
    let mut without_patch = cargo("build", "without-patch")?;
    println!("$ {} (which has to fail)", shell::shown(&without_patch));
    let refused = shell::capture(&mut without_patch)?;
    check_refusal(refused.status.success(), &String::from_utf8_lossy(&refused.stderr))?;
    println!("without-patch: refused, and the error names the lines to add");

    shell::run(&mut cargo("run", "opt-out")?)?;
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

/// A cargo command on one of them, with the versions that the workspace was tested with.
fn cargo(verb: &str, dependant: &str) -> Result<Command, Failure> {
    let folder = shell::root().join("tests/dependants").join(dependant);
    let lock = folder.join("Cargo.lock");
    fs::copy(shell::root().join("Cargo.lock"), &lock)
        .map_err(|error| Failure::new(format!("cannot copy Cargo.lock to {}: {error}", lock.display())))?;
    let mut command = shell::cargo();
    let manifest: PathBuf = folder.join("Cargo.toml");
    command.args([verb, "--quiet", "--manifest-path"]).arg(manifest);
    no_c::quick(&mut command).env("CARGO_TERM_COLOR", "never").env("CARGO_TARGET_DIR", target_folder());
    Ok(command)
}

/// One folder for the three, so that what they share is built once: that of the build without C, which is built in the same
/// way, and emptied before it.
fn target_folder() -> PathBuf {
    no_c::target_folder()
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
