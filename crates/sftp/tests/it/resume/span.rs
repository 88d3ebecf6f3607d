//! How much of a part is believed where the server has no hash.

use rustle_sftp::{Proof, Resumed, Sftp};
use rustle_testserver::{Fault, SftpEntry, SftpFault, SftpRequest, TestServer};

use super::{PART, anew};
use crate::here::{Here, content};
use crate::support::{finish, open, serve, serve_with};

/// What may have holes, at the end of a part.
const SPAN: usize = 32 << 20;
const SIZE: usize = SPAN + (9 << 20);
const FOUND: usize = SPAN + (5 << 20);

/// Damages of a part, and whether it is believed up to [`SPAN`] before its end nevertheless.
const PARTS: [(&str, std::ops::Range<usize>, bool); 4] = [
    ("nothing is wrong", 0..0, true),
    ("writes near the end came out of order and one did not come", FOUND - SPAN..FOUND - SPAN + 4096, true),
    ("its end before that is not the file's", FOUND - SPAN - 1..FOUND - SPAN, false),
    ("its beginning is not the file's", 0..1, false),
];

fn part_of(bytes: &[u8], damaged: std::ops::Range<usize>) -> Vec<u8> {
    let mut part = bytes[..FOUND].to_vec();
    // A hole reads as zeros.
    for byte in &mut part[damaged] {
        *byte = if *byte == 0 { 1 } else { 0 };
    }
    part
}

fn assert_believed(resumed: &Resumed, believed: bool, what: &str) {
    match believed {
        true => {
            let expected = Resumed::From { from: (FOUND - SPAN) as u64, proof: Proof::Samples };
            assert_eq!(resumed, &expected, "{what}");
        }
        false => assert!(anew(resumed, FOUND), "{what}: {resumed:?}"),
    }
}

#[tokio::test]
async fn of_a_sent_part_what_cannot_have_holes_is_believed_by_samples() {
    let bytes = content(SIZE);
    let here = Here::new();
    let from = here.file("from", &bytes);
    for (what, damaged, believed) in PARTS {
        let part = part_of(&bytes, damaged);
        let server = serve(rustle_testserver::Sftp::memory().file("/.app.rustle-part", part)).await;
        let sftp = open(&server).await;
        let summary = sftp.put(&from, "/app").atomic().resume().await.unwrap();
        assert_believed(&summary.resumed, believed, what);
        assert_eq!(summary.moved, SIZE as u64 - summary.resumed.from());
        assert!(server.sftp_content("/app").unwrap() == bytes, "{what}");
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn of_a_fetched_part_what_cannot_have_holes_is_believed_by_samples() {
    let bytes = content(SIZE);
    for (what, damaged, believed) in PARTS {
        let here = Here::new();
        here.file(PART, &part_of(&bytes, damaged));
        let server = serve(rustle_testserver::Sftp::memory().file("/source", bytes.clone())).await;
        let sftp = open(&server).await;
        let summary = sftp.get("/source", here.path("app")).atomic().resume().await.unwrap();
        assert_believed(&summary.resumed, believed, what);
        assert!(here.read("app") == bytes, "{what}");
        finish(sftp, server).await;
    }
}

/// The rule that the belief rests on: behind a request that is not answered, no more than so much is asked for.
#[tokio::test]
async fn nothing_is_sent_further_behind_an_unanswered_write() {
    let here = Here::new();
    let from = here.path("from");
    std::fs::File::create(&from).unwrap().set_len(2 * SPAN as u64).unwrap();
    let server = stuck(SftpRequest::Write).await;
    let (sftp, other) = (open(&server).await, open(&server).await);
    let length = async || other.metadata("/.app.rustle-part").await.ok().and_then(|there| there.len());
    let watched = async {
        while length().await.unwrap_or(0) < SPAN as u64 {}
        settled(&sftp).await;
        length().await
    };
    tokio::select! {
        ended = sftp.put(&from, "/app").atomic().resume() => panic!("it did not wait: {ended:?}"),
        length = watched => assert_eq!(length, Some(SPAN as u64)),
    }
    other.close().await;
    finish(sftp, server).await;
}

#[tokio::test]
async fn nothing_is_asked_for_further_behind_an_unanswered_read() {
    let here = Here::new();
    let server = stuck(SftpRequest::Read).await;
    let sftp = open(&server).await;
    let length = || std::fs::metadata(here.path(PART)).map_or(0, |there| there.len());
    // What came last may wait in memory for more.
    let almost = (SPAN - (1 << 20)) as u64;
    let watched = async {
        while length() < almost {
            settled(&sftp).await;
        }
        settled(&sftp).await;
        length()
    };
    tokio::select! {
        ended = sftp.get("/source", here.path("app")).atomic().resume() => panic!("it did not wait: {ended:?}"),
        length = watched => assert!((almost..=SPAN as u64).contains(&length), "{length}"),
    }
    finish(sftp, server).await;
}

/// A server that never answers the first of these.
async fn stuck(request: SftpRequest) -> TestServer {
    let served = rustle_testserver::Sftp::memory()
        .entry("/source", SftpEntry::file("").size(2 * SPAN as u64))
        .max_read(128 << 10)
        .max_write(128 << 10);
    let never = Fault::sftp(request, SftpFault::lose_reply()).nth(1);
    serve_with(TestServer::builder().sftp(served).fault(never)).await
}

/// Whatever the transfer on the same channel had to ask for by now, it has asked for.
async fn settled(sftp: &Sftp) {
    for _ in 0..20 {
        sftp.metadata("/source").await.unwrap();
    }
}
