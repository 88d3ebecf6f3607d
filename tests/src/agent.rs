//! A real `ssh-agent` as a process of the test's own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::keys::KeyFile;
use crate::processes;
use crate::scratch::Scratch;
use crate::tool::{output_of, run};

/// An `ssh-agent`; dropped, it is ended.
#[derive(Debug)]
pub struct Agent {
    process: Child,
    socket: PathBuf,
    _folder: Scratch,
}

impl Agent {
    /// Starts one that holds no keys.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = Scratch::new();
        let socket = folder.join("agent");
        let mut command = Command::new("ssh-agent");
        // -D: it stays our child, which we can end and wait for.
        command.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("ssh-agent: {error}"));
        let agent = Self { process, socket, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        // Its socket's file is there a moment before it listens.
        while UnixStream::connect(&agent.socket).is_err() {
            assert!(Instant::now() < deadline, "ssh-agent does not listen");
            sleep(Duration::from_millis(5));
        }
        agent
    }

    /// Gives it a key, and the certificate beside it if there is one.
    ///
    /// # Panics
    /// Where `ssh-add` fails.
    pub fn add(&self, key: &KeyFile) {
        run(Command::new("ssh-add").arg("-q").arg(key.path()).env("SSH_AUTH_SOCK", &self.socket));
    }

    /// What `ssh-add` says with these arguments.
    ///
    /// # Panics
    /// Where `ssh-add` cannot be run.
    #[must_use]
    pub fn ssh_add(&self, arguments: &[&str]) -> Output {
        output_of(
            Command::new("ssh-add").args(arguments).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null()),
        )
    }

    /// The keys it holds, as `ssh-add -l` lists them.
    ///
    /// # Panics
    /// Where `ssh-add` cannot be run.
    #[must_use]
    pub fn list(&self) -> String {
        String::from_utf8_lossy(&self.ssh_add(&["-l"]).stdout).into_owned()
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        processes::kill(self.process.id());
        let _ = self.process.wait();
    }
}
