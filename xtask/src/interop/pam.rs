//! A PAM service of the suite's own: keyboard-interactive in two rounds, the password and then a one-time code.
//!
//! OpenSSH asks PAM for the service that its program is named after, so the suite starts `sshd` through a link with
//! the service's name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::apt;
use crate::interop::random_hex;
use crate::outcome::Failure;

/// The service's name, and the name of the link to `sshd`.
pub(super) const SERVICE: &str = "rustle-interop";
const PACKAGE: &str = "libpam-oath";

/// The service; its file is removed when this is dropped.
pub(super) struct Pam {
    sshd: PathBuf,
    users: PathBuf,
    secret: String,
}

impl Pam {
    /// Writes the service's file and the link. None where the module for codes is missing.
    pub(super) fn set_up(folder: &Path, sshd: &Path) -> Result<Option<Self>, Failure> {
        if !apt::ensure(&[PACKAGE])?.is_empty() {
            println!("no keyboard-interactive in two rounds: the Debian package {PACKAGE} is not here");
            return Ok(None);
        }
        let oath = folder.join("oath");
        let pam = Self { sshd: folder.join(SERVICE), users: oath.join("users"), secret: random_hex(20)? };
        let failed = |error| Failure::new(format!("cannot set up the PAM service {SERVICE}: {error}"));
        fs::create_dir_all(&oath).map_err(failed)?;
        link(sshd, &pam.sshd).map_err(failed)?;
        fs::write(service_file(), pam.service()).map_err(failed)?;
        Ok(Some(pam))
    }

    /// Lets the codes count from 0 again.
    pub(super) fn restart_codes(&self, user: &str) -> Result<(), Failure> {
        let users = format!("HOTP {user} - {}\n", self.secret);
        let failed = |error| Failure::new(format!("cannot write {}: {error}", self.users.display()));
        fs::write(&self.users, users).map_err(failed)?;
        readable_by_owner(&self.users).map_err(failed)
    }

    /// What the suite is told.
    pub(super) fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("RUSTLE_INTEROP_PAM_SSHD", self.sshd.display().to_string()),
            ("RUSTLE_INTEROP_OATH_SECRET", self.secret.clone()),
        ]
    }

    fn service(&self) -> String {
        // nodelay: a refused password is part of the suite, and need not take seconds.
        format!(
            "# Written by `cargo xtask interop`, which removes it when it ends.\n\
             auth required pam_unix.so nodelay\n\
             auth required pam_oath.so usersfile={} window=20 digits=6\n\
             account required pam_unix.so\n\
             session required pam_permit.so\n",
            self.users.display()
        )
    }
}

impl Drop for Pam {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(service_file()) {
            eprintln!("warning: {} is still there: {error}", service_file().display());
        }
    }
}

fn service_file() -> PathBuf {
    Path::new("/etc/pam.d").join(SERVICE)
}

#[cfg(unix)]
fn link(to: &Path, from: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, from)
}

#[cfg(unix)]
fn readable_by_owner(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn link(_to: &Path, _from: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn readable_by_owner(_path: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
