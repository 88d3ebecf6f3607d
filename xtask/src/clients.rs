//! `cargo xtask clients`: the embedded server against OpenSSH's clients, asyncssh, paramiko and ssh2.
//!
//! This installs the clients and hands the suite (`tests/`, the test binary `clients`), and the examples of
//! `docs/test-server.md`, what they need through the environment.
//!
//! | variable | what it holds |
//! |---|---|
//! | `RUSTLE_CLIENTS` | `1`: OpenSSH's clients are there, a test that needs them may not skip itself |
//! | `RUSTLE_CLIENTS_PYTHON` | a Python that has asyncssh, paramiko and pytest |
//! | `RUSTLE_CLIENTS_NODE_MODULES` | a folder in which `node` finds ssh2 |
//!
//! The last two are left out, with a word why, where this machine lacks what they need; on CI that is a failure.

use crate::outcome::{Failure, Outcome};
use crate::{apt, libraries, shell, test};

/// OpenSSH's clients and tools for keys.
const PROGRAMS: [&str; 7] = ["ssh", "sftp", "scp", "ssh-keyscan", "ssh-keygen", "ssh-agent", "ssh-add"];
/// The suite, and the examples of docs/test-server.md, which drive the server as a process. The whole workspace is named,
/// since its tests are built already where they were run.
const SUITES: [&[&str]; 2] =
    [&["--workspace", "--test", "clients"], &["--workspace", "--test", "it", "test_server::examples"]];

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
    let python = libraries::python()?;
    let modules = libraries::node_modules()?;
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
