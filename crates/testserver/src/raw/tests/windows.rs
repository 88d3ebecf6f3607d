//! Windows and packet sizes that are not as a client would have them.

use super::{LIMIT, Probe, Told, builder, with};
use crate::{
    End, Fault,
    raw::{message, wire::Reader},
};

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
