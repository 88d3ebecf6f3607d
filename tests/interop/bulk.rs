//! Much data: nothing lost, doubled or out of order, also while keys are exchanged anew.

use std::io::Read;
use std::process::ChildStdout as LocalOutput;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustle_session::{Child, Session};
use rustle_tests::{Bulk, Server, Tally, interop, interop_within};
use tokio::io::AsyncWriteExt;

const LONG: Duration = Duration::from_secs(180);

#[test]
fn a_gibibyte_of_standard_output_arrives_whole() {
    interop_within(LONG, |interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let server = Server::start(&interop);
        let session = server.session().await;
        let start = Instant::now();
        download(&session, &Bulk::GIB).await;
        told("down", &Bulk::GIB, start);
    });
}

#[test]
fn a_gibibyte_of_standard_input_arrives_whole() {
    interop_within(LONG, |interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let server = Server::start(&interop);
        let session = server.session().await;
        let start = Instant::now();
        upload(&session, &Bulk::GIB).await;
        told("up", &Bulk::GIB, start);
    });
}

#[test]
fn ten_mebibytes_on_both_outputs_at_once_arrive_whole() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let line = Bulk::MIB_10.line();
        let output = session.output(format!("{{ {line}; }} >&2 & {line}; wait")).await.unwrap();
        assert!(output.status.success());
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            println!("{name}: {} bytes", bytes.len());
            let mut tally = Tally::new();
            tally.add(bytes);
            tally.assert_is(&Bulk::MIB_10);
        }
    });
}

#[test]
fn a_server_that_exchanges_keys_often_loses_nothing_either_way() {
    interop_within(LONG, |interop| async move {
        let server = Server::configured(&interop, "RekeyLimit 8M");
        let session = server.session().await;
        tokio::join!(download(&session, &Bulk::MIB_128), upload(&session, &Bulk::MIB_128));
        let rekeys = session.stats().rekeys;
        println!("{rekeys} key exchanges");
        assert!(rekeys >= 10, "only {rekeys} key exchanges in 256 MiB with RekeyLimit 8M");
        assert!(session.is_open());
    });
}

#[test]
fn keys_exchanged_by_this_side_in_the_middle_of_transfers_lose_nothing() {
    interop_within(LONG, |interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let transfers = async {
            tokio::join!(
                download(&session, &Bulk::MIB_128),
                download(&session, &Bulk::MIB_128),
                upload(&session, &Bulk::MIB_128)
            );
        };
        let mut asked = 0;
        let rekeying = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                session.rekey().await.unwrap();
                asked += 1;
            }
        };
        tokio::select! {
            () = transfers => {}
            () = rekeying => {}
        }
        let rekeys = session.stats().rekeys;
        println!("{asked} key exchanges asked for, {rekeys} made");
        assert!(rekeys >= 3, "asked for {asked}, made {rekeys}");
        assert!(session.output("true").await.unwrap().status.success());
    });
}

#[test]
fn keys_exchanged_by_both_sides_at_once_lose_nothing() {
    interop_within(LONG, |interop| async move {
        let server = Server::configured(&interop, "RekeyLimit 8M");
        let session = server.session().await;
        let transfers = async {
            tokio::join!(
                download(&session, &Bulk::MIB_128),
                download(&session, &Bulk::MIB_128),
                upload(&session, &Bulk::MIB_128)
            );
        };
        let mut asked = 0;
        let rekeying = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                session.rekey().await.unwrap();
                asked += 1;
            }
        };
        tokio::select! {
            () = transfers => {}
            () = rekeying => {}
        }
        let rekeys = session.stats().rekeys;
        println!("{asked} key exchanges asked for, {rekeys} made");
        assert!(rekeys >= 3, "asked for {asked}, made {rekeys}");
        assert!(session.output("true").await.unwrap().status.success());
    });
}

/// Reads this much from the server and checks it.
async fn download(session: &Session, bulk: &Bulk) {
    let mut child = session.line(bulk.line()).spawn().await.unwrap();
    let mut output = child.take_stdout().unwrap();
    let mut tally = Tally::new();
    while let Some(chunk) = output.chunk().await.unwrap() {
        tally.add(&chunk);
    }
    tally.assert_is(bulk);
    assert!(child.wait().await.unwrap().success());
}

/// Has the server hash this much, and checks its answer.
async fn upload(session: &Session, bulk: &Bulk) {
    let mut child = session.command("sha256sum").spawn().await.unwrap();
    let mut source = bulk.local();
    feed(&mut child, source.stdout.take().unwrap()).await;
    source.wait().unwrap();
    let mut answer = child.take_stdout().unwrap();
    let answer = answer.chunk().await.unwrap().unwrap();
    assert_eq!(answer, format!("{}  -\n", bulk.sha256()));
    assert!(child.wait().await.unwrap().success());
}

async fn feed(child: &mut Child, mut from: LocalOutput) {
    let mut input = child.take_stdin().unwrap();
    loop {
        let piece = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; 256 * 1024];
            let read = from.read(&mut piece).unwrap();
            piece.truncate(read);
            (piece, from)
        });
        let (piece, back) = piece.await.unwrap();
        from = back;
        if piece.is_empty() {
            break;
        }
        input.write_bytes(Bytes::from(piece)).await.unwrap();
    }
    input.shutdown().await.unwrap();
}

fn told(way: &str, bulk: &Bulk, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{} MiB {way} in {seconds:.2} s", bulk.bytes() >> 20);
}
