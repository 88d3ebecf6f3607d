//! The server's own SFTP engine: byte exact, and as OpenSSH's server in its answers.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rustle_sftp_proto::{
    Attributes, ClientPacket, ExtendedRequest, Extension, FileSystem, Handle, Hello, OpenFlags, OwnerNames,
    Reply, Request, StatusCode,
};
use rustle_testserver::{Sftp, SftpEntry, TestServer, User};

use crate::{
    client::{Client, LIMIT, alice},
    sftp_client::{RawSftp, bytes, open, read, serve, stat, write},
};

const NEW: OpenFlags = OpenFlags::new(0x1a);

async fn memory(sftp: Sftp) -> (TestServer, Client, RawSftp) {
    let server = serve(TestServer::builder().sftp(sftp)).await;
    let (client, sftp) = RawSftp::on(&server).await;
    (server, client, sftp)
}

#[tokio::test]
async fn names_and_handles_are_bytes() {
    let (server, _client, mut sftp) = memory(Sftp::memory().file(b"/\xff\xfe", "one").binary_handles()).await;
    let handle = sftp.open_file(b"/dir\x80", NEW).await;
    assert!(std::str::from_utf8(handle.as_bytes()).is_err(), "{handle:?}");
    assert_eq!(sftp.status(write(&handle, 0, "two")).await, StatusCode::OK);
    assert_eq!(sftp.status(Request::Close { handle }).await, StatusCode::OK);
    assert_eq!(sftp.content(b"/dir\x80").await, b"two");
    assert_eq!(server.sftp_content(b"/dir\x80").unwrap(), b"two");
    let missing = server.sftp_content("/none").unwrap_err();
    assert_eq!(missing.to_string(), "the file \"/none\" that SFTP serves: no such file or directory");
    assert_eq!(sftp.content(b"\xff\xfe").await, b"one");

    let listing = sftp.handle(Request::OpenDir { path: bytes(b"/") }).await;
    let mut names = sftp.names(Request::ReadDir { handle: listing.clone() }).await;
    names.sort();
    assert_eq!(names, [&b"."[..], b"..", b"dir\x80", b"\xff\xfe"]);
    assert_eq!(sftp.status(Request::ReadDir { handle: listing }).await, StatusCode::EOF);
    server.stop().await.unwrap();
}

/// Until then a client that takes them for text does not notice.
#[tokio::test]
async fn the_129th_handle_is_no_text_as_with_openssh() {
    let (server, _client, mut sftp) = memory(Sftp::memory().file("/f", "x")).await;
    let mut handles = Vec::new();
    for _ in 0..129 {
        handles.push(sftp.open_file(b"/f", OpenFlags::READ).await);
    }
    let is_text = |handle: &Handle| std::str::from_utf8(handle.as_bytes()).is_ok();
    assert_eq!(handles.iter().position(|handle| !is_text(handle)), Some(128));
    for handle in handles {
        assert_eq!(sftp.data_of(read(&handle, 0, 1)).await, "x");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn stale_and_foreign_handles_are_refused() {
    let (server, client, mut sftp) = memory(Sftp::memory().file("/f", "x")).await;
    let mut other = RawSftp::open(&client).await;
    let foreign = other.open_file(b"/f", OpenFlags::READ).await;
    let mine = sftp.open_file(b"/f", OpenFlags::READ).await;
    assert_ne!(mine, foreign);
    assert_eq!(sftp.status(read(&foreign, 0, 1)).await, StatusCode::FAILURE);
    assert_eq!(sftp.data_of(read(&mine, 0, 1)).await, "x");
    assert_eq!(sftp.status(Request::Close { handle: mine.clone() }).await, StatusCode::OK);
    let again = sftp.open_file(b"/f", OpenFlags::READ).await;
    assert_ne!(mine, again, "a handle was given twice");
    assert_eq!(sftp.status(read(&mine, 0, 1)).await, StatusCode::FAILURE);
    assert_eq!(sftp.status(Request::Fstat { handle: mine.clone() }).await, StatusCode::FAILURE);
    // OpenSSH finds nothing to close.
    assert_eq!(sftp.status(Request::Close { handle: mine }).await, StatusCode::NO_SUCH_FILE);
    let far_too_long = Handle::new(vec![0; 257]);
    assert_eq!(sftp.status(read(&far_too_long, 0, 1)).await, StatusCode::FAILURE);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sixty_four_full_requests_in_flight_are_answered_in_order() {
    let (server, _client, mut sftp) = memory(Sftp::memory()).await;
    let handle = sftp.open_file(b"/f", NEW | OpenFlags::READ).await;
    const PIECE: usize = 255 * 1024;
    let piece = |n: usize| Bytes::from(vec![u8::try_from(n).unwrap(); PIECE]);
    let first = u32::try_from(1 + 1).unwrap();
    for n in 0..64 {
        sftp.ask(write(&handle, (n * PIECE) as u64, piece(n))).await;
    }
    for n in 0..64 {
        let Some(rustle_sftp_proto::ServerPacket::Reply { id, reply: Reply::Status(status) }) =
            sftp.packet().await
        else {
            panic!("no STATUS")
        };
        assert_eq!((id, status.code()), (first + n, StatusCode::OK));
    }
    for n in 0..64 {
        sftp.ask(read(&handle, (n * PIECE) as u64, u32::try_from(PIECE).unwrap())).await;
    }
    for n in 0..64 {
        let Some(rustle_sftp_proto::ServerPacket::Reply { reply: Reply::Data(data), .. }) =
            sftp.packet().await
        else {
            panic!("no DATA")
        };
        assert!(data == piece(n), "piece {n} is not what was written");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn failures_have_the_codes_of_openssh() {
    let (server, _client, mut sftp) =
        memory(Sftp::memory().file("/f", "x").file("/d/inner", "").symlink("/loop", "loop").quota(1 << 20))
            .await;
    let f = || bytes(b"/f");
    let cases = [
        (open(b"/none", OpenFlags::READ), StatusCode::NO_SUCH_FILE),
        (open(b"/f/below", OpenFlags::READ), StatusCode::NO_SUCH_FILE),
        (stat(b"/loop"), StatusCode::NO_SUCH_FILE),
        (open(b"/f", NEW | OpenFlags::EXCLUSIVE), StatusCode::FAILURE),
        (open(b"/d", OpenFlags::READ), StatusCode::FAILURE),
        (Request::MkDir { path: f(), attributes: Attributes::new() }, StatusCode::FAILURE),
        (Request::RmDir { path: bytes(b"/d") }, StatusCode::FAILURE),
        (Request::RmDir { path: f() }, StatusCode::NO_SUCH_FILE),
        (Request::Remove { path: bytes(b"/d") }, StatusCode::FAILURE),
        (Request::Rename { from: bytes(b"/d/inner"), to: f() }, StatusCode::FAILURE),
        (Request::ReadLink { path: f() }, StatusCode::BAD_MESSAGE),
        (stat(&[b'a'; 300]), StatusCode::BAD_MESSAGE),
        (stat(&vec![b'a'; 40_000]), StatusCode::BAD_MESSAGE),
        (Request::OpenDir { path: f() }, StatusCode::NO_SUCH_FILE),
        (Request::Unknown { kind: 77, body: Bytes::new() }, StatusCode::OP_UNSUPPORTED),
        (
            Request::Extended(ExtendedRequest::Unknown { name: bytes(b"x@y"), data: Bytes::new() }),
            StatusCode::OP_UNSUPPORTED,
        ),
    ];
    for (request, expected) in cases {
        let text = format!("{request:?}");
        assert_eq!(sftp.status(request).await, expected, "{text:.120}");
    }
    // Files that are open the wrong way round are bad descriptors.
    let reader = sftp.open_file(b"/f", OpenFlags::READ).await;
    assert_eq!(sftp.status(write(&reader, 0, "y")).await, StatusCode::NO_SUCH_FILE);
    // As ftruncate(2), which finds the argument wrong.
    let sized = Attributes::new().with_size(0);
    let cut = Request::FsetStat { handle: reader.clone(), attributes: sized };
    assert_eq!(sftp.status(cut).await, StatusCode::BAD_MESSAGE);
    let writer = sftp.open_file(b"/f", OpenFlags::WRITE).await;
    assert_eq!(sftp.status(read(&writer, 0, 1)).await, StatusCode::NO_SUCH_FILE);
    // A full disk, in pieces that fit.
    assert_eq!(sftp.status(write(&writer, 0, vec![1; 255 * 1024])).await, StatusCode::OK);
    assert_eq!(sftp.status(write(&writer, 900 << 10, vec![1; 255 * 1024])).await, StatusCode::OK);
    assert_eq!(sftp.status(write(&writer, 2 << 20, vec![1; 255 * 1024])).await, StatusCode::OK);
    assert_eq!(sftp.status(write(&writer, 3 << 20, vec![1; 255 * 1024])).await, StatusCode::OK);
    assert_eq!(sftp.status(write(&writer, 4 << 20, vec![1; 255 * 1024])).await, StatusCode::FAILURE);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn long_copy_keeps_no_other_session_waiting() {
    const SIZE: u64 = 64 << 20;
    let (server, client, mut sftp) = memory(Sftp::memory().file("/from", "").file("/to", "")).await;
    let mut other = RawSftp::open(&client).await;
    let (path, attributes) = (bytes(b"/from"), Attributes::new().with_size(SIZE));
    assert_eq!(sftp.status(Request::SetStat { path, attributes }).await, StatusCode::OK);
    let from = sftp.open_file(b"/from", OpenFlags::READ).await;
    let to = sftp.open_file(b"/to", OpenFlags::WRITE).await;
    let copy = ExtendedRequest::CopyData { from, from_offset: 0, length: 0, to, to_offset: 0 };
    sftp.ask(Request::Extended(copy)).await;
    let seen = loop {
        match other.attributes(stat(b"/to")).await.size() {
            Some(0) => {}
            size => break size.unwrap(),
        }
    };
    assert!(seen < SIZE, "the whole copy was made in one go");
    assert!(matches!(sftp.packet().await, Some(rustle_sftp_proto::ServerPacket::Reply { .. })));
    assert_eq!(other.attributes(stat(b"/to")).await.size(), Some(SIZE));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn each_extension_does_what_its_name_says() {
    use ExtendedRequest as E;
    let (server, _client, mut sftp) =
        memory(Sftp::memory().file("/a", "first").file("/b", "second").symlink("/l", "a")).await;
    let ok = Reply::from(StatusCode::OK);
    assert_eq!(sftp.extended(E::PosixRename { from: bytes(b"/b"), to: bytes(b"/a") }).await, ok);
    assert_eq!(sftp.content(b"/a").await, b"second");
    assert_eq!(sftp.extended(E::HardLink { existing: bytes(b"/a"), link: bytes(b"/h") }).await, ok);
    let attributes = Attributes::new().with_times(5, 6);
    assert_eq!(sftp.extended(E::LsetStat { path: bytes(b"/l"), attributes }).await, ok);
    assert_eq!(sftp.attributes(Request::Lstat { path: bytes(b"/l") }).await.modified(), Some(6));
    assert_ne!(sftp.attributes(stat(b"/l")).await.modified(), Some(6));
    let sized = Attributes::new().with_size(1);
    let refused = sftp.extended(E::LsetStat { path: bytes(b"/l"), attributes: sized }).await;
    assert_eq!(refused, Reply::from(StatusCode::BAD_MESSAGE));

    let Reply::Extended(body) = sftp.extended(E::StatVfs { path: bytes(b"/") }).await else { panic!() };
    let system = FileSystem::decode(body).unwrap();
    assert!(system.blocks > system.blocks_free && system.name_max == 255, "{system:?}");
    let from = sftp.open_file(b"/a", OpenFlags::READ).await;
    let to = sftp.open_file(b"/copy", NEW).await;
    let Reply::Extended(body) = sftp.extended(E::FstatVfs { handle: to.clone() }).await else { panic!() };
    FileSystem::decode(body).unwrap();

    let copy = |length, to: &Handle| E::CopyData {
        from: from.clone(),
        from_offset: 3,
        length,
        to: to.clone(),
        to_offset: 0,
    };
    assert_eq!(sftp.extended(copy(0, &to)).await, ok);
    assert_eq!(sftp.content(b"/copy").await, b"ond");
    assert_eq!(sftp.extended(copy(100, &to)).await, Reply::from(StatusCode::EOF));
    assert_eq!(sftp.extended(copy(0, &from)).await, Reply::from(StatusCode::FAILURE));
    let same = sftp.open_file(b"/h", OpenFlags::WRITE).await;
    assert_eq!(sftp.extended(copy(0, &same)).await, Reply::from(StatusCode::FAILURE), "the same inode");
    let mine = sftp.attributes(Request::Fstat { handle: to.clone() }).await;
    assert_eq!(mine.size(), Some(3));
    let none = Handle::new(vec![9; 8]);
    assert_eq!(sftp.extended(copy(0, &none)).await, Reply::from(StatusCode::FAILURE), "no such handle");
    assert_eq!(sftp.extended(E::Fsync { handle: to.clone() }).await, ok);

    for (asked, answered) in [("~", "/"), ("~/x", "/x"), ("~alice/y", "/y"), ("./y", "/y"), ("", "/")] {
        let path = Request::Extended(E::ExpandPath { path: asked.into() });
        assert_eq!(sftp.names(path).await, [answered], "{asked}");
    }
    let Reply::Status(status) = sftp.extended(E::ExpandPath { path: "~bob/y".into() }).await else {
        panic!()
    };
    assert_eq!((status.code(), &status.message()[..]), (StatusCode::NO_SUCH_FILE, &b"no such user"[..]));
    assert_eq!(sftp.names(Request::Extended(E::HomeDirectory { user: "".into() })).await, ["/"]);
    let unknown = sftp.extended(E::HomeDirectory { user: "bob".into() }).await;
    assert_eq!(unknown, Reply::from(StatusCode::FAILURE));
    let ids = E::UsersGroupsById { uids: vec![0, 1000, 7], gids: vec![1000] };
    let Reply::Extended(body) = sftp.extended(ids).await else { panic!() };
    let names = OwnerNames::decode(body, &rustle_sftp_proto::Limits::default()).unwrap();
    assert_eq!(
        (names.users, names.groups),
        (vec!["root".into(), "alice".into(), "".into()], vec!["alice".into()])
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn extensions_are_switched_off_one_by_one() {
    let without = Sftp::memory().without_extension("posix-rename@openssh.com").file("/a", "");
    let server = serve(TestServer::builder().sftp(without)).await;
    let client = Client::alice_in_memory(&server).await;
    let mut sftp = RawSftp::silent(&client).await;
    let hello = sftp.hello().await;
    assert_eq!(hello.version(), 3);
    for extension in Extension::ALL {
        let switched_off = [Extension::PosixRename, Extension::CheckFile].contains(&extension);
        assert_eq!(hello.supports(extension), !switched_off, "{extension}");
    }
    let rename = ExtendedRequest::PosixRename { from: bytes(b"/a"), to: bytes(b"/b") };
    assert_eq!(sftp.status(Request::Extended(rename)).await, StatusCode::OP_UNSUPPORTED);
    assert_eq!(sftp.content(b"/a").await, b"");
    server.stop().await.unwrap();

    let only = Sftp::memory().extensions(["fsync@openssh.com"]);
    let server = serve(TestServer::builder().sftp(only)).await;
    let client = Client::alice_in_memory(&server).await;
    let hello = RawSftp::silent(&client).await.hello().await;
    assert_eq!(hello, Hello::new().with(Extension::Fsync));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn read_only_refuses_what_openssh_refuses() {
    let sftp = Sftp::memory().file("/f", "x").read_only();
    let server = serve(TestServer::builder().sftp(sftp)).await;
    let client = Client::alice_in_memory(&server).await;
    let mut sftp = RawSftp::silent(&client).await;
    let hello = sftp.hello().await;
    assert!(hello.supports(Extension::StatVfs) && !hello.supports(Extension::HardLink));
    let f = || bytes(b"/f");
    let Reply::Extended(body) = sftp.extended(ExtendedRequest::StatVfs { path: bytes(b"/") }).await else {
        panic!()
    };
    assert_eq!(FileSystem::decode(body).unwrap().flags & 1, 1, "SSH_FXE_STATVFS_ST_RDONLY");
    let refused = [
        open(b"/f", OpenFlags::WRITE),
        open(b"/g", OpenFlags::READ | OpenFlags::CREATE),
        Request::Remove { path: f() },
        Request::SetStat { path: f(), attributes: Attributes::new().with_permissions(0) },
        Request::MkDir { path: bytes(b"/d"), attributes: Attributes::new() },
        Request::Rename { from: f(), to: bytes(b"/g") },
        Request::Symlink { target: f(), link: bytes(b"/l") },
        Request::Extended(ExtendedRequest::HardLink { existing: f(), link: bytes(b"/g") }),
    ];
    for request in refused {
        let text = format!("{request:?}");
        assert_eq!(sftp.status(request).await, StatusCode::PERMISSION_DENIED, "{text}");
    }
    assert_eq!(sftp.content(b"/f").await, b"x");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn entries_are_there_with_what_they_were_given() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let tree = Sftp::memory()
        .entry("/locked", SftpEntry::directory().mode(0o500).modified(at(7)))
        .entry("/locked/inner", SftpEntry::file("abc").mode(0o4755).modified(at(1_709_251_198)))
        .entry("/sparse", SftpEntry::file("head").size(10 << 30))
        .entry("/roots", SftpEntry::file("r").owner(0, 0).mode(0o640))
        .symlink("/locked/link", "inner")
        .file("/made/above/it", "")
        .quota(1 << 20)
        .umask(0o077)
        .clock(move || at(1_234_567));
    let (server, _client, mut sftp) = memory(tree).await;
    let locked = sftp.attributes(stat(b"/locked")).await;
    assert_eq!((locked.permissions(), locked.modified()), (Some(0o040_500), Some(7)));
    assert_eq!(sftp.attributes(stat(b"/sparse")).await.size(), Some(10 << 30));
    assert_eq!(sftp.names(Request::ReadLink { path: bytes(b"/locked/link") }).await, ["inner"]);

    let listing = sftp.handle(Request::OpenDir { path: bytes(b"/locked") }).await;
    let Reply::Name(names) = sftp.call(Request::ReadDir { handle: listing }).await else { panic!() };
    let inner = names.iter().find(|name| name.name() == "inner").unwrap();
    assert_eq!(
        String::from_utf8_lossy(inner.long_name()),
        "-rwsr-xr-x   1 alice    alice           3 Feb 29  2024 inner"
    );
    assert_eq!(inner.attributes().permissions(), Some(0o104_755));

    let roots = sftp.attributes(stat(b"/roots")).await;
    assert_eq!((roots.uid(), roots.permissions()), (Some(0), Some(0o100_640)));
    assert_eq!(sftp.status(open(b"/roots", OpenFlags::READ)).await, StatusCode::PERMISSION_DENIED);
    sftp.open_file(b"/made/above/new", NEW).await;
    let new = sftp.attributes(stat(b"/made/above/new")).await;
    assert_eq!((new.permissions(), new.modified()), (Some(0o100_600), Some(1_234_567)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn noise_comes_before_the_version() {
    let noise = "Welcome to web-1!\n";
    let server = serve(TestServer::builder().sftp(Sftp::memory().banner_noise(noise))).await;
    let client = Client::alice_in_memory(&server).await;
    let mut sftp = RawSftp::silent(&client).await;
    assert_eq!(sftp.bytes(noise.len()).await, noise.as_bytes());
    sftp.send(&ClientPacket::Init(Hello::new())).await;
    assert_eq!(sftp.bytes(9).await[4..], *b"\x02\0\0\0\x03");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn open_handles_are_in_the_record_and_so_are_those_left_behind() {
    let (server, _client, mut sftp) = memory(Sftp::memory().file("/f", "")).await;
    let file = sftp.open_file(b"/f", OpenFlags::READ).await;
    sftp.handle(Request::OpenDir { path: bytes(b"/") }).await;
    assert_eq!(server.record().handles_open(), 2);
    assert_eq!(sftp.status(Request::Close { handle: file }).await, StatusCode::OK);
    assert_eq!((server.record().handles_open(), server.record().handles_left()), (1, 0));
    let open = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.assert_no_handles_open()));
    assert!(open.unwrap_err().downcast_ref::<String>().unwrap().contains("SFTP handles: 1 open, 0 left"));

    sftp.eof().await;
    assert_eq!(sftp.ended().await, Some(0));
    server.wait_until(|record| record.handles_left() == 1, LIMIT).await.unwrap();
    assert_eq!(server.record().handles_open(), 0);
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.assert_no_handles_open()));
    assert!(left.is_err());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_that_closes_what_it_opened_leaves_nothing() {
    let (server, _client, mut sftp) = memory(Sftp::memory().file("/f", "x")).await;
    assert_eq!(sftp.content(b"/f").await, b"x");
    sftp.eof().await;
    sftp.ended().await;
    server.wait_until(|record| record.processes_running() == 0, LIMIT).await.unwrap();
    server.assert_no_handles_open();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_without_sftp_is_refused_the_subsystem() {
    let server = TestServer::builder()
        .user(alice())
        .user(User::new("bob").password("builder").without_sftp())
        .sftp(Sftp::memory())
        .start()
        .await
        .unwrap();
    let mut client = Client::over(server.duplex()).await.unwrap();
    assert!(client.password("bob", "builder").await.success());
    let mut channel = client.open().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(matches!(channel.wait().await, Some(russh::ChannelMsg::Failure)));
    let (_client, mut sftp) = RawSftp::on(&server).await;
    assert_eq!(sftp.names(Request::RealPath { path: bytes(b"") }).await, ["/"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_given_directory_is_served_and_nothing_outside_of_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("f"), "real").unwrap();
    let served = directory.path().join("served");
    std::fs::create_dir(&served).unwrap();
    std::fs::write(served.join("inside"), "x").unwrap();
    let (server, _client, mut sftp) = memory(Sftp::directory(&served).file("/made/here", "y")).await;
    assert_eq!(sftp.content(b"/inside").await, b"x");
    assert_eq!(std::fs::read(served.join("made/here")).unwrap(), b"y");
    assert_eq!(sftp.status(stat(b"/../f")).await, StatusCode::NO_SUCH_FILE);
    server.stop().await.unwrap();
}
