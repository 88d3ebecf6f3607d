//! What a client may not send, or not so much of, to the server's own SFTP engine.

use bytes::Bytes;
use rustle_sftp_proto::{
    ClientPacket, ExtendedRequest, Extension, OpenFlags, Reply, Request, ServerLimits, StatusCode,
};
#[cfg(unix)]
use rustle_testserver::LinkOrder;
use rustle_testserver::{ErrorKind, Exit, Sftp, SftpEngine, TestServer};

use crate::{
    client::{Client, LIMIT},
    sftp_client::{RawSftp, bytes, open, read, serve, stat, write},
};

const BOTH: OpenFlags = OpenFlags::new(0x03);

#[tokio::test]
async fn limits_are_told_and_kept() {
    let sftp = Sftp::memory().file("/f", vec![7; 1000]).max_read(100).max_write(50).max_handles(2);
    let server = serve(TestServer::builder().sftp(sftp.max_packet(34_000))).await;
    let (client, mut sftp) = RawSftp::on(&server).await;
    let Reply::Extended(body) = sftp.extended(ExtendedRequest::Limits).await else { panic!() };
    let told = ServerLimits { max_packet: 34_000, max_read: 100, max_write: 50, max_handles: 2 };
    assert_eq!(ServerLimits::decode(body).unwrap(), told);

    let handle = sftp.open_file(b"/f", BOTH).await;
    assert_eq!(sftp.data_of(read(&handle, 0, 500)).await.len(), 100);
    assert_eq!(sftp.status(write(&handle, 0, vec![1; 50])).await, StatusCode::OK);
    assert_eq!(sftp.status(write(&handle, 0, vec![1; 51])).await, StatusCode::FAILURE);
    sftp.handle(Request::OpenDir { path: bytes(b"/") }).await;
    assert_eq!(sftp.status(open(b"/f", OpenFlags::READ)).await, StatusCode::FAILURE);
    assert_eq!(sftp.status(Request::Close { handle }).await, StatusCode::OK);
    sftp.open_file(b"/f", OpenFlags::READ).await;

    sftp.ask(stat(&[b'a'; 34_000])).await;
    assert_eq!(sftp.ended().await, Some(11), "as OpenSSH exits after a packet that is too long");
    drop(client);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn file_data_has_its_place_in_small_packets_too() {
    let sftp = Sftp::memory().file("/f", vec![7; 100_000]).max_packet(34_000);
    let server = serve(TestServer::builder().sftp(sftp)).await;
    let (_client, mut sftp) = RawSftp::on(&server).await;
    let Reply::Extended(body) = sftp.extended(ExtendedRequest::Limits).await else { panic!() };
    let told = ServerLimits::decode(body).unwrap();
    assert_eq!((told.max_read, told.max_write), (32_976, 32_976));
    let handle = sftp.open_file(b"/f", BOTH).await;
    assert_eq!(sftp.data_of(read(&handle, 0, 50_000)).await.len(), 32_976);
    assert_eq!(sftp.status(write(&handle, 0, vec![1; 32_976])).await, StatusCode::OK);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nonsense_ends_the_session_as_with_openssh() {
    let server = serve(TestServer::builder().sftp(Sftp::memory())).await;
    let client = Client::alice_in_memory(&server).await;
    let mut early = RawSftp::silent(&client).await;
    early.ask(stat(b"/")).await;
    assert_eq!(early.ended().await, Some(255), "a request before INIT");

    let mut short = RawSftp::open(&client).await;
    short.send_bytes(Bytes::from_static(b"\0\0\0\x0c\x11\0\0\0\x01\0\0\0\x09abc")).await;
    assert_eq!(short.ended().await, Some(255), "a packet that ends too early");

    let mut ended = RawSftp::open(&client).await;
    ended.ask(stat(b"/")).await;
    ended.eof().await;
    assert!(matches!(ended.reply().await, Reply::Attributes(_)), "what came before the end is answered");
    assert_eq!(ended.ended().await, Some(0));
    assert_eq!(server.record().commands()[2].exit(), Some(&Exit::Code(0)));

    for greeted in [false, true] {
        let mut empty = RawSftp::silent(&client).await;
        if greeted {
            empty.hello().await;
        }
        empty.send_bytes(Bytes::from_static(b"\0\0\0\0\0\0\0\x05\x01\0\0\0\x03")).await;
        assert_eq!(empty.ended().await, Some(255), "a packet without a type");
    }
    server.stop().await.unwrap();
}

/// An extended request with nothing behind the name.
fn bare(extension: Extension) -> Request {
    Request::Extended(ExtendedRequest::Unknown {
        name: bytes(extension.name().as_bytes()),
        data: Bytes::new(),
    })
}

#[tokio::test]
async fn the_body_for_an_extension_that_is_switched_off_is_not_read() {
    let off = Sftp::memory().extensions(["limits@openssh.com"]);
    let server = serve(TestServer::builder().sftp(off)).await;
    let (client, mut sftp) = RawSftp::on(&server).await;
    for extension in Extension::ALL.into_iter().filter(|extension| *extension != Extension::Limits) {
        assert_eq!(sftp.status(bare(extension)).await, StatusCode::OP_UNSUPPORTED, "{extension}");
    }
    // What is no extension at all is as wrong as ever.
    sftp.send_bytes(Bytes::from_static(b"\0\0\0\x0c\xc8\0\0\0\x01\0\0\0\x09abc")).await;
    assert_eq!(sftp.ended().await, Some(255));
    drop(client);
    server.stop().await.unwrap();

    let server = serve(TestServer::builder().sftp(Sftp::memory().read_only())).await;
    let (client, mut sftp) = RawSftp::on(&server).await;
    assert_eq!(sftp.status(bare(Extension::Fsync)).await, StatusCode::PERMISSION_DENIED);
    sftp.ask(bare(Extension::StatVfs)).await;
    assert_eq!(sftp.ended().await, Some(255), "one that is switched on");
    drop(client);
    server.stop().await.unwrap();
}

/// Requests by the thousand, and nobody who takes the replies.
#[tokio::test(start_paused = true)]
async fn a_session_whose_replies_nobody_takes_ends() {
    let tree = Sftp::memory().file("/f", vec![7; 255 * 1024]);
    let server = serve(TestServer::builder().sftp(tree).max_unread(64 << 10)).await;
    let (client, mut sftp) = RawSftp::on(&server).await;
    let handle = sftp.open_file(b"/f", OpenFlags::READ).await;
    let request = |id| ClientPacket::Request { id, request: read(&handle, 0, 255 * 1024) };
    let asked: Vec<u8> =
        (0..10_000).flat_map(|id| request(id).encode().unwrap().to_bytes().to_vec()).collect();
    assert!(asked.len() > 256 << 10);
    sftp.send_bytes(asked.into()).await;
    // The session is gone with its file.
    server.wait_until(|record| record.handles_left() == 1, LIMIT).await.unwrap();
    // The client finds the channel closed, behind what was on its way, and the connection as it was.
    assert_eq!(sftp.ended().await, None);
    assert_eq!(server.record().channels_open(), 0);
    let mut next = RawSftp::open(&client).await;
    assert!(matches!(next.call(stat(b"/f")).await, Reply::Attributes(_)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_be_kept_are_errors_of_start() {
    let independent = |sftp: Sftp| sftp.engine(SftpEngine::Independent);
    let cases = [
        (Sftp::memory().without_extension("x@y"), "\"x@y\" is no SFTP extension"),
        (Sftp::memory().extensions(["check-file"]), "\"check-file\" is no SFTP extension of OpenSSH"),
        (Sftp::temp_dir().quota(1), "needs Sftp::memory()"),
        (Sftp::temp_dir().umask(0), "needs Sftp::memory()"),
        (Sftp::temp_dir().clock(std::time::SystemTime::now), "needs Sftp::memory()"),
        (independent(Sftp::memory()), "needs a directory"),
        (independent(Sftp::temp_dir().max_read(1)), "has no settings"),
        (independent(Sftp::temp_dir().read_only()), "has no settings"),
        (Sftp::memory().file("/a", "").file("/a/b", ""), "SFTP entry \"/a/b\""),
        (Sftp::memory().max_read(0), "Sftp::max_read(0)"),
        (Sftp::memory().max_write(0), "Sftp::max_write(0)"),
        (Sftp::memory().max_handles(0), "Sftp::max_handles(0)"),
        (Sftp::memory().max_packet(33_999), "Sftp::max_packet(33999)"),
        (Sftp::memory().max_read(262_136), "Sftp::max_read(262136): a packet of 262144 bytes carries 262135"),
        (
            Sftp::memory().max_write(262_115),
            "Sftp::max_write(262115): a packet of 262144 bytes carries 262114",
        ),
        (Sftp::memory().max_packet(2 << 20).max_read((1 << 20) + 1), "Sftp::max_read(1048577)"),
    ];
    for (sftp, expected) in cases {
        let error = TestServer::builder().sftp(sftp).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let missing = Sftp::directory("/there/is/no/such/directory");
    assert_eq!(TestServer::builder().sftp(missing).start().await.unwrap_err().kind(), ErrorKind::Io);
    for kept in [Sftp::memory().max_read(262_135), Sftp::memory().max_write(262_114)] {
        TestServer::builder().sftp(kept).start().await.unwrap().stop().await.unwrap();
    }
}

/// The longest READ and the longest WRITE that a packet of the server's carries do go through.
#[tokio::test]
async fn the_longest_read_and_write_fill_a_packet() {
    let tree = Sftp::memory().file("/f", vec![7; 300_000]).max_read(262_135).max_write(262_114);
    let server = serve(TestServer::builder().sftp(tree.binary_handles())).await;
    let (_client, mut sftp) = RawSftp::on(&server).await;
    let handle = sftp.open_file(b"/f", BOTH).await;
    assert_eq!(sftp.data_of(read(&handle, 0, 300_000)).await.len(), 262_135);
    assert_eq!(sftp.status(write(&handle, 0, vec![1; 262_114])).await, StatusCode::OK);
    sftp.ask(write(&handle, 0, vec![1; 262_115])).await;
    assert_eq!(sftp.ended().await, Some(11));
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_symlink_is_made_in_the_order_that_was_set_by_both_engines() {
    for engine in [SftpEngine::Native, SftpEngine::Independent] {
        for order in [None, Some(LinkOrder::OpenSsh), Some(LinkOrder::Draft)] {
            let files = Sftp::temp_dir().engine(engine);
            let files = match order {
                Some(order) => files.link_order(order),
                None => files,
            };
            let server = serve(TestServer::builder().sftp(files)).await;
            let (_client, mut sftp) = RawSftp::on(&server).await;
            let (target, link) = match order {
                Some(LinkOrder::Draft) => ("second", "first"),
                _ => ("first", "second"),
            };
            // The codec puts what it calls the target first on the wire.
            let made = Request::Symlink { target: bytes(b"first"), link: bytes(b"second") };
            assert_eq!(sftp.status(made).await, StatusCode::OK, "{engine:?} {order:?}");
            let found = std::fs::read_link(server.directory().join(link)).unwrap();
            assert_eq!(found, std::path::Path::new(target), "{engine:?} {order:?}");
            server.stop().await.unwrap();
        }
    }
}

/// Nobody writes to the pipe: an engine that waited for somebody would never answer.
#[cfg(unix)]
#[tokio::test]
async fn neither_engine_waits_at_a_pipe() {
    for engine in [SftpEngine::Native, SftpEngine::Independent] {
        let server = serve(TestServer::builder().sftp(Sftp::temp_dir().engine(engine))).await;
        let pipe = server.directory().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (_client, mut sftp) = RawSftp::on(&server).await;
        let sized = rustle_sftp_proto::Attributes::new().with_size(0);
        let requests = [
            open(b"/pipe", OpenFlags::READ),
            open(b"/pipe", OpenFlags::WRITE),
            Request::SetStat { path: bytes(b"/pipe"), attributes: sized },
        ];
        for request in requests {
            let answer = tokio::time::timeout(LIMIT, sftp.call(request)).await.unwrap();
            assert!(matches!(answer, Reply::Status(_)), "{engine:?}: {answer:?}");
        }
        assert!(matches!(sftp.call(stat(b"/")).await, Reply::Attributes(_)), "the session goes on");
        server.stop().await.unwrap();
    }
}
