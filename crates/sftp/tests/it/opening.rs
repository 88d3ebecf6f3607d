//! How a channel begins and ends.

use std::time::Duration;

use bytes::Bytes;
use rustle_sftp::{ErrorKind, Extension, File, Sftp};
use rustle_sftp_proto::{
    ClientPacket, Framer, Handle, Hello, Limits, Reply, Request, ServerPacket, StatusCode,
};
use rustle_sftp_proto::{ExtendedRequest, Extension as Announced, ServerLimits};
use rustle_testserver::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{login, open, serve, serve_with};

/// A server's end of a stream that says what a test has it say.
struct Scripted {
    stream: DuplexStream,
    framer: Framer,
}

impl Scripted {
    fn new() -> (Self, DuplexStream) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        (Self { stream: far, framer: Framer::new(Limits::default()) }, near)
    }

    async fn say(&mut self, packet: ServerPacket) {
        self.stream.write_all(&packet.encode().unwrap().to_bytes()).await.unwrap();
    }

    /// The next packet of the client; `None` when it has ended the stream.
    async fn heard(&mut self) -> Option<ClientPacket> {
        loop {
            if let Some(packet) = self.framer.next_packet().unwrap() {
                return Some(ClientPacket::decode(packet, self.framer.limits()).unwrap());
            }
            let mut bytes = vec![0; 4096];
            let count = self.stream.read(&mut bytes).await.unwrap();
            if count == 0 {
                return None;
            }
            self.framer.push(Bytes::from(bytes).slice(..count));
        }
    }

    /// Answers INIT.
    async fn greet(&mut self, hello: Hello) {
        assert!(matches!(self.heard().await, Some(ClientPacket::Init(_))));
        self.say(ServerPacket::Version(hello)).await;
    }
}

async fn opened(script: impl AsyncFnOnce(&mut Scripted)) -> (rustle_sftp::Result<Sftp>, Scripted) {
    let (mut server, near) = Scripted::new();
    let (reader, writer) = tokio::io::split(near);
    let (sftp, ()) = tokio::join!(Sftp::over(reader, writer), script(&mut server));
    (sftp, server)
}

#[tokio::test]
async fn a_channel_opens_and_closes_and_the_server_s_process_ends() {
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let session = login(&server).await;
    let sftp = Sftp::open(&session).await.unwrap();
    assert!(sftp.has(Extension::PosixRename) && !sftp.is_closed());
    assert_eq!(sftp.limits().await.unwrap().max_read, 255 * 1024);
    let other = sftp.clone();
    sftp.close().await;
    assert!(other.is_closed());
    let gone = |record: &rustle_testserver::Record| record.channels_open() == 0;
    server.wait_until(gone, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn the_last_clone_dropped_ends_the_channel() {
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let session = login(&server).await;
    let sftp = Sftp::open(&session).await.unwrap();
    drop(sftp.clone());
    assert!(sftp.limits().await.is_ok());
    drop(sftp);
    let gone = |record: &rustle_testserver::Record| record.channels_open() == 0;
    server.wait_until(gone, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn what_a_start_up_file_prints_is_shown_and_whose_it_is_said() {
    let noisy = rustle_testserver::Sftp::memory().banner_noise("Welcome to web-1!\n");
    let server = serve(noisy).await;
    let error = Sftp::open(&login(&server).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("Welcome to web-1!"), "{text}");
    assert!(text.contains("start-up file"), "{text}");
}

#[tokio::test]
async fn a_server_without_sftp_says_so() {
    let server = serve_with(TestServer::builder()).await;
    let error = Sftp::open(&login(&server).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_stream_that_ends_before_the_version_is_told_as_that() {
    let (sftp, _server) = opened(async |server| {
        server.heard().await;
        server.stream.shutdown().await.unwrap();
    })
    .await;
    assert_eq!(sftp.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_says_its_version_is_not_waited_for() {
    let (_server, near) = Scripted::new();
    let (reader, writer) = tokio::io::split(near);
    let builder = Sftp::builder().open_timeout(Duration::from_secs(7));
    let error = builder.over(reader, writer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("7 s") && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn the_server_s_limits_are_asked_for_once_and_held_within_our_own() {
    let (sftp, mut server) =
        opened(async |server| server.greet(Hello::new().with(Announced::Limits)).await).await;
    let sftp = sftp.unwrap();
    let Some(ClientPacket::Request { id, request }) = server.heard().await else { panic!("no request") };
    assert_eq!(request, Request::Extended(ExtendedRequest::Limits));
    let said = ServerLimits { max_packet: 34_000, max_read: 1024, max_write: u64::MAX, max_handles: 5 };
    server.say(ServerPacket::Reply { id, reply: Reply::Extended(said.encode()) }).await;
    let limits = sftp.limits().await.unwrap();
    assert_eq!((limits.max_read, limits.max_handles), (1024, 5));
    assert!(limits.max_write <= 1024 * 1024);
    assert_eq!(sftp.limits().await.unwrap(), limits);
}

#[tokio::test]
async fn a_server_without_the_extension_takes_what_all_take() {
    let (sftp, _server) = opened(async |server| server.greet(Hello::new()).await).await;
    let limits = sftp.unwrap().limits().await.unwrap();
    assert_eq!((limits.max_read, limits.max_write), (32 * 1024, 32 * 1024));
}

#[tokio::test]
async fn an_answer_nobody_asked_for_fails_the_channel_by_name() {
    let (sftp, mut server) =
        opened(async |server| server.greet(Hello::new().with(Announced::Limits)).await).await;
    let sftp = sftp.unwrap();
    server.heard().await;
    server.say(ServerPacket::Reply { id: 4_000, reply: StatusCode::OK.into() }).await;
    let error = sftp.limits().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(error.to_string().contains("4000"), "{error}");
    assert!(sftp.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_fails_the_channel_but_not_one_with_nothing_to_say() {
    let (mut server, near) = Scripted::new();
    let (reader, writer) = tokio::io::split(near);
    let builder = Sftp::builder().answer_timeout(Duration::from_secs(60));
    let (sftp, ()) = tokio::join!(builder.over(reader, writer), server.greet(Hello::new()));
    let sftp = sftp.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!sftp.is_closed(), "nothing was asked");

    let (mut server, near) = Scripted::new();
    let (reader, writer) = tokio::io::split(near);
    let (sftp, ()) =
        tokio::join!(builder.over(reader, writer), server.greet(Hello::new().with(Announced::Limits)));
    let sftp = sftp.unwrap();
    let error = sftp.limits().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("60 s"), "{error}");
}

#[tokio::test]
async fn the_server_s_end_fails_whoever_waits() {
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    server.cut_all(rustle_testserver::Cut::Fin);
    assert_eq!(sftp.limits().await.unwrap_err().kind(), ErrorKind::Disconnected);
}

/// A client that was dropped while it opened a file, after the server has heard of that, and the request's number.
async fn dropped_while_it_opens() -> (Scripted, u32) {
    let (sftp, mut server) = opened(async |server| server.greet(Hello::new()).await).await;
    let sftp = sftp.unwrap();
    let id = {
        let opening = std::pin::pin!(File::open(&sftp, "/f"));
        tokio::select! {
            _ = opening => panic!("nobody has answered"),
            heard = server.heard() => match heard {
                Some(ClientPacket::Request { id, request: Request::Open { .. } }) => id,
                other => panic!("{other:?}"),
            },
        }
    };
    (server, id)
}

#[tokio::test]
async fn what_was_opened_for_a_client_that_is_gone_is_closed_before_the_channel_ends() {
    let (mut server, id) = dropped_while_it_opens().await;
    server.say(ServerPacket::Reply { id, reply: Reply::Handle(Handle::new("h")) }).await;
    let Some(ClientPacket::Request { request, .. }) = server.heard().await else {
        panic!("the channel ended")
    };
    assert_eq!(request, Request::Close { handle: Handle::new("h") });
    assert!(server.heard().await.is_none());
}

#[tokio::test]
async fn a_file_that_could_not_be_opened_for_a_client_that_is_gone_ends_the_channel() {
    let (mut server, id) = dropped_while_it_opens().await;
    server.say(ServerPacket::Reply { id, reply: StatusCode::NO_SUCH_FILE.into() }).await;
    assert!(server.heard().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_says_what_it_opened_does_not_keep_the_channel() {
    let (mut server, _) = dropped_while_it_opens().await;
    let begun = tokio::time::Instant::now();
    assert!(server.heard().await.is_none());
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
}
