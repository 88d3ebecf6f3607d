//! A real `ssh-agent` as a process of the test's own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::keys::KeyFile;
use crate::processes;
use crate::scratch::Scratch;
use crate::tool::run;

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
