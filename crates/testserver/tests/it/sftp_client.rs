//! A small SFTP client for these tests, on the workspace's own codec: it sends what it is told and shows what comes.

use std::collections::VecDeque;

use bytes::Bytes;
use russh::{Channel, ChannelMsg, client::Msg};
use rustle_sftp_proto::{
    Attributes, ClientPacket, ExtendedRequest, Framer, Handle, Hello, Limits, OpenFlags, Reply, Request,
    ServerPacket, StatusCode,
};
use rustle_testserver::{Builder, TestServer};

use crate::client::{Client, LIMIT, alice};

pub(crate) struct RawSftp {
    channel: Channel<Msg>,
    framer: Framer,
    /// Bytes of the stream that are not cut into packets, if [`RawSftp::bytes`] is used.
    received: VecDeque<u8>,
    next: u32,
    exit: Option<u32>,
}

/// The server that these tests talk to, with one user.
pub(crate) async fn serve(builder: Builder) -> TestServer {
    builder.user(alice()).start().await.unwrap()
}

impl RawSftp {
    /// Asks for the subsystem, and says nothing yet.
    pub(crate) async fn silent(client: &Client) -> Self {
        let channel = client.open().await;
        channel.request_subsystem(true, "sftp").await.unwrap();
        let framer = Framer::new(Limits::default().with_max_path(1 << 20));
        Self { channel, framer, received: VecDeque::new(), next: 0, exit: None }
    }

    /// A session on a connection of its own.
    pub(crate) async fn on(server: &TestServer) -> (Client, Self) {
        let client = Client::alice_in_memory(server).await;
        let sftp = Self::open(&client).await;
        (client, sftp)
    }

    /// A session after INIT and VERSION.
    pub(crate) async fn open(client: &Client) -> Self {
        let mut sftp = Self::silent(client).await;
        sftp.hello().await;
        sftp
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        self.send(&ClientPacket::Init(Hello::new())).await;
        match self.packet().await {
            Some(ServerPacket::Version(hello)) => hello,
            other => panic!("no VERSION: {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, packet: &ClientPacket) {
        self.send_bytes(packet.encode().unwrap().to_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: Bytes) {
        self.channel.data_bytes(bytes).await.unwrap();
    }

    /// Sends a request and returns its id.
    pub(crate) async fn ask(&mut self, request: Request) -> u32 {
        self.next += 1;
        self.send(&ClientPacket::Request { id: self.next, request }).await;
        self.next
    }

    /// The next packet, or `None` when the channel is closed.
    pub(crate) async fn packet(&mut self) -> Option<ServerPacket> {
        self.try_packet().await.unwrap()
    }

    /// As [`packet`](Self::packet), with what is wrong with it.
    pub(crate) async fn try_packet(&mut self) -> Result<Option<ServerPacket>, rustle_sftp_proto::Error> {
        loop {
            if let Some(packet) = self.framer.next_packet()? {
                return ServerPacket::decode(packet, self.framer.limits()).map(Some);
            }
            match self.data().await {
                Some(data) => self.framer.push(data),
                None => return Ok(None),
            }
        }
    }

    /// The next so many bytes, not as packets.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            let data = self.data().await.unwrap();
            self.received.extend(data);
        }
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest).into()
    }

    async fn data(&mut self) -> Option<Bytes> {
        loop {
            match tokio::time::timeout(LIMIT, self.channel.wait()).await.unwrap()? {
                ChannelMsg::Data { data } => return Some(data),
                ChannelMsg::ExitStatus { exit_status } => self.exit = Some(exit_status),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    /// The reply to the request sent last.
    pub(crate) async fn reply(&mut self) -> Reply {
        match self.packet().await {
            Some(ServerPacket::Reply { id, reply }) => {
                assert_eq!(id, self.next);
                reply
            }
            other => panic!("no reply: {other:?}"),
        }
    }

    pub(crate) async fn call(&mut self, request: Request) -> Reply {
        self.ask(request).await;
        self.reply().await
    }

    /// The code of the STATUS that answers.
    pub(crate) async fn status(&mut self, request: Request) -> StatusCode {
        match self.call(request).await {
            Reply::Status(status) => status.code(),
            other => panic!("no STATUS: {other:?}"),
        }
    }

    pub(crate) async fn extended(&mut self, request: ExtendedRequest) -> Reply {
        self.call(Request::Extended(request)).await
    }

    pub(crate) async fn handle(&mut self, request: Request) -> Handle {
        match self.call(request).await {
            Reply::Handle(handle) => handle,
            other => panic!("no HANDLE: {other:?}"),
        }
    }

    pub(crate) async fn open_file(&mut self, path: &[u8], flags: OpenFlags) -> Handle {
        self.handle(open(path, flags)).await
    }

    pub(crate) async fn attributes(&mut self, request: Request) -> Attributes {
        match self.call(request).await {
            Reply::Attributes(attributes) => attributes,
            other => panic!("no ATTRS: {other:?}"),
        }
    }

    /// The names of a NAME.
    pub(crate) async fn names(&mut self, request: Request) -> Vec<Bytes> {
        match self.call(request).await {
            Reply::Name(names) => names.iter().map(|name| name.name().clone()).collect(),
            other => panic!("no NAME: {other:?}"),
        }
    }

    pub(crate) async fn data_of(&mut self, request: Request) -> Bytes {
        match self.call(request).await {
            Reply::Data(data) => data,
            other => panic!("no DATA: {other:?}"),
        }
    }

    /// What a file holds.
    pub(crate) async fn content(&mut self, path: &[u8]) -> Vec<u8> {
        let handle = self.open_file(path, OpenFlags::READ).await;
        let mut content = Vec::new();
        loop {
            let read =
                Request::Read { handle: handle.clone(), offset: content.len() as u64, length: 1 << 20 };
            match self.call(read).await {
                Reply::Data(data) => content.extend_from_slice(&data),
                Reply::Status(status) if status.code() == StatusCode::EOF => break,
                other => panic!("no DATA: {other:?}"),
            }
        }
        assert_eq!(self.status(Request::Close { handle }).await, StatusCode::OK);
        content
    }

    /// Waits for the channel's end and says how the server's side exited.
    pub(crate) async fn ended(&mut self) -> Option<u32> {
        while self.data().await.is_some() {}
        self.exit
    }

    pub(crate) async fn eof(&self) {
        self.channel.eof().await.unwrap();
    }
}

pub(crate) fn bytes(text: &[u8]) -> Bytes {
    Bytes::copy_from_slice(text)
}

pub(crate) fn open(path: &[u8], flags: OpenFlags) -> Request {
    Request::Open { path: bytes(path), flags, attributes: Attributes::new() }
}

pub(crate) fn read(handle: &Handle, offset: u64, length: u32) -> Request {
    Request::Read { handle: handle.clone(), offset, length }
}

pub(crate) fn write(handle: &Handle, offset: u64, data: impl Into<Bytes>) -> Request {
    Request::Write { handle: handle.clone(), offset, data: data.into() }
}

pub(crate) fn stat(path: &[u8]) -> Request {
    Request::Stat { path: bytes(path) }
}
