//! Python environments of our own, with packages of pinned versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Failure;
use crate::{apt, shell};

/// A Python in an environment of its own in this folder, made on first use, with these packages. `check` is a program
/// that exits with 0 where they are there and can do what they are here for. None, with a word why, where that fails
/// on a person's machine.
pub(crate) fn python(environment: &Path, packages: &[&str], check: &str) -> Result<Option<PathBuf>, Failure> {
    let python = environment.join("bin/python");
    if passes(&python, check) {
        return Ok(Some(python));
    }
    apt::ensure(&["python3-venv"])?;
    let made = shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))
        .and_then(|()| {
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            shell::run(Command::new(&python).args(pip).args(packages))
        })
        .and_then(|()| match passes(&python, check) {
            true => Ok(()),
            false => {
                let packages = packages.join(" ");
                Err(Failure::new(format!("{packages}: installed, but it cannot do what it is here for")))
            }
        });
    match made {
        Ok(()) => Ok(Some(python)),
        Err(failure) if shell::on_ci() => Err(failure),
        Err(failure) => {
            println!("no Python with {}: {failure}", packages.join(" "));
            Ok(None)
        }
    }
}

fn passes(python: &Path, check: &str) -> bool {
    python.is_file() && shell::capture_ok(Command::new(python).args(["-c", check])).is_ok()
}
