//! What `cargo xtask interop` prepared, and the frame of every test that needs it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A test that takes longer has hung.
const DEADLINE: Duration = Duration::from_secs(60);

/// What `cargo xtask interop` prepared on this machine.
#[derive(Debug, Clone)]
pub struct Interop {
    sshd: PathBuf,
    account: Account,
    open_user: String,
    as_root: bool,
    pam: Option<Pam>,
    sftp_server: Option<PathBuf>,
    dropbear: Option<PathBuf>,
    proftpd: Option<PathBuf>,
    python: Option<PathBuf>,
    node_modules: Option<PathBuf>,
}

/// An ordinary account with a password.
#[derive(Clone)]
pub struct Account {
    name: String,
    password: String,
}

/// The same sshd under a name whose PAM service asks for the account's password, then for a one-time code.
#[derive(Clone)]
pub struct Pam {
    sshd: PathBuf,
    oath_secret: Vec<u8>,
}

/// Runs a test against real servers; where they were not prepared, it says so and passes.
///
/// # Panics
/// When the test does, or takes longer than a minute.
pub fn interop<F: Future<Output = ()>>(test: impl FnOnce(Interop) -> F) {
    interop_within(DEADLINE, test);
}

/// As [`interop`], with a deadline of its own.
///
/// # Panics
/// When the test does, or takes longer than that.
pub fn interop_within<F: Future<Output = ()>>(deadline: Duration, test: impl FnOnce(Interop) -> F) {
    let Some(interop) = Interop::from_environment() else {
        println!("skipped: it needs a real sshd; `cargo xtask interop` prepares one and runs it");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(deadline, Box::pin(test(interop))).await });
    assert!(ended.is_ok(), "the test did not end within {} s", deadline.as_secs());
    // What a test dropped is ended in the background: its tasks get their time before the runtime goes.
    runtime.shutdown_timeout(Duration::from_secs(5));
}

impl Interop {
    fn from_environment() -> Option<Self> {
        if env::var_os("RUSTLE_INTEROP").is_none_or(|value| value != "1") {
            return None;
        }
        let pam = env::var("RUSTLE_INTEROP_PAM_SSHD").ok().map(|sshd| Pam {
            sshd: sshd.into(),
            oath_secret: from_hex(&required("RUSTLE_INTEROP_OATH_SECRET")),
        });
        let path = |name: &str| env::var_os(name).map(PathBuf::from);
        Some(Self {
            sshd: required("RUSTLE_INTEROP_SSHD").into(),
            account: Account {
                name: required("RUSTLE_INTEROP_USER"),
                password: required("RUSTLE_INTEROP_PASSWORD"),
            },
            open_user: required("RUSTLE_INTEROP_OPEN_USER"),
            as_root: env::var_os("RUSTLE_INTEROP_AS").is_some_and(|user| user == "root"),
            pam,
            sftp_server: path("RUSTLE_INTEROP_SFTP_SERVER"),
            dropbear: path("RUSTLE_INTEROP_DROPBEAR"),
            proftpd: path("RUSTLE_INTEROP_PROFTPD"),
            python: path("RUSTLE_INTEROP_PYTHON"),
            node_modules: path("RUSTLE_INTEROP_NODE_MODULES"),
        })
    }

    /// The path of `sshd`.
    #[must_use]
    pub fn sshd(&self) -> &Path {
        &self.sshd
    }

    /// Whom to log in as by key: the account, or root in the pass for root.
    #[must_use]
    pub fn user(&self) -> &str {
        if self.as_root { "root" } else { &self.account.name }
    }

    /// Whether this is the pass that logs in as root.
    #[must_use]
    pub fn as_root(&self) -> bool {
        self.as_root
    }

    /// The ordinary account, for what needs a password.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The name of an account whose password is empty.
    #[must_use]
    pub fn open_user(&self) -> &str {
        &self.open_user
    }

    /// The sshd whose PAM service asks two rounds of questions. Where there is none, says so.
    #[must_use]
    pub fn pam(&self) -> Option<&Pam> {
        if self.pam.is_none() {
            println!("skipped: no sshd with a PAM service that asks for one-time codes");
        }
        self.pam.as_ref()
    }

    /// The path of OpenSSH's `sftp-server`. Where there is none, says so.
    #[must_use]
    pub fn sftp_server(&self) -> Option<&Path> {
        found(self.sftp_server.as_deref(), "sftp-server of OpenSSH's")
    }

    /// The path of dropbear, which has `sftp-server` serve SFTP. Where there is none, says so.
    #[must_use]
    pub fn dropbear(&self) -> Option<&Path> {
        found(self.dropbear.as_deref(), "dropbear")
    }

    /// The path of ProFTPD, which has `mod_sftp`. Where there is none, says so.
    #[must_use]
    pub fn proftpd(&self) -> Option<&Path> {
        found(self.proftpd.as_deref(), "ProFTPD with mod_sftp")
    }

    /// A Python that has asyncssh and paramiko. Where there is none, says so.
    #[must_use]
    pub fn python(&self) -> Option<&Path> {
        found(self.python.as_deref(), "Python with asyncssh and paramiko")
    }

    /// A folder in which Node.js finds ssh2. Where there is none, says so.
    #[must_use]
    pub fn node_modules(&self) -> Option<&Path> {
        found(self.node_modules.as_deref(), "Node.js with ssh2")
    }

    /// Whether this pass logs in as the account; where not, says that the other pass has shown it.
    #[must_use]
    pub fn is_pass_of_account(&self) -> bool {
        if self.as_root {
            println!("skipped: the same for root, and shown by the pass that logs in as the account");
        }
        !self.as_root
    }
}

impl Account {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl Pam {
    /// The path of `sshd` under the service's name.
    #[must_use]
    pub fn sshd(&self) -> &Path {
        &self.sshd
    }

    /// The key of the one-time codes (HOTP, RFC 4226).
    #[must_use]
    pub fn oath_secret(&self) -> &[u8] {
        &self.oath_secret
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Pam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pam").field("sshd", &self.sshd).finish_non_exhaustive()
    }
}

fn found<'a>(path: Option<&'a Path>, what: &str) -> Option<&'a Path> {
    if path.is_none() {
        println!("skipped: no {what}");
    }
    path
}

fn required(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("RUSTLE_INTEROP is set and {name} is not: use `cargo xtask interop`"))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
        _ => None,
    });
    bytes.collect::<Option<_>>().expect("RUSTLE_INTEROP_OATH_SECRET is hex")
}
