//! Files there and back by commands.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{Arc, Mutex};

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
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
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
