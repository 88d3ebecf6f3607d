//! A host whose commands are real, and whose programs a test chooses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal as Signo, kill_process_group};
use rustle_sftp::Files;
use rustle_testserver::{Builder, Call, Exit, TestServer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::support::{login, serve_with};

/// What runs the commands, in which directory, and where it finds programs.
pub(crate) struct Host {
    /// The login shell: a path, or a program of this machine.
    pub(crate) shell: PathBuf,
    path: PathBuf,
    folder: TempDir,
    /// Of its own, since some shells keep files there.
    home: TempDir,
    _programs: Option<TempDir>,
    environment: Vec<(&'static str, &'static str)>,
    /// Bytes of standard output that its commands have sent.
    sent: AtomicU64,
    /// Signals reach nobody, as where OpenSSH's server runs commands of root.
    is_deaf: bool,
    /// Who runs the commands, where root runs the tests.
    user: Option<u32>,
}

impl Host {
    /// This machine's programs, behind its `/bin/sh`.
    pub(crate) fn new() -> Self {
        Self {
            shell: "/bin/sh".into(),
            path: std::env::var_os("PATH").unwrap().into(),
            folder: tempfile::tempdir().unwrap(),
            home: tempfile::tempdir().unwrap(),
            _programs: None,
            environment: Vec::new(),
            sent: AtomicU64::new(0),
            is_deaf: false,
            user: None,
        }
    }

    /// With these variables for each command.
    pub(crate) fn with_environment(environment: &[(&'static str, &'static str)]) -> Self {
        Self { environment: environment.to_vec(), ..Self::new() }
    }

    pub(crate) fn deaf() -> Self {
        Self { is_deaf: true, ..Self::new() }
    }

    /// Commands are those of somebody who may not do everything.
    pub(crate) fn of_nobody() -> Self {
        let host = Self { user: rustix::process::getuid().is_root().then_some(65_534), ..Self::new() };
        std::fs::set_permissions(host.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
        host
    }

    /// Gives a file to whoever its commands are run by.
    pub(crate) fn give(&self, path: &Path) {
        std::os::unix::fs::chown(path, self.user, self.user).unwrap();
    }

    /// Another login shell; `None` where this machine does not have it.
    pub(crate) fn with_shell(name: &str) -> Option<Self> {
        Some(Self { shell: found(name)?, ..Self::new() })
    }

    /// Nothing but these programs: each a name and whose it is, such as `("stat", "busybox")`.
    pub(crate) fn with_programs(programs: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for (name, whose) in programs {
            std::os::unix::fs::symlink(found(whose)?, folder.path().join(name)).unwrap();
        }
        Some(Self { path: folder.path().to_owned(), _programs: Some(folder), ..Self::new() })
    }

    /// This machine's programs, but those that a BSD and macOS have with other options and other words: those are scripts here
    /// that know no options but theirs.
    fn bsd() -> Option<Self> {
        let same = COMMON.iter().filter(|name| **name != "wc").chain(&["readlink"]);
        let same: Vec<_> = same.map(|name| (*name, *name)).collect();
        let host = Self::with_programs(&same)?;
        for (name, script, real) in
            [("stat", BSD_STAT, "stat"), ("wc", BSD_WC, "wc"), ("sha256", BSD_SHA256, "sha256sum")]
        {
            host.add(name, &script.replace("REAL", found(real)?.to_str().unwrap()));
        }
        Some(host)
    }

    /// What POSIX has, with a `head` that counts lines alone, and a program for hashes.
    pub(crate) fn with_plain_head() -> Option<Self> {
        let same = COMMON.iter().filter(|name| **name != "head").chain(&["sha256sum"]);
        let host = Self::with_programs(&same.map(|name| (*name, *name)).collect::<Vec<_>>())?;
        let real = found("head")?;
        host.add("head", &format!("#!/bin/sh\n[ \"$1\" != -c ] || exit 1\nexec {} \"$@\"\n", real.display()));
        Some(host)
    }

    /// What POSIX has, and a `find` that can print what it knows, but prints this.
    pub(crate) fn with_listing(listing: &[u8]) -> Self {
        let host = Self::with_programs(&COMMON.map(|name| (name, name))).unwrap();
        let file = host.home.path().join("listing");
        std::fs::write(&file, listing).unwrap();
        host.add("find", &format!("#!/bin/sh\n[ \"$1\" = / ] || /bin/cat '{}'\n", file.display()));
        host
    }

    /// One more program, where this machine's own are not its programs.
    fn add(&self, name: &str, script: &str) {
        let text = self.home.path().join(name);
        std::fs::write(&text, script).unwrap();
        // Another process writes what is run: a copy of our own descriptor, in a process that a test beside this one is
        // just starting, would make it "text file busy".
        let mut install = std::process::Command::new("install");
        assert!(install.args(["-m", "755"]).arg(text).arg(&self.path).status().unwrap().success());
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Where relative paths begin.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Waits until these are all names: what a script removes, it removes when it sees the end.
    pub(crate) async fn settles_at(&self, names: &[&str]) {
        let settled = async {
            while self.names() != names {
                tokio::task::yield_now().await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(60), settled).await;
        assert!(settled.is_ok(), "{:?}", self.names());
    }

    /// A server with this host's commands, and no SFTP.
    pub(crate) fn builder(self: &Arc<Self>) -> Builder {
        let host = Arc::clone(self);
        TestServer::builder().command_fn("*", move |call| {
            let host = Arc::clone(&host);
            async move { host.run(call).await }
        })
    }

    fn prepared(&self, line: &[u8]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.shell);
        command
            .arg("-c")
            .arg(OsStr::from_bytes(line))
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.home.path())
            .envs(self.environment.iter().copied());
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }

    /// Runs it while the paused clock stands still: it gets its input as a whole, `reading` for each 32 KiB, and its end is told when `slow` has passed. A
    /// process of its own that is waited for would have the clock run on to the next timer.
    pub(crate) async fn run_slowly(&self, mut call: Call, reading: Duration, slow: Duration) -> Exit {
        let mut file = tempfile::tempfile().unwrap();
        while let Some(chunk) = call.stdin().chunk().await {
            std::io::Write::write_all(&mut file, &chunk).unwrap();
            tokio::time::sleep(reading * u32::try_from(chunk.len()).unwrap() / 32_768).await;
        }
        std::io::Seek::rewind(&mut file).unwrap();
        let output = self.prepared(call.command()).stdin(file).output().unwrap();
        tokio::time::sleep(slow).await;
        let sent = call.stdout().send(output.stdout).await.is_ok();
        match sent && call.stderr().send(output.stderr).await.is_ok() {
            true => Exit::Code(output.status.code().and_then(|code| u32::try_from(code).ok()).unwrap()),
            false => Exit::Silent,
        }
    }

    pub(crate) async fn serve(self: &Arc<Self>) -> TestServer {
        serve_with(self.builder()).await
    }

    /// As sshd: signals go to the process group, and where the channel is lost it sees the end of its input.
    pub(crate) async fn run(&self, mut call: Call) -> Exit {
        let mut child = Command::from(self.prepared(call.command()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).unwrap();
        let (mut to, mut out, mut err) =
            (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (stdin, stdout, stderr, signals) = call.streams();
        let feed = async {
            while let Some(chunk) = stdin.chunk().await {
                if let Some(open) = &mut to
                    && open.write_all(&chunk).await.is_err()
                {
                    to = None;
                }
            }
            to = None;
            std::future::pending::<()>().await;
        };
        let output = async {
            let one = async {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = out.read(&mut buffer).await {
                    if stdout.send(Bytes::copy_from_slice(&buffer[..count])).await.is_err() {
                        break;
                    }
                    self.sent.fetch_add(count as u64, Ordering::SeqCst);
                }
            };
            let other = async {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = err.read(&mut buffer).await {
                    if stderr.send(Bytes::copy_from_slice(&buffer[..count])).await.is_err() {
                        break;
                    }
                }
            };
            tokio::join!(one, other);
        };
        // KILL comes where a loaded machine was too slow for TERM, and nothing can be tidied up then: left out, so that what
        // these tests see does not depend on the load.
        let deliver = async {
            loop {
                if signals.next().await.name() != "KILL" && !self.is_deaf {
                    let _ = kill_process_group(group, Signo::TERM);
                }
            }
        };
        tokio::select! {
            () = output => {}
            () = feed => {}
            () = deliver => {}
        }
        let status = child.wait().await.unwrap();
        match status.code() {
            Some(code) => Exit::Code(u32::try_from(code).unwrap()),
            None => Exit::signal(rustle_testserver::Signal::new("TERM")),
        }
    }
}

/// Each kind of host that this machine can be; what it lacks is said.
#[allow(clippy::print_stderr, reason = "a test says what it leaves out")]
pub(crate) fn hosts() -> Vec<(&'static str, Arc<Host>)> {
    let plain: Vec<_> = COMMON.iter().map(|name| (*name, *name)).collect();
    let busybox: Vec<_> = COMMON
        .iter()
        .chain(&["stat", "find", "readlink", "realpath", "sha256sum", "sync"])
        .map(|name| (*name, "busybox"))
        .collect();
    let bash: Vec<_> =
        plain.iter().copied().filter(|(name, _)| *name != "sh").chain([("sh", "bash")]).collect();
    let all = [
        ("GNU programs", Some(Host::new())),
        ("POSIX programs alone", Host::with_programs(&plain)),
        ("POSIX programs behind bash as sh", Host::with_programs(&bash)),
        ("BusyBox", Host::with_programs(&busybox)),
        ("a BSD's programs", Host::bsd()),
        ("fish as login shell", Host::with_shell("fish")),
        ("tcsh as login shell", Host::with_shell("tcsh")),
    ];
    all.into_iter()
        .filter_map(|(name, host)| {
            if host.is_none() {
                eprintln!("skipped: this machine has not what it takes for {name}");
            }
            Some((name, Arc::new(host?)))
        })
        .collect()
}

/// What POSIX has.
const COMMON: [&str; 16] = [
    "sh", "cat", "ls", "mkdir", "rmdir", "rm", "mv", "ln", "chmod", "chown", "touch", "dd", "wc", "head",
    "cp", "df",
];

/// `stat [-L] -f FORMAT FILE`: `%p` is the mode with the kind in octal, `%z` the length, `%a` and `%m` times.
const BSD_STAT: &str = r#"#!/bin/sh
link=
while getopts Lf: option
do case $option in L) link=-L;; f) format=$OPTARG;; *) echo "usage: stat [-FLnq] [-f format]" >&2; exit 1;; esac
done
shift $((OPTIND - 1))
known=$(REAL $link -c "%f %s %u %g %X %Y" -- "$1") || exit 1
set -- $known
mode=$(printf "%o" "0x$1")
case $format in
%p) echo "$mode";;
"o%p %z %u %g %a %m") echo "o$mode $2 $3 $4 $5 $6";;
*) echo "stat: $format: bad format" >&2; exit 1;;
esac
"#;

/// Numbers come behind blanks.
const BSD_WC: &str = "#!/bin/sh\n[ \"$*\" = -c ] || exit 1\nprintf '%8d\\n' \"$(REAL -c)\"\n";

/// `-q` is nothing but the hash.
const BSD_SHA256: &str = "#!/bin/sh\n[ \"$*\" = -q ] || exit 1\nset -- $(REAL)\necho \"$1\"\n";

/// A test at each of them.
pub(crate) async fn at_each_host(work: impl AsyncFn(&'static str, &Host, &Files)) {
    for (name, host) in hosts() {
        let server = host.serve().await;
        let files = files_of(&server).await;
        work(name, &host, &files).await;
        drop(files);
        server.stop().await.unwrap();
    }
}

/// Names that quoting, options, listings and substitutions could spoil, and one with every byte that a name can have.
pub(crate) fn odd_names() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let mut names: Vec<Vec<u8>> = [
        "-rf", "--", " ", "a b", "line\n", "\n", "*", "$HOME", "`id`", "'\"\\", "~", "...", ".x", "..x", "!",
        "-", "\\n", "\\0",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(b"caf\xe9".to_vec());
    names.push(all);
    names
}

pub(crate) async fn files_of(server: &TestServer) -> Files {
    Files::open(&login(server).await).await.unwrap()
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|place| place.is_file())
}
