//! Scripts in the place of the server.

use super::{LIMIT, Probe, Told, builder};
use crate::{RawPeer, raw::wire::Writer};

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
