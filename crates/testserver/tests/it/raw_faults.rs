//! What only the raw peer does wrong, as a real client takes it.

use std::time::Duration;

use rustle_testserver::{Builder, Damage, Fault, RawPeer, Reply, RequestAnswer, TestServer, message};
use tokio::time::timeout;

use crate::client::{Client, LIMIT, alice, collect};

fn builder() -> Builder {
    TestServer::builder()
        .user(alice())
        .builtins()
        .command("hi", Reply::stdout("hi").exit(7))
        .raw_peer(RawPeer::new())
}

/// What a client gets from `hi` at a server with this fault: `None` where it must give up.
async fn hi(fault: Fault) -> Option<(String, Option<u32>)> {
    let server = builder().fault(fault).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let run = async {
        let channel = client.handle.channel_open_session().await.ok()?;
        channel.exec(true, "hi").await.ok()?;
        let output = collect(channel).await;
        Some((output.text().to_owned(), output.code))
    };
    let got = timeout(LIMIT, run).await.expect("the client hangs");
    server.stop().await.unwrap();
    got
}

#[tokio::test(start_paused = true)]
async fn lost_answers_leave_a_client_waiting() {
    let server = builder()
        .fault(Fault::message(message::CHANNEL_OPEN_CONFIRMATION, Damage::dropped()).once())
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    assert!(timeout(Duration::from_secs(3600), client.handle.channel_open_session()).await.is_err());
    assert_eq!(client.output("hi").await.code, Some(7));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn doubled_data_arrives_twice() {
    let doubled = hi(Fault::message(message::CHANNEL_DATA, Damage::duplicated())).await;
    assert_eq!(doubled, Some(("hihi".to_owned(), Some(7))));
}

#[tokio::test(start_paused = true)]
async fn storms_are_weathered_by_a_client() {
    for payload in [
        message::ignore([7; 1000]),
        message::debug("nothing to see"),
        message::global_request("hostkeys-prove-00@openssh.com"),
    ] {
        let storm = Damage::before(payload.clone(), 200);
        assert_eq!(hi(Fault::message(message::CHANNEL_DATA, storm)).await, Some(("hi".to_owned(), Some(7))));
        let storm = Damage::after(payload, 200);
        assert_eq!(hi(Fault::message(message::CHANNEL_EOF, storm)).await, Some(("hi".to_owned(), Some(7))));
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_end_a_client_and_do_not_hang_it() {
    let data = message::CHANNEL_DATA;
    for damage in [
        Damage::truncated(6),
        Damage::string_length(5, u32::MAX),
        Damage::packet_length(u32::MAX),
        Damage::packet_length(0),
        Damage::corrupt_tag(),
        Damage::replaced(vec![message::CHANNEL_OPEN_CONFIRMATION]),
    ] {
        let got = hi(Fault::message(data, damage.clone())).await;
        assert_ne!(got, Some(("hi".to_owned(), Some(7))), "{damage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn upload_stops_at_a_frozen_window_and_crawls_through_a_tiny_one() {
    let server = builder()
        .fault(Fault::frozen_window(1000).nth(1))
        .fault(Fault::tiny_window(100).nth(2))
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let stuck = client.exec("wc -c").await;
    assert!(timeout(Duration::from_secs(3600), stuck.data_bytes(vec![b'x'; 1001])).await.is_err());
    let crawling = client.exec("wc -c").await;
    crawling.data_bytes(vec![b'x'; 1001]).await.unwrap();
    crawling.eof().await.unwrap();
    assert_eq!(collect(crawling).await.text(), "1001\n");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn small_packets_carry_all_the_same() {
    let server = builder().fault(Fault::data_packets(1)).fault(Fault::max_packet(3)).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut channel = client.exec("cat").await;
    channel.data_bytes(&b"hello"[..]).await.unwrap();
    channel.eof().await.unwrap();
    let mut pieces = Vec::new();
    while let Some(message) = channel.wait().await {
        if let russh::ChannelMsg::Data { data } = message {
            pieces.push(data.to_vec());
        }
    }
    assert_eq!(pieces, b"hello".map(|byte| vec![byte]));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_reach_a_client() {
    let failing = Fault::answer_request(RequestAnswer::Failure);
    let server = builder().fault(failing).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut channel = client.exec("hi").await;
    let answer = timeout(LIMIT, channel.wait()).await.unwrap();
    assert!(matches!(answer, Some(russh::ChannelMsg::Failure)), "{answer:?}");
    assert_eq!(server.record().channels()[0].refused_requests(), ["exec"]);
    server.stop().await.unwrap();
    for answer in [RequestAnswer::Nothing, RequestAnswer::Twice, RequestAnswer::AfterOutput] {
        assert_eq!(hi(Fault::answer_request(answer)).await, Some(("hi".to_owned(), Some(7))), "{answer:?}");
    }
}
