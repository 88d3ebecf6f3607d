//! OpenSSH's clients, with nothing of the user's own configuration, keys or agent.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rustle_tests::Scratch;
use rustle_testserver::TestServer;
use tokio::process::{Child, Command};

/// A folder with what the clients of one test need.
pub(crate) struct Home {
    folder: Scratch,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: Scratch::new() }
    }

    pub(crate) fn folder(&self) -> &Scratch {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program of OpenSSH's that is to talk to this server. `login` are its options for logging in.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        program: &str,
        server: &TestServer,
        login: &[A],
    ) -> Command {
        let known_hosts = self.folder.write("known_hosts", server.known_hosts_line());
        let mut command = Command::new(program);
        command
            .arg("-F/dev/null")
            .arg(format!("-oPort={}", server.port()))
            .arg(option("UserKnownHostsFile", &known_hosts))
            .args(["-oGlobalKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=yes"])
            .args(login)
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("DISPLAY")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The environment that has `ssh` ask a program of ours, which knows the answer to each prompt by its end.
    pub(crate) fn answer_prompts(&self, command: &mut Command, answers: &[(&str, &str)]) {
        let cases: String =
            answers.iter().map(|(prompt, answer)| format!("*'{prompt}') echo '{answer}' ;;\n")).collect();
        let text = format!("#!/bin/sh\ncase \"$1\" in\n{cases}*) exit 1 ;;\nesac\n");
        let (text, script) = (self.folder.write("askpass.text", text), self.folder.join("askpass"));
        // Another process writes what is run: a copy of our own descriptor, in a process that a test beside this one
        // is just starting, would make it "text file busy".
        rustle_tests::run(std::process::Command::new("install").args(["-m", "700"]).args([&text, &script]));
        command.env("SSH_ASKPASS", script).env("SSH_ASKPASS_REQUIRE", "force");
    }
}

/// An option that has a path as its value.
pub(crate) fn option(name: &str, path: &Path) -> String {
    format!("-o{name}={}", path.display())
}

/// Runs it to its end, with this as its standard input.
pub(crate) async fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let mut child = spawn(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    let feed = async {
        // A program that ends without reading all of it is judged by how it ends.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input).await;
        drop(stdin);
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    output.unwrap()
}

/// Runs it to its end.
pub(crate) async fn run(command: &mut Command) -> Output {
    command.output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs it to its end, which has to be a good one; gives back its standard output.
pub(crate) async fn succeed(command: &mut Command) -> String {
    let output = run(command).await;
    assert!(output.status.success(), "{}: {}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Starts it.
pub(crate) fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a program wrote, for messages.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
