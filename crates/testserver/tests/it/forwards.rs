//! Channels to other places.

use russh::{Channel, ChannelMsg, client::Msg};
use rustle_testserver::{ChannelKind, Fault, Phase, Target, TestServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    time::timeout,
};

use crate::client::{Client, LIMIT, alice};

async fn echo_once(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    text.reverse();
    stream.write_all(&text).await.unwrap();
}

#[tokio::test]
async fn tcp_target_gets_the_bytes_and_the_end_and_answers() {
    let server = TestServer::builder().user(alice()).direct_tcpip().start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    let target = tokio::spawn(echo_once(listener));
    let client = Client::alice(&server).await;
    let channel = client.handle.channel_open_direct_tcpip("127.0.0.1", port, "127.0.0.1", 1).await.unwrap();
    let mut stream = channel.into_stream();
    stream.write_all(b"stressed").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "desserts");
    target.await.unwrap();
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    assert_eq!(server.record().channels()[0].kind(), &ChannelKind::DirectTcpip("127.0.0.1".to_owned(), port));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn closed_port_and_a_server_that_does_not_forward_refuse_differently() {
    // Bound and not listening: nobody else gets it, and nobody is let in.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let closed = held.local_addr().unwrap().port();
    let server = TestServer::builder().user(alice()).direct_tcpip().start().await.unwrap();
    let client = Client::alice(&server).await;
    let open = client.handle.channel_open_direct_tcpip("127.0.0.1", u32::from(closed), "127.0.0.1", 1).await;
    assert!(
        matches!(open, Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed))),
        "{:?}",
        open.err()
    );
    server.stop().await.unwrap();

    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let client = Client::alice(&server).await;
    let open = client.handle.channel_open_direct_tcpip("127.0.0.1", 1, "127.0.0.1", 1).await;
    assert!(
        matches!(
            open,
            Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::AdministrativelyProhibited))
        ),
        "{:?}",
        open.err()
    );
    assert_eq!(server.record().channels_refused(), 1);
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_is_reached_by_its_path() {
    let server = TestServer::builder().user(alice()).direct_streamlocal().start().await.unwrap();
    let path = server.directory().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let target = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
    });
    let client = Client::alice(&server).await;
    let channel = client.handle.channel_open_direct_streamlocal(path.to_str().unwrap()).await.unwrap();
    let mut stream = channel.into_stream();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    target.await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn target_gets_what_was_sent_before_the_close() {
    let server = TestServer::builder().user(alice()).direct_tcpip().start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    let client = Client::alice(&server).await;
    let channel = client.handle.channel_open_direct_tcpip("127.0.0.1", port, "127.0.0.1", 1).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    channel.data_bytes(vec![7; 1 << 20]).await.unwrap();
    channel.close().await.unwrap();
    let mut received = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut received)).await.unwrap().unwrap();
    assert_eq!(received.len(), 1 << 20);
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

/// Until the server is told to go on, no CLOSE comes over a channel whose two sides have ended.
async fn stalls_at_the_close(server: &TestServer, channel: &mut Channel<Msg>) {
    channel.eof().await.unwrap();
    let eof = async { while !matches!(channel.wait().await, Some(ChannelMsg::Eof)) {} };
    timeout(LIMIT, eof).await.unwrap();
    server.wait_until(|_| server.faults_fired() == 1, LIMIT).await.unwrap();
    assert!(timeout(LIMIT, channel.wait()).await.is_err(), "something came through the stall");
    server.resume();
    let closed = timeout(LIMIT, channel.wait()).await.unwrap();
    assert!(matches!(closed, Some(ChannelMsg::Close)), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn close_of_a_forwarded_channel_is_a_phase_on_either_side() {
    let builder = || {
        TestServer::builder()
            .user(alice())
            .forward_target("motd", None, Target::reply("hello"))
            .forward_target("echo", None, Target::echo())
            .tcpip_forward_scripted()
            .fault(Fault::stall(Phase::Close).once())
    };
    // The server's close of what the client has opened.
    let server = builder().start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut channel = client.handle.channel_open_direct_tcpip("motd", 1, "127.0.0.1", 1).await.unwrap();
    stalls_at_the_close(&server, &mut channel).await;
    server.stop().await.unwrap();

    // The server's close of what it has opened itself.
    let server = builder().start().await.unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut incoming = client.take_channels();
    let port = client.handle.tcpip_forward("", 0).await.unwrap();
    drop(server.connect_to_forward(u16::try_from(port).unwrap()).await.unwrap());
    let (_, _, mut channel) = incoming.recv().await.unwrap();
    stalls_at_the_close(&server, &mut channel).await;
    server.stop().await.unwrap();

    // The client's close of either.
    for opened_by_the_server in [false, true] {
        let server = builder().start().await.unwrap();
        let client = Client::alice_in_memory(&server).await;
        let mut incoming = client.take_channels();
        let port = client.handle.tcpip_forward("", 0).await.unwrap();
        let visitor = server.connect_to_forward(u16::try_from(port).unwrap()).await.unwrap();
        let (_, _, forwarded) = incoming.recv().await.unwrap();
        let direct = client.handle.channel_open_direct_tcpip("echo", 1, "127.0.0.1", 1).await.unwrap();
        let (closed, _other) = if opened_by_the_server { (forwarded, direct) } else { (direct, forwarded) };
        closed.close().await.unwrap();
        server.wait_until(|_| server.faults_fired() == 1, LIMIT).await.unwrap();
        drop(visitor);
        server.stop().await.unwrap();
    }
}
