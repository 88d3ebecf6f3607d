//! One file, there and back.

use std::future::IntoFuture as _;

use rustle_sftp::{ErrorKind, Sftp, Verified};
use rustle_testserver::{Fault, SftpEntry, SftpFault, SftpRequest, TestServer};

use crate::here::{Here, content};
use crate::support::{open, serve, serve_with};

/// No handle of the server is open once the client is gone.
async fn nothing_is_left(server: TestServer, sftp: Sftp) {
    sftp.close().await;
    let record = server.record();
    assert!(record.channels().iter().all(|channel| channel.handles_left() == 0), "{record:#?}");
    server.stop().await.unwrap();
}

const SIZES: [usize; 7] = [0, 1, 32 * 1024, 255 * 1024, 255 * 1024 + 1, 3_000_000, 8 << 20];

#[tokio::test]
async fn files_of_every_size_come_and_go_whole() {
    let here = Here::new();
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    for size in SIZES {
        for atomic in [false, true] {
            let bytes = content(size);
            let from = here.file("from", &bytes);
            let way = |transfer: rustle_sftp::Transfer| if atomic { transfer.atomic() } else { transfer };
            let put = way(sftp.put(&from, "/there")).await.unwrap();
            assert_eq!((put.length, put.moved, put.changed), (size as u64, size as u64, false));
            let got = way(sftp.get("/there", here.path("back"))).await.unwrap();
            assert_eq!((got.length, got.moved), (size as u64, size as u64));
            assert!(here.read("back") == bytes, "{size} bytes");
        }
    }
    assert_eq!(here.names(), ["back", "from"]);
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn answers_out_of_order_and_short_ones_and_small_limits_change_nothing() {
    let bytes = content(1_500_000);
    for files in [
        rustle_testserver::Sftp::memory().max_read(1024).max_write(1024),
        rustle_testserver::Sftp::memory().extensions(Vec::<&str>::new()),
        rustle_testserver::Sftp::memory(),
    ] {
        let here = Here::new();
        let from = here.file("from", &bytes);
        let server = serve_with(
            TestServer::builder()
                .sftp(files)
                .fault(Fault::sftp(SftpRequest::Read, SftpFault::short_read(1000)).times(20))
                .fault(Fault::sftp(SftpRequest::Read, SftpFault::hold_reply()).nth(2))
                .fault(Fault::sftp(SftpRequest::Write, SftpFault::hold_reply()).nth(2)),
        )
        .await;
        let sftp = open(&server).await;
        sftp.put(&from, "/there").await.unwrap();
        let got = sftp.get("/there", here.path("back")).await.unwrap();
        assert_eq!(got.length, 1_500_000);
        assert!(here.read("back") == bytes);
        nothing_is_left(server, sftp).await;
    }
}

#[tokio::test]
async fn a_longer_file_is_replaced_by_a_shorter_one() {
    let here = Here::new();
    let server = serve(rustle_testserver::Sftp::memory().file("/long", content(400_000))).await;
    let sftp = open(&server).await;
    let short = here.file("short", b"short");
    here.file("long", &content(400_000));
    sftp.put(&short, "/long").await.unwrap();
    sftp.get("/long", here.path("long")).await.unwrap();
    assert_eq!(here.read("long"), b"short");
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn what_is_missing_or_a_directory_is_named() {
    let here = Here::new();
    let server = serve(rustle_testserver::Sftp::memory().directory_entry("/dir")).await;
    let sftp = open(&server).await;
    let missing = sftp.get("/none", here.path("x")).await.unwrap_err();
    assert_eq!((missing.kind(), missing.path()), (ErrorKind::NotFound, Some(&b"/none"[..])));
    let directory = sftp.get("/dir", here.path("x")).await.unwrap_err();
    assert_eq!(directory.kind(), ErrorKind::IsADirectory, "{directory}");
    let from = here.file("from", b"x");
    let over = sftp.put(&from, "/dir").atomic().await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::IsADirectory, "{over}");
    let local = sftp.put(here.path("none"), "/there").await.unwrap_err();
    assert_eq!(local.kind(), ErrorKind::Local, "{local}");
    assert_eq!(here.names(), ["from"]);
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn an_atomic_put_that_fails_leaves_the_old_file_and_nothing_else() {
    let here = Here::new();
    let from = here.file("from", &content(3_000_000));
    let server = serve(rustle_testserver::Sftp::memory().file("/app", "old").quota(2_000_000)).await;
    let sftp = open(&server).await;
    let error = sftp.put(&from, "/app").atomic().await.unwrap_err();
    assert_eq!((error.operation(), error.kind()), ("write", ErrorKind::NoSpace), "{error}");
    sftp.get("/app", here.path("app")).await.unwrap();
    assert_eq!(here.read("app"), b"old");
    let sftp = open(&server).await;
    let gone = sftp.put(here.file("small", b"new"), "/app").atomic().await.unwrap();
    assert_eq!(gone.length, 3, "the temporary file gave its room back");
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn a_transfer_that_is_dropped_leaves_no_handle_and_no_temporary_file() {
    let here = Here::new();
    let from = here.file("from", &content(3_000_000));
    let server = serve_with(
        TestServer::builder()
            .sftp(rustle_testserver::Sftp::memory().file("/old", content(3_000_000)).file("/app", "old"))
            .fault(Fault::sftp(SftpRequest::Write, SftpFault::lose_reply()).nth(5))
            .fault(Fault::sftp(SftpRequest::Read, SftpFault::lose_reply()).nth(5)),
    )
    .await;
    let sftp = open(&server).await;
    let put = sftp.put(&from, "/app").atomic();
    let struck = async {
        while server.faults_fired() < 1 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        ended = put.into_future() => panic!("it did not wait: {ended:?}"),
        () = struck => {}
    }
    let get = sftp.get("/old", here.path("back")).atomic();
    let struck = async {
        while server.faults_fired() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        ended = get.into_future() => panic!("it did not wait: {ended:?}"),
        () = struck => {}
    }
    assert_eq!(here.names(), ["from"]);
    let sftp2 = open(&server).await;
    let got = sftp2.get("/app", here.path("app")).await.unwrap();
    assert_eq!(got.length, 3);
    sftp2.close().await;
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn permissions_and_times_are_kept_when_asked_for() {
    let here = Here::new();
    let old = SftpEntry::file("content")
        .mode(0o640)
        .modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000));
    let server = serve(rustle_testserver::Sftp::memory().entry("/old", old)).await;
    let sftp = open(&server).await;
    sftp.get("/old", here.path("back")).preserve().await.unwrap();
    let metadata = std::fs::metadata(here.path("back")).unwrap();
    let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(modified.as_secs(), 1_600_000_000);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    }
    sftp.put(here.path("back"), "/new").preserve().atomic().await.unwrap();
    sftp.get("/new", here.path("again")).preserve().await.unwrap();
    let again = std::fs::metadata(here.path("again")).unwrap().modified().unwrap();
    assert_eq!(again, metadata.modified().unwrap());
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn both_sides_are_compared_when_asked_for() {
    let here = Here::new();
    let bytes = content(700_000);
    let from = here.file("from", &bytes);
    let server = serve_with(TestServer::builder().sftp(rustle_testserver::Sftp::memory())).await;
    let sftp = open(&server).await;
    let put = sftp.put(&from, "/there").verify().await.unwrap();
    // This server runs no commands and has no check-file.
    assert!(matches!(put.verified, Verified::Impossible(_)), "{:?}", put.verified);
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn a_refused_read_is_told_with_its_path_and_status() {
    let here = Here::new();
    let server = serve_with(
        TestServer::builder()
            .sftp(rustle_testserver::Sftp::memory().file("/file", content(2_000_000)))
            .fault(Fault::sftp(SftpRequest::Read, SftpFault::status(3, "not you")).nth(3)),
    )
    .await;
    let sftp = open(&server).await;
    let error = sftp.get("/file", here.path("back")).atomic().await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::PermissionDenied, Some(&b"/file"[..])));
    assert!(error.to_string().contains("not you"), "{error}");
    assert_eq!(here.names(), Vec::<String>::new());
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn a_lost_channel_is_told_and_leaves_no_part() {
    let here = Here::new();
    let server = serve_with(
        TestServer::builder()
            .sftp(rustle_testserver::Sftp::memory().file("/file", content(4_000_000)))
            .fault(Fault::cut_after(1_000_000, rustle_testserver::Cut::Rst)),
    )
    .await;
    let sftp = open(&server).await;
    let error = sftp.get("/file", here.path("back")).atomic().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(error.is_retryable());
    assert_eq!(here.names(), Vec::<String>::new());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_limit_holds_from_the_first_moment_on() {
    let here = Here::new();
    let from = here.file("from", &content(600_000));
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let limit = std::num::NonZeroU64::new(1_000_000).unwrap();
    // A tenth of a second's worth may pass at once, and the last bytes wait for nobody.
    let least = std::time::Duration::from_millis(300);
    for put in [true, false] {
        let transfer = if put { sftp.put(&from, "/there") } else { sftp.get("/there", here.path("back")) };
        let summary = transfer.limit(limit).await.unwrap();
        assert!(summary.duration >= least, "put: {put}, {:?}", summary.duration);
    }
    assert!(here.read("back") == content(600_000));
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn progress_ends_with_all_that_was_moved() {
    let here = Here::new();
    let from = here.file("from", &content(600_000));
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let (tell, told) = tokio::sync::watch::channel(None);
    let tell = std::sync::Arc::new(tell);
    for put in [true, false] {
        let tell = std::sync::Arc::clone(&tell);
        let transfer = if put { sftp.put(&from, "/there") } else { sftp.get("/there", here.path("back")) };
        let watched = transfer.progress(move |progress| {
            tell.send_replace(Some(progress.clone()));
        });
        watched.await.unwrap();
        let last = told.borrow().clone().expect("it was told");
        assert!(last.is_last());
        assert_eq!((last.bytes(), last.total(), last.files()), (600_000, Some(600_000), 1), "put: {put}");
    }
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn a_long_link_is_given_more_channels_and_a_refused_one_is_done_without() {
    let here = Here::new();
    let bytes = content(20 << 20);
    let from = here.file("from", &bytes);
    // Slow enough that all channels are open long before the end.
    let long =
        rustle_testserver::Network::new().round_trip(std::time::Duration::from_millis(50)).rate(16_000_000);
    for refused in [false, true] {
        let mut builder = TestServer::builder().sftp(rustle_testserver::Sftp::memory()).network(long.clone());
        if refused {
            builder = builder.fault(Fault::refuse_channel().nth(3));
        }
        let server = serve_with(builder).await;
        let sftp = open(&server).await;
        let put = sftp.put(&from, "/there").atomic().await.unwrap();
        let expected = if refused { 1..=4 } else { 2..=5 };
        assert!(expected.contains(&put.channels), "refused: {refused}, {put:?}");
        let one = std::num::NonZeroUsize::MIN;
        let got = sftp.get("/there", here.path("back")).channels(one).await.unwrap();
        assert_eq!(got.channels, 1);
        assert!(here.read("back") == bytes);
        let got = sftp.get("/there", here.path("back")).await.unwrap();
        // The window of a download is this side's, and fits the link.
        assert_eq!(got.channels, 1);
        assert!(here.read("back") == bytes);
        nothing_is_left(server, sftp).await;
    }
}

#[tokio::test]
async fn an_atomic_put_that_is_dropped_at_its_end_leaves_the_old_file_or_the_new_one_under_the_name() {
    let here = Here::new();
    let from = here.file("from", b"new");
    // Without posix-rename the old file is moved aside (the second RENAME), and the new one takes its name (the third).
    for (dropped_at, may_be) in [(1, &["old"][..]), (2, &["old"]), (3, &["old", "new"])] {
        let server = serve_with(
            TestServer::builder()
                .sftp(rustle_testserver::Sftp::memory().file("/app", "old").extensions(Vec::<&str>::new()))
                .fault(Fault::sftp(SftpRequest::Rename, SftpFault::lose_reply()).nth(dropped_at)),
        )
        .await;
        let sftp = open(&server).await;
        let struck = async {
            while server.faults_fired() < 1 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            ended = sftp.put(&from, "/app").atomic().into_future() => panic!("it did not wait: {ended:?}"),
            () = struck => {}
        }
        let content = sftp.read("/app").await.unwrap();
        assert!(may_be.iter().any(|text| content == text), "dropped at {dropped_at}: {content:?}");
        nothing_is_left(server, sftp).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_place_of_a_name_that_the_server_chose_is_not_written_through() {
    let here = Here::new();
    let server = serve(rustle_testserver::Sftp::memory().file("/notes", "theirs")).await;
    let sftp = open(&server).await;
    here.file("profile", b"mine");
    std::os::unix::fs::symlink("profile", here.path("notes")).unwrap();
    let error = sftp.get("/notes", here.path("notes")).no_follow().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    assert_eq!(here.read("profile"), b"mine");
    sftp.get("/notes", here.path("notes")).no_follow().atomic().await.unwrap();
    assert_eq!((here.read("profile"), here.read("notes")), (b"mine".to_vec(), b"theirs".to_vec()));
    assert!(!here.path("notes").is_symlink());
    nothing_is_left(server, sftp).await;
}

#[tokio::test]
async fn a_file_that_takes_the_name_meanwhile_is_not_mixed_in() {
    let here = Here::new();
    let old = content(16 << 20);
    let mut new = old.clone();
    new.reverse();
    new.truncate(15 << 20);
    let server = serve_with(
        TestServer::builder()
            .sftp(rustle_testserver::Sftp::memory().file("/name", old.clone()).file("/other", new))
            // The second channel of the get comes when the name is another file's: there are two others before it.
            .fault(Fault::withhold_channel_open().nth(3).for_time(std::time::Duration::from_millis(1500)))
            .network(
                rustle_testserver::Network::new()
                    .round_trip(std::time::Duration::from_millis(20))
                    .rate(6_000_000),
            ),
    )
    .await;
    let sftp = open(&server).await;
    // Logged in before, since that takes a busy machine longer than anything else here.
    let theirs = open(&server).await;
    let others = async {
        while server.faults_fired() < 1 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        theirs.rename("/other", "/name").await.unwrap();
        theirs.close().await;
    };
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let get = sftp.get("/name", here.path("back")).atomic().channels(two);
    let both = Box::pin(async { tokio::join!(get.into_future(), others) });
    let (got, ()) = tokio::time::timeout(std::time::Duration::from_secs(60), both).await.unwrap();
    assert_eq!(got.unwrap().channels, 1);
    assert!(here.read("back") == old, "all of it is of the file that was opened");
    nothing_is_left(server, sftp).await;
}
