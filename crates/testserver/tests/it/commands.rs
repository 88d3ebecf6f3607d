//! Commands: scripted, built in, and run by a shell.

use rustle_testserver::{Call, Exit, Reply, Signal, TestServer};

use crate::client::{Client, alice, collect};

#[tokio::test]
async fn scripted_command_gives_its_output_and_exit_code() {
    let server = TestServer::builder()
        .user(alice())
        .command("deploy", Reply::stdout("out").and_stderr("err").exit(7))
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let output = client.output("deploy").await;
    assert_eq!((output.text(), output.errors(), output.code, output.eof), ("out", "err", Some(7), true));
    assert_eq!(server.record().command("deploy").unwrap().exit(), Some(&Exit::Code(7)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn unknown_command_is_not_found() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let output = Client::alice(&server).await.output("uname -a").await;
    assert_eq!(output.code, Some(127));
    assert!(output.errors().contains("uname -a"), "{}", output.errors());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn exit_signal_and_silence_are_told_apart() {
    let server = TestServer::builder()
        .user(alice())
        .command("crash", Reply::new().signal(Signal::new("SEGV")))
        .command("mute", Reply::new().ends(Exit::Silent))
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let crash = client.output("crash").await;
    assert_eq!((crash.code, crash.signal.as_deref()), (None, Some("SEGV")));
    let mute = client.output("mute").await;
    assert_eq!((mute.code, mute.signal), (None, None));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn closure_answers_with_the_input_it_read() {
    let server = TestServer::builder()
        .user(alice())
        .command_fn("shout *", async |mut call: Call| {
            let mut text = call.command()[6..].to_vec();
            while let Some(chunk) = call.stdin().chunk().await {
                text.extend_from_slice(&chunk);
            }
            text.make_ascii_uppercase();
            call.stdout().send(text).await.map_or(Exit::Silent, |()| Exit::SUCCESS)
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let channel = client.exec("shout hello ").await;
    channel.data_bytes(&b"world"[..]).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.text(), "HELLO WORLD");
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn shell_runs_in_the_servers_directory() {
    let server = TestServer::builder().user(alice()).shell().start().await.unwrap();
    std::fs::write(server.directory().join("note"), "here").unwrap();
    let client = Client::alice(&server).await;
    let output = client.output("cat note; echo \" $USER\"; echo oops >&2; exit 3").await;
    assert_eq!((output.text(), output.errors(), output.code), ("here alice\n", "oops\n", Some(3)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn refused_request_leaves_the_channel_for_another() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let channel = client.open().await;
    channel.request_subsystem(true, "no such subsystem").await.unwrap();
    channel.exec(true, "echo instead").await.unwrap();
    assert_eq!(collect(channel).await.text(), "instead\n");
    server.stop().await.unwrap();
}
