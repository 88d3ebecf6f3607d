//! Holes stay holes, and nothing else becomes one.

use std::fs;
use std::path::Path;

use rustle_testserver::{Fault, SftpFault, SftpRequest, TestServer};

use crate::here::{Here, content};
use crate::support::{finish, open, serve, serve_with};

/// Bytes at the beginning and in the middle, and zeros that are written out; the rest are holes.
fn sparse_file(path: &Path, length: u64) -> Vec<(u64, Vec<u8>)> {
    let parts = vec![(0, content(10_000)), (length / 2, content(300_000)), (length / 4, vec![0; 1 << 20])];
    let file = fs::File::create(path).unwrap();
    for (offset, bytes) in &parts {
        write_at(&file, bytes, *offset);
    }
    file.set_len(length).unwrap();
    parts
}

#[cfg(unix)]
fn write_at(file: &fs::File, bytes: &[u8], offset: u64) {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset).unwrap();
}

#[cfg(windows)]
fn write_at(file: &fs::File, bytes: &[u8], offset: u64) {
    assert_eq!(std::os::windows::fs::FileExt::seek_write(file, bytes, offset).unwrap(), bytes.len());
}

/// What a file takes on the disk, in bytes.
#[cfg(target_os = "linux")]
fn room(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap()) * 512
}

/// Whether the file system of this file has holes and tells where they are. Without, a file of gibibytes would fill a disk
/// that other tests use as well.
#[cfg(target_os = "linux")]
fn has_holes(at: &Here) -> bool {
    let path = at.path("probe");
    fs::File::create(&path).unwrap().set_len(1 << 20).unwrap();
    let file = fs::File::open(&path).unwrap();
    let first = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0));
    let is_empty = room(&path) == 0;
    fs::remove_file(&path).unwrap();
    is_empty && first == Ok(0)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_of_many_gibibytes_with_holes_is_sent_as_what_is_in_it() {
    let (here, there) = (Here::new(), Here::new());
    if !has_holes(&here) {
        println!("skipped: the file system of {} tells no holes", here.path("").display());
        return;
    }
    let length = 6 << 30;
    let parts = sparse_file(&here.path("sparse"), length);
    let server = serve(rustle_testserver::Sftp::directory(there.path(""))).await;
    let sftp = open(&server).await;
    for atomic in [false, true] {
        let put = sftp.put(here.path("sparse"), "/sparse");
        let put = if atomic { put.atomic().await.unwrap() } else { put.await.unwrap() };
        assert_eq!(put.length, length);
        assert!(put.moved < 2 << 20, "{put:?}");
        let copy = there.path("sparse");
        assert_eq!(fs::metadata(&copy).unwrap().len(), length);
        assert!(room(&copy) < 2 << 20, "{}", room(&copy));
        for (offset, bytes) in &parts {
            let mut read = vec![0; bytes.len() + 1];
            std::os::unix::fs::FileExt::read_exact_at(&fs::File::open(&copy).unwrap(), &mut read, *offset)
                .unwrap();
            assert!(read[..bytes.len()] == bytes[..] && read[bytes.len()] == 0, "at {offset}");
        }
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn zeros_are_left_out_where_that_is_asked_for() {
    let (here, there) = (Here::new(), Here::new());
    let length = 24 << 20;
    sparse_file(&here.path("sparse"), length);
    let whole = fs::read(here.path("sparse")).unwrap();
    fs::write(here.path("written"), &whole).unwrap();
    let server = serve(rustle_testserver::Sftp::directory(there.path(""))).await;
    let sftp = open(&server).await;
    for atomic in [false, true] {
        let way = |transfer: rustle_sftp::Transfer| if atomic { transfer.atomic() } else { transfer };
        fs::write(there.path("sparse"), content(30 << 20)).unwrap();
        let put = way(sftp.put(here.path("written"), "/sparse")).sparse().verify().await.unwrap();
        assert!(put.length == length && put.moved < 2 << 20, "{put:?}");
        assert!(fs::read(there.path("sparse")).unwrap() == whole);
        let got = way(sftp.get("/sparse", here.path("back"))).sparse().verify().await.unwrap();
        assert_eq!((got.length, got.moved), (length, length));
        assert!(fs::read(here.path("back")).unwrap() == whole);
        #[cfg(target_os = "linux")]
        assert!(room(&there.path("sparse")) < 2 << 20 && room(&here.path("back")) < 2 << 20);
        // Not asked for, they stand on the disk.
        let put = way(sftp.put(here.path("written"), "/sparse")).await.unwrap();
        assert_eq!(put.moved, length);
        way(sftp.get("/sparse", here.path("back"))).await.unwrap();
        #[cfg(target_os = "linux")]
        assert!(room(&there.path("sparse")) >= length && room(&here.path("back")) >= length);
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn files_of_nothing_but_zeros_keep_their_length() {
    let (here, there) = (Here::new(), Here::new());
    let server = serve(rustle_testserver::Sftp::directory(there.path(""))).await;
    let sftp = open(&server).await;
    for length in [0, 1, 4095, 4096, 255 * 1024, 256 * 1024, 256 * 1024 + 1, 3 << 20] {
        let zeros = vec![0; length];
        fs::write(here.path("zeros"), &zeros).unwrap();
        fs::File::create(here.path("hole")).unwrap().set_len(length as u64).unwrap();
        for source in ["zeros", "hole"] {
            for resumes in [false, true] {
                let put = sftp.put(here.path(source), "/copy").sparse();
                let put = if resumes { put.resume().await.unwrap() } else { put.await.unwrap() };
                assert_eq!(put.length, length as u64);
                assert!(fs::read(there.path("copy")).unwrap() == zeros, "{length} of {source}");
                sftp.get("/copy", here.path("back")).sparse().await.unwrap();
                assert!(fs::read(here.path("back")).unwrap() == zeros, "{length} of {source}");
            }
        }
    }
    finish(sftp, server).await;
}

/// What was on a device would show through.
#[tokio::test]
async fn nothing_is_left_out_of_what_may_not_be_an_empty_file() {
    let here = Here::new();
    let length = 3 << 20;
    sparse_file(&here.path("sparse"), length);
    let unknown = Fault::sftp(SftpRequest::Fstat, SftpFault::status(4, "Failure")).once();
    let files = rustle_testserver::Sftp::memory().file("/there", content(5 << 20));
    let server = serve_with(TestServer::builder().sftp(files).fault(unknown)).await;
    let sftp = open(&server).await;
    let put = sftp.put(here.path("sparse"), "/there").sparse().await.unwrap();
    assert_eq!((put.length, put.moved), (length, length));
    assert!(server.sftp_content("/there").unwrap() == fs::read(here.path("sparse")).unwrap());
    finish(sftp, server).await;
}
