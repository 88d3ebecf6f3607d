//! Bytes that nobody should send.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::{
    collection::vec,
    prelude::{any, prop_assert, proptest},
};
use rustle_sftp_proto::{
    ClientPacket, ErrorKind, ExtendedRequest, FileHashes, FileSystem, Framer, Limits, OwnerNames, Reply,
    Request, ServerLimits, ServerPacket,
};

/// Packets that begin as real ones do, so that the fields behind the type and the id are reached.
pub(crate) fn nearly() -> impl proptest::strategy::Strategy<Value = Bytes> {
    use proptest::strategy::Strategy;
    let kind = proptest::sample::select(vec![1, 2, 3, 6, 9, 18, 20, 101, 102, 103, 104, 105, 200, 201_u8]);
    let piece = proptest::prop_oneof![
        3 => any::<u8>().prop_map(|n| vec![0, 0, 0, n % 40]),
        1 => any::<u32>().prop_map(|n| n.to_be_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..30),
        1 => proptest::sample::select(rustle_sftp_proto::Extension::ALL.to_vec()).prop_map(|extension| {
            let name = extension.name();
            [&u32::try_from(name.len()).unwrap().to_be_bytes()[..], name.as_bytes()].concat()
        }),
    ];
    (kind, vec(piece, 0..12)).prop_map(|(kind, pieces)| {
        let mut packet = vec![kind, 0, 0, 0, 1];
        packet.extend(pieces.concat());
        packet.into()
    })
}

/// What was allocated for the lists of a packet, in elements; all else are slices.
fn elements(packet: &Bytes) -> usize {
    let limits = Limits::default();
    let client = match ClientPacket::decode(packet.clone(), &limits) {
        Ok(ClientPacket::Init(hello)) => hello.extensions().len(),
        Ok(ClientPacket::Request { request, .. }) => match request {
            Request::Extended(ExtendedRequest::UsersGroupsById { uids, gids }) => {
                uids.capacity() + gids.capacity()
            }
            Request::Open { attributes, .. } => attributes.extended().len(),
            _ => 0,
        },
        Err(_) => 0,
    };
    let server = match ServerPacket::decode(packet.clone(), &limits) {
        Ok(ServerPacket::Reply { reply: Reply::Name(names), .. }) => names.capacity(),
        Ok(ServerPacket::Version(hello)) => hello.extensions().len(),
        _ => 0,
    };
    client.max(server)
}

proptest! {
    #[test]
    fn no_bytes_panic_or_choose_an_allocation(packet in nearly(), noise in vec(any::<u8>(), 0..300)) {
        for packet in [packet, noise.into()] {
            // The smallest element of any list has four bytes.
            prop_assert!(elements(&packet) <= packet.len().div_ceil(4) * 2);
            let _ = FileSystem::decode(packet.clone());
            let _ = ServerLimits::decode(packet.clone());
            let _ = OwnerNames::decode(packet.clone(), &Limits::default());
            let _ = FileHashes::decode(packet.clone(), &Limits::default());
        }
    }

    #[test]
    fn no_stream_panics_and_none_is_kept_above_the_limit(pieces in vec(vec(any::<u8>(), 0..50), 0..40)) {
        let mut framer = Framer::new(Limits::default().with_max_packet(64));
        for piece in pieces {
            framer.push(piece.into());
            while let Ok(Some(packet)) = framer.next_packet() {
                prop_assert!(packet.len() <= 64);
            }
            prop_assert!(framer.buffered() <= 64 + 4);
        }
    }
}

fn server(build: impl FnOnce(&mut BytesMut)) -> ErrorKind {
    let mut packet = BytesMut::new();
    build(&mut packet);
    ServerPacket::decode(packet.freeze(), &Limits::default()).unwrap_err().kind()
}

fn client(build: impl FnOnce(&mut BytesMut)) -> ErrorKind {
    client_packet(build).unwrap_err().kind()
}

fn client_packet(build: impl FnOnce(&mut BytesMut)) -> Result<ClientPacket, rustle_sftp_proto::Error> {
    let mut packet = BytesMut::new();
    build(&mut packet);
    ClientPacket::decode(packet.freeze(), &Limits::default())
}

fn string(out: &mut BytesMut, length: usize) {
    out.put_u32(u32::try_from(length).unwrap());
    out.put_bytes(b'a', length);
}

#[test]
fn each_limit_has_its_error_before_the_bytes_are_there() {
    let long = |field, length, limit| ErrorKind::TooLong { field, length, limit };
    let many = |field, count, limit| ErrorKind::TooMany { field, count, limit };
    let cases = [
        // HANDLE of 257 bytes.
        (server(|p| p.put_slice(b"\x66\0\0\0\x01\0\0\x01\x01")), long("handle", 257, 256)),
        // NAME with 2³² - 1 names, and none of them.
        (server(|p| p.put_slice(b"\x68\0\0\0\x01\xff\xff\xff\xff")), many("names", 0xffff_ffff, 8192)),
        // NAME whose file name is said to be 64 KiB.
        (
            server(|p| p.put_slice(b"\x68\0\0\0\x01\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0")),
            long("filename", 65_536, 32_768),
        ),
        // ATTRS with a million extended attributes.
        (
            server(|p| p.put_slice(b"\x69\0\0\0\x01\x80\0\0\0\0\x0f\x42\x40")),
            many("extended attributes", 1_000_000, 32),
        ),
        // STATUS with a message of 16 MiB.
        (
            server(|p| p.put_slice(b"\x65\0\0\0\x01\0\0\0\x04\x01\0\0\0")),
            long("error message", 1 << 24, 8192),
        ),
        // DATA of 2³² - 1 bytes.
        (server(|p| p.put_slice(b"\x67\0\0\0\x01\xff\xff\xff\xff")), long("data", 0xffff_ffff, 262_144)),
        // OPEN of a path of 32 KiB and one byte.
        (client(|p| p.put_slice(b"\x03\0\0\0\x01\0\0\x80\x01")), long("filename", 32_769, 32_768)),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn lists_without_a_count_end_at_their_limit_too() {
    let extensions = server(|p| {
        p.put_slice(b"\x02\0\0\0\x03");
        (0..129).for_each(|_| p.put_u64(0));
    });
    assert_eq!(extensions, ErrorKind::TooMany { field: "extensions", count: 129, limit: 128 });

    let ids = client(|p| {
        p.put_slice(b"\xc8\0\0\0\x01");
        p.put_u32(30);
        p.put_slice(b"users-groups-by-id@openssh.com");
        string(p, 8193 * 4);
        string(p, 0);
    });
    assert_eq!(ids, ErrorKind::TooMany { field: "uids", count: 8193, limit: 8192 });

    let mut names = BytesMut::new();
    names.put_u32(8193 * 4);
    names.put_bytes(0, 8193 * 4);
    names.put_u32(0);
    let names = OwnerNames::decode(names.freeze(), &Limits::default()).unwrap_err();
    assert_eq!(names.kind(), ErrorKind::TooMany { field: "usernames", count: 8193, limit: 8192 });
}

#[test]
fn a_list_that_is_not_there_is_not_allocated() {
    // 8000 names are within the limit and would need 96 000 bytes.
    let found = server(|p| {
        p.put_slice(b"\x68\0\0\0\x01");
        p.put_u32(8000);
        p.put_bytes(0, 500);
    });
    assert_eq!(found, ErrorKind::Truncated { field: "names" });
}

/// The most extended attributes that are believed, and too few bytes for them: the count is found to be wrong, not the
/// first attribute, so nothing was made for it.
#[test]
fn extended_attributes_that_are_not_there_are_not_allocated() {
    const ANNOUNCED: &[u8] = b"\x80\0\0\0\0\0\0\x20\0\0\0\x01a\0\0\0\0";
    let lsetstat = b"\xc8\0\0\0\x01\0\0\0\x14lsetstat@openssh.com\0\0\0\x01f";
    let wherever: [(&[u8], &[u8]); 6] = [
        (b"OPEN", b"\x03\0\0\0\x01\0\0\0\x01f\0\0\0\x01"),
        (b"SETSTAT", b"\x09\0\0\0\x01\0\0\0\x01f"),
        (b"FSETSTAT", b"\x0a\0\0\0\x01\0\0\0\x01h"),
        (b"MKDIR", b"\x0e\0\0\0\x01\0\0\0\x01d"),
        (b"lsetstat", lsetstat),
        (b"lsetstat, too many", lsetstat),
    ];
    for (what, head) in wherever {
        let what = String::from_utf8_lossy(what);
        let mut announced = ANNOUNCED.to_vec();
        let mut expected = ErrorKind::Truncated { field: "extended attributes" };
        if what.ends_with("too many") {
            announced[7] = 33;
            expected = ErrorKind::TooMany { field: "extended attributes", count: 33, limit: 32 };
        }
        let found = client(|p| {
            p.put_slice(head);
            p.put_slice(&announced);
        });
        assert_eq!(found, expected, "{what}");
    }
    let attributes = server(|p| {
        p.put_slice(b"\x69\0\0\0\x01");
        p.put_slice(ANNOUNCED);
    });
    let listed = server(|p| {
        p.put_slice(b"\x68\0\0\0\x01\0\0\0\x01\0\0\0\x01f\0\0\0\0");
        p.put_slice(ANNOUNCED);
    });
    for found in [attributes, listed] {
        assert_eq!(found, ErrorKind::Truncated { field: "extended attributes" });
    }
    // As many as were announced are taken.
    let whole = client_packet(|p| {
        p.put_slice(b"\x09\0\0\0\x01\0\0\0\x01f\x80\0\0\0\0\0\0\x20");
        (0..32).for_each(|_| p.put_u64(0));
    });
    let Ok(ClientPacket::Request { request: Request::SetStat { attributes, .. }, .. }) = whole else {
        panic!("{whole:?}")
    };
    assert_eq!(attributes.extended().len(), 32);
}

/// The last name of a list that is otherwise whole, and one more than there are.
#[test]
fn a_list_of_names_is_as_long_as_it_says() {
    let names = |count: u32, there: usize| {
        let mut packet = BytesMut::new();
        packet.put_slice(b"\x68\0\0\0\x01");
        packet.put_u32(count);
        (0..there).for_each(|_| packet.put_bytes(0, 12));
        ServerPacket::decode(packet.freeze(), &Limits::default())
    };
    let Ok(ServerPacket::Reply { reply: Reply::Name(listed), .. }) = names(8192, 8192) else { panic!() };
    assert_eq!(listed.len(), 8192);
    let kind = |count, there| names(count, there).unwrap_err().kind();
    assert_eq!(kind(8193, 8193), ErrorKind::TooMany { field: "names", count: 8193, limit: 8192 });
    assert_eq!(kind(3, 2), ErrorKind::Truncated { field: "names" });
    assert_eq!(kind(1, 0), ErrorKind::Truncated { field: "names" });
}

#[test]
fn an_error_names_the_extension_whose_body_is_wrong() {
    let extension = |name: &str, body: &[u8]| {
        let mut packet = BytesMut::new();
        packet.put_slice(b"\xc8\0\0\0\x05");
        packet.put_u32(u32::try_from(name.len()).unwrap());
        packet.put_slice(name.as_bytes());
        packet.put_slice(body);
        ClientPacket::decode(packet.freeze(), &Limits::default()).map_err(|error| error.extension())
    };
    for known in rustle_sftp_proto::Extension::ALL {
        let without_a_body = extension(known.name(), b"");
        match known {
            rustle_sftp_proto::Extension::Limits => assert!(without_a_body.is_ok()),
            known => assert_eq!(without_a_body, Err(Some(known))),
        }
    }
    assert!(extension("x@y", b"\xff").is_ok(), "what is unknown is passed on");
    let mut cut = BytesMut::new();
    cut.put_slice(b"\xc8\0\0\0\x05\0\0\0\x09fsync");
    let error = ClientPacket::decode(cut.freeze(), &Limits::default()).unwrap_err();
    assert_eq!((error.id(), error.extension()), (Some(5), None));
}

#[test]
fn an_error_names_its_request_as_soon_as_the_id_was_read() {
    let decode = |packet: &'static [u8]| {
        ClientPacket::decode(Bytes::from_static(packet), &Limits::default()).unwrap_err()
    };
    let error = decode(b"\x05\0\0\0\x2a\0\0\0\x09abc");
    assert_eq!((error.id(), error.kind()), (Some(42), ErrorKind::Truncated { field: "handle" }));
    assert_eq!(error.to_string(), "the SFTP packet ends inside its field handle");
    assert_eq!(decode(b"\x05\0\0").id(), None);
    assert_eq!(decode(b"").kind(), ErrorKind::Truncated { field: "type" });
}
