//! SSH libraries of other languages, the other side in the suites `clients` and `interop`: of pinned versions, installed
//! under `target/libraries` on first use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Failure;
use crate::{apt, shell};

/// The libraries, and what one of the examples of `docs/test-server.md` is a test for.
const PYTHON_PACKAGES: [&str; 3] = ["asyncssh==2.24.1", "paramiko==5.1.0", "pytest==9.2.0"];
/// Exits with 0 where all are of these versions, and asyncssh has the ML-KEM hybrid, which OpenSSH 9.2 has not.
const PYTHON_CHECK: &str = "import asyncssh, paramiko, pytest; \
    from asyncssh.crypto.pq import mlkem_available; \
    found = [package.__version__ for package in (asyncssh, paramiko, pytest)]; \
    raise SystemExit(found != ['2.24.1', '5.1.0', '9.2.0'] or not mlkem_available)";
const SSH2: &str = "ssh2@1.17.0";
/// What ssh2 asks for; it has a compiled part, which is left out.
const OLDEST_NODE: u32 = 18;

/// A Python that has asyncssh, paramiko and pytest, in an environment of its own. None, with a word why, where that
/// fails on a person's machine.
pub(crate) fn python() -> Result<Option<PathBuf>, Failure> {
    or_without("Python with asyncssh and paramiko", environment(&folder()?.join("venv")))
}

/// A folder in which `node` finds ssh2. None, with a word why, where that fails on a person's machine.
pub(crate) fn node_modules() -> Result<Option<PathBuf>, Failure> {
    or_without("ssh2 for Node.js", ssh2(&folder()?.join("node")))
}

fn or_without(what: &str, made: Result<PathBuf, Failure>) -> Result<Option<PathBuf>, Failure> {
    match made {
        Ok(path) => Ok(Some(path)),
        Err(failure) if shell::on_ci() => Err(failure),
        Err(failure) => {
            println!("no {what}: {failure}");
            Ok(None)
        }
    }
}

fn folder() -> Result<PathBuf, Failure> {
    let folder = shell::root().join("target/libraries");
    make(&folder)?;
    Ok(folder)
}

fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))
}

fn environment(folder: &Path) -> Result<PathBuf, Failure> {
    let python = folder.join("bin/python");
    if passes(&python) {
        return Ok(python);
    }
    apt::ensure(&["python3-venv"])?;
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    shell::run(Command::new(&python).args(pip).args(PYTHON_PACKAGES))?;
    match passes(&python) {
        true => Ok(python),
        false => {
            let packages = PYTHON_PACKAGES.join(" ");
            Err(Failure::new(format!("{packages}: installed, but it cannot do what it is here for")))
        }
    }
}

fn passes(python: &Path) -> bool {
    python.is_file() && shell::capture_ok(Command::new(python).args(["-c", PYTHON_CHECK])).is_ok()
}

fn ssh2(folder: &Path) -> Result<PathBuf, Failure> {
    if ["node", "npm"].iter().any(|program| shell::find_program(program).is_none()) {
        apt::ensure(&["nodejs", "npm"])?;
    }
    let version = shell::capture_ok(Command::new("node").arg("--version"))?;
    if major(&version).is_none_or(|major| major < OLDEST_NODE) {
        return Err(Failure::new(format!("node says {}, {OLDEST_NODE} is needed", version.trim())));
    }
    let modules = folder.join("node_modules");
    let manifest = modules.join("ssh2/package.json");
    if !fs::read_to_string(&manifest).is_ok_and(|text| is_version(&text, SSH2)) {
        make(folder)?;
        // Without a manifest of its own, npm would take a folder above this one for its project.
        fs::write(folder.join("package.json"), "{ \"private\": true }\n")
            .map_err(|error| Failure::new(format!("cannot write in {}: {error}", folder.display())))?;
        let flags =
            ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--silent", "--no-save"];
        shell::run(Command::new("npm").arg("install").args(flags).arg(SSH2).current_dir(folder))?;
    }
    Ok(modules)
}

/// The `20` of `v20.1.0`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Whether a package's manifest is that of `name@version`.
fn is_version(manifest: &str, wanted: &str) -> bool {
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let version = manifest.get("version").and_then(serde_json::Value::as_str);
    wanted.split_once('@').is_some_and(|(_, wanted)| version == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_tells_its_version() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("node: not found"), None);
    }

    #[test]
    fn another_version_is_installed_anew() {
        assert!(is_version("{\"name\": \"ssh2\", \"version\": \"1.17.0\"}", SSH2));
        assert!(!is_version("{\"version\": \"1.16.0\"}", SSH2));
        assert!(!is_version("{", SSH2));
    }
}
