//! asyncssh, the other server: an implementation that shares no code with OpenSSH, and has the ML-KEM hybrid.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Failure;
use crate::{apt, shell};

const REQUIREMENT: &str = "asyncssh==2.24.1";
/// Exits with 0 where asyncssh is there and can do what it is here for.
const CHECK: &str = "from asyncssh.crypto.pq import mlkem_available; raise SystemExit(not mlkem_available)";

/// A Python with asyncssh in an environment of its own, made on first use. None, with a word why, where that fails on
/// a person's machine.
pub(super) fn python(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    if can_serve(&python) {
        return Ok(Some(python));
    }
    apt::ensure(&["python3-venv"])?;
    let made = shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .and_then(|()| {
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT];
            shell::run(Command::new(&python).args(pip))
        })
        .and_then(|()| match can_serve(&python) {
            true => Ok(()),
            false => Err(Failure::new("asyncssh is installed, but without ML-KEM")),
        });
    match made {
        Ok(()) => Ok(Some(python)),
        Err(failure) if shell::on_ci() => Err(failure),
        Err(failure) => {
            println!("no asyncssh server: {failure}");
            Ok(None)
        }
    }
}

fn can_serve(python: &Path) -> bool {
    python.is_file() && shell::capture_ok(Command::new(python).args(["-c", CHECK])).is_ok()
}
