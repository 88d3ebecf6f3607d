//! A file is read whole, ahead, in order, or it is an error.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{assert_local, directory, file_with, pattern};
use crate::error::ErrorKind;
use crate::local::reader::{Piece, Plan, Reader};
use crate::local::whole::{read_small, sha256};

/// All that a reader gives: holes as zeros, and how many bytes were told as holes.
async fn all(path: &Path, plan: Plan) -> Result<(Vec<u8>, u64), crate::Error> {
    let mut reader = Reader::open(path.to_owned(), plan).await?;
    rest(&mut reader).await
}

async fn rest(reader: &mut Reader) -> Result<(Vec<u8>, u64), crate::Error> {
    let (mut data, mut holes, mut at) = (Vec::new(), 0, None);
    while let Some(piece) = reader.next().await? {
        let (offset, length) = match &piece {
            Piece::Block(block) => (block.offset(), block.len() as u64),
            Piece::Hole { offset, length } => (*offset, *length),
        };
        assert_eq!(at.get_or_insert(offset), &offset, "pieces follow each other");
        at = Some(offset + length);
        match piece {
            Piece::Block(block) => data.extend_from_slice(block.data()),
            Piece::Hole { length, .. } => {
                holes += length;
                data.resize(data.len() + usize::try_from(length).unwrap(), 0);
            }
        }
    }
    Ok((data, holes))
}

#[tokio::test]
async fn a_file_comes_whole_in_blocks() {
    let directory = directory();
    let data = pattern(3_000_001);
    let path = file_with(&directory, "a", &data);
    let mut reader = Reader::open(path, Plan::new(64 * 1024).hash()).await.unwrap();
    assert_eq!(reader.details().length(), data.len() as u64);
    assert_eq!(reader.sha256(), None);
    let mut at = 0;
    while let Some(piece) = reader.next().await.unwrap() {
        let Piece::Block(block) = piece else { panic!("no holes were asked for") };
        let (offset, length) = (block.offset(), block.len());
        assert_eq!(offset, at as u64);
        let place = block.data().as_ptr();
        let bytes = block.into_bytes();
        assert_eq!(bytes.as_ptr(), place, "the data was copied");
        assert_eq!(bytes, &data[at..at + length]);
        at += length;
    }
    assert_eq!(at, data.len());
    assert_eq!(reader.sha256(), Some(Sha256::digest(&data).into()));
    assert!(reader.next().await.unwrap().is_none(), "the end stays the end");
}

#[tokio::test]
async fn an_empty_file_and_an_empty_range_have_no_blocks() {
    let directory = directory();
    let path = file_with(&directory, "a", b"");
    assert_eq!(all(&path, Plan::new(1024)).await.unwrap().0, b"");
    let path = file_with(&directory, "b", b"abc");
    assert_eq!(all(&path, Plan::new(1024).range(2..2)).await.unwrap().0, b"");
    assert_eq!(all(&path, Plan::new(1024).range(7..9)).await.unwrap().0, b"");
    assert_eq!(all(&path, Plan::new(1024).range(1..9)).await.unwrap().0, b"bc");
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_read_is_an_error_and_no_end() {
    let directory = directory();
    for cut in [true, false] {
        // More than what is read ahead, so that the change is met.
        let path = file_with(&directory, "a", &pattern(8 << 20));
        let mut reader = Reader::open(path.clone(), Plan::new(64 * 1024)).await.unwrap();
        reader.next().await.unwrap();
        let mut file = OpenOptions::new().append(!cut).write(true).open(&path).unwrap();
        if cut {
            file.set_len(5 << 20).unwrap();
        } else {
            file.write_all(b"more").unwrap();
        }
        let error = rest(&mut reader).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_file_that_another_takes_the_name_of_is_read_to_its_end() {
    if std::env::var_os("RUSTLE_WINE").is_some() {
        println!("skipped: a file that takes an open one's name (wine refuses it)");
        return;
    }
    let directory = directory();
    let data = pattern(8 << 20);
    let path = file_with(&directory, "a", &data);
    let mut reader = Reader::open(path.clone(), Plan::new(64 * 1024)).await.unwrap();
    fs::rename(file_with(&directory, "b", b"another"), &path).unwrap();
    assert!(rest(&mut reader).await.unwrap().0 == data);
}

#[tokio::test]
async fn a_transfer_goes_on_in_the_file_that_it_began_with_whatever_has_its_name() {
    let directory = directory();
    let path = file_with(&directory, "a", b"0123456789");
    let original = Reader::open(path.clone(), Plan::new(4)).await.unwrap().original().clone();
    fs::rename(&path, directory.path().join("aside")).unwrap();
    file_with(&directory, "a", b"another");
    let mut reader = Reader::of(original.clone(), Plan::new(4).range(4..u64::MAX)).await.unwrap();
    assert_eq!(rest(&mut reader).await.unwrap().0, b"456789");
    assert_eq!(original.read_ranges(vec![0..2, 8..u64::MAX]).await.unwrap(), ["01", "89"]);
    assert_eq!(original.sha256(0..5).await.unwrap(), <[u8; 32]>::from(Sha256::digest("01234")));
}

#[tokio::test]
async fn a_transfer_does_not_go_on_in_a_file_that_was_written_to() {
    let directory = directory();
    let path = file_with(&directory, "a", b"0123456789");
    let original = Reader::open(path.clone(), Plan::new(4)).await.unwrap().original().clone();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    let errors = [
        Reader::of(original.clone(), Plan::new(4)).await.unwrap_err(),
        original.read_ranges(vec![0..2, 2..4]).await.unwrap_err(),
        original.sha256(0..2).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert_eq!(error.path(), Some(path.as_os_str().as_encoded_bytes()));
    }
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let directory = directory();
    let path = directory.path().to_owned();
    assert_local(&Reader::open(path.clone(), Plan::new(1)).await.unwrap_err(), &path, "a directory");
    let path = directory.path().join("missing");
    assert_local(&Reader::open(path.clone(), Plan::new(1)).await.unwrap_err(), &path, "no such file");
    #[cfg(target_os = "linux")]
    {
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_local(
            &Reader::open(path.clone(), Plan::new(1)).await.unwrap_err(),
            &path,
            "not a regular file",
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_may_not_be_read_is_an_error_with_its_path() {
    use std::os::unix::fs::PermissionsExt;
    if super::is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let directory = directory();
    let path = file_with(&directory, "a", b"secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    assert_local(&Reader::open(path.clone(), Plan::new(1)).await.unwrap_err(), &path, "permission denied");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn holes_are_told_and_not_read() {
    let directory = directory();
    let path = directory.path().join("sparse");
    let file = fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"begin", 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 8 << 20).unwrap();
    file.set_len(20 << 20).unwrap();
    drop(file);
    let (told, holes) = all(&path, Plan::new(256 * 1024).skip_holes().hash()).await.unwrap();
    let (read, none) = all(&path, Plan::new(256 * 1024)).await.unwrap();
    assert!(told == read && told.len() == 20 << 20);
    assert_eq!(none, 0);
    assert!(holes > 19 << 20, "{holes}");
    // A range that begins and ends inside of holes.
    let (part, _) = all(&path, Plan::new(4096).skip_holes().range(5 << 20..15 << 20)).await.unwrap();
    assert!(part == read[5 << 20..15 << 20]);

    let mut reader = Reader::open(path.clone(), Plan::new(1 << 20).skip_holes().hash()).await.unwrap();
    rest(&mut reader).await.unwrap();
    assert_eq!(reader.sha256(), Some(Sha256::digest(&read).into()));
    assert_eq!(reader.sha256(), Some(sha256(path, 0..u64::MAX).await.unwrap()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_of_many_gibibytes_without_data_is_one_hole() {
    let directory = directory();
    let path = directory.path().join("sparse");
    fs::File::create(&path).unwrap().set_len(6 << 30).unwrap();
    let mut reader = Reader::open(path, Plan::new(256 * 1024).skip_holes()).await.unwrap();
    let first = reader.next().await.unwrap();
    assert!(matches!(first, Some(Piece::Hole { offset: 0, length }) if length == 6 << 30), "{first:?}");
    assert!(reader.next().await.unwrap().is_none());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reader_that_nobody_wants_closes_its_file() {
    let directory = directory();
    let path = file_with(&directory, "a", &pattern(8 << 20));
    let is_open = || {
        let mut handles = fs::read_dir("/proc/self/fd").unwrap();
        handles.any(|handle| fs::read_link(handle.unwrap().path()).is_ok_and(|leads_to| leads_to == path))
    };
    let reader = Reader::open(path.clone(), Plan::new(64 * 1024)).await.unwrap();
    assert!(is_open());
    drop(reader);
    // Its thread ends after the call that it is in.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while is_open() {
        assert!(std::time::Instant::now() < deadline, "the file is still open");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn reading_ahead_stops_at_three_batches() {
    let directory = directory();
    let path = file_with(&directory, "a", &pattern(1 << 20));
    let plan = Plan::new(4096).batch(16 * 1024);
    let mut reader = Reader::open(path.clone(), plan).await.unwrap();
    reader.next().await.unwrap();
    // What is cut off now was not read: it would have come otherwise.
    OpenOptions::new().write(true).open(&path).unwrap().set_len(128 * 1024).unwrap();
    let mut taken = 0;
    let error = loop {
        match reader.next().await {
            Ok(piece) => taken += usize::from(piece.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert!(taken * 4096 <= 128 * 1024, "{taken} blocks");
}

#[tokio::test]
async fn small_files_are_read_by_the_dozen_each_with_its_own_error() {
    let directory = directory();
    let paths = vec![
        file_with(&directory, "a", b"first"),
        directory.path().join("missing"),
        file_with(&directory, "b", &[7; 100]),
        file_with(&directory, "c", b""),
    ];
    let mut files = read_small(paths.clone(), 50).await.unwrap().into_iter();
    let first = files.next().unwrap().unwrap();
    assert_eq!(first.data.unwrap(), "first");
    assert_local(&files.next().unwrap().unwrap_err(), &paths[1], "no such file");
    let large = files.next().unwrap().unwrap();
    assert_eq!((large.data, large.details.length()), (None, 100));
    assert_eq!(files.next().unwrap().unwrap().data.unwrap(), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_range_in_blocks_of_any_size_is_that_range(
        length in 0usize..20_000, start in 0u64..21_000, size in 0u64..21_000,
        block in 1usize..5000, batch in 0usize..9000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let directory = directory();
            let data = pattern(length);
            let path = file_with(&directory, "a", &data);
            let range = start..start + size;
            let plan = Plan::new(block).batch(batch).range(range.clone());
            let (back, _) = all(&path, plan).await.unwrap();
            let clip = |at: u64| usize::try_from(at).unwrap().min(length);
            let wanted = &data[clip(range.start)..clip(range.end)];
            assert!(back == wanted);
            let reader = Reader::open(path.clone(), Plan::new(block)).await.unwrap();
            let again = reader.original().read_ranges(vec![range.clone(), 0..1]).await.unwrap();
            assert!(again[0] == wanted);
            let hash = sha256(path, range).await.unwrap();
            assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(wanted)));
        });
    }
}
