//! The record as a text: the same for the same test.

use std::time::Duration;

use rustle_testserver::{
    Exit, Fault, Happening, Network, RawPeer, Reply, Side, Signal, TestServer, Transcript,
};

use crate::client::{Client, LIMIT, alice, collect};

/// More than enough for a race to show.
const RUNS: usize = 20;

fn builder() -> rustle_testserver::Builder {
    TestServer::builder()
        .user(alice())
        .builtins()
        .command(
            "greet",
            Reply::stdout("hello\n").and_stderr("psst\n").exit(3).after(Duration::from_millis(70)),
        )
        .command_fn("wait for TERM", async |mut call| Exit::signal(call.signal().await))
        .seed(3)
}

/// A bit of everything: a wrong password, commands side by side, input, a signal, a refused channel.
async fn visit(server: &TestServer, mut client: Client) -> Transcript {
    assert!(!client.password("alice", "looking-glass").await.success());
    assert!(client.password("alice", "wonderland").await.success());
    let slow = client.exec("sleep 0.2").await;
    let much = client.exec("bytes 300000").await;
    let echo = client.exec("cat").await;
    let input = vec![b'x'; 200_000];
    let (input, feed) = (input.as_slice(), echo.make_writer());
    let ((), output, much) = tokio::join!(
        async {
            let mut feed = feed;
            tokio::io::AsyncWriteExt::write_all(&mut feed, input).await.unwrap();
            echo.eof().await.unwrap();
        },
        // Without an end of input, which would race with that of the command.
        async { collect(client.exec("greet").await).await },
        collect(much),
    );
    assert_eq!((output.text(), output.code, much.stdout.len()), ("hello\n", Some(3), 300_000));
    let echo = collect(echo).await;
    assert_eq!(echo.stdout.len(), input.len());
    let ended = client.exec("wait for TERM").await;
    ended.signal(russh::Sig::TERM).await.unwrap();
    assert_eq!(collect(ended).await.signal.as_deref(), Some("TERM"));
    assert_eq!(collect(slow).await.code, Some(0));
    assert!(client.handle.channel_open_session().await.is_err());
    client.handle.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    drop(client);
    server.wait_until_idle(LIMIT).await.unwrap();
    server.record().transcript()
}

fn assert_all_equal(transcripts: &[Transcript]) {
    for other in transcripts {
        assert_eq!(other.to_string(), transcripts[0].to_string());
        assert_eq!(other, &transcripts[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_runs_with_one_seed_give_one_transcript_under_paused_time() {
    let network = Network::new().round_trip(Duration::from_millis(30)).jitter(Duration::from_millis(20));
    for network in [None, Some(network.rate(4_000_000))] {
        let mut transcripts = Vec::new();
        for _ in 0..RUNS {
            let mut builder = builder().fault(Fault::refuse_channel().nth(6));
            if let Some(network) = &network {
                builder = builder.network(network.clone());
            }
            let server = builder.start().await.unwrap();
            let client = Client::over(server.duplex()).await.unwrap();
            transcripts.push(visit(&server, client).await);
            server.stop().await.unwrap();
        }
        assert_all_equal(&transcripts);
        let text = transcripts[0].to_string();
        for line in [
            "asks to be \"alice\" by password: Refused",
            "server",
            "300000 bytes of stdout",
            "200000 bytes of stdin",
            "ends the command: exit code 3",
            "refuses a channel",
            "sends signal TERM",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn normalised_transcripts_of_runs_over_tcp_are_equal() {
    let mut transcripts = Vec::new();
    for _ in 0..RUNS {
        let server = builder().fault(Fault::refuse_channel().nth(6)).start().await.unwrap();
        let client = Client::connect(&server).await.unwrap();
        transcripts.push(visit(&server, client).await.normalised());
        server.stop().await.unwrap();
    }
    assert_all_equal(&transcripts);
}

#[tokio::test(start_paused = true)]
async fn events_carry_the_time_and_the_side() {
    let server = builder().start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    collect(client.exec("greet").await).await;
    let channel = client.exec("wait for TERM").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    channel.signal(russh::Sig::TERM).await.unwrap();
    collect(channel).await;
    let record = server.record();
    let channels = record.channels();
    let stdout = &channels[0].events(Side::Server)[0];
    assert_eq!(stdout.what(), &Happening::Data { stream: "stdout", bytes: 6, pieces: 1 });
    assert!(
        stdout.at() >= Duration::from_millis(70) && stdout.at() < Duration::from_millis(200),
        "{stdout:?}"
    );
    let signal = channels[1].events(Side::Client).last().unwrap();
    assert_eq!(signal.what(), &Happening::Signal(Signal::new("TERM")));
    assert!(signal.at() >= Duration::from_secs(5), "{signal:?}");
    let login = record.connections()[0].events(Side::Client).last().unwrap();
    assert!(matches!(login.what(), Happening::LoggedIn { user, .. } if user == "alice"), "{login:?}");
    drop(client);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn raw_peer_gives_one_transcript_as_well_and_the_same_as_the_other_personality() {
    let mut transcripts = Vec::new();
    for run in 0..=RUNS {
        let mut builder = builder().fault(Fault::refuse_channel().nth(6));
        if run > 0 {
            builder = builder.raw_peer(RawPeer::new());
        }
        let server = builder.start().await.unwrap();
        let client = Client::over(server.duplex()).await.unwrap();
        transcripts.push(visit(&server, client).await);
        server.stop().await.unwrap();
    }
    assert_all_equal(&transcripts[1..]);
    assert_eq!(transcripts[0].normalised().to_string(), transcripts[1].normalised().to_string());
}

#[tokio::test(start_paused = true)]
async fn client_in_a_hurry_gives_one_transcript_too() {
    in_a_hurry(builder).await;
}

#[tokio::test(start_paused = true)]
async fn client_in_a_hurry_gives_one_transcript_at_the_raw_peer_as_well() {
    in_a_hurry(|| builder().raw_peer(RawPeer::new())).await;
}

async fn in_a_hurry(builder: impl Fn() -> rustle_testserver::Builder) {
    let mut transcripts = Vec::new();
    for _ in 0..RUNS {
        let server = builder().start().await.unwrap();
        let client = Client::alice_in_memory(&server).await;
        // A signal right behind the data, a close right behind a command, and the end right behind an upload.
        let echo = client.exec("cat").await;
        echo.data_bytes("in time\n").await.unwrap();
        echo.signal(russh::Sig::TERM).await.unwrap();
        assert_eq!(collect(echo).await.text(), "in time\n");
        let channel = client.open().await;
        channel.exec(false, "echo unheard").await.unwrap();
        channel.close().await.unwrap();
        let upload = client.exec("wc -c").await;
        upload.data_bytes(vec![7; 300_000]).await.unwrap();
        client.handle.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
        drop(client);
        server.wait_until_idle(LIMIT).await.unwrap();
        transcripts.push(server.record().transcript());
        server.stop().await.unwrap();
    }
    assert_all_equal(&transcripts);
}
