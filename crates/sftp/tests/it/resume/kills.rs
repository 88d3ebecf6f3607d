//! The connection cut at many places of a transfer: there is the old file or the new one, and what is resumed becomes
//! whole on another session.

use std::time::Duration;

use rustle_sftp::{Sftp, Summary, Transfer};
use rustle_testserver::{Cut, Fault, TestServer};

use super::{PART, SIZE, hashing};
use crate::here::{Here, content};
use crate::support::{login, serve_with};

const OLD: &[u8] = b"the file that was there before";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Get,
    Put,
}

/// What is cut.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: Way,
    resumes: bool,
    /// How much of the part is there before.
    found: usize,
}

#[tokio::test]
async fn an_atomic_put_that_is_cut() {
    cut_at(50, Case { way: Way::Put, resumes: false, found: 0 }).await;
    cut_at(50, Case { way: Way::Put, resumes: true, found: 0 }).await;
}

#[tokio::test]
async fn an_atomic_get_that_is_cut() {
    cut_at(50, Case { way: Way::Get, resumes: false, found: 0 }).await;
    cut_at(50, Case { way: Way::Get, resumes: true, found: 0 }).await;
}

#[tokio::test]
async fn a_resumed_put_that_is_cut() {
    cut_at(50, Case { way: Way::Put, resumes: true, found: SIZE / 3 }).await;
}

#[tokio::test]
async fn a_resumed_get_that_is_cut() {
    cut_at(50, Case { way: Way::Get, resumes: true, found: SIZE / 3 }).await;
}

async fn cut_at(points: usize, case: Case) {
    let bytes = content(SIZE);
    // How many bytes it takes when nothing is cut, and how many before it begins.
    let (setup, total) = {
        let sides = Sides::new(&bytes, case);
        let server = serve_with(hashing(&sides.there.path(""))).await;
        let sftp = Sftp::open(&login(&server).await).await.unwrap();
        let setup = passed(&server, case.way);
        sides.transfer(&sftp, case).await.unwrap();
        (setup, passed(&server, case.way))
    };
    // Most of them anywhere, some in the last packets, where it takes its place.
    let (mut state, mut gone_on) = (0x9e37_79b9_u64, 0);
    for point in 0..points {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = if point % 5 == 0 { 1200 } else { total - setup };
        let after = total - (state >> 33) % span;
        let what = format!("{case:?} cut after {after} of {total} bytes");
        let sides = Sides::new(&bytes, case);
        let fault = match case.way {
            Way::Put => Fault::cut_after_received(after, Cut::Rst),
            Way::Get => Fault::cut_after(after, Cut::Rst),
        };
        let server = serve_with(hashing(&sides.there.path("")).fault(fault.on_connection(1))).await;
        let failed = match Sftp::open(&login(&server).await).await {
            Ok(sftp) => {
                let failed = sides.transfer(&sftp, case).await.is_err();
                // Packets are not cut and padded alike each time, so that it may have ended a little earlier.
                while server.faults_fired() == 0 {
                    let _ = sftp.metadata("/").await;
                }
                failed
            }
            Err(_) => true,
        };
        // What the server had got, it has done.
        let quiet = server
            .wait_until(
                |record| record.connections_open() == 0 && record.handles_open() == 0,
                Duration::from_secs(60),
            )
            .await;
        assert!(quiet.is_ok(), "{what}: {:#?}", server.record());
        sides.check(&bytes, case, failed, &what);
        let sftp = Sftp::open(&login(&server).await).await.unwrap();
        let summary = sides.transfer(&sftp, case).await.unwrap();
        gone_on += usize::from(summary.resumed.from() > case.found as u64);
        assert!(sides.target(case).read("app") == bytes, "{what}");
        assert!(!case.resumes || sides.left(case).is_empty(), "{what}: {:?}", sides.left(case));
        sftp.close().await;
        server.stop().await.unwrap();
    }
    // Otherwise it would have shown nothing of going on.
    assert!(!case.resumes || gone_on > points / 3, "{case:?}: {gone_on} of {points} went on");
}

/// How many bytes the direction that is cut has carried.
fn passed(server: &TestServer, way: Way) -> u64 {
    match way {
        Way::Put => server.record().bytes_in(),
        Way::Get => server.record().bytes_out(),
    }
}

struct Sides {
    here: Here,
    there: Here,
}

impl Sides {
    fn new(bytes: &[u8], case: Case) -> Self {
        let sides = Self { here: Here::new(), there: Here::new() };
        let source = if case.way == Way::Put { &sides.here } else { &sides.there };
        source.file("source", bytes);
        sides.target(case).file("app", OLD);
        if case.found > 0 {
            sides.target(case).file(PART, &bytes[..case.found]);
        }
        sides
    }

    /// The side that gets the file.
    fn target(&self, case: Case) -> &Here {
        if case.way == Way::Put { &self.there } else { &self.here }
    }

    async fn transfer(&self, sftp: &Sftp, case: Case) -> rustle_sftp::Result<Summary> {
        let transfer = match case.way {
            Way::Put => sftp.put(self.here.path("source"), "/app"),
            Way::Get => sftp.get("/source", self.here.path("app")),
        };
        let resumed = if case.resumes { Transfer::resume } else { std::convert::identity };
        resumed(transfer.atomic()).await
    }

    /// What stands beside the target.
    fn left(&self, case: Case) -> Vec<String> {
        let names = match case.way {
            // A temporary file may stay with the server, which has closed all there is: nothing more goes away.
            Way::Put => self.there.names_now(),
            Way::Get => self.here.names(),
        };
        names.into_iter().filter(|name| name != "app" && name != "source").collect()
    }

    fn check(&self, bytes: &[u8], case: Case, failed: bool, what: &str) {
        let target = self.target(case).read("app");
        assert!(target == bytes || (target == OLD && failed), "{what}: neither the old file nor the new one");
        let left = self.left(case);
        match (case.way, case.resumes) {
            (_, true) => assert!(left.is_empty() || left == [PART], "{what}: {left:?}"),
            (Way::Get, false) => assert!(left.is_empty(), "{what}: {left:?}"),
            // Nobody was left to remove it.
            (Way::Put, false) => {
                let random = |name: &String| name.starts_with(".app.rustle-") && name != PART;
                assert!(left.len() <= 1 && left.iter().all(random), "{what}: {left:?}");
            }
        }
    }
}
