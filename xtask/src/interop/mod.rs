//! `cargo xtask interop`: the suite against a real OpenSSH `sshd`.
//!
//! This prepares the machine and hands the suite (`tests/`, the test binary `interop`) what it needs through the
//! environment; the suite starts its servers itself, on loopback, with keys and configuration of its own.
//!
//! | variable | what it holds |
//! |---|---|
//! | `RUSTLE_INTEROP` | `1`: the real servers are there, a test that needs them may not skip itself |
//! | `RUSTLE_INTEROP_SSHD` | the path of `sshd` |
//! | `RUSTLE_INTEROP_USER`, `RUSTLE_INTEROP_PASSWORD` | an ordinary account, made for this run |
//! | `RUSTLE_INTEROP_OPEN_USER` | another one, whose password is empty |
//! | `RUSTLE_INTEROP_AS` | `root` in the second pass: log in as root where the first pass took the account |
//! | `RUSTLE_INTEROP_PAM_SSHD` | the same `sshd` under a name whose PAM service asks for the password, then for a code |
//! | `RUSTLE_INTEROP_OATH_SECRET` | the secret of that code in hex: HOTP (RFC 4226), six digits, counting from 0 in each pass |
//! | `RUSTLE_INTEROP_SFTP_SERVER` | the path of OpenSSH's `sftp-server` |
//! | `RUSTLE_INTEROP_DROPBEAR` | the path of `dropbear`, which has that one serve SFTP |
//! | `RUSTLE_INTEROP_PROFTPD` | the path of `proftpd`, which has `mod_sftp` |
//! | `RUSTLE_INTEROP_PYTHON` | a Python that has paramiko, and asyncssh, whose server knows mlkem768x25519-sha256 |
//! | `RUSTLE_INTEROP_NODE_MODULES` | a folder in which `node` finds ssh2 |
//!
//! From the PAM service on they are left out, with a word why, where this machine lacks what they need; on CI that is a
//! failure.

use std::fs;
use std::path::{Path, PathBuf};

use crate::interop::account::Account;
use crate::interop::pam::Pam;
use crate::interop::sftp_servers::SftpServers;
use crate::outcome::{Failure, Outcome};
use crate::soak::Scale;
use crate::{apt, shell};

mod account;
mod pam;
mod sftp_servers;

/// The other side, the tools that make keys in its formats, the shells whose quoting the suite checks, and `nc`.
const PACKAGES: [&str; 7] =
    ["openssh-server", "openssh-client", "putty-tools", "tcsh", "fish", "procps", "netcat-openbsd"];

/// Prepares the machine, runs the suite as the account and as root, and takes away what it put there.
pub(crate) fn run(scale: Scale) -> Result<Outcome, Failure> {
    if !cfg!(target_os = "linux") {
        return Outcome::skip_unless_ci("the suite against a real sshd runs on Linux only");
    }
    if !shell::is_root() {
        return Outcome::skip_unless_ci(
            "a real sshd that logs in another account has to run as root, and this is not",
        );
    }
    for package in apt::ensure(&PACKAGES)? {
        println!("not here as a Debian package: {package}; tests that need it skip themselves");
    }
    let Some(sshd) = shell::find_program("sshd") else {
        return Outcome::skip_unless_ci("no sshd on this machine");
    };
    let folder = empty_folder()?;
    // sshd refuses to start without its folder for unprivileged processes; a machine that never ran it has none.
    fs::create_dir_all("/run/sshd")
        .map_err(|error| Failure::new(format!("cannot make /run/sshd: {error}")))?;

    let sftp_servers = SftpServers::find()?;
    let pam = Pam::set_up(&folder, &sshd)?;
    let account = Account::create()?;
    let _open = Account::create_open()?;
    for login in [None, Some("root")] {
        println!("\n-- as {}", login.unwrap_or(account::NAME));
        if let Some(pam) = &pam {
            pam.restart_codes(account::NAME)?;
        }
        let mut suite = shell::cargo();
        // The suite alone would be built with other features of its dependencies than all tests together are.
        suite.args(["test", "--workspace", "--test", "interop"]);
        suite.env("RUSTLE_INTEROP", "1").env("RUSTLE_INTEROP_SSHD", &sshd);
        suite.env("RUSTLE_INTEROP_OPEN_USER", account::OPEN);
        suite.env("RUSTLE_INTEROP_USER", account::NAME).env("RUSTLE_INTEROP_PASSWORD", account.password());
        suite.envs(login.map(|login| ("RUSTLE_INTEROP_AS", login)));
        suite.envs(pam.iter().flat_map(Pam::variables));
        sftp_servers.tell(&mut suite);
        shell::run(scale.tell(&mut suite))?;
    }
    Ok(Outcome::Done)
}

/// A folder of this run's own.
fn empty_folder() -> Result<PathBuf, Failure> {
    let folder = shell::root().join("target/interop");
    let broken = |error| Failure::new(format!("cannot prepare {}: {error}", folder.display()));
    for stale in ["oath", pam::SERVICE] {
        remove(&folder.join(stale)).map_err(broken)?;
    }
    fs::create_dir_all(&folder).map_err(broken)?;
    Ok(folder)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// So many bytes that nobody can guess, in hex.
fn random_hex(bytes: usize) -> Result<String, Failure> {
    use std::io::Read;

    let mut random = vec![0; bytes];
    let read = fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    read.map_err(|error| Failure::new(format!("cannot read /dev/urandom: {error}")))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
