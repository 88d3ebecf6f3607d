//! The accounts that the suite logs in as: made for one run, gone after it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::interop::random_hex;
use crate::outcome::Failure;
use crate::shell;

/// The ordinary account's name.
pub(super) const NAME: &str = "rustle-interop";
/// The name of one whose password is empty, which an `sshd` that permits such lets in without a question.
pub(super) const OPEN: &str = "rustle-interop-open";
/// In the account's comment field: an account of this name without it is somebody's own, and is let be.
const MARK: &str = "made by cargo xtask interop";

/// An account that is removed when this is dropped, with its home and whatever still runs under it.
pub(super) struct Account {
    name: &'static str,
    password: String,
}

impl Account {
    /// Adds the ordinary account, with a password that nobody knows yet.
    pub(super) fn create() -> Result<Self, Failure> {
        let account = Self { name: NAME, password: random_hex(16)? };
        account.add(&[])?;
        account.set_password()?;
        Ok(account)
    }

    /// Adds the one with an empty password.
    pub(super) fn create_open() -> Result<Self, Failure> {
        let account = Self { name: OPEN, password: String::new() };
        account.add(&["--password", ""])?;
        Ok(account)
    }

    /// One that an interrupted run left behind is replaced.
    fn add(&self, more: &[&str]) -> Result<(), Failure> {
        let name = self.name;
        if let Ok(entry) = shell::capture_ok(Command::new("getent").args(["passwd", name])) {
            if entry.split(':').nth(4) != Some(MARK) {
                return Err(Failure::new(format!(
                    "there is an account `{name}` that is not ours: remove or rename it"
                )));
            }
            self.remove();
        }
        let mut useradd = Command::new("useradd");
        useradd.args(["--create-home", "--shell", "/bin/sh", "--comment", MARK]).args(more).arg(name);
        shell::capture_ok(&mut useradd).map(drop)
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// By standard input, so that the password is in no process list.
    fn set_password(&self) -> Result<(), Failure> {
        let failed = |error| Failure::new(format!("chpasswd: {error}"));
        let mut child = Command::new("chpasswd").stdin(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            writeln!(stdin, "{}:{}", self.name, self.password).map_err(failed)?;
        }
        match child.wait().map_err(failed)?.success() {
            true => Ok(()),
            false => Err(Failure::new("chpasswd refused the new account's password")),
        }
    }

    fn remove(&self) {
        let name = self.name;
        // pkill exits with 1 when there is nobody to kill; userdel says itself what it could not do.
        let _ = shell::capture(Command::new("pkill").args(["-KILL", "-u", name]));
        if let Err(failure) = shell::capture_ok(Command::new("userdel").args(["--remove", "--force", name])) {
            eprintln!("warning: the account {name} is still there: {failure}");
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.remove();
    }
}
