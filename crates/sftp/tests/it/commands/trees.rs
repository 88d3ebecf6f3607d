//! Whole directories by commands, at each kind of host, held against the disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rustle_sftp::{ErrorKind, FileKind, Lack, LinkPolicy};

use crate::commands::host::{Host, at_each_host, files_of, odd_names};

/// What a tree holds, by path: a directory's mode, a file's mode and content, a link's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Directory(u32),
    File(u32, Vec<u8>),
    Link(PathBuf),
}

pub(crate) fn things(top: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        for entry in fs::read_dir(top.join(&below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            let metadata = entry.metadata().unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let thing = if metadata.is_dir() {
                waiting.push(path.clone());
                Thing::Directory(mode)
            } else if metadata.is_symlink() {
                Thing::Link(fs::read_link(entry.path()).unwrap())
            } else {
                Thing::File(mode, fs::read(entry.path()).unwrap())
            };
            all.insert(path, thing);
        }
    }
    all
}

/// A tree with odd names, an empty directory and an empty file, of which everything is as old.
fn planted(top: &Path) {
    fs::create_dir_all(top.join("deep/-er/ a")).unwrap();
    fs::create_dir(top.join("empty")).unwrap();
    for (number, name) in some_odd_names().iter().enumerate() {
        fs::write(top.join("deep").join(OsStr::from_bytes(name)), vec![7; number * 1000]).unwrap();
    }
    fs::write(top.join("deep/-er/ a/none"), "").unwrap();
    fs::write(top.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(top.join("run"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(top.join("empty"), fs::Permissions::from_mode(0o710)).unwrap();
    let then = UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    for path in ["run", "empty", "deep"] {
        fs::File::open(top.join(path)).unwrap().set_modified(then).unwrap();
    }
}

/// Each is a few processes; the one with every byte is the last.
fn some_odd_names() -> Vec<Vec<u8>> {
    odd_names().into_iter().rev().step_by(4).collect()
}

pub(crate) fn modified(path: PathBuf) -> i64 {
    fs::metadata(path).unwrap().mtime()
}

#[tokio::test]
async fn a_tree_comes_and_goes_with_all_that_is_in_it() {
    at_each_host(async |name, host, files| {
        let here = tempfile::tempdir().unwrap();
        let (from, back) = (here.path().join("from"), here.path().join("to/back"));
        fs::create_dir(&from).unwrap();
        planted(&from);
        let put = files.put_dir(&from, "there").preserve().atomic().await.unwrap();
        assert!(put.is_complete(), "{name}: {put:?}");
        assert_eq!(things(&host.folder().join("there")), things(&from), "{name}");
        assert_eq!(put.files, some_odd_names().len() as u64 + 2, "{name}");
        assert_eq!(put.directories, 5, "{name}");
        for path in ["run", "empty", "deep"] {
            assert_eq!(modified(host.folder().join("there").join(path)), 1_500_000_000, "{name}: {path}");
        }
        // Once more, into what is there.
        assert!(files.put_dir(&from, "there").preserve().await.unwrap().is_complete(), "{name}");
        assert_eq!(things(&host.folder().join("there")), things(&from), "{name}");

        let knows_times = !files.lacks().contains(&Lack::Times);
        let get = files.get_dir("there", &back);
        let get = if knows_times { get.preserve() } else { get }.await.unwrap();
        assert!(get.is_complete(), "{name}: {get:?}");
        assert_eq!(
            (get.files, get.directories, get.bytes),
            (put.files, put.directories, put.bytes),
            "{name}"
        );
        if knows_times {
            assert_eq!(things(&back), things(&from), "{name}");
            for path in ["run", "empty", "deep"] {
                assert_eq!(modified(back.join(path)), 1_500_000_000, "{name}: {path}");
            }
        } else {
            let content = |thing: Thing| if let Thing::File(_, content) = thing { content } else { vec![] };
            let contents = |top| things(top).into_values().map(content).collect::<Vec<_>>();
            assert_eq!(contents(&back), contents(&from), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn links_are_left_out_followed_or_copied_as_asked_for_both_ways() {
    at_each_host(async |name, host, files| {
        let copies = !files.lacks().contains(&Lack::Links);
        let follows = |thing: Option<&Thing>| matches!(thing, Some(Thing::File(_, content)) if content == "x".as_bytes());
        let here = tempfile::tempdir().unwrap();
        for top in [here.path().join("tree"), host.folder().join("tree")] {
            fs::create_dir_all(top.join("dir")).unwrap();
            fs::write(top.join("dir/file"), "x").unwrap();
            symlink("dir/file", top.join("link")).unwrap();
            symlink("..", top.join("dir/circle")).unwrap();
        }
        for policy in [LinkPolicy::Skip, LinkPolicy::Follow, LinkPolicy::Copy] {
            let gone = here.path().join("got");
            let (got, sent) = (
                files.get_dir("tree", &gone).links(policy).await,
                files.put_dir(here.path().join("tree"), "sent").links(policy).await,
            );
            for (what, summary, top) in [("get", got, gone), ("put", sent, host.folder().join("sent"))] {
                let what = format!("{name}: {what} {policy:?}");
                if policy == LinkPolicy::Copy && !copies {
                    assert_eq!(summary.unwrap_err().kind(), ErrorKind::Unsupported, "{what}");
                    assert!(!top.exists(), "{what}: nothing was done");
                    continue;
                }
                let (summary, found) = (summary.unwrap(), things(&top));
                assert!(follows(found.get(Path::new("dir/file"))), "{what}");
                let (link, circle) = (found.get(Path::new("link")), found.get(Path::new("dir/circle")));
                match policy {
                    LinkPolicy::Skip => {
                        assert!(summary.skipped.len() == 2 && link.is_none() && circle.is_none(), "{what}");
                        assert!(summary.skipped.iter().all(|one| one.kind == FileKind::Symlink), "{what}");
                    }
                    LinkPolicy::Follow => {
                        assert!(follows(link) && circle.is_none(), "{what}: {summary:?}");
                        assert_eq!(summary.failures.len(), 1, "{what}: {summary:?}");
                        assert!(summary.failures[0].error.to_string().contains("leads back"), "{what}");
                    }
                    _ => {
                        assert_eq!(link, Some(&Thing::Link("dir/file".into())), "{what}");
                        assert_eq!((circle, summary.links), (Some(&Thing::Link("..".into())), 2), "{what}");
                    }
                }
                fs::remove_dir_all(top).unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_moved_is_told_and_the_rest_goes_on() {
    at_each_host(async |name, host, files| {
        let here = tempfile::tempdir().unwrap();
        for top in [here.path().join("tree"), host.folder().join("tree")] {
            fs::create_dir_all(top.join("c/below")).unwrap();
            for file in ["a", "b", "c/below/d"] {
                fs::write(top.join(file), file).unwrap();
            }
        }
        // In the way: a directory where a file goes, and a file where a directory goes.
        let (got, sent) = (here.path().join("got"), host.folder().join("sent"));
        for target in [&got, &sent] {
            fs::create_dir_all(target.join("a")).unwrap();
            fs::write(target.join("c"), "in the way").unwrap();
        }
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let get =
            files.get_dir("tree", &got).each(move |event| seen.lock().unwrap().push(event.source().to_vec()));
        for (what, summary, top) in [
            ("get", get.await.unwrap(), &got),
            ("put", files.put_dir(here.path().join("tree"), "sent").await.unwrap(), &sent),
        ] {
            assert_eq!((summary.files, summary.failures.len()), (1, 2), "{name}: {what}: {summary:?}");
            assert_eq!(fs::read(top.join("b")).unwrap(), b"b", "{name}: {what}");
            assert_eq!(fs::read(top.join("c")).unwrap(), b"in the way", "{name}: {what}");
        }
        let mut told = told.lock().unwrap().clone();
        told.sort();
        assert_eq!(told, [b"tree/a", b"tree/b", b"tree/c"], "{name}");
        let kind = |error: rustle_sftp::Error| error.kind();
        let (missing, file) = (files.get_dir("none", &got), files.get_dir("tree/a", &got));
        assert_eq!(missing.await.map_err(kind).unwrap_err(), ErrorKind::NotFound, "{name}");
        assert_eq!(file.await.map_err(kind).unwrap_err(), ErrorKind::NotADirectory, "{name}");
        assert!(files.put_dir(here.path().join("none"), "x").await.is_err(), "{name}");
        assert!(!host.folder().join("x").exists(), "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_listing_that_means_harm_writes_nothing_elsewhere() {
    let listing = [
        "ff 644 4 0 0 1 1\0../evil\0",
        "ff 644 4 0 0 1 1\0/tmp/evil\0",
        "fd 755 4 0 0 1 1\0..\0",
        "fl 777 4 0 0 1 1\0twice\0",
        "fd 755 4 0 0 1 1\0twice\0",
        "nonsense\0good\0",
        "ff 644 4 0 0 1 1\0good\0",
    ];
    let host = Arc::new(Host::with_listing(listing.concat().as_bytes()));
    let server = host.serve().await;
    let files = files_of(&server).await;
    fs::write(host.folder().join("evil"), "evil").unwrap();
    fs::create_dir(host.folder().join("tree")).unwrap();
    fs::write(host.folder().join("tree/good"), "good").unwrap();
    let here = tempfile::tempdir().unwrap();
    let summary = files.get_dir("tree", here.path().join("got")).await.unwrap();
    assert_eq!(summary.files, 1, "{summary:?}");
    let refused = summary.failures.iter().filter(|one| one.error.kind() == ErrorKind::InvalidName).count();
    assert_eq!((refused, summary.failures.len()), (4, 5), "{summary:?}");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1);
    let got: Vec<_> = things(&here.path().join("got")).into_keys().collect();
    assert_eq!(got, [PathBuf::from("good")]);
    server.stop().await.unwrap();
}
