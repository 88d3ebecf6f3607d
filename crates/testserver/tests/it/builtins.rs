//! Built-in commands, on every platform.

use rustle_testserver::{Exit, Signal, TestServer};

use crate::client::{Client, LIMIT, alice, collect};

async fn server() -> TestServer {
    TestServer::builder().user(alice()).builtins().start().await.unwrap()
}

#[tokio::test]
async fn small_ones_answer_as_their_namesakes() {
    let server = server().await;
    let client = Client::alice(&server).await;
    assert_eq!(client.output("echo 'a  b' c").await.text(), "a  b c\n");
    assert_eq!(client.output("echo -n x").await.text(), "x");
    assert_eq!(client.output("stderr oops").await.errors(), "oops\n");
    assert_eq!(client.output("true").await.code, Some(0));
    assert_eq!(client.output("false").await.code, Some(1));
    assert_eq!(client.output("exit 42").await.code, Some(42));
    assert_eq!(client.output("exit x").await.code, Some(2));
    assert_eq!(client.output("bytes 1000").await.stdout.len(), 1000);
    let refused = client.output("cat file").await;
    assert_eq!(refused.code, Some(2));
    assert!(refused.errors().contains("not built in"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sha256sum_and_cat_see_every_byte_of_the_input() {
    let server = server().await;
    let client = Client::alice(&server).await;
    let data: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    assert!(client.echoed(data.clone()).await == data);

    let channel = client.exec("sha256sum").await;
    channel.data_bytes(&b"abc"[..]).await.unwrap();
    channel.eof().await.unwrap();
    // The digest of FIPS 180-4's first example.
    assert_eq!(
        collect(channel).await.text(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn signal_ends_a_builtin_as_it_would_a_process() {
    let server = server().await;
    let client = Client::alice(&server).await;
    let channel = client.exec("sleep 1000").await;
    channel.signal(russh::Sig::TERM).await.unwrap();
    let output = collect(channel).await;
    assert_eq!(output.signal.as_deref(), Some("TERM"));
    let record = server.record();
    assert_eq!(record.signals(), [Signal::term()]);
    assert_eq!(record.command("sleep 1000").unwrap().exit(), Some(&Exit::signal(Signal::term())));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn yes_stops_when_its_channel_is_closed() {
    let server = server().await;
    let client = Client::alice(&server).await;
    let mut channel = client.exec("yes").await;
    while !matches!(channel.wait().await, Some(russh::ChannelMsg::Data { .. })) {}
    channel.close().await.unwrap();
    server.wait_until(|record| record.processes_running() == 0, LIMIT).await.unwrap();
    server.assert_no_channels_open();
    assert_eq!(server.record().command("yes").unwrap().exit(), None);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn output_waits_for_the_clients_window_and_input_for_nobody() {
    let server = server().await;
    let client = Client::alice(&server).await;
    // A command that never reads is sent eight windows; another on the same connection is not held up by it.
    let deaf = client.exec("stall").await;
    deaf.data_bytes(vec![1; 16 << 20]).await.unwrap();
    assert_eq!(client.output("echo fine").await.text(), "fine\n");
    deaf.close().await.unwrap();
    server.wait_until(|record| record.processes_running() == 0, LIMIT).await.unwrap();
    server.stop().await.unwrap();
}
