//! Directories are removed however deep they are, and what is spared stays.

use std::fs;

use super::{directory, file_with};
use crate::local::remove::remove;
#[cfg(unix)]
use crate::local::remove::remove_dir_sparing;

#[tokio::test]
async fn what_is_spared_stays_and_the_directories_that_it_is_in() {
    let directory = directory();
    let top = directory.path().join("top");
    fs::create_dir_all(top.join("in/keep")).unwrap();
    fs::create_dir_all(top.join("gone/deep")).unwrap();
    for name in ["top/in/keep/a", "top/in/x", "top/gone/deep/x", "top/x.log"] {
        file_with(&directory, name, b"");
    }
    let removed = remove(top.clone(), true, |path, is_directory| {
        is_directory && path.ends_with("keep") || path.extension().is_some_and(|end| end == "log")
    });
    assert!(!removed.await.unwrap());
    assert!(top.join("in/keep/a").exists() && top.join("x.log").exists());
    assert!(!top.join("in/x").exists() && !top.join("gone").exists());
    assert!(remove(top.clone(), true, |_, _| false).await.unwrap() && !top.exists());
    // Somebody else was faster.
    assert!(remove(top, false, |_, _| false).await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_removed_is_named() {
    let directory = directory();
    let path = directory.path().join("missing");
    let error = remove(path.clone(), true, |_, _| false).await.unwrap_err();
    super::assert_local(&error, &path, "no such file");
}

#[cfg(unix)]
#[test]
fn neither_stack_nor_handles_are_taken_by_depth() {
    let directory = directory();
    let top = directory.path().join("top");
    fs::create_dir_all(top.join(["d"; 1800].join("/"))).unwrap();
    let removal = std::thread::Builder::new().stack_size(64 * 1024);
    let removal = removal.spawn(move || remove_dir_sparing(top, &|_, _| false)).unwrap();
    assert!(removal.join().unwrap().unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_directory_that_stays_is_read_only_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory();
    let top = directory.path().join("top");
    fs::create_dir(&top).unwrap();
    file_with(&directory, "top/keep", b"");
    file_with(&directory, "top/x", b"");
    fs::set_permissions(&top, fs::Permissions::from_mode(0o1555)).unwrap();
    assert!(!remove(top.clone(), true, |path, _| path.ends_with("keep")).await.unwrap());
    assert_eq!(fs::metadata(&top).unwrap().permissions().mode() & 0o7777, 0o1555);
    assert!(!top.join("x").exists());
    fs::set_permissions(&top, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[test]
fn what_an_error_leaves_is_read_only_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory();
    let top = directory.path().join("top");
    let modes = [("top/in/deep", 0o300), ("top/in", 0o555), ("top", 0o1500)];
    fs::create_dir_all(top.join("in/deep")).unwrap();
    file_with(&directory, "top/in/deep/x", b"");
    for (name, mode) in modes {
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    // Something is put into the innermost one behind the removal's back.
    let is_filled = std::cell::Cell::new(false);
    let removal = remove_dir_sparing(top.clone(), &|path, _| {
        if path.ends_with("x") && !is_filled.replace(true) {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }
        false
    });
    assert!(is_filled.get());
    super::assert_local(&removal.unwrap_err(), &top.join("in/deep/x"), "on this side");
    for (name, mode) in modes.into_iter().rev() {
        let path = directory.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{name}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Between the look at a directory's kind and the removal of what is in it, its siblings are removed.
#[cfg(unix)]
#[test]
fn what_became_a_link_meanwhile_is_not_followed() {
    let directory = directory();
    let top = directory.path().join("top");
    for name in ["top/a", "top/b", "elsewhere"] {
        fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    let others = ["top/a/x", "top/b/x", "elsewhere/x"].map(|name| file_with(&directory, name, b"x"));
    let is_replaced = std::cell::Cell::new(false);
    let removal = remove_dir_sparing(top.clone(), &|path, _| {
        if path.ends_with("x") && !is_replaced.replace(true) {
            let sibling = if path.starts_with(top.join("a")) { "b" } else { "a" };
            fs::rename(top.join(sibling), directory.path().join("aside")).unwrap();
            std::os::unix::fs::symlink(directory.path().join("elsewhere"), top.join(sibling)).unwrap();
        }
        false
    });
    assert!(is_replaced.get());
    let error = removal.unwrap_err();
    assert!(error.to_string().contains("no directory"), "{error}");
    assert!(others[2].exists(), "what the link leads to is somebody else's");
}
