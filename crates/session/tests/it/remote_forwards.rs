//! Ports and sockets that the server listens on for this side, and who connects to them.

mod hostile;

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use rustle_session::{
    BufferLimits, ErrorKind, ForwardStream, Incoming, RemoteListener, Session, TransportOptions,
};
use rustle_testserver::{Call, ChannelStream, Cut, Exit, ForwardPlace};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{close_and_check, login, login_in_memory, login_with, server, server_shows};

async fn connect(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).await
}

/// Says this, ends its direction, and hears the other to its end.
async fn exchange(mut end: impl AsyncRead + AsyncWrite + Unpin, said: &[u8]) -> Vec<u8> {
    end.write_all(said).await.unwrap();
    end.shutdown().await.unwrap();
    heard(end).await
}

async fn heard(mut end: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut heard = Vec::new();
    end.read_to_end(&mut heard).await.unwrap();
    heard
}

/// Hears one direction to its end, and says the same in the other.
async fn echo(mut stream: ForwardStream) {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    stream.write_all(&heard).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Somebody new connects, and is echoed.
async fn serves_a_visitor(listener: &mut RemoteListener) {
    let port = listener.port().unwrap();
    let visit = async { exchange(connect(port).await.unwrap(), b"hello").await };
    let serve = async { echo(listener.accept().await.unwrap().into_stream()).await };
    assert_eq!(soon(async { tokio::join!(visit, serve).0 }).await, b"hello");
}

/// What is to come, without waiting for ever where it does not.
fn soon<F: Future>(awaited: F) -> impl Future<Output = F::Output> {
    let awaited = tokio::time::timeout(Duration::from_secs(60), Box::pin(awaited));
    async { awaited.await.expect("it comes within a minute") }
}

/// Whether a channel was refused, by this side.
fn is_refused(opened: &io::Result<ChannelStream>) -> bool {
    matches!(opened, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn who_connects_to_the_port_that_the_server_chose_is_heard_and_answered() {
    let server = server().tcpip_forward().start().await.unwrap();
    let session = login(&server).await;
    let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
    let port = listener.port().unwrap();
    assert_ne!(port, 0);
    assert_eq!((listener.address(), listener.path()), (Some("localhost"), None));
    assert!(format!("{listener:?}").contains(&format!("localhost:{port}")), "{listener:?}");

    let visitor = connect(port).await.unwrap();
    let from = visitor.local_addr().unwrap().port();
    let incoming = soon(listener.accept()).await.unwrap();
    assert_eq!((incoming.originator_address(), incoming.originator_port()), (Some("127.0.0.1"), Some(from)));
    let sent: Vec<u8> = (0..200_000u32).flat_map(u32::to_be_bytes).collect();
    let (back, ()) = tokio::join!(exchange(visitor, &sent), echo(incoming.into_stream()));
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
    assert_eq!(session.stats().channels_opened, 1);
    server_shows(&server, "the channel closed", |record| record.channels_open() == 0).await;
    drop(listener);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn several_at_once_end_each_direction_by_itself_whichever_is_first() {
    const VISITORS: usize = 8;
    let server = server().tcpip_forward().start().await.unwrap();
    let session = login(&server).await;
    let mut listener = session.listen_tcpip("127.0.0.1", 0).await.unwrap();
    let port = listener.port().unwrap();
    let visits = (0..VISITORS).map(|number| async move {
        let mut visitor = connect(port).await.unwrap();
        let text = format!("visitor {number}");
        if number % 2 == 0 {
            visitor.write_all(b"!").await.unwrap();
            assert_eq!(exchange(visitor, text.as_bytes()).await, text.as_bytes());
        } else {
            visitor.write_all(b"?").await.unwrap();
            let mut question = Vec::new();
            visitor.read_to_end(&mut question).await.unwrap();
            assert_eq!(question, b"who is there?");
            visitor.write_all(text.as_bytes()).await.unwrap();
        }
    });
    let serve = async {
        let mut served = Vec::new();
        for _ in 0..VISITORS {
            let mut stream = listener.accept().await.unwrap().into_stream();
            served.push(async move {
                if stream.read_u8().await.unwrap() == b'!' {
                    return echo(stream).await;
                }
                let answer = exchange(stream, b"who is there?").await;
                assert!(answer.starts_with(b"visitor "), "{answer:?}");
            });
        }
        join_all(served).await;
    };
    soon(async { tokio::join!(join_all(visits), serve) }).await;
    assert_eq!(session.stats().channels_opened, 8);
    drop(listener);
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn addresses_and_paths_are_sent_as_they_are_but_for_the_star() {
    let server = server().tcpip_forward_scripted().streamlocal_forward_scripted().start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let mut listeners = Vec::new();
    for asked in ["", "*", "localhost", "0.0.0.0", "::", "127.0.0.1", "::1", "203.0.113.7"] {
        let mut listener = session.listen_tcpip(asked, 0).await.unwrap();
        let sent = if asked == "*" { "" } else { asked };
        let place = ForwardPlace::Tcpip(sent.to_owned(), 0);
        assert_eq!(server.record().forwards().last().unwrap().place(), &place);
        assert_eq!(listener.address(), Some(sent));
        let visit = server.connect_to_forward(listener.port().unwrap());
        let (visitor, incoming) = soon(async { tokio::join!(visit, listener.accept()) }).await;
        visitor.unwrap();
        incoming.unwrap();
        listeners.push(listener);
    }
    let mut listener = session.listen_streamlocal("/run/a socket").await.unwrap();
    assert_eq!((listener.path(), listener.address(), listener.port()), (Some("/run/a socket"), None, None));
    let visit = server.connect_to_forwarded_socket("/run/a socket");
    let (visitor, incoming) = tokio::join!(visit, listener.accept());
    let incoming = incoming.unwrap();
    assert_eq!((incoming.originator_address(), incoming.originator_port()), (None, None));
    let (back, ()) = tokio::join!(exchange(visitor.unwrap(), b"hello"), echo(incoming.into_stream()));
    assert_eq!(back, b"hello");
    drop((listener, listeners));
    server_shows(&server, "nothing listened on", |record| record.forwards_open() == 0).await;
    close_and_check(session, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn who_connects_to_a_socket_on_the_server_is_heard_and_answered() {
    let server = server().streamlocal_forward().start().await.unwrap();
    let session = login(&server).await;
    let mut listener = session.listen_streamlocal("socket").await.unwrap();
    let visitor = tokio::net::UnixStream::connect(server.directory().join("socket")).await.unwrap();
    let incoming = listener.accept().await.unwrap();
    let (back, ()) = tokio::join!(exchange(visitor, b"hello"), echo(incoming.into_stream()));
    assert_eq!(back, b"hello");
    // A file is in the way.
    std::fs::write(server.directory().join("file"), "").unwrap();
    let error = session.listen_streamlocal("file").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error}");
    assert!(error.to_string().contains("the socket file") && error.hint().unwrap().contains("in the way"));
    listener.close().await.unwrap();
    assert!(!server.directory().join("socket").exists());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_server_that_forwards_nothing_refuses_and_the_session_goes_on() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    for (listening, of, look_at) in [
        (session.listen_tcpip("localhost", 0).await, "a free port of localhost", "AllowTcpForwarding"),
        (session.listen_tcpip("", 8080).await, "*:8080", "PermitListen"),
        (session.listen_streamlocal("/run/a").await, "the socket /run/a", "AllowStreamLocalForwarding"),
    ] {
        let error = listening.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::RequestRefused, "listen"), "{error}");
        assert!(error.to_string().contains(of) && error.hint().unwrap().contains(look_at), "{error:?}");
        assert!(!error.is_retryable());
    }
    assert!(session.output("true").await.unwrap().status.success());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_whoever_has_it_keeps_it() {
    let server = server().tcpip_forward().start().await.unwrap();
    let (session, other) = (login(&server).await, login(&server).await);
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = held.local_addr().unwrap().port();
    let error = session.listen_tcpip("localhost", taken).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error}");
    assert!(error.hint().unwrap().contains("the port is taken"), "{error:?}");

    let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
    let port = listener.port().unwrap();
    let error = other.listen_tcpip("localhost", port).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error}");
    // Of its own connection it is not even asked.
    let error = session.listen_tcpip("localhost", port).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains(&format!("localhost:{port}")), "{error}");
    serves_a_visitor(&mut listener).await;
    listener.close().await.unwrap();
    other.close(Duration::from_secs(5)).await;
    close_and_check(session, server).await;
}

#[tokio::test]
async fn closing_frees_the_port_and_leaves_those_who_were_accepted() {
    let server = server().tcpip_forward().start().await.unwrap();
    let session = login(&server).await;
    let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
    let port = listener.port().unwrap();
    let accepted = connect(port).await.unwrap();
    let stream = listener.accept().await.unwrap().into_stream();
    let mut late = connect(port).await.unwrap();
    listener.close().await.unwrap();
    assert!(connect(port).await.is_err(), "somebody still listens");
    assert!(!matches!(late.read(&mut [0]).await, Ok(1)));
    let (back, ()) = tokio::join!(exchange(accepted, b"hello"), echo(stream));
    assert_eq!(back, b"hello");
    let asked = server.record().global_requests().to_vec();
    assert_eq!(asked, ["tcpip-forward", "cancel-tcpip-forward"]);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_dropped_listener_frees_its_port_which_can_be_had_again_at_once() {
    let server = server().tcpip_forward().start().await.unwrap();
    let session = login(&server).await;
    let listener = session.listen_tcpip("localhost", 0).await.unwrap();
    let port = listener.port().unwrap();
    drop(listener);
    let mut listener = session.listen_tcpip("localhost", port).await.unwrap();
    assert_eq!(listener.port(), Some(port));
    serves_a_visitor(&mut listener).await;
    drop(listener);
    server_shows(&server, "nothing listened on", |record| record.forwards_open() == 0).await;
    assert!(connect(port).await.is_err(), "somebody still listens");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn who_waits_to_be_accepted_when_the_listener_goes_is_refused() {
    let server = server()
        .tcpip_forward_scripted()
        .command_fn("visit", async |mut call: Call| {
            let mut visit = Box::pin(call.open_forwarded_tcpip("localhost", 49_152));
            if futures_util::poll!(visit.as_mut()).is_ready() {
                return Exit::Code(1);
            }
            // It is answered at once, and behind the other.
            if !is_refused(&call.open_forwarded_tcpip("localhost", 1).await) {
                return Exit::Code(2);
            }
            if futures_util::poll!(visit.as_mut()).is_ready() || call.stdout().send("waits").await.is_err() {
                return Exit::Code(3);
            }
            if is_refused(&visit.await) { Exit::SUCCESS } else { Exit::Code(4) }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    for way in ["drop", "close"] {
        let listener = session.listen_tcpip("localhost", 49_152).await.unwrap();
        let mut child = session.line("visit").spawn().await.unwrap();
        let said = soon(child.take_stdout().unwrap().chunk()).await.unwrap();
        assert_eq!(said.as_deref(), Some(&b"waits"[..]));
        match way {
            "drop" => drop(listener),
            _ => listener.close().await.unwrap(),
        }
        assert_eq!(soon(child.wait()).await.unwrap().code(), Some(0), "{way}");
    }
    assert_eq!(session.stats().channels_open, 0);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn one_who_is_not_read_ends_and_the_others_go_on() {
    let server = server().tcpip_forward().start().await.unwrap();
    let buffers = BufferLimits::default().memory(256 * 1024).disk(0).pause(Duration::from_millis(100));
    let session = login_with(&server, TransportOptions::builder().buffers(buffers).build().unwrap()).await;
    let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
    let mut flooding = connect(listener.port().unwrap()).await.unwrap();
    let mut unread = listener.accept().await.unwrap().into_stream();
    let flood = async { while flooding.write_all(&[b'x'; 65_536]).await.is_ok() {} };
    soon(flood).await;
    let mut kept = Vec::new();
    let error = unread.read_to_end(&mut kept).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted, "{error}");
    // Its limit, and what was on its way when it was reached.
    assert!(kept.len() < 4 << 20, "{}", kept.len());
    serves_a_visitor(&mut listener).await;
    drop((listener, unread));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn the_end_of_the_connection_ends_the_listener() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    for lost in [true, false] {
        let session = login(&server).await;
        let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
        let mut accept = Box::pin(listener.accept());
        assert!(futures_util::poll!(accept.as_mut()).is_pending());
        if lost {
            server.cut_all(Cut::Rst);
        } else {
            session.close(Duration::from_secs(5)).await;
        }
        assert!(soon(accept).await.is_none());
        assert!(soon(listener.accept()).await.is_none());
        let error = session.listen_tcpip("localhost", 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        assert_eq!(listener.close().await.unwrap_err().kind(), ErrorKind::Disconnected);
        server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_listener_keeps_the_connection_and_one_that_is_accepted_does_too() {
    let server = server().tcpip_forward().start().await.unwrap();
    let session: Session = login(&server).await;
    let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
    drop(session);
    serves_a_visitor(&mut listener).await;
    let visitor = connect(listener.port().unwrap()).await.unwrap();
    let incoming: Incoming = listener.accept().await.unwrap();
    drop(listener);
    let (back, ()) = tokio::join!(exchange(visitor, b"hello"), echo(incoming.into_stream()));
    assert_eq!(back, b"hello");
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}
