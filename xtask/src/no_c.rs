//! Everything builds where no C compiler works, from clean.
//!
//! The target folder is one of our own, so that nothing built before with a C compiler can hide a need for one.
//! rustc still calls the system's linker, which it finds by its own name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::shell;

/// `CC=/bin/false cargo build --workspace`, from an empty target folder.
pub(crate) fn run() -> Result<Outcome, Failure> {
    let folder = target_folder();
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .map_err(|error| Failure::new(format!("cannot empty {}: {error}", folder.display())))?;
    }
    let mut cargo = shell::cargo();
    cargo.args(["build", "--workspace", "--locked"]).env("CARGO_TARGET_DIR", folder);
    shell::run(without_c_compiler(quick(&mut cargo)))?;
    Ok(Outcome::Done)
}

/// Where it is built, without what any other build has left there.
pub(crate) fn target_folder() -> PathBuf {
    shell::root().join("target/no-c")
}

/// Sets up a cargo command so that every C tool a build script may look for fails when it is called.
pub(crate) fn without_c_compiler(command: &mut Command) -> &mut Command {
    let failing = shell::find_program("false").unwrap_or_else(|| PathBuf::from("/bin/false"));
    for tool in ["CC", "CXX", "AR", "CMAKE", "HOST_CC", "HOST_CXX", "TARGET_CC", "TARGET_CXX"] {
        command.env(tool, &failing);
    }
    // A variable for one target goes before the general one; a person's own must not undo the check.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CC_", "CXX_", "AR_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Nothing of these builds is run for its speed or stepped through: optimising them would be time lost.
pub(crate) fn quick(command: &mut Command) -> &mut Command {
    command.args(["--config", "profile.dev.package.'*'.opt-level=0", "--config", "profile.dev.debug=false"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_c_tool_of_such_a_build_fails() {
        let mut command = Command::new("cargo");
        without_c_compiler(&mut command);
        let set: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?))).collect();
        for tool in ["CC", "CXX", "AR", "HOST_CC", "TARGET_CC"] {
            let value = set.iter().find(|(name, _)| *name == tool).unwrap().1;
            assert!(!Command::new(value).status().unwrap().success(), "{tool}");
        }
    }
}
