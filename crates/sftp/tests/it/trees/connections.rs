//! Trees over several connections.

use std::future::{Future, IntoFuture as _};
use std::pin::pin;
use std::time::Duration;

use rustle_session::Session;
use rustle_sftp::{Sftp, TreeSummary, TreeTransfer};
use rustle_testserver::{Network, Sftp as Files, TestServer};
use tokio::time::timeout;

use super::{Tree, bytes, plant, tree, whole};
use crate::here::Here;
use crate::support::{login, serve_with};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Get,
    Put,
    PutAtomic,
}

const WAYS: [Way; 3] = [Way::Get, Way::Put, Way::PutAtomic];

/// Longer than any of the tests may take.
const DEADLINE: Duration = Duration::from_secs(120);

fn planted() -> Tree {
    let mut planted = Tree::new();
    for number in 0..800 {
        planted.insert(format!("deep/{number}"), Some(bytes(number, 8000)));
    }
    planted.insert("deep".into(), None);
    planted.insert("empty".into(), Some(Vec::new()));
    planted.insert("large".into(), Some(bytes(1, 700_000)));
    planted
}

/// A server on which each connection carries so much that all have a share.
async fn serve(way: Way, planted: &Tree) -> TestServer {
    let mut files = Files::memory();
    if way == Way::Get {
        for (name, content) in planted {
            files = match content {
                Some(content) => files.file(format!("/there/{name}"), content.clone()),
                None => files.directory_entry(format!("/there/{name}")),
            };
        }
    }
    let slow = Network::new().round_trip(Duration::from_millis(2)).rate(2_000_000);
    serve_with(TestServer::builder().sftp(files).network(slow)).await
}

fn transfer(way: Way, sftp: &Sftp, here: &Here) -> TreeTransfer {
    match way {
        Way::Get => sftp.get_dir("/there", here.path("back")),
        Way::Put => sftp.put_dir(here.path("from"), "/there"),
        Way::PutAtomic => sftp.put_dir(here.path("from"), "/there").atomic(),
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, Box::pin(work)).await.expect("it ends")
}

fn carried(session: &Session) -> u64 {
    session.stats().bytes_sent + session.stats().bytes_received
}

/// What was moved is what was planted, and nothing else is there.
async fn is_whole(way: Way, session: &Session, here: &Here, planted: &Tree, summary: &TreeSummary) {
    whole(summary, planted);
    if way != Way::Get {
        let sftp = Sftp::open(session).await.unwrap();
        sftp.get_dir("/there", here.path("back")).await.unwrap();
        sftp.close().await;
    }
    assert!(tree(&here.path("back")) == *planted, "{way:?}: {:?}", tree(&here.path("back")).keys());
}

/// Connections that were cut left theirs to the server; the others closed them.
async fn end(server: TestServer) {
    server.wait_until(|record| record.handles_open() == 0, DEADLINE).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn two_connections_carry_a_tree_together() {
    for way in WAYS {
        let (here, planted) = (Here::new(), planted());
        plant(&here.path("from"), &planted);
        let server = serve(way, &planted).await;
        let (first, second) = (login(&server).await, login(&server).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let before = carried(&second);
        let summary = within(transfer(way, &sftp, &here).also_over(&second).into_future()).await.unwrap();
        let share = [carried(&first), carried(&second) - before];
        // Small files are sent over one.
        match way {
            Way::Get => assert!(share.iter().all(|bytes| *bytes > 50_000), "{share:?}"),
            // A slow machine has time for a sign of life.
            Way::Put | Way::PutAtomic => assert!(share[1] < 1000, "{way:?}: {share:?}"),
        }
        is_whole(way, &first, &here, &planted, &summary).await;
        sftp.close().await;
        end(server).await;
    }
}

#[tokio::test]
async fn what_a_connection_was_moving_when_it_was_lost_is_moved_over_another() {
    for proved in [false, true] {
        let (way, here, planted) = (Way::Get, Here::new(), planted());
        let server = serve(way, &planted).await;
        let (first, second) = (login(&server).await, login(&server).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let until = carried(&second) + 50_000;
        let cut = async {
            while carried(&second) < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            second.abort();
        };
        let transfer = transfer(way, &sftp, &here).also_over(&second);
        let transfer = if proved { transfer.verify() } else { transfer };
        let summary = within(async {
            let (mut transfer, mut cut) = (pin!(transfer.into_future()), pin!(cut));
            tokio::select! {
                summary = &mut transfer => panic!("it ended before the other connection was cut: {summary:?}"),
                () = &mut cut => {}
            }
            transfer.await
        });
        is_whole(way, &first, &here, &planted, &summary.await.unwrap()).await;
        sftp.close().await;
        end(server).await;
    }
}

#[tokio::test]
async fn a_connection_that_leads_to_other_files_is_done_without() {
    for way in WAYS {
        let (here, planted) = (Here::new(), planted());
        plant(&here.path("from"), &planted);
        let other: Tree = planted
            .iter()
            .map(|(name, content)| (name.clone(), content.as_ref().map(|content| vec![b'x'; content.len()])))
            .collect();
        let (server, elsewhere) = (serve(way, &planted).await, serve(Way::Get, &other).await);
        let (first, second) = (login(&server).await, login(&elsewhere).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let summary = within(transfer(way, &sftp, &here).also_over(&second).into_future()).await.unwrap();
        is_whole(way, &first, &here, &planted, &summary).await;
        sftp.close().await;
        let there = Sftp::open(&second).await.unwrap();
        there.get_dir("/there", here.path("elsewhere")).await.unwrap();
        assert!(tree(&here.path("elsewhere")) == other, "{way:?}");
        there.close().await;
        end(server).await;
        end(elsewhere).await;
    }
}
