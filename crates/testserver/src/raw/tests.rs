//! The raw peer as a client hears it that sees every message, byte by byte, in memory.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Builder, Cut, Damage, Duplex, End, ErrorKind, Exit, Fault, Method, RawPeer, Reply, RequestAnswer, Round,
    TestServer, User,
    raw::{
        message,
        transport::{Broken, Event, Offer, Transport},
        wire::{Reader, Writer},
    },
};

/// No test waits longer than this, of paused time, for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that sees every message.
struct Probe {
    transport: Transport,
    stream: Duplex,
}

/// What a probe is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Message(Vec<u8>),
    Broken(String),
    End,
    Silence,
}

impl Probe {
    /// After the key exchange.
    async fn connect(server: &TestServer) -> Self {
        let transport = Transport::client(Offer::new(vec!["ssh-ed25519".to_owned()]));
        let mut probe = Self { transport, stream: server.duplex() };
        while probe.transport.exchanges() == 0 {
            probe.read().await.unwrap();
        }
        probe
    }

    /// Logged in as a user who needs to show nothing.
    async fn login(server: &TestServer) -> Self {
        let mut probe = Self::connect(server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("none")).await;
        probe.until(message::USERAUTH_SUCCESS).await;
        probe
    }

    /// With an open session; the server's number for it is 0, ours is 7.
    async fn session(server: &TestServer) -> Self {
        let mut probe = Self::login(server).await;
        probe.open().await;
        probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
        probe
    }

    async fn open(&mut self) {
        let open = Writer::message(message::CHANNEL_OPEN).string("session").u32(7).u32(1 << 20).u32(1 << 15);
        self.send(open).await;
    }

    /// Asks for a command and a reply.
    async fn exec(&mut self, command: &str) {
        self.send(
            Writer::message(message::CHANNEL_REQUEST).u32(0).string("exec").boolean(true).string(command),
        )
        .await;
    }

    async fn data(&mut self, count: usize) {
        self.send(Writer::message(message::CHANNEL_DATA).u32(0).string(vec![b'x'; count])).await;
    }

    async fn send(&mut self, message: Writer) {
        self.transport.send(message.finish());
        self.flush().await;
    }

    async fn flush(&mut self) {
        let output = std::mem::take(self.transport.output());
        // A server that has hung up is noticed by what it says next.
        drop(self.stream.write_all(&output).await);
    }

    async fn next(&mut self) -> Told {
        loop {
            while let Some(event) = self.transport.event() {
                if let Event::Message { payload, .. } = event {
                    return Told::Message(payload);
                }
            }
            match tokio::time::timeout(LIMIT, self.read()).await {
                Err(_) => return Told::Silence,
                Ok(Ok(0)) => return Told::End,
                Ok(Ok(_)) => {}
                Ok(Err(broken)) => return Told::Broken(broken.to_string()),
            }
        }
    }

    async fn message(&mut self) -> Vec<u8> {
        match self.next().await {
            Told::Message(payload) => payload,
            other => panic!("{other:?}"),
        }
    }

    /// The next message of this number; those before it are skipped.
    async fn until(&mut self, number: u8) -> Vec<u8> {
        loop {
            let payload = self.message().await;
            if payload.first() == Some(&number) {
                return payload;
            }
        }
    }

    /// The numbers of all messages until the channel is closed or nothing more comes.
    async fn numbers(&mut self) -> Vec<u8> {
        let mut numbers = Vec::new();
        while let Told::Message(payload) = self.next().await {
            numbers.push(payload.first().copied().unwrap_or_default());
            if payload.first() == Some(&message::CHANNEL_CLOSE) {
                break;
            }
        }
        numbers
    }

    async fn read(&mut self) -> Result<usize, Broken> {
        self.flush().await;
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or_default();
        self.transport.receive(&buffer[..count])?;
        self.flush().await;
        Ok(count)
    }
}

fn login(method: &str) -> Writer {
    Writer::message(message::USERAUTH_REQUEST).string("eve").string("ssh-connection").string(method)
}

/// A server for a probe: a user who needs to show nothing, and a command that says `hi`.
fn builder() -> Builder {
    TestServer::builder()
        .user(User::new("eve").none().password("old"))
        .command("hi", Reply::stdout("hi"))
        .builtins()
        .raw_peer(RawPeer::new())
}

async fn with(fault: Fault) -> TestServer {
    builder().fault(fault).start().await.unwrap()
}

/// The messages of a command that says `hi`.
const HI: [u8; 5] = [
    message::CHANNEL_SUCCESS,
    message::CHANNEL_DATA,
    message::CHANNEL_REQUEST,
    message::CHANNEL_EOF,
    message::CHANNEL_CLOSE,
];

/// What a probe hears that runs `hi` at a server with this fault.
async fn heard(fault: Fault) -> Vec<u8> {
    let server = with(fault).await;
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    let numbers = probe.numbers().await;
    server.stop().await.unwrap();
    numbers
}

/// The first packet that a probe cannot take, or what it is told last.
async fn broken(fault: Fault) -> String {
    let server = with(fault).await;
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    let end = loop {
        match probe.next().await {
            Told::Message(_) => {}
            other => break other,
        }
    };
    server.stop().await.unwrap();
    match end {
        Told::Broken(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn command_is_answered_message_by_message() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_are_dropped_duplicated_and_swapped() {
    let [success, data, exit, eof, close] = HI;
    let drop = Fault::message(exit, Damage::dropped());
    assert_eq!(heard(drop).await, [success, data, eof, close]);
    let twice = Fault::message(data, Damage::duplicated());
    assert_eq!(heard(twice).await, [success, data, data, exit, eof, close]);
    let swap = Fault::message(success, Damage::swapped());
    assert_eq!(heard(swap).await, [data, success, exit, eof, close]);
}

#[tokio::test(start_paused = true)]
async fn storms_come_before_and_after() {
    let [success, data, exit, eof, close] = HI;
    let before = Fault::message(data, Damage::before(message::ignore("noise"), 3));
    assert_eq!(heard(before).await, [success, 2, 2, 2, data, exit, eof, close]);
    let after = Fault::message(success, Damage::after(message::global_request("who-are-you"), 2));
    assert_eq!(heard(after).await, [success, 80, 80, data, exit, eof, close]);
    for (payload, number) in [
        (message::debug("hello"), message::DEBUG),
        (message::window_adjust(7, u32::MAX), message::CHANNEL_WINDOW_ADJUST),
        (vec![233].into(), 233),
    ] {
        let storm = Fault::message(success, Damage::after(payload, 100));
        assert_eq!(heard(storm).await.iter().filter(|heard| **heard == number).count(), 100);
    }
    let confusing = Fault::message(success, Damage::after(message::empty_kexinit(), 1));
    let reason = broken(confusing).await;
    assert!(reason.contains("no common key exchange method"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn payloads_are_cut_grown_replaced_and_made_to_lie() {
    let data = message::CHANNEL_DATA;
    let whole = [94, 0, 0, 0, 7, 0, 0, 0, 2, b'h', b'i'];
    let mut lie = whole;
    lie[5..9].fill(0xff);
    let cases = [
        (Damage::truncated(6), whole[..6].to_vec()),
        (Damage::appended(vec![1, 2]), [&whole[..], &[1, 2]].concat()),
        (Damage::string_length(5, u32::MAX), lie.to_vec()),
    ];
    for (damage, expected) in cases {
        let server = with(Fault::message(data, damage)).await;
        let mut probe = Probe::session(&server).await;
        probe.exec("hi").await;
        assert_eq!(probe.until(data).await, expected);
        server.stop().await.unwrap();
    }
    let nonsense = Fault::message(data, Damage::replaced(vec![250, 1]));
    assert_eq!(heard(nonsense).await[1], 250);
}

#[tokio::test(start_paused = true)]
async fn packets_lie_about_their_length_and_their_integrity() {
    for length in [0, 1, 300_000, u32::MAX] {
        let reason = broken(Fault::message(message::CHANNEL_DATA, Damage::packet_length(length))).await;
        assert!(reason.contains(&length.to_string()), "{reason}");
    }
    let reason = broken(Fault::message(message::CHANNEL_DATA, Damage::corrupt_tag())).await;
    assert!(reason.contains("tag is wrong"), "{reason}");
    // Shorter than it is, and no multiple of a block: the tag is looked for in the wrong place.
    let reason = broken(Fault::message(message::CHANNEL_DATA, Damage::packet_length(17))).await;
    assert!(reason.contains("tag is wrong"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn faults_count_messages_and_connections_and_meet_in_one_message() {
    let again = Fault::message(message::CHANNEL_DATA, Damage::duplicated()).nth(2).on_connection(2);
    let server = builder()
        .fault(again)
        .fault(Fault::message(message::CHANNEL_EOF, Damage::appended(vec![1])).on_connection(2))
        .fault(Fault::message(message::CHANNEL_EOF, Damage::appended(vec![2])).on_connection(2))
        .command("thrice", Reply::stdout("out").and_stderr("err"))
        .start()
        .await
        .unwrap();
    for connection in 1..=2 {
        let mut probe = Probe::session(&server).await;
        probe.exec("bytes 80000").await;
        let mut data = 0;
        let eof = loop {
            let payload = probe.message().await;
            match payload[0] {
                message::CHANNEL_DATA => data += 1,
                message::CHANNEL_EOF => break payload,
                _ => {}
            }
        };
        let expected = if connection == 1 { (3, vec![]) } else { (4, vec![1, 2]) };
        assert_eq!((data, eof[5..].to_vec()), expected);
    }
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn frozen_window_is_never_widened_and_its_overrun_is_told() {
    let server = with(Fault::frozen_window(1000)).await;
    let mut probe = Probe::login(&server).await;
    probe.open().await;
    let confirmation = probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
    assert_eq!(Reader::new(&confirmation[9..]).u32(), Some(1000));
    probe.exec("wc -c").await;
    probe.until(message::CHANNEL_SUCCESS).await;
    probe.data(1000).await;
    assert_eq!(probe.next().await, Told::Silence);
    probe.data(1).await;
    assert_eq!(probe.message().await[0], message::DISCONNECT);
    assert_eq!(probe.next().await, Told::End);
    server.wait_until_idle(LIMIT).await.unwrap();
    match server.record().connections()[0].ended() {
        Some(End::Broken(why)) => assert!(why.contains("the window had 0 left"), "{why}"),
        other => panic!("{other:?}"),
    }
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tiny_window_is_widened_by_as_much_each_time() {
    let server = with(Fault::tiny_window(3)).await;
    let mut probe = Probe::session(&server).await;
    probe.exec("wc -c").await;
    probe.until(message::CHANNEL_SUCCESS).await;
    for _ in 0..5 {
        probe.data(2).await;
        probe.data(1).await;
        assert_eq!(probe.message().await, [93, 0, 0, 0, 7, 0, 0, 0, 3]);
    }
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn packets_are_as_small_as_asked_for_both_ways() {
    let server = builder().fault(Fault::data_packets(1)).fault(Fault::max_packet(50)).start().await.unwrap();
    let mut probe = Probe::login(&server).await;
    probe.open().await;
    let confirmation = probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
    assert_eq!(Reader::new(&confirmation[13..]).u32(), Some(50));
    probe.exec("bytes 9").await;
    let numbers = probe.numbers().await;
    assert_eq!(numbers.iter().filter(|number| **number == message::CHANNEL_DATA).count(), 9);
    probe.data(51).await;
    assert_eq!(probe.message().await[0], message::DISCONNECT);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn channel_is_refused_with_code_text_and_language() {
    let server = with(Fault::refuse_channel_in_language(4, "Kein Platz", "de").nth(2)).await;
    let mut probe = Probe::session(&server).await;
    probe.open().await;
    let refusal = probe.until(message::CHANNEL_OPEN_FAILURE).await;
    let expected = Writer::message(message::CHANNEL_OPEN_FAILURE).u32(7).u32(4);
    assert_eq!(refusal, expected.string("Kein Platz").string("de").finish());
    assert_eq!(server.record().channels_refused(), 1);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn request_is_answered_in_each_wrong_way() {
    let [success, data, exit, eof, close] = HI;
    let failure = message::CHANNEL_FAILURE;
    let cases = [
        (RequestAnswer::Failure, vec![failure]),
        (RequestAnswer::Nothing, vec![data, exit, eof, close]),
        (RequestAnswer::Twice, vec![success, success, data, exit, eof, close]),
        (RequestAnswer::Both, vec![success, failure, data, exit, eof, close]),
        (RequestAnswer::AfterOutput, vec![data, success, exit, eof, close]),
    ];
    for (answer, expected) in cases {
        assert_eq!(heard(Fault::answer_request(answer)).await, expected, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn expired_password_is_changed_before_the_login() {
    let server = with(Fault::change_password("Expired. New: ").once()).await;
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    let show = |old: &str| login("password").boolean(false).string(old);
    let change = |old: &str, new: &str| login("password").boolean(true).string(old).string(new);
    probe.send(show("wrong")).await;
    probe.until(message::USERAUTH_FAILURE).await;
    probe.send(show("old")).await;
    let asked = Writer::message(message::USERAUTH_PASSWD_CHANGEREQ).string("Expired. New: ").string("");
    assert_eq!(probe.message().await, asked.finish());
    probe.send(change("old", "old")).await;
    assert_eq!(probe.message().await[0], message::USERAUTH_PASSWD_CHANGEREQ);
    probe.send(change("wrong", "new")).await;
    assert_eq!(probe.message().await[0], message::USERAUTH_FAILURE);
    probe.send(change("old", "new")).await;
    assert_eq!(probe.message().await, [message::USERAUTH_SUCCESS]);
    // The new one holds from now on.
    for (password, answer) in [("old", message::USERAUTH_FAILURE), ("new", message::USERAUTH_SUCCESS)] {
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(show(password)).await;
        probe.until(answer).await;
    }
    server.stop().await.unwrap();

    // One that has expired by itself needs no fault.
    let eve = User::new("eve").expired_password("old");
    let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    probe.send(show("old")).await;
    probe.until(message::USERAUTH_PASSWD_CHANGEREQ).await;
    probe.send(change("old", "new")).await;
    probe.until(message::USERAUTH_SUCCESS).await;
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_the_raw_peer_that_never_struck_is_named() {
    let cases = [
        (Fault::message(94, Damage::dropped()).nth(2), "loss of message 94, time 2"),
        (Fault::message(94, Damage::duplicated()), "duplicate of message 94"),
        (Fault::message(94, Damage::swapped()), "swap with the next of message 94"),
        (Fault::message(94, Damage::truncated(3)), "truncation to 3 bytes of message 94"),
        (Fault::message(94, Damage::appended(vec![1])), "1 more bytes of message 94"),
        (Fault::message(94, Damage::replaced(vec![1])), "replacement by 1 bytes of message 94"),
        (Fault::message(94, Damage::before(vec![2], 9)), "message 2 9 times ahead of message 94"),
        (Fault::message(94, Damage::after(vec![2], 9)), "message 2 9 times in the wake of message 94"),
        (Fault::message(94, Damage::string_length(5, 6)), "string length 6 at 5 of message 94"),
        (Fault::message(94, Damage::packet_length(1)), "packet length 1 of message 94"),
        (Fault::message(94, Damage::corrupt_tag()), "wrong tag of message 94"),
        (Fault::frozen_window(5), "frozen window (5 bytes) of a channel"),
        (Fault::tiny_window(5), "tiny window (5 bytes) of a channel"),
        (Fault::max_packet(5), "packet limit (5 bytes) of a channel"),
        (Fault::data_packets(5), "small packets (5 bytes) of a channel"),
        (
            Fault::refuse_channel_in_language(4, "no", "en"),
            "refusal (code 4, \"no\", language \"en\") of a channel",
        ),
        (Fault::answer_request(RequestAnswer::Both), "answer Both of a request"),
        (Fault::change_password("New?"), "password change (\"New?\") at a right password"),
    ];
    for (fault, name) in cases {
        let server = with(fault).await;
        // A connection alone is not enough.
        Probe::connect(&server).await;
        let error = server.stop().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Expectation);
        assert!(error.to_string().contains(&format!("never happened: {name};")), "{error}");
    }
}

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
async fn login_needs_its_service() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(login("none")).await;
    probe.until(message::DISCONNECT).await;
    assert_eq!(probe.next().await, Told::End);
    assert!(server.record().auth_attempts().is_empty());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn small_rekeys_begin_at_the_login_and_end_with_what_is_said() {
    let server = builder().rekey_after(1).start().await.unwrap();
    let mut probe = Probe::login(&server).await;
    assert_eq!(probe.next().await, Told::Silence);
    assert_eq!(probe.transport.exchanges(), 1);
    probe.open().await;
    probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
    assert_eq!(probe.next().await, Told::Silence);
    let exchanges = probe.transport.exchanges();
    assert!((2..10).contains(&exchanges), "{exchanges}");
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn swaps_of_consecutive_messages_are_swaps_of_pairs() {
    let server = builder()
        .command("four", Reply::stdout("abcd"))
        .fault(Fault::data_packets(1))
        .fault(Fault::message(message::CHANNEL_DATA, Damage::swapped()))
        .start()
        .await
        .unwrap();
    let mut probe = Probe::session(&server).await;
    probe.exec("four").await;
    let mut said = Vec::new();
    while said.len() < 4 {
        said.extend(probe.until(message::CHANNEL_DATA).await.last().copied());
    }
    assert_eq!(said, b"badc");
    assert_eq!(server.faults()[1].fired(), 2);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn script_that_ends_during_a_key_exchange_is_heard_to_its_end() {
    let peer = RawPeer::new().script(async |mut peer| {
        peer.rekey().await.unwrap();
        peer.send(vec![201]).await.unwrap();
    });
    let server = builder().raw_peer(peer).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.until(201).await;
    assert_eq!(probe.next().await, Told::End);
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
async fn answers_about_channels_that_are_not_are_no_errors_and_a_closed_one_is_silent() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    probe.send(Writer::message(message::CHANNEL_OPEN_CONFIRMATION).u32(99).u32(1).u32(0).u32(0)).await;
    probe.send(Writer::message(message::CHANNEL_OPEN_FAILURE).u32(99).u32(1).string("").string("")).await;
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    probe.exec("hi").await;
    assert_eq!(probe.next().await, Told::Silence);
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
async fn names_and_values_that_are_no_text_end_nothing() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    probe.send(login("password").boolean(false).string([0xff])).await;
    probe.until(message::USERAUTH_FAILURE).await;
    let mut probe = Probe::session(&server).await;
    let request = |name: &str| Writer::message(message::CHANNEL_REQUEST).u32(0).string(name).boolean(true);
    probe.send(request("env").string("LANG").string([0xff])).await;
    assert_eq!(probe.message().await[0], message::CHANNEL_FAILURE);
    probe.send(request("signal").string([0xff])).await;
    assert_eq!(probe.message().await[0], message::CHANNEL_SUCCESS);
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn script_hears_all_that_was_said_before_the_end() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let peer = RawPeer::new().script(move |mut peer| {
        let heard = heard.clone();
        async move {
            while let Some(payload) = peer.next().await {
                heard.send(payload[0]).unwrap();
            }
            heard.send(0).unwrap();
        }
    });
    let server = builder().raw_peer(peer).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    for number in 101..=120 {
        probe.send(Writer::message(number)).await;
    }
    drop(probe);
    server.wait_until_idle(LIMIT).await.unwrap();
    let mut numbers = Vec::new();
    while let Ok(number) = hears.try_recv() {
        numbers.push(number);
    }
    assert_eq!(numbers, (101..=120).chain([0]).collect::<Vec<u8>>());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn attempts_after_the_last_try_are_not_judged_and_change_no_password() {
    for personality in [Some(RawPeer::new()), None] {
        let base = personality.is_none();
        let eve = User::new("eve").password("old");
        let mut builder = TestServer::builder().user(eve).max_auth_tries(1);
        if let Some(peer) = personality {
            builder = builder.raw_peer(peer);
        }
        let server = builder.start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        let show = |password: &str| login("password").boolean(false).string(password);
        for message in [
            Writer::message(message::SERVICE_REQUEST).string("ssh-userauth"),
            show("wrong"),
            login("password").boolean(true).string("old").string("new"),
            show("old"),
        ] {
            probe.transport.send(message.finish());
        }
        probe.flush().await;
        let heard = probe.numbers().await;
        assert!(!heard.contains(&message::USERAUTH_SUCCESS), "base {base}: {heard:?}");
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(show("old")).await;
        probe.until(message::USERAUTH_SUCCESS).await;
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_request_ends_a_conversation_even_one_that_is_not_understood() {
    for personality in [Some(RawPeer::new()), None] {
        let base = personality.is_none();
        let eve = User::new("eve").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
        let mut builder = TestServer::builder().user(eve);
        if let Some(peer) = personality {
            builder = builder.raw_peer(peer);
        }
        let server = builder.start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("keyboard-interactive").string("").string("")).await;
        probe.until(message::USERAUTH_INFO_REQUEST).await;
        probe.send(login("password").boolean(false).string("guess")).await;
        probe.until(message::USERAUTH_FAILURE).await;
        probe.send(Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).string("1")).await;
        let heard = probe.numbers().await;
        assert!(!heard.contains(&message::USERAUTH_SUCCESS), "base {base}: {heard:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn conversation_ends_with_a_method_that_is_unknown_and_a_key_that_cannot_be_read() {
    let key = login("publickey").boolean(true).string("ssh-ed25519").string("no key").string("");
    for between in [login("hostbased"), key] {
        let eve = User::new("eve").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
        let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("keyboard-interactive").string("").string("")).await;
        probe.until(message::USERAUTH_INFO_REQUEST).await;
        probe.send(between).await;
        probe.until(message::USERAUTH_FAILURE).await;
        probe.send(Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).string("1")).await;
        let heard = probe.numbers().await;
        assert!(!heard.contains(&message::USERAUTH_SUCCESS), "{heard:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn password_is_changed_only_where_one_is_asked_for() {
    let eve = User::new("eve").password("old").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
    let eve = eve.steps([Method::KeyboardInteractive, Method::Password]);
    let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    probe.send(login("password").boolean(true).string("old").string("new")).await;
    probe.until(message::USERAUTH_FAILURE).await;
    probe.send(login("keyboard-interactive").string("").string("")).await;
    probe.until(message::USERAUTH_INFO_REQUEST).await;
    probe.send(Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).string("1")).await;
    probe.until(message::USERAUTH_FAILURE).await;
    probe.send(login("password").boolean(false).string("old")).await;
    probe.until(message::USERAUTH_SUCCESS).await;
    server.stop().await.unwrap();
}
