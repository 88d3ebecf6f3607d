//! A process of its own that ends itself, without a word to anybody, when its work has been polled so many times.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Output, Stdio};
use std::task::Poll;
use std::time::Duration;

use rustle_sftp::Sftp;
use rustle_testserver::{Sftp as Files, TestServer};
use tokio::process::Command;

use super::{Case, OLD, POINTS, SIZE, Sides, next, transfer};
use crate::here::content;
use crate::resume::hashing;
use crate::support::{open, serve, serve_with, way_to};
use crate::sync::ends::{fresh, is_temporary, stale};
use crate::sync::files;

const CHILD: &str = "killed::client::child_works_until_it_is_killed";

/// What the process printed. Wine fails to begin one of some thousands with ERROR_INTERNAL_ERROR: that one is begun again.
async fn begun(command: &mut Command) -> Output {
    const ERROR_INTERNAL_ERROR: i32 = 1359;
    match command.output().await {
        Err(error) if cfg!(windows) && error.raw_os_error() == Some(ERROR_INTERNAL_ERROR) => {
            command.output().await.unwrap()
        }
        output => output.unwrap(),
    }
}

/// A process that was killed, or how often its work was polled.
async fn run(server: &TestServer, work: &str, here: &Path, polls: u64) -> Option<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", CHILD, "--ignored", "--nocapture"]).stdin(Stdio::null()).kill_on_drop(true);
    command.env("RUSTLE_TEST_WORK", work).env("RUSTLE_TEST_HERE", here);
    command.env("RUSTLE_TEST_POLLS", polls.to_string());
    command.env("RUSTLE_TEST_PORT", server.port().to_string());
    command.env("RUSTLE_TEST_KEY", server.host_key_fingerprint());
    let output = begun(&mut command).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    let completed = printed.lines().find_map(|line| line.split_once("polled: "));
    match completed {
        Some((_, polls)) if output.status.success() => Some(polls.parse().unwrap()),
        // Whatever else is printed comes from a test that failed.
        _ => {
            let complained = String::from_utf8_lossy(&output.stderr);
            assert!(!printed.contains("FAILED"), "{work}: {printed}{complained}");
            None
        }
    }
}

#[test]
#[ignore = "run as a child process by the tests here, which it does not outlive"]
fn child_works_until_it_is_killed() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (work, here) = (variable("RUSTLE_TEST_WORK"), PathBuf::from(variable("RUSTLE_TEST_HERE")));
    let most: u64 = variable("RUSTLE_TEST_POLLS").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let port = variable("RUSTLE_TEST_PORT").parse().unwrap();
        let (connector, credentials) = way_to(port, &variable("RUSTLE_TEST_KEY"));
        let login = connector.connect().await.unwrap();
        let sftp = Sftp::open(&login.authenticate(&credentials).await.unwrap()).await.unwrap();
        let mut done = pin!(carry_out(&work, &sftp, &here));
        let mut polls = 0;
        poll_fn(|cx| {
            if polls == most {
                die();
            }
            polls += 1;
            match done.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        println!("polled: {polls}");
    });
}

async fn carry_out(work: &str, sftp: &Sftp, here: &Path) {
    let of_one_file = |case| transfer(sftp, case, here, Path::new("/app"));
    match work {
        "put" => drop(of_one_file(Case::Put).await.unwrap()),
        "put resumed" => drop(of_one_file(Case::PutResumed).await.unwrap()),
        "get" => drop(of_one_file(Case::Get).await.unwrap()),
        "get resumed" => drop(of_one_file(Case::GetResumed).await.unwrap()),
        "sync to" => drop(sftp.sync_to(here, "/").delete().await.unwrap()),
        "sync from" => drop(sftp.sync_from("/", here).delete().await.unwrap()),
        other => panic!("{other}"),
    }
}

#[cfg(unix)]
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// Nothing is flushed and nothing is dropped by it either.
#[cfg(windows)]
fn die() {
    std::process::abort();
}

/// The server has noticed.
async fn is_over(server: &TestServer, what: &str) {
    let over =
        |record: &rustle_testserver::Record| record.connections_open() == 0 && record.handles_open() == 0;
    let quiet = server.wait_until(over, Duration::from_secs(60)).await;
    assert!(quiet.is_ok(), "{what}: {:#?}", server.record());
}

async fn killed_at(points: usize, case: Case, work: &str) {
    let bytes = content(SIZE);
    let is_put = matches!(case, Case::Put | Case::PutResumed);
    let resumes = matches!(case, Case::PutResumed | Case::GetResumed);
    let (mut total, mut state, mut killed, mut gone_on) = (None, 0x9e37_79b9_u64, 0, 0);
    for point in 0..=points {
        let sides = Sides::new(&bytes);
        let target = if is_put { &sides.there } else { &sides.here };
        if resumes {
            // What is written while it is killed depends on the machine; this much is there in any case.
            target.file(".app.rustle-part", &bytes[..SIZE / 3]);
        }
        let server = serve_with(hashing(&sides.there.path(""))).await;
        let polls = total.map_or(u64::MAX, |total| next(&mut state) % total);
        let what = format!("{work} {point}, killed after {polls} polls");
        let completed = run(&server, work, &sides.here.path(""), polls).await;
        killed += usize::from(completed.is_none());
        // An idle machine polls more often than a busy one: the last that came to its end says how often.
        if let Some(polls) = completed {
            assert!(total.is_some() || polls > 5, "{polls} polls are no places to be killed at");
            total = Some(polls.max(6));
        }
        is_over(&server, &what).await;
        let there = target.read("app");
        let is_new = there == bytes;
        assert!(
            is_new || there == OLD && completed.is_none(),
            "{what}: neither the old file nor the new one"
        );
        let sftp = open(&server).await;
        let summary = sides.transfer(&sftp, case, Path::new("/app")).await.unwrap();
        gone_on += usize::from(summary.resumed.from() > 0);
        assert!(target.read("app") == bytes, "{what}");
        let part = target.names_now().into_iter().find(|name| name.ends_with(".rustle-part"));
        assert_eq!(part, None, "{what}");
        sftp.close().await;
        server.stop().await.unwrap();
    }
    // Half of them on an idle machine; on a busy one more comes with each poll, and fewer are needed.
    assert!(killed > points / 6, "only {killed} were killed");
    assert!(!resumes || gone_on > killed / 2, "only {gone_on} of {killed} went on");
}

#[tokio::test]
async fn a_client_that_is_killed_in_a_put_leaves_the_old_file_or_the_new_one() {
    killed_at(POINTS, Case::Put, "put").await;
}

#[tokio::test]
async fn a_client_that_is_killed_in_a_get_leaves_the_old_file_or_the_new_one() {
    killed_at(POINTS, Case::Get, "get").await;
}

#[tokio::test]
async fn a_put_whose_client_is_killed_is_gone_on_with() {
    killed_at(POINTS, Case::PutResumed, "put resumed").await;
}

#[tokio::test]
async fn a_get_whose_client_is_killed_is_gone_on_with() {
    killed_at(POINTS, Case::GetResumed, "get resumed").await;
}

#[tokio::test]
async fn a_client_that_is_killed_in_a_sync_leaves_old_files_or_new_ones() {
    // The test server sets neither permissions nor times of files on Windows' disks, so that no synchronisation to one
    // succeeds there.
    let works: &[_] = if cfg!(windows) { &["sync from"] } else { &["sync to", "sync from"] };
    for &work in works {
        let (mut total, mut state, mut killed) = (None, 0x9e37_79b9_u64, 0);
        for point in 0..=POINTS / 2 {
            let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (source, target) = match work {
                "sync to" => (here.path(), there.path()),
                _ => (there.path(), here.path()),
            };
            let (new, before) = (fresh(source), stale(target));
            let server = serve(Files::directory(there.path())).await;
            let polls = total.map_or(u64::MAX, |total| next(&mut state) % total);
            let what = format!("{work} {point}, killed after {polls} polls");
            let completed = run(&server, work, here.path(), polls).await;
            killed += usize::from(completed.is_none());
            total = completed.map(|polls| polls.max(6)).or(total);
            is_over(&server, &what).await;
            for (name, content) in files(target) {
                let one_of_both = new.get(&name) == Some(&content) || before.get(&name) == Some(&content);
                assert!(one_of_both || is_temporary(&name), "{what}: {name} is mixed");
            }
            let sftp = open(&server).await;
            let summary = match work {
                "sync to" => sftp.sync_to(here.path(), "/").delete().await.unwrap(),
                _ => sftp.sync_from("/", here.path()).delete().await.unwrap(),
            };
            assert!(summary.is_complete(), "{what}: {summary:?}");
            assert!(files(target) == new, "{what}");
            sftp.close().await;
            server.stop().await.unwrap();
        }
        assert!(killed > POINTS / 6, "only {killed} were killed");
    }
}
