//! A client for SFTP that speaks the protocol's own bytes (draft-ietf-secsh-filexfer-02): the session has none.

use rustle_session::{ChildStdin, ChildStdout, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::served::{LIMIT, Served};

pub(crate) const OPEN: u8 = 3;
pub(crate) const CLOSE: u8 = 4;
pub(crate) const READ: u8 = 5;
pub(crate) const WRITE: u8 = 6;
pub(crate) const STAT: u8 = 17;
pub(crate) const OPENDIR: u8 = 11;
pub(crate) const READDIR: u8 = 12;
pub(crate) const READLINK: u8 = 19;
pub(crate) const SYMLINK: u8 = 20;
pub(crate) const EXTENDED: u8 = 200;
pub(crate) const STATUS: u8 = 101;
pub(crate) const HANDLE: u8 = 102;
pub(crate) const DATA: u8 = 103;
pub(crate) const NAME: u8 = 104;
pub(crate) const ATTRS: u8 = 105;

/// Flags of OPEN: for reading; for writing, made anew.
pub(crate) const FOR_READING: u32 = 1;
pub(crate) const FOR_WRITING: u32 = 2 | 8 | 16;

pub(crate) struct Client {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: rustle_session::Child,
    _session: Session,
    /// What the server said first.
    pub(crate) version: Vec<u8>,
}

impl Client {
    pub(crate) async fn start(server: &Served) -> Self {
        let mut client = Self::begin(server).await;
        client.version = client.packet().await;
        client
    }

    /// With the greeting sent and nothing read.
    pub(crate) async fn begin(server: &Served) -> Self {
        let session = server.session("alice", "wonderland").await;
        let mut child = session.subsystem("sftp").spawn().await.unwrap();
        let (stdin, stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        let mut client = Self { stdin, stdout, _child: child, _session: session, version: Vec::new() };
        client.stdin.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await.unwrap();
        client
    }

    /// So many bytes, whatever they are.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        tokio::time::timeout(LIMIT, self.stdout.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    /// Whether the server ends the stream here.
    pub(crate) async fn ends(&mut self) -> bool {
        let read = tokio::time::timeout(LIMIT, self.stdout.read(&mut [0])).await.unwrap();
        matches!(read, Ok(0) | Err(_))
    }

    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        let read = async {
            let length = self.stdout.read_u32().await.unwrap();
            let mut packet = vec![0; usize::try_from(length).unwrap()];
            self.stdout.read_exact(&mut packet).await.unwrap();
            packet
        };
        tokio::time::timeout(LIMIT, read).await.unwrap()
    }

    /// Sends a request by the number 7.
    pub(crate) async fn send(&mut self, sort: u8, fields: &[&[u8]]) {
        let payload = [&[sort][..], &[0, 0, 0, 7], &fields.concat()].concat();
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.stdin.write_all(&[&length, &payload[..]].concat()).await.unwrap();
    }

    /// Sends a request; gives the answer's sort and what follows the request's number.
    pub(crate) async fn ask(&mut self, sort: u8, fields: &[&[u8]]) -> (u8, Vec<u8>) {
        self.send(sort, fields).await;
        let answer = self.packet().await;
        assert_eq!(answer[1..5], [0, 0, 0, 7]);
        (answer[0], answer[5..].to_vec())
    }

    /// Opens a file; the handle with its length before it, or the number of the refusal.
    pub(crate) async fn open(&mut self, path: &str, flags: u32) -> Result<Vec<u8>, u32> {
        let none = 0u32.to_be_bytes();
        match self.ask(OPEN, &[&text(path), &flags.to_be_bytes(), &none]).await {
            (HANDLE, handle) => Ok(handle),
            (STATUS, status) => Err(number(&status)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn content(&mut self, path: &str) -> Vec<u8> {
        let handle = self.open(path, FOR_READING).await.unwrap();
        let (sort, data) = self.ask(READ, &[&handle, &0u64.to_be_bytes(), &1000u32.to_be_bytes()]).await;
        assert_eq!(sort, DATA);
        self.ask(CLOSE, &[&handle]).await;
        data[4..].to_vec()
    }
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

pub(crate) fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}
