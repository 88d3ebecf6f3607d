//! Channels that the server opens to its clients: their agent, their display, and what they never asked for.

use rustle_testserver::{Call, ChannelKind, Exit, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, alice, collect};

/// Opens the agent's channel and tells what came of it.
async fn ask_agent(mut call: Call) -> Exit {
    let told = match call.open_agent().await {
        Ok(mut agent) => {
            agent.write_all(b"who are you?").await.unwrap();
            agent.shutdown().await.unwrap();
            let mut answer = String::new();
            agent.read_to_string(&mut answer).await.unwrap();
            answer
        }
        Err(error) => format!("{:?}", error.kind()),
    };
    call.stdout().send(told).await.unwrap();
    Exit::SUCCESS
}

#[tokio::test(start_paused = true)]
async fn command_talks_to_the_agent_of_the_client() {
    let server = TestServer::builder()
        .user(alice())
        .agent_forwarding()
        .command_fn("ask", ask_agent)
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut incoming = client.take_channels();
    let session = client.open().await;
    session.agent_forward(true).await.unwrap();
    session.exec(true, "ask").await.unwrap();
    let (kind, _, channel) = incoming.recv().await.unwrap();
    assert_eq!(kind, "agent");
    let mut agent = channel.into_stream();
    let mut question = String::new();
    agent.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "who are you?");
    agent.write_all(b"the agent").await.unwrap();
    agent.shutdown().await.unwrap();
    assert_eq!(collect(session).await.text(), "the agent");
    let record = server.record();
    assert_eq!(record.channels()[0].granted_requests(), ["auth-agent-req@openssh.com"]);
    assert_eq!(record.channels()[1].kind(), &ChannelKind::Agent);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn agent_request_is_refused_unless_granted() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let session = client.open().await;
    session.agent_forward(true).await.unwrap();
    session.request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0).await.unwrap();
    session.exec(true, "true").await.unwrap();
    assert_eq!(collect(session).await.code, Some(0));
    let refused = ["auth-agent-req@openssh.com", "x11-req"];
    assert_eq!(server.record().channels()[0].refused_requests(), refused);
    assert!(server.record().channels()[0].granted_requests().is_empty());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn client_is_tried_with_channels_it_never_asked_for() {
    let server = TestServer::builder()
        .user(alice())
        .command_fn("intrude", async |mut call: Call| {
            let tried = [
                call.open_agent().await,
                call.open_x11("127.0.0.1", 6000).await,
                call.open_forwarded_tcpip("localhost", 22).await,
                call.open_forwarded_streamlocal("/run/socket").await,
            ];
            let refused = tried
                .into_iter()
                .filter(|tried| {
                    tried.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
                })
                .count();
            call.stdout().send(format!("{refused} refused")).await.unwrap();
            Exit::SUCCESS
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    assert_eq!(client.output("intrude").await.text(), "4 refused");
    assert_eq!(server.record().channels_refused_by_client(), 4);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn display_is_opened_with_what_the_client_asked_for() {
    let server = TestServer::builder()
        .user(alice())
        .x11_forwarding()
        .command_fn("xeyes", async |call: Call| {
            let request = call.x11().unwrap().clone();
            assert!(request.is_single_connection());
            assert!(!format!("{request:?}").contains("c0ffee"));
            let mut display = call.open_x11("localhost", 6010).await.unwrap();
            let hello = format!("{} {} {}", request.protocol(), request.cookie(), request.screen());
            display.write_all(hello.as_bytes()).await.unwrap();
            Exit::SUCCESS
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let mut incoming = client.take_channels();
    let session = client.open().await;
    session.request_x11(true, true, "MIT-MAGIC-COOKIE-1", "c0ffee", 3).await.unwrap();
    session.exec(true, "xeyes").await.unwrap();
    let (kind, about, channel) = incoming.recv().await.unwrap();
    assert_eq!((kind, about.as_str()), ("x11", "localhost 6010"));
    let mut hello = String::new();
    channel.into_stream().read_to_string(&mut hello).await.unwrap();
    assert_eq!(hello, "MIT-MAGIC-COOKIE-1 c0ffee 3");
    assert_eq!(collect(session).await.code, Some(0));
    assert_eq!(server.record().channels()[0].granted_requests(), ["x11-req"]);
    server.stop().await.unwrap();
}
