//! Each SFTP fault as the client sees it, and as an error where it never struck.

use std::time::Duration;

use bytes::Bytes;
use rustle_sftp_proto::{ErrorKind, ExtendedRequest, OpenFlags, Reply, Request, ServerPacket, StatusCode};
use rustle_testserver::{Fault, Sftp, SftpFault, SftpRequest, TestServer};

use crate::{
    client::Client,
    sftp_client::{RawSftp, bytes, open, read, serve, stat, write},
};

async fn with(faults: impl IntoIterator<Item = Fault>) -> (TestServer, Client, RawSftp) {
    let tree = Sftp::memory().file("/f", "0123456789").directory_entry("/empty");
    let builder =
        faults.into_iter().fold(TestServer::builder().sftp(tree), rustle_testserver::Builder::fault);
    let server = serve(builder).await;
    let (client, sftp) = RawSftp::on(&server).await;
    (server, client, sftp)
}

async fn id(sftp: &mut RawSftp) -> u32 {
    match sftp.packet().await {
        Some(ServerPacket::Reply { id, .. }) => id,
        other => panic!("no reply: {other:?}"),
    }
}

#[tokio::test]
async fn a_lost_reply_never_comes_and_its_request_was_carried_out() {
    let (server, _client, mut sftp) =
        with([Fault::sftp(SftpRequest::Remove, SftpFault::lose_reply()).once()]).await;
    sftp.ask(Request::Remove { path: bytes(b"/f") }).await;
    assert_eq!(sftp.status(stat(b"/f")).await, StatusCode::NO_SUCH_FILE, "the next reply is the next one's");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_duplicated_reply_comes_twice() {
    let (server, _client, mut sftp) =
        with([Fault::sftp(SftpRequest::Stat, SftpFault::duplicate_reply()).nth(2)]).await;
    let asked = [sftp.ask(stat(b"/f")).await, sftp.ask(stat(b"/f")).await, sftp.ask(stat(b"/")).await];
    let came = [id(&mut sftp).await, id(&mut sftp).await, id(&mut sftp).await, id(&mut sftp).await];
    assert_eq!(came, [asked[0], asked[1], asked[1], asked[2]]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_held_reply_comes_after_the_next() {
    let (server, _client, mut sftp) =
        with([Fault::sftp(SftpRequest::Read, SftpFault::hold_reply()).once()]).await;
    let handle = sftp.open_file(b"/f", OpenFlags::READ).await;
    let (first, second) = (sftp.ask(read(&handle, 0, 5)).await, sftp.ask(read(&handle, 5, 5)).await);
    let packets = [sftp.packet().await.unwrap(), sftp.packet().await.unwrap()];
    let data = |id, text: &'static str| ServerPacket::Reply { id, reply: Reply::Data(text.into()) };
    assert_eq!(packets, [data(second, "56789"), data(first, "01234")]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reply_of_a_wrong_kind_has_the_right_id() {
    let faults = [
        Fault::sftp(SftpRequest::Read, SftpFault::wrong_kind()),
        Fault::sftp(SftpRequest::OpenDir, SftpFault::wrong_kind()),
    ];
    let (server, _client, mut sftp) = with(faults).await;
    let handle = sftp.open_file(b"/f", OpenFlags::READ).await;
    assert!(matches!(sftp.call(read(&handle, 0, 5)).await, Reply::Handle(_)));
    assert!(matches!(sftp.call(Request::OpenDir { path: bytes(b"/") }).await, Reply::Attributes(_)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_id_is_one_that_nobody_asked() {
    let (server, _client, mut sftp) =
        with([Fault::sftp(SftpRequest::Any, SftpFault::wrong_id()).nth(2)]).await;
    let right = sftp.ask(stat(b"/f")).await;
    assert_eq!(id(&mut sftp).await, right);
    let asked = sftp.ask(stat(b"/f")).await;
    assert_eq!(id(&mut sftp).await, asked | 0x8000_0000);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_status_takes_the_place_of_the_work() {
    let (server, _client, mut sftp) =
        with([Fault::sftp(SftpRequest::Write, SftpFault::status(4, "No space left on device")).once()]).await;
    let handle = sftp.open_file(b"/f", OpenFlags::WRITE).await;
    let Reply::Status(status) = sftp.call(write(&handle, 0, "abc")).await else { panic!() };
    assert_eq!(
        (status.code(), &status.message()[..]),
        (StatusCode::FAILURE, &b"No space left on device"[..])
    );
    assert_eq!(sftp.content(b"/f").await, b"0123456789");
    assert_eq!(sftp.status(write(&handle, 0, "abc")).await, StatusCode::OK);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_hostile_packet_length_arrives_as_it_was_given() {
    let (server, _client, mut sftp) =
        with([Fault::sftp(SftpRequest::Stat, SftpFault::packet_length(u32::MAX))]).await;
    sftp.ask(stat(b"/f")).await;
    let error = sftp.try_packet().await.unwrap_err();
    let length = u64::from(u32::MAX);
    assert_eq!(error.kind(), ErrorKind::TooLong { field: "packet", length, limit: 262_144 });
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_length_inside_points_past_the_end() {
    let faults = [SftpRequest::Stat, SftpRequest::Open, SftpRequest::RealPath, SftpRequest::Remove];
    let (server, _client, mut sftp) =
        with(faults.map(|request| Fault::sftp(request, SftpFault::length_past_end()))).await;
    let requests = [
        (stat(b"/f"), "extended type"),
        (open(b"/f", OpenFlags::READ), "handle"),
        (Request::RealPath { path: bytes(b"") }, "filename"),
        (Request::Remove { path: bytes(b"/none") }, "error message"),
    ];
    for (request, field) in requests {
        let asked = sftp.ask(request).await;
        let error = sftp.try_packet().await.unwrap_err();
        assert_eq!((error.kind(), error.id()), (ErrorKind::Truncated { field }, Some(asked)));
    }
    // The stream itself is whole, and goes on.
    assert!(matches!(sftp.call(Request::Lstat { path: bytes(b"/f") }).await, Reply::Attributes(_)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn hostile_names_are_listed() {
    let names: [Bytes; 7] = [
        "../escape".into(),
        "a/b".into(),
        "".into(),
        ".".into(),
        "..".into(),
        "nul\0nul".into(),
        vec![b'x'; 64 * 1024].into(),
    ];
    for name in names {
        let fault = Fault::sftp(SftpRequest::ReadDir, SftpFault::name(name.clone())).once();
        let (server, _client, mut sftp) = with([fault]).await;
        let handle = sftp.handle(Request::OpenDir { path: bytes(b"/empty") }).await;
        let listed = sftp.names(Request::ReadDir { handle: handle.clone() }).await;
        assert!(listed == [name, ".".into(), "..".into()]);
        assert_eq!(sftp.status(Request::ReadDir { handle }).await, StatusCode::EOF);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_short_read_is_short_only_where_there_is_more() {
    let (server, _client, mut sftp) = with([Fault::sftp(SftpRequest::Read, SftpFault::short_read(3))]).await;
    let handle = sftp.open_file(b"/f", OpenFlags::READ).await;
    assert_eq!(sftp.data_of(read(&handle, 0, 2)).await, "01");
    assert_eq!(server.faults_fired(), 0);
    assert_eq!(sftp.data_of(read(&handle, 0, 9)).await, "012");
    assert_eq!(server.faults_fired(), 1);
    assert_eq!(sftp.content(b"/f").await, b"0123456789");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delayed_reply_is_late_and_those_before_it_are_not() {
    let late = Duration::from_secs(3);
    let (server, _client, mut sftp) = with([Fault::sftp(SftpRequest::Stat, SftpFault::delay(late))]).await;
    let begun = tokio::time::Instant::now();
    let first = sftp.ask(Request::Lstat { path: bytes(b"/f") }).await;
    let second = sftp.ask(stat(b"/f")).await;
    assert_eq!(id(&mut sftp).await, first);
    assert!(begun.elapsed() < late);
    assert_eq!(id(&mut sftp).await, second);
    assert!(begun.elapsed() >= late);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_channel_closes_instead_of_an_answer() {
    let fault = Fault::sftp(SftpRequest::Remove, SftpFault::close_channel()).on_connection(1);
    let (server, client, mut sftp) = with([fault]).await;
    sftp.ask(Request::Remove { path: bytes(b"/f") }).await;
    assert_eq!(sftp.packet().await, None);
    assert_eq!(sftp.ended().await, None, "without an exit status");
    let mut next = RawSftp::open(&client).await;
    assert_eq!(next.content(b"/f").await, b"0123456789");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_version_can_be_spoilt_too() {
    let server = serve(
        TestServer::builder()
            .sftp(Sftp::memory())
            .fault(Fault::sftp(SftpRequest::Init, SftpFault::length_past_end()).nth(1))
            .fault(Fault::sftp(SftpRequest::Init, SftpFault::wrong_kind()).nth(2))
            .fault(Fault::sftp(SftpRequest::Init, SftpFault::close_channel()).nth(3)),
    )
    .await;
    let client = Client::alice_in_memory(&server).await;
    let hello = rustle_sftp_proto::ClientPacket::Init(rustle_sftp_proto::Hello::new());
    let mut truncated = RawSftp::silent(&client).await;
    truncated.send(&hello).await;
    let error = truncated.try_packet().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated { field: "extension name" });
    let mut wrong = RawSftp::silent(&client).await;
    wrong.send(&hello).await;
    assert!(matches!(wrong.packet().await, Some(ServerPacket::Reply { .. })));
    let mut closed = RawSftp::silent(&client).await;
    closed.send(&hello).await;
    assert_eq!(closed.packet().await, None);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn faults_of_one_request_add_up() {
    let faults = [
        Fault::sftp(SftpRequest::Read, SftpFault::short_read(4)),
        Fault::sftp(SftpRequest::Any, SftpFault::duplicate_reply()).nth(2),
    ];
    let (server, _client, mut sftp) = with(faults).await;
    let handle = sftp.open_file(b"/f", OpenFlags::READ).await;
    let asked = sftp.ask(read(&handle, 0, 10)).await;
    let expected = ServerPacket::Reply { id: asked, reply: Reply::Data("0123".into()) };
    assert_eq!(sftp.packet().await.as_ref(), Some(&expected));
    assert_eq!(sftp.packet().await.as_ref(), Some(&expected));
    server.stop().await.unwrap();
}

/// Two faults that exclude each other, both orders: the first strikes, and the second is named as never fired.
#[tokio::test]
async fn of_two_faults_that_exclude_each_other_the_first_strikes() {
    let status = || (SftpFault::status(4, "no"), "status 4 \"no\" to SFTP STAT");
    let close = || (SftpFault::close_channel(), "closed channel to SFTP STAT");
    let lose = || (SftpFault::lose_reply(), "lost reply to SFTP STAT");
    let wrong_id = || (SftpFault::wrong_id(), "reply with a wrong id to SFTP STAT");
    let hold = || (SftpFault::hold_reply(), "reply after the next one to SFTP STAT");
    let twice = || (SftpFault::duplicate_reply(), "duplicated reply to SFTP STAT");
    let kind = || (SftpFault::wrong_kind(), "reply of a wrong kind to SFTP STAT");
    let pairs = [[status(), close()], [lose(), wrong_id()], [lose(), kind()], [hold(), twice()]];
    for [one, other] in pairs {
        for [(first, _), (second, name)] in [[one.clone(), other.clone()], [other.clone(), one.clone()]] {
            let faults = [first.clone(), second].map(|fault| Fault::sftp(SftpRequest::Stat, fault).once());
            let (server, _client, mut sftp) = with(faults).await;
            let asked = sftp.ask(stat(b"/f")).await;
            let lstat = Request::Lstat { path: bytes(b"/f") };
            let seen = if first == SftpFault::close_channel() {
                assert_eq!(sftp.packet().await, None);
                Vec::new()
            } else {
                let next = sftp.ask(lstat).await;
                let mut seen = Vec::new();
                while seen.last() != Some(&next) {
                    seen.push(id(&mut sftp).await);
                }
                seen
            };
            let next = asked + 1;
            let expected = match first {
                ref fault if *fault == close().0 => vec![],
                ref fault if *fault == lose().0 || *fault == hold().0 => vec![next],
                ref fault if *fault == wrong_id().0 => vec![asked | 0x8000_0000, next],
                ref fault if *fault == twice().0 => vec![asked, asked, next],
                _ => vec![asked, next],
            };
            assert_eq!(seen, expected, "{first}");
            assert_eq!(server.faults_fired(), 1, "{first}");
            let error = server.stop().await.unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains(&first.to_string()), "{error}");
        }
    }
}

/// The one that did not strike has its own turn with the next request, unless it was to strike with that one alone.
#[tokio::test]
async fn a_fault_that_came_second_strikes_the_next_request() {
    let faults = [
        Fault::sftp(SftpRequest::Stat, SftpFault::status(4, "first")).once(),
        Fault::sftp(SftpRequest::Stat, SftpFault::status(4, "second")).once(),
        Fault::sftp(SftpRequest::Stat, SftpFault::status(4, "never")).nth(1),
        Fault::sftp(SftpRequest::Stat, SftpFault::close_channel()).nth(4),
    ];
    let (server, _client, mut sftp) = with(faults).await;
    for expected in ["first", "second"] {
        let Reply::Status(status) = sftp.call(stat(b"/f")).await else { panic!() };
        assert_eq!(status.message(), expected);
    }
    assert!(matches!(sftp.call(stat(b"/f")).await, Reply::Attributes(_)));
    sftp.ask(stat(b"/f")).await;
    assert_eq!(sftp.packet().await, None, "the fourth is the fourth, whatever else struck before");
    assert_eq!(server.faults_fired(), 3);
    let error = server.stop().await.unwrap_err().to_string();
    assert!(error.contains("status 4 \"never\"") && !error.contains("second"), "{error}");
}

/// Each fault for a request that is not made, and its name in the error.
#[tokio::test]
async fn each_fault_that_never_struck_is_an_error_that_names_it() {
    let unfired = [
        (SftpFault::lose_reply(), "lost reply to SFTP MKDIR"),
        (SftpFault::duplicate_reply(), "duplicated reply to SFTP MKDIR"),
        (SftpFault::hold_reply(), "reply after the next one to SFTP MKDIR"),
        (SftpFault::wrong_kind(), "reply of a wrong kind to SFTP MKDIR"),
        (SftpFault::wrong_id(), "reply with a wrong id to SFTP MKDIR"),
        (SftpFault::status(3, "no"), "status 3 \"no\" to SFTP MKDIR"),
        (SftpFault::packet_length(7), "packet length 7 to SFTP MKDIR"),
        (SftpFault::length_past_end(), "length past the end to SFTP MKDIR"),
        (SftpFault::name("../x"), "name \"../x\" to SFTP MKDIR"),
        (SftpFault::short_read(5), "read of 5 bytes at most to SFTP MKDIR"),
        (SftpFault::delay(Duration::from_secs(1)), "delay of 1s to SFTP MKDIR"),
        (SftpFault::close_channel(), "closed channel to SFTP MKDIR"),
    ];
    let (server, _client, mut sftp) =
        with(unfired.iter().map(|(fault, _)| Fault::sftp(SftpRequest::MkDir, fault.clone()))).await;
    assert!(matches!(sftp.call(stat(b"/f")).await, Reply::Attributes(_)));
    let error = server.stop().await.unwrap_err();
    assert_eq!(error.kind(), rustle_testserver::ErrorKind::Expectation);
    for (_, name) in unfired {
        assert!(error.to_string().contains(name), "{name} is not in: {error}");
    }
}

#[test]
fn each_sftp_fault_has_a_row_in_the_table_of_faults() {
    let table = include_str!("../../docs/faults.md");
    let source = include_str!("../../src/fault/sftp.rs");
    let constructors: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("    pub fn ")?.strip_suffix(" -> Self {")?.split('(').next())
        .filter(|name| *name != "sftp")
        .collect();
    assert_eq!(constructors.len(), 12, "{constructors:?}");
    for name in constructors {
        assert!(table.contains(&format!("SftpFault::{name}(")), "docs/faults.md has no row for {name}");
    }
}

/// A fault that cannot change the answer at hand does not count as fired.
#[tokio::test]
async fn a_fault_that_changes_nothing_did_not_strike() {
    let faults = [
        Fault::sftp(SftpRequest::Stat, SftpFault::name("x")),
        Fault::sftp(SftpRequest::Stat, SftpFault::short_read(0)),
        Fault::sftp(SftpRequest::Extended, SftpFault::length_past_end()),
    ];
    let (server, _client, mut sftp) = with(faults).await;
    assert!(matches!(sftp.call(stat(b"/f")).await, Reply::Attributes(_)));
    assert!(matches!(sftp.extended(ExtendedRequest::Limits).await, Reply::Extended(_)));
    assert_eq!(server.faults_fired(), 0);
    assert!(server.stop().await.is_err());
}
