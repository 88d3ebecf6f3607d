//! Ports and sockets that the server listens on for this side.

use rustle_session::{ErrorKind, RemoteListener};
use rustle_tests::{Server, interop};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};

use crate::forwards::echoed;

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).await
}

async fn a_visitor_is_echoed(listener: &mut RemoteListener) {
    let visitor = connect(listener.port().unwrap()).await.unwrap();
    let from = visitor.local_addr().unwrap().port();
    let incoming = listener.accept().await.unwrap();
    assert_eq!((incoming.originator_address(), incoming.originator_port()), (Some("127.0.0.1"), Some(from)));
    echoed(incoming.into_stream(), visitor).await;
}

#[test]
fn who_connects_to_a_port_of_the_server_is_accepted_whatever_it_takes_the_address_for() {
    interop(|interop| async move {
        for lines in ["GatewayPorts no", "GatewayPorts yes", "GatewayPorts clientspecified"] {
            let server = Server::configured(&interop, lines);
            let session = server.session().await;
            for address in ["localhost", "", "*", "127.0.0.1", "0.0.0.0"] {
                let mut listener = session.listen_tcpip(address, 0).await.unwrap();
                a_visitor_is_echoed(&mut listener).await;
                listener.close().await.unwrap();
            }
        }
    });
}

#[test]
fn a_listener_that_is_closed_or_dropped_leaves_its_port_and_those_it_has_accepted() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let mut listener = session.listen_tcpip("localhost", 0).await.unwrap();
        let port = listener.port().unwrap();
        let visitor = connect(port).await.unwrap();
        let accepted = listener.accept().await.unwrap().into_stream();
        let mut waits = connect(port).await.unwrap();
        listener.close().await.unwrap();
        assert!(connect(port).await.is_err(), "somebody still listens");
        assert!(!matches!(waits.read(&mut [0]).await, Ok(1)));
        echoed(accepted, visitor).await;

        // The same port again, dropped, and again at once.
        drop(session.listen_tcpip("localhost", port).await.unwrap());
        let mut listener = session.listen_tcpip("localhost", port).await.unwrap();
        a_visitor_is_echoed(&mut listener).await;
        let other = server.session().await;
        let error = other.listen_tcpip("localhost", port).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error:?}");
    });
}

#[test]
fn who_connects_to_a_socket_on_the_server_is_accepted_and_its_file_stays() {
    use std::os::unix::fs::PermissionsExt;

    interop(|interop| async move {
        for (lines, again) in [("StreamLocalBindUnlink no", false), ("StreamLocalBindUnlink yes", true)] {
            let server = Server::configured(&interop, lines);
            let session = server.session().await;
            let folder = server.sshd().folder().join("sockets");
            std::fs::create_dir(&folder).unwrap();
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
            let path = folder.join("a socket");
            let path = path.to_str().unwrap();
            let mut listener = session.listen_streamlocal(path).await.unwrap();
            let visitor = UnixStream::connect(path).await.unwrap();
            let incoming = listener.accept().await.unwrap();
            assert_eq!(incoming.originator_address(), None);
            echoed(incoming.into_stream(), visitor).await;
            listener.close().await.unwrap();
            assert!(UnixStream::connect(path).await.is_err(), "somebody still listens");
            match session.listen_streamlocal(path).await {
                Ok(_) => assert!(again, "over a file that is in the way"),
                Err(error) => {
                    assert!(!again, "{error:?}");
                    assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error:?}");
                }
            }
        }
    });
}

#[test]
fn a_server_that_does_not_listen_for_others_refuses() {
    interop(|interop| async move {
        let lines = "AllowTcpForwarding local\nAllowStreamLocalForwarding local";
        let server = Server::configured(&interop, lines);
        let session = server.session().await;
        let refused =
            [session.listen_tcpip("localhost", 0).await, session.listen_streamlocal("/tmp/never-made").await];
        for error in refused.map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error:?}");
        }
        assert!(session.output("true").await.unwrap().status.success(), "a refusal ends nothing else");

        let server = Server::configured(&interop, "PermitListen localhost:1");
        let session = server.session().await;
        let error = session.listen_tcpip("localhost", 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestRefused, "{error:?}");
    });
}
