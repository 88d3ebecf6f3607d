//! Servers that are not there, go away and come back, and refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustle_pool::{ErrorKind, ForwardStats, Pool, Status};
use rustle_session::{ErrorKind as SessionErrorKind, SecretString};
use rustle_testserver::{Cut, RawPeer, RawSession, TestServer, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::{connect, echoes, is_balanced, is_reset, rest, targets, to, until};
use crate::support::{
    changes_until, in_fast_motion, pool, pool_with, server_shows, shut_down_and_check, way,
};

/// As a host that is switched off.
async fn goes_away(server: &TestServer) {
    server.pause_listening().await.unwrap();
    server.cut_all(Cut::Rst);
    server_shows(server, "no connection", |record| record.connections_open() == 0).await;
}

#[tokio::test]
async fn a_forward_outlives_its_server() {
    let server = targets().start().await.unwrap();
    // Told early, so that a client is seen to be asked for again.
    let pool = pool_with(&server, Pool::builder().attempts(1));
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let addresses = forward.addresses().to_vec();
    for round in 1..=3 {
        let mut open = connect(&forward).await;
        echoes(&mut open, "before").await;
        goes_away(&server).await;
        is_reset(&mut open).await;

        let mut parked = connect(&forward).await;
        parked.write_all(b"is anybody there?").await.unwrap();
        let mut idle = connect(&forward).await;
        until(&forward, "two are parked", |stats| stats.parked == 2).await;
        let is_known = |kind| kind == ErrorKind::Session(SessionErrorKind::HostUnreachable);
        until(&forward, "the reason is known", |stats| {
            stats.last_error.as_ref().is_some_and(|error| is_known(error.kind()))
        })
        .await;
        assert_eq!(forward.stats().parked, 2, "who waits goes on waiting");

        server.resume_listening().await.unwrap();
        let mut back = [0; 17];
        parked.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"is anybody there?");
        echoes(&mut idle, "and I?").await;
        drop((parked, idle));
        let stats = until(&forward, "all have ended", |stats| stats.ended == 3 * round).await;
        assert!(stats.failed == 0 && is_balanced(&stats), "{stats:?}");
        assert_eq!(forward.addresses(), addresses);
    }
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_lost_connection_is_kept_as_the_last_error() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let mut client = connect(&forward).await;
    echoes(&mut client, "before").await;
    server.cut_all(Cut::Rst);
    is_reset(&mut client).await;
    let stats = until(&forward, "it has ended", |stats| stats.ended == 1 && stats.last_error.is_some()).await;
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::Disconnected), "{error}");
    assert_eq!(error.to_string(), "web: the connection was lost before the end of what came for a client");
    echoes(&mut connect(&forward).await, "after").await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_client_waits_so_long_and_is_hung_up_on() {
    let server = targets().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().attempts(1));
    goes_away(&server).await;
    let park = Duration::from_secs(3);
    let forward = pool.forward("web", to("echo").park(park)).await.unwrap();
    let begun = std::time::Instant::now();
    let mut client = connect(&forward).await;
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let stats = until(&forward, "it has failed", |stats| stats.failed == 1).await;
    assert_eq!((stats.accepted, stats.parked, stats.open, stats.ended), (1, 0, 0, 0));
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::HostUnreachable), "{error}");
    assert!(error.hint().is_some());
    // The forward is still there.
    server.resume_listening().await.unwrap();
    echoes(&mut connect(&forward).await, "later").await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_comes_to_a_connection_that_is_silently_gone_gets_another() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    // It waits for as long as clients do unless somebody says otherwise.
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let mut first = connect(&forward).await;
    echoes(&mut first, "before").await;
    drop(first);
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    server.cut_all(Cut::Silence);
    server_shows(&server, "that it is silent", |record| record.connections_open() == 0).await;
    let mut client = connect(&forward).await;
    let is_unanswered = |stats: &ForwardStats| {
        let kind = stats.last_error.as_ref().map(rustle_pool::Error::kind);
        kind == Some(ErrorKind::Session(SessionErrorKind::ChannelTimeout))
    };
    in_fast_motion(until(&forward, "nobody answers", is_unanswered)).await;
    echoes(&mut client, "after").await;
    assert_eq!((forward.stats().accepted, forward.stats().failed), (2, 0));
    drop(client);
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_that_is_silent_for_a_while_is_kept_though_a_client_was_not_answered() {
    let server = targets().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections_per_host(1));
    let mut events = pool.events();
    let forward = pool.forward("web", to("echo").park(Duration::from_secs(600))).await.unwrap();
    let mut bystander = connect(&forward).await;
    echoes(&mut bystander, "before").await;
    changes_until(&mut events, |status| *status == Status::Connected).await;
    server.stall();
    let mut client = connect(&forward).await;
    in_fast_motion(async {
        // It opens nothing within 30 s, and gives no sign of life within 5 s more.
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Degraded]);
        server.resume();
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Connected]);
    })
    .await;
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    let stats = until(&forward, "it has failed", |stats| stats.failed == 1).await;
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::ChannelTimeout), "{error}");
    echoes(&mut bystander, "after").await;
    let stats = pool.stats().await;
    assert_eq!((stats.hosts[0].late_answers, stats.hosts[0].losses), (1, 0));
    assert_eq!(server.record().connections_accepted(), 1);
    drop((bystander, client));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn for_all_who_are_not_answered_their_connection_is_asked_once() {
    const CLIENTS: u32 = 5;
    let (opens, may_answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let questions = Arc::new(AtomicUsize::new(0));
    let (wanted, answers, asked) = (Arc::clone(&opens), Arc::clone(&may_answer), Arc::clone(&questions));
    // It opens nothing, and gives signs of life once it may.
    let peer = RawPeer::new().script(move |mut peer: RawSession| {
        let (opens, may_answer) = (Arc::clone(&opens), Arc::clone(&may_answer));
        let questions = Arc::clone(&questions);
        async move {
            peer.accept_login().await.expect("a login");
            while let Some(payload) = peer.next().await {
                match payload.first() {
                    Some(&message::CHANNEL_OPEN) => opens.add_permits(1),
                    Some(&message::GLOBAL_REQUEST) => {
                        questions.fetch_add(1, Ordering::Relaxed);
                        drop(may_answer.acquire().await);
                        drop(peer.send(vec![message::REQUEST_FAILURE]).await);
                    }
                    _ => {}
                }
            }
        }
    });
    let server = TestServer::builder().raw_peer(peer).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections_per_host(1));
    // Nobody but the pool asks for signs of life.
    let quiet = way(&server).option("ServerAliveInterval=0").password(SecretString::from("wonderland"));
    pool.register("web", quiet.resolve().unwrap());
    let mut events = pool.events();
    let forward = pool.forward("web", to("echo").park(Duration::from_secs(600))).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&forward).await);
    }
    changes_until(&mut events, |status| *status == Status::Connected).await;
    drop(wanted.acquire_many(CLIENTS).await.unwrap());
    in_fast_motion(async {
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Degraded]);
        answers.add_permits(1);
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Connected]);
    })
    .await;
    for mut client in clients {
        assert_eq!(rest(&mut client).await.unwrap(), b"");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(server.record().connections_accepted(), 1);
    forward.close().await;
    // The channels' places are taken until the server answers, which it does not.
    pool.shutdown(Duration::from_millis(100)).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_that_opens_nothing_is_not_waited_for_any_longer() {
    let server = targets().fault(rustle_testserver::Fault::withhold_channel_open()).start().await.unwrap();
    let pool = pool(&server);
    pool.connect("web").await.unwrap();
    let forward = pool.forward("web", to("echo").park(Duration::from_millis(300))).await.unwrap();
    let mut client = connect(&forward).await;
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    let stats = until(&forward, "it has failed", |stats| stats.failed == 1).await;
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::ChannelTimeout), "{error}");
    assert!(error.to_string().contains("echo:80"), "{error}");
    forward.close().await;
    // The channel's place is taken until the server answers, which it does not.
    pool.shutdown(Duration::from_millis(100)).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn refused_credentials_are_not_shown_again_for_a_client_that_waits() {
    let server = targets().start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("web", way(&server).password(SecretString::from("mirror")).resolve().unwrap());
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let mut client = connect(&forward).await;
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    let stats = until(&forward, "it has failed", |stats| stats.failed == 1).await;
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::AuthenticationFailed), "{error}");
    assert_eq!(server.record().connections_accepted(), 1);
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_target_that_is_refused_is_not_asked_for_again() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    for (target, kind) in
        [("down", SessionErrorKind::ChannelTarget), ("elsewhere", SessionErrorKind::ChannelProhibited)]
    {
        let refused = server.record().channels_refused();
        let forward = pool.forward("web", to(target)).await.unwrap();
        let mut client = connect(&forward).await;
        assert_eq!(rest(&mut client).await.unwrap(), b"");
        let stats = until(&forward, "it has failed", |stats| stats.failed == 1).await;
        assert_eq!(stats.last_error.unwrap().kind(), ErrorKind::Session(kind));
        assert_eq!(server.record().channels_refused(), refused + 1);
        forward.close().await;
    }
    assert_eq!(server.record().connections_accepted(), 1);
    shut_down_and_check(pool, server).await;
}
