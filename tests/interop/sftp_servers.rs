//! Servers that others wrote, with SFTP and without, and the frame of the tests that have to pass at each of them.
//!
//! Each serves the whole file system of this machine with the rights of the suite's ordinary account: a path is the same
//! there and here, and what the account may not do is refused. Dropbear lets in by password, the others by a key.

mod daemon;
mod dropbear;
mod libraries;
mod openssh;
mod proftpd;
mod software;
mod works;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustle_session::{Connector, Credentials, PinnedHostKey, SecretString, Session};
use rustle_tests::{
    Account, Interop, KeyFile, KeyKind, Scratch, Sshd, free_port, interop_within, no_credentials, run, target,
};

use self::daemon::Daemon;
pub(crate) use self::software::{OddNames, Software};

/// What a test may take at all of the servers together.
const DEADLINE: Duration = Duration::from_secs(180);

/// A server on a port of 127.0.0.1. Dropped, it is ended, and all that it started.
pub(crate) struct SftpServer {
    software: Software,
    port: u16,
    _running: Running,
    // Last: what is in it is read until the server is gone.
    site: Site,
}

/// What shows a server that the account is there.
pub(crate) enum Proof<'a> {
    Key(&'a KeyFile),
    Password(&'a str),
}

/// What a server is started with.
struct Site {
    account: Account,
    host_key: KeyFile,
    login_key: KeyFile,
    folder: Scratch,
}

/// What runs, until it is dropped.
enum Running {
    Sshd { _sshd: Sshd },
    Daemon { _daemon: Daemon },
}

/// Runs a test at each of the servers in turn, within three minutes. A failure names the one. Where the suite is not
/// prepared, and in the pass that logs in as root, it says so and passes.
pub(crate) fn at_each_sftp_server(test: impl AsyncFn(&SftpServer)) {
    at_each(&Software::ALL, test);
}

/// The same at those that run commands and serve no SFTP.
pub(crate) fn at_each_server_without_sftp(test: impl AsyncFn(&SftpServer)) {
    at_each(&Software::WITHOUT_SFTP, test);
}

fn at_each(all: &[Software], test: impl AsyncFn(&SftpServer)) {
    interop_within(DEADLINE, async move |interop| {
        if !interop.is_pass_of_account() {
            return;
        }
        for software in all {
            if let Some(server) = SftpServer::start(*software, &interop) {
                test(&server).await;
            }
        }
    });
}

impl SftpServer {
    /// Starts one, and waits until it listens. Where this machine has not what it takes, says so.
    pub(crate) fn start(software: Software, interop: &Interop) -> Option<Self> {
        // Shown where the test fails.
        println!("at {software:?}");
        let site = Site::new(interop);
        let (port, running) = match software {
            Software::OpensshProgram => {
                openssh::start(&site, interop, &openssh::Sftp::Program(interop.sftp_server()?))
            }
            Software::OpensshInternal => openssh::start(&site, interop, &openssh::Sftp::Internal),
            Software::OpensshWithoutSftp => openssh::start(&site, interop, &openssh::Sftp::Nothing),
            Software::Dropbear => dropbear::start(&site, interop.dropbear()?),
            Software::DropbearWithoutSftp => dropbear::start_without_sftp(&site, interop.dropbear()?),
            Software::Proftpd => proftpd::start(&site, interop.proftpd()?),
            Software::Asyncssh => libraries::start_python(&site, "asyncssh_server.py", interop.python()?),
            Software::Paramiko => libraries::start_python(&site, "paramiko_server.py", interop.python()?),
            Software::Ssh2 => libraries::start_node(&site, "ssh2_server.js", interop.node_modules()?),
        };
        Some(Self { software, port, _running: running, site })
    }

    /// What serves.
    pub(crate) fn software(&self) -> Software {
        self.software
    }

    /// An empty folder of the account's, under the same path there and here.
    pub(crate) fn root(&self) -> PathBuf {
        self.site.root()
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whom it lets in.
    pub(crate) fn user(&self) -> &str {
        self.site.account.name()
    }

    /// By what.
    pub(crate) fn proof(&self) -> Proof<'_> {
        match self.software {
            Software::Dropbear | Software::DropbearWithoutSftp => {
                Proof::Password(self.site.account.password())
            }
            _ => Proof::Key(&self.site.login_key),
        }
    }

    /// The key that it shows.
    pub(crate) fn host_key(&self) -> &KeyFile {
        &self.site.host_key
    }

    /// A connector that trusts its host key and nothing else.
    pub(crate) fn connector(&self) -> Connector {
        let trust = PinnedHostKey::new(&self.host_key().fingerprint()).unwrap();
        Connector::new(target(self.user(), self.port)).host_trust(trust)
    }

    /// What lets in, and nothing of this machine's own.
    pub(crate) fn credentials(&self) -> Credentials {
        match self.proof() {
            Proof::Key(key) => no_credentials().key_file(key.path()),
            Proof::Password(password) => no_credentials().password(SecretString::from(password)),
        }
    }

    /// Logs in.
    pub(crate) async fn session(&self) -> Session {
        self.connector().connect().await.unwrap().authenticate(&self.credentials()).await.unwrap()
    }
}

impl Site {
    fn new(interop: &Interop) -> Self {
        let folder = Scratch::new();
        let host_key = KeyFile::generate(&folder, "host_key", KeyKind::Ed25519);
        let login_key = KeyFile::generate(&folder, "login_key", KeyKind::Ed25519);
        let site = Self { account: interop.account().clone(), host_key, login_key, folder };
        let root = site.root();
        std::fs::create_dir(&root).unwrap();
        // With the account's own group.
        run(Command::new("chown").arg(format!("{}:", site.account.name())).arg(root));
        site
    }

    fn root(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Where a server writes what it has to say.
    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts a program that is told its port, and has these words in its log when it listens.
    fn daemon_on_a_port(&self, listens: &str, command: impl Fn(u16) -> Command) -> (u16, Running) {
        // The port may be taken between our letting it go and its being bound.
        for _ in 0..5 {
            let port = free_port();
            let mut daemon = Daemon::start(&mut command(port), self.log());
            if daemon.wait_for(|log| log.contains(listens).then_some(())).is_some() {
                return (port, Running::Daemon { _daemon: daemon });
            }
        }
        panic!("it does not start:\n{}", daemon::read(&self.log()));
    }
}

/// The path of a program of the suite's own.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/sftp_servers/programs").join(name)
}
