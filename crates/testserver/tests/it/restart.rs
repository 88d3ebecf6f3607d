//! A server that goes away and comes back, seen at the client.

use std::{io, time::Duration};

use rustle_testserver::{Cut, End, HostKeyKind, TestServer};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use crate::client::{Client, LIMIT, alice, collect};

#[tokio::test]
async fn restarted_server_refuses_for_a_while_and_comes_back_on_its_port() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let (addr, key) = (server.addr(), server.host_key_openssh());
    let client = Client::alice(&server).await;
    let channel = client.exec("sleep 1000").await;
    server.wait_until(|record| record.processes_running() == 1, LIMIT).await.unwrap();

    let down_for = Duration::from_millis(300);
    let begin = Instant::now();
    let restart = async {
        server.restart(down_for).await.unwrap();
        begin.elapsed()
    };
    let probe = async {
        timeout(LIMIT, collect(channel)).await.unwrap();
        let refused = TcpStream::connect(addr).await;
        // On a busy machine it may be up again by now; a pause is what shows the refusal every time.
        if begin.elapsed() < down_for {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    };
    let (down, ()) = tokio::join!(restart, probe);
    assert!(down >= down_for, "{down:?}");
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Cut(Cut::Rst)));
    let back = Client::alice(&server).await;
    assert_eq!((server.addr(), back.host_key()), (addr, key));
    assert_eq!(back.output("echo back").await.text(), "back\n");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn paused_server_refuses_new_connections_and_keeps_the_old() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    for _ in 0..2 {
        server.pause_listening().await.unwrap();
        let refused = timeout(LIMIT, TcpStream::connect(server.addr())).await.unwrap();
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
    assert_eq!(client.output("echo old").await.text(), "old\n");
    // The port is the server's own meanwhile.
    assert!(TcpSocket::new_v4().unwrap().bind(server.addr()).is_err());
    server.swap_host_key(HostKeyKind::EcdsaP256).unwrap();
    for _ in 0..2 {
        server.resume_listening().await.unwrap();
    }
    let new = Client::alice(&server).await;
    assert!(new.host_key().starts_with("ecdsa-sha2-nistp256 "), "{}", new.host_key());
    assert_ne!(new.host_key(), client.host_key());
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn restart_resets_connections_through_memory_too() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let probe = async {
        client.ended().await;
        let error = server.duplex().read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    };
    let (restarted, ()) = tokio::join!(server.restart(Duration::from_secs(600)), probe);
    restarted.unwrap();
    assert_eq!(Client::alice_in_memory(&server).await.output("echo back").await.text(), "back\n");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn restart_dropped_halfway_can_be_mended() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    assert!(timeout(Duration::from_secs(5), server.restart(Duration::from_secs(600))).await.is_err());
    assert!(TcpStream::connect(server.addr()).await.is_err());
    server.resume_listening().await.unwrap();
    assert!(TcpStream::connect(server.addr()).await.is_ok());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_stops_while_it_is_paused() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    server.pause_listening().await.unwrap();
    timeout(LIMIT, server.stop()).await.unwrap().unwrap();
}
