//! Faults of the wire, seen at the client: by time, with an end, drips, changed bytes, goodbyes.

use std::{io, time::Duration};

use rustle_testserver::{Cut, Direction, DisconnectReason, End, Fault, Moment, Network, Phase, TestServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::client::{Client, LIMIT, alice, collect};

const HOURS: Duration = Duration::from_secs(10_000);

async fn with(faults: impl IntoIterator<Item = Fault>) -> TestServer {
    let builder = TestServer::builder().user(alice()).builtins();
    faults.into_iter().fold(builder, |builder, fault| builder.fault(fault)).start().await.unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Whether a time is so many seconds, and less than another.
fn about(time: Duration, expected: u64) -> bool {
    (seconds(expected)..seconds(expected + 1)).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn cut_by_time_ends_the_connection_then() {
    let server = with([Fault::cut_at(seconds(5), Cut::Rst)]).await;
    let begin = Instant::now();
    let client = Client::alice_in_memory(&server).await;
    let output = collect(client.exec("sleep 1000").await).await;
    assert_eq!(output.code, None);
    assert!(about(begin.elapsed(), 5), "{:?}", begin.elapsed());
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Cut(Cut::Rst)));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cut_by_time_needs_no_client_that_speaks() {
    let server = with([Fault::cut_at(seconds(7), Cut::Rst)]).await;
    let begin = Instant::now();
    let mut heard = Vec::new();
    let error = server.duplex().read_to_end(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(about(begin.elapsed(), 7), "{:?}", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stall_by_time_holds_until_resumed_or_its_end() {
    let server = with([Fault::stall_at(seconds(1))]).await;
    let client = Client::alice_in_memory(&server).await;
    tokio::time::sleep(seconds(2)).await;
    let mut output = Box::pin(client.output("echo late"));
    assert!(timeout(HOURS, &mut output).await.is_err());
    server.resume();
    assert_eq!(timeout(LIMIT, output).await.unwrap().text(), "late\n");
    server.stop().await.unwrap();

    let server = with([Fault::stall_at(seconds(1)).for_time(seconds(10))]).await;
    let begin = Instant::now();
    let client = Client::alice_in_memory(&server).await;
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(timeout(LIMIT, client.output("echo late")).await.unwrap().text(), "late\n");
    assert!(about(begin.elapsed(), 11), "{:?}", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn delay_in_a_phase_answers_later() {
    for phase in [Phase::Accept, Phase::Banner, Phase::KeyExchange, Phase::Authentication] {
        let server = with([Fault::delay(phase, seconds(3)).once()]).await;
        let begin = Instant::now();
        Client::alice_in_memory(&server).await;
        assert!(about(begin.elapsed(), 3), "{phase}: {:?}", begin.elapsed());
        server.stop().await.unwrap();
    }
    for phase in [Phase::ChannelOpen, Phase::Request, Phase::Data, Phase::Close] {
        let server = with([Fault::delay(phase, seconds(3)).once()]).await;
        let client = Client::alice_in_memory(&server).await;
        let begin = Instant::now();
        assert_eq!(client.output("echo slow").await.text(), "slow\n");
        assert!(about(begin.elapsed(), 3), "{phase}: {:?}", begin.elapsed());
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn drip_slows_a_download_from_its_byte_on() {
    let server = with([Fault::drip(Moment::sent(10_000), Direction::Sent, 100, seconds(1))]).await;
    let client = Client::alice_in_memory(&server).await;
    let begin = Instant::now();
    assert_eq!(client.output("bytes 7000").await.stdout.len(), 7000);
    assert!(begin.elapsed() < seconds(1), "{:?}", begin.elapsed());
    let sent = server.record().bytes_out();
    assert_eq!(client.output("bytes 7000").await.stdout.len(), 7000);
    let slow = server.record().bytes_out() - 10_000;
    assert!(sent < 10_000, "{sent}");
    // The first hundred pass at once.
    assert!(begin.elapsed().as_secs().abs_diff(slow / 100) <= 1, "{:?} for {slow}", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn drip_slows_an_upload_for_its_time() {
    let drip = || Fault::drip(Phase::Request, Direction::Received, 100, seconds(1));
    let upload = async |fault: Fault| {
        let server = with([fault]).await;
        let client = Client::alice_in_memory(&server).await;
        let channel = client.exec("wc -c").await;
        let begin = Instant::now();
        channel.data_bytes(vec![7; 10_000]).await.unwrap();
        channel.eof().await.unwrap();
        assert_eq!(collect(channel).await.text().trim(), "10000");
        server.stop().await.unwrap();
        begin.elapsed()
    };
    let slow = upload(drip()).await;
    assert!((seconds(95)..seconds(110)).contains(&slow), "{slow:?}");
    let shorter = upload(drip().for_time(seconds(20))).await;
    assert!(about(shorter, 20), "{shorter:?}");
}

#[tokio::test(start_paused = true)]
async fn drip_may_be_both_ways() {
    let server = with([Fault::drip(Phase::Request, Direction::Both, 100, seconds(1))]).await;
    let client = Client::alice_in_memory(&server).await;
    let channel = client.exec("cat").await;
    let begin = Instant::now();
    channel.data_bytes(vec![7; 5000]).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.stdout.len(), 5000);
    // There and back again: the client's one message comes whole or not at all.
    assert!((seconds(95)..seconds(115)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cut_wins_over_whatever_else_is_due() {
    let cut = Fault::cut(Phase::ChannelOpen, Cut::Rst);
    for faults in [[cut.clone(), Fault::refuse_channel()], [Fault::refuse_channel(), cut]] {
        let server = with(faults).await;
        let client = Client::alice_in_memory(&server).await;
        assert!(client.handle.channel_open_session().await.is_err());
        drop(client);
        server.wait_until_idle(LIMIT).await.unwrap();
        let record = server.record();
        assert_eq!(record.connections()[0].ended(), Some(&End::Cut(Cut::Rst)));
        assert_eq!(record.channels_refused(), 0);
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn changed_byte_to_the_client_fails_its_check() {
    for mask in [0x01, 0] {
        let server = with([Fault::corrupt_sent(100_000, mask)]).await;
        let client = Client::alice_in_memory(&server).await;
        let output = client.output("bytes 1000000").await;
        assert!(output.stdout.len() < 110_000 && output.code.is_none(), "{}", output.stdout.len());
        let ended = client.ended().await;
        assert!(ended.contains("ecrypt") || ended.contains("MAC"), "{ended}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn changed_byte_from_the_client_fails_the_servers_check() {
    let server = with([Fault::corrupt_received(100_000, 0x80)]).await;
    let client = Client::alice_in_memory(&server).await;
    let channel = client.exec("wc -c").await;
    let sent = channel.data_bytes(vec![7; 200_000]).await;
    drop(sent);
    assert_eq!(collect(channel).await.code, None);
    drop(client);
    server.wait_until_idle(LIMIT).await.unwrap();
    let record = server.record();
    let Some(End::Broken(why)) = record.connections()[0].ended() else { panic!("{record}") };
    assert!(why.contains("ecrypt") || why.contains("MAC"), "{why}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn changed_byte_in_the_identification_line_is_that_byte() {
    let server = with([Fault::corrupt_sent(3, 0x0d)]).await;
    let mut line = [0; 8];
    server.duplex().read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"SSH 2.0-");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn goodbye_comes_with_its_reason_and_text() {
    let goodbye =
        |when: Moment| Fault::disconnect(when, DisconnectReason::TooManyConnections, "full, come back later");
    let after_login = [
        Phase::ChannelOpen.into(),
        Phase::Request.into(),
        Phase::Data.into(),
        Phase::Close.into(),
        Moment::sent(3000),
        Moment::received(3000),
        Moment::from(seconds(4)),
    ];
    for when in after_login {
        let server = with([goodbye(when.clone())]).await;
        let client = Client::alice_in_memory(&server).await;
        let run = async {
            if let Ok(channel) = client.handle.channel_open_session().await
                && channel.exec(true, "cat").await.is_ok()
            {
                drop(channel.data_bytes(vec![7; 5000]).await);
                if when == Phase::Close.into() {
                    drop(channel.eof().await);
                }
                collect(channel).await;
            }
        };
        timeout(HOURS, run).await.unwrap();
        assert_eq!(client.ended().await, "TooManyConnections: full, come back later", "{when:?}");
        drop(client);
        server.wait_until_idle(LIMIT).await.unwrap();
        let expected = End::Disconnected(DisconnectReason::TooManyConnections);
        assert_eq!(server.record().connections()[0].ended(), Some(&expected), "{when:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn goodbye_in_authentication_follows_a_refusal() {
    let server =
        with([Fault::disconnect(Phase::Authentication, DisconnectReason::IllegalUserName, "not you")]).await;
    let mut client = Client::over(server.duplex()).await.unwrap();
    assert!(!client.password("alice", "wonderland").await.success());
    assert_eq!(client.ended().await, "IllegalUserName: not you");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn goodbye_in_the_key_exchange_is_a_plain_packet() {
    let server =
        with([Fault::disconnect(Phase::KeyExchange, DisconnectReason::ProtocolError, "no keys today")]).await;
    let mut stream = server.duplex();
    stream.write_all(b"SSH-2.0-Probe\r\n").await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    let line = heard.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let packet = &heard[line..];
    assert_eq!(packet.len() % 8, 0);
    assert_eq!(packet[5..10], [1, 0, 0, 0, 2]);
    assert!(packet.windows(13).any(|window| window == b"no keys today"));
    drop(stream);
    server.wait_until_idle(LIMIT).await.unwrap();
    let expected = End::Disconnected(DisconnectReason::ProtocolError);
    assert_eq!(server.record().connections()[0].ended(), Some(&expected));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn goodbye_before_the_identification_line_is_the_end_of_the_stream() {
    for phase in [Phase::Accept, Phase::Banner] {
        let server = with([Fault::disconnect(phase, DisconnectReason::ByApplication, "unheard")]).await;
        let mut heard = Vec::new();
        server.duplex().read_to_end(&mut heard).await.unwrap();
        assert!(!heard.contains(&b'\n'), "{phase}: {heard:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn several_faults_strike_side_by_side() {
    let server = with([
        Fault::delay(Phase::Request, seconds(2)).nth(1),
        Fault::drip(Phase::Request, Direction::Sent, 10, seconds(1)).nth(2),
        Fault::refuse_channel().nth(3),
        Fault::cut_at(seconds(3600), Cut::Fin),
    ])
    .await;
    let begin = Instant::now();
    let client = Client::alice_in_memory(&server).await;
    assert_eq!(client.output("echo one").await.text(), "one\n");
    assert!(about(begin.elapsed(), 2), "{:?}", begin.elapsed());
    let dripping = Instant::now();
    assert_eq!(client.output("echo two").await.text(), "two\n");
    assert!(dripping.elapsed() > seconds(10), "{:?}", dripping.elapsed());
    assert!(client.handle.channel_open_session().await.is_err());
    let sleeping = collect(client.exec("sleep 9000").await).await;
    assert_eq!(sleeping.code, None);
    assert!(about(begin.elapsed(), 3600), "{:?}", begin.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_that_says_nothing_hears_the_goodbye_at_its_time() {
    let server = with([
        Fault::disconnect(seconds(5), DisconnectReason::ByApplication, "out of time"),
        Fault::disconnect(seconds(5), DisconnectReason::ProtocolError, "second thoughts"),
    ])
    .await;
    let begin = Instant::now();
    let mut heard = Vec::new();
    server.duplex().read_to_end(&mut heard).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 5);
    assert!(heard.windows(11).any(|window| window == b"out of time"), "{heard:?}");
    assert!(!heard.windows(6).any(|window| window == b"second"), "{heard:?}");
    server.wait_until_idle(LIMIT).await.unwrap();
    let expected = End::Disconnected(DisconnectReason::ByApplication);
    assert_eq!(server.record().connections()[0].ended(), Some(&expected));
    server.expect_unfired();
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cut_after_the_line_needs_no_word_of_the_client() {
    for network in [None, Some(Network::new())] {
        let mut builder = TestServer::builder().fault(Fault::cut(Phase::KeyExchange, Cut::Fin));
        if let Some(network) = network {
            builder = builder.network(network);
        }
        let server = builder.start().await.unwrap();
        let mut heard = Vec::new();
        server.duplex().read_to_end(&mut heard).await.unwrap();
        assert!(heard.ends_with(b"\r\n"), "{heard:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn byte_that_never_came_was_never_changed() {
    // What a server says to a client that says nothing.
    let server = with([]).await;
    let mut stream = server.duplex();
    let mut said = Vec::new();
    assert!(timeout(seconds(60), stream.read_to_end(&mut said)).await.is_err());
    drop(stream);
    server.stop().await.unwrap();

    let length = said.len() as u64;
    for (fault, changed) in [
        (Fault::corrupt_sent(length, 1), false),
        (Fault::corrupt_sent(length - 1, 1), true),
        (Fault::corrupt_received(8, 1), false),
        (Fault::corrupt_received(7, 1), true),
    ] {
        let server = with([fault.clone()]).await;
        let mut stream = server.duplex();
        stream.write_all(b"SSH-2.0-").await.unwrap();
        let mut heard = vec![0; said.len()];
        stream.read_exact(&mut heard).await.unwrap();
        // All that was said has been heard.
        assert!(timeout(seconds(60), stream.read_u8()).await.is_err());
        assert_eq!(server.faults()[0].fired(), usize::from(changed), "{fault}");
        drop(stream);
        server.wait_until_idle(LIMIT).await.unwrap();
        assert_eq!(server.stop().await.is_ok(), changed, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn byte_behind_a_cut_is_not_changed_and_two_changes_of_one_byte_add_up() {
    let server = with([Fault::cut_after(4, Cut::Fin), Fault::corrupt_sent(4, 1)]).await;
    let mut heard = Vec::new();
    server.duplex().read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"SSH-");
    server.wait_until_idle(LIMIT).await.unwrap();
    assert!(server.stop().await.unwrap_err().to_string().contains("after 4 bytes sent"));

    let server = with([Fault::corrupt_sent(3, 0x0c), Fault::corrupt_sent(3, 0x01)]).await;
    let mut line = [0; 8];
    server.duplex().read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"SSH 2.0-");
    server.stop().await.unwrap();
}
