//! Clients that mean harm, and cuts.

use tokio::io::AsyncReadExt;

use super::{HI, LIMIT, Probe, Told, builder, login};
use crate::{
    Cut, Damage, End, ErrorKind, Exit, Fault, RawPeer, Round, TestServer, User,
    random::Random,
    raw::{message, wire::Writer},
};

#[tokio::test(start_paused = true)]
async fn hostile_messages_end_the_connection_and_nothing_else() {
    let begin = |number| Writer::message(number).u32(0);
    let hostile = [
        vec![message::CHANNEL_REQUEST],
        begin(message::CHANNEL_REQUEST).string("exec").boolean(true).u32(u32::MAX).finish(),
        begin(message::CHANNEL_REQUEST).string("pty-req").boolean(true).u32(9).finish(),
        begin(message::CHANNEL_REQUEST).string([0xff]).boolean(true).finish(),
        begin(message::CHANNEL_DATA).u32(u32::MAX).finish(),
        begin(message::CHANNEL_DATA).string(vec![0; 40_000]).finish(),
        begin(message::CHANNEL_EXTENDED_DATA).finish(),
        begin(message::CHANNEL_WINDOW_ADJUST).u32(u32::MAX).finish(),
        begin(message::CHANNEL_WINDOW_ADJUST).finish(),
        Writer::message(message::CHANNEL_CLOSE).u32(99).finish(),
        Writer::message(message::CHANNEL_OPEN).string("session").finish(),
        Writer::message(message::GLOBAL_REQUEST).u32(5).finish(),
        vec![message::NEWKEYS],
        vec![message::KEXINIT, 1],
        vec![message::KEX_ECDH_INIT],
        vec![message::USERAUTH_INFO_RESPONSE, 255, 255, 255, 255],
        vec![message::SERVICE_REQUEST],
    ];
    let server = builder().start().await.unwrap();
    for payload in &hostile {
        let mut probe = Probe::session(&server).await;
        probe.transport.send(payload.clone());
        probe.flush().await;
        probe.until(message::DISCONNECT).await;
        assert_eq!(probe.next().await, Told::End, "{payload:?}");
    }
    let mut probe = Probe::connect(&server).await;
    probe.open().await;
    assert_eq!(probe.until(message::DISCONNECT).await[0], message::DISCONNECT);
    // Unknown ones are answered, and life goes on.
    let mut probe = Probe::session(&server).await;
    probe.send(Writer::message(222)).await;
    assert_eq!(probe.message().await[0], message::UNIMPLEMENTED);
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.wait_until(|record| record.connections_open() == 1, LIMIT).await.unwrap();
    let broken = server.record();
    let broken = broken.connections().iter().filter(|one| matches!(one.ended(), Some(End::Broken(_))));
    assert_eq!(broken.count(), hostile.len() + 1);
    assert_eq!(server.record().command("hi").unwrap().exit(), Some(&Exit::SUCCESS));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connection_can_be_cut_as_soon_as_there_is_one() {
    let server = builder().start().await.unwrap();
    let mut stream = server.duplex();
    server.cut_all(Cut::Fin);
    let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_that_asks_and_never_ends_a_key_exchange_is_told_so() {
    let server = builder().rekey_after(1).start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    let open = Writer::message(message::CHANNEL_OPEN).string("other").u32(7).u32(0).u32(0).finish();
    assert_eq!(probe.next().await, Told::Silence);
    // Unheard, the server's KEXINIT is never answered.
    for _ in 0..200 {
        (0..100).for_each(|_| probe.transport.emit_now(open.clone()));
        probe.flush().await;
    }
    server.wait_until_idle(LIMIT).await.unwrap();
    let record = server.record();
    let Some(End::Broken(reason)) = record.connections()[0].ended() else { panic!("{record:?}") };
    assert!(reason.contains("too much"), "{reason}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_bad_packet_is_answered() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::login(&server).await;
    probe.transport.send(message::global_request("keepalive@openssh.com").to_vec());
    probe.transport.send(vec![201]);
    *probe.transport.output().last_mut().unwrap() ^= 1;
    probe.flush().await;
    assert_eq!(probe.message().await, [message::REQUEST_FAILURE]);
    assert_eq!(probe.message().await[0], message::DISCONNECT);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_to_questions_without_their_count_end_the_connection() {
    let eve = User::new("eve").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
    let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
    for answers in [
        Writer::message(message::USERAUTH_INFO_RESPONSE),
        Writer::message(message::USERAUTH_INFO_RESPONSE).u32(2).string("1"),
        Writer::message(message::USERAUTH_INFO_RESPONSE).u32(u32::MAX),
        Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).u32(u32::MAX),
    ] {
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("keyboard-interactive").string("").string("")).await;
        probe.until(message::USERAUTH_INFO_REQUEST).await;
        probe.send(answers).await;
        probe.until(message::DISCONNECT).await;
        assert_eq!(probe.next().await, Told::End);
    }
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tag_cannot_be_wrong_before_there_is_one() {
    let fault = Fault::message(message::KEXINIT, Damage::corrupt_tag());
    let server = builder().fault(fault).start().await.unwrap();
    drop(Probe::login(&server).await);
    assert_eq!(server.faults()[0].fired(), 0);
    assert_eq!(server.stop().await.unwrap_err().kind(), ErrorKind::Expectation);
}

/// Anything at all that begins as a message of a logged-in client might.
fn nonsense(random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "session",
        "exec",
        "shell",
        "subsystem",
        "env",
        "pty-req",
        "signal",
        "window-change",
        "cat",
        "hi",
        "ssh-userauth",
        "tcpip-forward",
    ];
    let pick = |random: &mut Random, of: u64| usize::try_from(random.next() % of).unwrap();
    // Most about the open channel and as it should be begun, some about anything; goodbyes aside.
    let number = match pick(random, 10) {
        0 => 2 + u8::try_from(random.next() % 254).unwrap(),
        1 => message::GLOBAL_REQUEST,
        _ => 90 + u8::try_from(random.next() % 11).unwrap(),
    };
    let begun = Writer::message(number);
    let mut said = match number {
        message::GLOBAL_REQUEST => begun.string(WORDS[pick(random, 12)]).boolean(true),
        message::CHANNEL_OPEN => begun.string(WORDS[pick(random, 12)]).u32(8).u32(100).u32(100),
        message::CHANNEL_WINDOW_ADJUST => begun.u32(0).u32(5),
        message::CHANNEL_DATA => begun.u32(0).string("data"),
        message::CHANNEL_EXTENDED_DATA => begun.u32(0).u32(1).string("data"),
        message::CHANNEL_REQUEST => begun.u32(0).string(WORDS[pick(random, 12)]).boolean(true),
        _ => begun.u32(0),
    };
    for _ in 0..pick(random, 5) {
        said = match pick(random, 6) {
            0 => said.u32(u32::try_from(random.next() % 3).unwrap()),
            1 => said.u32(u32::MAX - u32::try_from(random.next() % 3).unwrap()),
            2 => said.boolean(random.next().is_multiple_of(2)),
            3 => said.string(random.next().to_be_bytes()),
            4 => said.raw(&random.next().to_be_bytes()),
            _ => said.string(WORDS[pick(random, 12)]),
        };
    }
    let mut said = said.finish();
    if random.next().is_multiple_of(8) {
        said.truncate(1 + pick(random, 8));
    }
    said
}

#[tokio::test(start_paused = true)]
async fn whatever_clients_say_the_server_outlives_them() {
    let server = builder().start().await.unwrap();
    let (mut broken, mut whole) = (0, 0);
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut probe = Probe::session(&server).await;
        for _ in 0..4 {
            probe.transport.emit_now(nonsense(&mut random));
        }
        probe.flush().await;
        loop {
            match probe.next().await {
                Told::Message(_) => {}
                Told::End => break broken += 1,
                Told::Silence => break whole += 1,
                Told::Broken(reason) => panic!("{seed}: {reason}"),
            }
        }
        drop(probe);
        // A connection whose task has panicked would never end.
        server.wait_until_idle(LIMIT).await.unwrap_or_else(|error| panic!("{seed}: {error}"));
    }
    assert!(broken > 30 && whole > 30, "{broken} {whole}");
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.stop().await.unwrap();
}
