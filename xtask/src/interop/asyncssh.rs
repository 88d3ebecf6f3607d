//! asyncssh, the other server: an implementation that shares no code with OpenSSH, and has the ML-KEM hybrid.

use std::path::{Path, PathBuf};

use crate::outcome::Failure;
use crate::venv;

const REQUIREMENT: &str = "asyncssh==2.24.1";
/// Exits with 0 where asyncssh is there and can do what it is here for.
const CHECK: &str = "from asyncssh.crypto.pq import mlkem_available; raise SystemExit(not mlkem_available)";

/// A Python with asyncssh in an environment of its own, made on first use. None, with a word why, where that fails on
/// a person's machine.
pub(super) fn python(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    venv::python(&folder.join("venv"), &[REQUIREMENT], CHECK)
}
