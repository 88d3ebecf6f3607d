//! Transfers that go on where an earlier one broke off.

mod kills;
#[cfg(unix)]
mod modes;
mod odd;
mod span;

use std::future::IntoFuture as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustle_sftp::{ErrorKind, Proof, Resumed, Verified};
use rustle_testserver::{Builder, Call, Exit, Fault, SftpFault, SftpRequest, TestServer};
use sha2::{Digest, Sha256};

use crate::here::{Here, content};
use crate::support::{finish, open, serve, serve_with};

/// Where an atomic transfer to `NAME` leaves its part.
const PART: &str = ".app.rustle-part";
const SIZE: usize = 300_000;

/// A server of the files in `root`, where an account's command makes SHA-256.
pub(crate) fn hashing(root: &Path) -> Builder {
    lying(root, usize::MAX)
}

/// The same, whose command says something else the n-th time, counted from 1.
fn lying(root: &Path, nth: usize) -> Builder {
    let (files, asked) = (rustle_testserver::Sftp::directory(root), AtomicUsize::new(0));
    answering(root, files, move || asked.fetch_add(1, Ordering::SeqCst) + 1 == nth)
}

/// A server of these files, which are those in `root`. Whether it says something else than the SHA-256 is asked each time
/// before it makes one.
pub(crate) fn answering(
    root: &Path,
    files: rustle_testserver::Sftp,
    lies: impl Fn() -> bool + Send + Sync + 'static,
) -> Builder {
    let root = root.to_owned();
    TestServer::builder().sftp(files).command_fn("sh -c *", move |call| {
        let is_hash = call.command().windows(MARK.len()).any(|part| part == MARK);
        let lies = is_hash && lies();
        said(root.clone(), call, is_hash.then_some(lies))
    })
}

/// What the client's scripts would print: which shell this is, or about `LENGTH PATH` at the end of the line, which a tree
/// says the other way round.
async fn said(root: std::path::PathBuf, mut call: Call, hash: Option<bool>) -> Exit {
    let answer = match hash {
        None => [b"rustle:", TRICKY, b"\nsha256\nend\n"].concat(),
        Some(lies) => {
            let line = String::from_utf8(call.command().to_vec()).unwrap();
            let (_, parameters) = line.rsplit_once(" sh ").unwrap();
            let (first, second) = parameters.split_once(' ').unwrap();
            let (length, path) = match first.parse::<usize>() {
                Ok(length) => (length, second),
                Err(_) => (second.parse().unwrap(), first),
            };
            let path = path.trim_matches('\'').trim_start_matches('/');
            let content = std::fs::read(root.join(path)).unwrap();
            let mut digest = Sha256::digest(&content[..length.min(content.len())]);
            digest[0] ^= u8::from(lies);
            let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("rustle-sha256:\n{}\n{digits}  -\n", content.len()).into_bytes()
        }
    };
    match call.stdout().send(answer).await {
        Ok(()) => Exit::SUCCESS,
        Err(_) => Exit::Silent,
    }
}

const MARK: &[u8] = b"rustle-sha256:";

/// What only a shell that quotes as POSIX says passes on unchanged.
const TRICKY: &[u8] = b"-'\"\\\\!$HOME`~*\n;&#\xff";

fn anew(resumed: &Resumed, found: usize) -> bool {
    matches!(resumed, Resumed::Anew { found: there, .. } if *there == found as u64)
}

#[tokio::test]
async fn a_part_with_the_same_hash_is_gone_on_from() {
    let bytes = content(SIZE);
    for found in [1, 100_000, SIZE] {
        for atomic in [true, false] {
            let (here, there) = (Here::new(), Here::new());
            let from = here.file("from", &bytes);
            there.file(if atomic { PART } else { "app" }, &bytes[..found]);
            here.file(if atomic { PART } else { "app" }, &bytes[..found]);
            there.file("source", &bytes);
            let server = serve_with(hashing(&there.path(""))).await;
            let sftp = open(&server).await;
            let (put, get) = (sftp.put(&from, "/app"), sftp.get("/source", here.path("app")));
            let (put, get) = if atomic { (put.atomic(), get.atomic()) } else { (put, get) };
            for summary in [put.resume().await.unwrap(), get.resume().verify().await.unwrap()] {
                let expected = Resumed::From { from: found as u64, proof: Proof::Sha256 };
                assert_eq!((&summary.resumed, summary.length), (&expected, SIZE as u64));
                assert_eq!(summary.moved, (SIZE - found) as u64);
            }
            assert!(
                here.read("app") == bytes && there.read("app") == bytes,
                "{found} bytes, atomic: {atomic}"
            );
            assert_eq!((here.names(), there.names()), (names(&["app", "from"]), names(&["app", "source"])));
            finish(sftp, server).await;
        }
    }
}

#[tokio::test]
async fn a_part_that_is_not_the_file_s_is_thrown_away() {
    let bytes = content(SIZE);
    let mut other = bytes[..200_000].to_vec();
    other[70_000] ^= 1;
    let longer = [&bytes[..], b"more"].concat();
    for part in [&other, &longer] {
        for atomic in [true, false] {
            let (here, there) = (Here::new(), Here::new());
            let from = here.file("from", &bytes);
            there.file(if atomic { PART } else { "app" }, part);
            here.file(if atomic { PART } else { "app" }, part);
            there.file("source", &bytes);
            let server = serve_with(hashing(&there.path(""))).await;
            let sftp = open(&server).await;
            let (put, get) = (sftp.put(&from, "/app"), sftp.get("/source", here.path("app")));
            let (put, get) = if atomic { (put.atomic(), get.atomic()) } else { (put, get) };
            for summary in [put.resume().await.unwrap(), get.resume().await.unwrap()] {
                assert!(anew(&summary.resumed, part.len()), "{:?}", summary.resumed);
                assert_eq!(summary.moved, SIZE as u64);
            }
            assert!(here.read("app") == bytes && there.read("app") == bytes, "atomic: {atomic}");
            assert_eq!((here.names(), there.names()), (names(&["app", "from"]), names(&["app", "source"])));
            finish(sftp, server).await;
        }
    }
}

#[tokio::test]
async fn a_short_part_is_not_believed_without_a_hash() {
    let bytes = content(SIZE);
    let here = Here::new();
    let from = here.file("from", &bytes);
    let served = rustle_testserver::Sftp::memory().file("/app", bytes[..100_000].to_vec());
    let server = serve(served).await;
    let sftp = open(&server).await;
    let put = sftp.put(&from, "/app").resume().await.unwrap();
    assert!(anew(&put.resumed, 100_000), "{:?}", put.resumed);
    assert!(server.sftp_content("/app").unwrap() == bytes);
    let nothing = sftp.put(&from, "/new").resume().atomic().await.unwrap();
    assert_eq!((nothing.resumed, nothing.moved), (Resumed::NothingFound, SIZE as u64));
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_is_resumed_is_compared_as_a_whole_when_asked_for_and_removed_where_it_differs() {
    let bytes = content(SIZE);
    for (lie, put) in [(usize::MAX, true), (2, true), (2, false)] {
        let (here, there) = (Here::new(), Here::new());
        let from = here.file("from", &bytes);
        there.file(PART, &bytes[..100_000]);
        there.file("source", &bytes);
        here.file(PART, &bytes[..100_000]);
        let server = serve_with(lying(&there.path(""), lie)).await;
        let sftp = open(&server).await;
        let transfer = if put { sftp.put(&from, "/app") } else { sftp.get("/source", here.path("app")) };
        match transfer.atomic().resume().verify().await {
            Ok(summary) => {
                assert_eq!(lie, usize::MAX);
                assert_eq!(summary.verified, Verified::Sha256(Sha256::digest(&bytes).into()));
                assert_eq!(summary.resumed.from(), 100_000);
                assert!(there.read("app") == bytes);
            }
            Err(error) => {
                assert_eq!((lie, error.kind()), (2, ErrorKind::Mismatch), "{error}");
                // Behind what removes it.
                sftp.metadata("/source").await.unwrap();
                let side = if put { &there } else { &here };
                let left = side.names();
                assert!(!left.iter().any(|name| name == PART || name == "app"), "{left:?}");
            }
        }
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn a_resumable_transfer_that_is_dropped_keeps_its_part() {
    // What has one lost answer never ends, and has moved all else by then.
    let bytes = content(3_000_000);
    let (here, there) = (Here::new(), Here::new());
    let from = here.file("from", &bytes);
    there.file("source", &bytes);
    let server = serve_with(
        hashing(&there.path(""))
            .fault(Fault::sftp(SftpRequest::Write, SftpFault::lose_reply()).nth(5))
            .fault(Fault::sftp(SftpRequest::Read, SftpFault::lose_reply()).nth(5)),
    )
    .await;
    for (put, fault) in [(true, 1), (false, 2)] {
        let sftp = open(&server).await;
        let transfer = |sftp: &rustle_sftp::Sftp| match put {
            true => sftp.put(&from, "/app").atomic().resume(),
            false => sftp.get("/source", here.path("app")).atomic().resume(),
        };
        let struck = async {
            while server.faults_fired() < fault {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            ended = transfer(&sftp).into_future() => panic!("it did not wait: {ended:?}"),
            () = struck => {}
        }
        sftp.close().await;
        let side = if put { &there } else { &here };
        assert!(side.names().iter().any(|name| name == PART), "{:?}", side.names());
        let sftp = open(&server).await;
        transfer(&sftp).await.unwrap();
        assert!(side.read("app") == bytes);
        assert!(!side.names().iter().any(|name| name == PART), "{:?}", side.names());
        sftp.close().await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_part_is_not_followed() {
    let here = Here::new();
    let from = here.file("from", &content(SIZE));
    let served =
        rustle_testserver::Sftp::memory().file("/secret", "theirs").symlink("/.app.rustle-part", "secret");
    let server = serve(served).await;
    let sftp = open(&server).await;
    let error = sftp.put(&from, "/app").atomic().resume().await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidArgument, Some(&b"/.app.rustle-part"[..])));
    assert_eq!(server.sftp_content("/secret").unwrap(), b"theirs");
    finish(sftp, server).await;
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
