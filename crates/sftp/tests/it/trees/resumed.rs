//! Trees that go on where an earlier attempt broke off.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustle_sftp::{Outcome, Sftp, TreeSummary, TreeTransfer};
use rustle_testserver::{Cut, Fault, Sftp as Files, TestServer};

use super::{Tree, bytes, plant, tree};
use crate::here::Here;
use crate::support::{finish, login, open, serve_with};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    up: bool,
    atomic: bool,
    resumes: bool,
}

const CASES: [Case; 4] = [
    Case { up: true, atomic: false, resumes: true },
    Case { up: true, atomic: true, resumes: true },
    Case { up: false, atomic: false, resumes: true },
    Case { up: false, atomic: true, resumes: true },
];

/// The whole disk over SFTP, and a shell.
fn serving() -> rustle_testserver::Builder {
    TestServer::builder().shell().sftp(Files::directory("/"))
}

/// Small and large, in directories.
fn planted() -> Tree {
    let mut planted = Tree::new();
    for number in 0..12 {
        planted.insert(format!("deep/small-{number}"), Some(bytes(number, 20_000 + number)));
    }
    planted.insert("deep".into(), None);
    for number in 0..3 {
        planted.insert(format!("large-{number}"), Some(bytes(number, 400_000 + number)));
    }
    planted
}

fn length(planted: &Tree) -> u64 {
    planted.values().flatten().map(|content| content.len() as u64).sum()
}

fn transfer(sftp: &Sftp, here: &Here, case: Case) -> TreeTransfer {
    let text = |name| here.path(name).into_os_string().into_encoded_bytes();
    let transfer = match case.up {
        true => sftp.put_dir(here.path("from"), text("to")),
        false => sftp.get_dir(text("from"), here.path("to")),
    };
    let transfer = if case.atomic { transfer.atomic() } else { transfer };
    if case.resumes { transfer.resume() } else { transfer }
}

/// How many bytes the direction that is cut has carried.
fn passed(server: &TestServer, case: Case) -> u64 {
    let record = server.record();
    if case.up { record.bytes_in() } else { record.bytes_out() }
}

/// Runs it over a connection that is cut after so many bytes, and waits until the server has done what it had got.
async fn cut(here: &Here, case: Case, after: u64) {
    let fault = match case.up {
        true => Fault::cut_after_received(after, Cut::Rst),
        false => Fault::cut_after(after, Cut::Rst),
    };
    let server = serve_with(serving().fault(fault.on_connection(1))).await;
    let sftp = Sftp::open(&login(&server).await).await.unwrap();
    let _ = transfer(&sftp, here, case).await;
    // Packets are not padded alike each time, so that it may have ended a little earlier.
    while server.faults_fired() == 0 {
        let _ = sftp.metadata("/").await;
    }
    let quiet = server
        .wait_until(
            |record| record.connections_open() == 0 && record.handles_open() == 0,
            Duration::from_secs(60),
        )
        .await;
    assert!(quiet.is_ok(), "{:#?}", server.record());
    server.stop().await.unwrap();
}

/// How many bytes it takes to log in, and to move all.
async fn measured(case: Case) -> (u64, u64) {
    let here = Here::new();
    plant(&here.path("from"), &planted());
    let server = serve_with(serving()).await;
    let sftp = open(&server).await;
    let setup = passed(&server, case);
    transfer(&sftp, &here, case).await.unwrap();
    let total = passed(&server, case);
    finish(sftp, server).await;
    (setup, total)
}

#[tokio::test]
async fn what_is_cut_anywhere_is_completed_and_less_is_moved() {
    for case in CASES {
        let (setup, total) = measured(case).await;
        let (mut state, mut found) = (0x9e37_79b9_u64, 0);
        for _ in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let after = total - (state >> 33) % (total - setup - 4000);
            let what = format!("{case:?} cut after {after} of {total} bytes");
            let here = Here::new();
            plant(&here.path("from"), &planted());
            cut(&here, case, after).await;
            let server = serve_with(serving()).await;
            let sftp = open(&server).await;
            let summary = transfer(&sftp, &here, case).await.unwrap();
            assert!(summary.is_complete(), "{what}: {summary:#?}");
            // No part is left either.
            assert!(tree(&here.path("to")) == planted(), "{what}: {:?}", tree(&here.path("to")).keys());
            assert_eq!(
                (summary.bytes + summary.found, summary.files + summary.unchanged),
                (length(&planted()), 15),
                "{what}"
            );
            assert_eq!(summary.sampled, 0, "{what}");
            found += summary.found;
            finish(sftp, server).await;
        }
        // What was under way at the cut may be lost, and there is always a file that was done before.
        assert!(found > length(&planted()) / 10, "{case:?}: {found} bytes were found in all ten");
    }
}

/// Runs it over a whole connection; with how many commands the server was asked.
async fn run(here: &Here, case: Case) -> (TreeSummary, usize) {
    let server = serve_with(serving()).await;
    let sftp = open(&server).await;
    let before = server.record().commands().len();
    let summary = transfer(&sftp, here, case).await.unwrap();
    let commands = server.record().commands().len() - before;
    finish(sftp, server).await;
    (summary, commands)
}

#[tokio::test]
async fn what_is_whole_is_left_and_what_was_changed_is_not_trusted() {
    for case in CASES {
        let here = Here::new();
        let mut planted = planted();
        planted.extend((0..100).map(|number| (format!("many/{number}"), Some(bytes(number, 1000)))));
        planted.insert("many".into(), None);
        planted.insert("empty".into(), Some(Vec::new()));
        plant(&here.path("from"), &planted);
        plant(&here.path("to"), &planted);
        let change = |name: &str, length: usize, at: usize| {
            let mut content = planted[name].clone().unwrap();
            content.truncate(length);
            content[at] ^= 1;
            std::fs::write(here.path("to").join(name), content).unwrap();
        };
        // As long, with another byte in its middle; a beginning with another byte; and one that is its beginning.
        change("large-0", 400_000, 200_000);
        change("large-1", 300_000, 70_000);
        let part = |name: &str| match case.atomic {
            true => format!(".{name}.rustle-part"),
            false => name.to_owned(),
        };
        std::fs::remove_file(here.path("to/large-2")).unwrap();
        let beginning = &planted["large-2"].as_ref().unwrap()[..150_000];
        std::fs::write(here.path("to").join(part("large-2")), beginning).unwrap();
        let (summary, commands) = run(&here, case).await;
        assert!(tree(&here.path("to")) == planted, "{case:?}");
        assert!(summary.is_complete(), "{case:?}: {summary:#?}");
        // In place, what was changed is what the part would be; where there is none, there is nothing to be thrown away.
        let anew = if case.atomic { 0 } else { 2 };
        assert_eq!((summary.resumed, summary.anew), (1, anew), "{case:?}: {summary:#?}");
        // The empty one is moved: there is nothing to be proved.
        assert_eq!((summary.files, summary.unchanged), (4, 112), "{case:?}: {summary:#?}");
        assert_eq!(summary.bytes, 400_000 + 400_001 + 250_002, "{case:?}: {summary:#?}");
        assert!(commands <= 20, "{case:?}: {commands}");
    }
}

#[tokio::test]
async fn a_part_that_is_not_the_file_s_is_thrown_away_and_an_atomic_one_keeps_the_old_file_until_then() {
    for up in [true, false] {
        let case = Case { up, atomic: true, resumes: true };
        let here = Here::new();
        plant(&here.path("from"), &planted());
        plant(&here.path("to"), &Tree::from([("large-0".into(), Some(b"old".to_vec()))]));
        let mut part = bytes(0, 100_000);
        part[50_000] ^= 1;
        std::fs::write(here.path("to/.large-0.rustle-part"), part).unwrap();
        let (summary, _) = run(&here, case).await;
        assert_eq!((summary.files, summary.anew, summary.resumed), (15, 1, 0), "{summary:#?}");
        assert!(tree(&here.path("to")) == planted());
    }
}

#[tokio::test]
async fn a_whole_part_that_only_takes_its_place_has_changed_the_target_and_is_told_as_gone_on_with() {
    for up in [true, false] {
        let case = Case { up, atomic: true, resumes: true };
        let here = Here::new();
        let (small, large) = (bytes(1, 20_000), bytes(2, 400_000));
        let planted = Tree::from([
            ("large".into(), Some(large.clone())),
            ("same".into(), Some(small.clone())),
            ("small".into(), Some(small.clone())),
        ]);
        plant(&here.path("from"), &planted);
        let old = Tree::from([("large".into(), Some(b"old".to_vec())), ("same".into(), Some(small.clone()))]);
        plant(&here.path("to"), &old);
        std::fs::write(here.path("to/.large.rustle-part"), large).unwrap();
        std::fs::write(here.path("to/.small.rustle-part"), small).unwrap();
        let server = serve_with(serving()).await;
        let sftp = open(&server).await;
        let all = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&all);
        let told = transfer(&sftp, &here, case).each(move |event| {
            list.lock().unwrap().push(match event.outcome() {
                Outcome::Resumed { bytes, from } => format!("{from} of {bytes}"),
                Outcome::Unchanged => "same".to_owned(),
                other => format!("{other:?}"),
            });
        });
        let summary = told.await.unwrap();
        finish(sftp, server).await;
        assert!(tree(&here.path("to")) == planted);
        let mut all = all.lock().unwrap().clone();
        all.sort();
        assert_eq!(all, ["20000 of 20000", "400000 of 400000", "same"], "{up}");
        let counts = (summary.files, summary.resumed, summary.unchanged, summary.bytes, summary.found);
        assert_eq!(counts, (2, 2, 1, 0, 440_000), "{up}: {summary:#?}");
    }
}

#[tokio::test]
async fn an_atomic_one_that_is_cut_without_resume_leaves_whole_files_alone() {
    let case = Case { up: false, atomic: true, resumes: false };
    let (setup, total) = measured(case).await;
    let here = Here::new();
    plant(&here.path("from"), &planted());
    cut(&here, case, setup + (total - setup) / 2).await;
    let planted = planted();
    for (name, content) in tree(&here.path("to")) {
        assert!(planted.get(&name) == Some(&content), "{name}");
    }
    // What it had finished is found by a later one.
    let (summary, _) = run(&here, Case { resumes: true, ..case }).await;
    assert_eq!(
        (summary.files + summary.unchanged, summary.resumed, summary.anew),
        (15, 0, 0),
        "{summary:#?}"
    );
    assert!(tree(&here.path("to")) == planted);
}
