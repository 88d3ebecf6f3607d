//! The server of a run: a real `sshd` on loopback with keys and configuration of its own, in a folder of its own.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, io};

use crate::outcome::Failure;
use crate::shell;

/// The name under which the clients' configuration knows it.
pub(super) const HOST: &str = "bench";
/// Linux keeps what lies here in memory.
const MEMORY: &str = "/dev/shm";
const FOLDER: &str = "rustle-bench-";
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// Linux counts so towards programs on every machine that Rust runs on (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// A connection's processes are gone within milliseconds of its end.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// A running `sshd`, for logins as the user who runs this. Dropped, it is ended and its folder removed.
pub(super) struct Server {
    // In this order they are dropped: the process ends before its folder goes.
    process: Process,
    folder: Folder,
    port: u16,
    user: String,
    fingerprint: String,
}

impl Server {
    pub(super) fn start(sshd: &Path) -> Result<Self, Failure> {
        let folder = Folder::create()?;
        for name in ["host_key", "key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(folder.join(name));
            shell::capture_ok(&mut keygen)?;
        }
        let port = free_port().map_err(|error| Failure::new(format!("no free port: {error}")))?;
        let user = shell::capture_ok(Command::new("id").arg("-un"))?.trim().to_owned();
        if shell::is_root() {
            // sshd refuses to start without its folder for unprivileged processes.
            fs::create_dir_all("/run/sshd").map_err(|error| Failure::new(format!("/run/sshd: {error}")))?;
        }
        folder.write("sshd_config", &sshd_config(folder.path(), port))?;
        folder.write("ssh_config", &ssh_config(folder.path(), port, &user))?;
        let host_key = shell::read(&folder.join("host_key.pub"))?;
        folder.write("known_hosts", &format!("[127.0.0.1]:{port} {host_key}"))?;
        let process = Process::start(sshd, &folder)?;
        let fingerprint = fingerprint(&folder.join("host_key.pub"))?;
        Ok(Self { process, folder, port, user, fingerprint })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The private key that lets the user in.
    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// That of the host's key.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where its keys, configuration and files are.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The clients' configuration, by which [`HOST`] leads here.
    pub(super) fn ssh_config(&self) -> PathBuf {
        self.folder.join("ssh_config")
    }

    /// Its key, as clients keep it.
    pub(super) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// Where `ssh` may put its control socket.
    pub(super) fn control_socket(&self) -> PathBuf {
        self.folder.join("control")
    }

    /// The CPU time in seconds that it and its processes have taken, once those of finished work are gone.
    pub(super) fn cpu(&self) -> Result<f64, Failure> {
        let id = self.process.0.id();
        let deadline = Instant::now() + GONE_WITHIN;
        let children = format!("/proc/{id}/task/{id}/children");
        // Only a process that was waited for counts. A connection's may be there for a moment after its client's end.
        while !shell::read(Path::new(&children))?.trim().is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(2));
        }
        let stat = shell::read(Path::new(&format!("/proc/{id}/stat")))?;
        let ticks = ticks_of(&stat).ok_or_else(|| Failure::new(format!("/proc/{id}/stat holds `{stat}`")))?;
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// A file of so many bytes, in memory where the system has a file system there.
    pub(super) fn file(&self, name: &str, size: u64) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        let written = File::create(&path).and_then(|file| {
            let mut file = BufWriter::with_capacity(1 << 20, file);
            let counted: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 16).collect();
            let mut left = size;
            while left > 0 {
                let part = usize::try_from(left).unwrap_or(usize::MAX).min(counted.len());
                file.write_all(&counted[..part])?;
                left -= part as u64;
            }
            file.flush()
        });
        written.map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(path)
    }

    /// A directory with so many files of so many bytes, where [`file`](Self::file) is.
    pub(super) fn files(&self, name: &str, count: u32, bytes: usize) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        let content: Vec<u8> = (0..=u8::MAX).cycle().take(bytes).collect();
        let written = fs::create_dir_all(&path).and_then(|()| {
            (0..count).try_for_each(|n| fs::write(path.join(format!("file-{n:04}")), &content))
        });
        written.map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(path)
    }
}

/// One cipher, so that all sides do the same work, limits that no row reaches, and another home: a login shell's own
/// start-up files can take longer than the command.
fn sshd_config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey \"{folder}/host_key\"\nPidFile none\n\
         AuthorizedKeysFile \"{folder}/key.pub\"\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nPrintLastLog no\nUseDNS no\n\
         Ciphers aes256-gcm@openssh.com\nMaxStartups 2000\nMaxSessions 10\nSetEnv \"HOME={folder}\"\n\
         Subsystem sftp internal-sftp\n"
    )
}

fn ssh_config(folder: &Path, port: u16, user: &str) -> String {
    let folder = folder.display();
    format!(
        "Host {HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile \"{folder}/key\"\n  \
         IdentitiesOnly yes\n  UserKnownHostsFile \"{folder}/known_hosts\"\n  GlobalKnownHostsFile /dev/null\n  \
         StrictHostKeyChecking yes\n  BatchMode yes\n"
    )
}

/// `256 SHA256:… comment (ED25519)`, the second word of it.
fn fingerprint(public_key: &Path) -> Result<String, Failure> {
    let printed = shell::capture_ok(Command::new("ssh-keygen").arg("-l").arg("-f").arg(public_key))?;
    let word = printed.split_whitespace().nth(1).map(str::to_owned);
    word.ok_or_else(|| Failure::new(format!("`ssh-keygen -l` printed `{printed}`")))
}

/// User and system time of a process and of those it waited for: proc(5), fields 14 to 17. The name in the second field
/// may hold spaces and parentheses.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).map_while(|time| time.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

/// One that nobody listens at now.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

struct Process(Child);

impl Process {
    /// Starts it and waits until it listens.
    fn start(sshd: &Path, folder: &Folder) -> Result<Self, Failure> {
        let log = folder.join("log");
        let mut command = Command::new(sshd);
        command.args(["-D", "-f"]).arg(folder.join("sshd_config")).arg("-E").arg(&log).stdin(Stdio::null());
        let mut process = Self(command.spawn().map_err(|error| Failure::new(format!("sshd: {error}")))?);
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            let logged = fs::read_to_string(&log).unwrap_or_default();
            if logged.contains("Server listening on") {
                return Ok(process);
            }
            if process.0.try_wait().is_ok_and(|status| status.is_some()) {
                return Err(Failure::new(format!("sshd does not start:\n{logged}")));
            }
            sleep(Duration::from_millis(5));
        }
        Err(Failure::new("sshd does not listen"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, Failure> {
        let memory = Path::new(MEMORY);
        let parent = if memory.is_dir() { memory.to_path_buf() } else { env::temp_dir() };
        remove_left_over(&parent);
        let path = parent.join(format!("{FOLDER}{}", std::process::id()));
        fs::create_dir(&path)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.join(name);
        fs::write(&path, text)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A run that was interrupted leaves its folder, and with it a file of 1 GiB in memory.
fn remove_left_over(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            // Another user's cannot be removed, and does not hinder.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_and_its_children_are_added() {
        let stat = "77 (a) b) S 1 77 77 0 -1 4194560 900 8000 0 3 10 20 300 4000 20 0 1 0 99 1 2";
        assert_eq!(ticks_of(stat), Some(4330));
        assert_eq!(ticks_of("77 (cut) S 1 77"), None);
        if cfg!(target_os = "linux") {
            let own = fs::read_to_string("/proc/self/stat").unwrap();
            assert!(ticks_of(&own).is_some(), "{own}");
        }
    }

    #[test]
    fn what_an_interrupted_run_left_is_removed_and_what_is_in_use_is_not() {
        let parent = env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        // No process has this number: Linux counts to 2^22 at most.
        let (left, own) =
            (parent.join(format!("{FOLDER}4999999")), format!("{FOLDER}{}", std::process::id()));
        for folder in [&left, &parent.join(&own), &parent.join("other")] {
            fs::create_dir_all(folder.join("in")).unwrap();
        }
        remove_left_over(&parent);
        let stays = [own.as_str(), "other"].map(|name| parent.join(name).is_dir());
        let gone = !left.exists();
        fs::remove_dir_all(&parent).unwrap();
        assert!(gone && stays == [true, true]);
    }
}
