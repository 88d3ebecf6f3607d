//! A test server that runs as a process, the way to its control, and a client for it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustle_session::{AgentSource, HostSetup, HostSetupBuilder, SecretString, Session};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::host::{Ran, program, spawned, wait};

/// Nothing here takes so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Served {
    pub(crate) announced: Value,
    /// Where its script lies, and where a client's files may.
    pub(crate) directory: TempDir,
    child: Child,
}

/// What the control answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) json: Value,
}

impl Served {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments).await
    }

    /// With a script of this text.
    pub(crate) async fn script(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::script_in(directory, text, &[]).await
    }

    /// With a script of this text beside files that lie there already, and these options.
    pub(crate) async fn script_in(directory: TempDir, text: &str, options: &[&str]) -> Self {
        let path = directory.path().join("script.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        Self::start_in(directory, &[&["--script", &path], options].concat()).await
    }

    async fn start_in(directory: TempDir, arguments: &[&str]) -> Self {
        let mut command = program(&[&["test-server"], arguments].concat());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawned(piped);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("it hangs").unwrap();
        let Some(line) = line else {
            panic!("no announcement: {}", wait(child).await.told());
        };
        Self { announced: serde_json::from_str(&line).unwrap(), directory, child }
    }

    pub(crate) fn told(&self, key: &str) -> &str {
        self.announced[key].as_str().unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        u16::try_from(self.announced["port"].as_u64().unwrap()).unwrap()
    }

    /// Ends standard input, as a parent that goes away does.
    pub(crate) fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Ends standard input, and waits for the server's end.
    pub(crate) async fn end(mut self) -> Ran {
        self.close_input();
        wait(self.child).await
    }

    /// Waits for its end without bringing it about.
    pub(crate) async fn ended(self) -> Ran {
        // Standard input is kept: its end must not be what ends the server.
        let mut child = self.child;
        let stdin = child.stdin.take();
        let ran = wait(child).await;
        drop(stdin);
        ran
    }

    /// Has the control end it, and expects that all is well.
    pub(crate) async fn stop(self) {
        let answer = self.post("/stop", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let ran = self.ended().await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    }

    // ---- the control --------------------------------------------------------------------------

    pub(crate) fn control(&self) -> String {
        self.announced["control"]["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
    }

    pub(crate) fn token(&self) -> &str {
        self.announced["control"]["token"].as_str().unwrap()
    }

    pub(crate) async fn get(&self, place: &str) -> Answer {
        self.request("GET", place, "").await
    }

    pub(crate) async fn post(&self, place: &str, body: &str) -> Answer {
        self.request("POST", place, body).await
    }

    pub(crate) async fn request(&self, method: &str, place: &str, body: &str) -> Answer {
        self.send(self.request_text(method, place, body).into_bytes()).await
    }

    /// A request as it is sent.
    pub(crate) fn request_text(&self, method: &str, place: &str, body: &str) -> String {
        let (address, token, length) = (self.control(), self.token(), body.len());
        format!(
            "{method} {place} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Sends these bytes and reads an answer to its end.
    pub(crate) async fn send(&self, request: Vec<u8>) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.control()).await.unwrap();
            let mut answer = Vec::new();
            let (mut reader, mut writer) = stream.split();
            // What is refused at its head need not be read to its end.
            let send = async { drop(writer.write_all(&request).await) };
            let receive = async { drop(reader.read_to_end(&mut answer).await) };
            tokio::join!(send, receive);
            answer
        };
        let answer = tokio::time::timeout(LIMIT, exchange).await.expect("the control hangs");
        Answer::parse(answer)
    }

    pub(crate) async fn record(&self) -> Value {
        let answer = self.get("/record").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json
    }

    // ---- a client -----------------------------------------------------------------------------

    /// How to log in as this user.
    pub(crate) fn setup(&self, user: &str) -> HostSetupBuilder {
        let known_hosts = self.directory.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("{}\n", self.told("known_hosts"))).unwrap();
        HostSetup::builder(format!("{user}@127.0.0.1"))
            .port(self.port())
            .without_config_files()
            .option(format!("UserKnownHostsFile=\"{}\"", slashed(&known_hosts)))
            .option("GlobalKnownHostsFile=none")
            .option("IdentityFile=none")
            .agent(AgentSource::None)
    }

    /// A session of this user by password.
    pub(crate) async fn session(&self, user: &str, password: &str) -> Session {
        self.setup(user).password(SecretString::from(password)).resolve().unwrap().connect().await.unwrap()
    }

    /// A session of the user whom the server made itself.
    pub(crate) async fn own_session(&self) -> Session {
        let user = &self.announced["users"][0];
        self.session(user["name"].as_str().unwrap(), user["password"].as_str().unwrap()).await
    }
}

impl Answer {
    pub(crate) fn parse(answer: Vec<u8>) -> Self {
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            json: serde_json::from_str(body).unwrap(),
        }
    }
}

/// A path as ssh_config reads one.
pub(crate) fn slashed(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

/// Standard output of a command that went well.
pub(crate) async fn output(session: &Session, line: &str) -> String {
    let output = session.raw(line).output().await.unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output.stdout_text().into_owned()
}

/// The identification line and the first packet, KEXINIT, in which the algorithms stand as text.
pub(crate) async fn hello(server: &Served) -> (String, String) {
    let exchange = async {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        stream.get_mut().write_all(b"SSH-2.0-Test\r\n").await.unwrap();
        let length = stream.read_u32().await.unwrap();
        let mut packet = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut packet).await.unwrap();
        (line, String::from_utf8_lossy(&packet).into_owned())
    };
    tokio::time::timeout(LIMIT, exchange).await.unwrap()
}
