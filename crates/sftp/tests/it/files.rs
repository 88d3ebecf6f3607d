//! Open files: positional reads and writes, limits, handles, and servers that answer in their own way.

use bytes::Bytes;
use rustle_sftp::{ErrorKind, File, OpenOptions, SetMetadata};
use rustle_testserver::{Fault, Sftp as Tree, SftpEntry, SftpFault, SftpRequest, TestServer};

use crate::here::content;
use crate::support::{finish, no_handles, open, serve, serve_with};

#[tokio::test]
async fn reads_and_writes_go_where_they_are_told() {
    let server = serve(Tree::memory()).await;
    let sftp = open(&server).await;
    let file = OpenOptions::new().read().write().create().mode(0o640).open(&sftp, "/f").await.unwrap();
    let (front, back) = (content(400_000), content(600_000));
    tokio::try_join!(file.write_at(600_000, front.clone()), file.write_at(0, back.clone())).unwrap();
    let again = file.clone();
    let (a, b, c) = tokio::try_join!(
        file.read_at(600_000, 1 << 20),
        again.read_at(0, 600_000),
        again.read_at(1_000_000, 1)
    )
    .unwrap();
    assert!(a == front && b == back && c.is_empty());
    assert_eq!(file.read_exact_at(999_999, 2).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(file.read_exact_at(999_999, 1).await.unwrap(), front[399_999..]);
    file.set_len(10).await.unwrap();
    file.set_metadata(&SetMetadata::new().permissions(0o600)).await.unwrap();
    let metadata = file.metadata().await.unwrap();
    assert_eq!((metadata.len(), metadata.permissions()), (Some(10), Some(0o600)));
    file.sync_all().await.unwrap();
    file.close().await.unwrap();
    assert_eq!(again.read_at(0, 4).await.unwrap(), back[..4], "a clone keeps it open");
    again.close().await.unwrap();
    no_handles(&server).await;
    finish(sftp, server).await;
}

#[tokio::test]
async fn options_mean_what_they_mean_to_the_standard_library() {
    let server = serve(Tree::memory().file("/f", "0123456789")).await;
    let sftp = open(&server).await;
    for senseless in
        [OpenOptions::new(), OpenOptions::new().read().create(), OpenOptions::new().append().truncate()]
    {
        assert_eq!(senseless.open(&sftp, "/f").await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let missing = OpenOptions::new().write().open(&sftp, "/none").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let taken = OpenOptions::new().write().create_new().open(&sftp, "/f").await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let file = OpenOptions::new().append().open(&sftp, "/f").await.unwrap();
    file.write_at(0, "abc").await.unwrap();
    file.write_at(0, "def").await.unwrap();
    file.close().await.unwrap();
    assert_eq!(sftp.read("/f").await.unwrap(), "0123456789abcdef");
    let file = OpenOptions::new().write().open(&sftp, "/f").await.unwrap();
    file.write_at(1, "X").await.unwrap();
    assert!(file.read_at(0, 1).await.is_err(), "it is not open for reading");
    file.close().await.unwrap();
    assert_eq!(sftp.read("/f").await.unwrap(), "0X23456789abcdef");
    finish(sftp, server).await;
}

#[tokio::test]
async fn short_answers_are_completed_and_order_does_not_matter() {
    let bytes = content(300_000);
    for fault in [SftpFault::short_read(1000), SftpFault::hold_reply()] {
        let tree = Tree::memory().file("/f", bytes.clone()).max_read(20_000);
        let fault = match fault == SftpFault::hold_reply() {
            true => Fault::sftp(SftpRequest::Read, fault).nth(3),
            false => Fault::sftp(SftpRequest::Read, fault),
        };
        let server = serve_with(TestServer::builder().sftp(tree).fault(fault)).await;
        let sftp = open(&server).await;
        assert!(sftp.read("/f").await.unwrap() == bytes);
        let file = File::open(&sftp, "/f").await.unwrap();
        assert!(file.read_at(12_345, 123_456).await.unwrap() == bytes[12_345..12_345 + 123_456]);
        assert!(file.read_at(299_999, 100).await.unwrap() == bytes[299_999..]);
        finish_with(file, sftp, server).await;
    }
}

async fn finish_with(file: File, sftp: rustle_sftp::Sftp, server: TestServer) {
    file.close().await.unwrap();
    finish(sftp, server).await;
}

#[tokio::test]
async fn small_limits_of_the_server_are_kept() {
    let bytes = content(100_001);
    for limit in [512, 1024, 65_536] {
        let server = serve(Tree::memory().max_read(limit).max_write(limit)).await;
        let sftp = open(&server).await;
        assert_eq!(sftp.limits().await.unwrap().max_write, limit as u64);
        sftp.write("/f", bytes.clone()).await.unwrap();
        assert!(sftp.read("/f").await.unwrap() == bytes, "{limit}");
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn a_thousand_files_are_open_at_once() {
    let server = serve(Tree::memory().binary_handles()).await;
    let sftp = open(&server).await;
    let options = OpenOptions::new().read().write().create_new();
    let names: Vec<_> = (0..1000).map(|i| format!("/{i}")).collect();
    let (client, options) = (&sftp, &options);
    let opened = names.iter().map(|name| async move {
        let file = options.open(client, name).await?;
        file.write_at(0, name.clone()).await?;
        Ok::<_, rustle_sftp::Error>(file)
    });
    let files = futures_util::future::try_join_all(opened).await.unwrap();
    server.assert_record("a thousand open files", |record| record.handles_open() == 1000);
    for (name, file) in names.iter().zip(&files) {
        assert_eq!(file.read_at(0, 100).await.unwrap(), name.as_bytes());
    }
    drop(files);
    finish(sftp, server).await;
}

#[tokio::test]
async fn too_many_open_files_are_named_where_the_server_says_how_many_it_allows() {
    let server = serve(Tree::memory().file("/f", "x").directory_entry("/d").max_handles(3)).await;
    let sftp = open(&server).await;
    let mut files = Vec::new();
    for _ in 0..3 {
        files.push(File::open(&sftp, "/f").await.unwrap());
    }
    for error in [
        File::open(&sftp, "/f").await.unwrap_err(),
        File::create(&sftp, "/g").await.unwrap_err(),
        sftp.read_dir("/d").await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::TooManyOpenFiles, "{error}");
        assert!(error.is_retryable() && error.to_string().contains("the server allows 3"), "{error}");
    }
    drop(files.pop());
    no_more_than(&server, 2).await;
    sftp.write("/g", "x").await.unwrap();
    drop(files);
    finish(sftp, server).await;
}

async fn no_more_than(server: &TestServer, open: usize) {
    let shown =
        server.wait_until(|record| record.handles_open() <= open, std::time::Duration::from_secs(60)).await;
    assert!(shown.is_ok(), "{:#?}", server.record());
}

#[tokio::test]
async fn offsets_beyond_four_gibibytes_are_reached() {
    let far = (5 << 30) + 7;
    let server = serve(Tree::memory().entry("/sparse", SftpEntry::file("").size(10 << 30))).await;
    let sftp = open(&server).await;
    let file = OpenOptions::new().read().write().open(&sftp, "/sparse").await.unwrap();
    assert_eq!(file.metadata().await.unwrap().len(), Some(10 << 30));
    let bytes = content(1 << 20);
    file.write_at(far, bytes.clone()).await.unwrap();
    assert!(file.read_at(far, bytes.len()).await.unwrap() == bytes);
    assert_eq!(file.read_at((10 << 30) - 3, 10).await.unwrap(), [0; 3][..]);
    assert_eq!(file.read_at(u64::MAX, 10).await.unwrap(), Bytes::new());
    let beyond = file.write_at(u64::MAX, "xy").await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidArgument);
    finish_with(file, sftp, server).await;
}

#[tokio::test]
async fn the_server_s_word_about_a_failed_close_or_write_is_heard() {
    for (request, operation) in [(SftpRequest::Close, "close"), (SftpRequest::Write, "write")] {
        let fault = Fault::sftp(request, SftpFault::status(4, "disk quota exceeded")).once();
        let tree = Tree::memory().without_extension("statvfs@openssh.com");
        let server = serve_with(TestServer::builder().sftp(tree).fault(fault)).await;
        let sftp = open(&server).await;
        let error = sftp.write("/f", "content").await.unwrap_err();
        assert_eq!((error.operation(), error.path()), (operation, Some(&b"/f"[..])));
        assert!(error.to_string().contains("disk quota exceeded"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("quota")), "{error:?}");
        sftp.close().await;
        // A close that was refused leaves the file open at the server, until the channel ends.
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn without_fsync_it_is_said_that_nothing_is_known() {
    let server = serve(Tree::memory().without_extension("fsync@openssh.com")).await;
    let sftp = open(&server).await;
    let file = File::create(&sftp, "/f").await.unwrap();
    assert!(!file.can_sync());
    assert_eq!(file.sync_all().await.unwrap_err().kind(), ErrorKind::Unsupported);
    finish_with(file, sftp, server).await;
}

#[tokio::test]
async fn too_many_open_files_are_suspected_where_the_server_says_nothing() {
    let files = Tree::memory().file("/f", "x").max_handles(100);
    let server = serve(files.extensions::<&str>([])).await;
    let sftp = open(&server).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(File::open(&sftp, "/f").await.unwrap());
    }
    for error in [File::open(&sftp, "/f").await.unwrap_err(), File::create(&sftp, "/new").await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Failure, "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("too many files open") && hint.contains("100 files"), "{hint}");
    }
    drop(held);
    finish(sftp, server).await;
}

#[tokio::test]
async fn open_files_are_not_suspected_where_there_are_few() {
    let refused = Fault::sftp(SftpRequest::Open, SftpFault::status(4, "Failure"));
    let files = Tree::memory().file("/f", "x");
    let server = serve_with(TestServer::builder().sftp(files).fault(refused)).await;
    let sftp = open(&server).await;
    let error = File::open(&sftp, "/f").await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Failure, None), "{error}");
    finish(sftp, server).await;
}
