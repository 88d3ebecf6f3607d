//! Forwards whose clients say by SOCKS where they want to go.

use std::time::Duration;

use rustle_pool::{ErrorKind, Forward, ForwardHandle, Pool};
use rustle_testserver::{ChannelKind, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{anywhere, connect, echoes, is_balanced, rest, targets, until};
use crate::support::{pool, pool_with, shut_down_and_check};

/// SOCKS 5 without authentication, up to the answer to the request; gives its code.
async fn five(client: &mut TcpStream, request: &[u8]) -> u8 {
    client.write_all(&[5, 1, 0]).await.unwrap();
    let mut method = [0; 2];
    client.read_exact(&mut method).await.unwrap();
    assert_eq!(method, [5, 0]);
    client.write_all(request).await.unwrap();
    let mut answer = [0; 10];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], &answer[2..]), (5, &[0, 1, 0, 0, 0, 0, 0, 0][..]));
    answer[1]
}

/// A request of SOCKS 5 for a name.
fn named(host: &str) -> Vec<u8> {
    [&[5, 1, 0, 3, u8::try_from(host.len()).unwrap()], host.as_bytes(), &[0, 80]].concat()
}

/// SOCKS 4 and 4a: what is answered.
async fn four(client: &mut TcpStream, request: &[u8]) -> u8 {
    client.write_all(request).await.unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], &answer[2..]), (0, &[0; 6][..]));
    answer[1]
}

async fn dynamic(pool: &Pool) -> ForwardHandle {
    pool.forward("web", Forward::dynamic(anywhere())).await.unwrap()
}

#[tokio::test]
async fn each_version_and_each_sort_of_address_leads_to_where_it_says() {
    let server = targets()
        .forward_target("192.0.2.7", 80, Target::echo())
        .forward_target("2001:db8::1", 80, Target::echo())
        .start()
        .await
        .unwrap();
    let pool = pool(&server);
    let forward = dynamic(&pool).await;
    let six = [&[5, 1, 0, 4, 0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1, 0, 80]].concat();
    for request in [named("echo"), vec![5, 1, 0, 1, 192, 0, 2, 7, 0, 80], six] {
        let mut client = connect(&forward).await;
        assert_eq!(five(&mut client, &request).await, 0);
        echoes(&mut client, "hello").await;
    }
    for request in [&b"\x04\x01\0\x50\xc0\0\x02\x07me\0"[..], b"\x04\x01\0\x50\0\0\0\x01me\0echo\0"] {
        let mut client = connect(&forward).await;
        assert_eq!(four(&mut client, request).await, 0x5a);
        echoes(&mut client, "hello").await;
    }
    let record = server.record();
    let asked: Vec<_> = record.channels().iter().map(|channel| channel.kind().clone()).collect();
    let hosts = ["echo", "192.0.2.7", "2001:db8::1", "192.0.2.7", "echo"];
    assert_eq!(asked, hosts.map(|host| ChannelKind::DirectTcpip(host.to_owned(), 80)));
    let stats = until(&forward, "all have ended", |stats| stats.ended == 5).await;
    // What is said to the forward itself is not counted.
    assert_eq!((stats.bytes_to_server, stats.bytes_from_server, stats.failed), (25, 25, 0));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_is_said_too_early_is_not_lost() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = dynamic(&pool).await;
    let mut client = connect(&forward).await;
    client.write_all(&[&[5, 1, 0][..], &named("echo"), b"all at once"].concat()).await.unwrap();
    client.shutdown().await.unwrap();
    let heard = rest(&mut client).await.unwrap();
    assert_eq!(heard, [&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"all at once"].concat());
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_program_is_told_why_it_is_not_connected() {
    let server = targets().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().attempts(1));
    pool.connect("web").await.unwrap();
    let forward = pool.forward("web", Forward::dynamic(anywhere()).park(Duration::from_secs(3)));
    let forward = forward.await.unwrap();
    let bind = vec![5, 2, 0, 1, 192, 0, 2, 7, 0, 80];
    let unknown = vec![5, 1, 0, 2, 0, 0];
    for (request, code) in [(named("down"), 5), (named("elsewhere"), 2), (bind, 7), (unknown, 8)] {
        let mut client = connect(&forward).await;
        assert_eq!(five(&mut client, &request).await, code, "{request:?}");
        assert_eq!(rest(&mut client).await.unwrap(), b"");
    }
    for request in [&b"\x04\x01\0\x50\0\0\0\x01me\0down\0"[..], b"\x04\x02\0\x50\xc0\0\x02\x07me\0"] {
        let mut client = connect(&forward).await;
        assert_eq!(four(&mut client, request).await, 0x5b);
        assert_eq!(rest(&mut client).await.unwrap(), b"");
    }
    // Nothing but a password.
    let mut client = connect(&forward).await;
    client.write_all(&[5, 1, 2]).await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), [5, 0xff]);
    drop(client);
    // A server that cannot be reached.
    server.pause_listening().await.unwrap();
    server.cut_all(rustle_testserver::Cut::Rst);
    let mut client = connect(&forward).await;
    assert_eq!(five(&mut client, &named("echo")).await, 3);
    drop(client);
    let stats = until(&forward, "all have failed", |stats| stats.failed == 8).await;
    assert!(is_balanced(&stats) && stats.open == 0, "{stats:?}");
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_does_not_say_where_to_go_is_cut() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = Forward::dynamic(anywhere()).handshake(Duration::from_millis(200));
    let forward = pool.forward("web", forward).await.unwrap();
    let mut silent = connect(&forward).await;
    let mut slow = connect(&forward).await;
    slow.write_all(&[5, 1, 0]).await.unwrap();
    assert_eq!(rest(&mut silent).await.unwrap(), b"");
    assert_eq!(rest(&mut slow).await.unwrap(), [5, 0]);
    let mut gone = connect(&forward).await;
    gone.shutdown().await.unwrap();
    assert_eq!(rest(&mut gone).await.unwrap(), b"");
    let stats = until(&forward, "all have failed", |stats| stats.failed == 3).await;
    let error = stats.last_error.unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Client, "FORWARD_CLIENT_ERROR"), "{error}");
    assert_eq!(server.record().connections_accepted(), 0, "nothing is connected for such");
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn hostile_bytes_harm_nobody_else() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = dynamic(&pool).await;
    let mut good = connect(&forward).await;
    assert_eq!(five(&mut good, &named("echo")).await, 0);
    let mut state = 0x9e37_79b9_u64;
    for client in 0..200_u64 {
        let mut bytes = Vec::new();
        for _ in 0..client * 10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push(state.to_be_bytes()[0]);
        }
        if let Some(version) = bytes.first_mut() {
            *version = [4, 5, *version][usize::try_from(client % 3).unwrap()];
        }
        let mut hostile = connect(&forward).await;
        // It may have been hung up on in the middle of it.
        let _ = hostile.write_all(&bytes).await;
        let _ = hostile.shutdown().await;
        let _ = rest(&mut hostile).await;
    }
    echoes(&mut good, "as if nothing had been").await;
    let stats = until(&forward, "all have gone", |stats| stats.ended + stats.failed == 200).await;
    assert!(stats.accepted == 201 && stats.open == 1 && is_balanced(&stats), "{stats:?}");
    drop(good);
    forward.close().await;
    shut_down_and_check(pool, server).await;
}
