//! A far side of scp's protocol that does not keep to it while it sends a directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rustle_sftp::{ErrorKind, Files};
use rustle_testserver::{Call, Exit, TestServer};

use crate::commands::scp::device;
use crate::commands::trees::{Thing, things};
use crate::support::{login, serve_with};

/// What is said next to `scp -f`, whatever is said here.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<Bytes>>);

impl Script {
    async fn serve(&self) -> (TestServer, Files) {
        let said = Arc::clone(&self.0);
        let server = serve_with(device().command_fn("scp -r*", move |mut call: Call| {
            let said = said.lock().unwrap().clone();
            async move {
                call.stdin().chunk().await;
                if call.stdout().send(said).await.is_err() {
                    return Exit::Silent;
                }
                while call.stdin().chunk().await.is_some() {}
                Exit::SUCCESS
            }
        }))
        .await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        (server, files)
    }

    fn say(&self, said: impl Into<Bytes>) {
        *self.0.lock().unwrap() = said.into();
    }

    /// The same, and behind it what is no record whatever was to come, data of a file for one.
    fn say_and_stop(&self, said: &[u8]) {
        self.say([said, "!".repeat(200).as_bytes(), b"\n"].concat());
    }
}

fn found(top: &Path) -> BTreeMap<PathBuf, Thing> {
    if top.exists() { things(top) } else { BTreeMap::new() }
}

#[tokio::test]
async fn what_was_not_asked_for_or_comes_out_of_order_is_an_error_and_written_nowhere() {
    use ErrorKind::{Failure, InvalidName, NotADirectory, NotFound, Protocol};
    let script = Script::default();
    let (server, files) = script.serve().await;
    for (said, expected) in [
        (&b"D0755 0 other\nE\n"[..], InvalidName),
        (b"D0755 0 ..\nE\n", InvalidName),
        (b"D0755 0 .\nE\n", InvalidName),
        (b"D0755 0 \nE\n", InvalidName),
        (b"D0755 0 /tree\nE\n", InvalidName),
        (b"D0755 0 tree\nC0644 1 ../evil\nx\0E\n", InvalidName),
        (b"D0755 0 tree\nC0644 1 /tmp/evil\nx\0E\n", InvalidName),
        (b"D0755 0 tree\nC0644 1 ..\nx\0E\n", InvalidName),
        (b"D0755 0 tree\nC0644 1 \nx\0E\n", InvalidName),
        (b"D0755 0 tree\nD0755 0 ..\nC0644 1 evil\nx\0E\nE\n", InvalidName),
        (b"D0755 0 tree\nD0755 0 .\nE\nE\n", InvalidName),
        (b"D0755 0 tree\nD0755 0 a/b\nE\nE\n", InvalidName),
        (b"D0755 0 tree\nE\nE\n", Protocol),
        (b"D0755 0 tree\nE\nC0644 1 evil\nx\0", Protocol),
        (b"D0755 0 tree\nE\nD0755 0 tree\nE\n", Protocol),
        (b"D0755 0 tree\nT1 0 1 0\nC0644 1 evil\nx\0E\n", Protocol),
        (b"D0755 0 tree\nC0644 9223372036854775808 evil\n", Protocol),
        (b"D0755 0 tree\nC0644 -1 evil\n", Protocol),
        (b"D0755 0 tree\nC0644 1 evil\nxC0644 1 evil\nx\0", Protocol),
        (b"D0755 0 tree\nC0644 5 evil\nx", Protocol),
        (b"D0755 0 tree\n\0E\n", Protocol),
        (b"D0755 0 tree\nhello\n", Protocol),
        (b"D0755 0 tree\n", Protocol),
        (b"E\n", Protocol),
        (b"\0", Protocol),
        (b"", Protocol),
        (b"C0644 1 tree\nx\0", NotADirectory),
        (b"\x01scp: tree: No such file or directory\n", NotFound),
        (b"D0755 0 tree\n\x02scp: it \x1b[2J is over\n", Failure),
    ] {
        script.say_and_stop(said);
        let here = tempfile::tempdir().unwrap();
        let top = here.path().join("got");
        let error = files.get_dir("tree", &top).atomic().await.unwrap_err();
        assert_eq!(error.kind(), expected, "{:?}: {error}", Bytes::from_static(said));
        assert!(!error.to_string().contains('\x1b'), "{error}");
        let written = found(here.path());
        assert!(written.keys().all(|path| path == Path::new("got")), "{said:?}: {written:?}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn times_are_told_once_and_of_something_that_comes() {
    let script = Script::default();
    let (server, files) = script.serve().await;
    for said in [
        &b"T1 0 1 0\nT1 0 1 0\nD0755 0 tree\nE\n"[..],
        b"T1 0 1 0\nE\n",
        b"D0755 0 tree\nT1 0 1 0\nT1 0 1 0\nC0644 1 a\nx\0E\n",
        b"D0755 0 tree\nT1 0 1 0\nE\n",
    ] {
        script.say_and_stop(said);
        let here = tempfile::tempdir().unwrap();
        let error = files.get_dir("tree", here.path().join("got")).preserve().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{:?}: {error}", Bytes::from_static(said));
    }
    server.stop().await.unwrap();
}

/// Each is refused by itself, and a far side that keeps to the protocol leaves it out: here the next record follows at once.
#[tokio::test]
async fn names_that_come_twice_are_too_long_or_lie_too_deep_are_left_out() {
    let script = Script::default();
    let (server, files) = script.serve().await;
    let here = tempfile::tempdir().unwrap();
    let long = "x".repeat(1021);
    script.say(format!(
        "D0755 0 tree\nC0644 1 a\nx\0C0644 1 a\nD0755 0 a\nC0644 1 {long}\nD0755 0 {long}\nC0644 1 b\ny\0\
         \x01scp: tree/c: Permission denied\nC0644 1 d\nz\x01read failed\nE\n"
    ));
    let top = here.path().join("got");
    let got = files.get_dir("tree", &top).atomic().await.unwrap();
    let failures: Vec<_> = got.failures.iter().map(|failure| failure.error.kind()).collect();
    use ErrorKind::{Failure, InvalidName, PermissionDenied};
    assert_eq!(
        failures,
        [InvalidName, InvalidName, InvalidName, InvalidName, PermissionDenied, Failure],
        "{got:?}"
    );
    assert_eq!(&got.failures[4].path[..], b"tree/c");
    assert_eq!(found(&top).into_keys().collect::<Vec<_>>(), [Path::new("a"), Path::new("b")]);
    assert_eq!(fs::read(top.join("a")).unwrap(), b"x");

    // 255 are in the first, and the one below them is left out.
    let deep = format!("D0755 0 tree\n{}{}", "D0755 0 d\n".repeat(256), "E\n".repeat(256));
    script.say(deep);
    let got = files.get_dir("tree", here.path().join("deep")).await.unwrap();
    assert_eq!((got.directories, got.failures.len()), (256, 1), "{:?}", got.failures);
    server.stop().await.unwrap();
}

/// A far side that takes a directory, and says this when all was sent.
async fn put_and_hear(said: &'static str) -> rustle_sftp::Result<rustle_sftp::TreeSummary> {
    let server = serve_with(device().command_fn("scp -r -p -d -t*", async move |mut call: Call| {
        let mut heard = Vec::new();
        // It is told of times, of the directory and of its end.
        for lines in 0..=3 {
            while heard.iter().filter(|byte| **byte == b'\n').count() < lines {
                let Some(more) = call.stdin().chunk().await else { return Exit::Code(1) };
                heard.extend_from_slice(&more);
            }
            let sent = call.stdout().send(Bytes::from_static(b"\0")).await;
            if sent.is_err() {
                return Exit::Silent;
            }
        }
        let sent = call.stdout().send(Bytes::from_static(said.as_bytes())).await;
        while call.stdin().chunk().await.is_some() {}
        if sent.is_ok() { Exit::Code(1) } else { Exit::Silent }
    }))
    .await;
    let files = Files::by_scp(&login(&server).await).await.unwrap();
    let here = tempfile::tempdir().unwrap();
    let put = files.put_dir(here.path(), "tree").preserve().await;
    server.stop().await.unwrap();
    put
}

#[tokio::test]
async fn whatever_is_said_at_the_end_is_told() {
    let times = "\x01scp: tree: set times: Operation not permitted\n";
    let mode = "\x01scp: tree: set mode: Operation not permitted\n";
    let put = put_and_hear("").await.unwrap();
    assert!(put.is_complete(), "{put:?}");
    let put =
        put_and_hear("\x01scp: tree: set times: no\n\x01scp: tree: set mode: No space left\n").await.unwrap();
    let kinds: Vec<_> = put.failures.iter().map(|failure| failure.error.kind()).collect();
    assert_eq!(kinds, [ErrorKind::Failure, ErrorKind::NoSpace], "{put:?}");
    // What is fatal is hidden by nothing that came before it.
    let fatal: &str =
        Box::leak([times, mode, "\x02scp: No space left on device\n"].concat().into_boxed_str());
    assert_eq!(put_and_hear(fatal).await.unwrap_err().kind(), ErrorKind::NoSpace);
    let endless: &str = Box::leak(times.repeat(1000).into_boxed_str());
    assert_eq!(put_and_hear(endless).await.unwrap_err().kind(), ErrorKind::Protocol);
}

/// A link that stands where something is to come is not followed.
#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let script = Script::default();
    let (server, files) = script.serve().await;
    let here = tempfile::tempdir().unwrap();
    let (top, outside) = (here.path().join("got"), here.path().join("outside"));
    fs::create_dir(&top).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "safe").unwrap();
    std::os::unix::fs::symlink(&outside, top.join("dir")).unwrap();
    std::os::unix::fs::symlink(outside.join("file"), top.join("file")).unwrap();
    script.say("D0755 0 tree\nD0755 0 dir\nC0644 1 file\nE\n");
    let got = files.get_dir("tree", &top).await.unwrap();
    assert_eq!((got.failures.len(), got.files), (2, 0), "{got:?}");
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"safe");
    server.stop().await.unwrap();
}

/// Any records in any order: nothing panics, hangs or is written beside the target, and no temporary file stays.
#[tokio::test]
async fn no_stream_of_records_writes_anything_elsewhere_or_leaves_a_part() {
    let script = Script::default();
    let (server, files) = script.serve().await;
    let record = prop_oneof![
        4 => Just("C0644 1 a\nx\0"),
        2 => Just("C0600 3 b\nyyy\0"),
        1 => Just("C0644 2 a\nx\0"),
        4 => Just("D0755 0 d\n"),
        2 => Just("D0700 0 a\n"),
        5 => Just("E\n"),
        2 => Just("T5 0 6 0\n"),
        2 => Just("\x01scp: tree/x: No such file\n"),
        1 => Just("\x02fatal\n"),
        1 => Just("\0"),
        1 => Just("C0644 1 ../evil\nx\0"),
        1 => Just("D0755 0 ..\n"),
        1 => Just("C0644 99 c\nshort"),
    ];
    let streams = prop::collection::vec(record, 0..20);
    let mut runner = TestRunner::deterministic();
    for case in 0..200 {
        let records = streams.new_tree(&mut runner).unwrap().current();
        script.say_and_stop(format!("D0755 0 tree\n{}", records.concat()).as_bytes());
        let here = tempfile::tempdir().unwrap();
        let get = files.get_dir("tree", here.path().join("got")).atomic();
        let got = if case % 2 == 0 { get } else { get.preserve() }.await;
        for path in found(here.path()).keys() {
            let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
            let is_known = |name: &&str| ["a", "b", "d"].contains(name);
            assert!(names[0] == "got" && names[1..].iter().all(is_known), "{records:?}: {names:?}, {got:?}");
        }
    }
    server.stop().await.unwrap();
}
