//! What stands behind the addresses that clients want channels to, scripted.

use std::{sync::Arc, time::Duration};

use rustle_testserver::{Target, TestServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

use crate::client::{Client, LIMIT, alice};

type Stream = russh::ChannelStream<russh::client::Msg>;

async fn open(client: &Client, host: &str, port: u32) -> Stream {
    client.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await.unwrap().into_stream()
}

async fn rest(stream: &mut Stream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn scripted_targets_answer_without_a_network() {
    let server = TestServer::builder()
        .user(alice())
        .forward_target("*", None, Target::refuse(1, "not from here"))
        .forward_target("echo.internal", None, Target::echo())
        .forward_target("motd", 17, Target::reply("to be or not to be\n"))
        .forward_target(
            "slow",
            80,
            Target::closure(async |mut stream| {
                let mut received = Vec::new();
                stream.read_to_end(&mut received).await.unwrap();
                tokio::time::sleep(Duration::from_secs(3600)).await;
                stream.write_all(format!("{} bytes", received.len()).as_bytes()).await.unwrap();
            }),
        )
        .streamlocal_target("/run/*", Target::echo())
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;

    // Each direction ends by itself: the client's end reaches the target, whose answer still comes.
    let mut echo = open(&client, "echo.internal", 7).await;
    echo.write_all(b"half").await.unwrap();
    let mut half = [0; 4];
    echo.read_exact(&mut half).await.unwrap();
    echo.write_all(b" and the rest").await.unwrap();
    echo.shutdown().await.unwrap();
    assert_eq!((half, rest(&mut echo).await.as_str()), (*b"half", " and the rest"));

    // And the target's end reaches the client, which may still send.
    let mut motd = open(&client, "motd", 17).await;
    assert_eq!(rest(&mut motd).await, "to be or not to be\n");
    assert_eq!(server.record().channels_open(), 1);
    motd.write_all(&[0; 100_000]).await.unwrap();
    motd.shutdown().await.unwrap();

    let begin = Instant::now();
    let mut slow = open(&client, "slow", 80).await;
    slow.write_all(&[0; 500_000]).await.unwrap();
    slow.shutdown().await.unwrap();
    assert_eq!(rest(&mut slow).await, "500000 bytes");
    assert_eq!(begin.elapsed().as_secs(), 3600);

    let local = client.handle.channel_open_direct_streamlocal("/run/x.sock").await.unwrap();
    let mut local = local.into_stream();
    local.write_all(b"by path").await.unwrap();
    local.shutdown().await.unwrap();
    assert_eq!(rest(&mut local).await, "by path");

    for refused in [("slow", 81), ("motd", 18)] {
        let open = client.handle.channel_open_direct_tcpip(refused.0, refused.1, "127.0.0.1", 1).await;
        assert!(
            matches!(
                open,
                Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::AdministrativelyProhibited))
            ),
            "{refused:?}: {:?}",
            open.err()
        );
    }
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    assert_eq!((server.record().channels_opened_total(), server.record().channels_refused()), (4, 2));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn channel_closes_with_the_stream_that_code_drops_and_code_ends_with_the_connection() {
    let server = TestServer::builder()
        .user(alice())
        .forward_target("rude", None, Target::closure(async |stream| drop(stream)))
        .forward_target(
            "deaf",
            None,
            Target::closure(async |stream| {
                std::future::pending::<()>().await;
                drop(stream);
            }),
        )
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let mut rude = open(&client, "rude", 1).await;
    assert_eq!(rest(&mut rude).await, "");
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();

    let deaf = open(&client, "deaf", 1).await;
    assert_eq!(server.record().channels_open(), 1);
    drop((client, rude, deaf));
    server.wait_until_idle(LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn real_target_can_be_one_of_many() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = TestServer::builder()
        .user(alice())
        .direct_tcpip()
        .forward_target("*", None, Target::reply("scripted"))
        .forward_target("127.0.0.1", port, Target::real())
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let mut real = open(&client, "127.0.0.1", u32::from(port)).await;
    let (mut accepted, _) = listener.accept().await.unwrap();
    accepted.write_all(b"real").await.unwrap();
    drop(accepted);
    assert_eq!(rest(&mut real).await, "real");
    let mut other = open(&client, "127.0.0.1", 1).await;
    assert_eq!(rest(&mut other).await, "scripted");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_close_reaches_a_target_that_writes_as_it_reads() {
    const SENT: usize = 1 << 20;
    let (told, mut totals) = mpsc::unbounded_channel();
    let closed = Arc::new(Notify::new());
    let gate = Arc::clone(&closed);
    let server = TestServer::builder()
        .user(alice())
        .forward_target(
            "echo",
            None,
            Target::closure(move |mut stream| {
                let (gate, told) = (Arc::clone(&gate), told.clone());
                async move {
                    gate.notified().await;
                    let (mut total, mut buffer) = (0, vec![0; 10_000]);
                    loop {
                        let read = stream.read(&mut buffer).await.unwrap();
                        if read == 0 {
                            break;
                        }
                        total += read;
                        // Once all has been delivered nobody reads this any more.
                        drop(stream.write_all(&buffer[..read]).await);
                    }
                    told.send(total).unwrap();
                }
            }),
        )
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let channel = client.handle.channel_open_direct_tcpip("echo", 7, "127.0.0.1", 1).await.unwrap();
    channel.data_bytes(vec![7; SENT]).await.unwrap();
    channel.close().await.unwrap();
    // The client is done with it, whatever the target still does.
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    closed.notify_one();
    assert_eq!(timeout(LIMIT, totals.recv()).await.unwrap(), Some(SENT));
    server.stop().await.unwrap();
}
