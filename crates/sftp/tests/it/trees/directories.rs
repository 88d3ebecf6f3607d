//! Directories that are in the way, and very many of them.

use super::*;

#[tokio::test]
async fn very_many_directories_in_each_of_many_are_all_made() {
    let here = tempfile::tempdir().unwrap();
    for above in 0..16 {
        for below in 0..1100 {
            std::fs::create_dir_all(here.path().join(format!("{above}/{below}"))).unwrap();
        }
    }
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let put = sftp.put_dir(here.path(), "/copy").await.unwrap();
    assert_eq!((put.directories, put.failures.len(), put.unlisted), (1 + 16 + 16 * 1100, 0, 0));
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_is_in_the_place_of_a_directory_on_the_server_keeps_its_permissions_and_times() {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_400_000_000);
    let files = rustle_testserver::Sftp::memory()
        .file("/copy/x", "secret")
        .entry("/copy/x", SftpEntry::file("secret").mode(0o600).modified(at));
    let server = serve(files).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir(here.path().join("x")).unwrap();
    std::fs::write(here.path().join("x/file"), "x").unwrap();
    let put = sftp.put_dir(here.path(), "/copy").preserve().await.unwrap();
    assert_eq!((put.files, put.failures.len()), (0, 1), "{put:?}");
    let there = sftp.metadata("/copy/x").await.unwrap();
    assert_eq!((there.permissions(), there.modified()), (Some(0o600), Some(at)));
    finish(sftp, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_link_in_the_place_of_a_directory_leads_to_keeps_its_permissions_and_times() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_400_000_000);
    let files = rustle_testserver::Sftp::memory()
        .file("/srv/x/file", "evil")
        .entry("/srv/x", SftpEntry::directory().mode(0o777).modified(at));
    let server = serve(files).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (outside, target) = (here.path().join("outside"), here.path().join("target"));
    std::fs::create_dir(&outside).unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir(&target).unwrap();
    symlink(&outside, target.join("x")).unwrap();
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).unwrap();
        (metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
    };
    let before = of(&outside);
    let got = sftp.get_dir("/srv", &target).preserve().await.unwrap();
    assert_eq!((got.files, got.failures.len()), (0, 1), "{got:?}");
    assert_eq!(of(&outside), before);
    // The directory that was asked for may be named by a link.
    let named = here.path().join("named");
    symlink(&outside, &named).unwrap();
    let got = sftp.get_dir("/srv/x", &named).preserve().await.unwrap();
    assert_eq!((got.files, got.failures.len()), (1, 0), "{got:?}");
    assert_eq!((of(&outside).0 & 0o777, of(&outside).1), (0o777, 1_400_000_000));
    finish(sftp, server).await;
}
