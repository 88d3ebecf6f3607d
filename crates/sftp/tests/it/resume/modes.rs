//! The permissions of files that are sent and may be gone on with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustle_sftp::{Resumed, Sftp, Transfer};

use super::hashing;
use crate::here::{Here, content};
use crate::support::{finish, open, passes_as_an_ordinary_user, serve_with};

const SIZE: usize = 100_000;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn put(sftp: &Sftp, from: &Path, to: &str, atomic: bool) -> Transfer {
    let transfer = sftp.put(from, to);
    if atomic { transfer.atomic() } else { transfer }
}

#[tokio::test]
async fn a_new_file_has_the_permissions_that_it_has_without_resume() {
    let bytes = content(SIZE);
    for original in [0o444, 0o440, 0o400, 0o644, 0o755, 0o555] {
        for (atomic, found) in [(true, 0), (true, 1000), (true, SIZE), (false, 0), (false, 1000)] {
            let what = format!("{original:o}, {atomic}, {found}");
            let (here, there) = (Here::new(), Here::new());
            let from = here.file("from", &bytes);
            set_mode(&from, original);
            let server = serve_with(hashing(&there.path(""))).await;
            let sftp = open(&server).await;
            put(&sftp, &from, "/whole", atomic).await.unwrap();
            if found > 0 {
                let part =
                    there.file(if atomic { ".resumed.rustle-part" } else { "resumed" }, &bytes[..found]);
                set_mode(&part, (original | 0o600) & mode(&there.path("whole")) | 0o600);
            }
            let summary = put(&sftp, &from, "/resumed", atomic).resume().await.unwrap();
            assert_eq!(summary.resumed.from(), found as u64, "{what}");
            assert!(there.read("resumed") == bytes, "{what}");
            // In place, what its owner may not write could not be gone on with.
            let owner_s = if atomic { 0 } else { 0o600 };
            let modes = [mode(&there.path("resumed")), mode(&there.path("whole")) | owner_s];
            assert_eq!(modes[0], modes[1], "{what}: {:o} and {:o}", modes[0], modes[1]);
            finish(sftp, server).await;
        }
    }
}

#[tokio::test]
async fn what_somebody_has_given_a_file_stays() {
    let bytes = content(SIZE);
    let (here, there) = (Here::new(), Here::new());
    let from = here.file("from", &bytes);
    set_mode(&from, 0o444);
    for (found, mode_there) in [(1000, 0o666), (SIZE, 0o644)] {
        set_mode(&there.file("app", &bytes[..found]), mode_there);
        let server = serve_with(hashing(&there.path(""))).await;
        let sftp = open(&server).await;
        sftp.put(&from, "/app").resume().await.unwrap();
        assert_eq!(mode(&there.path("app")), mode_there, "{found}");
        finish(sftp, server).await;
    }
}

#[test]
fn a_read_only_file_that_is_all_there_is_no_error() {
    passes_as_an_ordinary_user("resume::modes::child_sends_a_read_only_file_twice");
}

#[tokio::test]
#[ignore = "run as a child process by `a_read_only_file_that_is_all_there_is_no_error`"]
async fn child_sends_a_read_only_file_twice() {
    let bytes = content(SIZE);
    let (here, there) = (Here::new(), Here::new());
    let from = here.file("from", &bytes);
    set_mode(&from, 0o444);
    let server = serve_with(hashing(&there.path(""))).await;
    let sftp = open(&server).await;
    let first = sftp.put(&from, "/app").resume().await.unwrap();
    assert_eq!((first.moved, first.resumed), (SIZE as u64, Resumed::NothingFound));
    set_mode(&there.path("app"), 0o444);
    for preserve in [false, true] {
        let again = sftp.put(&from, "/app").resume();
        let again = if preserve { again.preserve() } else { again }.await.unwrap();
        assert_eq!((again.moved, again.resumed.from()), (0, SIZE as u64), "{preserve}");
    }
    // Whatever else is there is not written over.
    let other = there.path("app");
    set_mode(&other, 0o644);
    std::fs::write(&other, &bytes[1..]).unwrap();
    set_mode(&other, 0o444);
    let error = sftp.put(&from, "/app").resume().await.unwrap_err();
    assert_eq!(error.kind(), rustle_sftp::ErrorKind::PermissionDenied, "{error}");
    assert!(there.read("app") == bytes[1..]);
    finish(sftp, server).await;
}

#[test]
fn a_read_only_file_of_this_side_that_is_all_there_is_no_error() {
    passes_as_an_ordinary_user("resume::modes::child_fetches_a_read_only_file_twice");
}

#[tokio::test]
#[ignore = "run as a child process by `a_read_only_file_of_this_side_that_is_all_there_is_no_error`"]
async fn child_fetches_a_read_only_file_twice() {
    use std::os::unix::fs::MetadataExt as _;
    const LONG_AGO: i64 = 1_000_000_000;
    let bytes = content(SIZE);
    let (here, there) = (Here::new(), Here::new());
    let original = there.file("app", &bytes);
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(LONG_AGO.unsigned_abs());
    std::fs::File::options().write(true).open(&original).unwrap().set_modified(at).unwrap();
    set_mode(&original, 0o555);
    let server = serve_with(hashing(&there.path(""))).await;
    let sftp = open(&server).await;
    let local = here.file("app", &bytes);
    set_mode(&local, 0o444);
    let get = |follows: bool| {
        let get = sftp.get("/app", &local).resume();
        if follows { get } else { get.no_follow() }
    };
    let again = get(true).await.unwrap();
    assert_eq!((again.moved, again.resumed.from()), (0, SIZE as u64));
    assert_eq!(mode(&local), 0o444);
    for follows in [true, false] {
        let again = get(follows).preserve().verify().await.unwrap();
        assert_eq!((again.moved, again.resumed.from()), (0, SIZE as u64), "{follows}");
        assert_eq!((mode(&local), std::fs::metadata(&local).unwrap().mtime()), (0o555, LONG_AGO));
    }
    // A part, and whatever else is there, is not written over.
    for found in [&bytes[..1000], &bytes[1..], &[&bytes[..], b"more"].concat()[..], b""] {
        set_mode(&local, 0o644);
        std::fs::write(&local, found).unwrap();
        set_mode(&local, 0o444);
        let error = get(true).await.unwrap_err();
        assert_eq!(error.kind(), rustle_sftp::ErrorKind::Local, "{error}");
        assert!(error.to_string().contains("permission denied"), "{error}");
        assert!(here.read("app") == found);
    }
    // Nor where there is nothing to be fetched.
    there.file("empty", b"");
    let error = sftp.get("/empty", here.file("more", b"more")).resume().await;
    assert!(error.is_ok(), "{error:?}");
    let local = here.file("more", b"more");
    set_mode(&local, 0o444);
    let error = sftp.get("/empty", &local).resume().await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    assert!(here.read("more") == b"more");
    finish(sftp, server).await;
}
