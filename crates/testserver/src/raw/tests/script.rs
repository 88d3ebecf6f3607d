//! Scripts in the place of the server.

use std::time::Duration;

use super::{LIMIT, Probe, Told, builder};
use crate::{
    RawPeer,
    raw::{message, wire::Writer},
};

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
async fn script_hears_and_answers_all_that_came_before_a_bad_packet() {
    let peer = RawPeer::new().script(async |mut peer| {
        while let Some(payload) = peer.next().await {
            // Slow: all has arrived long before it is heard.
            tokio::time::sleep(Duration::from_millis(10)).await;
            peer.send(vec![payload[0] + 100]).await.unwrap();
        }
    });
    let server = builder().raw_peer(peer).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    (101..=110).for_each(|number| probe.transport.send(vec![number]));
    probe.transport.send(vec![111]);
    *probe.transport.output().last_mut().unwrap() ^= 1;
    probe.flush().await;
    assert_eq!(probe.message().await[0], message::EXT_INFO);
    for number in 201..=210 {
        assert_eq!(probe.message().await, [number]);
    }
    assert_eq!(probe.message().await[0], message::DISCONNECT);
    assert_eq!(probe.next().await, Told::End);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn script_that_never_listens_keeps_no_broken_connection() {
    let peer = RawPeer::new().script(async |peer| {
        std::future::pending::<()>().await;
        drop(peer);
    });
    let server = builder().raw_peer(peer).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.transport.send(vec![101]);
    probe.transport.send(vec![102]);
    *probe.transport.output().last_mut().unwrap() ^= 1;
    probe.flush().await;
    probe.until(message::DISCONNECT).await;
    assert_eq!(probe.next().await, Told::End);
    server.stop().await.unwrap();
}
