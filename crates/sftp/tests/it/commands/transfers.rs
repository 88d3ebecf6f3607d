//! Files there and back by commands.

use std::fs;
use std::future::IntoFuture as _;
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rustle_sftp::{ErrorKind, Files, Lack, Verified};

use crate::commands::host::{Host, files_of, hosts};
use crate::support::login;

fn content(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8))
        .flat_map(|word| (word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

#[tokio::test]
async fn a_file_comes_and_goes_whole_in_place_and_atomically() {
    for (name, host) in hosts() {
        let server = host.serve().await;
        let files = files_of(&server).await;
        let here = tempfile::tempdir().unwrap();
        let (from, back) = (here.path().join("from"), here.path().join("back"));
        let there = host.folder().join("the 'file'\n");
        for length in [0, 1, 300_000] {
            fs::write(&from, content(length)).unwrap();
            for atomic in [false, true] {
                let put = files.put(&from, "the 'file'\n").verify();
                let summary = if atomic { put.atomic() } else { put }.await.unwrap();
                assert_eq!((summary.length, summary.moved), (length as u64, length as u64), "{name}");
                assert!(fs::read(&there).unwrap() == content(length), "{name}");
                let verifies = !files.lacks().contains(&Lack::Verify);
                assert_eq!(matches!(summary.verified, Verified::Sha256(_)), verifies, "{name}");
                let get = files.get("the 'file'\n", &back).verify();
                let summary = if atomic { get.atomic() } else { get }.await.unwrap();
                assert_eq!((summary.length, summary.changed), (length as u64, false), "{name}");
                assert_eq!(matches!(summary.verified, Verified::Sha256(_)), verifies, "{name}");
                assert!(fs::read(&back).unwrap() == content(length), "{name}");
            }
        }
        assert_eq!(host.names(), ["the 'file'\n"], "{name}: nothing temporary is left");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn permissions_and_times_are_those_that_were_asked_for() {
    for (name, host) in hosts() {
        let server = host.serve().await;
        let files = files_of(&server).await;
        let here = tempfile::tempdir().unwrap();
        let from = here.path().join("from");
        fs::write(&from, "x").unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o710)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_500_000_000);
        fs::File::open(&from).unwrap().set_modified(time).unwrap();
        let mode = |path: &str| fs::metadata(host.folder().join(path)).unwrap().permissions().mode() & 0o7777;
        files.put(&from, "kept").preserve().atomic().await.unwrap();
        assert_eq!(mode("kept"), 0o710, "{name}");
        assert_eq!(fs::metadata(host.folder().join("kept")).unwrap().mtime(), 1_500_000_000, "{name}");
        files.put(&from, "chosen").mode(0o604).await.unwrap();
        assert_eq!(mode("chosen"), 0o604, "{name}");
        // What is replaced hands its own down; in place it stays.
        for atomic in [false, true] {
            let put = files.put(&from, "chosen");
            if atomic { put.atomic() } else { put }.await.unwrap();
            assert_eq!(mode("chosen"), 0o604, "{name}");
        }
        let back = here.path().join("back");
        let got = files.get("kept", &back).preserve().await;
        if files.lacks().contains(&Lack::Times) {
            assert_eq!(got.unwrap_err().kind(), ErrorKind::Unsupported, "{name}");
            assert!(!back.exists(), "{name}: nothing was done");
        } else {
            got.unwrap();
            assert_eq!(fs::metadata(&back).unwrap().mtime(), 1_500_000_000, "{name}");
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let host = Arc::new(Host::new());
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), "new").unwrap();
    fs::create_dir(host.folder().join("dir")).unwrap();
    fs::write(host.folder().join("dir/file"), "old").unwrap();
    std::os::unix::fs::symlink("dir/file", host.folder().join("link")).unwrap();
    files.put(here.path(), "link").atomic().await.unwrap();
    assert!(fs::symlink_metadata(host.folder().join("link")).unwrap().is_symlink());
    assert_eq!(fs::read(host.folder().join("dir/file")).unwrap(), b"new");
    let error = files.put(here.path(), "dir").atomic().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    let error = files.put(here.path(), "none/x").atomic().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = files.get("none", here.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn going_on_from_a_part_is_refused_before_anything_is_done() {
    let host = Arc::new(Host::new());
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(host.folder().join("file"), "there").unwrap();
    for refused in
        [files.put(here.path(), "file").resume().await, files.get("file", here.path()).resume().await]
    {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Unsupported, true));
    }
    assert_eq!(fs::read(host.folder().join("file")).unwrap(), b"there");
    assert_eq!(fs::read(here.path()).unwrap(), b"");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn progress_is_told_and_a_limit_kept() {
    let host = Arc::new(Host::new());
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), content(300_000)).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let limit = NonZeroU64::new(1_000_000).unwrap();
    let summary = files
        .put(here.path(), "file")
        .limit(limit)
        .progress(move |progress| told.lock().unwrap().push((progress.bytes(), progress.total())))
        .await
        .unwrap();
    assert_eq!(seen.lock().unwrap().last(), Some(&(300_000, Some(300_000))));
    // The last block goes when the one before it has had its time, less the tenth of a second that passes at once.
    assert!(summary.duration.as_millis() >= 100, "{:?}", summary.duration);
    server.stop().await.unwrap();
}

/// The end of the input may be that of the connection: what stands there is the old file.
#[tokio::test]
async fn a_connection_that_is_cut_leaves_the_old_file_and_nothing_else() {
    let host = Arc::new(Host::new());
    let server = host.serve().await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), content(4_000_000)).unwrap();
    fs::write(host.folder().join("file"), "old").unwrap();
    let session = login(&server).await;
    let files = Files::open(&session).await.unwrap();
    let cut = session.clone();
    let error = files
        .put(here.path(), "file")
        .atomic()
        .limit(NonZeroU64::new(1_000_000).unwrap())
        .progress(move |progress| {
            if progress.bytes() >= 500_000 {
                cut.abort();
            }
        })
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected | ErrorKind::Failure), "{error}");
    host.settles_at(&["file"]).await;
    assert_eq!(fs::read(host.folder().join("file")).unwrap(), b"old");
    drop(server);
}

/// The script has all the bytes that it was promised: it is not to know so while they may be of two files.
#[tokio::test]
async fn a_source_that_is_written_to_while_it_is_read_never_takes_the_place() {
    let host = Arc::new(Host::deaf());
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), content(100_000)).unwrap();
    let writing = Arc::new(AtomicBool::new(true));
    let writer = std::thread::spawn({
        let (writing, path) = (Arc::clone(&writing), here.path().to_owned());
        move || {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            for second in (1..).take_while(|_| writing.load(Ordering::Relaxed)) {
                file.set_modified(UNIX_EPOCH + Duration::from_secs(second)).unwrap();
            }
        }
    });
    let mut seen = 0;
    while seen < 10 {
        fs::write(host.folder().join("file"), "old").unwrap();
        // Where nothing was noticed it was whole.
        if let Err(error) = files.put(here.path(), "file").atomic().await {
            assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
            host.settles_at(&["file"]).await;
            assert_eq!(fs::read(host.folder().join("file")).unwrap(), b"old");
            seen += 1;
        }
    }
    writing.store(false, Ordering::Relaxed);
    writer.join().unwrap();
    server.stop().await.unwrap();
}

/// GNU's `ls` would tell lengths in other units.
#[tokio::test]
async fn variables_for_the_units_of_lengths_change_nothing() {
    let host = Arc::new(Host::with_environment(&[
        ("BLOCK_SIZE", "1M"),
        ("LS_BLOCK_SIZE", "1M"),
        ("BLOCKSIZE", "1048576"),
    ]));
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), content(3_000_000)).unwrap();
    files.put(here.path(), "file").atomic().await.unwrap();
    files.write("other", content(3_000_000)).await.unwrap();
    assert_eq!(files.metadata("file").await.unwrap().len(), Some(3_000_000));
    for name in ["file", "other"] {
        assert!(fs::read(host.folder().join(name)).unwrap() == content(3_000_000), "{name}");
    }
    server.stop().await.unwrap();
}

/// What is received has crossed the wire: a limit that only holds back what is written would be none.
#[tokio::test]
async fn the_far_side_sends_no_faster_than_the_limit_of_a_get() {
    for (name, host) in hosts() {
        let server = host.serve().await;
        let files = files_of(&server).await;
        let here = tempfile::tempdir().unwrap();
        let long = fs::File::create(host.folder().join("long")).unwrap();
        long.set_len(64_000_000).unwrap();
        let before = host.sent();
        let most_ahead = Arc::new(Mutex::new(0));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (seen, watched, mut stop) = (Arc::clone(&most_ahead), Arc::clone(&host), Some(stop));
        let get = files.get("long", here.path().join("long")).limit(NonZeroU64::new(2_000_000).unwrap());
        let get = get.progress(move |progress| {
            let mut most = seen.lock().unwrap();
            *most = (*most).max((watched.sent() - before).saturating_sub(progress.bytes()));
            if progress.bytes() >= 600_000 {
                drop(stop.take());
            }
        });
        tokio::select! {
            done = get.into_future() => panic!("{name}: {done:?}"),
            _ = stopped => {}
        }
        let most_ahead = *most_ahead.lock().unwrap();
        assert!(most_ahead <= 2_000_000 + 2 * 262_144, "{name}: {most_ahead}");
        // To its end, with a length that is no multiple of anything.
        fs::write(host.folder().join("short"), content(300_007)).unwrap();
        for limit in [1_000_000, 100_000_000] {
            let limit = NonZeroU64::new(limit).unwrap();
            files.get("short", here.path().join("short")).limit(limit).await.unwrap();
            assert!(fs::read(here.path().join("short")).unwrap() == content(300_007), "{name}");
        }
        fs::write(host.folder().join("empty"), "").unwrap();
        let empty = files.get("empty", here.path().join("empty")).limit(NonZeroU64::MIN).await.unwrap();
        assert_eq!((empty.length, empty.changed), (0, false), "{name}");
        server.stop().await.unwrap();
    }
}
