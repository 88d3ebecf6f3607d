//! Channels: limits, requests, ends.

use russh::ChannelMsg;
use rustle_testserver::{ChannelKind, Reply, TerminalSize, TestServer};

use crate::client::{Client, LIMIT, alice, collect};

#[tokio::test]
async fn channel_past_max_sessions_is_refused_and_a_freed_slot_serves_again() {
    let server = TestServer::builder().user(alice()).builtins().max_sessions(2).start().await.unwrap();
    let client = Client::alice(&server).await;
    let first = client.exec("sleep 1000").await;
    let _second = client.exec("sleep 1000").await;
    let refused = client.handle.channel_open_session().await.unwrap_err();
    assert!(
        matches!(refused, russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed)),
        "{refused}"
    );
    assert_eq!(server.record().channels_refused(), 1);

    first.close().await.unwrap();
    server.wait_until(|record| record.channels_open() == 1, LIMIT).await.unwrap();
    assert_eq!(client.output("echo again").await.text(), "again\n");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn environment_and_terminal_are_recorded_and_given_to_the_command() {
    let server = TestServer::builder().user(alice()).builtins().accept_env(["LANG"]).start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut channel = client.open().await;
    channel.set_env(true, "LANG", "C.UTF-8").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
    channel.set_env(true, "SECRET", "x").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[(russh::Pty::ECHO, 0)]).await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
    channel.exec(true, "env").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
    channel.window_change(132, 50, 1, 2).await.unwrap();
    assert_eq!(collect(channel).await.text(), "LANG=C.UTF-8\n");

    let record = server.record();
    let command = record.command("env").unwrap();
    assert_eq!(command.env(), [("LANG".to_owned(), "C.UTF-8".to_owned())]);
    let pty = command.pty().unwrap();
    assert_eq!((pty.term(), pty.size().columns, pty.modes()), ("xterm", 80, &[(53, 0)][..]));
    assert_eq!(record.channels()[0].refused_requests(), ["env"]);
    assert_eq!(record.channels()[0].kind(), &ChannelKind::Session);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn change_of_the_terminals_size_is_recorded() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let channel = client.exec("stall").await;
    channel.window_change(132, 50, 1, 2).await.unwrap();
    let size = TerminalSize { columns: 132, rows: 50, pixel_width: 1, pixel_height: 2 };
    server.wait_until(|record| record.window_changes() == [size], LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn second_request_on_a_channel_is_refused() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut channel = client.exec("stall").await;
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
    channel.exec(true, "true").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    assert_eq!(server.record().commands().len(), 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn login_shell_and_subsystem_are_scripted_or_refused() {
    let server = TestServer::builder()
        .user(alice())
        .login_shell(Reply::stdout("$ "))
        .subsystem_fn("echo", async |mut call: rustle_testserver::Call| {
            while let Some(chunk) = call.stdin().chunk().await {
                if call.stdout().send(chunk).await.is_err() {
                    break;
                }
            }
            rustle_testserver::Exit::SUCCESS
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;

    let channel = client.open().await;
    channel.request_shell(true).await.unwrap();
    assert_eq!(collect(channel).await.text(), "$ ");

    let channel = client.open().await;
    channel.request_subsystem(true, "echo").await.unwrap();
    channel.data_bytes(&b"hello"[..]).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.text(), "hello");

    let mut channel = client.open().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_ends_connections_channels_and_tasks() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let running = client.exec("sleep 1000").await;
    let _idle = client.open().await;
    let _unauthenticated = Client::connect(&server).await.unwrap();
    let addr = server.addr();
    tokio::time::timeout(LIMIT, server.stop()).await.unwrap().unwrap();
    let output = tokio::time::timeout(LIMIT, collect(running)).await.unwrap();
    assert_eq!((output.code, output.signal), (None, None));
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "still listening");
}
