//! Servers that open what nobody asked for, too much of it, too early, or say what cannot be.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use rustle_session::{ErrorKind, TransportOptions};
use rustle_testserver::{Call, Exit, RawPeer, RawSession, TestServer, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use self::Field::{Byte, Number, Text};
use super::{echo, exchange, heard, is_refused, soon};
use crate::support::{close_and_check, login, login_with, server};

/// A field of a message (RFC 4251 section 5).
#[derive(Clone, Copy)]
enum Field<'a> {
    Byte(u8),
    Number(u32),
    Text(&'a str),
}

fn fields(parts: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Byte(byte) => bytes.push(*byte),
            Number(number) => bytes.extend(number.to_be_bytes()),
            Text(text) => {
                bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    bytes
}

/// A server of which this code is all there is once somebody is logged in.
async fn scripted<F, Fut>(script: F) -> TestServer
where
    F: Fn(RawSession) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    let logged_in = move |mut peer: RawSession| {
        let script = Arc::clone(&script);
        async move {
            peer.accept_login().await.expect("a login");
            script(peer).await;
        }
    };
    TestServer::builder().raw_peer(RawPeer::new().script(logged_in)).start().await.unwrap()
}

/// The fields of the next global request, which must have this name and want an answer.
async fn asked(peer: &mut RawSession, name: &str) -> Vec<u8> {
    loop {
        let payload = peer.next().await.expect("a request");
        if payload[0] == message::GLOBAL_REQUEST {
            let begin = fields(&[Byte(message::GLOBAL_REQUEST), Text(name), Byte(1)]);
            assert_eq!(payload.get(..begin.len()), Some(&begin[..]), "{}", String::from_utf8_lossy(&payload));
            return payload[begin.len()..].to_vec();
        }
    }
}

/// The next message about channels, by number.
async fn about_channels(peer: &mut RawSession) -> Vec<u8> {
    loop {
        let payload = peer.next().await.expect("a message");
        if payload[0] >= message::CHANNEL_OPEN {
            return payload.to_vec();
        }
    }
}

async fn say(peer: &mut RawSession, parts: &[Field<'_>]) {
    peer.send(fields(parts)).await.unwrap();
}

/// A channel for who is said to have connected from there.
async fn open(
    peer: &mut RawSession,
    number: u32,
    (address, port): (&str, u32),
    (from, from_port): (&str, u32),
) {
    let begin = [Byte(message::CHANNEL_OPEN), Text("forwarded-tcpip"), Number(number)];
    let end = [Number(1 << 20), Number(1 << 15), Text(address), Number(port), Text(from), Number(from_port)];
    say(peer, &[&begin[..], &end].concat()).await;
}

/// Whether it refuses this channel, as one that nobody asked for.
fn refuses(answer: &[u8], number: u32) -> bool {
    answer.starts_with(&fields(&[Byte(message::CHANNEL_OPEN_FAILURE), Number(number), Number(1)]))
}

/// Serves until the client is gone.
async fn attend(mut peer: RawSession) {
    while peer.next().await.is_some() {}
}

#[tokio::test]
async fn only_what_was_asked_for_is_accepted_and_nothing_after_it_was_closed() {
    let server = server()
        .tcpip_forward_scripted()
        .streamlocal_forward_scripted()
        .command_fn("stray", async |mut call: Call| {
            for (address, port) in
                [("localhost", 49_153), ("127.0.0.1", 49_152), ("", 49_152), ("localhost", 0)]
            {
                if !is_refused(&call.open_forwarded_tcpip(address, port).await) {
                    return Exit::Code(1);
                }
            }
            for path in ["/run/b", "", "localhost"] {
                if !is_refused(&call.open_forwarded_streamlocal(path).await) {
                    return Exit::Code(2);
                }
            }
            let Ok(asked_for) = call.open_forwarded_tcpip("localhost", 49_152).await else {
                return Exit::Code(3);
            };
            let Ok(socket) = call.open_forwarded_streamlocal("/run/a").await else { return Exit::Code(4) };
            if exchange(asked_for, b"port").await != b"port" || exchange(socket, b"path").await != b"path" {
                return Exit::Code(5);
            }
            drop(call.stdout().send("served").await);
            Exit::SUCCESS
        })
        .command_fn("late", async |call: Call| {
            let port = call.open_forwarded_tcpip("localhost", 49_152).await;
            let path = call.open_forwarded_streamlocal("/run/a").await;
            if is_refused(&port) && is_refused(&path) { Exit::SUCCESS } else { Exit::Code(1) }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let mut port = session.listen_tcpip("localhost", 49_152).await.unwrap();
    let mut path = session.listen_streamlocal("/run/a").await.unwrap();
    let serve = async {
        let port = port.accept().await.unwrap().into_stream();
        let path = path.accept().await.unwrap().into_stream();
        tokio::join!(echo(port), echo(path))
    };
    let (stray, _) = soon(async { tokio::join!(session.output("stray"), serve) }).await;
    assert_eq!(stray.unwrap().status.code(), Some(0));
    port.close().await.unwrap();
    path.close().await.unwrap();
    assert_eq!(soon(session.output("late")).await.unwrap().status.code(), Some(0));
    assert_eq!(server.record().channels_refused_by_client(), 9);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn of_a_flood_128_wait_and_the_rest_is_refused_for_want_of_room() {
    let server = server()
        .tcpip_forward_scripted()
        .command_fn("flood", async |mut call: Call| {
            let mut visits: FuturesUnordered<_> =
                (0..140).map(|_| call.open_forwarded_tcpip("", 49_152)).collect();
            for _ in 0..12 {
                let Some(Err(error)) = visits.next().await else { return Exit::Code(1) };
                if !error.to_string().contains("ResourceShortage") {
                    return Exit::Code(2);
                }
            }
            // The others have no answer yet.
            if futures_util::poll!(visits.next()).is_ready() || call.stdout().send("128 wait").await.is_err()
            {
                return Exit::Code(3);
            }
            let accepted: Vec<_> = visits.collect().await;
            if accepted.len() != 128 || !accepted.iter().all(Result::is_ok) {
                return Exit::Code(4);
            }
            if call.open_forwarded_tcpip("", 49_152).await.is_ok() { Exit::SUCCESS } else { Exit::Code(5) }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let mut listener = session.listen_tcpip("", 0).await.unwrap();
    let mut child = session.line("flood").spawn().await.unwrap();
    let said = soon(child.take_stdout().unwrap().chunk()).await.unwrap();
    assert_eq!(said.as_deref(), Some(&b"128 wait"[..]));
    assert_eq!(session.stats().channels_open, 1, "who waits has no channel yet");
    assert!(session.output("true").await.unwrap().status.success());
    let mut accepted = Vec::new();
    for _ in 0..129 {
        accepted.push(soon(listener.accept()).await.unwrap());
    }
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(0));
    assert_eq!(server.record().channels_refused_by_client(), 12);
    drop((child, accepted, listener));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_channel_right_behind_the_answer_is_not_lost_and_nothing_is_heard_before_it_is_open() {
    let server = scripted(async |mut peer| {
        assert_eq!(asked(&mut peer, "tcpip-forward").await, fields(&[Text(""), Number(0)]));
        // Two before the answer, one of them for another port, and what belongs to no channel that is open.
        open(&mut peer, 6, ("", 5001), ("\u{1b}[2Jhere\n", 70_000)).await;
        open(&mut peer, 7, ("", 5002), ("there", 1)).await;
        for number in 0..8 {
            say(&mut peer, &[Byte(message::CHANNEL_DATA), Number(number), Text("too early")]).await;
        }
        say(&mut peer, &[Byte(message::REQUEST_SUCCESS), Number(5001)]).await;
        open(&mut peer, 8, ("", 65_536 + 5001), ("there", 1)).await;
        let mut answers = Vec::new();
        for _ in 6..=8 {
            answers.push(about_channels(&mut peer).await);
        }
        // The confirmation has the smallest number.
        answers.sort();
        assert!(refuses(&answers[1], 7) && refuses(&answers[2], 8), "{answers:?}");
        let confirmed = &answers[0];
        let begin = fields(&[Byte(message::CHANNEL_OPEN_CONFIRMATION), Number(6)]);
        assert!(confirmed.starts_with(&begin), "{confirmed:?}");
        let channel = u32::from_be_bytes(confirmed[5..9].try_into().unwrap());
        say(&mut peer, &[Byte(message::CHANNEL_DATA), Number(channel), Text("hello")]).await;
        say(&mut peer, &[Byte(message::CHANNEL_EOF), Number(channel)]).await;
        attend(peer).await;
    })
    .await;
    let session = login(&server).await;
    let mut listener = session.listen_tcpip("", 0).await.unwrap();
    assert_eq!(listener.port(), Some(5001));
    let incoming = soon(listener.accept()).await.unwrap();
    // What it tells of the visitor moves no cursor, and there is no such port.
    assert_eq!((incoming.originator_address(), incoming.originator_port()), (Some("[2Jhere "), None));
    assert_eq!(soon(heard(incoming.into_stream())).await, b"hello");
    session.abort();
    drop((session, listener));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_that_there_is_none_of_is_the_servers_fault_and_is_cancelled() {
    for answer in [&[][..], &[Number(0)], &[Number(65_536)]] {
        let answer = fields(answer);
        let server = scripted(move |mut peer| {
            let answer = answer.clone();
            async move {
                asked(&mut peer, "tcpip-forward").await;
                peer.send([&[message::REQUEST_SUCCESS][..], &answer].concat()).await.unwrap();
                assert_eq!(
                    asked(&mut peer, "cancel-tcpip-forward").await,
                    fields(&[Text("localhost"), Number(0)])
                );
                say(&mut peer, &[Byte(message::REQUEST_SUCCESS)]).await;
                attend(peer).await;
            }
        })
        .await;
        let session = login(&server).await;
        let error = session.listen_tcpip("localhost", 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("a free port of localhost"), "{error}");
        session.abort();
        drop(session);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_cancelled_and_the_port_can_be_asked_for_again() {
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let server = scripted(move |mut peer| {
        let gate = Arc::clone(&gate);
        async move {
            let place = fields(&[Text(""), Number(8080)]);
            assert_eq!(asked(&mut peer, "tcpip-forward").await, place);
            drop(gate.acquire().await);
            // A visitor is as late.
            say(&mut peer, &[Byte(message::REQUEST_SUCCESS)]).await;
            open(&mut peer, 0, ("", 8080), ("there", 1)).await;
            assert_eq!(asked(&mut peer, "cancel-tcpip-forward").await, place);
            say(&mut peer, &[Byte(message::REQUEST_SUCCESS)]).await;
            while let Some(payload) = peer.next().await {
                if payload[0] == message::GLOBAL_REQUEST {
                    say(&mut peer, &[Byte(message::REQUEST_SUCCESS)]).await;
                }
            }
        }
    })
    .await;
    let options = TransportOptions::builder().request_timeout(Duration::from_millis(200)).build();
    let session = login_with(&server, options.unwrap()).await;
    let error = session.listen_tcpip("", 8080).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::ChannelTimeout, "listen"), "{error}");
    go.add_permits(1);
    let listener = loop {
        // Each of them may be over before a busy machine has come so far.
        match session.listen_tcpip("", 8080).await {
            Ok(listener) => break listener,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ChannelTimeout, "{error}"),
        }
    };
    assert_eq!(listener.port(), Some(8080));
    session.abort();
    drop((session, listener));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_both_sides_have_ended_is_closed_by_the_server_first() {
    const NUMBER: u32 = 7;
    let server = scripted(|mut peer| async move {
        asked(&mut peer, "tcpip-forward").await;
        say(&mut peer, &[Byte(message::REQUEST_SUCCESS)]).await;
        open(&mut peer, NUMBER, ("localhost", 8080), ("198.51.100.1", 1000)).await;
        let confirmed = about_channels(&mut peer).await;
        let begin = fields(&[Byte(message::CHANNEL_OPEN_CONFIRMATION), Number(NUMBER)]);
        assert_eq!(confirmed.get(..5), Some(&begin[..]));
        let theirs = u32::from_be_bytes(confirmed[5..9].try_into().unwrap());
        say(&mut peer, &[Byte(message::CHANNEL_EOF), Number(theirs)]).await;
        // Of each of the questions that follow, the client could close the channel before the next.
        let mut questions = 0;
        while questions < 5 {
            let payload = peer.next().await.expect("a message");
            assert_ne!(payload[0], message::CHANNEL_CLOSE, "after {questions} questions");
            if payload[0] == message::GLOBAL_REQUEST {
                questions += 1;
                say(&mut peer, &[Byte(message::REQUEST_FAILURE)]).await;
            }
        }
        say(&mut peer, &[Byte(message::CHANNEL_CLOSE), Number(theirs)]).await;
        while about_channels(&mut peer).await[0] != message::CHANNEL_CLOSE {}
        attend(peer).await;
    })
    .await;
    let session = login(&server).await;
    let mut listener = soon(session.listen_tcpip("localhost", 8080)).await.unwrap();
    let mut stream = soon(listener.accept()).await.unwrap().into_stream();
    let mut read = Vec::new();
    soon(stream.read_to_end(&mut read)).await.unwrap();
    soon(stream.shutdown()).await.unwrap();
    drop(stream);
    for _ in 0..5 {
        soon(session.ping()).await.unwrap();
    }
    let closed = async {
        while session.stats().channels_open > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
    // This script answers no request for the port's end.
    session.abort();
    drop(listener);
    session.closed().await;
    server.stop().await.unwrap();
}
