//! A file gets its name when it is whole, and nothing else is touched.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::writer::PLAIN;
use super::{assert_local, directory, file_with, names};
use crate::local::preserve::Preserved;
use crate::local::target::{Durability, Finish, Placing, Target};
use crate::local::writer::Writing;

const ALL: [Placing; 3] = [Placing::InPlace, Placing::Atomic, Placing::Resumable];

async fn write(target: &Target, text: &'static str) {
    let mut writer = target.writer(Writing::default()).unwrap();
    writer.write(0, [Bytes::from_static(text.as_bytes())]).await.unwrap();
    writer.finish(false).await.unwrap();
}

async fn put(path: &Path, placing: Placing, finish: Finish) {
    let target = Target::create(path.to_owned(), placing, 0o666).await.unwrap();
    write(&target, "new").await;
    target.commit(finish).await.unwrap();
}

#[tokio::test]
async fn every_placing_makes_a_new_file_and_replaces_an_old_one() {
    for placing in ALL {
        for durability in [Durability::Lazy, Durability::Synced] {
            let directory = directory();
            let path = directory.path().join("a");
            for _ in 0..2 {
                put(&path, placing, Finish { durability, ..PLAIN }).await;
                assert_eq!(fs::read(&path).unwrap(), b"new");
                assert_eq!(names(directory.path()), ["a"], "{placing:?}");
                fs::write(&path, "old, and longer").unwrap();
            }
        }
    }
}

#[tokio::test]
async fn the_old_file_is_whole_until_the_new_one_is() {
    let directory = directory();
    let path = file_with(&directory, "a", b"old");
    for placing in [Placing::Atomic, Placing::Resumable] {
        let target = Target::create(path.clone(), placing, 0o666).await.unwrap();
        write(&target, "half of").await;
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(target.read_ranges(vec![0..4, 5..u64::MAX]).await.unwrap(), ["half", "of"]);
        target.abort().await.unwrap();
        assert_eq!(names(directory.path()), ["a"]);
    }
}

#[tokio::test]
async fn what_is_dropped_leaves_no_temporary_file() {
    let directory = directory();
    let path = directory.path().join("a");
    let target = Target::create(path.clone(), Placing::Atomic, 0o666).await.unwrap();
    let mut writer = target.writer(Writing::default()).unwrap();
    writer.write(0, [Bytes::from_static(b"half")]).await.unwrap();
    let temporary = target.path().file_name().unwrap().to_string_lossy().into_owned();
    assert!(temporary.starts_with(".a.rustle-") && temporary.len() == 18, "{temporary}");
    drop(writer);
    drop(target);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_part_that_is_kept_is_found_and_finished() {
    let directory = directory();
    let path = directory.path().join("a");
    let target = Target::create(path.clone(), Placing::Resumable, 0o666).await.unwrap();
    assert_eq!(target.found(), 0);
    write(&target, "half").await;
    drop(target);
    assert_eq!(names(directory.path()), [".a.rustle-part"]);

    let target = Target::create(path.clone(), Placing::Resumable, 0o666).await.unwrap();
    assert_eq!(target.found(), 4);
    assert_eq!(target.sha256(0..4).await.unwrap(), <[u8; 32]>::from(Sha256::digest("half")));
    let mut writer = target.writer(Writing::default()).unwrap();
    writer.write(4, [Bytes::from_static(b" more")]).await.unwrap();
    writer.finish(true).await.unwrap();
    target.commit(Finish { durability: Durability::Synced, ..PLAIN }).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"half more");
    assert_eq!(names(directory.path()), ["a"]);
}

#[tokio::test]
async fn a_part_has_one_writer() {
    let directory = directory();
    let path = directory.path().join("a");
    let first = Target::create(path.clone(), Placing::Resumable, 0o666).await.unwrap();
    let part = directory.path().join(".a.rustle-part");
    let second = Target::create(path.clone(), Placing::Resumable, 0o666).await;
    assert_local(&second.unwrap_err(), &part, "another transfer writes to it");
    // One that waits while the first gives its part the final name must not write to that.
    let (second, ()) = tokio::join!(Target::create(path.clone(), Placing::Resumable, 0o666), async {
        write(&first, "first").await;
        tokio::task::yield_now().await;
        first.commit(PLAIN).await.unwrap();
    });
    let second = second.unwrap();
    assert_eq!(second.found(), 0);
    write(&second, "second").await;
    assert_eq!(fs::read(&path).unwrap(), b"first");
    second.abort().await.unwrap();
}

#[tokio::test]
async fn a_directory_is_never_replaced_by_a_file() {
    let directory = directory();
    let path = directory.path().join("a");
    fs::create_dir(&path).unwrap();
    for placing in ALL {
        let error = Target::create(path.clone(), placing, 0o666).await.unwrap_err();
        assert_local(&error, &path, "a directory");
    }
    assert_eq!(names(directory.path()), ["a"]);
}

#[tokio::test]
async fn names_of_the_longest_kind_have_a_temporary_name_too() {
    let directory = directory();
    let path = directory.path().join("x".repeat(255));
    for placing in ALL {
        put(&path, placing, PLAIN).await;
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
    let error = Target::create(directory.path().join("x".repeat(256)), Placing::InPlace, 0o666).await;
    assert_eq!(error.unwrap_err().kind(), crate::ErrorKind::Local);
}

#[tokio::test]
async fn times_of_the_original_are_kept_to_the_second() {
    let directory = directory();
    for placing in ALL {
        let path = directory.path().join("a");
        let preserved = Preserved::NOTHING.times(1_000_000_000, 1_234_567_890);
        put(&path, placing, Finish { preserved, ..PLAIN }).await;
        let metadata = fs::metadata(&path).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(metadata.modified().unwrap(), at(1_234_567_890));
        assert_eq!(metadata.accessed().unwrap(), at(1_000_000_000));
    }
}

#[tokio::test]
async fn a_file_that_nobody_may_write_can_be_made() {
    let directory = directory();
    for placing in [Placing::Atomic, Placing::Resumable] {
        let path = directory.path().join(format!("{placing:?}"));
        put(&path, placing, Finish { preserved: Preserved::NOTHING.mode(0o444), ..PLAIN }).await;
        assert!(fs::metadata(&path).unwrap().permissions().readonly());
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "it is removed at once")]
        permissions.set_readonly(false);
        fs::set_permissions(&path, permissions).unwrap();
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::local::tests::is_root;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn a_new_file_has_what_the_mask_leaves_of_the_original_s_permissions() {
        let directory = directory();
        let by_the_system = directory.path().join("system");
        fs::write(&by_the_system, "").unwrap();
        let mask = !mode(&by_the_system) & 0o666;
        for placing in ALL {
            let path = directory.path().join(format!("{placing:?}"));
            let target = Target::create(path.clone(), placing, 0o4755).await.unwrap();
            if placing == Placing::Atomic || placing == Placing::Resumable {
                assert_eq!(mode(target.path()), 0o600, "{placing:?} is private until it is whole");
            }
            target.commit(PLAIN).await.unwrap();
            assert_eq!(mode(&path), 0o755 & !mask, "{placing:?}");
        }
    }

    #[tokio::test]
    async fn a_file_that_takes_another_s_place_takes_its_permissions() {
        let directory = directory();
        for placing in ALL {
            let path = file_with(&directory, "a", b"old");
            set_mode(&path, 0o640);
            put(&path, placing, PLAIN).await;
            assert_eq!(mode(&path), 0o640, "{placing:?}");
        }
    }

    #[tokio::test]
    async fn no_server_can_make_a_file_that_runs_as_its_owner() {
        let directory = directory();
        for placing in ALL {
            let path = directory.path().join("a");
            put(&path, placing, Finish { preserved: Preserved::NOTHING.mode(0o7751), ..PLAIN }).await;
            assert_eq!(mode(&path), 0o751, "{placing:?}");
        }
    }

    async fn put_inside(path: &Path, placing: Placing) -> Result<(), crate::Error> {
        let target = Target::create_inside(path.to_owned(), placing, 0o666).await?;
        write(&target, "new").await;
        target.commit(PLAIN).await
    }

    #[tokio::test]
    async fn a_link_that_the_user_named_is_followed_and_stays() {
        let directory = directory();
        fs::create_dir(directory.path().join("far")).unwrap();
        let outside = file_with(&directory, "far/outside", b"old");
        let path = directory.path().join("link");
        symlink("far/outside", &path).unwrap();
        for placing in ALL {
            fs::write(&outside, "old").unwrap();
            put(&path, placing, PLAIN).await;
            assert_eq!(fs::read(&outside).unwrap(), b"new", "{placing:?}");
            assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        }
        let nowhere = directory.path().join("nowhere");
        symlink("missing", &nowhere).unwrap();
        let error = Target::create(nowhere.clone(), Placing::Atomic, 0o666).await.unwrap_err();
        assert_local(&error, &nowhere, "what it leads to is not there");
    }

    #[tokio::test]
    async fn a_link_in_the_place_of_a_name_of_the_server_is_never_followed() {
        let directory = directory();
        let (there, missing) = (file_with(&directory, "there", b"old"), directory.path().join("missing"));
        for outside in [&there, &missing] {
            let path = directory.path().join("link");
            for placing in ALL {
                symlink(outside, &path).unwrap();
                match put_inside(&path, placing).await {
                    Err(error) if placing == Placing::InPlace => {
                        assert_local(&error, &path, "there is a link");
                    }
                    other => {
                        other.unwrap();
                        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{placing:?}");
                    }
                }
                fs::remove_file(&path).unwrap();
            }
        }
        assert_eq!(fs::read(&there).unwrap(), b"old");
        assert!(!missing.exists());
    }

    #[tokio::test]
    async fn a_part_that_somebody_else_may_have_made_is_not_used() {
        let directory = directory();
        let path = directory.path().join("a");
        let part = directory.path().join(".a.rustle-part");
        let victim = file_with(&directory, "victim", b"old");
        symlink(&victim, &part).unwrap();
        assert!(Target::create(path.clone(), Placing::Resumable, 0o666).await.is_err());
        fs::remove_file(&part).unwrap();
        fs::hard_link(&victim, &part).unwrap();
        let error = Target::create(path.clone(), Placing::Resumable, 0o666).await.unwrap_err();
        assert_local(&error, &part, "somebody else");
        assert_eq!(fs::read(&victim).unwrap(), b"old");
    }

    #[tokio::test]
    async fn a_part_that_others_may_write_to_is_begun_anew() {
        let directory = directory();
        let path = directory.path().join("a");
        let part = file_with(&directory, ".a.rustle-part", b"anybody's");
        let theirs = fs::OpenOptions::new().write(true).open(&part).unwrap();
        set_mode(&part, 0o666);
        let target = Target::create(path, Placing::Resumable, 0o666).await.unwrap();
        assert_eq!((target.found(), fs::read(&part).unwrap()), (0, Vec::new()));
        assert_eq!(theirs.metadata().unwrap().nlink(), 0);
    }

    #[tokio::test]
    async fn a_part_with_the_permissions_of_a_read_only_file_is_gone_on_with() {
        if is_root() {
            println!("skipped: root may write everywhere");
            return;
        }
        let directory = directory();
        let part = file_with(&directory, ".a.rustle-part", b"some");
        set_mode(&part, 0o444);
        let target = Target::create(directory.path().join("a"), Placing::Resumable, 0o666).await.unwrap();
        assert_eq!((target.found(), fs::metadata(&part).unwrap().mode() & 0o777), (4, 0o600));
    }

    #[tokio::test]
    async fn devices_are_written_to_and_never_replaced() {
        put(Path::new("/dev/null"), Placing::InPlace, PLAIN).await;
        let error = Target::create("/dev/null".into(), Placing::Atomic, 0o666).await.unwrap_err();
        assert_local(&error, Path::new("/dev/null"), "not replaced");
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn pipes_are_refused_at_once() {
        let directory = directory();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for placing in ALL {
            assert!(Target::create(pipe.clone(), placing, 0o666).await.is_err(), "{placing:?}");
        }
    }

    #[tokio::test]
    async fn a_reader_of_the_old_file_reads_on_in_it() {
        let directory = directory();
        let path = file_with(&directory, "a", b"old");
        let open = fs::File::open(&path).unwrap();
        put(&path, Placing::Atomic, PLAIN).await;
        assert_eq!(std::io::read_to_string(open).unwrap(), "old");
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    }

    #[tokio::test]
    async fn a_directory_that_may_not_be_written_is_an_error_with_the_path() {
        if is_root() {
            println!("skipped: root may write everywhere");
            return;
        }
        let directory = directory();
        set_mode(directory.path(), 0o500);
        let path = directory.path().join("a");
        for placing in ALL {
            let error = Target::create(path.clone(), placing, 0o666).await.unwrap_err();
            assert!(error.to_string().contains("permission denied"), "{error}");
        }
        set_mode(directory.path(), 0o700);
    }

    #[tokio::test]
    async fn a_directory_that_may_be_written_and_not_read_gets_its_file() {
        if is_root() {
            println!("skipped: root may read everywhere");
            return;
        }
        let directory = directory();
        let path = file_with(&directory, "a", b"old");
        set_mode(directory.path(), 0o300);
        put(&path, Placing::Atomic, Finish { durability: Durability::Synced, ..PLAIN }).await;
        set_mode(directory.path(), 0o700);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
