//! A host to connect to, with everything that a user of it would have: configuration, known hosts, password file.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustle_testserver::{Builder, Sftp, TestServer, User};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// The password of the user `test` on every server here.
pub(crate) const PASSWORD: &str = "wonderland";

/// No run of the program takes so long; one that does is hanging.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Host {
    pub(crate) server: TestServer,
    directory: TempDir,
}

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Host {
    /// A server with built-in commands, whose key is known and whose name is `web`.
    pub(crate) async fn start() -> Self {
        Self::with(TestServer::builder().builtins()).await
    }

    /// The same with a server of this sort.
    pub(crate) async fn with(builder: Builder) -> Self {
        let server = builder.user(User::new("test").password(PASSWORD)).start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let host = Self { server, directory };
        host.write("known_hosts", &host.server.known_hosts_line());
        host.write("password", &format!("{PASSWORD}\n"));
        let port = host.server.port();
        host.write(
            "config",
            &format!(
                "Host web\n HostName 127.0.0.1\n Port {port}\n User test\n\
                 Host *\n UserKnownHostsFile \"{}\"\n GlobalKnownHostsFile none\n IdentityAgent none\n",
                host.path("known_hosts")
            ),
        );
        host
    }

    /// One with built-in commands that serves these files, and here an empty directory `here`.
    pub(crate) async fn serving(files: Sftp) -> Self {
        let host = Self::with(TestServer::builder().builtins().sftp(files)).await;
        std::fs::create_dir(host.path("here")).unwrap();
        host
    }

    pub(crate) fn path(&self, name: &str) -> String {
        // ssh_config reads a backslash as an escape.
        self.directory.path().join(name).display().to_string().replace('\\', "/")
    }

    /// Writes a file that nobody else can read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
    }

    /// The text of a file of this side.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The text of a file that the server serves, where it has one.
    pub(crate) fn there(&self, path: &str) -> Option<String> {
        self.server.sftp_content(path).ok().map(|content| String::from_utf8(content).unwrap())
    }

    #[cfg(unix)]
    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        set_mode(&self.directory.path().join(name), mode);
    }

    /// The program with these arguments, this host's configuration, and nothing of whoever runs the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.env("HOME", self.directory.path()).env("USERPROFILE", self.directory.path());
        command.env("RUSTLE_SSH_CONFIG", self.path("config"));
        command
    }

    /// Waits until the fault of the server has struck.
    #[cfg(target_os = "linux")]
    pub(crate) async fn is_struck(&self) {
        let deadline = std::time::Instant::now() + LIMIT;
        while self.server.faults_fired() == 0 {
            assert!(std::time::Instant::now() < deadline, "the fault never struck");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs the program with the password of this host and no input.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, b"").await
    }

    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let password = self.path("password");
        let mut all = vec!["--password-file", password.as_str()];
        all.extend(arguments);
        finish(self.command(&all), input).await
    }

    /// Standard error, or any text, without what differs from run to run.
    pub(crate) fn normal(&self, text: &str) -> String {
        let port = self.server.port().to_string();
        let directory = self.path("");
        text.replace(&directory, "DIR/").replace(&directory.replace('/', "\\"), "DIR/").replace(&port, "PORT")
    }

    /// `exit code`, `stdout` and `stderr` in one text, for a snapshot.
    pub(crate) fn told(&self, ran: &Ran) -> String {
        self.normal(&ran.told())
    }
}

impl Ran {
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn told(&self) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        format!("exit code: {code}\n--- stdout\n{stdout}--- stderr\n{}", self.stderr)
    }
}

/// The program, with an environment in which nobody's own files are found.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().kill_on_drop(true);
    // What a process needs to start at all, and where temporary files go.
    for name in ["PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "WINEPREFIX"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) async fn finish(mut command: Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawned(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let feed = async {
        // A program that ends early need not read it all.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let ((), output) = tokio::join!(feed, wait(child));
    output
}

/// Starts it. Wine now and then says that it could not, for an error of its own that is gone the next time.
pub(crate) fn spawned(command: &mut Command) -> Child {
    const INTERNAL_ERROR: i32 = 1359;
    for _ in 0..5 {
        match command.spawn() {
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(INTERNAL_ERROR) => {}
            spawned => return spawned.unwrap(),
        }
    }
    command.spawn().unwrap()
}

/// Waits for a program that was started with its output captured.
pub(crate) async fn wait(child: Child) -> Ran {
    let output: Output =
        tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("it hangs").unwrap();
    Ran {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("messages are text").replace("\r\n", "\n"),
    }
}

/// Whether the tests run where this signal is ignored (`nohup`, a script's background): what they start ignores it
/// too, as it should.
#[cfg(unix)]
#[expect(clippy::print_stdout, reason = "a test that skips itself says so")]
pub(crate) fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let ignored = mask >> (signal.as_raw() - 1) & 1 == 1;
    if ignored {
        println!("skipped: signal {} is ignored here", signal.as_raw());
    }
    ignored
}

/// A snapshot without the times, fingerprints and keys in it.
macro_rules! snapshot {
    ($name:literal, $text:expr) => {
        insta::with_settings!({ filters => crate::host::FILTERS.to_vec() }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}
pub(crate) use snapshot;

pub(crate) const FILTERS: [(&str, &str); 10] = [
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:FINGERPRINT"),
    (r"AAAA[A-Za-z0-9+/=]{40,}", "KEY"),
    (r"(known_hosts:)\d+", "${1}LINE"),
    (r" *\d+\.\d ms", " TIME"),
    (r"in \d+\.\d+ s, [0-9.]+ [KMG]?i?B/s", "in TIME, RATE"),
    (r"(_ms|per_second|ms|\x22ms)\x22:\d+(\.\d+)?", "${1}\":TIME"),
    (r"crypto: pure Rust: \w+", "crypto: BACKEND"),
    (r"pure Rust: \w+", "BACKEND"),
    (r"(aes256-gcm|aes128-gcm|chacha20-poly1305)@openssh\.com", "CIPHER"),
    (r"rustle-connect\.exe", "rustle-connect"),
];

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

/// The program under test: where cargo says, or, for a cargo that does not say, where it puts it.
fn binary() -> std::path::PathBuf {
    option_env!("CARGO_BIN_EXE_rustle-connect").map_or_else(
        || {
            let this = std::env::current_exe().unwrap();
            let folder = this.parent().and_then(Path::parent).unwrap();
            folder.join(format!("rustle-connect{}", std::env::consts::EXE_SUFFIX))
        },
        std::path::PathBuf::from,
    )
}
