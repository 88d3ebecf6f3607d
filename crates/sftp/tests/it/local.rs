//! What goes wrong, or is in the way, on this side of a transfer.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rustle_sftp::{Error, ErrorKind};
use rustle_testserver::{Fault, Sftp as Files, SftpFault, SftpRequest, TestServer};

use crate::support::{finish, open, serve, serve_with};

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_local(error: &Error, path: &Path, text: &str) {
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    assert_eq!(error.path(), Some(path.as_os_str().as_encoded_bytes()), "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test]
async fn a_directory_on_this_side_is_neither_sent_nor_replaced() {
    let here = tempfile::tempdir().unwrap();
    let server = serve(Files::memory().file("/there", "new")).await;
    let sftp = open(&server).await;
    let directory = here.path().join("directory");
    fs::create_dir(&directory).unwrap();
    for transfer in [
        sftp.get("/there", &directory),
        sftp.get("/there", &directory).atomic(),
        sftp.put(&directory, "/other"),
        sftp.put(&directory, "/other").atomic(),
    ] {
        assert_local(&transfer.await.unwrap_err(), &directory, "a directory on this side");
    }
    assert_eq!(names(here.path()), ["directory"]);
    assert_eq!(sftp.get("/other", here.path().join("x")).await.unwrap_err().kind(), ErrorKind::NotFound);
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_sent_replaces_nothing() {
    let here = tempfile::tempdir().unwrap();
    let from = here.path().join("from");
    // Far more than what is read ahead, so that it is not at its end when it changes.
    fs::write(&from, vec![7; 8 << 20]).unwrap();
    let opening = Fault::sftp(SftpRequest::Open, SftpFault::delay(Duration::from_millis(500)));
    let builder = TestServer::builder().sftp(Files::memory().file("/app", "old")).fault(opening);
    let server = serve_with(builder).await;
    let sftp = open(&server).await;
    let changed_meanwhile = async {
        while server.faults_fired() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        OpenOptions::new().append(true).open(&from).unwrap().write_all(b"more").unwrap();
    };
    let (sent, ()) = tokio::join!(sftp.put(&from, "/app").atomic(), changed_meanwhile);
    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert!(error.is_retryable() && error.hint().is_some());
    sftp.get("/app", here.path().join("back")).await.unwrap();
    assert_eq!(fs::read(here.path().join("back")).unwrap(), b"old");
    // On a slow machine one more channel was being opened when it ended.
    let alone = |record: &rustle_testserver::Record| record.channels_open() == 1;
    server.wait_until(alone, Duration::from_secs(60)).await.unwrap();
    finish(sftp, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_the_user_named_stays_and_what_it_leads_to_is_written() {
    let here = tempfile::tempdir().unwrap();
    let (file, link) = (here.path().join("file"), here.path().join("link"));
    std::os::unix::fs::symlink("file", &link).unwrap();
    let server = serve(Files::memory().file("/there", "new")).await;
    let sftp = open(&server).await;
    for transfer in [sftp.get("/there", &link), sftp.get("/there", &link).atomic()] {
        fs::write(&file, "old").unwrap();
        transfer.await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    finish(sftp, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_refused_and_not_waited_for() {
    let here = tempfile::tempdir().unwrap();
    let pipe = here.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let server = serve(Files::memory().file("/there", "new")).await;
    let sftp = open(&server).await;
    let all = async {
        assert_local(&sftp.put(&pipe, "/other").await.unwrap_err(), &pipe, "not a regular file");
        assert_eq!(sftp.get("/there", &pipe).await.unwrap_err().kind(), ErrorKind::Local);
        assert_local(&sftp.get("/there", &pipe).atomic().await.unwrap_err(), &pipe, "not replaced");
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it waits for the pipe");
    finish(sftp, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_may_not_be_read_or_written_on_this_side_is_an_error_with_its_path() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read and write everything");
        return;
    }
    let here = tempfile::tempdir().unwrap();
    let server = serve(Files::memory().file("/there", "new")).await;
    let sftp = open(&server).await;
    let file = here.path().join("file");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    assert_local(&sftp.put(&file, "/other").await.unwrap_err(), &file, "permission denied");
    assert_local(&sftp.get("/there", &file).await.unwrap_err(), &file, "permission denied");
    fs::set_permissions(here.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let new = here.path().join("new");
    let made = sftp.get("/there", &new).atomic().await;
    fs::set_permissions(here.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_local(&made.unwrap_err(), &new, "permission denied");
    assert_eq!(names(here.path()), ["file"]);
    finish(sftp, server).await;
}

/// On a file system of its own, a megabyte large.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_of_this_side_that_fills_up_is_named_and_the_old_file_stays() {
    let here = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = std::process::Command::new(program).args(arguments).arg(here.path()).status();
        status.is_ok_and(|status| status.success())
    };
    if !rustix::process::geteuid().is_root() || !run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        println!("skipped: only root can mount a small file system, and not everywhere");
        return;
    }
    let server = serve(Files::memory().file("/there", vec![7; 3 << 20])).await;
    let sftp = open(&server).await;
    let path = here.path().join("file");
    fs::write(&path, "old").unwrap();
    let atomic = sftp.get("/there", &path).atomic().await;
    let left = (names(here.path()), fs::read(&path).unwrap());
    let in_place = sftp.get("/there", &path).await;
    // What was being written when it failed may be open for a moment more.
    let begun = std::time::Instant::now();
    while !run("umount", &[]) {
        assert!(begun.elapsed() < Duration::from_secs(60), "a file is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for result in [atomic, in_place] {
        let error = result.unwrap_err();
        assert_local(&error, &path, "the file system of this side is full");
        assert!(error.hint().is_some());
    }
    assert_eq!(left, (vec!["file".to_owned()], b"old".to_vec()));
    finish(sftp, server).await;
}
