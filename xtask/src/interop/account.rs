//! The ordinary account that the suite logs in as: made for one run, gone after it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::interop::random_hex;
use crate::outcome::Failure;
use crate::shell;

/// The account's name.
pub(super) const NAME: &str = "rustle-interop";
/// In the account's comment field: an account of this name without it is somebody's own, and is let be.
const MARK: &str = "made by cargo xtask interop";

/// An account that is removed when this is dropped, with its home and whatever still runs under it.
pub(super) struct Account {
    password: String,
}

impl Account {
    /// Adds the account; one that an interrupted run left behind is replaced.
    pub(super) fn create() -> Result<Self, Failure> {
        if let Ok(entry) = shell::capture_ok(Command::new("getent").args(["passwd", NAME])) {
            if entry.split(':').nth(4) != Some(MARK) {
                return Err(Failure::new(format!(
                    "there is an account `{NAME}` that is not ours: remove or rename it"
                )));
            }
            remove();
        }
        let useradd = ["--create-home", "--shell", "/bin/sh", "--comment", MARK, NAME];
        shell::capture_ok(Command::new("useradd").args(useradd))?;
        let account = Self { password: random_hex(16)? };
        account.set_password()?;
        Ok(account)
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// By standard input, so that the password is in no process list.
    fn set_password(&self) -> Result<(), Failure> {
        let failed = |error| Failure::new(format!("chpasswd: {error}"));
        let mut child = Command::new("chpasswd").stdin(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            writeln!(stdin, "{NAME}:{}", self.password).map_err(failed)?;
        }
        match child.wait().map_err(failed)?.success() {
            true => Ok(()),
            false => Err(Failure::new("chpasswd refused the new account's password")),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    // pkill exits with 1 when there is nobody to kill; userdel says itself what it could not do.
    let _ = shell::capture(Command::new("pkill").args(["-KILL", "-u", NAME]));
    if let Err(failure) = shell::capture_ok(Command::new("userdel").args(["--remove", "--force", NAME])) {
        eprintln!("warning: the account {NAME} is still there: {failure}");
    }
}
