//! Directories by scp's protocol, against OpenSSH's `scp`.

use std::fs;
use std::future::IntoFuture as _;
use std::num::NonZeroU64;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustle_sftp::{ErrorKind, FileKind, Files, LinkPolicy, TreeSummary};

use crate::commands::host::Host;
use crate::commands::scp::hosts;
use crate::commands::trees::{Thing, modified, things};
use crate::here::content;
use crate::support::{When, dropped, login};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree with odd names, an empty directory and an empty file, of which everything is as old.
fn planted(top: &Path) {
    fs::create_dir_all(top.join("deep/-er/ a")).unwrap();
    fs::create_dir(top.join("empty")).unwrap();
    for (name, length) in
        [("deep/it's $HOME", 70_000), ("deep/-er/ a/none", 0), ("C0644 1 x", 3), ("deep/E", 1)]
    {
        fs::write(top.join(name), content(length)).unwrap();
    }
    set_mode(&top.join("C0644 1 x"), 0o751);
    set_mode(&top.join("empty"), 0o710);
    let then = UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    for path in ["C0644 1 x", "empty", "deep/-er", "deep", ""] {
        fs::File::open(top.join(path)).unwrap().set_modified(then).unwrap();
    }
}

/// Does work by scp at each host, with a folder of this side.
async fn at_each(hosts: impl IntoIterator<Item = Arc<Host>>, work: impl AsyncFn(&Host, &Files, &Path)) {
    for host in hosts {
        let server = host.serve().await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        let here = tempfile::tempdir().unwrap();
        work(&host, &files, here.path()).await;
        server.stop().await.unwrap();
    }
}

fn failures(summary: &TreeSummary) -> Vec<(String, ErrorKind)> {
    let told = |failure: &rustle_sftp::Failure| {
        (String::from_utf8_lossy(&failure.path).into_owned(), failure.error.kind())
    };
    let mut all: Vec<_> = summary.failures.iter().map(told).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[tokio::test]
async fn a_tree_goes_there_and_back_with_all_that_is_in_it() {
    at_each(hosts(), async |host, files, here| {
        let (from, back) = (here.join("from"), here.join("to/back"));
        fs::create_dir(&from).unwrap();
        planted(&from);
        fs::create_dir(host.folder().join("up")).unwrap();
        // To what is not there, and once more into what is.
        for remote in ["up/it's there", "up/it's there/"] {
            let put = files.put_dir(&from, remote).preserve().await.unwrap();
            assert!(put.is_complete(), "{put:?}");
            assert_eq!((put.files, put.directories, put.bytes), (4, 5, 70_004));
            assert_eq!(put.unverified, 0);
            let there = host.folder().join("up/it's there");
            assert_eq!(things(&there), things(&from));
            for path in ["C0644 1 x", "empty", "deep/-er", "deep", ""] {
                assert_eq!(modified(there.join(path)), 1_500_000_000, "{path}");
            }
        }
        for atomic in [false, true] {
            let get = files.get_dir("up/it's there", &back).preserve();
            let get = if atomic { get.atomic() } else { get }.await.unwrap();
            assert!(get.is_complete(), "{get:?}");
            assert_eq!((get.files, get.directories, get.bytes), (4, 5, 70_004));
            assert_eq!(things(&back), things(&from));
            for path in ["C0644 1 x", "empty", "deep/-er", "deep", ""] {
                assert_eq!(modified(back.join(path)), 1_500_000_000, "{path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn where_the_login_begins_is_a_directory_as_well() {
    at_each(hosts(), async |host, files, here| {
        fs::create_dir_all(here.join("from/below")).unwrap();
        fs::write(here.join("from/below/a"), "a").unwrap();
        for remote in ["", ".", "below/.."] {
            let put = files.put_dir(here.join("from"), remote).await.unwrap();
            assert!(put.is_complete() && (put.files, put.directories) == (1, 2), "{remote}: {put:?}");
            assert_eq!(host.names(), ["below"], "{remote}");
            let got = here.join(format!("got{}", remote.len()));
            let get = files.get_dir(remote, &got).await.unwrap();
            assert!(get.is_complete() && (get.files, get.directories) == (1, 2), "{remote}: {get:?}");
            assert_eq!(things(&got), things(&here.join("from")), "{remote}");
        }
        // What has no name there gets no permissions by this protocol, which is told.
        let from = here.join("from");
        set_mode(&from, 0o750);
        set_mode(&from.join("below"), 0o710);
        let before = fs::metadata(host.folder()).unwrap().permissions().mode();
        let put = files.put_dir(&from, ".").preserve().await.unwrap();
        assert_eq!(failures(&put), [(from.to_str().unwrap().to_owned(), ErrorKind::Unsupported)]);
        assert_eq!((put.files, put.directories), (1, 2), "{put:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&host.folder().join("below")) & 0o777, 0o710);
        assert_eq!(mode(host.folder()), before);
    })
    .await;
}

#[tokio::test]
async fn what_is_known_of_a_file_is_what_scp_says_of_it() {
    at_each(hosts(), async |host, files, _| {
        fs::create_dir(host.folder().join("dir")).unwrap();
        set_mode(&host.folder().join("dir"), 0o750);
        fs::write(host.folder().join("it's"), content(300_000)).unwrap();
        set_mode(&host.folder().join("it's"), 0o640);
        let then = UNIX_EPOCH + Duration::from_secs(1_500_000_000);
        fs::File::open(host.folder().join("it's")).unwrap().set_modified(then).unwrap();
        let file = files.metadata("it's").await.unwrap();
        assert_eq!(
            (file.kind(), file.len(), file.permissions(), file.modified()),
            (Some(FileKind::File), Some(300_000), Some(0o640), Some(then))
        );
        let directory = files.metadata("dir").await.unwrap();
        assert_eq!((directory.is_dir(), directory.permissions()), (true, Some(0o750)));
        assert!(files.metadata(".").await.unwrap().is_dir() && files.metadata("/").await.unwrap().is_dir());
        assert!(files.exists("dir").await.unwrap() && !files.exists("none").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn links_are_followed_by_the_far_side_and_by_policy_on_this_one() {
    at_each(hosts(), async |host, files, here| {
        for top in [here.join("tree"), host.folder().join("tree")] {
            fs::create_dir_all(top.join("dir")).unwrap();
            fs::write(top.join("dir/file"), "x").unwrap();
            symlink("dir/file", top.join("link")).unwrap();
            symlink("dir", top.join("also")).unwrap();
            symlink("none", top.join("broken")).unwrap();
        }
        let tree = here.join("tree");
        for policy in [LinkPolicy::Skip, LinkPolicy::Follow] {
            let got = here.join("got");
            let get = files.get_dir("tree", &got).links(policy).await.unwrap();
            assert_eq!(failures(&get), [("tree/broken".to_owned(), ErrorKind::NotFound)], "{policy:?}");
            assert_eq!((get.files, get.directories), (3, 3), "{policy:?}");
            assert_eq!(fs::read(got.join("also/file")).unwrap(), b"x");
            assert!(fs::symlink_metadata(got.join("link")).unwrap().is_file());
            fs::remove_dir_all(got).unwrap();
        }
        let skipped = files.put_dir(&tree, "skipped").await.unwrap();
        assert_eq!((skipped.skipped.len(), skipped.failures.len(), skipped.files), (3, 0, 1), "{skipped:?}");
        symlink("..", tree.join("dir/circle")).unwrap();
        let followed = files.put_dir(&tree, "followed").links(LinkPolicy::Follow).await.unwrap();
        assert_eq!(followed.files, 3, "{followed:?}");
        let path = |end: &str| tree.join(end).to_str().unwrap().to_owned();
        let expected = [
            (path("also/circle"), ErrorKind::InvalidArgument),
            (path("broken"), ErrorKind::Local),
            (path("dir/circle"), ErrorKind::InvalidArgument),
        ];
        assert_eq!(failures(&followed), expected);
        assert_eq!(fs::read(host.folder().join("followed/also/file")).unwrap(), b"x");
        for refused in [
            files.get_dir("tree", here.join("x")).links(LinkPolicy::Copy).await,
            files.put_dir(&tree, "x").links(LinkPolicy::Copy).await,
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert!(!here.join("x").exists() && !host.folder().join("x").exists());
    })
    .await;
}

/// The far side follows it until its system refuses.
#[tokio::test]
async fn a_circle_of_links_of_the_far_side_ends() {
    at_each(hosts().into_iter().take(1), async |host, files, here| {
        fs::create_dir_all(host.folder().join("tree")).unwrap();
        symlink(".", host.folder().join("tree/again")).unwrap();
        let get = files.get_dir("tree", here.join("got")).await.unwrap();
        assert!(get.directories < 300 && get.failures.len() == 1, "{get:?}");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_moved_is_told_and_the_rest_goes_on() {
    at_each(hosts(), async |host, files, here| {
        for top in [here.join("tree"), host.folder().join("tree")] {
            fs::create_dir_all(top.join("c/below")).unwrap();
            for file in ["a", "b", "c/below/d", "d"] {
                fs::write(top.join(file), content(100_000)).unwrap();
            }
            assert!(std::process::Command::new("mkfifo").arg(top.join("pipe")).status().unwrap().success());
        }
        let (tree, got, sent) = (here.join("tree"), here.join("got"), host.folder().join("sent"));
        for target in [&got, &sent] {
            fs::create_dir_all(target.join("a")).unwrap();
            fs::write(target.join("c"), "in the way").unwrap();
        }
        fs::write(tree.join("new\nline"), "x").unwrap();
        let get = files.get_dir("tree", &got).await.unwrap();
        let expected = [
            ("tree/a", ErrorKind::Local),
            ("tree/c", ErrorKind::Local),
            ("tree/pipe", ErrorKind::InvalidArgument),
        ];
        assert_eq!(failures(&get), expected.map(|(path, kind)| (path.to_owned(), kind)));
        let put = files.put_dir(&tree, "sent").preserve().await.unwrap();
        let path = |end: &str| tree.join(end).to_str().unwrap().to_owned();
        let expected = [
            (path("a"), ErrorKind::IsADirectory),
            (path("c"), ErrorKind::NotADirectory),
            (path("new\nline"), ErrorKind::InvalidName),
        ];
        assert_eq!(failures(&put), expected);
        let of_host = put.failures.iter().filter(|one| one.error.path().unwrap().starts_with(b"sent/"));
        assert_eq!(of_host.count(), 2, "{put:?}");
        assert_eq!((put.skipped.len(), put.skipped[0].kind), (1, FileKind::Other));
        for (summary, top) in [(get, &got), (put, &sent)] {
            assert_eq!(summary.files, 2, "{summary:?}");
            for name in ["b", "d"] {
                assert!(fs::read(top.join(name)).unwrap() == content(100_000), "{name}");
            }
            assert_eq!(fs::read(top.join("c")).unwrap(), b"in the way");
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_begun_is_an_error_and_makes_nothing() {
    at_each(hosts(), async |host, files, here| {
        let (tree, got) = (here.join("tree"), here.join("got"));
        fs::create_dir(&tree).unwrap();
        fs::write(host.folder().join("file"), "x").unwrap();
        let kind = |summary: Result<TreeSummary, rustle_sftp::Error>| summary.unwrap_err().kind();
        assert_eq!(kind(files.get_dir("none", &got).await), ErrorKind::NotFound);
        assert_eq!(kind(files.get_dir("file", &got).await), ErrorKind::NotADirectory);
        assert_eq!(kind(files.put_dir(&tree, "none/x").await), ErrorKind::NotFound);
        assert_eq!(kind(files.put_dir(&tree, "file").await), ErrorKind::NotADirectory);
        assert_eq!(kind(files.put_dir(&tree, "file/x").await), ErrorKind::NotADirectory);
        assert_eq!(kind(files.put_dir(here.join("none"), "x").await), ErrorKind::Local);
        assert_eq!(kind(files.put_dir(&tree, "new\nline").await), ErrorKind::InvalidName);
        for refused in [
            files.put_dir(&tree, "x").atomic().await,
            files.put_dir(&tree, "x").resume().await,
            files.get_dir(".", &got).resume().await,
            files.get_dir(".", &got).limit(NonZeroU64::MIN).await,
        ] {
            assert_eq!(kind(refused), ErrorKind::Unsupported);
        }
        assert!(!got.exists() && host.names() == ["file"], "{:?}", host.names());
    })
    .await;
}

#[tokio::test]
async fn what_the_account_may_not_read_or_fill_is_told_by_its_path() {
    if hosts().is_empty() {
        return;
    }
    let host = Arc::new(Host::of_nobody());
    let server = host.serve().await;
    let files = Files::by_scp(&login(&server).await).await.unwrap();
    let here = tempfile::tempdir().unwrap();
    let tree = host.folder().join("tree");
    fs::create_dir_all(tree.join("shut")).unwrap();
    fs::create_dir(tree.join("open")).unwrap();
    for name in ["secret", "known", "open/known", "shut/unseen"] {
        fs::write(tree.join(name), name).unwrap();
    }
    for path in ["secret", "shut"] {
        host.give(&tree.join(path));
        set_mode(&tree.join(path), 0);
    }
    let get = files.get_dir("tree", here.path().join("got")).preserve().await.unwrap();
    let denied = |path: &str| (path.to_owned(), ErrorKind::PermissionDenied);
    assert_eq!(failures(&get), [denied("tree/secret"), denied("tree/shut")]);
    assert_eq!(get.files, 2, "{get:?}");

    // Read-only directories are filled, new ones and those that are there, and are read-only in the end.
    let from = here.path().join("from");
    fs::create_dir_all(from.join("below")).unwrap();
    fs::write(from.join("below/a"), "a").unwrap();
    set_mode(&from.join("below"), 0o555);
    set_mode(&from, 0o550);
    fs::create_dir(host.folder().join("to")).unwrap();
    host.give(&host.folder().join("to"));
    for content in ["a", "b"] {
        fs::write(from.join("below/a"), content).unwrap();
        let put = files.put_dir(&from, "to/x").preserve().await.unwrap();
        assert!(put.is_complete(), "{content}: {put:?}");
        let there = host.folder().join("to");
        assert_eq!(fs::read(there.join("x/below/a")).unwrap(), content.as_bytes());
        let found = things(&there);
        assert_eq!(
            (&found[Path::new("x")], &found[Path::new("x/below")]),
            (&Thing::Directory(0o550), &Thing::Directory(0o555))
        );
    }
    server.stop().await.unwrap();
}

/// As many bytes as were promised go there, and what they are is said behind them: what comes next is understood.
#[tokio::test]
async fn a_file_that_is_cut_while_it_is_sent_spoils_nothing_else() {
    at_each(hosts().into_iter().take(1), async |host, files, here| {
        let cut = here.join("below/cut");
        fs::create_dir(here.join("below")).unwrap();
        fs::write(&cut, content(8_000_000)).unwrap();
        fs::write(here.join("other"), "other").unwrap();
        let path = cut.clone();
        let put = files
            .put_dir(here, "there")
            .preserve()
            .limit(NonZeroU64::new(4_000_000).unwrap())
            .progress(move |progress| {
                if progress
                    .under_way()
                    .iter()
                    .any(|file| file.path() == b"there/below/cut" && file.bytes() > 0)
                {
                    fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
                }
            })
            .await
            .unwrap();
        assert_eq!(failures(&put), [(cut.to_str().unwrap().to_owned(), ErrorKind::Changed)]);
        assert_eq!(fs::read(host.folder().join("there/other")).unwrap(), b"other");
        assert_eq!((put.files, put.bytes), (1, 5), "{put:?}");
        // With the length and the time of the original it would pass for a copy.
        assert_eq!(fs::metadata(host.folder().join("there/below/cut")).unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_dropped_leaves_whole_files_or_none_and_no_process() {
    for host in hosts().into_iter().take(1) {
        let server = host.serve().await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        for name in ["one", "two"] {
            fs::create_dir_all(host.folder().join("tree").join(name)).unwrap();
            fs::write(host.folder().join("tree").join(name).join("file"), content(300_000)).unwrap();
        }
        let here = tempfile::tempdir().unwrap();
        for polls in (0..).step_by(2) {
            let got = here.path().join(polls.to_string());
            let finished =
                dropped(files.get_dir("tree", &got).atomic().into_future(), polls, When::Woken).await;
            let none = server.wait_until(|record| record.channels_open() == 0, Duration::from_secs(60)).await;
            assert!(none.is_ok(), "after {polls} polls a command runs on");
            if polls > 0 && got.exists() {
                for (path, thing) in things(&got) {
                    let is_whole = match thing {
                        Thing::File(_, bytes) => path.ends_with("file") && bytes == content(300_000),
                        Thing::Directory(_) => true,
                        Thing::Link(_) => false,
                    };
                    assert!(is_whole, "after {polls} polls: {}", path.display());
                }
            }
            if finished {
                assert_eq!(things(&got).len(), 4);
                break;
            }
        }
        server.stop().await.unwrap();
    }
}
