//! Connecting, trusting, logging in, counting, and closing.

use std::time::{Duration, Instant};

use rustle_session::{
    AgentSource, CloseReason, Connector, Credentials, ErrorKind, PinnedHostKey, SecretString, Target,
    TransportOptions, danger,
};
use rustle_testserver::{HostKeyKind, Method, Network, Reply, TestServer, User};

use crate::known_hosts_file::Files;
use crate::support::{close_and_check, connector, credentials, login, login_in_memory, server, server_shows};

#[tokio::test]
async fn a_session_knows_what_it_is_connected_to() {
    let server = server().banner("Authorised use only.\n").start().await.unwrap();
    let session = login(&server).await;
    assert_eq!(session.target(), format!("alice@127.0.0.1:{}", server.port()));
    assert_eq!(session.method(), "password");
    assert_eq!(session.banner(), "Authorised use only.\n");
    assert!(session.server_version().starts_with("SSH-2.0-"));
    let negotiated = session.negotiated().unwrap();
    assert_eq!(negotiated.kex(), "mlkem768x25519-sha256");
    assert!(negotiated.strict_kex());
    assert_eq!(session.peer().unwrap().port(), server.port());
    let before = session.stats();
    session.output("true").await.unwrap();
    let after = session.stats();
    assert!(after.bytes_received > before.bytes_received && after.bytes_sent > before.bytes_sent);
    assert_eq!((after.channels_opened, after.channels_open, after.rekeys), (1, 0, 0));
    let start = Instant::now();
    let round_trip = session.ping().await.unwrap();
    assert!(!round_trip.is_zero() && round_trip <= start.elapsed(), "{round_trip:?}");
    close_and_check(session, server).await;
}

/// TCP connects at once to what stands in front of a server far away.
#[tokio::test(start_paused = true)]
async fn the_round_trip_is_that_to_the_server_and_not_to_what_stands_between() {
    const BYTES: usize = 20_000_000;
    let round_trip = Duration::from_secs(1);
    let server = server()
        .network(Network::new().round_trip(round_trip))
        .command("flood", Reply::stdout(vec![b'x'; BYTES]))
        .start()
        .await
        .unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let logged_in = session.stats().round_trip;
    assert!(logged_in >= round_trip && logged_in <= round_trip * 2, "{logged_in:?}");
    let start = tokio::time::Instant::now();
    assert_eq!(session.output("flood").await.unwrap().stdout.len(), BYTES);
    // A window of 2 MiB would take ten of them.
    assert!(start.elapsed() < round_trip * 5, "{:?}", start.elapsed());
    let answered = session.stats().round_trip;
    assert!(answered >= round_trip && answered < round_trip * 11 / 10, "{answered:?}");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_close_says_that_it_was_ours_and_a_cut_that_it_was_one() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    assert_eq!(session.close(Duration::from_secs(5)).await, CloseReason::Local);
    assert!(!session.is_open());
    let error = session.output("true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    let session = login(&server).await;
    session.abort();
    assert_eq!(session.closed().await, CloseReason::Aborted);
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_host_is_refused_before_anything_is_sent() {
    let server = server().start().await.unwrap();
    let error = connector(&server).host_trust(Files::new().trust()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
    assert_eq!(error.code(), "SSH_HOST_KEY_UNKNOWN");
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    assert!(server.record().auth_attempts().is_empty());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_pinned_key_of_another_host_is_refused() {
    let other = server().fresh_host_key(HostKeyKind::Ed25519).start().await.unwrap();
    let server = server().start().await.unwrap();
    let wire = other.host_key_wire();
    let other_key = rustle_session::HostKeyOffer::from_wire("x", 22, &wire).unwrap().fingerprint();
    let error =
        connector(&server).host_trust(PinnedHostKey::new(&other_key).unwrap()).connect().await.unwrap_err();
    assert_eq!(error.code(), "SSH_HOST_KEY_CHANGED");
    server.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_rejected_login_gives_the_connection_back() {
    let server = server().start().await.unwrap();
    let wrong = Credentials::new()
        .password(SecretString::from("looking glass"))
        .without_default_keys()
        .agent(AgentSource::None);
    let rejected = connector(&server).connect().await.unwrap().authenticate(&wrong).await.unwrap_err();
    assert_eq!(rejected.error().kind(), ErrorKind::AuthenticationFailed);
    assert!(!rejected.error().is_retryable());
    assert!(!format!("{rejected:?} {}", rejected.error()).contains("looking glass"));
    let unauthenticated = rejected.into_unauthenticated().expect("the server takes another attempt");
    let session = unauthenticated.authenticate(&credentials()).await.unwrap();
    assert!(session.output("true").await.unwrap().status.success());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn partial_success_is_followed_through() {
    let server = TestServer::builder()
        .user(User::new("alice").password("wonderland").none().steps([Method::None, Method::Password]))
        .builtins()
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    assert!(session.output("true").await.unwrap().status.success());
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_session_works_in_memory_under_paused_time() {
    let server = server().start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let output = session.output("echo hello").await.unwrap();
    assert_eq!(output.stdout_text(), "hello\n");
    session.close(Duration::from_secs(5)).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn new_keys_from_either_side_lose_nothing() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let bytes = vec![7u8; 8_000_000];
    let copy = session.line("cat").stdin(bytes.clone()).output();
    let rekeying = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            session.rekey().await.unwrap();
        }
    };
    let (output, ()) = tokio::join!(copy, rekeying);
    assert!(output.unwrap().stdout == bytes);
    assert!(session.stats().rekeys >= 1, "{:?}", session.stats());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn skipping_the_host_key_check_has_danger_in_its_name_and_works() {
    let server = server().start().await.unwrap();
    let target = Target::parse("alice@127.0.0.1").unwrap().with_port(server.port()).unwrap();
    let session = Connector::new(target)
        .host_trust(danger::AcceptAnyHostKey::new())
        .connect()
        .await
        .unwrap()
        .authenticate(&credentials())
        .await
        .unwrap();
    close_and_check(session, server).await;
}

#[test]
fn futures_may_move_between_threads_and_handles_be_shared() {
    fn send<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>() {}
    shared::<rustle_session::Session>();
    shared::<rustle_session::Child>();
    shared::<rustle_session::ChildStdin>();
    shared::<rustle_session::ChildStdout>();
    shared::<rustle_session::ChildStderr>();
    shared::<rustle_session::ForwardStream>();
    shared::<rustle_session::RemoteListener>();
    shared::<rustle_session::Incoming>();
    shared::<Connector>();
    shared::<rustle_session::Error>();
    shared::<rustle_session::Output>();
    // Only the types matter: none of these futures is ever polled.
    let _ = |connector: Connector, credentials: Credentials| {
        send(&async move {
            connector.connect().await?.authenticate(&credentials).await.map_err(rustle_session::Error::from)
        });
    };
    let _ = |session: rustle_session::Session| {
        send(&async move {
            session.output("true").await?;
            session.direct_tcpip("localhost", 1).await?;
            let mut listener = session.listen_tcpip("localhost", 0).await?;
            listener.accept().await;
            listener.close().await?;
            let mut child = session.line("true").spawn().await?;
            child.wait().await?;
            session.rekey().await?;
            session.ping().await?;
            session.close(Duration::ZERO).await;
            Ok::<(), rustle_session::Error>(())
        });
    };
}
