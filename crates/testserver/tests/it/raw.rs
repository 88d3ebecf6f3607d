//! The raw peer: each script as a client hears it.

use std::{io, time::Duration};

use rustle_testserver::{RawScript, RawServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::{Client, LIMIT};

async fn first_bytes(server: &RawServer, count: usize) -> Vec<u8> {
    let mut stream = server.duplex();
    stream.write_all(b"SSH-2.0-Probe\r\n").await.unwrap();
    let mut heard = Vec::new();
    stream.take(count as u64).read_to_end(&mut heard).await.unwrap();
    heard
}

#[tokio::test(start_paused = true)]
async fn scripts_say_what_they_should() {
    for (script, begin) in [
        (RawScript::garbage_banner(), &b"HTTP/1.1 400"[..]),
        (RawScript::max_startups(), b"Exceeded MaxStartups\r\n"),
        (RawScript::ssh1(), b"SSH-1.5-"),
        (RawScript::new().send("SSH-1.99-Old\r\n"), b"SSH-1.99-Old\r\n"),
        (RawScript::new(), b""),
    ] {
        let server = RawServer::start(script).await.unwrap();
        let heard = first_bytes(&server, 1 << 20).await;
        assert!(heard.starts_with(begin), "{heard:?}");
        server.wait_until_idle(LIMIT).await.unwrap();
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn endless_scripts_do_not_end_by_themselves() {
    for script in [RawScript::endless_banner(), RawScript::endless_line()] {
        let server = RawServer::start(script).await.unwrap();
        assert_eq!(first_bytes(&server, 5_000_000).await.len(), 5_000_000);
        server.wait_until_idle(LIMIT).await.unwrap();
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn silent_scripts_hold_the_connection_and_keep_what_they_hear() {
    let server = RawServer::start(RawScript::silent()).await.unwrap();
    let mut stream = server.duplex();
    stream.write_all(b"SSH-2.0-Probe\r\n").await.unwrap();
    assert!(timeout(Duration::from_secs(9999), stream.read_u8()).await.is_err());
    assert_eq!(server.received(), [b"SSH-2.0-Probe\r\n"]);
    assert_eq!((server.connections_accepted(), server.connections_open()), (1, 1));
    server.stop().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn reset_is_seen_as_one() {
    if std::env::var_os("RUSTLE_WINE").is_some() {
        println!("skipped: how a reset reads (wine shows it as the end of the stream)");
        let unheard = RawServer::start(RawScript::new()).await.unwrap();
        assert_eq!(TcpStream::connect(unheard.addr()).await.unwrap().read(&mut [0]).await.unwrap(), 0);
        return unheard.stop().await.unwrap();
    }
    let server = RawServer::start(RawScript::new().send("SSH").reset()).await.unwrap();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let mut heard = Vec::new();
    let error = stream.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn real_client_fails_on_a_packet_of_four_gibibytes() {
    let server = RawServer::start(RawScript::huge_packet()).await.unwrap();
    let connected = timeout(LIMIT, Client::over(server.duplex())).await.unwrap();
    assert!(connected.is_err());
    assert!(server.received()[0].starts_with(b"SSH-2.0-russh"));
    server.stop().await.unwrap();
}
