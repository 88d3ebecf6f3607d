//! `ls-remote`: names for people and for programs.

use std::time::{Duration, UNIX_EPOCH};

use rustle_testserver::{Fault, Sftp, SftpEntry, SftpFault, SftpRequest, TestServer};

use crate::host::{Host, snapshot};

async fn serving() -> Host {
    let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let files = Sftp::memory()
        .entry("/log/b.gz", SftpEntry::file("12345").mode(0o640).modified(then).owner(7, 1000))
        .entry("/log/a.gz", SftpEntry::file("1").modified(then))
        .entry("/log/.hidden", SftpEntry::file("").modified(then))
        .entry("/log/old", SftpEntry::directory().modified(then))
        .entry("/log/last", SftpEntry::symlink("nowhere").modified(then))
        .entry(b"/odd/\x1b[2J\xff", SftpEntry::file("").modified(then))
        .entry("/a[1].txt", SftpEntry::file("bracket").modified(then));
    Host::with(TestServer::builder().sftp(files)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_listed_by_name_in_short_and_at_length() {
    let host = serving().await;
    let ran = host.run(&["ls-remote", "web:/log"]).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "a.gz\nb.gz\nlast\nold\n", ""));
    let ran = host.run(&["ls-remote", "-a", "web:log/"]).await;
    assert_eq!(ran.stdout(), ".hidden\na.gz\nb.gz\nlast\nold\n");
    let ran = host.run(&["ls-remote", "-l", "web:/log"]).await;
    snapshot!("ls_remote_long", host.told(&ran));
    let ran = host.run(&["ls-remote", "--format", "json", "web:/log"]).await;
    snapshot!("ls_remote_json", host.told(&ran));
    let ran = host.run(&["ls-remote", "web:"]).await;
    assert_eq!(ran.stdout(), "a[1].txt\nlog\nodd\n");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_a_link_to_nothing_and_a_pattern_are_listed_as_themselves() {
    let host = serving().await;
    for (typed, listed) in [
        ("web:/log/a.gz", "/log/a.gz\n"),
        ("web:/log/last", "/log/last\n"),
        ("web:/log/*.gz", "/log/a.gz\n/log/b.gz\n"),
        ("web:~/log/[!a].gz", "/log/b.gz\n"),
        // No pattern fits, and the name is one.
        ("web:/a[1].txt", "/a[1].txt\n"),
        ("web:/a\\[1].txt", "/a[1].txt\n"),
    ] {
        let ran = host.run(&["ls-remote", typed]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), listed), "{typed} {}", ran.stderr);
    }
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_reaches_the_terminal_as_a_command_and_programs_get_its_bytes() {
    let host = serving().await;
    let ran = host.run(&["ls-remote", "web:/odd"]).await;
    assert_eq!(ran.stdout(), "\"\\u{1b}[2J\\xff\"\n");
    let ran = host.run(&["ls-remote", "--format", "json", "web:/odd"]).await;
    assert!(ran.stdout().contains(r#""name_base64":"G1sySv8=""#), "{}", ran.stdout());
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_cannot_be_listed_is_a_failure() {
    let host = serving().await;
    let ran = host.run(&["ls-remote", "web:/missing"]).await;
    snapshot!("ls_remote_missing", host.told(&ran));
    let ran = host.run(&["ls-remote", "log"]).await;
    snapshot!("ls_remote_usage", host.told(&ran));
    host.server.stop().await.unwrap();
    // A name that would lead elsewhere.
    let hostile = Fault::sftp(SftpRequest::ReadDir, SftpFault::name("../evil")).once();
    let files = Sftp::memory().file("/d/x", "").file("/d/y", "");
    let host = Host::with(TestServer::builder().sftp(files).fault(hostile)).await;
    let ran = host.run(&["ls-remote", "web:/d"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), "x\ny\n"));
    assert!(ran.stderr.contains("../evil"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}
