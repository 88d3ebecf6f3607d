//! Directories: listed, walked over, searched by patterns, made and removed with all that is in them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use rustle_sftp::{ErrorKind, Sftp};
use rustle_testserver::{Fault, Network, Sftp as Tree, SftpFault, SftpRequest, TestServer};

use crate::support::{finish, login, no_handles, open, serve, serve_with};

fn tree() -> Tree {
    Tree::memory()
        .file("/srv/a.rs", "1")
        .file("/srv/b.txt", "2")
        .file("/srv/.hidden", "3")
        .file("/srv/src/c.rs", "4")
        .file("/srv/src/deep/d.rs", "5")
        .file("/srv/.git/e.rs", "6")
        .file("/elsewhere/f.rs", "7")
        .symlink("/srv/src/up", "..")
        .symlink("/srv/out", "../elsewhere")
        .symlink("/srv/nowhere", "none")
}

async fn names(sftp: &Sftp, path: &str) -> BTreeSet<String> {
    let entries: Vec<_> = sftp.read_dir(path).await.unwrap().try_collect().await.unwrap();
    entries.iter().map(|entry| String::from_utf8_lossy(entry.name()).into_owned()).collect()
}

#[tokio::test]
async fn a_directory_is_listed_without_itself_and_the_one_above() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    assert_eq!(names(&sftp, "/srv/src").await, ["c.rs", "deep", "up"].map(String::from).into());
    assert_eq!(names(&sftp, "").await, ["elsewhere", "srv"].map(String::from).into());
    let mut listing = sftp.read_dir("srv").await.unwrap();
    let entry = listing.next_entry().await.unwrap().unwrap();
    assert_eq!(entry.path(), [b"srv/", &entry.name()[..]].concat());
    drop(listing);
    assert_eq!(sftp.read_dir("/none").await.unwrap_err().kind(), ErrorKind::NotFound);
    let error = sftp.read_dir("/srv/a.rs").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound), "{error}");
    finish(sftp, server).await;
}

/// At 100 ms each way: three round trips until the first entry would take 600 ms, two take 400.
#[tokio::test(start_paused = true)]
async fn the_first_of_many_entries_comes_after_two_round_trips() {
    let round_trip = Duration::from_millis(200);
    let many = (0..3000).fold(Tree::memory(), |tree, i| tree.file(format!("/many/{i:0>40}"), ""));
    let server =
        serve_with(TestServer::builder().sftp(many).network(Network::new().round_trip(round_trip))).await;
    let sftp = open(&server).await;
    let begun = tokio::time::Instant::now();
    let mut listing = sftp.read_dir("/many").await.unwrap();
    listing.next_entry().await.unwrap().unwrap();
    assert!(begun.elapsed() < round_trip.mul_f64(2.2), "{:?}", begun.elapsed());
    let rest = listing.filter(|entry| std::future::ready(entry.is_ok())).count().await;
    assert_eq!(rest, 2999);
    // One by one, the 30 answers would take 30 round trips.
    assert!(begun.elapsed() < round_trip * 9, "{:?}", begun.elapsed());
    drop(sftp);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_entries_are_listed() {
    let many = (0..100_000).fold(Tree::memory(), |tree, i| tree.file(format!("/many/{i}"), ""));
    let server = serve(many).await;
    let sftp = open(&server).await;
    let mut seen = vec![false; 100_000];
    let mut listing = sftp.read_dir("/many").await.unwrap();
    while let Some(entry) = listing.next_entry().await.unwrap() {
        let number: usize = std::str::from_utf8(entry.name()).unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut seen[number], true));
    }
    assert!(seen.iter().all(|seen| *seen));
    finish(sftp, server).await;
}

#[tokio::test]
async fn hostile_names_are_errors_in_their_place_and_touch_nothing() {
    for name in ["../escape", "a/b", "", "nul\0nul", "/etc/passwd"] {
        let fault = || Fault::sftp(SftpRequest::ReadDir, SftpFault::name(name)).once();
        let files = Tree::memory().file("/dir/f", "x").file("/escape", "kept").file("/dir/a/b", "kept");
        let server = serve_with(TestServer::builder().sftp(files.clone()).fault(fault())).await;
        let sftp = open(&server).await;
        let listed: Vec<_> = sftp.read_dir("/dir").await.unwrap().collect().await;
        let (good, bad): (Vec<_>, Vec<_>) = listed.into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (2, 1), "{name:?}");
        assert_eq!(bad[0].as_ref().unwrap_err().kind(), ErrorKind::InvalidName);
        finish(sftp, server).await;

        let server = serve_with(TestServer::builder().sftp(files).fault(fault())).await;
        let sftp = open(&server).await;
        assert_eq!(sftp.remove_dir_all("/dir").await.unwrap_err().kind(), ErrorKind::InvalidName);
        assert_eq!(server.sftp_content("/escape").unwrap(), b"kept");
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn a_listing_that_is_dropped_is_closed() {
    let many = (0..5000).fold(Tree::memory(), |tree, i| tree.file(format!("/many/{i}"), ""));
    let server = serve(many).await;
    let sftp = open(&server).await;
    let mut listing = sftp.read_dir("/many").await.unwrap();
    listing.next_entry().await.unwrap().unwrap();
    drop(listing);
    no_handles(&server).await;
    finish(sftp, server).await;
}

#[tokio::test]
async fn directories_are_made_with_those_above_them() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let deep = format!("/srv/{}", ["d"; 100].join("/"));
    for path in ["/srv/new", "/srv/new", "/srv/x/y/z/", "/", "rel/a", &deep, &deep, "/srv/out/below"] {
        sftp.create_dir_all(path).await.unwrap();
        assert!(sftp.metadata(path).await.unwrap().is_dir(), "{path}");
    }
    let (one, other) = tokio::join!(sftp.create_dir_all("/race/a/b"), sftp.create_dir_all("/race/a/b"));
    one.and(other).unwrap();
    let file = sftp.create_dir_all("/srv/a.rs").await.unwrap_err();
    assert_eq!((file.kind(), file.path()), (ErrorKind::AlreadyExists, Some(&b"/srv/a.rs"[..])));
    let below = sftp.create_dir_all("/srv/a.rs/x/y").await.unwrap_err();
    assert_eq!((below.kind(), below.path()), (ErrorKind::NotADirectory, Some(&b"/srv/a.rs"[..])));
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_tree_is_removed_and_links_are_not_followed() {
    let mut files = tree().symlink("/link", "srv");
    for directory in 0..30 {
        for file in 0..40 {
            files = files.file(format!("/srv/wide/{directory}/{file}"), "");
        }
    }
    let deep = format!("/srv/{}/leaf", ["deep"; 60].join("/"));
    let server = serve(files.file(deep, "")).await;
    let sftp = open(&server).await;
    sftp.remove_dir_all("/srv").await.unwrap();
    assert_eq!(names(&sftp, "/").await, ["elsewhere", "link"].map(String::from).into());
    assert_eq!(sftp.read("/elsewhere/f.rs").await.unwrap(), "7");
    sftp.remove_dir_all("/link").await.unwrap();
    let file = sftp.remove_dir_all("/elsewhere/f.rs").await.unwrap_err();
    assert_eq!(file.kind(), ErrorKind::NotADirectory);
    assert_eq!(sftp.remove_dir_all("/none").await.unwrap_err().kind(), ErrorKind::NotFound);
    finish(sftp, server).await;
}

#[tokio::test]
async fn an_entry_that_is_gone_already_does_not_keep_a_tree_from_being_removed() {
    let gone = Fault::sftp(SftpRequest::Remove, SftpFault::status(2, "No such file")).nth(2);
    let server = serve_with(TestServer::builder().sftp(tree()).fault(gone)).await;
    let sftp = open(&server).await;
    // The file is still there: the directory is not empty, is listed again, and goes the second time.
    sftp.remove_dir_all("/srv").await.unwrap();
    assert!(!sftp.exists("/srv").await.unwrap());
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_may_not_be_removed_ends_the_removal_by_name() {
    let refused = Fault::sftp(SftpRequest::Remove, SftpFault::status(3, "Permission denied")).once();
    let server = serve_with(TestServer::builder().sftp(tree()).fault(refused)).await;
    let sftp = open(&server).await;
    let error = sftp.remove_dir_all("/srv").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.path().unwrap().starts_with(b"/srv/"), "{error}");
    finish(sftp, server).await;
}

async fn walked(walk: rustle_sftp::WalkBuilder) -> Vec<String> {
    let entries: Vec<_> = walk.start().try_collect().await.unwrap();
    entries.iter().map(|entry| String::from_utf8_lossy(entry.path()).into_owned()).collect()
}

#[tokio::test]
async fn a_walk_finds_all_and_in_order_where_that_is_asked_for() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let sorted = walked(sftp.walk("/srv").sorted()).await;
    let expected = [
        "/srv/.git",
        "/srv/.git/e.rs",
        "/srv/.hidden",
        "/srv/a.rs",
        "/srv/b.txt",
        "/srv/nowhere",
        "/srv/out",
        "/srv/src",
        "/srv/src/c.rs",
        "/srv/src/deep",
        "/srv/src/deep/d.rs",
        "/srv/src/up",
    ];
    assert_eq!(sorted, expected);
    let found = walked(sftp.walk("/srv")).await;
    let parent = |path: &str| path.rsplit_once('/').unwrap().0.to_owned();
    for (at, path) in found.iter().enumerate() {
        assert!(
            parent(path) == "/srv" || found[..at].contains(&parent(path)),
            "{path} comes before its directory"
        );
    }
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected.map(String::from).into());
    let shallow = walked(sftp.walk("srv").sorted().max_depth(1)).await;
    assert_eq!(shallow.len(), 7);
    assert!(shallow.iter().all(|path| path.starts_with("srv/")));
    assert!(walked(sftp.walk("/srv/src/deep").max_depth(0)).await.is_empty());
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_walk_that_follows_links_finds_loops() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let all: Vec<_> = sftp.walk("/srv").sorted().follow_links().start().collect().await;
    let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    let paths: Vec<_> = good.into_iter().map(|entry| entry.unwrap().path().clone()).collect();
    assert!(paths.contains(&"/srv/out/f.rs".into()) && paths.contains(&"/srv/nowhere".into()), "{paths:?}");
    assert_eq!(bad.len(), 1);
    let error = bad[0].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidArgument, Some(&b"/srv/src/up"[..])));
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_cannot_be_listed_is_an_error_in_its_place() {
    let refused = Fault::sftp(SftpRequest::OpenDir, SftpFault::status(3, "Permission denied")).nth(2);
    let server = serve_with(TestServer::builder().sftp(tree()).fault(refused)).await;
    let sftp = open(&server).await;
    let all: Vec<_> = sftp.walk("/srv").sorted().start().collect().await;
    let errors: Vec<_> = all.iter().filter_map(|entry| entry.as_ref().err()).collect();
    assert_eq!((errors.len(), errors[0].kind()), (1, ErrorKind::PermissionDenied));
    assert_eq!((errors[0].path(), all.len()), (Some(&b"/srv/.git"[..]), 12));
    let missing: Vec<_> = sftp.walk("/none").start().collect().await;
    assert!(matches!(&missing[..], [Err(error)] if error.kind() == ErrorKind::NotFound));
    finish(sftp, server).await;
}

#[tokio::test]
async fn patterns_find_what_a_shell_finds() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let cases: [(&str, &[&str]); 14] = [
        ("/srv/*.rs", &["/srv/a.rs"]),
        ("/srv/*", &["/srv/a.rs", "/srv/b.txt", "/srv/nowhere", "/srv/out", "/srv/src"]),
        ("/srv/.*", &["/srv/.git", "/srv/.hidden"]),
        ("/srv/*/", &["/srv/out", "/srv/src"]),
        ("/srv/**/*.rs", &["/srv/a.rs", "/srv/src/c.rs", "/srv/src/deep/d.rs"]),
        ("/**/d.rs", &["/srv/src/deep/d.rs"]),
        ("srv/src/**", &["srv/src/c.rs", "srv/src/deep", "srv/src/deep/d.rs", "srv/src/up"]),
        ("/srv/*/*.rs", &["/srv/out/f.rs", "/srv/src/c.rs"]),
        ("/srv/.git/?.rs", &["/srv/.git/e.rs"]),
        ("/srv/[ab].*", &["/srv/a.rs", "/srv/b.txt"]),
        ("/srv/s?c/c.rs", &["/srv/src/c.rs"]),
        ("/srv/a.rs", &["/srv/a.rs"]),
        ("/srv/none*/x", &[]),
        ("/srv/\\*.rs", &[]),
    ];
    for (pattern, expected) in cases {
        let found = sftp.glob(pattern).unwrap().sorted().await.unwrap();
        let found: Vec<_> = found.iter().map(|entry| std::str::from_utf8(entry.path()).unwrap()).collect();
        assert_eq!(found, expected, "{pattern}");
    }
    assert_eq!(sftp.glob("").unwrap_err().kind(), ErrorKind::InvalidArgument);
    finish(sftp, server).await;
}

#[tokio::test]
async fn an_endless_listing_takes_no_more_than_is_asked_for() {
    // Names without an end: each READDIR is answered by one more, and never by the end.
    let endless = Fault::sftp(SftpRequest::ReadDir, SftpFault::name("again"));
    let many = (0..20_000).fold(Tree::memory(), |tree, i| tree.file(format!("/many/{i}"), ""));
    let server = serve_with(TestServer::builder().sftp(many).fault(endless)).await;
    let session = login(&server).await;
    let sftp = Sftp::open(&session).await.unwrap();
    let mut listing = sftp.read_dir("/many").await.unwrap();
    for _ in 0..150 {
        listing.next_entry().await.unwrap().unwrap();
    }
    // Answers come in order: behind this one, all that was asked for before is here.
    sftp.home().await.unwrap();
    let asked = server.record().bytes_out();
    sftp.home().await.unwrap();
    let more = server.record().bytes_out() - asked;
    assert!(more < 1000, "nothing more comes than was asked for: {more}");
    assert!(asked < 2 << 20, "{asked}");
    drop(listing);
    finish(sftp, server).await;
}
