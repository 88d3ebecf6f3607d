//! Channels and their requests.

use std::time::Duration;

use tokio::time::Instant;

use super::{HI, Probe, Told, builder, login};
use crate::{
    Fault,
    raw::{message, wire::Writer},
};

#[tokio::test(start_paused = true)]
async fn command_is_answered_message_by_message() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
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
async fn late_answer_to_a_channel_that_is_closed_by_then_is_none() {
    let late = Fault::withhold_request().for_time(Duration::from_secs(10)).once();
    let server = builder().fault(late).start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    probe.send(Writer::message(message::CHANNEL_CLOSE).u32(0)).await;
    assert_eq!(probe.message().await, [message::CHANNEL_CLOSE, 0, 0, 0, 7]);
    // Another channel by the same number of ours, of which nothing has been asked.
    probe.open().await;
    probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
    assert_eq!(probe.next().await, Told::Silence);
    let hi = Writer::message(message::CHANNEL_REQUEST).u32(1).string("exec").boolean(true).string("hi");
    probe.send(hi).await;
    assert_eq!(probe.numbers().await, HI);
    // What was asked of the first one never ran.
    assert_eq!(server.record().commands().len(), 1);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn late_answer_to_a_channel_that_is_open_comes() {
    let late = Fault::withhold_request().for_time(Duration::from_secs(10));
    let later = Fault::withhold_channel_open().for_time(Duration::from_secs(10));
    let server = builder().fault(late).fault(later).start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_come_as_late_as_other_answers() {
    let late = || Duration::from_secs(10);
    let server = builder()
        .max_sessions(1)
        .fault(Fault::withhold_request().for_time(late()))
        .fault(Fault::withhold_channel_open().for_time(late()))
        .start()
        .await
        .unwrap();
    let mut probe = Probe::session(&server).await;
    let begin = Instant::now();
    probe.open().await;
    assert_eq!(probe.message().await[0], message::CHANNEL_OPEN_FAILURE);
    assert_eq!(begin.elapsed().as_secs(), 10);
    let no_such = Writer::message(message::CHANNEL_REQUEST).u32(0).string("subsystem").boolean(true);
    probe.send(no_such.string("no such")).await;
    assert_eq!(probe.message().await, [message::CHANNEL_FAILURE, 0, 0, 0, 7]);
    assert_eq!(begin.elapsed().as_secs(), 20);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn place_of_a_session_is_free_when_its_close_is_answered() {
    let server = builder().max_sessions(1).start().await.unwrap();
    let mut probe = Probe::session(&server).await;
    probe.exec("sleep 1000").await;
    probe.until(message::CHANNEL_SUCCESS).await;
    // In one breath.
    probe.transport.send(Writer::message(message::CHANNEL_CLOSE).u32(0).finish());
    probe.open().await;
    assert_eq!(probe.message().await[0], message::CHANNEL_CLOSE);
    assert_eq!(probe.message().await[0], message::CHANNEL_OPEN_CONFIRMATION);
    // That place is taken again.
    probe.open().await;
    assert_eq!(probe.message().await[0], message::CHANNEL_OPEN_FAILURE);
    server.stop().await.unwrap();
}
