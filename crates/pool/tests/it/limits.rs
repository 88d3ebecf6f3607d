//! The limits of servers, and one's own.

use std::time::Duration;

use rustle_pool::{ErrorKind, Forward, ForwardBind, Pool};
use rustle_session::ErrorKind as SessionErrorKind;
use rustle_testserver::{Fault, Reply, Target, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{in_fast_motion, pool, pool_with, server, server_shows, shut_down_and_check};

/// Runs fifty commands at once against a server with so many sessions on a connection, over so many connections.
async fn fifty_commands(sessions: usize, connections: usize) {
    let server = server().max_sessions(sessions).command("hello", Reply::stdout("hello\n"));
    let server = server.start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections_per_host(connections));
    let web = pool.get("web").await.unwrap();
    let mut commands = JoinSet::new();
    for _ in 0..50 {
        let web = web.clone();
        commands.spawn(async move { web.output("hello").await.unwrap().stdout_text().into_owned() });
    }
    assert_eq!(commands.join_all().await, ["hello\n"; 50]);
    let logins = server.record().connections_accepted();
    assert!(logins <= connections, "{logins} logins for {sessions} sessions a connection");
    assert_eq!(server.record().commands().len(), 50);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_with_two_sessions_a_connection_runs_fifty_commands_at_once() {
    fifty_commands(2, 10).await;
    fifty_commands(2, 1).await;
}

#[tokio::test]
async fn a_server_with_one_session_a_connection_runs_fifty_commands_at_once() {
    fifty_commands(1, 10).await;
    fifty_commands(1, 1).await;
}

#[tokio::test]
async fn a_server_without_sessions_is_told_from_one_that_is_full_and_forwards_all_the_same() {
    let server = server().max_sessions(0).forward_target("echo", None, Target::echo()).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let forward = pool.forward("web", Forward::local(ForwardBind::loopback(0), ("echo", 80))).await.unwrap();
    let mut client = TcpStream::connect(forward.addresses()[0]).await.unwrap();
    for _ in 0..2 {
        client.write_all(b"over there").await.unwrap();
        let mut back = [0; 10];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"over there");
        // Neither takes from the other, whichever came first.
        let error = web.output("true").await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (SessionErrorKind::NoPlace, "POOL_EXHAUSTED"), "{error}");
        assert!(error.to_string().contains("no session at all") && !error.is_retryable(), "{error}");
        assert!(error.hint().unwrap().contains("MaxSessions"), "{error:?}");
    }
    drop((client, web));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_that_is_short_of_something_is_told_from_one_without_sessions() {
    let short = Fault::refuse_channel_with(4, "no memory left").nth(1);
    let server = server().fault(short).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let error = web.output("hello").await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::ChannelShortage, "{error}");
    assert!(error.to_string().contains("no memory left") && error.is_retryable(), "{error}");
    // It is over.
    assert!(web.output("hello").await.unwrap().status.success());
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_waits_in_vain_is_told_which_limit_it_was() {
    let server = server().max_sessions(1).start().await.unwrap();
    let limits = Pool::builder().max_connections_per_host(1).patience(Duration::from_secs(60));
    let pool = pool_with(&server, limits);
    let web = pool.get("web").await.unwrap();
    let holder = web.line("sleep 1000").spawn().await.unwrap();
    let error = Box::pin(in_fast_motion(web.output("true"))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (SessionErrorKind::NoPlace, "POOL_EXHAUSTED"), "{error}");
    assert!(error.to_string().contains("connections to the host"), "{error}");
    assert!(error.hint().unwrap().contains("max_connections_per_host") && error.is_retryable());
    // The next one gets the place of the one who goes.
    let (waited, _ended) = tokio::join!(web.output("true"), async { drop(holder) });
    assert!(waited.unwrap().status.success());
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_command_that_has_ended_makes_room_whoever_still_has_it() {
    let server = server().max_sessions(1).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let limits = Pool::builder().max_connections_per_host(1).persist(Duration::from_secs(5));
    let pool = pool_with(&server, limits);
    let web = pool.get("web").await.unwrap();
    let mut kept = web.line("hello").spawn().await.unwrap();
    assert!(kept.wait().await.unwrap().success());
    assert!(web.output("hello").await.unwrap().status.success());
    let unread = web.line("hello").spawn().await.unwrap();
    assert!(web.output("hello").await.unwrap().status.success());
    // A connection that nothing is on is idle.
    drop(web);
    let gone = server_shows(&server, "no connection", |record| record.connections_open() == 0);
    Box::pin(in_fast_motion(gone)).await;
    drop((kept, unread));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_that_never_answers_keeps_no_place_for_ever() {
    let never = Fault::withhold_channel_open().nth(1);
    let server = server().fault(never).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections_per_host(1).max_channels(1));
    let web = pool.get("web").await.unwrap();
    Box::pin(drop_when_struck(&server, web.output("sleep 1000"))).await;
    let output = Box::pin(in_fast_motion(web.output("hello"))).await.unwrap();
    assert_eq!(output.stdout_text(), "hello\n");
    assert_eq!(server.record().connections_accepted(), 1);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_server_that_never_answers_keeps_no_pool_that_nobody_has() {
    let server = server().fault(Fault::withhold_channel_open().nth(1)).start().await.unwrap();
    let pool = pool(&server);
    let mut events = pool.events();
    let web = pool.get("web").await.unwrap();
    Box::pin(drop_when_struck(&server, web.output("sleep 1000"))).await;
    drop((web, pool));
    let begun = tokio::time::Instant::now();
    Box::pin(in_fast_motion(async { while events.next().await.is_some() {} })).await;
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

/// Polls something until a fault of the server has struck, and drops it.
async fn drop_when_struck(server: &TestServer, work: impl Future) {
    let struck = async {
        while server.faults_fired() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = work => panic!("it ended, and was not to"),
        () = struck => {}
    }
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let error = Pool::builder().max_connections(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "no connections at all are allowed");
}

#[tokio::test]
async fn who_waits_in_vain_for_the_one_login_there_is_hears_of_no_limit_that_could_be_raised() {
    let server = server().max_sessions(1).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().one_login().patience(Duration::from_secs(60)));
    let web = pool.get("web").await.unwrap();
    let holder = web.line("sleep 1000").spawn().await.unwrap();
    let error = Box::pin(in_fast_motion(web.output("true"))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (SessionErrorKind::NoPlace, "POOL_EXHAUSTED"), "{error}");
    assert!(error.to_string().contains("another login would ask") && error.is_retryable(), "{error}");
    assert!(!error.hint().unwrap().contains("max_connections_per_host"), "{error:?}");
    drop((holder, web));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_is_asked_of_a_pool_that_is_shut_down_is_told_so_and_not_to_be_tried_again() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let ending = {
        let (pool, sleeper) = (pool.clone(), web.line("sleep 1000").spawn().await.unwrap());
        async move {
            pool.shutdown(Duration::from_millis(300)).await;
            drop(sleeper);
        }
    };
    let asking = async {
        // While what is open has its time, and when nothing is left.
        tokio::time::sleep(Duration::from_millis(20)).await;
        [web.output("true").await, web.output("true").await]
    };
    let ((), during) = tokio::join!(ending, asking);
    for outcome in during.into_iter().chain([web.output("true").await]) {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (SessionErrorKind::NoMorePlaces, "POOL_SHUT_DOWN"),
            "{error}"
        );
        assert!(!error.is_retryable() && error.hint().unwrap().contains("another pool"), "{error:?}");
    }
    let error = pool.get("web").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::ShutDown, "POOL_SHUT_DOWN"), "{error}");
    let outcomes = pool.on(["web"]).output("true").next().await.unwrap().outcome;
    assert_eq!(outcomes.unwrap_err().kind(), ErrorKind::ShutDown);
    drop(web);
    shut_down_and_check(pool, server).await;
}
