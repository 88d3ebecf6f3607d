//! The test server as the process that is shipped, on the same machine and files as the real one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::server::{HOST, Server};
use crate::outcome::Failure;
use crate::shell;

/// The name of the file that is got, below each server's root.
const DATA: &str = "data";
/// It removes a directory with a few files.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A running test server. Dropped, it is ended by the end of its standard input and waited for.
pub(super) struct Embedded {
    process: Child,
    config: PathBuf,
}

impl Embedded {
    /// Starts the program of this folder, with this file in the directory it serves, and writes a configuration by which
    /// [`HOST`] leads to it.
    pub(super) fn start(server: &Server, programs: &Path, file: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(programs.join("rustle-connect"));
        command
            .args(["test-server", "--login", server.user(), "--authorized-keys"])
            .arg(public(&server.key()));
        // Its own directory is made there, in memory as the real one's files.
        command.env("TMPDIR", server.folder()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let shown = shell::shown(&command);
        let failed = |what: &str| Failure::new(format!("`{shown}`: {what}"));
        let mut process = command.spawn().map_err(|error| failed(&error.to_string()))?;
        let mut line = String::new();
        let told = process.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let embedded = Self { process, config: server.folder().join("ssh_config_embedded") };
        told.ok_or_else(|| failed("has no output"))?.map_err(|error| failed(&error.to_string()))?;

        let told: serde_json::Value =
            serde_json::from_str(&line).map_err(|_| failed(&format!("said `{line}`")))?;
        let text =
            |key| told.get(key).and_then(serde_json::Value::as_str).ok_or_else(|| failed("told too little"));
        let port =
            told.get("port").and_then(serde_json::Value::as_u64).ok_or_else(|| failed("told no port"))?;
        let known_hosts = server.folder().join("known_hosts_embedded");
        let write = |path: &Path, text: &str| {
            fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
        };
        write(&known_hosts, &format!("{}\n", text("known_hosts")?))?;
        let config = shell::read(&server.ssh_config())?;
        let config: Vec<String> = config
            .lines()
            .map(|line| match line.split_whitespace().next() {
                Some("Port") => format!("  Port {port}"),
                Some("UserKnownHostsFile") => format!("  UserKnownHostsFile \"{}\"", known_hosts.display()),
                _ => line.to_owned(),
            })
            .collect();
        write(&embedded.config, &format!("{}\n  Ciphers aes256-gcm@openssh.com\n", config.join("\n")))?;
        let served = Path::new(text("directory")?).join(DATA);
        fs::hard_link(file, &served)
            .map_err(|error| Failure::new(format!("cannot link {}: {error}", served.display())))?;
        Ok(embedded)
    }

    /// OpenSSH's `sftp`, getting the file or putting it back beside itself.
    pub(super) fn sftp(&self, transfer: &Batch) -> Command {
        sftp(&self.config, transfer)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + ENDS_WITHIN;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `sftp` is told to do, in a file.
pub(super) struct Batch(PathBuf);

impl Batch {
    /// One command, kept below this name.
    pub(super) fn write(server: &Server, name: &str, command: &str) -> Result<Self, Failure> {
        let path = server.folder().join(name);
        fs::write(&path, format!("{command}\n"))
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

/// `sftp` at the real server.
pub(super) fn sftp_of(server: &Server, transfer: &Batch) -> Command {
    sftp(&server.ssh_config(), transfer)
}

/// `sftp` at where this configuration leads.
pub(super) fn sftp(config: &Path, transfer: &Batch) -> Command {
    let mut command = Command::new("sftp");
    command.arg("-q").arg("-F").arg(config).arg("-b").arg(&transfer.0).arg(HOST);
    command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn public(key: &Path) -> PathBuf {
    key.with_extension("pub")
}
