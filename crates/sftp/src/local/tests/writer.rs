//! What is written in any order is in the file, or is told.

use std::fs;

use bytes::Bytes;
use proptest::prelude::*;

use super::{directory, file_with, names, pattern};
use crate::local::preserve::Preserved;
use crate::local::target::{Durability, Finish, Placing, Target};
use crate::local::whole::{Wanted, write_small};
use crate::local::writer::Writing;

pub(super) const PLAIN: Finish =
    Finish { preserved: Preserved::NOTHING, durability: Durability::Lazy, length: None };

#[tokio::test]
async fn pieces_in_any_order_make_the_file() {
    let directory = directory();
    let path = directory.path().join("a");
    let data = Bytes::from(pattern(5_000_000));
    let target = Target::create(path.clone(), Placing::Atomic, 0o666).await.unwrap();
    let mut writer = target.writer(Writing::default()).unwrap();
    // From the end to the beginning, in three pieces each.
    for start in (0..data.len()).step_by(250_000).rev() {
        let block = data.slice(start..start + 250_000);
        let pieces = [block.slice(..1000), block.slice(1000..1000), block.slice(1000..)];
        writer.write(start as u64, pieces).await.unwrap();
    }
    writer.finish(true).await.unwrap();
    target.commit(PLAIN).await.unwrap();
    assert!(fs::read(&path).unwrap() == data);
}

#[tokio::test]
async fn what_is_longer_from_before_is_cut_off() {
    let directory = directory();
    let path = file_with(&directory, "a", &[1; 5000]);
    let target = Target::create(path.clone(), Placing::InPlace, 0o666).await.unwrap();
    let mut writer = target.writer(Writing::default()).unwrap();
    writer.write(0, [Bytes::from_static(b"short")]).await.unwrap();
    writer.finish(false).await.unwrap();
    target.commit(Finish { length: Some(5), ..PLAIN }).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"short");
}

#[tokio::test]
async fn zeros_are_left_out_where_asked_and_read_as_zeros() {
    let directory = directory();
    let path = directory.path().join("a");
    let target = Target::create(path.clone(), Placing::Atomic, 0o666).await.unwrap();
    let mut writer = target.writer(Writing::default().leave_holes()).unwrap();
    let (zeros, some) = (Bytes::from(vec![0; 1 << 20]), Bytes::from(vec![9; 1 << 20]));
    writer.write(0, [some.clone(), zeros.clone(), some.clone(), zeros.clone()]).await.unwrap();
    writer.finish(false).await.unwrap();
    target.commit(PLAIN).await.unwrap();
    assert!(fs::read(&path).unwrap() == [&some[..], &zeros, &some, &zeros].concat());
    #[cfg(target_os = "linux")]
    assert!(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512 < 3 << 20);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_write_that_fails_is_told_by_a_later_call_and_by_finish() {
    let path = std::path::PathBuf::from("/dev/full");
    for asks_before in [true, false] {
        let target = Target::create(path.clone(), Placing::InPlace, 0o666).await.unwrap();
        let mut writer = target.writer(Writing::default().most(8 * 1024)).unwrap();
        let mut told = writer.write(0, [Bytes::from_static(&[1; 4096])]).await;
        while asks_before && told.is_ok() {
            told = writer.write(0, [Bytes::from_static(&[1; 4096])]).await;
            tokio::task::yield_now().await;
        }
        let finished = writer.finish(false).await.unwrap_err();
        let first = if asks_before { told.unwrap_err() } else { finished };
        super::assert_local(&first, &path, "the file system of this side is full");
        let cause =
            std::error::Error::source(&first).and_then(|cause| cause.downcast_ref::<std::io::Error>());
        assert_eq!(cause.unwrap().kind(), std::io::ErrorKind::StorageFull);
        assert!(first.hint().is_some());
    }
}

/// A file system of its own, a megabyte large.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_fills_up_is_an_error_with_the_path_and_leaves_nothing() {
    use std::process::Command;
    let directory = directory();
    let mount = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).arg(directory.path()).status();
        status.is_ok_and(|status| status.success())
    };
    if !super::is_root() || !mount("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        println!("skipped: only root can mount a small file system, and not everywhere");
        return;
    }
    let path = directory.path().join("a");
    let outcome = async {
        fs::write(&path, b"old").unwrap();
        let target = Target::create(path.clone(), Placing::Atomic, 0o666).await.unwrap();
        let mut writer = target.writer(Writing::default()).unwrap();
        let mut told = Ok(());
        for index in 0..64u64 {
            if told.is_ok() {
                told = writer.write(index << 16, [Bytes::from(vec![1; 1 << 16])]).await;
            }
        }
        let finished = writer.finish(true).await;
        let error = told.and(finished).unwrap_err();
        target.abort().await.unwrap();
        (error.to_string(), names(directory.path()), fs::read(&path).unwrap())
    }
    .await;
    assert!(mount("umount", &[]));
    let (text, left, old) = outcome;
    assert!(text.contains("is full") && text.contains("/a\""), "{text}");
    assert_eq!((left, old), (vec!["a".to_owned()], b"old".to_vec()));
}

#[tokio::test]
async fn small_files_are_written_by_the_dozen_each_with_its_own_error() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let wanted = |name: &str, placing, text: &'static str| Wanted {
        path: at(name),
        placing,
        mode: 0o666,
        data: vec![Bytes::from_static(text.as_bytes())],
        finish: PLAIN,
    };
    let files = vec![
        wanted("a", Placing::Atomic, "first"),
        wanted("missing/b", Placing::Atomic, "second"),
        wanted("c", Placing::InPlace, ""),
    ];
    let results = write_small(files).await.unwrap();
    assert!(results[0].is_ok() && results[2].is_ok());
    super::assert_local(results[1].as_ref().unwrap_err(), &at("missing/b"), "no such file");
    assert_eq!(names(directory.path()), ["a", "c"]);
    assert_eq!(fs::read(at("a")).unwrap(), b"first");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_writes_make_what_they_would_make_in_memory(
        writes in proptest::collection::vec((0u16..30_000, 0usize..9000, any::<u8>()), 0..40),
        most in 0usize..50_000, holes in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let directory = directory();
            let path = directory.path().join("a");
            let target = Target::create(path.clone(), Placing::Atomic, 0o666).await.unwrap();
            let writing = Writing::default().most(most);
            let mut writer = target.writer(if holes { writing.leave_holes() } else { writing }).unwrap();
            let mut model = Vec::new();
            for (offset, length, byte) in writes {
                // With holes left out, nothing may be written over something else.
                let offset = if holes { model.len() } else { usize::from(offset) };
                // A quarter of them are zeros.
                let piece = vec![byte.saturating_sub(64); length];
                if length > 0 {
                    model.resize(model.len().max(offset + length), 0);
                    model[offset..][..length].copy_from_slice(&piece);
                }
                writer.write(offset as u64, [Bytes::from(piece)]).await.unwrap();
            }
            writer.finish(false).await.unwrap();
            target.commit(PLAIN).await.unwrap();
            assert!(fs::read(&path).unwrap() == model);
        });
    }
}
