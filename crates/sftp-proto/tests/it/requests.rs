//! Requests and their answers: which are right, whose they are, and what is said of the others.

use bytes::{BufMut, Bytes, BytesMut};
use rustle_sftp_proto::{
    Answer, Attributes, CheckFile, ErrorKind, ExtendedRequest, Extension, Framer, Handle, Limits, NameEntry,
    OpenFlags, PacketKind, Reply, Request, Requests, Segments, ServerPacket, Status, StatusCode,
};

pub(crate) fn handle() -> Handle {
    Handle::new("h")
}

pub(crate) fn packet(id: u32, reply: Reply) -> Segments {
    let frame = ServerPacket::Reply { id, reply }.encode().unwrap();
    Segments::from(frame.to_bytes().slice(4..))
}

fn of(bytes: &'static [u8]) -> Segments {
    Segments::from(Bytes::from_static(bytes))
}

fn requests() -> Requests<&'static str> {
    Requests::new(Limits::default())
}

/// What the only request, whose id is 1, gets for these bytes.
fn answer(request: &Request, packet: Segments) -> Result<Answer, rustle_sftp_proto::Error> {
    let mut requests = requests();
    requests.begin(request, "waiter").unwrap();
    match requests.answer(packet) {
        Ok(answered) => {
            assert_eq!((answered.waiter, requests.outstanding()), ("waiter", 0));
            assert_eq!(answered.request.kind().value(), request.kind());
            Ok(answered.reply)
        }
        Err(error) => {
            assert_eq!(requests.answer(of(b"")).unwrap_err(), error, "the error stays");
            let (again, waiter) = requests.begin(request, "another").unwrap_err();
            assert_eq!((again, waiter), (error.clone(), "another"));
            assert_eq!(requests.abandon_all().collect::<Vec<_>>(), ["waiter"]);
            assert_eq!(requests.outstanding(), 0);
            Err(error)
        }
    }
}

fn path() -> Bytes {
    Bytes::from_static(b"p")
}

fn attributes() -> Attributes {
    Attributes::new()
}

fn check() -> CheckFile {
    CheckFile { algorithms: "sha256".into(), offset: 0, length: 0, block_size: 0 }
}

/// Each request, and the types of the answers that it may have besides a STATUS that is no success.
fn all() -> Vec<(Request, &'static [u8])> {
    use ExtendedRequest as E;
    use Request as R;
    const OK: &[u8] = &[101];
    const HANDLE: &[u8] = &[102];
    const DATA: &[u8] = &[103];
    const NAME: &[u8] = &[104];
    const ATTRS: &[u8] = &[105];
    const EXTENDED: &[u8] = &[201];
    const ANY: &[u8] = &[101, 102, 103, 104, 105, 201];
    vec![
        (R::Open { path: path(), flags: OpenFlags::READ, attributes: attributes() }, HANDLE),
        (R::Close { handle: handle() }, OK),
        (R::Read { handle: handle(), offset: 0, length: 9 }, DATA),
        (R::Write { handle: handle(), offset: 0, data: path() }, OK),
        (R::Lstat { path: path() }, ATTRS),
        (R::Fstat { handle: handle() }, ATTRS),
        (R::SetStat { path: path(), attributes: attributes() }, OK),
        (R::FsetStat { handle: handle(), attributes: attributes() }, OK),
        (R::OpenDir { path: path() }, HANDLE),
        (R::ReadDir { handle: handle() }, NAME),
        (R::Remove { path: path() }, OK),
        (R::MkDir { path: path(), attributes: attributes() }, OK),
        (R::RmDir { path: path() }, OK),
        (R::RealPath { path: path() }, NAME),
        (R::Stat { path: path() }, ATTRS),
        (R::Rename { from: path(), to: path() }, OK),
        (R::ReadLink { path: path() }, NAME),
        (R::Symlink { target: path(), link: path() }, OK),
        (R::Extended(E::PosixRename { from: path(), to: path() }), OK),
        (R::Extended(E::StatVfs { path: path() }), EXTENDED),
        (R::Extended(E::FstatVfs { handle: handle() }), EXTENDED),
        (R::Extended(E::HardLink { existing: path(), link: path() }), OK),
        (R::Extended(E::Fsync { handle: handle() }), OK),
        (R::Extended(E::LsetStat { path: path(), attributes: attributes() }), OK),
        (R::Extended(E::Limits), EXTENDED),
        (R::Extended(E::ExpandPath { path: path() }), NAME),
        (
            R::Extended(E::CopyData {
                from: handle(),
                from_offset: 0,
                length: 0,
                to: Handle::new("to"),
                to_offset: 0,
            }),
            OK,
        ),
        (R::Extended(E::HomeDirectory { user: path() }), NAME),
        (R::Extended(E::UsersGroupsById { uids: vec![0], gids: vec![] }), EXTENDED),
        (R::Extended(E::CheckFileHandle { handle: handle(), check: check() }), EXTENDED),
        (R::Extended(E::CheckFileName { path: path(), check: check() }), EXTENDED),
        (R::Extended(E::CheckFile { handle: handle(), check: check() }), EXTENDED),
        (R::Extended(E::Unknown { name: path(), data: path() }), ANY),
        (R::Unknown { kind: 90, body: path() }, ANY),
    ]
}

fn replies() -> Vec<(Reply, Option<Answer>)> {
    let failure = Status::new(StatusCode::FAILURE, "no");
    vec![
        (Reply::from(StatusCode::OK), Some(Answer::Status(StatusCode::OK.into()))),
        (Reply::Status(failure.clone()), Some(Answer::Status(failure))),
        (Reply::Handle(handle()), Some(Answer::Handle(handle()))),
        (Reply::Data(path()), Some(Answer::Data(path().into()))),
        (Reply::Name(vec![NameEntry::path("/")]), Some(Answer::Names(vec![NameEntry::path("/")]))),
        (Reply::Attributes(attributes()), Some(Answer::Attributes(attributes()))),
        (Reply::Extended(path()), Some(Answer::Extended(path()))),
        (Reply::Unknown { kind: 5, body: path() }, None),
        (Reply::Unknown { kind: 177, body: path() }, None),
    ]
}

#[test]
fn each_request_has_its_answers_and_no_others() {
    for (request, right) in all() {
        let name = rustle_sftp_proto::Asked::of(&request).to_string();
        for (reply, expected) in replies() {
            let kind = reply.kind();
            let found = answer(&request, packet(1, reply.clone()));
            let fails = matches!(&reply, Reply::Status(status) if status.code() != StatusCode::OK);
            if fails || right.contains(&kind) {
                assert_eq!(found.ok(), expected, "{name}: {reply:?}");
                continue;
            }
            let error = found.expect_err(&name);
            let came = PacketKind::new(kind);
            let wrong = if kind == 101 { ErrorKind::EmptySuccess } else { ErrorKind::WrongAnswer { came } };
            assert_eq!((error.kind(), error.id()), (wrong, Some(1)), "{name}: {reply:?}");
            let text = error.to_string();
            assert!(text.contains(&name) && text.contains(&came.to_string()), "{text}");
        }
    }
}

/// The texts that people see.
#[test]
fn an_error_says_what_was_asked_and_what_came() {
    let read = Request::Read { handle: handle(), offset: 0, length: 4 };
    let real_path = Request::RealPath { path: path() };
    let limits = Request::Extended(ExtendedRequest::Limits);
    let two = vec![NameEntry::path("/"), NameEntry::path("/")];
    let cases = [
        (
            &read,
            packet(1, Reply::Data("12345".into())),
            "the answer to SSH_FXP_READ: SSH_FXP_DATA of 5 bytes where 4 were asked for",
        ),
        (
            &read,
            packet(1, StatusCode::OK.into()),
            "the answer to SSH_FXP_READ: SSH_FXP_STATUS says success, and what was asked for is not there",
        ),
        (
            &real_path,
            packet(1, Reply::Name(two)),
            "the answer to SSH_FXP_REALPATH: SSH_FXP_NAME of 2 names where there is one to give",
        ),
        (
            &real_path,
            packet(1, Reply::Name(vec![])),
            "the answer to SSH_FXP_REALPATH: SSH_FXP_NAME of 0 names where there is one to give",
        ),
        (
            &limits,
            packet(1, Reply::Handle(handle())),
            "the answer to SSH_FXP_EXTENDED limits@openssh.com: SSH_FXP_HANDLE, which is no answer to that",
        ),
        (
            &limits,
            of(b"\x63\0\0\0\x01"),
            "the answer to SSH_FXP_EXTENDED limits@openssh.com: a packet of type 99, which is no answer to that",
        ),
        (
            &read,
            of(b"\x65\0\0\0\x01\0\0"),
            "the answer to SSH_FXP_READ: the SFTP packet ends inside its field status code",
        ),
        (
            &read,
            of(b"\x67\0\0\0\x01\0\0\0\x04abc"),
            "the answer to SSH_FXP_READ: the SFTP packet ends inside its field data",
        ),
        (&read, packet(7, StatusCode::EOF.into()), "SSH_FXP_STATUS for the id 7, which no request has had"),
        (&read, packet(0, Reply::Data(path())), "SSH_FXP_DATA for the id 0, which no request has had"),
        (&read, of(b"\x02\0\0\0\x03"), "SSH_FXP_VERSION a second time"),
        (&read, of(b"\x67\0\0"), "the SFTP packet ends inside its field id"),
        (&read, of(b""), "the SFTP packet ends inside its field type"),
    ];
    for (request, packet, text) in cases {
        assert_eq!(answer(request, packet).unwrap_err().to_string(), text);
    }
    let mut requests = requests();
    requests.begin(&read, "").unwrap();
    requests.answer(packet(1, StatusCode::EOF.into())).unwrap();
    assert_eq!(
        requests.answer(packet(1, Reply::Data(path()))).unwrap_err().to_string(),
        "SSH_FXP_DATA for the id 1, whose request has been answered before"
    );
}

#[test]
fn file_data_is_as_long_as_was_asked_or_shorter_or_none() {
    let read = |length| Request::Read { handle: handle(), offset: 0, length };
    for came in [&b"1234"[..], b"1", b""] {
        let found = answer(&read(4), packet(1, Reply::Data(came.into()))).unwrap();
        assert_eq!(found, Answer::Data(Bytes::from_static(came).into()));
    }
    assert_eq!(answer(&read(0), packet(1, Reply::Data(path()))).unwrap_err().kind(), too_much(1, 0));
    // What is announced counts, not what is there.
    let announced = answer(&read(4), of(b"\x67\0\0\0\x01\xff\xff\xff\xffabc"));
    assert_eq!(announced.unwrap_err().kind(), too_much(u32::MAX, 4));
    let beyond = answer(&read(u32::MAX), of(b"\x67\0\0\0\x01\x01\0\0\0abc")).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::TooLong { field: "data", length: 1 << 24, limit: 256 * 1024 });
    assert_eq!(beyond.request().map(|asked| asked.to_string()).as_deref(), Some("SSH_FXP_READ"));
}

fn too_much(length: u32, asked: u32) -> ErrorKind {
    ErrorKind::TooMuchData { length, asked }
}

#[test]
fn the_most_data_that_fits_a_packet_is_taken_and_not_one_byte_more() {
    let limits = Limits::default().with_max_packet(2000);
    let most = u32::try_from(limits.max_data()).unwrap();
    let came = |length| {
        let mut framer = Framer::new(limits.clone());
        let data = Bytes::from(vec![1; length]);
        framer.push(ServerPacket::Reply { id: 1, reply: Reply::Data(data) }.encode().unwrap().to_bytes());
        framer.next_segmented()
    };
    let mut requests = Requests::new(limits.clone());
    requests.begin(&Request::Read { handle: handle(), offset: 0, length: most }, ()).unwrap();
    let answered = requests.answer(came(limits.max_data()).unwrap().unwrap()).unwrap();
    assert!(matches!(answered.reply, Answer::Data(data) if data.len() == 1991));
    let kind = came(limits.max_data() + 1).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::TooLong { field: "packet", length: 2001, limit: 2000 });
}

#[test]
fn file_data_is_the_memory_that_was_pushed() {
    let mut head = BytesMut::new();
    head.put_u32(5 + 4 + 6000);
    head.put_slice(b"\x67\0\0\0\x01");
    head.put_u32(6000);
    head.put_bytes(1, 2000);
    let pushed = [head.freeze(), Bytes::from(vec![2; 3000]), Bytes::from(vec![3; 1500])];
    let mut framer = Framer::new(Limits::default());
    let mut requests = requests();
    requests.begin(&Request::Read { handle: handle(), offset: 0, length: 6000 }, "").unwrap();
    for piece in &pushed {
        framer.push(piece.clone());
    }
    let answered = requests.answer(framer.next_segmented().unwrap().unwrap()).unwrap();
    let Answer::Data(data) = answered.reply else { panic!("{:?}", answered.reply) };
    let places: Vec<_> = data.pieces().map(|piece| (piece.as_ptr(), piece.len())).collect();
    let whole = [(pushed[0][13..].as_ptr(), 2000), (pushed[1].as_ptr(), 3000), (pushed[2].as_ptr(), 1000)];
    assert_eq!(places, whole);
    assert_eq!(framer.buffered(), 500);
}

/// A handle lives as long as its file is open; the packet it came in need not.
#[test]
fn a_handle_keeps_no_packet() {
    let open = Request::OpenDir { path: path() };
    let pushed = packet(1, Reply::Handle(Handle::new(vec![7; 4]))).to_bytes();
    let Answer::Handle(handle) = answer(&open, pushed.clone().into()).unwrap() else { panic!() };
    assert_eq!(handle.as_bytes(), &[7; 4][..]);
    assert!(!pushed.as_ptr_range().contains(&handle.as_bytes().as_ptr()));
}

#[test]
fn heads_share_a_buffer_and_data_is_not_copied() {
    let (mut requests, mut out) = (requests(), BytesMut::new());
    let data = Bytes::from(vec![5; 3000]);
    let write = Request::Write { handle: handle(), offset: 1, data: data.clone() };
    let payload = requests.begin_into(&write, "first", &mut out).unwrap();
    assert_eq!((payload.as_ptr(), payload.len()), (data.as_ptr(), 3000));
    assert_eq!(out, &b"\0\0\x0b\xce\x06\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\x01\0\0\x0b\xb8"[..]);
    let before = out.len();
    assert!(
        requests.begin_into(&Request::Close { handle: handle() }, "second", &mut out).unwrap().is_empty()
    );
    assert_eq!(out[before..], b"\0\0\0\x0a\x04\0\0\0\x02\0\0\0\x01h"[..]);
    assert_eq!(requests.outstanding(), 2);
    // In another order.
    assert_eq!(requests.answer(packet(2, StatusCode::OK.into())).unwrap().waiter, "second");
    assert_eq!(requests.answer(packet(1, StatusCode::OK.into())).unwrap().waiter, "first");
}

#[test]
fn what_was_asked_says_its_extension() {
    let asked = |request| rustle_sftp_proto::Asked::of(&Request::Extended(request));
    let statvfs = asked(ExtendedRequest::StatVfs { path: path() });
    assert_eq!(statvfs.extension(), Some(Extension::StatVfs));
    assert_eq!(statvfs.kind(), PacketKind::new(200));
    let unknown = asked(ExtendedRequest::Unknown { name: path(), data: path() });
    assert_eq!((unknown.extension(), unknown.to_string().as_str()), (None, "SSH_FXP_EXTENDED"));
}
