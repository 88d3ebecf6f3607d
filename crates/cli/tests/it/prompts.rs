//! Questions: on a terminal, through `SSH_ASKPASS`, or to nobody.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tokio::process::Command;

use crate::host::{Host, PASSWORD, finish, is_ignored, snapshot, wait};

const EXEC: [&str; 5] = ["exec", "--raw", "web", "--", "echo hello"];

/// A terminal: its near end, and what a program sees of it.
pub(crate) struct Terminal {
    pub(crate) near: File,
    pub(crate) far: File,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        Self { near: File::from(near), far }
    }

    /// Starts the program in a session of its own with this as its terminal; its other streams are pipes.
    pub(crate) fn start(&self, host: &Host, arguments: &[&str]) -> tokio::process::Child {
        self.command(host, arguments).spawn().unwrap()
    }

    /// The same with the terminal as its output as well.
    pub(crate) fn start_showing(&self, host: &Host, arguments: &[&str]) -> tokio::process::Child {
        let mut command = self.command(host, arguments);
        command.env("TERM", "xterm-test").stdout(self.far.try_clone().unwrap());
        command.spawn().unwrap()
    }

    pub(crate) fn command(&self, host: &Host, arguments: &[&str]) -> Command {
        let plain = host.command(arguments);
        let plain = plain.as_std();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(plain.get_program()).args(plain.get_args()).env_clear();
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.stdin(self.far.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Reads what is shown until this is there.
    pub(crate) async fn shows(&self, wanted: &str) -> String {
        let (mut near, wanted) = (self.near.try_clone().unwrap(), wanted.to_owned());
        let (tell, told) = tokio::sync::oneshot::channel();
        // No thread of the runtime's, which would wait for it at its end: a read of what is never shown does not end.
        std::thread::spawn(move || {
            let mut shown = String::new();
            let mut buffer = [0; 1024];
            while !shown.contains(&wanted) {
                let count = near.read(&mut buffer).unwrap();
                shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            // Nobody listens where the time was up.
            let _ = tell.send(shown);
        });
        tokio::time::timeout(std::time::Duration::from_secs(60), told).await.expect("not shown").unwrap()
    }

    pub(crate) fn types(&self, text: &str) {
        (&self.near).write_all(text.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.far).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}

fn askpass(host: &Host, body: &str) -> String {
    host.write(
        "askpass.text",
        &format!("#!/bin/sh\nprintf '%s' \"$1\" > '{}'\n{body}\n", host.path("asked")),
    );
    let (text, program) = (host.path("askpass.text"), host.path("askpass"));
    // Another process writes what is run: a copy of our own descriptor, in a process that a test beside this one is just
    // starting, would make it "text file busy".
    let copied = std::process::Command::new("install").args(["-m", "700", &text, &program]).status();
    assert!(copied.unwrap().success());
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_on_the_terminal_and_not_shown() {
    let host = Host::start().await;
    let terminal = Terminal::open();
    let child = terminal.start(&host, &EXEC);
    let mut shown = terminal.shows("assword: ").await;
    assert!(!terminal.echoes());
    terminal.types(&format!("{PASSWORD}\n"));
    shown.push_str(&terminal.shows("\n").await);
    terminal.types("\u{4}");
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "hello\n", ""));
    assert!(terminal.echoes());
    assert!(!shown.contains(PASSWORD), "{shown:?}");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_asked_for_again() {
    let host = Host::start().await;
    let terminal = Terminal::open();
    let child = terminal.start(&host, &["exec", "-n", "--raw", "web", "--", "echo hello"]);
    terminal.shows("assword: ").await;
    terminal.types("wrong\n");
    terminal.shows("assword: ").await;
    terminal.types(&format!("{PASSWORD}\n"));
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "hello\n"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_echoes_again_after_an_interrupt() {
    if is_ignored(rustix::process::Signal::INT) {
        return;
    }
    let host = Host::start().await;
    let terminal = Terminal::open();
    let child = terminal.start(&host, &EXEC);
    terminal.shows("assword: ").await;
    assert!(!terminal.echoes());
    // Ctrl-C, as a person presses it.
    terminal.types("\u{3}");
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(130), "", ""));
    assert!(terminal.echoes());
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_asked_about_and_written_down() {
    let host = Host::start().await;
    host.write("known_hosts", "");
    let password = host.path("password");
    let terminal = Terminal::open();
    let arguments = ["exec", "-n", "--password-file", &password, "--raw", "web", "--", "echo hello"];
    let child = terminal.start(&host, &arguments);
    let mut shown = terminal.shows("fingerprint)? ").await;
    terminal.types("maybe\n");
    shown.push_str(&terminal.shows("fingerprint)? ").await);
    terminal.types("yes\n");
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "hello\n", ""));
    assert_eq!(std::fs::read_to_string(host.path("known_hosts")).unwrap(), host.server.known_hosts_line());
    snapshot!("prompt_host_key", host.normal(&shown.replace("\r\n", "\n")));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_that_ssh_askpass_names_is_asked() {
    let host = Host::start().await;
    let program = askpass(&host, &format!("echo {PASSWORD}"));
    let mut command = host.command(&EXEC);
    command.env("SSH_ASKPASS", &program).env("SSH_ASKPASS_REQUIRE", "force");
    let ran = finish(command, b"").await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "hello\n", ""));
    let asked = std::fs::read_to_string(host.path("asked")).unwrap();
    assert!(asked.contains("test@") && asked.to_lowercase().contains("password"), "{asked}");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_declines_ends_it() {
    let host = Host::start().await;
    let program = askpass(&host, "exit 1");
    let mut command = host.command(&EXEC);
    command.env("SSH_ASKPASS", &program).env("SSH_ASKPASS_REQUIRE", "force");
    let ran = finish(command, b"").await;
    snapshot!("prompt_declined", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_to_ask_it_says_so() {
    let host = Host::start().await;
    let plain = host.command(&EXEC);
    let plain = plain.as_std();
    // A session of its own has no terminal.
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(plain.get_program()).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let ran = finish(command, b"").await;
    snapshot!("prompt_nobody", host.told(&ran));
    host.server.stop().await.unwrap();
}
