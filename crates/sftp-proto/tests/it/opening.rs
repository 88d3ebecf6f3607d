//! INIT and VERSION, and all that comes in their place.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::{
    collection::vec,
    prelude::{any, prop_assert, prop_assert_eq, proptest},
};
use rustle_sftp_proto::{
    ClientPacket, Error, ErrorKind, Extension, Hello, Limits, Opening, Reply, ServerPacket, StatusCode,
};

use crate::values;

fn version(hello: Hello) -> Bytes {
    ServerPacket::Version(hello).encode().unwrap().to_bytes()
}

/// What a client makes of these pieces, and of the stream's end after them.
fn open(pieces: &[&[u8]]) -> Result<Hello, Error> {
    let mut opening = Opening::new(Limits::default());
    for piece in pieces {
        match opening.receive(Bytes::copy_from_slice(piece)) {
            Ok(None) => {}
            Ok(Some(hello)) => return Ok(hello),
            Err(error) => {
                assert_eq!(opening.finish().unwrap_err(), error);
                return Err(error);
            }
        }
    }
    Err(opening.finish().unwrap_err())
}

fn printed(pieces: &[&[u8]]) -> String {
    let error = open(pieces).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Printed);
    error.printed().unwrap().to_owned()
}

#[test]
fn the_first_packet_is_init_of_version_3() {
    let init = Opening::new(Limits::default()).init();
    assert_eq!(init, ClientPacket::Init(Hello::new()).encode().unwrap());
}

#[test]
fn what_follows_the_answer_is_for_the_framer() {
    let status = ServerPacket::Reply { id: 1, reply: Reply::from(StatusCode::OK) }.encode().unwrap();
    let first = [version(Hello::new().with(Extension::Limits)), status.to_bytes().slice(..6)].concat();
    let mut opening = Opening::new(Limits::default());
    let hello = opening.receive(first.into()).unwrap().unwrap();
    assert!(hello.supports(Extension::Limits));
    assert_eq!(opening.finish().unwrap_err().kind(), ErrorKind::EndOfStream { received: 6 });
    assert_eq!(opening.receive(status.to_bytes().slice(6..)).unwrap(), None);
    let mut framer = opening.into_framer();
    assert_eq!(framer.next_packet().unwrap().unwrap(), status.to_bytes().slice(4..));
    framer.finish().unwrap();
}

#[test]
fn what_a_start_up_file_prints_is_shown_and_whose_it_is_said() {
    let error = open(&[b"Welcome to \x1b[1mweb-1\x1b[0m!\r\n"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "something printed on standard output before the server's answer, most often a shell start-up file of that \
         account (.bashrc and so on), which must not print in shells that are not interactive: \
         \"Welcome to \\u{1b}[1mweb-1\\u{1b}[0m!\\r\\n\""
    );
}

#[test]
fn text_is_told_from_a_packet_wherever_it_ends() {
    // Shorter than a length, and then the end.
    assert_eq!(printed(&[b"a"]), "a");
    assert_eq!(printed(&[b"\n"]), "\\n");
    assert_eq!(printed(&[b"abc"]), "abc");
    // With the server's answer right behind it, which is not shown.
    let answer = version(Hello::new().with(Extension::Fsync));
    assert_eq!(printed(&[&[b"Hi\n".as_slice(), &answer].concat()]), "Hi\\n");
    // What by accident is a length within the limit.
    assert_eq!(printed(&[b"\0\0\0\x05hello"]), "\\0\\0\\0\\u{5}hello");
    assert_eq!(printed(&[b"\0\0\0\x05", b"h"]), "\\0\\0\\0\\u{5}h");
    // And one beyond it.
    assert_eq!(printed(&[b"\0abcdef"]), "\\0abcdef");
    // A packet, and not the one.
    let status = ServerPacket::Reply { id: 3, reply: Reply::from(StatusCode::FAILURE) }.encode().unwrap();
    assert!(printed(&[&status.to_bytes()]).contains("Failure"));
}

#[test]
fn text_that_comes_later_is_added_to_the_error() {
    let mut opening = Opening::new(Limits::default());
    let error = opening.receive(Bytes::from_static(b"W")).unwrap_err();
    assert_eq!(error.printed(), Some("W"));
    let error = opening.receive(Bytes::from_static(b"elcome\n")).unwrap_err();
    assert_eq!(error.printed(), Some("Welcome\\n"));
    let error = opening.receive(Bytes::from(vec![b'!'; 5000])).unwrap_err();
    assert_eq!(error.printed().map(str::len), Some(1025 + "…".len()));
    assert_eq!(opening.finish().unwrap_err(), error);
    assert_eq!(opening.into_framer().buffered(), 0, "no more of it is kept");
}

#[test]
fn a_stream_that_ends_says_how_far_it_came() {
    let error = open(&[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unanswered);
    assert_eq!(error.to_string(), "the stream was closed before any answer: is there an SFTP subsystem?");
    let answer = version(Hello::new().with(Extension::Fsync));
    for received in 1..answer.len() {
        let error = open(&[&answer[..received]]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::EndOfStream { received: received as u64 });
    }
}

#[test]
fn only_version_3_is_spoken() {
    for (number, kind, text) in [
        (
            2,
            ErrorKind::VersionTooOld { version: 2 },
            "the server speaks SFTP version 2, and version 3 is needed",
        ),
        (
            0,
            ErrorKind::VersionTooOld { version: 0 },
            "the server speaks SFTP version 0, and version 3 is needed",
        ),
        (
            6,
            ErrorKind::VersionNotOffered { version: 6 },
            "the server answered with SFTP version 6, where it was offered version 3",
        ),
    ] {
        let error = open(&[&version(Hello::new().with_version(number))]).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str(), error.printed()), (kind, text, None));
    }
}

#[test]
fn an_answer_beyond_a_limit_is_an_error_of_its_own() {
    let mut long = BytesMut::new();
    long.put_slice(b"\0\x04\0\x01\x02\0\0\0\x03");
    let kind = open(&[&long]).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::TooLong { field: "packet", length: 262_145, limit: 262_144 });
    let many = version((0..129).fold(Hello::new(), |hello, _| hello.with_pair("", "")));
    let kind = open(&[&many]).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::TooMany { field: "extensions", count: 129, limit: 128 });
    assert_eq!(open(&[b"\0\0\0\x04\x02\0\0\0"]).unwrap_err().kind(), truncated("version"));
    assert_eq!(open(&[b"\0\0\0\0\x02"]).unwrap_err().kind(), ErrorKind::Empty);
}

fn truncated(field: &'static str) -> ErrorKind {
    ErrorKind::Truncated { field }
}

proptest! {
    #[test]
    fn any_split_of_the_answer_is_the_answer(pairs in vec((values::bytes(20), values::bytes(20)), 0..9), cut in 1..40_usize) {
        let hello = pairs.into_iter().fold(Hello::new(), |hello, (name, data)| hello.with_pair(name, data));
        let answer = version(hello.clone());
        let pieces: Vec<&[u8]> = answer.chunks(cut).collect();
        prop_assert_eq!(open(&pieces).unwrap(), hello);
    }

    #[test]
    fn any_text_is_shown_whatever_it_is_cut_into(text in "[^\0]{1,300}", cut in 1..40_usize) {
        let whole = printed(&[text.as_bytes()]);
        prop_assert!(!whole.chars().any(char::is_control));
        let mut opening = Opening::new(Limits::default());
        for piece in text.as_bytes().chunks(cut) {
            prop_assert!(opening.receive(Bytes::copy_from_slice(piece)).is_err());
        }
        let error = opening.finish().unwrap_err();
        prop_assert_eq!(error.printed(), Some(whole.as_str()));
    }

    #[test]
    fn no_bytes_panic_and_what_is_kept_was_pushed(pieces in vec(vec(any::<u8>(), 0..40), 0..20), zero in any::<bool>()) {
        let mut opening = Opening::new(Limits::default().with_max_packet(64));
        let mut pushed = 0;
        if zero {
            let _ = opening.receive(Bytes::from_static(b"\0\0\0"));
            pushed = 3;
        }
        for piece in pieces {
            pushed += piece.len();
            if let Err(error) = opening.receive(piece.into()) {
                prop_assert!(error.printed().is_none_or(|text| text.len() <= 6 * 1024 + 3));
            }
        }
        let _ = opening.finish();
        prop_assert!(opening.into_framer().buffered() <= pushed);
    }
}
