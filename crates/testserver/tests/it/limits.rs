//! The limits of an `sshd`, seen at the client.

use std::time::Duration;

use russh::ChannelMsg;
use rustle_testserver::{Call, Cut, DisconnectReason, End, Exit, Fault, Phase, RawPeer, Target, TestServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::client::{Client, LIMIT, alice, collect};

const HOURS: Duration = Duration::from_secs(10_000);

/// What the server says first to somebody new; an identification line means they were let in.
async fn greeting(server: &TestServer) -> (Vec<u8>, rustle_testserver::Duplex) {
    let mut stream = server.duplex();
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap());
    }
    (line, stream)
}

#[tokio::test(start_paused = true)]
async fn connections_past_max_startups_are_turned_away_until_one_has_logged_in() {
    let server =
        TestServer::builder().user(alice()).builtins().max_startups(2, 100, 2).start().await.unwrap();
    let mut first = Client::over(server.duplex()).await.unwrap();
    let (hello, second) = greeting(&server).await;
    assert!(hello.starts_with(b"SSH-2.0-"));
    let (line, mut third) = greeting(&server).await;
    assert_eq!(line, b"Not allowed at this time\r\n");
    assert_eq!(third.read(&mut [0; 10]).await.unwrap(), 0);
    assert!(Client::over(server.duplex()).await.is_err());
    // Neither a login nor a connection that is gone counts any more.
    assert!(first.password("alice", "wonderland").await.success());
    drop(second);
    drop(third);
    server.wait_until(|record| record.connections_open() == 1, LIMIT).await.unwrap();
    let (one, _one) = greeting(&server).await;
    let (two, _two) = greeting(&server).await;
    let (three, _three) = greeting(&server).await;
    assert!(one.starts_with(b"SSH-2.0-") && two.starts_with(b"SSH-2.0-"));
    assert_eq!(three, b"Not allowed at this time\r\n");
    assert_eq!(server.record().connections()[2].ended(), Some(&End::TurnedAway));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn max_startups_drops_at_random_by_the_seed() {
    async fn let_in(seed: u64) -> Vec<bool> {
        let server = TestServer::builder()
            .seed(seed)
            .max_startups(5, 30, 40)
            .max_startups_text("Exceeded MaxStartups");
        let server = server.start().await.unwrap();
        let mut held = Vec::new();
        let mut let_in = Vec::new();
        for _ in 0..60 {
            let (line, stream) = greeting(&server).await;
            let_in.push(line.starts_with(b"SSH-2.0-"));
            assert!(let_in.last() == Some(&true) || line == b"Exceeded MaxStartups\r\n");
            held.push(stream);
        }
        server.stop().await.unwrap();
        let_in
    }
    let some = let_in(3).await;
    assert!(some[..5].iter().all(|let_in| *let_in));
    let dropped = some.iter().filter(|let_in| !**let_in).count();
    assert!((10..50).contains(&dropped), "{dropped}");
    assert_eq!(let_in(3).await, some);
    assert_ne!(let_in(4).await, some);
}

#[tokio::test]
async fn max_startups_turns_away_on_a_socket_too() {
    let server =
        TestServer::builder().max_startups(0, 100, 0).max_startups_text("Not today").start().await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    // What the client says unread must not turn the end into a reset.
    stream.write_all(b"SSH-2.0-Probe\r\n").await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"Not today\r\n");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_past_max_auth_tries_end_in_a_goodbye() {
    let server = TestServer::builder().user(alice()).max_auth_tries(2).start().await.unwrap();
    let mut client = Client::over(server.duplex()).await.unwrap();
    // A first attempt by `none` is free, and the last of the two tries may still be the right one.
    assert!(!client.handle.authenticate_none("alice").await.unwrap().success());
    assert!(!client.password("alice", "wrong").await.success());
    assert!(client.password("alice", "wonderland").await.success());

    let mut client = Client::over(server.duplex()).await.unwrap();
    for _ in 0..2 {
        assert!(!client.password("alice", "wrong").await.success());
    }
    assert_eq!(client.ended().await, "ProtocolError: Too many authentication failures");
    drop(client);
    server
        .wait_until(
            |record| {
                record.connections()[1].ended() == Some(&End::Disconnected(DisconnectReason::ProtocolError))
            },
            LIMIT,
        )
        .await
        .unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn grace_of_a_login_ends_and_spares_those_who_are_in() {
    let grace = Duration::from_secs(120);
    let server = TestServer::builder().user(alice()).builtins().login_grace(grace).start().await.unwrap();
    let inside = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    let slow = Client::over(server.duplex()).await.unwrap();
    let mut mute = server.duplex();
    let mut heard = Vec::new();
    mute.read_to_end(&mut heard).await.unwrap();
    assert!((grace..grace * 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    slow.ended().await;
    tokio::time::sleep(grace).await;
    assert_eq!(inside.output("echo in").await.text(), "in\n");
    drop(mute);
    drop(slow);
    server.wait_until(|record| record.connections_open() == 1, LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[1].ended(), Some(&End::LoginGrace));
    assert_eq!(server.record().connections()[2].ended(), Some(&End::LoginGrace));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_answer_is_dropped_and_one_that_does_is_not() {
    let alive = Duration::from_secs(15);
    let server = TestServer::builder().user(alice()).builtins().client_alive(alive, 3).start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let channel = client.exec("sleep 1000").await;
    assert_eq!(collect(channel).await.code, Some(0));
    server.stop().await.unwrap();

    // What stalls here is what the client says: to the server the client is dead.
    let deaf = Fault::drip(Phase::Request, rustle_testserver::Direction::Received, 1, HOURS);
    let server = TestServer::builder()
        .user(alice())
        .builtins()
        .client_alive(alive, 3)
        .fault(deaf)
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    let channel = client.exec("sleep 1000").await;
    assert_eq!(collect(channel).await.code, None);
    // As sshd: three requests without an answer, and the time of the fourth.
    assert!((alive * 4..alive * 5).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    drop(client);
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Unresponsive));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn grace_of_a_login_and_cuts_end_an_attempt_that_waits() {
    let (delay, grace) = (Duration::from_secs(30), Duration::from_secs(10));
    let builder = || TestServer::builder().user(alice()).auth_delay(delay);
    for (server, end) in [
        (builder().login_grace(grace), End::LoginGrace),
        (builder().fault(Fault::cut(grace, Cut::Rst)), End::Cut(Cut::Rst)),
    ] {
        let server = server.start().await.unwrap();
        let begin = Instant::now();
        let mut client = Client::over(server.duplex()).await.unwrap();
        let answer = client.handle.authenticate_password("alice", "wonderland").await;
        assert!(!answer.is_ok_and(|answer| answer.success()));
        server.wait_until_idle(LIMIT).await.unwrap();
        assert!((grace..grace * 2).contains(&begin.elapsed()), "{end:?}: {:?}", begin.elapsed());
        assert_eq!(server.record().connections()[0].ended(), Some(&end));
        assert!(server.record().auth_attempts().is_empty());
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn client_that_resets_the_connection_has_ended_it() {
    let server = TestServer::builder().start().await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    stream.read_u8().await.unwrap();
    stream.set_zero_linger().unwrap();
    drop(stream);
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Client));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_seen_a_session_close_finds_its_place_free() {
    for raw in [None, Some(RawPeer::new())] {
        let mut builder = TestServer::builder().user(alice()).builtins().max_sessions(1);
        if let Some(peer) = raw {
            builder = builder.raw_peer(peer);
        }
        let server = builder.start().await.unwrap();
        let client = Client::alice(&server).await;
        for _ in 0..300 {
            assert_eq!(client.output("true").await.code, Some(0));
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_raw_peer_closes_a_channel_whose_input_nobody_reads_as_well() {
    let server = TestServer::builder()
        .user(alice())
        .max_unread(1 << 20)
        .command_fn("deaf", async |_| std::future::pending().await)
        .raw_peer(RawPeer::new())
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut deaf = client.exec("deaf").await;
    deaf.data_bytes(vec![7; 2_000_000]).await.unwrap();
    let closed = async { while !matches!(deaf.wait().await, Some(ChannelMsg::Close) | None) {} };
    timeout(LIMIT, closed).await.unwrap();
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    timeout(LIMIT, client.open()).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_input_nobody_reads_is_closed() {
    let server = TestServer::builder()
        .user(alice())
        .max_unread(1 << 20)
        .command_fn("deaf", async |_| std::future::pending().await)
        .command_fn("slow", async |mut call: Call| {
            let mut bytes = 0;
            while let Some(chunk) = call.stdin().chunk().await {
                bytes += chunk.len();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            call.stdout().send(format!("{bytes}")).await.unwrap();
            Exit::SUCCESS
        })
        .forward_target("deaf", None, Target::closure(async |_stream| std::future::pending().await))
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let input = || vec![7; 4 << 20];
    // Whoever reads at all gets everything.
    let slow = client.exec("slow").await;
    slow.data_bytes(input()).await.unwrap();
    slow.eof().await.unwrap();
    assert_eq!(collect(slow).await.text(), "4194304");

    let deaf = client.exec("deaf").await;
    let target = client.handle.channel_open_direct_tcpip("deaf", 1, "127.0.0.1", 1).await.unwrap();
    for mut channel in [deaf, target] {
        let begin = Instant::now();
        // Less than a window: it is all sent whether somebody reads it or not.
        channel.data_bytes(vec![7; 2_000_000]).await.unwrap();
        let closed = async { while !matches!(channel.wait().await, Some(ChannelMsg::Close) | None) {} };
        timeout(LIMIT, closed).await.unwrap();
        assert!((9..12).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    // The connection is as good as before.
    timeout(LIMIT, client.open()).await.unwrap();
    server.stop().await.unwrap();
}
