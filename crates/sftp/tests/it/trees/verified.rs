//! Trees whose files are compared on both sides at the end, by few commands.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustle_sftp::{ErrorKind, Sftp};
use rustle_testserver::{Call, Exit, Sftp as Files, TestServer};

use super::{bytes, plant, small, tree, whole};
use crate::here::Here;
use crate::support::{finish, open, serve_with};

/// The whole disk over SFTP, and a shell.
async fn serving() -> (TestServer, Sftp) {
    let server = serve_with(TestServer::builder().shell().sftp(Files::directory("/"))).await;
    let sftp = open(&server).await;
    (server, sftp)
}

fn text(here: &Here, name: &str) -> Vec<u8> {
    here.path(name).into_os_string().into_encoded_bytes()
}

#[tokio::test]
async fn many_files_are_compared_with_few_commands() {
    let (server, sftp) = serving().await;
    let mut planted = small(300);
    planted.insert("large".into(), Some(bytes(3, 700_000)));
    planted.insert("it's\n odd".into(), Some(bytes(4, 10)));
    planted.insert("empty".into(), Some(Vec::new()));
    for atomic in [false, true] {
        let here = Here::new();
        plant(&here.path("from"), &planted);
        let before = server.record().commands().len();
        let (put, get) = (
            sftp.put_dir(here.path("from"), text(&here, "there")),
            sftp.get_dir(text(&here, "there"), here.path("back")),
        );
        let (put, get) = if atomic { (put.atomic(), get.atomic()) } else { (put, get) };
        for summary in [put.verify().await.unwrap(), get.verify().await.unwrap()] {
            whole(&summary, &planted);
            assert_eq!((summary.unverified, summary.resumed, summary.anew), (0, 0, 0), "{summary:#?}");
        }
        assert!(tree(&here.path("there")) == planted && tree(&here.path("back")) == planted);
        // Both ways together: one for each file were 606.
        let commands = server.record().commands().len() - before;
        assert!(commands <= 60, "{commands}");
    }
    finish(sftp, server).await;
}

/// Runs the command, and says something else of a file called `bad`.
async fn lying(mut call: Call) -> Exit {
    let run = std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(call.command())).output();
    let mut output = run.unwrap().stdout;
    let line = String::from_utf8_lossy(call.command()).into_owned();
    // What is asked about stands at the end, each path with a length.
    if line.contains(MARK) {
        let (_, asked) = line.rsplit_once("' sh ").unwrap();
        // One that is sent has another name until it is proved.
        let is_bad = |path: &str| path.trim_matches('\'').ends_with("/bad") || path.contains("/.bad.rustle-");
        let mut lines: Vec<String> = String::from_utf8(output).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], MARK);
        if let Some(bad) = asked.split(' ').step_by(2).position(is_bad) {
            lines[2 * bad + 2] = format!("{}  -", "ab".repeat(32));
        }
        output = format!("{}\n", lines.join("\n")).into_bytes();
    }
    match call.stdout().send(output).await {
        Ok(()) => Exit::SUCCESS,
        Err(_) => Exit::Silent,
    }
}

const MARK: &str = "rustle-sha256:";

#[tokio::test]
async fn a_file_that_differs_is_a_failure_of_its_own_and_takes_no_place() {
    let server = serve_with(TestServer::builder().command_fn("*", lying).sftp(Files::directory("/"))).await;
    let sftp = open(&server).await;
    let mut planted = small(100);
    planted.insert("bad".into(), Some(bytes(1, 5000)));
    let here = Here::new();
    plant(&here.path("from"), &planted);
    let put = sftp.put_dir(here.path("from"), text(&here, "there")).atomic().verify().await.unwrap();
    let get = sftp.get_dir(text(&here, "from"), here.path("back")).atomic().verify().await.unwrap();
    planted.remove("bad");
    for (summary, target) in [(put, "there"), (get, "back")] {
        let failed: Vec<_> = summary.failures.iter().map(|failure| failure.error.kind()).collect();
        assert_eq!((summary.files, &failed[..]), (100, &[ErrorKind::Mismatch][..]), "{summary:#?}");
        assert!(summary.failures[0].path.ends_with(b"/bad"));
        assert!(tree(&here.path(target)) == planted, "{target}");
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_server_that_cannot_say_it_is_asked_seldom_and_each_file_counts() {
    let server = serve_with(TestServer::builder().sftp(Files::directory("/"))).await;
    let sftp = open(&server).await;
    let here = Here::new();
    plant(&here.path("from"), &small(100));
    let summary = sftp.put_dir(here.path("from"), text(&here, "there")).verify().await.unwrap();
    whole(&summary, &small(100));
    assert_eq!(summary.unverified, 100);
    finish(sftp, server).await;
}
