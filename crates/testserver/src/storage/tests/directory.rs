//! What only the directory of the disk has: an outside.

use super::{both_ways, names, read, write};
use crate::storage::{Directory, Storage};

#[cfg(unix)]
mod unix {
    use std::{fs, os::unix::fs::symlink};

    use super::{Directory, Storage, both_ways, names, read};
    use crate::storage::{
        Existing, FileKind, Links, OpenOptions, StorageError,
        tests::{exists, size_of},
    };

    #[test]
    fn no_path_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::new(root.path()).unwrap();
        let out = outside.path().to_str().unwrap();
        let name = outside.path().file_name().unwrap().to_str().unwrap();
        // Made by a client, by a program beside it, and one that leads up from inside.
        tree.make_symlink(out.as_bytes(), b"/client").unwrap();
        symlink(outside.path(), root.path().join("program")).unwrap();
        tree.make_symlink(format!("../{name}").as_bytes(), b"/up").unwrap();
        tree.make_symlink(format!("{out}/secret").as_bytes(), b"/file").unwrap();
        tree.make_symlink(format!("{out}/new").as_bytes(), b"/dangling").unwrap();
        for path in ["/client/secret", "/program/secret", "/up/secret", "/file"] {
            assert_eq!(read(&tree, path).unwrap_err(), StorageError::NotFound, "{path}");
        }
        assert_eq!(read(&tree, &format!("/../../../..{out}/secret")).unwrap_err(), StorageError::NotFound);
        for path in [&b"/client/new"[..], b"/program/new", b"/up/new", b"/dangling"] {
            assert_eq!(tree.open(path, both_ways()).unwrap_err(), StorageError::NotFound);
            assert_eq!(tree.make_directory(b"/client/new", None).unwrap_err(), StorageError::NotFound);
            assert!(tree.rename(b"/file", b"/client/new", Existing::Replace).is_err());
        }
        assert_eq!(tree.list(b"/client").unwrap_err(), StorageError::NotFound);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(tree.attributes(b"/program", Links::Keep).unwrap().kind, FileKind::Symlink);
    }

    #[test]
    fn link_by_the_real_path_of_the_directory_leads_inside() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::new(root.path()).unwrap();
        let real = root.path().canonicalize().unwrap();
        fs::create_dir(real.join("d")).unwrap();
        fs::write(real.join("d/file"), "data").unwrap();
        symlink(real.join("d"), real.join("link")).unwrap();
        symlink(&real, real.join("top")).unwrap();
        assert_eq!(read(&tree, "/link/file").unwrap(), "data");
        assert_eq!(names(&tree, "/top/top/link"), ["file"]);
        assert_eq!(tree.read_link(b"/link").unwrap(), real.join("d").to_str().unwrap());
    }

    #[test]
    fn listing_does_not_follow_where_its_directory_was() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::new(root.path()).unwrap();
        tree.make_directory(b"/d", None).unwrap();
        tree.open(b"/d/secret", both_ways()).unwrap();
        let mut listing = tree.list(b"/d").unwrap();
        assert_eq!(listing.next(2).unwrap().len(), 2);
        tree.rename(b"/d", b"/e", Existing::Refuse).unwrap();
        tree.make_symlink(outside.path().to_str().unwrap().as_bytes(), b"/d").unwrap();
        assert_eq!(listing.next(9).unwrap(), []);

        // Nor where a link is further up.
        tree.make_directory(b"/up", None).unwrap();
        tree.make_directory(b"/up/d", None).unwrap();
        tree.open(b"/up/d/secret", both_ways()).unwrap();
        fs::create_dir(outside.path().join("d")).unwrap();
        fs::write(outside.path().join("d/secret"), "secret").unwrap();
        let mut listing = tree.list(b"/up/d").unwrap();
        tree.rename(b"/up", b"/away", Existing::Refuse).unwrap();
        tree.make_symlink(outside.path().to_str().unwrap().as_bytes(), b"/up").unwrap();
        assert_eq!(listing.next(9).unwrap(), []);
    }

    /// Without turns, this leaves the outside file empty after a few rounds.
    #[test]
    fn client_that_races_itself_does_not_get_out() {
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("f");
        fs::write(&victim, "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::new(root.path()).unwrap();
        tree.make_directory(b"/real", None).unwrap();
        tree.open(b"/real/f", both_ways()).unwrap();
        tree.make_symlink(outside.path().to_str().unwrap().as_bytes(), b"/link").unwrap();
        std::thread::scope(|scope| {
            let cutting = scope.spawn(|| {
                for _ in 0..2000 {
                    let _ = tree.set_attributes(b"/d/f", Links::Follow, &size_of(0));
                }
            });
            while !cutting.is_finished() {
                for name in [&b"/real"[..], b"/link"] {
                    tree.rename(name, b"/d", Existing::Refuse).unwrap();
                    tree.rename(b"/d", name, Existing::Refuse).unwrap();
                }
            }
        });
        assert_eq!(fs::read(&victim).unwrap(), b"secret");
    }

    #[test]
    fn pipe_is_shown_and_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::new(root.path()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(root.path().join("pipe")).status().unwrap();
        assert!(made.success());
        assert_eq!(tree.attributes(b"/pipe", Links::Follow).unwrap().kind, FileKind::Other);
        for options in [OpenOptions::new(), OpenOptions::new().write(), both_ways()] {
            assert!(matches!(tree.open(b"/pipe", options), Err(StorageError::Unsupported(_))));
        }
        tree.remove_file(b"/pipe").unwrap();
        assert!(!exists(&tree, "/pipe"));
    }
}

#[test]
fn files_are_where_the_test_sees_them() {
    let root = tempfile::tempdir().unwrap();
    let tree = Directory::new(root.path()).unwrap();
    tree.make_directory(b"/d", None).unwrap();
    write(&tree, "/d/ours", b"ours");
    assert_eq!(std::fs::read(root.path().join("d").join("ours")).unwrap(), b"ours");
    std::fs::write(root.path().join("theirs"), "theirs").unwrap();
    assert_eq!(read(&tree, "theirs").unwrap(), "theirs");
    assert_eq!(names(&tree, "/"), ["d", "theirs"]);
}

#[test]
fn directory_that_is_not_there_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    assert!(Directory::new(&root.path().join("none")).is_err());
}

#[cfg(windows)]
#[test]
fn names_that_mean_something_else_are_refused() {
    use crate::storage::{Changes, Links, StorageError};

    let root = tempfile::tempdir().unwrap();
    let tree = Directory::new(root.path()).unwrap();
    for name in
        [&b"C:"[..], b"a\\b", b"..\\x", b"file:stream", b"nul", b"COM1.txt", b"dot.", b"space ", b"\xff"]
    {
        assert_eq!(tree.open(name, both_ways()).unwrap_err(), StorageError::InvalidName, "{name:?}");
    }
    write(&tree, "/file", b"");
    assert!(matches!(tree.make_symlink(b"file", b"/link"), Err(StorageError::Unsupported(_))));
    let mode = Changes { mode: Some(0o600), ..Changes::default() };
    let refused = tree.set_attributes(b"/file", Links::Follow, &mode);
    assert!(matches!(refused, Err(StorageError::Unsupported(_))));
    assert!(matches!(tree.file_system(b"/"), Err(StorageError::Unsupported(_))));
    let file = tree.open(b"/file", both_ways()).unwrap();
    assert!(matches!(file.file_system(), Err(StorageError::Unsupported(_))));
}
