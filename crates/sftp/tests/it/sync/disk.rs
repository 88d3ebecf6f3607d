//! Synchronisation with a server over a real directory: links, and programs that hash.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use rustle_sftp::{Compare, LinkPolicy};
use rustle_testserver::{Sftp as Files, TestServer};

use super::{files, old, plant, sorted, told};
use crate::support::{finish, open, serve_with};

/// The whole disk over SFTP, and a shell.
async fn serving() -> TestServer {
    serve_with(TestServer::builder().shell().sftp(Files::directory("/"))).await
}

fn text(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[tokio::test]
async fn the_content_of_many_files_is_compared_with_few_commands() {
    let server = serving().await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (from, to) = (here.path().join("from"), here.path().join("to"));
    plant(&from);
    for number in 0..150 {
        old(&from.join(format!("many/it's {number}\n")), format!("content {number}"));
    }
    let summary = sftp.sync_to(&from, text(&to)).compare(Compare::Checksum).await.unwrap();
    assert_eq!((summary.files, summary.uncompared), (154, 0), "{summary:#?}");
    // Of the same length and time, with other content, and the other way round.
    old(&to.join("deep/er/b"), "secund");
    std::fs::File::options()
        .write(true)
        .open(to.join("a"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    let before = server.record().commands().len();
    let summary = sftp.sync_to(&from, text(&to)).compare(Compare::Checksum).await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.uncompared), (1, 153, 0), "{summary:#?}");
    assert!(files(&from) == files(&to));
    let commands = server.record().commands().len() - before;
    assert!(commands <= 8, "{commands}");
    old(&from.join("many/it's 7\n"), "CONTENT 7");
    let summary = sftp.sync_from(text(&to), &from).compare(Compare::Checksum).await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.uncompared), (1, 153, 0), "{summary:#?}");
    finish(sftp, server).await;
}

/// The permissions of a file, when it was last changed, and which file it is.
fn state(path: &Path) -> (u32, i64, u64) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    (metadata.mode() & 0o7777, metadata.mtime(), metadata.ino())
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_has_other_permissions_alone_gets_those_and_no_byte_is_moved() {
    let server = serving().await;
    let sftp = open(&server).await;
    for (up, compare) in [
        (true, Compare::TimeAndSize),
        (true, Compare::Checksum),
        (false, Compare::TimeAndSize),
        (false, Compare::Checksum),
    ] {
        let what = format!("{up}, {compare:?}");
        let here = tempfile::tempdir().unwrap();
        let (from, to) = (here.path().join("from"), here.path().join("to"));
        plant(&from);
        for number in 0..150 {
            old(&from.join(format!("many/{number}")), "x");
        }
        let sync = || {
            let sync = match up {
                true => sftp.sync_to(&from, text(&to)),
                false => sftp.sync_from(text(&from), &to),
            };
            sync.compare(compare)
        };
        sync().await.unwrap();
        let before: Vec<_> =
            ["a", "deep/er/b", "large", "deep/empty"].map(|name| state(&to.join(name))).into();
        set_mode(&from.join("a"), 0o750);
        set_mode(&to.join("large"), 0o400);
        (0..150).for_each(|number| set_mode(&to.join(format!("many/{number}")), 0o600));
        // These are not compared.
        set_mode(&to.join("deep/empty"), 0o2644);

        let (dry, all) = told(sync().dry_run());
        let summary = dry.await.unwrap();
        assert_eq!(
            (summary.files, summary.unchanged, summary.permissions),
            (0, 2, 152),
            "{what}: {summary:#?}"
        );
        assert!(sorted(&all).contains(&"a permissions".to_owned()), "{what}");
        assert_eq!(state(&to.join("large")).0, 0o400, "{what}");

        let sent = server.record().bytes_in();
        let summary = sync().delete().await.unwrap();
        let counts = (summary.files, summary.bytes, summary.unchanged, summary.permissions);
        assert_eq!(counts, (0, 0, 2, 152), "{what}: {summary:#?}");
        assert!(summary.is_complete() && server.record().bytes_in() - sent < 200_000, "{what}");
        let after: Vec<_> =
            ["a", "deep/er/b", "large", "deep/empty"].map(|name| state(&to.join(name))).into();
        let same_files =
            before.iter().zip(&after).all(|(before, after)| before.1 == after.1 && before.2 == after.2);
        assert!(same_files, "{what}: {before:?} {after:?}");
        assert_eq!((after[0].0, after[2].0, after[3].0), (0o750, before[2].0, 0o2644), "{what}");
        assert_eq!(state(&to.join("many/7")).0, before[2].0, "{what}");

        let summary = sync().await.unwrap();
        assert_eq!(
            (summary.files, summary.unchanged, summary.permissions),
            (0, 154, 0),
            "{what}: {summary:#?}"
        );
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn nothing_is_written_or_removed_through_a_link_of_the_target() {
    let server = serving().await;
    let sftp = open(&server).await;
    for up in [true, false] {
        let here = tempfile::tempdir().unwrap();
        let (from, to, outside) =
            (here.path().join("from"), here.path().join("to"), here.path().join("outside"));
        old(&outside.join("file"), "not ours");
        old(&outside.join("a"), "not ours");
        old(&from.join("a"), "a");
        old(&from.join("dir/b"), "b");
        std::fs::create_dir(&to).unwrap();
        symlink(outside.join("file"), to.join("a")).unwrap();
        symlink(&outside, to.join("extra")).unwrap();
        let sync = || match up {
            true => sftp.sync_to(&from, text(&to)).delete(),
            false => sftp.sync_from(text(&from), &to).delete(),
        };
        let summary = sync().await.unwrap();
        assert_eq!((summary.files, summary.removed, summary.failures.len()), (2, 1, 0), "{summary:#?}");
        assert!(to.join("a").symlink_metadata().unwrap().is_file());
        assert!(files(&to) == files(&from));
        // A link in the place of a directory is not gone through.
        std::fs::remove_dir_all(to.join("dir")).unwrap();
        symlink(&outside, to.join("dir")).unwrap();
        let summary = sync().await.unwrap();
        assert_eq!(summary.failures.len(), 1, "{summary:#?}");
        let kept = [("a".to_owned(), b"not ours".to_vec()), ("file".to_owned(), b"not ours".to_vec())];
        assert_eq!(files(&outside).into_iter().collect::<Vec<_>>(), kept);
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn links_are_made_equal_where_they_are_copied() {
    let server = serving().await;
    let sftp = open(&server).await;
    for up in [true, false] {
        let here = tempfile::tempdir().unwrap();
        let (from, to) = (here.path().join("from"), here.path().join("to"));
        old(&from.join("a"), "a");
        old(&to.join("three"), "a file");
        symlink("a", from.join("one")).unwrap();
        symlink("a", from.join("two")).unwrap();
        symlink("a", from.join("three")).unwrap();
        symlink("elsewhere", to.join("two")).unwrap();
        let sync = || {
            let sync = match up {
                true => sftp.sync_to(&from, text(&to)),
                false => sftp.sync_from(text(&from), &to),
            };
            sync.links(LinkPolicy::Copy).delete()
        };
        let summary = sync().await.unwrap();
        assert_eq!((summary.links, summary.unchanged, summary.failures.len()), (3, 0, 0), "{summary:#?}");
        for name in ["one", "two", "three"] {
            assert_eq!(std::fs::read_link(to.join(name)).unwrap().to_str(), Some("a"));
        }
        let summary = sync().await.unwrap();
        assert_eq!((summary.links, summary.unchanged, summary.removed), (0, 4, 0), "{summary:#?}");
        assert_eq!(std::fs::read_dir(&to).unwrap().count(), 4);
    }
    finish(sftp, server).await;
}
