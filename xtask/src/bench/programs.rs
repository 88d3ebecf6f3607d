//! The programs that are measured, ready to be started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::far::Far;
use crate::bench::server::{HOST, Server};
use crate::outcome::Failure;
use crate::shell;

/// A master connection of `ssh` is there after one login.
const MASTER_WITHIN: Duration = Duration::from_secs(10);

/// Every program, and what it needs to reach the server.
pub(super) struct Programs<'a> {
    server: &'a Server,
    folder: PathBuf,
    /// Of `ssh` and of the shipped binary.
    config: PathBuf,
}

impl<'a> Programs<'a> {
    /// Ours and the base's are in this folder.
    pub(super) fn new(server: &'a Server, folder: &Path) -> Self {
        Self { server, folder: folder.to_path_buf(), config: server.ssh_config() }
    }

    /// The same over a long link, for `ssh` and the shipped binary.
    pub(super) fn over(&self, far: &Far) -> Self {
        Self { server: self.server, folder: self.folder.clone(), config: far.ssh_config().to_owned() }
    }

    /// Where our programs are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program on the bare base.
    pub(super) fn base(&self, work: &[&str]) -> Command {
        self.alike("bench-base", work)
    }

    /// The one of the same shape on our library.
    pub(super) fn ours(&self, work: &[&str]) -> Command {
        self.alike("bench-ours", work)
    }

    /// The one on our pool.
    pub(super) fn pool(&self, work: &[&str]) -> Command {
        let mut command = self.quiet(self.folder.join("bench-pool"));
        command.arg("--config").arg(&self.config).args(["--host", HOST]).args(work);
        command
    }

    /// So many connections by asyncssh, under this Python.
    pub(super) fn asyncssh(&self, python: &Path, count: u32) -> Command {
        let mut command = self.quiet(python);
        command.arg("-c").arg(include_str!("asyncssh_connect.py")).arg(count.to_string());
        command.arg(self.server.port().to_string()).arg(self.server.user()).arg(self.server.key());
        command.arg(self.server.known_hosts());
        command
    }

    /// The one on our pool, forwarding this port here to that one at the server's side until it is killed.
    pub(super) fn pool_forward(&self, from: u16, to: u16) -> Command {
        self.pool(&["forward", &from.to_string(), &to.to_string()])
    }

    /// The least that any client does for so many bytes.
    pub(super) fn drain_forward(&self, from: u16, to: u16, bytes: u64) -> Command {
        self.base(&["drain-forward", &from.to_string(), &to.to_string(), &bytes.to_string()])
    }

    /// OpenSSH's, doing the same.
    pub(super) fn ssh_forward(&self, from: u16, to: u16) -> Command {
        let mut command = self.quiet("ssh");
        command.arg("-F").arg(&self.config).args(["-N", "-L", &format!("{from}:127.0.0.1:{to}"), HOST]);
        command
    }

    /// The shipped binary, running this on the server.
    pub(super) fn shipped(&self, line: &str) -> Command {
        let mut command = self.quiet(self.folder.join("rustle-connect"));
        command.arg("--config").arg(&self.config).args(["exec", HOST, "--", line]);
        command
    }

    /// The shipped binary, moving files with these options and operands.
    pub(super) fn shipped_transfer(&self, options: &[&str], from: &OsStr, to: &OsStr) -> Command {
        let mut command = self.quiet(self.folder.join("rustle-connect"));
        command.arg("--config").arg(&self.config).args(options).arg("-q").arg(from).arg(to);
        command
    }

    /// OpenSSH's, running this on the server.
    pub(super) fn ssh(&self, line: &str) -> Command {
        let mut command = self.quiet("ssh");
        command.arg("-F").arg(&self.config).args([HOST, line]);
        command
    }

    /// The same through the master's connection.
    pub(super) fn ssh_through(&self, master: &Master, line: &str) -> Command {
        let mut command = self.quiet("ssh");
        command.arg("-F").arg(&self.config).arg("-S").arg(&master.socket).args([HOST, line]);
        command
    }

    /// Starts a master connection and waits until it stands.
    pub(super) fn master(&self) -> Result<Master, Failure> {
        let socket = self.server.control_socket();
        let mut command = self.quiet("ssh");
        command.arg("-F").arg(&self.config).args(["-M", "-N", "-S"]).arg(&socket).arg(HOST);
        let child = command.spawn().map_err(|error| Failure::new(format!("ssh -M: {error}")))?;
        let mut master = Master { child, socket };
        let deadline = Instant::now() + MASTER_WITHIN;
        while !master.socket.exists() {
            if Instant::now() > deadline || master.child.try_wait().is_ok_and(|status| status.is_some()) {
                return Err(Failure::new("ssh -M makes no connection"));
            }
            sleep(Duration::from_millis(1));
        }
        Ok(master)
    }

    fn alike(&self, program: &str, work: &[&str]) -> Command {
        let mut command = self.quiet(self.folder.join(program));
        command.arg("--port").arg(self.server.port().to_string()).args(["--user", self.server.user()]);
        command.arg("--key").arg(self.server.key()).args(["--fingerprint", self.server.fingerprint()]);
        command.args(work);
        command
    }

    /// No input, no output, and no agent whose keys would be tried as well.
    fn quiet(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// A connection that `ssh -S` shares. Dropped, it is ended and waited for.
pub(super) struct Master {
    child: Child,
    socket: PathBuf,
}

impl Master {
    /// Asks it to end, as a person would, and waits.
    pub(super) fn end(mut self, programs: &Programs<'_>) -> Result<(), Failure> {
        let mut command = programs.quiet("ssh");
        command.arg("-F").arg(&programs.config).arg("-S").arg(&self.socket);
        shell::capture_ok(command.args(["-O", "exit", HOST]))?;
        self.child.wait().map_err(|error| Failure::new(format!("ssh -M: {error}")))?;
        Ok(())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end, which has to be a good one.
pub(super) fn finish(mut command: Command) -> Result<(), Failure> {
    let status = command.status();
    let status = status
        .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", shell::shown(&command))))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended with {status}", shell::shown(&command))))
}
