//! The client libraries: each is driven by a program of its own, which gets a request as one JSON object on its
//! standard input and prints one JSON line for the login, then one for each step.
//!
//! | field of the request | what it holds |
//! |---|---|
//! | `port`, `host_key` | where the server is on 127.0.0.1, and the one host key to trust, as in a `.pub` file |
//! | `user` | whom to log in as |
//! | `login` | `by`: the proofs in their order, of `none`, `key`, `agent`, `password`, `answers`; and each of them: `key` and `certificate` are files, `agent` a socket, `password` a text, `answers` maps each prompt to its answer |
//! | `steps` | what to do then; each has its name in `do` |
//!
//! The login's line is `{"refused": …}`, with nothing after it, or `{"logged_in": true, "rounds": …}` with the prompts
//! of each round. What need not be text is in hex.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustle_testserver::TestServer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::frame::Prepared;

/// A client library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    Asyncssh,
    Paramiko,
    Ssh2,
}

impl Library {
    /// Has the library log in and do the steps. Gives back the line of the login and those of the steps; none where
    /// the library is not on this machine.
    pub(crate) async fn ask(
        self,
        prepared: &Prepared,
        server: &TestServer,
        user: &str,
        login: &Value,
        steps: &[Value],
    ) -> Option<Vec<Value>> {
        let mut conversation = self.start(prepared, server, user, login, steps).await?;
        let mut answers = Vec::new();
        while let Some(answer) = conversation.next_line().await {
            answers.push(answer);
        }
        conversation.end().await;
        Some(answers)
    }

    /// As [`ask`](Self::ask), for a test that has something to do meanwhile.
    pub(crate) async fn start(
        self,
        prepared: &Prepared,
        server: &TestServer,
        user: &str,
        login: &Value,
        steps: &[Value],
    ) -> Option<Conversation> {
        let request = json!({
            "port": server.port(),
            "host_key": server.host_key_openssh().lines().next().unwrap(),
            "user": user,
            "login": login,
            "steps": steps,
        });
        let mut process = self
            .command(prepared)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(request.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Some(Conversation { library: self, process, lines })
    }

    fn command(self, prepared: &Prepared) -> Option<Command> {
        let mut command = match self {
            Self::Asyncssh | Self::Paramiko => Command::new(prepared.python()?),
            Self::Ssh2 => {
                let modules = prepared.node_modules()?;
                let mut node = Command::new("node");
                node.env("NODE_PATH", modules);
                node
            }
        };
        command.arg(self.program()).env_remove("SSH_AUTH_SOCK").env("PYTHONDONTWRITEBYTECODE", "1");
        Some(command)
    }

    fn program(self) -> PathBuf {
        let name = match self {
            Self::Asyncssh => "asyncssh_client.py",
            Self::Paramiko => "paramiko_client.py",
            Self::Ssh2 => "ssh2_client.js",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/programs").join(name)
    }
}

/// A library at work.
pub(crate) struct Conversation {
    library: Library,
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Conversation {
    /// The next line; none at the end.
    pub(crate) async fn next_line(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    /// Asserts that the program ends well.
    pub(crate) async fn end(mut self) {
        let mut said = Vec::new();
        self.process.stderr.take().unwrap().read_to_end(&mut said).await.unwrap();
        let status = self.process.wait().await.unwrap();
        assert!(status.success(), "{:?}: {status}\n{}", self.library, String::from_utf8_lossy(&said));
    }
}

/// The login line of somebody who was let in.
pub(crate) fn assert_let_in(answers: &[Value]) {
    let first = answers.first().expect("a line about the login");
    assert_eq!(first["logged_in"], true, "{first}");
}

/// Bytes for a request.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of an answer.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("not hex: {value}"));
    let digits = |pair| u8::from_str_radix(pair, 16).unwrap();
    (0..text.len()).step_by(2).map(|at| digits(&text[at..at + 2])).collect()
}

/// Bytes of an answer that are text.
pub(crate) fn text(value: &Value) -> String {
    String::from_utf8(bytes(value)).unwrap()
}
