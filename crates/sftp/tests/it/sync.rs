//! A directory of one side made equal to one of the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustle_sftp::{Compare, ErrorKind, Outcome, TreeSync};
use rustle_testserver::Sftp as Files;

use crate::support::{finish, open, serve};

#[cfg(unix)]
mod disk;
pub(crate) mod ends;
mod folds;
mod merged;
mod modes;
mod removed;

/// All files below a directory of this side.
pub(crate) fn files(top: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().replace('\\', "/");
            // One that was there and is not any more was a temporary one.
            let Ok(metadata) = path.symlink_metadata() else { continue };
            match metadata.is_dir() {
                true => waiting.push(path),
                false => drop(found.insert(name, std::fs::read(path).unwrap_or_default())),
            }
        }
    }
    found
}

/// A file that was last changed long ago.
fn old(path: &Path, content: impl AsRef<[u8]>) {
    changed_at(path, content, UNIX_EPOCH + Duration::from_secs(1_000_000_000));
}

fn changed_at(path: &Path, content: impl AsRef<[u8]>, at: SystemTime) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

/// Small, large, empty, in directories.
fn plant(top: &Path) {
    old(&top.join("a"), "first");
    old(&top.join("deep/er/b"), "second");
    old(&top.join("large"), vec![7; 300_000]);
    old(&top.join("deep/empty"), "");
}

/// What is told, by the last name of each path.
fn told(sync: TreeSync) -> (TreeSync, Arc<Mutex<Vec<String>>>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&all);
    let sync = sync.each(move |event| {
        let name = String::from_utf8_lossy(event.source()).replace('\\', "/");
        let name = name.rsplit('/').next().unwrap().to_owned();
        let what = match event.outcome() {
            Outcome::File { .. } => "moved",
            Outcome::Unchanged => "same",
            Outcome::Removed => "removed",
            Outcome::Permissions => "permissions",
            Outcome::Failed(_) => "failed",
            _ => "else",
        };
        list.lock().unwrap().push(format!("{name} {what}"));
    });
    (sync, all)
}

fn sorted(all: &Mutex<Vec<String>>) -> Vec<String> {
    let mut all = all.lock().unwrap().clone();
    all.sort();
    all
}

#[tokio::test]
async fn what_differs_is_moved_what_is_the_same_is_not_and_the_rest_goes_on_request() {
    let server = serve(Files::memory().file("/to/old/x", "x").file("/to/a", "other")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (from, back) = (here.path().join("from"), here.path().join("back"));
    plant(&from);

    let summary = sftp.sync_to(&from, "/to").await.unwrap();
    assert!(summary.is_complete(), "{summary:#?}");
    assert_eq!((summary.files, summary.unchanged, summary.removed), (4, 0, 0));
    assert_eq!(server.sftp_content("/to/a").unwrap(), b"first");
    assert_eq!(server.sftp_content("/to/old/x").unwrap(), b"x");

    old(&from.join("a"), "longer than before");
    let (sync, all) = told(sftp.sync_to(&from, "/to").delete());
    let summary = sync.await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.removed, summary.bytes), (1, 3, 1, 18));
    assert_eq!(sorted(&all), ["a moved", "b same", "empty same", "large same", "old removed"]);
    assert!(server.sftp_content("/to/old/x").is_err());

    let summary = sftp.sync_from("/to", &back).delete().await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.removed), (4, 0, 0), "{summary:#?}");
    assert!(files(&back) == files(&from));
    old(&back.join("deep/extra/y"), "y");
    old(&back.join("deep/er/b"), "secund");
    std::fs::remove_file(back.join("large")).unwrap();
    let changed = SystemTime::now() - Duration::from_secs(1000);
    changed_at(&back.join("a"), "longer than before", changed);
    let (sync, all) = told(sftp.sync_from("/to", &back).delete());
    sync.await.unwrap();
    // The content alone is not looked at.
    assert_eq!(sorted(&all), ["a moved", "b same", "empty same", "extra removed", "large moved"]);
    assert_eq!(std::fs::read(back.join("deep/er/b")).unwrap(), b"secund");
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_and_changes_nothing() {
    let server = serve(Files::memory().file("/to/old/x", "x").file("/to/a", "other")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    plant(&from);
    let (sync, all) = told(sftp.sync_to(&from, "/to").delete().dry_run());
    let summary = sync.await.unwrap();
    assert_eq!(sorted(&all), ["a moved", "b moved", "empty moved", "large moved", "old removed"]);
    assert_eq!((summary.files, summary.removed), (4, 1));
    assert_eq!(server.sftp_content("/to/a").unwrap(), b"other");
    assert_eq!(server.sftp_content("/to/old/x").unwrap(), b"x");
    assert!(!sftp.exists("/to/deep").await.unwrap());
    let summary = sftp.sync_to(&from, "/new").delete().dry_run().await.unwrap();
    assert_eq!((summary.files, sftp.exists("/new").await.unwrap()), (4, false));
    let nowhere = here.path().join("nowhere");
    let summary = sftp.sync_from("/to", &nowhere).delete().dry_run().await.unwrap();
    assert_eq!((summary.files, nowhere.exists()), (2, false));
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_file_that_changes_twice_in_a_second_is_not_missed() {
    let server = serve(Files::memory().directory_entry("/to")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (from, back) = (here.path().join("from"), here.path().join("back"));
    let now = SystemTime::now();
    changed_at(&from.join("a"), "one", now);
    sftp.sync_to(&from, "/to").await.unwrap();
    changed_at(&from.join("a"), "two", now);
    assert_eq!(sftp.sync_to(&from, "/to").await.unwrap().files, 1);
    assert_eq!(server.sftp_content("/to/a").unwrap(), b"two");

    // The same from the server, whose clock may be another.
    let set = rustle_sftp::SetMetadata::new().times(now, now);
    sftp.set_metadata("/to/a", &set).await.unwrap();
    sftp.sync_from("/to", &back).await.unwrap();
    sftp.write("/to/a", "six").await.unwrap();
    sftp.set_metadata("/to/a", &set).await.unwrap();
    assert_eq!(sftp.sync_from("/to", &back).await.unwrap().files, 1);
    assert_eq!(std::fs::read(back.join("a")).unwrap(), b"six");

    // What is not that fresh has its own time, and is moved once.
    changed_at(&from.join("a"), "old", now - Duration::from_secs(300));
    assert_eq!(sftp.sync_to(&from, "/to").await.unwrap().files, 1);
    assert_eq!(sftp.sync_to(&from, "/to").await.unwrap().files, 0);
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_is_excluded_is_neither_moved_nor_removed() {
    let server =
        serve(Files::memory().file("/to/gone/keep.log", "k").file("/to/gone/x", "x").file("/to/y.log", "y"))
            .await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (from, back) = (here.path().join("from"), here.path().join("back"));
    plant(&from);
    old(&from.join("deep/z.log"), "z");
    let summary = sftp.sync_to(&from, "/to").delete().exclude("*.log").exclude("/deep/er/").await.unwrap();
    assert_eq!((summary.files, summary.failures.len(), summary.removed), (3, 0, 0), "{summary:#?}");
    assert!(server.sftp_content("/to/deep/z.log").is_err() && server.sftp_content("/to/gone/x").is_err());
    assert_eq!(server.sftp_content("/to/gone/keep.log").unwrap(), b"k");
    assert_eq!(server.sftp_content("/to/y.log").unwrap(), b"y");

    old(&back.join("gone/keep.log"), "k");
    old(&back.join("gone/x"), "x");
    old(&back.join("whole/x"), "x");
    let summary = sftp.sync_from("/to", &back).delete().exclude("*.log").await.unwrap();
    assert!(summary.failures.is_empty(), "{summary:#?}");
    assert_eq!(files(&back).keys().collect::<Vec<_>>(), ["a", "deep/empty", "gone/keep.log", "large"]);
    let error = sftp.sync_to(&from, "/to").exclude("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    finish(sftp, server).await;
}

#[tokio::test]
async fn nothing_is_removed_where_anything_failed() {
    let server =
        serve(Files::memory().file("/to/extra", "e").file("/to/a/in", "the way").file("/to/old/x", "x"))
            .await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    plant(here.path());
    let summary = sftp.sync_to(here.path(), "/to").delete().await.unwrap();
    assert_eq!((summary.failures.len(), summary.removed, summary.kept), (1, 0, 2), "{summary:#?}");
    assert!(summary.failures[0].error.to_string().contains("something else in its place"), "{summary:#?}");
    assert_eq!(server.sftp_content("/to/extra").unwrap(), b"e");
    assert_eq!(server.sftp_content("/to/a/in").unwrap(), b"the way");
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_cannot_be_listed_is_not_taken_for_empty() {
    let server = serve(Files::memory().file("/to/extra", "e")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let missing = here.path().join("missing");
    assert!(sftp.sync_to(&missing, "/to").delete().await.is_err());
    old(&here.path().join("back/x"), "x");
    assert!(sftp.sync_from("/missing", here.path().join("back")).delete().await.is_err());
    assert_eq!(server.sftp_content("/to/extra").unwrap(), b"e");
    assert_eq!(files(&here.path().join("back")).len(), 1);
    finish(sftp, server).await;
}

#[tokio::test]
async fn another_spelling_of_a_new_name_is_left_since_it_may_be_the_same_file() {
    let server = serve(Files::memory().file("/to/README", "r").file("/to/other", "o")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    old(&here.path().join("readme"), "new");
    let summary = sftp.sync_to(here.path(), "/to").delete().await.unwrap();
    assert_eq!((summary.files, summary.removed, summary.failures.len()), (1, 1, 1), "{summary:#?}");
    assert!(summary.failures[0].error.to_string().contains("/to/README"), "{summary:#?}");
    assert_eq!(server.sftp_content("/to/README").unwrap(), b"r");
    finish(sftp, server).await;
}

#[tokio::test]
async fn without_a_way_to_compare_the_content_files_are_moved_and_that_is_said() {
    let server = serve(Files::memory().extensions::<&str>([])).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    plant(here.path());
    sftp.sync_to(here.path(), "/to").await.unwrap();
    let summary = sftp.sync_to(here.path(), "/to").compare(Compare::Checksum).await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.uncompared), (4, 0, 4), "{summary:#?}");
    finish(sftp, server).await;
}
