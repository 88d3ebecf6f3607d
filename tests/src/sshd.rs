//! A real OpenSSH server as a process of the test's own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::keys::{KeyFile, KeyKind};
use crate::processes;
use crate::scratch::Scratch;

/// It listens within milliseconds; a loaded machine gets more.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// What every server has unless a test says otherwise. In `sshd_config` the first value of a keyword counts, so
/// these come last.
const DEFAULTS: &str = "\
    StrictModes no\n\
    UsePAM no\n\
    PermitRootLogin yes\n\
    PasswordAuthentication no\n\
    KbdInteractiveAuthentication no\n\
    LogLevel VERBOSE\n\
    MaxAuthTries 20\n\
    MaxStartups 200\n\
    PrintMotd no\n\
    PrintLastLog no\n";

/// A running sshd on a port of 127.0.0.1, with its own folder, keys and configuration. Dropped, it and all its
/// sessions are ended.
#[derive(Debug)]
pub struct Sshd {
    program: PathBuf,
    process: Child,
    port: u16,
    host_key: KeyFile,
    folder: Scratch,
}

/// Starts an [`Sshd`].
#[derive(Debug)]
#[must_use]
pub struct SshdBuilder {
    program: PathBuf,
    lines: String,
    authorized: String,
    host_key: Option<KeyFile>,
    sftp: Option<String>,
}

impl Sshd {
    /// Starts this program with the defaults, and whatever is added.
    pub fn builder(program: impl Into<PathBuf>) -> SshdBuilder {
        SshdBuilder {
            program: program.into(),
            lines: String::new(),
            authorized: String::new(),
            host_key: None,
            sftp: Some("internal-sftp".to_owned()),
        }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its host key.
    #[must_use]
    pub fn host_key(&self) -> &KeyFile {
        &self.host_key
    }

    /// A folder of its own, which the accounts that it serves may read.
    #[must_use]
    pub fn folder(&self) -> &Scratch {
        &self.folder
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(&self.folder)
    }

    /// The processes that serve its connections now, and theirs.
    #[must_use]
    pub fn session_processes(&self) -> Vec<u32> {
        processes::descendants(self.process.id())
    }

    /// Waits until no process serves a connection any more. What they had to log is in the log then.
    ///
    /// # Panics
    /// Where one is still there after half a minute.
    ///
    /// # Cancel safety
    /// Safe: it only looks.
    pub async fn wait_until_idle(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.session_processes().is_empty() {
            assert!(Instant::now() < deadline, "the server still has a connection");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adds lines to the `authorized_keys` of every account.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn authorize(&self, lines: &str) {
        let path = self.folder.join("authorized_keys");
        let present = fs::read_to_string(&path).expect("authorized_keys can be read");
        self.folder.write("authorized_keys", format!("{present}{}\n", lines.trim_end()));
    }
}

impl Sshd {
    /// Ends it and all its connections, as a machine that is switched off, and starts it again on its port. Its log is that
    /// of the new one.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.end();
        let started = start(&self.program, &self.folder.join("sshd_config"), &self.folder);
        self.process = started.unwrap_or_else(|| panic!("sshd does not start again:\n{}", self.log()));
    }

    fn end(&mut self) {
        let sessions = self.session_processes();
        processes::kill(self.process.id());
        for process in sessions {
            processes::kill(process);
        }
        let _ = self.process.wait();
    }
}

impl SshdBuilder {
    /// Adds lines to its `sshd_config`; they win over the defaults.
    pub fn config(mut self, lines: impl AsRef<str>) -> Self {
        self.lines.push_str(lines.as_ref().trim_end());
        self.lines.push('\n');
        self
    }

    /// Adds a line to the `authorized_keys` of every account.
    pub fn authorize(mut self, line: impl AsRef<str>) -> Self {
        self.authorized.push_str(line.as_ref().trim_end());
        self.authorized.push('\n');
        self
    }

    /// Shows this host key in place of a fresh ed25519 key.
    pub fn host_key(mut self, key: KeyFile) -> Self {
        self.host_key = Some(key);
        self
    }

    /// Has this program serve SFTP in place of `sshd` itself.
    ///
    /// # Panics
    /// Where its path is no text.
    pub fn sftp_by(mut self, program: &Path) -> Self {
        self.sftp = Some(program.to_str().expect("a path that is text").to_owned());
        self
    }

    /// Has nothing serve SFTP: the subsystem is refused.
    pub fn without_sftp(mut self) -> Self {
        self.sftp = None;
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(self) -> Sshd {
        let folder = Scratch::new();
        let host_key =
            self.host_key.clone().unwrap_or_else(|| KeyFile::generate(&folder, "host_key", KeyKind::Ed25519));
        folder.write("authorized_keys", &self.authorized);
        // Empty: what an account's own shell start-up files do, and how long they take, is no part of a test.
        fs::create_dir(folder.join("home")).expect("an empty home");
        // The port may be taken between our letting it go and sshd's binding it.
        for _ in 0..5 {
            let port = free_port();
            let config = folder.write("sshd_config", self.config_text(&folder, &host_key, port));
            if let Some(process) = start(&self.program, &config, &folder) {
                return Sshd { program: self.program, process, port, host_key, folder };
            }
        }
        panic!("sshd does not start:\n{}", read_log(&folder));
    }

    fn config_text(&self, folder: &Scratch, host_key: &KeyFile, port: u16) -> String {
        let path = folder.path().display();
        let sftp =
            self.sftp.as_ref().map(|program| format!("Subsystem sftp {program}\n")).unwrap_or_default();
        format!(
            "{}Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {path}/sshd.pid\n\
             AuthorizedKeysFile {path}/authorized_keys\nSetEnv HOME={path}/home\n{DEFAULTS}{sftp}",
            self.lines,
            host_key.path().display(),
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("sshd logged:\n{}", self.log());
        }
    }
}

/// Starts the program; none where it ended at once.
fn start(program: &Path, config: &Path, folder: &Scratch) -> Option<Child> {
    let log = File::create(folder.join("log")).expect("a log file");
    let mut command = Command::new(program);
    command.args(["-D", "-e", "-f"]).arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // Nothing of what the suite was told, its password least, reaches the accounts' sessions.
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let deadline = Instant::now() + STARTS_WITHIN;
    while Instant::now() < deadline {
        if read_log(folder).contains("Server listening on") {
            return Some(process);
        }
        if process.try_wait().is_ok_and(|status| status.is_some()) {
            return None;
        }
        sleep(Duration::from_millis(5));
    }
    processes::kill(process.id());
    let _ = process.wait();
    None
}

/// A port of 127.0.0.1 on which nobody listens. Somebody may, before whoever asked does.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn read_log(folder: &Scratch) -> String {
    String::from_utf8_lossy(&fs::read(folder.join("log")).unwrap_or_default()).into_owned()
}
