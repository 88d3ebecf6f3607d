//! Byte streams through the server, to its ports and its sockets.

use rustle_session::{ErrorKind, ForwardStream};
use rustle_tests::{Server, interop};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

#[test]
fn a_port_behind_the_server_is_reached() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, accepted) = tokio::join!(session.direct_tcpip("127.0.0.1", port), listener.accept());
        echoed(stream.unwrap(), accepted.unwrap().0).await;
        // The name is the server's to look up.
        let (stream, accepted) = tokio::join!(session.direct_tcpip("localhost", port), listener.accept());
        echoed(stream.unwrap(), accepted.unwrap().0).await;
    });
}

#[test]
fn a_socket_behind_the_server_is_reached() {
    use std::os::unix::fs::PermissionsExt;

    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let path = server.sshd().folder().join("a socket");
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let path = path.to_str().unwrap();
        let (stream, accepted) = tokio::join!(session.direct_streamlocal(path), listener.accept());
        echoed(stream.unwrap(), accepted.unwrap().0).await;
    });
}

#[test]
fn a_port_where_nobody_listens_is_told_apart_from_a_policy() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        // Bound and kept. One that has listened would not do: a process that is just being started may hold a copy of it.
        let held = TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let closed = held.local_addr().unwrap().port();
        let error = session.direct_tcpip("127.0.0.1", closed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelTarget, "{error:?}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{closed}")), "{error}");
        let error = session.direct_streamlocal("/no/such/socket").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelTarget, "{error:?}");

        let server = Server::configured(&interop, "AllowTcpForwarding no");
        let session = server.session().await;
        let error = session.direct_tcpip("127.0.0.1", closed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelProhibited, "{error:?}");
        assert!(session.output("true").await.unwrap().status.success(), "a refusal ends nothing else");
    });
}

#[test]
fn a_far_side_that_hangs_up_is_an_end_and_a_broken_pipe() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, accepted) = tokio::join!(session.direct_tcpip("127.0.0.1", port), listener.accept());
        let (mut stream, (mut far, _)) = (stream.unwrap(), accepted.unwrap());
        far.write_all(b"bye").await.unwrap();
        drop(far);
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"bye");
        let error = loop {
            if let Err(error) = stream.write_all(&[0; 4096]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
    });
}

/// Sends 3 MiB through, more than a window, and reads it back from a far side that echoes; each direction ends by
/// itself.
pub(crate) async fn echoed(stream: ForwardStream, mut far: impl AsyncRead + AsyncWrite + Unpin) {
    let sent: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let echo = async {
        let (mut from, mut to) = tokio::io::split(&mut far);
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let send = async {
        writing.write_all(&sent).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, _, read) = tokio::join!(echo, send, reading.read_to_end(&mut back));
    read.unwrap();
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
}
