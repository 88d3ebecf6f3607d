//! Each operation on names, at each kind of host, held against the disk.

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use rustle_sftp::{ErrorKind, Lack, SetMetadata};

use crate::commands::host::{Host, at_each_host, files_of, odd_names};
use crate::support::serve_with;

#[tokio::test]
async fn names_with_every_byte_are_written_listed_read_and_removed() {
    at_each_host(async |name, host, files| {
        for odd in odd_names() {
            files.write(&odd, odd.clone()).await.unwrap();
        }
        let mut listed = Vec::new();
        let mut entries = files.read_dir(".").await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            assert_eq!(entry.metadata().len(), Some(entry.name().len() as u64), "{name}: {entry:?}");
            assert!(entry.metadata().is_file(), "{name}");
            listed.push(entry.name().to_vec());
        }
        let mut there: Vec<_> =
            fs::read_dir(host.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_vec()).collect();
        let mut expected = odd_names();
        for names in [&mut listed, &mut there, &mut expected] {
            names.sort();
        }
        assert_eq!(there, expected, "{name}");
        assert_eq!(listed, expected, "{name}");
        for odd in odd_names() {
            assert_eq!(files.read(&odd).await.unwrap(), odd, "{name}");
            let moved = [&odd[..odd.len().min(100)], b".moved"].concat();
            files.rename(&odd, &moved).await.unwrap();
            files.remove_file(&moved).await.unwrap();
        }
        assert_eq!(host.names(), [""; 0], "{name}");
    })
    .await;
}

#[tokio::test]
async fn what_is_known_of_a_file_is_what_the_disk_says() {
    at_each_host(async |name, host, files| {
        let at = |path: &str| host.folder().join(path);
        fs::write(at("file"), "12345").unwrap();
        fs::set_permissions(at("file"), fs::Permissions::from_mode(0o4751)).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        fs::create_dir(at("dir")).unwrap();
        let there = fs::metadata(at("file")).unwrap();
        let file = files.metadata("link").await.unwrap();
        assert_eq!((file.len(), file.permissions()), (Some(5), Some(0o4751)), "{name}");
        assert_eq!((file.uid(), file.gid()), (Some(there.uid()), Some(there.gid())), "{name}");
        if !files.lacks().contains(&Lack::Times) {
            let modified = UNIX_EPOCH + Duration::from_secs(there.mtime().unsigned_abs());
            assert_eq!(file.modified(), Some(modified), "{name}");
        }
        assert!(files.symlink_metadata("link").await.unwrap().is_symlink(), "{name}");
        assert!(files.metadata("dir").await.unwrap().is_dir(), "{name}");
        assert!(files.exists("link").await.unwrap() && !files.exists("none").await.unwrap(), "{name}");
        let device = files.metadata("/dev/null").await.unwrap();
        assert_eq!((device.len(), device.is_file()), (None, false), "{name}");
    })
    .await;
}

#[tokio::test]
async fn what_can_be_set_is_set() {
    at_each_host(async |name, host, files| {
        let path = host.folder().join("file");
        fs::write(&path, "12345").unwrap();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let owner = fs::metadata(&path).unwrap();
        let changes = SetMetadata::new()
            .len(3)
            .permissions(0o640)
            .owner(owner.uid(), owner.gid())
            .times(at(1_000_000_000), at(1_100_000_001));
        files.set_metadata("file", &changes).await.unwrap();
        let there = fs::metadata(&path).unwrap();
        assert_eq!((there.len(), there.permissions().mode() & 0o7777), (3, 0o640), "{name}");
        assert_eq!((there.atime(), there.mtime()), (1_000_000_000, 1_100_000_001), "{name}");
        files.set_metadata("file", &SetMetadata::new().len(10)).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"123\0\0\0\0\0\0\0", "{name}");
    })
    .await;
}

#[tokio::test]
async fn directories_and_links_are_made_moved_and_removed() {
    at_each_host(async |name, host, files| {
        let at = |path: &str| host.folder().join(path);
        files.create_dir("dir").await.unwrap();
        files.create_dir_all("dir/a/b/c").await.unwrap();
        files.create_dir_all("dir/a/b/c").await.unwrap();
        files.write("dir/file", "content").await.unwrap();
        files.symlink("-f ile", "dir/link").await.unwrap();
        assert_eq!(fs::read_link(at("dir/link")).unwrap(), Path::new("-f ile"), "{name}");
        if !files.lacks().contains(&Lack::Links) {
            assert_eq!(files.read_link("dir/link").await.unwrap(), "-f ile", "{name}");
            assert_eq!(
                files.read_link("dir/file").await.unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{name}"
            );
        }
        files.hard_link("dir/file", "dir/second").await.unwrap();
        assert_eq!(fs::metadata(at("dir/file")).unwrap().nlink(), 2, "{name}");
        files.write("dir/old", "old").await.unwrap();
        files.rename("dir/second", "dir/old").await.unwrap();
        files.rename("dir/a", "dir/moved").await.unwrap();
        assert!(at("dir/moved/b/c").is_dir() && !at("dir/a").exists(), "{name}");
        // A file never lands in a directory that has the name.
        assert_eq!(
            files.rename("dir/file", "dir/moved").await.unwrap_err().kind(),
            ErrorKind::IsADirectory,
            "{name}"
        );
        assert!(at("dir/file").is_file() && !at("dir/moved/file").exists(), "{name}");
        files.remove_dir("dir/moved/b/c").await.unwrap();
        fs::create_dir(at("kept")).unwrap();
        fs::write(at("kept/file"), "kept").unwrap();
        std::os::unix::fs::symlink("../kept", at("dir/out")).unwrap();
        files.remove_dir_all("dir").await.unwrap();
        assert_eq!(host.names(), ["kept"], "{name}");
        assert_eq!(fs::read(at("kept/file")).unwrap(), b"kept", "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_copy_has_the_content_and_the_permissions_and_is_made_of_nothing_else_than_a_file() {
    at_each_host(async |name, host, files| {
        let at = |path: &str| host.folder().join(path);
        fs::create_dir(at("dir")).unwrap();
        fs::write(at("-from\n"), vec![7; 100_000]).unwrap();
        fs::set_permissions(at("-from\n"), fs::Permissions::from_mode(0o751)).unwrap();
        fs::write(at("there"), vec![1; 200_000]).unwrap();
        for to in ["new", "there", "dir/-to"] {
            assert_eq!(files.copy("-from\n", to).await.unwrap(), 100_000, "{name}: {to}");
            assert!(fs::read(at(to)).unwrap() == vec![7; 100_000], "{name}: {to}");
            assert_eq!(fs::metadata(at(to)).unwrap().permissions().mode() & 0o7777, 0o751, "{name}: {to}");
        }
        for (from, to, expected) in [
            ("none", "x", ErrorKind::NotFound),
            ("dir", "x", ErrorKind::IsADirectory),
            ("new", "dir", ErrorKind::IsADirectory),
            ("new", "none/x", ErrorKind::NotFound),
            ("new", "./new", ErrorKind::InvalidArgument),
        ] {
            let error = files.copy(from, to).await.unwrap_err();
            assert_eq!(error.kind(), expected, "{name}: {from} to {to}: {error}");
        }
        assert!(!at("dir/new").exists() && fs::read(at("new")).unwrap().len() == 100_000, "{name}");
    })
    .await;
}

#[tokio::test]
async fn the_room_of_a_file_system_is_known() {
    at_each_host(async |name, host, files| {
        let space = files.space(".").await.unwrap();
        let there = rustix::fs::statvfs(host.folder()).unwrap();
        assert_eq!(space.total, there.f_blocks * there.f_frsize, "{name}");
        assert!(space.available <= space.total, "{name}: {space:?}");
        assert_eq!(files.space("none").await.unwrap_err().kind(), ErrorKind::NotFound, "{name}");
    })
    .await;
}

#[tokio::test]
async fn paths_are_made_absolute() {
    at_each_host(async |name, host, files| {
        let home = fs::canonicalize(host.folder()).unwrap();
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        fs::create_dir_all(home.join("a/line\n")).unwrap();
        fs::write(home.join("a/file"), "").unwrap();
        assert_eq!(files.home().await.unwrap(), bytes(&home), "{name}");
        assert_eq!(files.canonicalize("~/a/../a").await.unwrap(), bytes(&home.join("a")), "{name}");
        assert_eq!(files.canonicalize("a/line\n").await.unwrap(), bytes(&home.join("a/line\n")), "{name}");
        assert_eq!(files.canonicalize("./a/../a/file").await.unwrap(), bytes(&home.join("a/file")), "{name}");
        assert_eq!(files.canonicalize("a/new").await.unwrap(), bytes(&home.join("a/new")), "{name}");
        assert_eq!(files.canonicalize("none/new").await.unwrap_err().kind(), ErrorKind::NotFound, "{name}");
    })
    .await;
}

#[tokio::test]
async fn each_error_is_of_the_kind_that_sftp_would_give() {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, InvalidName, IsADirectory, NotADirectory, NotFound};
    at_each_host(async |name, host, files| {
        fs::create_dir_all(host.folder().join("dir/sub")).unwrap();
        fs::write(host.folder().join("file"), "").unwrap();
        std::os::unix::fs::symlink("none", host.folder().join("dangling")).unwrap();
        let of = |result: rustle_sftp::Result<()>| result.unwrap_err().kind();
        for (what, found, expected) in [
            ("stat", files.metadata("none").await.map(drop), NotFound),
            ("stat of a link to nothing", files.metadata("dangling").await.map(drop), NotFound),
            ("stat below nothing", files.metadata("none/x").await.map(drop), NotFound),
            ("stat below a file", files.metadata("file/x").await.map(drop), NotADirectory),
            ("read", files.read("none").await.map(drop), NotFound),
            ("read a directory", files.read("dir").await.map(drop), IsADirectory),
            ("write over a directory", files.write("dir", "x").await, IsADirectory),
            ("write below nothing", files.write("none/x", "x").await, NotFound),
            ("list", files.read_dir("none").await.map(drop), NotFound),
            ("list a file", files.read_dir("file").await.map(drop), NotADirectory),
            ("mkdir", files.create_dir("dir").await, AlreadyExists),
            ("mkdir below nothing", files.create_dir("none/x").await, NotFound),
            ("mkdir -p over a file", files.create_dir_all("file").await, AlreadyExists),
            ("mkdir -p below a file", files.create_dir_all("file/x/y").await, NotADirectory),
            ("remove", files.remove_file("none").await, NotFound),
            ("remove a directory as a file", files.remove_file("dir").await, IsADirectory),
            ("rmdir of a file", files.remove_dir("file").await, NotADirectory),
            ("rmdir", files.remove_dir("dir").await, DirectoryNotEmpty),
            ("remove all", files.remove_dir_all("none").await, NotFound),
            ("remove all of a file", files.remove_dir_all("file").await, NotADirectory),
            ("rename nothing", files.rename("none", "x").await, NotFound),
            ("rename into nothing", files.rename("file", "none/x").await, NotFound),
            ("link over", files.symlink("x", "dangling").await, AlreadyExists),
            ("hard link over", files.hard_link("file", "dir").await, AlreadyExists),
            ("hard link of nothing", files.hard_link("none", "x").await, NotFound),
            ("a NUL", files.read("a\0b").await.map(drop), InvalidName),
        ] {
            assert_eq!(of(found), expected, "{name}: {what}");
        }
    })
    .await;
}

/// Root may do anything, so this needs another user: the machine's, or it is skipped with a word.
#[tokio::test]
async fn what_the_account_may_not_do_is_told_as_such() {
    let host = Arc::new(Host::new());
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may do anything");
        return;
    }
    let server = host.serve().await;
    let files = files_of(&server).await;
    fs::create_dir(host.folder().join("shut")).unwrap();
    fs::write(host.folder().join("secret"), "x").unwrap();
    fs::set_permissions(host.folder().join("secret"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(host.folder().join("shut"), fs::Permissions::from_mode(0o0)).unwrap();
    for (what, found) in [
        ("stat", files.metadata("shut/x").await.map(drop)),
        ("exists", files.exists("shut/x").await.map(drop)),
        ("read", files.read("secret").await.map(drop)),
        ("write", files.write("secret", "y").await),
        ("list", files.read_dir("shut").await.map(drop)),
        ("mkdir", files.create_dir("/etc/rustle-none").await),
        ("remove", files.remove_file("/etc/passwd").await),
        ("chmod", files.set_permissions("/etc/passwd", 0o666).await),
    ] {
        assert_eq!(found.unwrap_err().kind(), ErrorKind::PermissionDenied, "{what}");
    }
    fs::set_permissions(host.folder().join("shut"), fs::Permissions::from_mode(0o700)).unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_entry_that_vanishes_while_it_is_listed_is_passed_over() {
    at_each_host(async |name, host, files| {
        let (busy, folder) = (Arc::new(AtomicBool::new(true)), host.folder().to_owned());
        let still = Arc::clone(&busy);
        let coming_and_going = std::thread::spawn(move || {
            for number in (0..100).cycle().take_while(|_| still.load(Ordering::Relaxed)) {
                let path = folder.join(number.to_string());
                if fs::remove_file(&path).is_err() {
                    fs::write(&path, "").unwrap();
                }
            }
        });
        for _ in 0..20 {
            let mut entries = files.read_dir(".").await.unwrap();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                assert!(entry.metadata().is_file(), "{name}: {entry:?}");
            }
        }
        busy.store(false, Ordering::Relaxed);
        coming_and_going.join().unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_a_start_up_file_says_is_no_reason_of_a_command() {
    let host = Arc::new(Host::of_nobody());
    fs::write(host.folder().join("locked"), "x").unwrap();
    fs::set_permissions(host.folder().join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    for noise in ["x: command not found\n".to_owned(), "No space left on device\n".repeat(1000)] {
        let server = serve_with(host.builder().startup_noise_stderr(noise)).await;
        let files = files_of(&server).await;
        let here = tempfile::tempdir().unwrap();
        let back = here.path().join("back");
        for error in [
            files.read("locked").await.unwrap_err(),
            files.get("locked", &back).await.unwrap_err(),
            files.write("locked", "y").await.unwrap_err(),
            files.create_dir("new").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(!error.to_string().contains("not found"), "{error}");
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_home_of_another_account_is_found_and_its_name_is_only_a_name() {
    at_each_host(async |name, host, files| {
        let home = files.canonicalize("~").await.unwrap();
        assert_eq!(home, fs::canonicalize(host.folder()).unwrap().as_os_str().as_bytes(), "{name}");
        match (files.canonicalize("~root").await, files.canonicalize("~root/new name/").await) {
            (Ok(root), Ok(below)) => {
                assert!(root.starts_with(b"/"), "{name}: {root:?}");
                assert_eq!(below, [&root[..], b"/new name"].concat(), "{name}");
            }
            // Where these commands may not look into it.
            (root, below) => {
                for error in [root, below].into_iter().filter_map(Result::err) {
                    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{name}: {error}");
                }
            }
        }
        // Its home is not there on many systems, and what is above that is nobody's.
        match files.canonicalize("~nobody").await {
            Ok(home) => assert!(!home.ends_with(b"/") || home == "/", "{name}: {home:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}"),
        }
        for odd in
            ["~no-such-account", "~a;touch pwned", "~$(touch pwned)", "~`touch pwned`", "~+", "~-", "~1"]
        {
            let error = files.canonicalize(odd).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{name}, {odd}: {error}");
        }
        assert_eq!(host.names(), [""; 0], "{name}");
    })
    .await;
}
