//! Directories of the host that are read-only since they were filled the last time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use rustle_sftp::ErrorKind;

use crate::commands::host::{Host, files_of};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree of two directories on each side, those of the host for their owner to read alone.
fn planted(host: &Host, from: &Path) {
    let there = host.folder().join("there");
    for top in [from, &there] {
        fs::create_dir_all(top.join("below")).unwrap();
    }
    for path in ["a", "below/b"] {
        fs::write(from.join(path), path).unwrap();
    }
    for path in ["below", "", "below/old"] {
        let path = there.join(path);
        if path.ends_with("old") {
            fs::write(&path, "old").unwrap();
        }
        host.give(&path);
    }
    for top in [from, &there] {
        set_mode(&top.join("below"), 0o500);
        set_mode(top, 0o550);
    }
}

#[tokio::test]
async fn they_are_opened_to_be_filled_and_shut_in_the_end_with_preserve() {
    let host = Arc::new(Host::of_nobody());
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (from, there) = (here.path().join("from"), host.folder().join("there"));
    planted(&host, &from);

    // Nobody asked for their permissions to be set: they stay shut, as with SFTP.
    let refused = files.put_dir(&from, "there").await.unwrap();
    let denied = |failure: &rustle_sftp::Failure| failure.error.kind() == ErrorKind::PermissionDenied;
    assert!(refused.failures.len() == 2 && refused.failures.iter().all(denied), "{refused:?}");
    assert_eq!((mode(&there), mode(&there.join("below"))), (0o550, 0o500));

    // Something in the way of one file.
    set_mode(&there, 0o750);
    fs::create_dir(there.join("a")).unwrap();
    set_mode(&there, 0o550);
    let sent = files.put_dir(&from, "there").preserve().await.unwrap();
    assert!(sent.files == 1 && sent.failures.len() == 1, "{sent:?}");
    assert_eq!(fs::read(there.join("below/b")).unwrap(), b"below/b");
    assert_eq!((mode(&there), mode(&there.join("below"))), (0o550, 0o500));

    set_mode(&there, 0o750);
    fs::remove_dir(there.join("a")).unwrap();
    set_mode(&there, 0o550);
    let sent = files.put_dir(&from, "there").preserve().atomic().await.unwrap();
    assert!(sent.is_complete() && sent.files == 2, "{sent:?}");
    assert_eq!(fs::read(there.join("a")).unwrap(), b"a");
    assert_eq!((mode(&there), mode(&there.join("below"))), (0o550, 0o500));
    server.stop().await.unwrap();
}

/// Somebody else's can be written in without being opened, and its permissions are not this account's to set.
#[tokio::test]
async fn one_of_somebody_else_is_filled_where_that_is_allowed() {
    let host = Arc::new(Host::of_nobody());
    if !rustix::process::getuid().is_root() {
        return println!("skipped: there is nobody else");
    }
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("a"), "a").unwrap();
    let there = host.folder().join("there");
    fs::create_dir(&there).unwrap();
    set_mode(&there, 0o1777);
    chown(&there, Some(0), Some(0)).unwrap();
    let sent = files.put_dir(here.path(), "there").preserve().await.unwrap();
    assert_eq!((sent.files, sent.failures.len()), (1, 1), "{sent:?}");
    assert_eq!(sent.failures[0].error.kind(), ErrorKind::PermissionDenied, "{sent:?}");
    assert_eq!((fs::read(there.join("a")).unwrap(), mode(&there)), (b"a".to_vec(), 0o1777));
    server.stop().await.unwrap();
}
