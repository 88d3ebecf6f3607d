//! What only the target has, where that is much, deep, or in directories that are read-only.

use std::future::IntoFuture as _;

use super::*;

#[tokio::test]
async fn very_many_directories_are_removed_with_the_handles_that_the_server_has() {
    for excluded in [None, Some("*.log")] {
        let mut files = Files::memory().max_handles(64).file("/to/a", "a");
        for above in 0..20 {
            for below in 0..20 {
                files = files.file(format!("/to/stale-{above}/{below}/file"), "");
            }
        }
        let server = serve(files).await;
        let sftp = open(&server).await;
        let here = tempfile::tempdir().unwrap();
        old(&here.path().join("a"), "a");
        let sync = sftp.sync_to(here.path(), "/to").delete();
        let summary = match excluded {
            Some(pattern) => sync.exclude(pattern),
            None => sync,
        };
        let summary = summary.await.unwrap();
        assert_eq!((summary.removed, summary.failures.len()), (20, 0), "{excluded:?}: {summary:#?}");
        finish(sftp, server).await;
    }
}

#[test]
fn directories_that_are_very_deep_need_no_stack() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, sftp) = runtime.block_on(async {
        let deep = ["d"; 700].join("/");
        let server =
            serve(Files::memory().file(format!("/to/stale/{deep}/file"), "").file("/to/a", "a")).await;
        let sftp = open(&server).await;
        (server, sftp)
    });
    let here = tempfile::tempdir().unwrap();
    old(&here.path().join("a"), "a");
    let sync = sftp.sync_to(here.path(), "/to").delete().exclude("*.log");
    let summary = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        thread.spawn_scoped(scope, || runtime.block_on(sync.into_future())).unwrap().join().unwrap().unwrap()
    });
    assert_eq!((summary.removed, summary.failures.len()), (1, 0), "{summary:#?}");
    runtime.block_on(finish(sftp, server));
}

#[cfg(unix)]
mod as_an_ordinary_user {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use rustle_testserver::TestServer;

    use super::*;
    use crate::support::{passes_as_an_ordinary_user, serve_with};

    const LONG_AGO: i64 = 1_000_000_000;

    #[test]
    fn read_only_directories_are_filled_and_emptied_and_keep_their_times() {
        passes_as_an_ordinary_user("sync::removed::as_an_ordinary_user::child_syncs_both_ways");
    }

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A directory is closed for writing, and was last changed long ago.
    fn seal(path: &Path) {
        let at = UNIX_EPOCH + Duration::from_secs(LONG_AGO.unsigned_abs());
        std::fs::File::open(path).unwrap().set_modified(at).unwrap();
        set(path, 0o555);
    }

    /// Stale directories with these permissions are removed, and stay as they are where something in them is excluded.
    async fn emptied(sync: &impl Fn() -> TreeSync, to: &Path, mode: u32) {
        let sealed = ["stale/in", "stale"];
        for excluded in [None, Some("nothing"), Some("*.keep")] {
            old(&to.join("stale/x"), "x");
            old(&to.join("stale/in/y"), "y");
            old(&to.join("stale/in/z.keep"), "z");
            sealed.iter().for_each(|name| set(&to.join(name), mode));
            let summary = match excluded {
                Some(pattern) => sync().exclude(pattern).await.unwrap(),
                None => sync().await.unwrap(),
            };
            assert_eq!(summary.failures.len(), 0, "{mode:o}, {excluded:?}: {summary:#?}");
            let stays = excluded == Some("*.keep");
            assert_eq!(
                (summary.removed, to.join("stale").exists()),
                (u64::from(!stays), stays),
                "{mode:o}, {excluded:?}"
            );
            if stays {
                sealed.iter().rev().for_each(|name| {
                    let found = std::fs::metadata(to.join(name)).unwrap().mode();
                    assert_eq!(found & 0o777, mode, "{name}");
                    set(&to.join(name), 0o755);
                });
                assert!(!to.join("stale/in/y").exists() && to.join("stale/in/z.keep").exists());
            }
        }
    }

    #[tokio::test]
    #[ignore = "run as a child process by `read_only_directories_are_filled_and_emptied_and_keep_their_times`"]
    async fn child_syncs_both_ways() {
        let server = serve_with(TestServer::builder().sftp(Files::directory("/"))).await;
        let sftp = open(&server).await;
        for up in [true, false] {
            let here = tempfile::tempdir().unwrap();
            let (from, to) = (here.path().join("from"), here.path().join("to"));
            let sync = || match up {
                true => sftp.sync_to(&from, to.as_os_str().as_encoded_bytes()).delete(),
                false => sftp.sync_from(from.as_os_str().as_encoded_bytes(), &to).delete(),
            };
            let sealed = ["d/below/deep", "d/below", "d", "."];
            old(&from.join("d/a"), "a");
            old(&from.join("d/below/deep/b"), "b");
            sealed.iter().for_each(|name| seal(&from.join(name)));
            let summary = sync().await.unwrap();
            assert_eq!((summary.files, summary.failures.len()), (2, 0), "{up}: {summary:#?}");

            sealed.iter().for_each(|name| set(&to.join(name), 0o755));
            old(&to.join("d/below/deep/stale"), "x");
            old(&to.join("d/below/gone/x"), "x");
            sealed.iter().for_each(|name| seal(&to.join(name)));
            // It can be neither listed nor filled.
            set(&to.join(sealed[0]), 0o100);
            set(&from.join("d"), 0o755);
            old(&from.join("d/a"), "changed");
            old(&from.join("d/new"), "new");
            seal(&from.join("d"));
            let summary = sync().await.unwrap();
            let counts = (summary.files, summary.unchanged, summary.removed, summary.failures.len());
            assert_eq!(counts, (2, 1, 2, 0), "{up}: {summary:#?}");
            assert!(files(&from) == files(&to));
            for name in sealed {
                let metadata = std::fs::metadata(to.join(name)).unwrap();
                assert_eq!((metadata.mode() & 0o777, metadata.mtime()), (0o555, LONG_AGO), "{up}: {name}");
                set(&to.join(name), 0o755);
                set(&from.join(name), 0o755);
            }
            for mode in [0o555, 0o300, 0] {
                emptied(&sync, &to, mode).await;
            }
        }
        finish(sftp, server).await;
    }
}
