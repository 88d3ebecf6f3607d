//! SFTP of a script, asked in the protocol's own bytes (draft-ietf-secsh-filexfer-02): the session has no client for
//! it.

use rustle_session::{ChildStdin, ChildStdout, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::served::{LIMIT, Served};

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const STAT: u8 = 17;
const READLINK: u8 = 19;
const EXTENDED: u8 = 200;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;

/// Flags of OPEN: for reading; for writing, made anew.
const FOR_READING: u32 = 1;
const FOR_WRITING: u32 = 2 | 8 | 16;

struct Client {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: rustle_session::Child,
    _session: Session,
    /// What the server said first.
    version: Vec<u8>,
}

impl Client {
    async fn start(server: &Served) -> Self {
        let session = server.session("alice", "wonderland").await;
        let mut child = session.subsystem("sftp").spawn().await.unwrap();
        let (stdin, stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        let mut client = Self { stdin, stdout, _child: child, _session: session, version: Vec::new() };
        client.stdin.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await.unwrap();
        client.version = client.packet().await;
        client
    }

    async fn packet(&mut self) -> Vec<u8> {
        let read = async {
            let length = self.stdout.read_u32().await.unwrap();
            let mut packet = vec![0; usize::try_from(length).unwrap()];
            self.stdout.read_exact(&mut packet).await.unwrap();
            packet
        };
        tokio::time::timeout(LIMIT, read).await.unwrap()
    }

    /// Sends a request; gives the answer's sort and what follows the request's number.
    async fn ask(&mut self, sort: u8, fields: &[&[u8]]) -> (u8, Vec<u8>) {
        let payload = [&[sort][..], &[0, 0, 0, 7], &fields.concat()].concat();
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.stdin.write_all(&[&length, &payload[..]].concat()).await.unwrap();
        let answer = self.packet().await;
        assert_eq!(answer[1..5], [0, 0, 0, 7]);
        (answer[0], answer[5..].to_vec())
    }

    /// Opens a file; the handle with its length before it, or the number of the refusal.
    async fn open(&mut self, path: &str, flags: u32) -> Result<Vec<u8>, u32> {
        let none = 0u32.to_be_bytes();
        match self.ask(OPEN, &[&text(path), &flags.to_be_bytes(), &none]).await {
            (HANDLE, handle) => Ok(handle),
            (STATUS, status) => Err(number(&status)),
            other => panic!("{other:?}"),
        }
    }

    async fn content(&mut self, path: &str) -> Vec<u8> {
        let handle = self.open(path, FOR_READING).await.unwrap();
        let (sort, data) = self.ask(READ, &[&handle, &0u64.to_be_bytes(), &1000u32.to_be_bytes()]).await;
        assert_eq!(sort, DATA);
        self.ask(CLOSE, &[&handle]).await;
        data[4..].to_vec()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

#[tokio::test]
async fn files_are_there_as_the_script_says() {
    for serve in ["memory", "directory"] {
        // Real files have none on Windows, where a script that asks for one is refused.
        let mode = if serve == "memory" || cfg!(unix) { "mode = 0o440" } else { "" };
        let script = format!(
            r#"
            {ALICE}
            [sftp]
            serve = "{serve}"
            [[sftp.files]]
            path = "/etc/motd"
            text = "hello"
            {mode}
            [[sftp.files]]
            path = "/bin.dat"
            base64 = "AP8="
            [[sftp.files]]
            path = "/empty"
            directory = true
            "#
        );
        let server = Served::script(&script).await;
        let mut client = Client::start(&server).await;
        assert_eq!(client.content("/etc/motd").await, b"hello", "{serve}");
        assert_eq!(client.content("/bin.dat").await, [0, 255], "{serve}");
        let (sort, attributes) = client.ask(STAT, &[&text("/empty")]).await;
        assert_eq!(sort, ATTRS, "{serve}");
        // Flags, size, owner and group, then the mode.
        assert_eq!(number(&attributes[20..]) & 0o170_000, 0o040_000, "{serve}");
        // Modes of real files are the system's own affair on Windows.
        if serve == "memory" {
            let (_, attributes) = client.ask(STAT, &[&text("/etc/motd")]).await;
            assert_eq!(number(&attributes[20..]), 0o100_440);
        }
        drop(client);
        server.stop().await;
    }
    let link = "files = [{ path = \"/link\", symlink = \"motd\" }]";
    let server = Served::script(&format!("{ALICE}[sftp]\nserve = \"memory\"\n{link}\n")).await;
    let mut client = Client::start(&server).await;
    let (sort, names) = client.ask(READLINK, &[&text("/link")]).await;
    assert_eq!((sort, &names[8..12]), (NAME, &b"motd"[..]));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn sftp_has_the_limits_of_the_script() {
    let script = format!(
        r#"
        {ALICE}
        [sftp]
        serve = "memory"
        quota = "1KiB"
        binary_handles = true
        extensions = ["limits@openssh.com", "fsync@openssh.com"]
        max_packet = "40KiB"
        max_read = "20KiB"
        max_write = "10KiB"
        max_handles = 2
        "#
    );
    let server = Served::script(&script).await;
    let mut client = Client::start(&server).await;
    let version = String::from_utf8_lossy(&client.version).into_owned();
    assert!(version.contains("fsync@openssh.com") && !version.contains("posix-rename"), "{version:?}");
    let (_, limits) = client.ask(EXTENDED, &[&text("limits@openssh.com")]).await;
    let limits: Vec<u64> =
        limits.chunks(8).map(|number| u64::from_be_bytes(number.try_into().unwrap())).collect();
    assert_eq!(limits, [40 * 1024, 20 * 1024, 10 * 1024, 2]);
    let first = client.open("/a", FOR_WRITING).await.unwrap();
    assert!(std::str::from_utf8(&first[4..]).is_err(), "{first:?}");
    let zero = 0u64.to_be_bytes();
    let (_, small) = client.ask(WRITE, &[&first, &zero, &text(&"x".repeat(1000))]).await;
    let (_, large) = client.ask(WRITE, &[&first, &zero, &text(&"x".repeat(2000))]).await;
    assert!(number(&small) == 0 && number(&large) != 0, "{small:?} {large:?}");
    client.open("/b", FOR_WRITING).await.unwrap();
    assert!(client.open("/c", FOR_WRITING).await.is_err());
    drop(client);
    server.stop().await;

    let file = "files = [{ path = \"/a\", text = \"there\" }]";
    let server = Served::script(&format!("{ALICE}[sftp]\nread_only = true\n{file}\n")).await;
    let mut client = Client::start(&server).await;
    assert_eq!(client.content("/a").await, b"there");
    // SSH_FX_PERMISSION_DENIED
    assert_eq!(client.open("/b", FOR_WRITING).await, Err(3));
    drop(client);
    server.stop().await;
}
