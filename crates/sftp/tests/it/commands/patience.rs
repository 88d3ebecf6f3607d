//! Programs that take longer than a server is usually waited for.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustle_sftp::{ErrorKind, Files, Verified};
use rustle_testserver::TestServer;

use crate::commands::host::{Host, files_of};
use crate::here::content;
use crate::support::serve_with;

/// Commands with this in their text say how they ended this much later, and read their input this slowly.
async fn slow(host: &Arc<Host>, part: &'static str, reading: u64, ending: u64) -> (TestServer, Files) {
    let behind = Arc::clone(host);
    let builder = host.builder().command_fn("*", move |call| {
        let host = Arc::clone(&behind);
        async move {
            let is_slow = call.command().windows(part.len()).any(|text| text == part.as_bytes());
            let [reading, ending] =
                [reading, ending].map(|seconds| Duration::from_secs(if is_slow { seconds } else { 0 }));
            host.run_slowly(call, reading, ending).await
        }
    });
    let server = serve_with(builder).await;
    let files = files_of(&server).await;
    (server, files)
}

#[tokio::test(start_paused = true)]
async fn a_hash_is_waited_for_as_long_as_a_slow_disk_takes_for_it() {
    let host = Arc::new(Host::new());
    let (server, files) = slow(&host, "head -c", 0, 301).await;
    let here = tempfile::tempdir().unwrap();
    let (from, back) = (here.path().join("from"), here.path().join("back"));
    fs::write(&from, content(300_000)).unwrap();
    let put = files.put(&from, "file").verify().atomic().await.unwrap();
    let get = files.get("file", &back).verify().await.unwrap();
    for summary in [put, get] {
        assert!(matches!(summary.verified, Verified::Sha256(_)), "{summary:?}");
        assert!(summary.length == 300_000);
    }
    assert!(fs::read(&back).unwrap() == content(300_000));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_command_that_never_ends_is_given_up() {
    let host = Arc::new(Host::new());
    let (server, files) = slow(&host, "head -c", 0, 100_000).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    let error = files.put(here.path(), "file").verify().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_move_has_all_the_time_it_needs() {
    let host = Arc::new(Host::new());
    let (server, files) = slow(&host, "mv -fT", 0, 3601).await;
    fs::write(host.folder().join("from"), "x").unwrap();
    files.rename("from", "to").await.unwrap();
    assert_eq!(host.names(), ["to"]);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn content_is_written_for_as_long_as_it_is_taken() {
    let host = Arc::new(Host::new());
    let (server, files) = slow(&host, "cat >", 1, 0).await;
    // By 32 KiB in a second: more than 300 s, and less than a slow disk is given for as much.
    let begun = tokio::time::Instant::now();
    files.write("file", content(10_000_000)).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(300), "{:?}", begun.elapsed());
    assert!(fs::read(host.folder().join("file")).unwrap() == content(10_000_000));
    server.stop().await.unwrap();
}

/// Here a rename would be a copy that can be seen half made.
#[tokio::test]
async fn a_rename_between_file_systems_is_refused_where_that_can_be_seen() {
    let host = Arc::new(Host::new());
    let shared = std::path::Path::new("/dev/shm");
    let device = |path| std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).unwrap());
    if !shared.is_dir() || device(shared) == device(host.folder()) {
        return;
    }
    let other = tempfile::tempdir_in(shared).unwrap();
    let server = host.serve().await;
    let files = files_of(&server).await;
    fs::write(host.folder().join("from"), "x").unwrap();
    let to = other.path().join("to");
    let error = files.rename("from", to.to_str().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(host.folder().join("from").exists() && !to.exists());
    server.stop().await.unwrap();
}
