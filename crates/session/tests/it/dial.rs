//! From a target to a checked handshake, over real sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rustle_session::{
    AddressFamily, Algorithms, Connector, DialOptions, ErrorKind, Target, TransportOptions,
};
use rustle_testserver::{HostKeyKind, TestServer};
use tokio::net::{TcpListener, TcpSocket};

use crate::known_hosts_file::Files;
use crate::support::{connector, server};

fn target(host: &str, port: u16) -> Target {
    Target::new(host).and_then(|target| target.with_user("alice")).unwrap().with_port(port).unwrap()
}

/// A port of loopback where nobody listens, and the socket that keeps it so. One that has listened would not do: a
/// process that is just being started may hold a copy of it.
fn closed_port() -> (TcpSocket, u16) {
    let held = TcpSocket::new_v4().unwrap();
    held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = held.local_addr().unwrap().port();
    (held, port)
}

#[tokio::test]
async fn a_name_is_looked_up_and_the_address_that_listens_is_reached() {
    let server = server().start().await.unwrap();
    let files = Files::new();
    let connector = Connector::new(target("localhost", server.port())).host_trust(files.trust().accept_new());
    let connected = connector.connect().await.unwrap();
    assert_eq!(connected.peer(), Some(server.addr()));
    assert_eq!(connected.host_key().unwrap().key_wire(), server.host_key_wire());
    assert!(connected.timings().connect > Duration::ZERO);
    drop(connected);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_sees_the_bind_address() {
    let server = server().start().await.unwrap();
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let options = DialOptions::default().bind_address(Some(loopback)).address_family(AddressFamily::V4);
    drop(connector(&server).dial(options).connect().await.unwrap());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn failures_before_the_handshake_have_their_codes() {
    let (_held, port) = closed_port();
    let refused = Connector::new(target("127.0.0.1", port)).connect().await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::HostUnreachable, "SSH_HOST_UNREACHABLE"));
    assert_eq!(refused.target(), Some(&*format!("127.0.0.1:{port}")));
    assert!(refused.hint().unwrap().contains("sshd"), "{refused:?}");

    // RFC 6761 §6.4: `invalid` never resolves.
    let unknown = Connector::new(target("web-1.invalid", 22)).connect().await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.operation()), (ErrorKind::HostUnreachable, "connect"));
}

#[tokio::test]
async fn a_host_that_takes_connections_and_says_nothing_is_a_timeout_that_says_so() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = TransportOptions::builder().connect_timeout(Duration::from_secs(2)).build().unwrap();
    let error = Connector::new(target("127.0.0.1", port)).transport(options).connect().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::ConnectTimeout, "SSH_CONNECTION_TIMEOUT"));
    assert!(error.to_string().contains("said nothing within"), "{error}");
}

#[tokio::test]
async fn a_new_host_is_recorded_once_and_a_new_key_of_it_refused() {
    let server = server().start().await.unwrap();
    let files = Files::new();
    let strict = Connector::new(target("127.0.0.1", server.port())).host_trust(files.trust());
    let error = strict.connect().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::HostKeyUnknown, "SSH_HOST_KEY_UNKNOWN"));

    let accepting = strict.clone().host_trust(files.trust().accept_new());
    drop(accepting.connect().await.unwrap());
    drop(strict.connect().await.unwrap());

    let before = strict.connect().await.unwrap().host_key().unwrap().fingerprint();
    server.swap_host_key(HostKeyKind::Ed25519).unwrap();
    for connector in [strict, accepting] {
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        assert!(
            error.to_string().contains(&before) && error.to_string().contains("known_hosts:1"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("ssh-keygen -f"), "{error:?}");
    }
    server.stop().await.unwrap();
}

/// Without asking for the type on record first, the server would show another key, and seem to have changed.
#[tokio::test]
async fn a_host_with_several_keys_is_asked_for_the_one_on_record() {
    let files = Files::new();
    let server =
        server().host_key(HostKeyKind::Ed25519).host_key(HostKeyKind::EcdsaP256).start().await.unwrap();
    let accepting = files.trust().accept_new();
    let only = Algorithms::default().with_host_keys("ecdsa-sha2-nistp256").unwrap();
    let first = Connector::new(target("127.0.0.1", server.port())).host_trust(accepting);
    let shown = first.clone().algorithms(only).connect().await.unwrap();
    assert_eq!(shown.host_key().unwrap().algorithm(), "ecdsa-sha2-nistp256");
    let again = first.connect().await.unwrap();
    assert_eq!(again.negotiated().unwrap().host_key(), "ecdsa-sha2-nistp256");
    drop((shown, again));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_asked_for_first_is_agreed_on() {
    // The base's server leaves aes128-gcm out unless told.
    let ciphers =
        ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"];
    let all = rustle_testserver::Algorithms::new().ciphers(ciphers);
    let server = server().algorithms(all).start().await.unwrap();
    for (cipher, mac, mac_in_use) in [
        ("aes128-gcm@openssh.com", "hmac-sha2-256", None),
        ("aes256-gcm@openssh.com", "hmac-sha2-256", None),
        ("chacha20-poly1305@openssh.com", "hmac-sha2-256", None),
        ("aes256-ctr", "hmac-sha2-512-etm@openssh.com", Some("hmac-sha2-512-etm@openssh.com")),
    ] {
        let algorithms =
            Algorithms::default().with_ciphers(cipher).and_then(|all| all.with_macs(mac)).unwrap();
        let connected = connector(&server).algorithms(algorithms).connect().await.unwrap();
        let agreed = connected.negotiated().unwrap();
        assert_eq!((agreed.cipher(), agreed.mac(), agreed.compression()), (cipher, mac_in_use, "none"));
        assert!(agreed.strict_kex());
        assert_eq!(agreed.kex(), "mlkem768x25519-sha256");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn no_common_algorithm_names_both_lists_and_the_option_that_would_help() {
    let weak = rustle_testserver::Algorithms::default().ciphers(["aes128-cbc"]);
    let server: TestServer = server().algorithms(weak).start().await.unwrap();
    let error = connector(&server).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoCommonAlgorithm);
    assert!(
        error.to_string().contains("aes256-gcm@openssh.com") && error.to_string().contains("aes128-cbc"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("-o Ciphers=+aes128-cbc"), "{error:?}");
    let helped = Algorithms::default().with_ciphers("+aes128-cbc").unwrap();
    drop(connector(&server).algorithms(helped).connect().await.unwrap());
    server.stop().await.unwrap();
}
