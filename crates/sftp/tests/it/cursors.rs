//! Files as streams of bytes.

use std::io::{ErrorKind, SeekFrom};

use rustle_sftp::{File, OpenOptions};
use rustle_testserver::{Fault, Sftp as Tree, SftpFault, SftpRequest, TestServer};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::here::content;
use crate::support::{finish, no_handles, open, serve, serve_with};

#[tokio::test]
async fn what_is_written_in_pieces_is_read_in_others() {
    let bytes = content(2_000_003);
    for (limit, window) in [(261_120, 1 << 20), (1000, 10_000), (32_768, 0)] {
        let fault = Fault::sftp(SftpRequest::Read, SftpFault::short_read(limit.min(20_000) - 1));
        let tree = Tree::memory().max_read(limit).max_write(limit);
        let server = serve_with(TestServer::builder().sftp(tree).fault(fault)).await;
        let sftp = open(&server).await;
        let mut writer = File::create(&sftp, "/f").await.unwrap().cursor().window(window);
        for piece in bytes.chunks(7_777) {
            writer.write_all(piece).await.unwrap();
        }
        assert_eq!(writer.position(), 2_000_003);
        writer.shutdown().await.unwrap();
        no_handles(&server).await;
        assert!(writer.write_all(b"x").await.is_err(), "it is closed");
        let mut reader = File::open(&sftp, "/f").await.unwrap().cursor().window(window);
        let mut read = Vec::new();
        let mut piece = [0; 5_555];
        loop {
            match reader.read(&mut piece).await.unwrap() {
                0 => break,
                count => read.extend_from_slice(&piece[..count]),
            }
        }
        assert!(read == bytes, "limit {limit}, window {window}");
        drop(reader);
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn seeks_go_where_they_are_told_and_reads_see_what_was_written() {
    let server = serve(Tree::memory().file("/f", content(100_000))).await;
    let sftp = open(&server).await;
    let file = OpenOptions::new().read().write().open(&sftp, "/f").await.unwrap();
    let mut cursor = file.cursor();
    assert_eq!(cursor.seek(SeekFrom::End(-3)).await.unwrap(), 99_997);
    let mut end = Vec::new();
    cursor.read_to_end(&mut end).await.unwrap();
    assert_eq!(end, content(100_000)[99_997..]);
    cursor.write_all(b"more").await.unwrap();
    assert_eq!(cursor.seek(SeekFrom::End(0)).await.unwrap(), 100_004);
    cursor.seek(SeekFrom::Start(10)).await.unwrap();
    let mut some = [0; 5];
    cursor.read_exact(&mut some).await.unwrap();
    cursor.write_all(b"XYZ").await.unwrap();
    assert_eq!(cursor.seek(SeekFrom::Current(-4)).await.unwrap(), 14);
    cursor.read_exact(&mut some).await.unwrap();
    assert_eq!((&some[1..4], some[0], some[4]), (&b"XYZ"[..], content(20)[14], content(20)[18]));
    assert_eq!(cursor.seek(SeekFrom::Current(-100)).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    cursor.shutdown().await.unwrap();
    let written = server.sftp_content("/f").unwrap();
    assert_eq!((&written[15..18], &written[100_000..]), (&b"XYZ"[..], &b"more"[..]));
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_is_appended_stays_in_order() {
    let server = serve(Tree::memory().file("/f", "begin").max_write(512)).await;
    let sftp = open(&server).await;
    let mut cursor = OpenOptions::new().append().open(&sftp, "/f").await.unwrap().cursor();
    let bytes = content(50_005);
    cursor.write_all(&bytes).await.unwrap();
    cursor.flush().await.unwrap();
    cursor.shutdown().await.unwrap();
    assert!(server.sftp_content("/f").unwrap() == [b"begin", &bytes[..]].concat());
    finish(sftp, server).await;
}

#[tokio::test]
async fn an_error_behind_comes_out_and_stays() {
    let server = serve(Tree::memory().quota(512 * 1024)).await;
    let sftp = open(&server).await;
    let mut cursor = File::create(&sftp, "/f").await.unwrap().cursor();
    let error = match cursor.write_all(&content(8 << 20)).await {
        Ok(()) => cursor.shutdown().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert_eq!(cursor.flush().await.unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(cursor.shutdown().await.is_err(), "what was lost is not forgotten");
    drop(cursor);
    finish(sftp, server).await;
}

#[tokio::test]
async fn the_last_error_is_that_of_the_close() {
    let fault = Fault::sftp(SftpRequest::Close, SftpFault::status(4, "late")).once();
    let server = serve_with(TestServer::builder().sftp(Tree::memory()).fault(fault)).await;
    let sftp = open(&server).await;
    let mut cursor = File::create(&sftp, "/f").await.unwrap().cursor();
    cursor.write_all(b"content").await.unwrap();
    let error = cursor.shutdown().await.unwrap_err();
    assert!(error.to_string().contains("late"), "{error}");
    sftp.close().await;
    server.stop().await.unwrap();
}
