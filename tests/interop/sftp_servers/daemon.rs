//! A server's process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustle_tests::processes;

/// They listen within a second; a busy machine gets more.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A process, and what it wrote. Dropped, it is ended, and all that descends from it.
pub(super) struct Daemon {
    process: Child,
    log: PathBuf,
}

impl Daemon {
    /// A command with an environment in which nothing is of what the suite was told, its password least.
    pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// Starts it. Both its outputs go to the log, to which it may add by itself; its input stays open and empty until it is
    /// dropped.
    pub(super) fn start(command: &mut Command, log: PathBuf) -> Self {
        File::create(&log).unwrap();
        let output = File::options().append(true).open(&log).unwrap();
        command.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { process, log }
    }

    /// What is found in the log, as soon as it is; none where the process ended before.
    pub(super) fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + STARTS_WITHIN;
        loop {
            let has_ended = self.process.try_wait().unwrap().is_some();
            if let Some(found) = find(&read(&self.log)) {
                return Some(found);
            }
            if has_ended {
                return None;
            }
            assert!(Instant::now() < deadline, "it does not start");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let below = processes::descendants(self.process.id());
        processes::kill(self.process.id());
        for process in below {
            processes::kill(process);
        }
        let _ = self.process.wait();
        if std::thread::panicking() {
            println!("the server logged:\n{}", read(&self.log));
        }
    }
}

/// What was written so far.
pub(super) fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}
