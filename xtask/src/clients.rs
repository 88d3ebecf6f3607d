//! `cargo xtask clients`: the embedded server against OpenSSH's clients, asyncssh, paramiko and ssh2.
//!
//! This installs the clients under `target/clients` and hands the suite (`tests/`, the test binary `clients`), and the
//! examples of `docs/test-server.md`, what they need through the environment.
//!
//! | variable | what it holds |
//! |---|---|
//! | `RUSTLE_CLIENTS` | `1`: OpenSSH's clients are there, a test that needs them may not skip itself |
//! | `RUSTLE_CLIENTS_PYTHON` | a Python that has asyncssh, paramiko and pytest |
//! | `RUSTLE_CLIENTS_NODE_MODULES` | a folder in which `node` finds ssh2 |
//!
//! The last two are left out, with a word why, where this machine lacks what they need; on CI that is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::{apt, shell, test, venv};

/// OpenSSH's clients and tools for keys.
const PROGRAMS: [&str; 7] = ["ssh", "sftp", "scp", "ssh-keyscan", "ssh-keygen", "ssh-agent", "ssh-add"];
/// The libraries, and what one of the examples of `docs/test-server.md` is a test for.
const PYTHON_PACKAGES: [&str; 3] = ["asyncssh==2.24.1", "paramiko==5.1.0", "pytest==9.2.0"];
/// Exits with 0 where all are of these versions.
const PYTHON_CHECK: &str = "import asyncssh, paramiko, pytest; \
    found = [package.__version__ for package in (asyncssh, paramiko, pytest)]; \
    raise SystemExit(found != ['2.24.1', '5.1.0', '9.2.0'])";
/// The suite, and the examples of docs/test-server.md, which drive the server as a process. For these the whole workspace
/// is named, since its tests are built already where they were run.
const SUITES: [&[&str]; 2] =
    [&["-p", "rustle-tests", "--test", "clients"], &["--workspace", "--test", "it", "test_server::examples"]];
const SSH2: &str = "ssh2@1.17.0";
/// What ssh2 asks for; it has a compiled part, which is left out.
const OLDEST_NODE: u32 = 18;

/// Prepares the clients and runs the suite.
pub(crate) fn run() -> Result<Outcome, Failure> {
    if !cfg!(target_os = "linux") {
        return Outcome::skip_unless_ci("the suite of clients runs on Linux only");
    }
    if PROGRAMS.iter().chain(&["curl"]).any(|program| shell::find_program(program).is_none()) {
        apt::ensure(&["openssh-client", "curl"])?;
    }
    if let Some(missing) = PROGRAMS.iter().find(|program| shell::find_program(program).is_none()) {
        return Outcome::skip_unless_ci(format!("no `{missing}` on this machine"));
    }
    let folder = shell::root().join("target/clients");
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    let python = venv::python(&folder.join("venv"), &PYTHON_PACKAGES, PYTHON_CHECK)?;
    let modules = node_modules(&folder)?;
    for suite in SUITES {
        let mut tests = shell::cargo();
        tests.arg("test").args(suite).env("RUSTLE_CLIENTS", "1");
        tests.envs(python.as_ref().map(|python| ("RUSTLE_CLIENTS_PYTHON", python)));
        tests.envs(modules.as_ref().map(|modules| ("RUSTLE_CLIENTS_NODE_MODULES", modules)));
        if test::passed(&mut tests)? == 0 {
            return Err(Failure::new(format!("there is no test in `cargo test {}`", suite.join(" "))));
        }
    }
    Ok(Outcome::Done)
}

/// A folder with ssh2 in it, made on first use.
fn node_modules(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    match install_ssh2(&folder.join("node")) {
        Ok(modules) => Ok(Some(modules)),
        Err(failure) if shell::on_ci() => Err(failure),
        Err(failure) => {
            println!("no ssh2 for Node.js: {failure}");
            Ok(None)
        }
    }
}

fn install_ssh2(folder: &Path) -> Result<PathBuf, Failure> {
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
        fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
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
