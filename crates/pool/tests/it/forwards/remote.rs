//! Ports and sockets at the server that lead to where this machine can reach.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustle_pool::{ErrorKind, Forward, ForwardBind, ForwardHandle, Pool};
use rustle_session::{ErrorKind as SessionErrorKind, SecretString};
use rustle_testserver::{
    Cut, ForwardPlace, ForwardState, HostKeyKind, RawPeer, RawSession, Record, TestServer, message,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{LIMIT, echoes, is_balanced, rest, until};
use crate::support::{in_fast_motion, pool, pool_with, server, server_shows, shut_down_and_check, way};

/// Longer than an end takes that waits for no answer, and less than the 30 s after which a question is given up by itself.
const SOON: Duration = Duration::from_secs(10);

/// Somebody here who echoes all that comes until its end, and then ends.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reading, mut writing) = stream.split();
                let _ = tokio::io::copy(&mut reading, &mut writing).await;
                let _ = writing.shutdown().await;
            });
        }
    });
    address
}

fn remote(port: u16, to: SocketAddr) -> Forward {
    Forward::remote(ForwardBind::loopback(port), (to.ip().to_string(), to.port()))
}

fn listens(record: &Record) -> usize {
    record.forwards_open()
}

async fn client(server: &TestServer, forward: &ForwardHandle) -> rustle_testserver::ChannelStream {
    server.connect_to_forward(forward.port().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_port_at_the_server_leads_here_each_way_until_it_ends() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", remote(8080, echo().await)).await.unwrap();
    forward.bound().await.unwrap();
    assert!(forward.is_bound() && forward.addresses().is_empty());
    assert_eq!(forward.port(), Some(8080));
    let asked = ForwardPlace::Tcpip("localhost".to_owned(), 8080);
    assert_eq!(server.record().forwards()[0].place(), &asked);
    for _ in 0..2 {
        let mut client = client(&server, &forward).await;
        echoes(&mut client, "hello over there").await;
        // Each way ends by itself.
        client.write_all(b" and bye").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await.unwrap(), b" and bye");
    }
    let stats = until(&forward, "both have ended", |stats| stats.ended == 2).await;
    assert_eq!((stats.accepted, stats.failed, stats.asked_again), (2, 0, 0));
    assert_eq!((stats.bytes_to_server, stats.bytes_from_server), (48, 48));
    // Nobody uses the connection but the listener.
    assert_eq!(pool.retire_idle().await, 0);
    forward.close().await;
    assert_eq!(server.record().forwards()[0].state(), ForwardState::Ended);
    assert_eq!(server.record().connections_accepted(), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_a_restart_the_server_is_asked_for_the_same_port() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", remote(0, echo().await)).await.unwrap();
    forward.bound().await.unwrap();
    let port = forward.port().unwrap();
    let mut lost = client(&server, &forward).await;
    echoes(&mut lost, "before").await;
    server.restart_with(HostKeyKind::Ed25519).unwrap();
    server_shows(&server, "that it listens again", |record| record.forwards().len() == 2).await;
    until(&forward, "it is asked again", |stats| stats.asked_again > 0).await;
    until(&forward, "it listens", |_| forward.is_bound()).await;
    assert_eq!(forward.port(), Some(port));
    let mut client = client(&server, &forward).await;
    echoes(&mut client, "after").await;
    drop((lost, client));
    let stats = until(&forward, "all have ended", |stats| stats.open == 0 && stats.parked == 0).await;
    assert!(is_balanced(&stats) && stats.asked_again >= 1, "{stats:?}");
    drop(forward);
    server_shows(&server, "that it listens no more", |record| listens(record) == 0).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn whoever_may_not_listen_is_told_and_asks_again() {
    // It does not listen for anybody.
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", remote(8080, echo().await)).await.unwrap();
    let error = forward.bound().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::RequestRefused), "{error}");
    assert!(error.to_string().contains("8080"), "{error}");
    assert!(!forward.is_bound() && forward.port().is_none());
    let stats = until(&forward, "it is asked again", |stats| stats.asked_again >= 1).await;
    assert!(stats.last_error.is_some());
    server_shows(&server, "two questions", |record| record.forwards().len() >= 2).await;
    assert_eq!(server.record().connections_accepted(), 1);
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_a_refusal_for_good_nothing_is_tried_again() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("web", way(&server).password(SecretString::from("mirror")).resolve().unwrap());
    let forward = pool.forward("web", remote(8080, echo().await)).await.unwrap();
    let error = forward.bound().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::AuthenticationFailed), "{error}");
    in_fast_motion(tokio::time::sleep(Duration::from_secs(300))).await;
    assert_eq!((server.record().connections_accepted(), forward.stats().asked_again), (1, 0));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_again_over_another_connection() {
    let (connections, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let first_asked = Arc::clone(&asked);
    // Over its first connection it answers nothing, over others it grants whatever is asked for.
    let peer = RawPeer::new().script(move |mut peer: RawSession| {
        let is_first = connections.fetch_add(1, Ordering::Relaxed) == 0;
        let asked = Arc::clone(&asked);
        async move {
            peer.accept_login().await.expect("a login");
            while let Some(payload) = peer.next().await {
                match payload.first() {
                    Some(&message::GLOBAL_REQUEST) if is_first => asked.add_permits(1),
                    Some(&message::GLOBAL_REQUEST) => drop(peer.send(vec![message::REQUEST_SUCCESS]).await),
                    _ => {}
                }
            }
        }
    });
    let server = TestServer::builder().raw_peer(peer).start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", remote(8080, echo().await)).await.unwrap();
    drop(first_asked.acquire().await.unwrap());
    let error = in_fast_motion(forward.bound()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::ChannelTimeout), "{error}");
    let stats = until(&forward, "it listens", |_| forward.is_bound()).await;
    assert!(stats.asked_again >= 1, "{stats:?}");
    assert_eq!((forward.port(), server.record().connections_accepted()), (Some(8080), 2));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

/// A server that says yes to whoever wants it to listen, once it may.
struct Hesitant {
    server: TestServer,
    asked: Arc<Semaphore>,
    may_answer: Arc<Semaphore>,
    taken_back: Arc<AtomicUsize>,
}

/// Whether a message is a global request of this name (RFC 4254 section 4).
fn asks_for(payload: &[u8], name: &str) -> bool {
    let named = payload.get(5..5 + name.len());
    payload.first() == Some(&message::GLOBAL_REQUEST) && named == Some(name.as_bytes())
}

async fn hesitant() -> Hesitant {
    let (asked, may_answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let taken_back = Arc::new(AtomicUsize::new(0));
    let shared = (Arc::clone(&asked), Arc::clone(&may_answer), Arc::clone(&taken_back));
    let peer = RawPeer::new().script(move |mut peer: RawSession| {
        let (asked, may_answer, taken_back) = shared.clone();
        async move {
            peer.accept_login().await.expect("a login");
            while let Some(payload) = peer.next().await {
                let answer = if asks_for(&payload, "tcpip-forward") {
                    asked.add_permits(1);
                    drop(may_answer.acquire().await);
                    message::REQUEST_SUCCESS
                } else if asks_for(&payload, "cancel-tcpip-forward") {
                    taken_back.fetch_add(1, Ordering::Relaxed);
                    message::REQUEST_SUCCESS
                } else if payload.first() == Some(&message::GLOBAL_REQUEST) {
                    message::REQUEST_FAILURE
                } else {
                    continue;
                };
                drop(peer.send(vec![answer]).await);
            }
        }
    });
    let server = TestServer::builder().raw_peer(peer).start().await.unwrap();
    Hesitant { server, asked, may_answer, taken_back }
}

#[tokio::test]
async fn what_is_granted_after_the_end_is_taken_back_before_that_is_over() {
    let Hesitant { server, asked, may_answer, taken_back } = hesitant().await;
    let pool = pool(&server);
    let forward = remote(8080, echo().await).grace(Duration::from_secs(600));
    let forward = pool.forward("web", forward).await.unwrap();
    drop(asked.acquire().await.unwrap());
    // The end is wanted first, and the answer comes then.
    tokio::join!(forward.close(), async { may_answer.add_permits(1) });
    assert_eq!(taken_back.load(Ordering::Relaxed), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_is_granted_after_the_end_is_told_to_nobody() {
    let Hesitant { server, asked, may_answer, taken_back } = hesitant().await;
    let pool = pool(&server);
    let forward = pool.forward("web", remote(8080, echo().await)).await.unwrap();
    drop(asked.acquire().await.unwrap());
    // The end is wanted first, and the answer comes then.
    let ((), bound, ()) =
        tokio::join!(pool.shutdown(LIMIT), forward.bound(), async { may_answer.add_permits(1) });
    assert_eq!(bound.unwrap_err().kind(), ErrorKind::ShutDown);
    assert!(!forward.is_bound() && forward.port().is_none());
    assert_eq!(taken_back.load(Ordering::Relaxed), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn when_its_pool_has_ended_nothing_listens_and_whoever_waits_for_that_is_told() {
    for (server, grants) in [(server().tcpip_forward_scripted(), true), (server(), false)] {
        let server = server.start().await.unwrap();
        let pool = pool(&server);
        let forward = pool.forward("web", remote(8080, echo().await)).await.unwrap();
        assert_eq!(forward.bound().await.is_ok(), grants);
        pool.shutdown(LIMIT).await;
        assert!(!forward.is_bound() && forward.port().is_none());
        let error = tokio::time::timeout(SOON, forward.bound()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShutDown, "{error}");
        shut_down_and_check(pool, server).await;
    }
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_not_asked_again_when_its_connection_is_lost() {
    let Hesitant { server, asked, .. } = hesitant().await;
    let pool = pool(&server);
    let forward = remote(8080, echo().await).grace(Duration::from_secs(600));
    let forward = pool.forward("web", forward).await.unwrap();
    drop(asked.acquire().await.unwrap());
    // The end is wanted first, and the connection is lost then.
    let (closed, ()) =
        tokio::join!(tokio::time::timeout(SOON, forward.close()), async { server.cut_all(Cut::Rst) });
    closed.unwrap();
    assert_eq!(server.record().connections_accepted(), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn an_answer_is_waited_for_no_longer_than_the_grace_and_what_it_grants_is_taken_back_all_the_same() {
    let Hesitant { server, asked, may_answer, taken_back } = hesitant().await;
    let pool = pool(&server);
    let forward = remote(8080, echo().await).grace(Duration::from_millis(100));
    let forward = pool.forward("web", forward).await.unwrap();
    drop(asked.acquire().await.unwrap());
    tokio::time::timeout(SOON, forward.close()).await.unwrap();
    assert_eq!(taken_back.load(Ordering::Relaxed), 0);
    may_answer.add_permits(1);
    let is_taken_back = async {
        while taken_back.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, is_taken_back).await.unwrap();
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_client_whose_target_here_is_not_there_is_hung_up_on() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    let pool = pool(&server);
    // A port that nobody else gets, and that nobody listens on.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let forward = pool.forward("web", remote(8080, taken.local_addr().unwrap())).await.unwrap();
    forward.bound().await.unwrap();
    let mut client = client(&server, &forward).await;
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    let stats = until(&forward, "it is counted", |stats| stats.failed == 1).await;
    let error = stats.last_error.as_ref().unwrap();
    assert_eq!(error.kind(), ErrorKind::Client, "{error}");
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
    assert!(is_balanced(&stats) && forward.is_bound());
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_proxy_at_the_server_leads_to_where_each_client_wants() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    let pool = pool(&server);
    let echo = echo().await;
    let forward = pool.forward("web", Forward::remote_dynamic(ForwardBind::loopback(1080))).await.unwrap();
    forward.bound().await.unwrap();
    let mut client = client(&server, &forward).await;
    let [high, low] = echo.port().to_be_bytes();
    // SOCKS 5 to an address of IPv4, and the first words right behind it.
    client.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]).await.unwrap();
    client.write_all(b"early").await.unwrap();
    let mut answer = [0; 17];
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut answer).await.unwrap();
    assert_eq!(answer[..4], [5, 0, 5, 0]);
    assert_eq!(&answer[12..], b"early");
    echoes(&mut client, "late").await;
    drop(client);
    until(&forward, "it has ended", |stats| stats.ended == 1).await;
    // What is not SOCKS is hung up on.
    let mut stranger = server.connect_to_forward(1080).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(rest(&mut stranger).await.unwrap(), b"");
    until(&forward, "it is counted", |stats| stats.failed == 1).await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_lost_connection_ends_its_clients_and_is_made_again() {
    let server = server().tcpip_forward_scripted().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder());
    let target = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let forward = pool.forward("web", remote(8080, target.local_addr().unwrap())).await.unwrap();
    for round in 1..=2 {
        until(&forward, "it listens", |_| forward.is_bound()).await;
        let _client = client(&server, &forward).await;
        let (mut here, _) = target.accept().await.unwrap();
        server.cut_all(Cut::Rst);
        // It did not end, and does not look so.
        super::is_reset(&mut here).await;
        until(&forward, "it is asked again", |stats| stats.asked_again >= round).await;
    }
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_at_the_server_leads_to_one_here() {
    let server = server().streamlocal_forward_scripted().start().await.unwrap();
    let pool = pool(&server);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("here.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let target = rustle_pool::ForwardTarget::socket(path.to_str().unwrap());
    let forward = Forward::remote(ForwardBind::unix("/run/there.sock"), target);
    let forward = pool.forward("web", forward).await.unwrap();
    forward.bound().await.unwrap();
    assert_eq!((forward.port(), forward.path()), (None, None));
    let mut client = server.connect_to_forwarded_socket("/run/there.sock").await.unwrap();
    let (mut here, _) = listener.accept().await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut here).await.unwrap(), b"hello");
    here.write_all(b"bye").await.unwrap();
    drop(here);
    assert_eq!(rest(&mut client).await.unwrap(), b"bye");
    forward.close().await;
    shut_down_and_check(pool, server).await;
}
