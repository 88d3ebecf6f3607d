//! Whole directories, there and back.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::path::Path;

use rustle_sftp::{ErrorKind, LinkPolicy, Sftp, TreeSummary};
use rustle_testserver::{Fault, SftpEntry, SftpFault, SftpRequest, TestServer};

use crate::support::{finish, open, serve, serve_with};

mod connections;
mod directories;
mod hostile;
#[cfg(unix)]
mod resumed;
mod told;
#[cfg(unix)]
mod verified;

type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// All that is below a directory: content of files, `None` for directories.
fn tree(top: &Path) -> Tree {
    let mut found = Tree::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(top).unwrap().to_str().unwrap().replace('\\', "/");
            if entry.file_type().unwrap().is_dir() {
                found.insert(name, None);
                waiting.push(entry.path());
            } else {
                found.insert(name, Some(std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}

fn plant(top: &Path, tree: &Tree) {
    for (name, content) in tree {
        let path = top.join(name);
        match content {
            None => std::fs::create_dir_all(path).unwrap(),
            Some(content) => {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
    }
}

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ seed).to_le_bytes()[0]).collect()
}

/// Deep, wide, empty, small and large.
fn mixed() -> Tree {
    let mut tree = Tree::new();
    let mut deep = String::from("deep");
    tree.insert(deep.clone(), None);
    for level in 0..20 {
        deep.push_str(&format!("/{level}"));
        tree.insert(deep.clone(), None);
        tree.insert(format!("{deep}/file"), Some(bytes(level, level * 100)));
    }
    for (name, length) in [("a", 0), ("b", 1), ("c", 128 * 1024), ("d", 128 * 1024 + 1), ("e", 900_000)] {
        tree.insert(name.into(), Some(bytes(7, length)));
    }
    tree.insert("empty".into(), None);
    tree
}

fn small(count: usize) -> Tree {
    (0..count).map(|number| (format!("file-{number}"), Some(bytes(number, 4096)))).collect()
}

fn whole(summary: &TreeSummary, tree: &Tree) {
    assert!(summary.is_complete(), "{summary:#?}");
    let files = tree.values().flatten().count() as u64;
    let bytes = tree.values().flatten().map(|content| content.len() as u64).sum::<u64>();
    assert_eq!((summary.files, summary.bytes), (files, bytes));
    assert_eq!(summary.directories, tree.len() as u64 - files + 1);
}

/// Sends a tree to `remote`, fetches it, and compares.
async fn there_and_back(sftp: &Sftp, remote: &str, planted: &Tree, atomic: bool) {
    let here = tempfile::tempdir().unwrap();
    plant(&here.path().join("from"), planted);
    let put = sftp.put_dir(here.path().join("from"), remote);
    let put = if atomic { put.atomic() } else { put };
    whole(&put.await.unwrap(), planted);
    let get = sftp.get_dir(remote, here.path().join("back"));
    let get = if atomic { get.atomic() } else { get };
    whole(&get.await.unwrap(), planted);
    assert!(tree(&here.path().join("back")) == *planted);
}

#[tokio::test]
async fn a_tree_comes_and_goes_whole_and_merges_into_what_is_there() {
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    for atomic in [false, true, false] {
        there_and_back(&sftp, "/mixed", &mixed(), atomic).await;
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn two_thousand_small_files_come_and_go_whole() {
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    there_and_back(&sftp, "/small", &small(2000), false).await;
    finish(sftp, server).await;
}

#[tokio::test]
async fn few_handles_small_limits_and_no_extension_are_enough() {
    for files in [
        rustle_testserver::Sftp::memory().max_handles(10),
        rustle_testserver::Sftp::memory().max_read(1024).max_write(1024),
        rustle_testserver::Sftp::memory().extensions(Vec::<&str>::new()),
    ] {
        let server = serve(files).await;
        let sftp = open(&server).await;
        there_and_back(&sftp, "/small", &small(150), false).await;
        there_and_back(&sftp, "/mixed", &mixed(), false).await;
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn answers_out_of_order_and_short_ones_change_nothing() {
    let held = [SftpRequest::Open, SftpRequest::Read, SftpRequest::Write, SftpRequest::ReadDir];
    let mut builder = TestServer::builder().sftp(rustle_testserver::Sftp::memory());
    for request in held {
        for nth in [1, 3, 5] {
            builder = builder.fault(Fault::sftp(request, SftpFault::hold_reply()).nth(nth));
        }
    }
    let builder = builder.fault(Fault::sftp(SftpRequest::Read, SftpFault::short_read(1000)).times(40));
    let server = serve_with(builder).await;
    let sftp = open(&server).await;
    there_and_back(&sftp, "/small", &small(300), false).await;
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_fails_of_one_file_is_told_and_the_rest_goes_on() {
    for (request, code, kind) in [
        (SftpRequest::Open, 3, ErrorKind::PermissionDenied),
        (SftpRequest::Open, 2, ErrorKind::NotFound),
        (SftpRequest::Read, 3, ErrorKind::PermissionDenied),
    ] {
        let mut files = rustle_testserver::Sftp::memory();
        for number in 0..20 {
            files = files.file(format!("/srv/{number}"), bytes(number, 5000));
        }
        let builder = TestServer::builder().sftp(files);
        let server =
            serve_with(builder.fault(Fault::sftp(request, SftpFault::status(code, "no")).nth(5))).await;
        let sftp = open(&server).await;
        let here = tempfile::tempdir().unwrap();
        let summary = sftp.get_dir("/srv", here.path()).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (19, 1), "{summary:?}");
        let failure = &summary.failures[0];
        assert_eq!(failure.error.kind(), kind);
        assert_eq!(failure.error.path(), Some(&failure.path[..]));
        assert_eq!(tree(here.path()).len(), 19);
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn a_quota_in_the_middle_fails_what_does_not_fit_and_says_why() {
    let server = serve(rustle_testserver::Sftp::memory().quota(200_000)).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    plant(here.path(), &small(100));
    let summary = sftp.put_dir(here.path(), "/copy").await.unwrap();
    assert_eq!(summary.files + summary.failures.len() as u64, 100);
    assert!(summary.files > 10 && summary.failures.len() > 10, "{}", summary.files);
    for failure in &summary.failures {
        assert_eq!(failure.error.kind(), ErrorKind::NoSpace, "{}", failure.error);
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_directory_in_the_place_of_a_file_and_the_reverse_are_failures() {
    let files = rustle_testserver::Sftp::memory().file("/srv/a", "x").file("/srv/b/c", "y");
    let server = serve(files).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir(here.path().join("a")).unwrap();
    std::fs::write(here.path().join("b"), "mine").unwrap();
    let got = sftp.get_dir("/srv", here.path()).await.unwrap();
    assert_eq!((got.files, got.failures.len()), (0, 2), "{got:?}");
    let put = sftp.put_dir(here.path(), "/srv").await.unwrap();
    assert_eq!((put.files, put.failures.len()), (0, 2), "{put:?}");
    assert_eq!(std::fs::read(here.path().join("b")).unwrap(), b"mine");
    finish(sftp, server).await;
}

#[tokio::test]
async fn without_its_top_it_fails_as_a_whole() {
    let server = serve(rustle_testserver::Sftp::memory().file("/file", "x")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let missing = sftp.get_dir("/none", here.path().join("x")).await.unwrap_err();
    assert_eq!((missing.kind(), missing.path()), (ErrorKind::NotFound, Some(&b"/none"[..])));
    let file = sftp.get_dir("/file", here.path().join("x")).await.unwrap_err();
    assert_eq!(file.kind(), ErrorKind::NotADirectory, "{file}");
    assert!(!here.path().join("x").exists());
    let local = sftp.put_dir(here.path().join("none"), "/copy").await.unwrap_err();
    assert_eq!(local.kind(), ErrorKind::Local, "{local}");
    let above = sftp.put_dir(here.path(), "/none/copy").await.unwrap_err();
    assert_eq!(above.kind(), ErrorKind::NotFound, "{above}");
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_lost_channel_fails_it_as_a_whole_and_leaves_no_temporary_file() {
    let mut files = rustle_testserver::Sftp::memory();
    for number in 0..200 {
        files = files.file(format!("/srv/{number}"), bytes(number, 20_000));
    }
    let cut = Fault::cut_after(1_000_000, rustle_testserver::Cut::Rst);
    let server = serve_with(TestServer::builder().sftp(files).fault(cut)).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let error = sftp.get_dir("/srv", here.path()).atomic().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(
        tree(here.path())
            .iter()
            .all(|(name, content)| { *content == Some(bytes(name.parse().unwrap(), 20_000)) })
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn dropped_it_leaves_no_handle_and_no_temporary_file() {
    let mut files = rustle_testserver::Sftp::memory();
    for number in 0..100 {
        files = files.file(format!("/srv/{number}"), bytes(number, 3000));
    }
    let builder = TestServer::builder()
        .sftp(files)
        .fault(Fault::sftp(SftpRequest::Read, SftpFault::lose_reply()).nth(60))
        .fault(Fault::sftp(SftpRequest::Write, SftpFault::lose_reply()).nth(60));
    let server = serve_with(builder).await;
    let here = tempfile::tempdir().unwrap();
    plant(&here.path().join("from"), &small(100));
    for put in [false, true] {
        let sftp = open(&server).await;
        let fired = server.faults_fired();
        let transfer = match put {
            false => sftp.get_dir("/srv", here.path().join("back")).atomic(),
            true => sftp.put_dir(here.path().join("from"), "/copy").atomic(),
        };
        let struck = async {
            while server.faults_fired() == fired {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            ended = transfer.into_future() => panic!("it did not wait: {ended:?}"),
            () = struck => {}
        }
        // What is asked for after all that was dropped is answered after it.
        let left = sftp.get_dir("/", here.path().join(format!("all-{put}"))).await.unwrap();
        assert!(left.failures.iter().all(|failure| failure.error.kind() == ErrorKind::NotFound), "{left:?}");
        sftp.close().await;
    }
    for (name, _) in tree(&here.path().join("all-true")) {
        assert!(!name.contains(".rustle-"), "{name}");
    }
    crate::support::no_handles(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn directories_keep_their_times_and_permissions_though_files_are_put_into_them() {
    let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let files = rustle_testserver::Sftp::memory()
        .file("/srv/a/b/file", "x")
        .entry("/srv/a", SftpEntry::directory().mode(0o555).modified(at(1_500_000_000)))
        .entry("/srv/a/b", SftpEntry::directory().mode(0o750).modified(at(1_400_000_000)));
    let server = serve(files).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let got = sftp.get_dir("/srv", here.path().join("back")).preserve().await.unwrap();
    assert!(got.is_complete(), "{got:?}");
    let put = sftp.put_dir(here.path().join("back"), "/copy").preserve().await.unwrap();
    assert!(put.is_complete(), "{put:?}");
    for (name, seconds, mode) in [("a", 1_500_000_000, 0o555), ("a/b", 1_400_000_000, 0o750)] {
        let there = sftp.metadata(format!("/copy/{name}")).await.unwrap();
        let metadata = std::fs::metadata(here.path().join("back").join(name)).unwrap();
        assert_eq!(
            (metadata.modified().unwrap(), there.modified()),
            (at(seconds), Some(at(seconds))),
            "{name}"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!((metadata.permissions().mode() & 0o777, there.permissions()), (mode, Some(mode)));
        }
        #[cfg(windows)]
        let _ = mode;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(here.path().join("back/a"), PermissionsExt::from_mode(0o755)).unwrap();
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn progress_counts_every_file_and_ends_with_all() {
    let planted = small(50);
    let here = tempfile::tempdir().unwrap();
    plant(here.path(), &planted);
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let (tell, told) = tokio::sync::watch::channel(None);
    let transfer = sftp.put_dir(here.path(), "/copy");
    transfer.progress(move |progress| drop(tell.send_replace(Some(progress.clone())))).await.unwrap();
    let last = told.borrow().clone().unwrap();
    assert!(last.is_last());
    assert_eq!((last.files(), last.total_files(), last.bytes()), (50, Some(50), 50 * 4096));
    assert_eq!(last.total(), Some(50 * 4096));
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_limit_is_shared_by_all_files() {
    let here = tempfile::tempdir().unwrap();
    plant(here.path(), &small(100));
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let limit = std::num::NonZeroU64::new(1_000_000).unwrap();
    let least = std::time::Duration::from_millis(250);
    let put = sftp.put_dir(here.path(), "/copy").limit(limit).await.unwrap();
    let got = sftp.get_dir("/copy", here.path().join("back")).limit(limit).await.unwrap();
    assert!(put.duration >= least && got.duration >= least, "{:?} {:?}", put.duration, got.duration);
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_server_without_a_way_to_hash_leaves_files_unverified_and_says_so() {
    let here = tempfile::tempdir().unwrap();
    plant(here.path(), &small(10));
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let put = sftp.put_dir(here.path(), "/copy").verify().await.unwrap();
    assert_eq!((put.files, put.unverified), (10, 10), "{put:?}");
    finish(sftp, server).await;
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn names_with_every_byte_come_and_go() {
        let server = serve(rustle_testserver::Sftp::memory()).await;
        let sftp = open(&server).await;
        let here = tempfile::tempdir().unwrap();
        let from = here.path().join("from");
        for byte in (1..=255u8).filter(|byte| *byte != b'/') {
            let directory = from.join(OsStr::from_bytes(&[b'd', byte]));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(OsStr::from_bytes(&[byte, byte, byte])), [byte]).unwrap();
        }
        let put = sftp.put_dir(&from, "/copy").await.unwrap();
        assert!(put.is_complete() && put.files == 254, "{put:?}");
        let got = sftp.get_dir("/copy", here.path().join("back")).await.unwrap();
        assert!(got.is_complete() && got.files == 254, "{got:?}");
        for byte in (1..=255u8).filter(|byte| *byte != b'/') {
            let name = [b'd', byte, b'/', byte, byte, byte];
            assert_eq!(
                std::fs::read(here.path().join("back").join(OsStr::from_bytes(&name))).unwrap(),
                [byte]
            );
        }
        finish(sftp, server).await;
    }

    /// A file, links to it and to a directory, one that leads around, and one that leads nowhere.
    fn linked(top: &Path) {
        std::fs::create_dir_all(top.join("dir")).unwrap();
        std::fs::write(top.join("dir/file"), "content").unwrap();
        symlink("dir/file", top.join("to-file")).unwrap();
        symlink("dir", top.join("to-dir")).unwrap();
        symlink("..", top.join("dir/around")).unwrap();
        symlink("nowhere", top.join("broken")).unwrap();
    }

    #[tokio::test]
    async fn links_are_skipped_copied_or_followed_as_asked_and_circles_end() {
        for put in [false, true] {
            let server = serve(rustle_testserver::Sftp::temp_dir()).await;
            let sftp = open(&server).await;
            let here = tempfile::tempdir().unwrap();
            let (from, to) = match put {
                true => (here.path().join("from"), server.directory().to_owned()),
                false => (server.directory().join("from"), here.path().to_owned()),
            };
            linked(&from);
            for policy in [LinkPolicy::Skip, LinkPolicy::Copy, LinkPolicy::Copy, LinkPolicy::Follow] {
                let name = format!("{policy:?}");
                let transfer = match put {
                    true => sftp.put_dir(&from, format!("/{name}")),
                    false => sftp.get_dir("/from", to.join(&name)),
                };
                let summary = transfer.links(policy).await.unwrap();
                let at = to.join(&name);
                assert_eq!(std::fs::read(at.join("dir/file")).unwrap(), b"content", "{name} {summary:?}");
                match policy {
                    LinkPolicy::Skip => {
                        assert_eq!((summary.skipped.len(), summary.failures.len()), (4, 0), "{summary:?}");
                        assert_eq!((summary.files, summary.directories), (1, 2));
                        assert!(std::fs::symlink_metadata(at.join("to-dir")).is_err());
                    }
                    LinkPolicy::Copy => {
                        assert_eq!((summary.links, summary.failures.len()), (4, 0), "{summary:?}");
                        for (link, text) in
                            [("to-file", "dir/file"), ("dir/around", ".."), ("broken", "nowhere")]
                        {
                            assert_eq!(std::fs::read_link(at.join(link)).unwrap(), Path::new(text));
                        }
                    }
                    _ => {
                        assert_eq!(std::fs::read(at.join("to-dir/file")).unwrap(), b"content");
                        assert!(!std::fs::symlink_metadata(at.join("to-dir")).unwrap().is_symlink());
                        // The one that leads nowhere, and the circle on either way to it.
                        assert_eq!(summary.failures.len(), 3, "{summary:?}");
                    }
                }
            }
            finish(sftp, server).await;
        }
    }

    #[tokio::test]
    async fn a_link_in_the_way_on_this_side_is_not_followed() {
        let files = rustle_testserver::Sftp::memory().file("/srv/dir/file", "evil").file("/srv/file", "evil");
        let server = serve(files).await;
        let sftp = open(&server).await;
        let here = tempfile::tempdir().unwrap();
        let (outside, target) = (here.path().join("outside"), here.path().join("target"));
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::create_dir_all(&target).unwrap();
        std::fs::write(outside.join("kept"), "kept").unwrap();
        symlink(&outside, target.join("dir")).unwrap();
        symlink(outside.join("kept"), target.join("file")).unwrap();
        let summary = sftp.get_dir("/srv", &target).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (0, 2), "{summary:?}");
        assert_eq!(tree(&outside), Tree::from([("kept".into(), Some(b"kept".to_vec()))]));
        finish(sftp, server).await;
    }

    #[tokio::test]
    async fn what_is_no_file_is_skipped_and_told() {
        let server = serve(rustle_testserver::Sftp::memory()).await;
        let sftp = open(&server).await;
        let here = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(here.path().join("socket")).unwrap();
        std::fs::write(here.path().join("file"), "x").unwrap();
        let summary = sftp.put_dir(here.path(), "/copy").await.unwrap();
        assert_eq!((summary.files, summary.skipped.len(), summary.failures.len()), (1, 1, 0));
        assert!(summary.skipped[0].path.ends_with(b"/socket"));
        assert_eq!(summary.skipped[0].kind, rustle_sftp::FileKind::Other);
        finish(sftp, server).await;
    }
}
