//! What faults do to messages and answers, one by one.

use super::{HI, Probe, broken, builder, heard, with};
use crate::{
    Damage, ErrorKind, Fault, Reply, RequestAnswer,
    raw::{message, wire::Writer},
};

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
    // No multiple of a block; and longer than it is: the tag is looked for in the wrong place.
    let reason = broken(Fault::message(message::CHANNEL_DATA, Damage::packet_length(17))).await;
    assert!(reason.contains("claims to be 17 bytes long"), "{reason}");
    let reason = broken(Fault::message(message::CHANNEL_DATA, Damage::packet_length(16 * 3))).await;
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
