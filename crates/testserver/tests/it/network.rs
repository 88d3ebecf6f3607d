//! The simulated network, seen at the client.

use std::time::Duration;

use rustle_testserver::{Cut, Network, TestServer};
use tokio::time::Instant;

use crate::client::{Client, LIMIT, alice, collect};

#[tokio::test(start_paused = true)]
async fn command_takes_its_round_trips() {
    let network = Network::new().round_trip(Duration::from_millis(100));
    let server = TestServer::builder().user(alice()).builtins().network(network).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    client.output("true").await;
    // Open, then exec to close.
    let elapsed = begin.elapsed();
    assert!((200..250).contains(&elapsed.as_millis()), "{elapsed:?}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn transfer_takes_the_time_of_its_rate() {
    let network = Network::new().round_trip(Duration::from_millis(20)).rate(1_000_000);
    let server = TestServer::builder().user(alice()).builtins().network(network).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    let output = client.output("bytes 3000000").await;
    let elapsed = begin.elapsed().as_secs_f64();
    assert_eq!(output.stdout.len(), 3_000_000);
    assert!((3.0..3.3).contains(&elapsed), "{elapsed} s");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn cut_reaches_a_client_behind_the_network() {
    let network = Network::new().round_trip(Duration::from_millis(4));
    let server = TestServer::builder().user(alice()).builtins().network(network).start().await.unwrap();
    let client = Client::alice(&server).await;
    let channel = client.exec("sleep 1000").await;
    server.wait_until(|record| record.processes_running() == 1, LIMIT).await.unwrap();
    server.cut_all(Cut::Rst);
    tokio::time::timeout(LIMIT, collect(channel)).await.unwrap();
    server.wait_until_idle(LIMIT).await.unwrap();
    server.stop().await.unwrap();
}
