//! Synchronisations that end early: cut off, or dropped.

use std::collections::BTreeMap;
use std::future::IntoFuture as _;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use rustle_sftp::{ErrorKind, Sftp, TreeEvent};
use rustle_sftp_proto::{Attributes, Handle, NameEntry, Reply, Request, Status, StatusCode};
use rustle_testserver::{Cut, Fault, Sftp as Files, TestServer};
use tokio::sync::oneshot;

use super::{files, old};
use crate::scripted::{answering, over};
use crate::support::{When, dropped, finish, login, no_handles, open, serve_with};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    To,
    From,
}

pub(crate) fn fresh(top: &Path) -> BTreeMap<String, Vec<u8>> {
    for number in 0..12u8 {
        old(&top.join(format!("dir-{}/new-{number}", number % 3)), vec![number; 3000 + usize::from(number)]);
    }
    old(&top.join("large"), vec![1; 200_000]);
    files(top)
}

/// What the target has before: some of the files with other content, and one more.
pub(crate) fn stale(top: &Path) -> BTreeMap<String, Vec<u8>> {
    for number in 0..6u8 {
        old(&top.join(format!("dir-{}/new-{number}", number % 3)), format!("old {number}"));
    }
    old(&top.join("large"), "old");
    old(&top.join("extra"), "extra");
    files(top)
}

async fn sync(sftp: &Sftp, way: Way, (there, here): (&str, &Path)) -> rustle_sftp::Result<u64> {
    let summary = match way {
        Way::To => sftp.sync_to(here, there).delete().await?,
        Way::From => sftp.sync_from(there, here).delete().await?,
    };
    match summary.failures.into_iter().next() {
        Some(failure) => Err(failure.error),
        None => Ok(summary.files),
    }
}

async fn cut_at(points: usize, way: Way) {
    let passed = |server: &TestServer| match way {
        Way::To => server.record().bytes_in(),
        Way::From => server.record().bytes_out(),
    };
    let mut span = None;
    let (mut state, mut interrupted) = (0x9e37_79b9_u64, 0);
    for point in 0..=points {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (source, target) = match way {
            Way::To => (here.path(), there.path()),
            Way::From => (there.path(), here.path()),
        };
        let (new, before) = (fresh(source), stale(target));
        let builder = TestServer::builder().sftp(Files::directory(there.path()));
        let Some((setup, total)) = span else {
            // How much it is when nothing is cut.
            let server = serve_with(builder).await;
            let sftp = Sftp::open(&login(&server).await).await.unwrap();
            let setup = passed(&server);
            sync(&sftp, way, ("/", here.path())).await.unwrap();
            span = Some((setup, passed(&server)));
            assert!(files(target) == new);
            finish(sftp, server).await;
            continue;
        };
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = setup + (state >> 33) % (total - setup);
        let what = format!("{way:?}, {point}: cut after {after} of {total} bytes");
        let fault = match way {
            Way::To => Fault::cut_after_received(after, Cut::Rst),
            Way::From => Fault::cut_after(after, Cut::Rst),
        };
        let server = serve_with(builder.fault(fault.on_connection(1))).await;
        if let Ok(sftp) = Sftp::open(&login(&server).await).await {
            interrupted += usize::from(sync(&sftp, way, ("/", here.path())).await.is_err());
            while server.faults_fired() == 0 {
                let _ = sftp.metadata("/").await;
            }
        }
        no_connection(&server, &what).await;
        if way == Way::From {
            no_temporary(target).await;
        }
        for (name, content) in files(target) {
            // The server is not there any more to be asked to remove one.
            let is_temporary = way == Way::To && is_temporary(&name);
            let one_of_both = new.get(&name) == Some(&content) || before.get(&name) == Some(&content);
            assert!(one_of_both || is_temporary, "{what}: {name} is left or mixed, {} bytes", content.len());
        }
        let sftp = open(&server).await;
        sync(&sftp, way, ("/", here.path())).await.unwrap();
        assert!(files(target) == new, "{what}");
        sftp.close().await;
        server.stop().await.unwrap();
    }
    assert!(interrupted > points / 2, "only {interrupted} were interrupted");
}

pub(crate) fn is_temporary(name: &str) -> bool {
    name.rsplit('/').next().unwrap().starts_with('.')
}

async fn no_connection(server: &TestServer, what: &str) {
    let quiet = server
        .wait_until(
            |record| record.connections_open() == 0 && record.handles_open() == 0,
            Duration::from_secs(60),
        )
        .await;
    assert!(quiet.is_ok(), "{what}: {:#?}", server.record());
}

#[tokio::test]
async fn a_sync_to_a_server_that_is_cut_leaves_old_files_or_new_ones() {
    if cfg!(windows) {
        println!(
            "skipped: the test server sets no times of files on Windows' disks, which a synchronisation does"
        );
        return;
    }
    cut_at(50, Way::To).await;
}

#[tokio::test]
async fn a_sync_from_a_server_that_is_cut_leaves_old_files_or_new_ones() {
    cut_at(50, Way::From).await;
}

/// Waits for what is done here behind the back of a dropped transfer.
async fn no_temporary(top: &Path) {
    let begun = std::time::Instant::now();
    while files(top).keys().any(|name| is_temporary(name)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "a temporary file stays: {:?}", files(top).keys());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn trees_that_are_dropped_at_any_point_leave_no_handle_and_no_temporary_file() {
    let there = tempfile::tempdir().unwrap();
    let server = serve_with(TestServer::builder().sftp(Files::directory(there.path()))).await;
    let sftp = open(&server).await;
    for kind in 0..4 {
        for polls in 0.. {
            let here = tempfile::tempdir().unwrap();
            for name in ["src", "dst"] {
                let path = there.path().join(name);
                if path.exists() {
                    std::fs::remove_dir_all(path).unwrap();
                }
            }
            let (source, target) = match kind {
                0 | 2 => (here.path().join("src"), there.path().join("dst")),
                _ => (there.path().join("src"), here.path().join("dst")),
            };
            let new = fresh(&source);
            let before = stale(&target);
            let local = here.path().join(if kind % 2 == 0 { "src" } else { "dst" });
            let ended = match kind {
                0 => dropped(sftp.put_dir(&local, "/dst").atomic().into_future(), polls, When::Woken).await,
                1 => dropped(sftp.get_dir("/src", &local).atomic().into_future(), polls, When::Woken).await,
                2 => dropped(sftp.sync_to(&local, "/dst").delete().into_future(), polls, When::Woken).await,
                _ => dropped(sftp.sync_from("/src", &local).delete().into_future(), polls, When::Woken).await,
            };
            // Behind an answer, whatever was asked for has been done.
            sftp.home().await.unwrap();
            no_handles(&server).await;
            for (name, content) in files(&target) {
                let one_of_both = new.get(&name) == Some(&content) || before.get(&name) == Some(&content);
                // What is being written here at this moment is finished.
                assert!(one_of_both || is_temporary(&name), "{kind}, {polls}: {name}");
            }
            no_temporary(&target).await;
            if ended {
                assert!(polls > 3, "{kind} never begins");
                break;
            }
        }
    }
    finish(sftp, server).await;
}

/// One file with other permissions than here, and a link, in a listing that never ends.
fn listing() -> impl FnMut(Request) -> Option<Reply> {
    let mut listed = false;
    move |request| match request {
        Request::OpenDir { .. } => Some(Reply::Handle(Handle::new("h"))),
        Request::ReadDir { .. } if std::mem::replace(&mut listed, true) => None,
        Request::ReadDir { .. } => {
            let entry = |name, mode| {
                let attributes = Attributes::new().with_permissions(mode).with_size(4);
                NameEntry::new(name, Bytes::new(), attributes.with_times(1_000_000_000, 1_000_000_000))
            };
            Some(Reply::Name(vec![entry("link", 0o120_777), entry("file", 0o100_444)]))
        }
        _ => Some(Reply::Status(Status::from(StatusCode::FAILURE))),
    }
}

#[test]
fn a_sync_that_is_cut_off_is_not_over_while_permissions_are_being_set() {
    // All that blocks has one thread, which is kept busy from the link on: it is told of right before the file is met.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let here = tempfile::tempdir().unwrap();
        let file = here.path().join("file");
        old(&file, "same");
        let is_set = || std::fs::metadata(&file).unwrap().permissions().readonly();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut server = Box::pin(answering(far, listing()));
        let ((release, busy), (tell, told)) = (std::sync::mpsc::channel::<()>(), oneshot::channel());
        let mut once = Some((busy, tell));
        let hold = move |_: &TreeEvent<'_>| {
            if let Some((busy, tell)) = once.take() {
                drop(tokio::task::spawn_blocking(move || busy.recv()));
                tell.send(()).unwrap();
            }
        };
        let mut sync = pin!(async { over(near).await.sync_from("/top", here.path()).each(hold).await });
        tokio::select! {
            ended = &mut sync => panic!("{ended:?}"),
            () = &mut server => panic!("the client hung up"),
            told = told => told.unwrap(),
        }
        drop(server);
        for _ in 0..1000 {
            tokio::select! {
                biased;
                ended = &mut sync => panic!("it is over, and they are set later: {}, {ended:?}", is_set()),
                () = tokio::task::yield_now() => {}
            }
        }
        assert!(!is_set());
        release.send(()).unwrap();
        let error = sync.await.unwrap_err();
        assert_eq!((error.kind(), is_set()), (ErrorKind::Disconnected, true), "{error}");
    });
}
