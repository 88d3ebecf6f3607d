//! Packets written by hand, field by field, from the draft and from OpenSSH's `PROTOCOL`.

use bytes::Bytes;
use rustle_sftp_proto::{
    Attributes, CheckFile, ClientPacket, ErrorKind, ExtendedRequest, Extension, Extensions, FileHashes,
    Handle, Hello, Limits, NameEntry, OpenFlags, Reply, Request, ServerLimits, ServerPacket, Status,
    StatusCode,
};

/// Both ways; the bytes are those after the length field.
fn client(packet: &ClientPacket, bytes: &'static [u8]) {
    let frame = packet.encode().unwrap().to_bytes();
    assert_eq!(frame[..4], u32::try_from(bytes.len()).unwrap().to_be_bytes());
    assert_eq!(frame[4..], *bytes, "{packet:?}");
    assert_eq!(ClientPacket::decode(Bytes::from_static(bytes), &Limits::default()).unwrap(), *packet);
}

fn request(request: Request, bytes: &'static [u8]) {
    client(&ClientPacket::Request { id: 0x0102_0304, request }, bytes);
}

fn server(packet: &ServerPacket, bytes: &'static [u8]) {
    let frame = packet.encode().unwrap().to_bytes();
    assert_eq!(frame[..4], u32::try_from(bytes.len()).unwrap().to_be_bytes());
    assert_eq!(frame[4..], *bytes, "{packet:?}");
    assert_eq!(ServerPacket::decode(Bytes::from_static(bytes), &Limits::default()).unwrap(), *packet);
}

fn reply(reply: Reply, bytes: &'static [u8]) {
    server(&ServerPacket::Reply { id: 7, reply }, bytes);
}

fn handle() -> Handle {
    Handle::new(&b"\0\0\0\x80"[..])
}

fn path(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn the_first_packets() {
    client(&ClientPacket::Init(Hello::new()), b"\x01\0\0\0\x03");
    server(
        &ServerPacket::Version(Hello::new().with(Extension::StatVfs).with_pair("x", "")),
        b"\x02\0\0\0\x03\0\0\0\x13statvfs@openssh.com\0\0\0\x012\0\0\0\x01x\0\0\0\0",
    );
}

#[test]
fn requests_of_the_draft() {
    request(
        Request::Open {
            path: path("/a\u{ff}"),
            flags: OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
            attributes: Attributes::new().with_permissions(0o644),
        },
        b"\x03\x01\x02\x03\x04\0\0\0\x04/a\xc3\xbf\0\0\0\x2a\0\0\0\x04\0\0\x01\xa4",
    );
    request(Request::Close { handle: handle() }, b"\x04\x01\x02\x03\x04\0\0\0\x04\0\0\0\x80");
    request(
        Request::Read { handle: handle(), offset: 1 << 32, length: 32_768 },
        b"\x05\x01\x02\x03\x04\0\0\0\x04\0\0\0\x80\0\0\0\x01\0\0\0\0\0\0\x80\0",
    );
    request(
        Request::Write { handle: handle(), offset: 5, data: path("abc") },
        b"\x06\x01\x02\x03\x04\0\0\0\x04\0\0\0\x80\0\0\0\0\0\0\0\x05\0\0\0\x03abc",
    );
    request(Request::Lstat { path: path("l") }, b"\x07\x01\x02\x03\x04\0\0\0\x01l");
    request(Request::Fstat { handle: handle() }, b"\x08\x01\x02\x03\x04\0\0\0\x04\0\0\0\x80");
    request(
        Request::SetStat { path: path("s"), attributes: Attributes::new().with_times(1, 2) },
        b"\x09\x01\x02\x03\x04\0\0\0\x01s\0\0\0\x08\0\0\0\x01\0\0\0\x02",
    );
    request(
        Request::FsetStat { handle: handle(), attributes: Attributes::new().with_size(9).with_owner(1, 2) },
        b"\x0a\x01\x02\x03\x04\0\0\0\x04\0\0\0\x80\0\0\0\x03\0\0\0\0\0\0\0\x09\0\0\0\x01\0\0\0\x02",
    );
    request(Request::OpenDir { path: path("d") }, b"\x0b\x01\x02\x03\x04\0\0\0\x01d");
    request(Request::ReadDir { handle: handle() }, b"\x0c\x01\x02\x03\x04\0\0\0\x04\0\0\0\x80");
    request(Request::Remove { path: path("r") }, b"\x0d\x01\x02\x03\x04\0\0\0\x01r");
    request(
        Request::MkDir { path: path("m"), attributes: Attributes::new() },
        b"\x0e\x01\x02\x03\x04\0\0\0\x01m\0\0\0\0",
    );
    request(Request::RmDir { path: path("r") }, b"\x0f\x01\x02\x03\x04\0\0\0\x01r");
    request(Request::RealPath { path: path("") }, b"\x10\x01\x02\x03\x04\0\0\0\0");
    request(Request::Stat { path: path("s") }, b"\x11\x01\x02\x03\x04\0\0\0\x01s");
    request(
        Request::Rename { from: path("old"), to: path("new") },
        b"\x12\x01\x02\x03\x04\0\0\0\x03old\0\0\0\x03new",
    );
    request(Request::ReadLink { path: path("l") }, b"\x13\x01\x02\x03\x04\0\0\0\x01l");
}

#[test]
fn a_symlink_has_its_target_first_as_openssh_sends_it() {
    request(
        Request::Symlink { target: path("target"), link: path("link") },
        b"\x14\x01\x02\x03\x04\0\0\0\x06target\0\0\0\x04link",
    );
}

#[test]
fn answers_of_the_draft() {
    reply(
        Reply::Status(Status::new(StatusCode::NO_SUCH_FILE, "gone").with_language("en")),
        b"\x65\0\0\0\x07\0\0\0\x02\0\0\0\x04gone\0\0\0\x02en",
    );
    reply(Reply::from(StatusCode::EOF), b"\x65\0\0\0\x07\0\0\0\x01\0\0\0\x0bEnd of file\0\0\0\0");
    reply(Reply::Handle(handle()), b"\x66\0\0\0\x07\0\0\0\x04\0\0\0\x80");
    reply(Reply::Data(path("data")), b"\x67\0\0\0\x07\0\0\0\x04data");
    reply(
        Reply::Name(vec![NameEntry::new(
            &b"\xff\xfe"[..],
            "-rw",
            Attributes::new().with_size(1).with_permissions(0o100_600).with_extended("a@b", "c"),
        )]),
        b"\x68\0\0\0\x07\0\0\0\x01\0\0\0\x02\xff\xfe\0\0\0\x03-rw\x80\0\0\x05\0\0\0\0\0\0\0\x01\0\0\x81\x80\
          \0\0\0\x01\0\0\0\x03a@b\0\0\0\x01c",
    );
    reply(Reply::Attributes(Attributes::new()), b"\x69\0\0\0\x07\0\0\0\0");
    let limits = ServerLimits { max_packet: 262_144, max_read: 261_120, max_write: 261_120, max_handles: 0 };
    reply(
        Reply::Extended(limits.encode()),
        b"\xc9\0\0\0\x07\0\0\0\0\0\x04\0\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\0\0\0",
    );
}

#[test]
fn a_status_may_end_after_its_code_or_its_message() {
    for bytes in [&b"\x65\0\0\0\x07\0\0\0\x04"[..], b"\x65\0\0\0\x07\0\0\0\x04\0\0\0\0"] {
        let packet = ServerPacket::decode(Bytes::from_static(bytes), &Limits::default()).unwrap();
        let status = Status::new(StatusCode::FAILURE, "");
        assert_eq!(packet, ServerPacket::Reply { id: 7, reply: Reply::Status(status) });
    }
}

#[test]
fn extensions_of_openssh() {
    use ExtendedRequest as E;
    let extended = |value, bytes| request(Request::Extended(value), bytes);
    extended(
        E::PosixRename { from: path("a"), to: path("b") },
        b"\xc8\x01\x02\x03\x04\0\0\0\x18posix-rename@openssh.com\0\0\0\x01a\0\0\0\x01b",
    );
    extended(E::StatVfs { path: path("/") }, b"\xc8\x01\x02\x03\x04\0\0\0\x13statvfs@openssh.com\0\0\0\x01/");
    extended(
        E::FstatVfs { handle: handle() },
        b"\xc8\x01\x02\x03\x04\0\0\0\x14fstatvfs@openssh.com\0\0\0\x04\0\0\0\x80",
    );
    extended(
        E::HardLink { existing: path("a"), link: path("b") },
        b"\xc8\x01\x02\x03\x04\0\0\0\x14hardlink@openssh.com\0\0\0\x01a\0\0\0\x01b",
    );
    extended(
        E::Fsync { handle: handle() },
        b"\xc8\x01\x02\x03\x04\0\0\0\x11fsync@openssh.com\0\0\0\x04\0\0\0\x80",
    );
    extended(
        E::LsetStat { path: path("l"), attributes: Attributes::new().with_permissions(0o777) },
        b"\xc8\x01\x02\x03\x04\0\0\0\x14lsetstat@openssh.com\0\0\0\x01l\0\0\0\x04\0\0\x01\xff",
    );
    extended(E::Limits, b"\xc8\x01\x02\x03\x04\0\0\0\x12limits@openssh.com");
    extended(
        E::ExpandPath { path: path("~/x") },
        b"\xc8\x01\x02\x03\x04\0\0\0\x17expand-path@openssh.com\0\0\0\x03~/x",
    );
    extended(
        E::CopyData { from: handle(), from_offset: 1, length: 0, to: Handle::new("w"), to_offset: 2 },
        b"\xc8\x01\x02\x03\x04\0\0\0\x09copy-data\0\0\0\x04\0\0\0\x80\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\
          \0\0\0\x01w\0\0\0\0\0\0\0\x02",
    );
    extended(E::HomeDirectory { user: path("") }, b"\xc8\x01\x02\x03\x04\0\0\0\x0ehome-directory\0\0\0\0");
    extended(
        E::UsersGroupsById { uids: vec![0, 1000], gids: vec![] },
        b"\xc8\x01\x02\x03\x04\0\0\0\x1eusers-groups-by-id@openssh.com\0\0\0\x08\0\0\0\0\0\0\x03\xe8\0\0\0\0",
    );
    extended(E::Unknown { name: path("x@y"), data: path("\0z") }, b"\xc8\x01\x02\x03\x04\0\0\0\x03x@y\0z");
}

/// From draft-ietf-secsh-filexfer-extensions-00, section 3.
#[test]
fn hashes_of_files() {
    use ExtendedRequest as E;
    let check = || CheckFile { algorithms: path("sha256,md5"), offset: 1, length: 2, block_size: 512 };
    request(
        Request::Extended(E::CheckFileHandle { handle: handle(), check: check() }),
        b"\xc8\x01\x02\x03\x04\0\0\0\x11check-file-handle\0\0\0\x04\0\0\0\x80\0\0\0\x0asha256,md5\
          \0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\x02\0",
    );
    request(
        Request::Extended(E::CheckFileName { path: path("/f"), check: check() }),
        b"\xc8\x01\x02\x03\x04\0\0\0\x0fcheck-file-name\0\0\0\x02/f\0\0\0\x0asha256,md5\
          \0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\x02\0",
    );
    request(
        Request::Extended(E::CheckFile { handle: handle(), check: check() }),
        b"\xc8\x01\x02\x03\x04\0\0\0\x0acheck-file\0\0\0\x04\0\0\0\x80\0\0\0\x0asha256,md5\
          \0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\x02\0",
    );
    let hashes = FileHashes { algorithm: path("md5"), hashes: path("0123456789abcdefABCDEF") };
    let body = &b"\0\0\0\x0acheck-file\0\0\0\x03md50123456789abcdefABCDEF"[..];
    assert_eq!(hashes.encode().unwrap(), body);
    let decode = |body: &[u8]| FileHashes::decode(Bytes::copy_from_slice(body), &Limits::default());
    assert_eq!(decode(body).unwrap(), hashes);
    assert_eq!(decode(&body[14..]).unwrap(), hashes, "as servers send it that leave the name out");
    let truncated = ErrorKind::Truncated { field: "hash-algo-used" };
    for cut in [0, 3, 13, 14, 17, 20] {
        assert_eq!(decode(&body[..cut]).unwrap_err().kind(), truncated, "{cut}");
    }
}

#[test]
fn hashes_of_files_are_announced_in_several_ways() {
    let announced = |name: &'static str, data: &'static str| {
        let hello = Hello::new().with_pair(name, data);
        assert_eq!(Extensions::of(&hello).has(Extension::CheckFile), hello.supports(Extension::CheckFile));
        hello.supports(Extension::CheckFile)
    };
    assert!(Hello::new().with(Extension::CheckFile).supports(Extension::CheckFile));
    for (name, data) in [
        ("check-file", ""),
        ("check-file", "1"),
        ("check-file", "md5,sha1"),
        ("check-file-name", ""),
        ("check-file-handle", "1"),
    ] {
        assert!(announced(name, data), "{name} {data}");
    }
    assert!(!announced("check-files", "") && !announced("copy-file", "1"));
}

#[test]
fn an_extension_of_another_version_is_not_had() {
    let hello = Hello::new().with_pair("statvfs@openssh.com", "1").with_pair("fsync@openssh.com", "1");
    let found = Extensions::of(&hello);
    assert!(found.iter().eq([Extension::Fsync]));
    let openssh = Extension::OPENSSH.into_iter().fold(Hello::new(), Hello::with);
    assert!(Extensions::of(&openssh).iter().eq(Extension::OPENSSH));
}
