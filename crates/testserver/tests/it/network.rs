//! The simulated network, seen at the client.

use std::time::Duration;

use rustle_testserver::{Cut, DisconnectReason, Fault, Network, Phase, TestServer};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

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
    timeout(LIMIT, collect(channel)).await.unwrap();
    server.wait_until_idle(LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn upload_and_download_have_rates_of_their_own() {
    let network = Network::new().rate_to_client(1_000_000).rate_to_server(100_000).queue(10_000);
    let server = TestServer::builder().user(alice()).builtins().network(network).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    assert_eq!(client.output("bytes 1000000").await.stdout.len(), 1_000_000);
    let down = begin.elapsed();
    assert!((1.0..1.2).contains(&down.as_secs_f64()), "{down:?}");
    let channel = client.exec("wc -c").await;
    let begin = Instant::now();
    channel.data_bytes(vec![7; 1_000_000]).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.text().trim(), "1000000");
    let up = begin.elapsed();
    assert!((10.0..10.5).contains(&up.as_secs_f64()), "{up:?}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn network_changes_under_a_connection() {
    let server =
        TestServer::builder().user(alice()).builtins().network(Network::new()).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    client.output("true").await;
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
    server.set_network(Network::new().round_trip(Duration::from_secs(10))).unwrap();
    let begin = Instant::now();
    client.output("true").await;
    assert!((20..21).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    server.stop().await.unwrap();

    let without = TestServer::builder().start().await.unwrap();
    let error = without.set_network(Network::new()).unwrap_err();
    assert_eq!(error.kind(), rustle_testserver::ErrorKind::Configuration);
    without.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_pieces_delay_by_the_seed_and_lose_nothing() {
    async fn time_of_commands(seed: u64) -> Duration {
        let network = Network::new().loss(20, Duration::from_millis(200));
        let server = TestServer::builder().user(alice()).builtins().seed(seed).network(network);
        let server = server.start().await.unwrap();
        let client = Client::alice_in_memory(&server).await;
        let begin = Instant::now();
        for _ in 0..50 {
            assert_eq!(client.output("echo here").await.text(), "here\n");
        }
        server.stop().await.unwrap();
        begin.elapsed()
    }
    let first = time_of_commands(1).await;
    // Some two hundred pieces, of which one in twenty is lost.
    assert!((1.0..4.0).contains(&first.as_secs_f64()), "{first:?}");
    assert_eq!(time_of_commands(1).await, first);
}

#[tokio::test(start_paused = true)]
async fn server_that_has_left_is_gone_though_the_client_stays() {
    let network = Network::new().round_trip(Duration::from_millis(80));
    let goodbye = Fault::disconnect(Phase::KeyExchange, DisconnectReason::ByApplication, "bye");
    let server = TestServer::builder().user(alice()).network(network).fault(goodbye).start().await.unwrap();
    let mut stream = server.duplex();
    stream.write_all(b"SSH-2.0-Probe\r\n").await.unwrap();
    server.wait_until(|record| record.connections_accepted() == 1, LIMIT).await.unwrap();
    // The socket of the client is open all the time.
    server.wait_until_idle(LIMIT).await.unwrap();
    drop(stream);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cut_at_the_close_of_a_channel_comes_after_what_was_on_its_way() {
    let network = Network::new().round_trip(Duration::from_secs(1)).rate(100_000);
    let server = TestServer::builder()
        .user(alice())
        .builtins()
        .network(network)
        .fault(Fault::cut(Phase::Close, Cut::Fin))
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let output = client.output("bytes 500000").await;
    assert_eq!((output.stdout.len(), output.code, output.eof), (500_000, Some(0), false));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn times_beyond_any_clock_are_times_that_never_come() {
    let network = Network::new().round_trip(Duration::MAX).jitter(Duration::MAX).rate(u64::MAX);
    let server = TestServer::builder().user(alice()).network(network).start().await.unwrap();
    let waiting = timeout(Duration::from_secs(3600), Client::over(server.duplex()));
    assert!(waiting.await.is_err());
    // Nor does the client's end arrive; the server's own does.
    server.stop().await.unwrap();
}

#[tokio::test]
async fn end_does_not_wait_for_what_the_network_holds_back() {
    // An upload that would take hours, and a client whose leaving would be known in an hour.
    let slow = Network::new().rate_to_server(10).queue(1);
    let server = TestServer::builder().user(alice()).network(slow).start().await.unwrap();
    let mut upload = server.duplex();
    upload.write_all(b"SSH-2.0-Probe\r\n").await.unwrap();
    upload.write_all(&[7; 60_000]).await.unwrap();
    server.cut_all(Cut::Fin);
    server
        .wait_until(|record| record.connections().first().is_some_and(|one| one.ended().is_some()), LIMIT)
        .await
        .unwrap();
    timeout(LIMIT, server.stop()).await.unwrap().unwrap();

    let far = Network::new().round_trip(Duration::from_secs(7200));
    let server = TestServer::builder().user(alice()).network(far).start().await.unwrap();
    drop(server.duplex());
    timeout(LIMIT, server.stop()).await.unwrap().unwrap();
}
