//! The `rustle-connect` program against a real sshd, started as a person starts it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustle_tests::processes::{assert_none_left, with_text};
use rustle_tests::{Bulk, Scratch, Server, Sshd, interop_within, output_of, run, unique_number};

/// Building the program may be part of the first test that needs it.
pub(crate) const WITH_BUILD: Duration = Duration::from_secs(300);

#[test]
fn exec_ends_as_its_command_does() {
    interop_within(WITH_BUILD, |interop| async move {
        let site = Site::new(Server::start(&interop));
        for code in [0, 1, 254, 255] {
            let output = output_of(&mut site.exec(&format!("echo out; echo err >&2; exit {code}")));
            assert_eq!((&output.stdout[..], output.status.code()), (&b"out\n"[..], Some(code)));
            assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n", "code {code}");
        }
        let killed = output_of(&mut site.exec("kill -KILL $$"));
        assert_eq!(killed.status.code(), Some(255), "{killed:?}");
    });
}

#[test]
fn exec_passes_standard_input_and_output_whole() {
    interop_within(WITH_BUILD, |interop| async move {
        let site = Site::new(Server::start(&interop));
        let mut source = Bulk::MIB_10.local();
        let mut exec = site.exec("tee /dev/stderr | sha256sum");
        exec.stdin(source.stdout.take().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = exec.output().unwrap();
        source.wait().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}  -\n", Bulk::MIB_10.sha256()));
        assert_eq!(output.stderr.len() as u64, Bulk::MIB_10.bytes());
    });
}

#[test]
fn exec_into_head_ends_at_once_and_leaves_nothing_behind() {
    interop_within(WITH_BUILD, |interop| async move {
        let site = Site::new(Server::start(&interop));
        for line in ["yes MARKER", "yes MARKER; sleep MARKER", "trap '' TERM PIPE; yes MARKER; sleep MARKER"]
        {
            let marker = format!("1000.{}", unique_number());
            let mut exec = site.exec(&line.replace("MARKER", &marker));
            let mut exec = exec.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let head = Command::new("head").arg("-1").stdin(exec.stdout.take().unwrap()).output().unwrap();
            assert_eq!(head.stdout, format!("{marker}\n").as_bytes());
            let closed = Instant::now();
            wait(&mut exec).await;
            // Whatever waits for the remote process waits a thousand seconds.
            assert!(closed.elapsed() < Duration::from_secs(15), "{line}: {:?}", closed.elapsed());
            assert_none_left(&marker).await;
        }
    });
}

#[test]
fn exec_that_is_terminated_ends_the_remote_process() {
    interop_within(WITH_BUILD, |interop| async move {
        let site = Site::new(Server::start(&interop));
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let marker = format!("1000.{}", unique_number());
            let mut exec = site.exec(&format!("sleep {marker}; true"));
            let mut exec = exec.stdin(Stdio::null()).spawn().unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            // Ours has it among its arguments too; there it stands with the rest of the line.
            while with_text(&format!("^sleep {marker}$")).is_empty() {
                assert!(Instant::now() < deadline, "nothing runs");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            run(Command::new("kill").args(["-s", signal, &exec.id().to_string()]));
            let status = wait(&mut exec).await;
            assert_eq!(status.code(), Some(code), "{status}");
            assert_none_left(&marker).await;
        }
    });
}

#[test]
fn exec_logs_in_by_a_password_file_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;

    interop_within(WITH_BUILD, |interop| async move {
        let sshd = Sshd::builder(interop.sshd()).config("PasswordAuthentication yes").start();
        let folder = Scratch::new();
        let password = folder.write("password", format!("{}\n", interop.account().password()));
        for (mode, is_taken) in [(0o600, true), (0o644, false)] {
            std::fs::set_permissions(&password, PermissionsExt::from_mode(mode)).unwrap();
            let mut program = program_at(&folder, &sshd);
            program.args(["--password-file", password.to_str().unwrap()]);
            let output = output_of(program.args([
                "exec",
                &destination(interop.account().name(), &sshd),
                "--",
                "id",
                "-un",
            ]));
            assert_eq!(output.status.success(), is_taken, "mode {mode:o}: {output:?}");
            if is_taken {
                assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), interop.account().name());
            } else {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("hint:") && !said.contains(interop.account().password()), "{said}");
            }
        }
    });
}

#[test]
fn test_connection_goes_through_every_step() {
    interop_within(WITH_BUILD, |interop| async move {
        let site = Site::new(Server::start(&interop));
        let output = output_of(site.program().args(["test-connection", &site.destination()]));
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for part in ["publickey", "SHA256:", "curve25519-sha256"] {
            assert!(shown.contains(part), "no {part} in:\n{shown}");
        }
    });
}

/// A server and a home folder from which it is reached.
struct Site {
    server: Server,
    home: Scratch,
}

impl Site {
    fn new(server: Server) -> Self {
        Self { server, home: Scratch::new() }
    }

    fn destination(&self) -> String {
        destination(self.server.user(), self.server.sshd())
    }

    fn program(&self) -> Command {
        let mut program = program_at(&self.home, self.server.sshd());
        program.arg("-i").arg(self.server.key().path());
        program
    }

    fn exec(&self, line: &str) -> Command {
        let mut program = self.program();
        program.args(["exec", &self.destination(), "--", line]);
        program
    }
}

pub(crate) fn destination(user: &str, sshd: &Sshd) -> String {
    format!("ssh://{user}@127.0.0.1:{}", sshd.port())
}

/// The program in an empty home, where this server is known.
fn program_at(home: &Scratch, sshd: &Sshd) -> Command {
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd.host_key().public_line());
    let hosts = home.write("hosts", line);
    // Where the tests run in a script's background, signals are ignored, and a program inherits that.
    let mut program = Command::new("env");
    program.args(["--default-signal=HUP,INT,TERM"]).arg(binary());
    program.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
    program.args(["-o", &format!("UserKnownHostsFile={}", hosts.display())]);
    program
}

/// Waits half a minute for the program to end; one that does not is killed and fails the test.
async fn wait(exec: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(status) = exec.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            exec.kill().unwrap();
            exec.wait().unwrap();
            panic!("the program did not end within half a minute");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Builds the program as cargo would for a person, once. `RUSTLE_CONNECT` names one that is built already.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("RUSTLE_CONNECT") {
            return given.into();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "-p", "rustle-connect"]);
        let messages = run(cargo.args(["--message-format", "json"])).stdout;
        let messages = String::from_utf8(messages).unwrap();
        let mut found =
            messages.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
        found.next_back().expect("cargo says where the program is").into()
    })
}
