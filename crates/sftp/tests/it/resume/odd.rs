//! What other servers do and this workspace's does not: writes carried out in another order, and a `check-file` of their
//! own understanding.

use std::collections::HashMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use futures_util::FutureExt as _;
use rustle_sftp::{ErrorKind, Proof, Resumed, Sftp, Summary, Transfer};
use rustle_sftp_proto::{
    Attributes, ClientPacket, ExtendedRequest, Extension, FileHashes, Framer, Hello, Limits, NameEntry,
    OpenFlags, Reply, Request, ServerPacket, Status, StatusCode,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{PART, anew};
use crate::here::{Here, content};

/// What may have holes, at the end of a part.
const SPAN: usize = 32 << 20;
const SIZE: usize = SPAN + (9 << 20);
const REMOTE_PART: &[u8] = b"/.app.rustle-part";

#[tokio::test]
async fn what_a_server_that_writes_backwards_and_dies_has_left_becomes_whole() {
    let bytes = content(SIZE);
    let here = Here::new();
    let from = here.file("from", &bytes);
    for check_file in [None, Some(Hashed::AsAsked)] {
        let mut odd =
            Odd { backwards: true, dies_after: Some(SPAN + (4 << 20)), check_file, ..Odd::default() };
        let put = |sftp: &Sftp| sftp.put(&from, "/app").atomic().resume();
        let error = odd.serves(put).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        let part = odd.files[REMOTE_PART].clone();
        let sure = part.len() - SPAN;
        assert!(part[..sure] == bytes[..sure], "a hole is further from the end than may be");
        assert!(part[..] != bytes[..part.len()], "it would have shown nothing without a hole");
        (odd.backwards, odd.dies_after) = (false, None);
        let summary = odd.serves(put).await.unwrap();
        match check_file {
            None => {
                let expected = Resumed::From { from: sure as u64, proof: Proof::Samples };
                assert_eq!(summary.resumed, expected);
            }
            Some(_) => assert!(anew(&summary.resumed, part.len()), "{:?}", summary.resumed),
        }
        assert!(odd.files[&b"/app"[..]] == bytes && odd.files.len() == 1);
    }
}

#[tokio::test]
async fn a_check_file_that_goes_on_to_the_end_proves_nothing_and_refutes_nothing() {
    let bytes = content(SIZE);
    let found = SIZE - (1 << 20);
    let mut changed = bytes[..found].to_vec();
    changed[found / 2] ^= 1;
    for (check_file, part, proof) in [
        (Hashed::AsAsked, &bytes[..found], Some((found, Proof::Sha256))),
        (Hashed::ToTheEnd, &bytes[..found], Some((found - SPAN, Proof::Samples))),
        (Hashed::AsAsked, &changed[..], None),
    ] {
        let here = Here::new();
        here.file(PART, part);
        let mut odd = Odd { check_file: Some(check_file), ..Odd::default() };
        odd.files.insert(Bytes::from_static(b"/source"), bytes.clone());
        let to = here.path("app");
        let summary = odd.serves(|sftp| sftp.get("/source", &to).atomic().resume()).await.unwrap();
        match proof {
            Some((from, proof)) => {
                assert_eq!(summary.resumed, Resumed::From { from: from as u64, proof }, "{check_file:?}");
            }
            None => assert!(anew(&summary.resumed, found), "{:?}", summary.resumed),
        }
        assert!(here.read("app") == bytes, "{check_file:?}");
    }
}

/// What `check-file` hashes.
#[derive(Debug, Clone, Copy)]
enum Hashed {
    AsAsked,
    ToTheEnd,
}

/// A server of files in memory, whose handles are their paths.
#[derive(Default)]
struct Odd {
    files: HashMap<Bytes, Vec<u8>>,
    check_file: Option<Hashed>,
    /// Of the writes that it has got, the last is carried out first.
    backwards: bool,
    /// It is gone when so many bytes are written.
    dies_after: Option<usize>,
    written: usize,
}

impl Odd {
    /// One channel, for one transfer.
    async fn serves(&mut self, transfer: impl FnOnce(&Sftp) -> Transfer) -> rustle_sftp::Result<Summary> {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (reader, writer) = tokio::io::split(near);
        let transferred = async {
            let sftp = Sftp::over(reader, writer).await?;
            let ended = transfer(&sftp).await;
            sftp.close().await;
            ended
        };
        tokio::join!(transferred, self.answer(far)).0
    }

    /// Answers until the client leaves, or this dies.
    async fn answer(&mut self, mut stream: DuplexStream) {
        let mut framer = Framer::new(Limits::default());
        let mut waiting = Vec::new();
        loop {
            let mut next = heard(&mut stream, &mut framer).now_or_never();
            if next.is_none() && !waiting.is_empty() {
                // The client has a turn to ask for more, so that there is something to choose from.
                tokio::task::yield_now().await;
                next = heard(&mut stream, &mut framer).now_or_never();
            }
            let heard = match (next, waiting.pop()) {
                (Some(heard), last) => {
                    waiting.extend(last);
                    heard
                }
                (None, None) => heard(&mut stream, &mut framer).await,
                (None, Some((id, request))) => {
                    let reply = self.reply(request);
                    match self.say(&mut stream, id, reply).await {
                        ControlFlow::Continue(()) => continue,
                        ControlFlow::Break(()) => return,
                    }
                }
            };
            let said = match heard {
                None => return,
                Some(ClientPacket::Init(_)) => {
                    let hello = Hello::new();
                    let hello =
                        if self.check_file.is_some() { hello.with(Extension::CheckFile) } else { hello };
                    let version = ServerPacket::Version(hello).encode().unwrap().to_bytes();
                    stream.write_all(&version).await.unwrap();
                    continue;
                }
                Some(ClientPacket::Request { id, request: request @ Request::Write { .. } })
                    if self.backwards =>
                {
                    waiting.push((id, request));
                    continue;
                }
                Some(ClientPacket::Request { id, request }) => {
                    let reply = self.reply(request);
                    self.say(&mut stream, id, reply).await
                }
            };
            if said.is_break() {
                return;
            }
        }
    }

    async fn say(&self, stream: &mut DuplexStream, id: u32, reply: Reply) -> ControlFlow<()> {
        if self.dies_after.is_some_and(|most| self.written >= most) {
            return ControlFlow::Break(());
        }
        let packet = ServerPacket::Reply { id, reply }.encode().unwrap().to_bytes();
        match stream.write_all(&packet).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn reply(&mut self, request: Request) -> Reply {
        let status = |code| Reply::Status(Status::new(code, ""));
        let missing = status(StatusCode::NO_SUCH_FILE);
        match request {
            Request::Open { path, flags, .. } => {
                let there = self.files.contains_key(&path);
                if there && flags.contains(OpenFlags::EXCLUSIVE) {
                    return status(StatusCode::FAILURE);
                }
                if !there && !flags.contains(OpenFlags::CREATE) {
                    return missing;
                }
                let file = self.files.entry(path.clone()).or_default();
                if flags.contains(OpenFlags::TRUNCATE) {
                    file.clear();
                }
                Reply::Handle(rustle_sftp_proto::Handle::new(path))
            }
            Request::Stat { path } | Request::Lstat { path } => self.attributes(&path).unwrap_or(missing),
            Request::Fstat { handle } => self.attributes(handle.as_bytes()).unwrap_or(missing),
            Request::RealPath { path } => Reply::Name(vec![NameEntry::path(path)]),
            Request::Read { handle, offset, length } => {
                let file = &self.files[handle.as_bytes()];
                let start = usize::try_from(offset).unwrap().min(file.len());
                let end = (start + length as usize).min(file.len());
                match start == end {
                    true => status(StatusCode::EOF),
                    false => Reply::Data(Bytes::copy_from_slice(&file[start..end])),
                }
            }
            Request::Write { handle, offset, data } => {
                let file = self.files.get_mut(handle.as_bytes()).unwrap();
                let start = usize::try_from(offset).unwrap();
                let end = start + data.len();
                file.resize(file.len().max(end), 0);
                file[start..end].copy_from_slice(&data);
                self.written += data.len();
                status(StatusCode::OK)
            }
            Request::Remove { path } => match self.files.remove(&path) {
                Some(_) => status(StatusCode::OK),
                None => missing,
            },
            Request::Rename { from, to } => match self.files.remove(&from) {
                Some(file) => {
                    self.files.insert(to, file);
                    status(StatusCode::OK)
                }
                None => missing,
            },
            Request::Extended(ExtendedRequest::CheckFileHandle { handle, check }) => {
                let file = &self.files[handle.as_bytes()];
                let end = match self.check_file {
                    Some(Hashed::AsAsked) => usize::try_from(check.length).unwrap().min(file.len()),
                    _ => file.len(),
                };
                let hashes = Bytes::copy_from_slice(&Sha256::digest(&file[..end]));
                let hashes = FileHashes { algorithm: Bytes::from_static(b"sha256"), hashes };
                Reply::Extended(hashes.encode().unwrap())
            }
            Request::Close { .. } | Request::FsetStat { .. } => status(StatusCode::OK),
            _ => status(StatusCode::OP_UNSUPPORTED),
        }
    }

    fn attributes(&self, path: &Bytes) -> Option<Reply> {
        let attributes = Attributes::new().with_permissions(0o100_644);
        self.files.get(path).map(|file| Reply::Attributes(attributes.with_size(file.len() as u64)))
    }
}

/// The next packet of the client; `None` when it has ended the stream. Dropped, nothing is lost.
async fn heard(stream: &mut DuplexStream, framer: &mut Framer) -> Option<ClientPacket> {
    loop {
        if let Some(packet) = framer.next_packet().unwrap() {
            return Some(ClientPacket::decode(packet, framer.limits()).unwrap());
        }
        let mut bytes = vec![0; 256 * 1024];
        let count = stream.read(&mut bytes).await.unwrap();
        if count == 0 {
            return None;
        }
        bytes.truncate(count);
        framer.push(Bytes::from(bytes));
    }
}
