//! Ports and sockets that clients ask the server to listen on.

use rustle_testserver::{ChannelKind, ErrorKind, ForwardPlace, ForwardState, TestServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::client::{Client, LIMIT, alice};

fn port(number: u32) -> u16 {
    u16::try_from(number).unwrap()
}

#[tokio::test]
async fn whoever_connects_to_the_chosen_port_reaches_the_client_until_it_cancels() {
    let server = TestServer::builder().user(alice()).tcpip_forward().start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut incoming = client.take_channels();
    let chosen = client.handle.tcpip_forward("localhost", 0).await.unwrap();

    let mut visitor = TcpStream::connect(("127.0.0.1", port(chosen))).await.unwrap();
    let (kind, about, channel) = incoming.recv().await.unwrap();
    assert_eq!((kind, about), ("forwarded-tcpip", format!("localhost {chosen} 127.0.0.1")));
    client.handle.cancel_tcpip_forward("localhost", chosen).await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port(chosen))).await.is_err(), "somebody still listens");

    // The connection made before lives on, and each direction ends by itself.
    let mut stream = channel.into_stream();
    visitor.write_all(b"question").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "question");
    stream.write_all(b"answer").await.unwrap();
    stream.shutdown().await.unwrap();
    text.clear();
    visitor.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "answer");

    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    let record = server.record();
    assert_eq!(record.channels()[0].kind(), &ChannelKind::ForwardedTcpip("localhost".to_owned(), chosen));
    assert_eq!(record.global_requests(), ["tcpip-forward", "cancel-tcpip-forward"]);
    let [forward] = record.forwards() else { panic!("{record}") };
    assert_eq!(forward.place(), &ForwardPlace::Tcpip("localhost".to_owned(), 0));
    assert_eq!((forward.connection(), forward.port()), (1, Some(port(chosen))));
    assert_eq!(forward.state(), ForwardState::Ended);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_address_means_this_machine_and_the_port_is_freed_with_the_connection() {
    let server = TestServer::builder().user(alice()).tcpip_forward().start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut incoming = client.take_channels();
    let mut ports = Vec::new();
    for address in ["", "0.0.0.0", "203.0.113.7", "127.0.0.1"] {
        let chosen = client.handle.tcpip_forward(address, 0).await.unwrap();
        let _visitor = TcpStream::connect(("127.0.0.1", port(chosen))).await.unwrap();
        let (_, about, _) = incoming.recv().await.unwrap();
        assert_eq!(about, format!("{address} {chosen} 127.0.0.1"));
        ports.push(chosen);
    }
    // A port that is taken is refused, by this server as by any other program.
    client.handle.tcpip_forward("127.0.0.1", ports[0]).await.unwrap_err();
    client.handle.cancel_tcpip_forward("elsewhere", ports[0]).await.unwrap_err();
    client.handle.tcpip_forward("127.0.0.1", 70_000).await.unwrap_err();
    assert_eq!(server.record().forwards_open(), 4);
    assert_eq!(server.record().forwards()[5].state(), ForwardState::Refused);

    drop(client);
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().forwards_open(), 0);
    for chosen in ports {
        TcpListener::bind(("127.0.0.1", port(chosen))).await.unwrap();
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn address_asked_for_is_taken_where_allowed() {
    let server = TestServer::builder().user(alice()).tcpip_forward_as_asked().start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut incoming = client.take_channels();
    let chosen = client.handle.tcpip_forward("", 0).await.unwrap();
    let _visitor = TcpStream::connect(("127.0.0.1", port(chosen))).await.unwrap();
    assert_eq!(incoming.recv().await.unwrap().1, format!(" {chosen} 127.0.0.1"));
    // An address of documentation, which no machine has (RFC 5737).
    client.handle.tcpip_forward("203.0.113.7", 0).await.unwrap_err();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_that_was_not_told_to_listen_refuses() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let client = Client::alice(&server).await;
    client.handle.tcpip_forward("127.0.0.1", 0).await.unwrap_err();
    client.handle.streamlocal_forward("socket").await.unwrap_err();
    let record = server.record();
    assert_eq!(record.forwards().len(), 2);
    assert!(record.forwards().iter().all(|forward| forward.state() == ForwardState::Refused));
    assert!(record.to_string().contains("path \"socket\", refused"), "{record}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn scripted_ports_need_no_socket_and_are_the_same_in_every_run() {
    for _ in 0..2 {
        let server = TestServer::builder()
            .user(alice())
            .tcpip_forward_scripted()
            .streamlocal_forward_scripted()
            .start()
            .await
            .unwrap();
        let client = Client::alice_in_memory(&server).await;
        let mut incoming = client.take_channels();
        assert_eq!(client.handle.tcpip_forward("", 0).await.unwrap(), 49_152);
        assert_eq!(client.handle.tcpip_forward("", 0).await.unwrap(), 49_153);
        client.handle.tcpip_forward("", 49_152).await.unwrap_err();
        client.handle.streamlocal_forward("/run/socket").await.unwrap();
        client.handle.streamlocal_forward("/run/socket").await.unwrap_err();

        let mut visitor = server.connect_to_forward(49_153).await.unwrap();
        let (_, about, channel) = incoming.recv().await.unwrap();
        assert_eq!(about, " 49153 127.0.0.1");
        visitor.write_all(&[7; 300_000]).await.unwrap();
        drop(visitor);
        let mut received = Vec::new();
        channel.into_stream().read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), 300_000);

        let visitor = server.connect_to_forwarded_socket("/run/socket").await.unwrap();
        assert_eq!(incoming.recv().await.unwrap().1, "/run/socket");
        drop(visitor);
        server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();

        client.handle.cancel_streamlocal_forward("/run/socket").await.unwrap();
        let error = server.connect_to_forwarded_socket("/run/socket").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Channel);
        assert_eq!(server.record().forwards_open(), 2);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn client_that_refuses_the_channel_hangs_up_on_the_visitor() {
    let server = TestServer::builder().user(alice()).tcpip_forward().start().await.unwrap();
    let client = Client::alice(&server).await;
    let chosen = client.handle.tcpip_forward("127.0.0.1", 0).await.unwrap();
    let mut visitor = TcpStream::connect(("127.0.0.1", port(chosen))).await.unwrap();
    assert_eq!(visitor.read(&mut [0]).await.unwrap(), 0);
    let error = server.connect_to_forward(port(chosen)).await.unwrap_err();
    assert!(format!("{error:?}").contains("the client refused the channel"), "{error:?}");
    assert_eq!(server.record().channels_refused_by_client(), 2);
    assert_eq!(server.record().channels_open(), 0);
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_leads_to_the_client_and_its_file_goes_with_it() {
    use std::os::unix::fs::PermissionsExt;

    let server = TestServer::builder().user(alice()).streamlocal_forward().start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut incoming = client.take_channels();
    let path = server.directory().join("socket");
    client.handle.streamlocal_forward("socket").await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Something is in the way.
    client.handle.streamlocal_forward(path.to_str().unwrap()).await.unwrap_err();

    let mut visitor = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (kind, about, channel) = incoming.recv().await.unwrap();
    assert_eq!((kind, about.as_str()), ("forwarded-streamlocal", "socket"));
    let mut stream = channel.into_stream();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    visitor.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");

    client.handle.cancel_streamlocal_forward("socket").await.unwrap();
    assert!(!path.exists());
    client.handle.streamlocal_forward("socket").await.unwrap();
    drop((client, visitor));
    server.wait_until_idle(LIMIT).await.unwrap();
    assert!(!path.exists());
    server.stop().await.unwrap();
}
