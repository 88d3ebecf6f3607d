//! How many clients there may be, and that nothing is left of those who have gone.

use std::sync::Arc;
use std::time::Duration;

use rustle_pool::{ErrorKind, Pool, Stalls};
use rustle_session::{BufferLimits, ErrorKind as SessionErrorKind, SecretString};
use rustle_testserver::{Cut, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LIMIT, connect, echoes, is_balanced, is_reset, rest, targets, to, until};
use crate::support::{pool, server, server_shows, shut_down_and_check, way};

/// In which somebody who is not to come would have come.
const A_WHILE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn so_many_are_parked_and_the_others_wait_for_their_turn() {
    let server = targets().start().await.unwrap();
    server.pause_listening().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo").max_parked(2)).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(connect(&forward).await);
    }
    until(&forward, "two are parked", |stats| stats.parked == 2).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(forward.stats().accepted, 2);
    server.resume_listening().await.unwrap();
    for client in &mut clients {
        echoes(client, "my turn").await;
    }
    assert_eq!((forward.stats().open, forward.stats().parked), (5, 0));
    drop(clients);
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn so_many_are_there_and_the_next_comes_when_one_has_gone() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo").max_clients(2)).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = connect(&forward).await;
        echoes(&mut client, "there").await;
        clients.push(client);
    }
    let mut next = connect(&forward).await;
    next.write_all(b"and I?").await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!((forward.stats().accepted, forward.stats().open), (2, 2));
    drop(clients.pop());
    let mut back = [0; 6];
    next.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"and I?");
    assert_eq!((forward.stats().accepted, forward.stats().ended), (3, 1));
    drop((clients, next));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn times_may_be_as_long_as_they_can_be_said() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = to("echo").park(Duration::MAX).handshake(Duration::MAX).grace(Duration::MAX);
    let forward = pool.forward("web", forward.max_clients(usize::MAX).max_parked(usize::MAX)).await.unwrap();
    let mut client = connect(&forward).await;
    echoes(&mut client, "for ever").await;
    let (mut read, mut write) = client.split();
    let ends = async {
        write.shutdown().await.unwrap();
        assert_eq!(rest(&mut read).await.unwrap(), b"");
    };
    tokio::join!(forward.close(), ends);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn two_thousand_short_connections_leave_nothing_behind() {
    const CLIENTS: u64 = 2000;
    const AT_ONCE: u64 = 50;

    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = Arc::new(pool.forward("web", to("echo")).await.unwrap());
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let forward = Arc::clone(&forward);
        workers.spawn(async move {
            for round in 0..CLIENTS / AT_ONCE {
                let said = format!("client {worker} in round {round} ").repeat(10);
                let mut client = connect(&forward).await;
                client.write_all(said.as_bytes()).await.unwrap();
                client.shutdown().await.unwrap();
                assert_eq!(rest(&mut client).await.unwrap(), said.as_bytes());
            }
        });
    }
    workers.join_all().await;
    let stats = until(&forward, "all have ended", |stats| stats.ended == CLIENTS).await;
    assert_eq!((stats.accepted, stats.parked, stats.open, stats.failed), (CLIENTS, 0, 0, 0));
    assert!(is_balanced(&stats) && stats.bytes_to_server == stats.bytes_from_server, "{stats:?}");
    assert!(stats.last_error.is_none(), "{stats:?}");
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    let record = server.record();
    assert_eq!(record.channels_opened_total() as u64, CLIENTS);
    assert!(record.connections_accepted() <= 10, "{}", record.connections_accepted());
    Arc::into_inner(forward).unwrap().close().await;
    shut_down_and_check(pool, server).await;
}

/// Echoes, or sends without an end to those who say so at first.
fn echoes_or_floods() -> Target {
    Target::closure(async |mut stream| {
        let mut block = vec![0; 32 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut block).await {
            if block.starts_with(b"flood") {
                while stream.write_all(&block).await.is_ok() {}
            }
            if stream.write_all(&block[..read]).await.is_err() {
                break;
            }
        }
    })
}

/// Has blocks echoed until it is told to end, and counts them; the longest that one took.
async fn busy(mut client: TcpStream, rounds: watch::Sender<u64>, ends: CancellationToken) -> Duration {
    let mut slowest = Duration::ZERO;
    while !ends.is_cancelled() {
        let sent = Instant::now();
        echoes(&mut client, &"and back ".repeat(2000)).await;
        slowest = slowest.max(sent.elapsed());
        rounds.send_modify(|rounds| *rounds += 1);
    }
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    slowest
}

/// Waits until each has had some more echoed.
async fn go_on(mut rounds: Vec<watch::Receiver<u64>>) {
    for rounds in &mut rounds {
        let more = *rounds.borrow() + 3;
        let going_on = tokio::time::timeout(LIMIT, rounds.wait_for(|rounds| *rounds >= more)).await;
        going_on.expect("it goes on").unwrap();
    }
}

/// A client that takes little at once.
async fn small(address: std::net::SocketAddr) -> TcpStream {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(address).await.unwrap()
}

/// Waits until clients that do not read have cost this.
async fn has_cost(pool: &Pool, this: impl Fn(&Stalls) -> bool) {
    let costs = async {
        while !this(&pool.stats().await.hosts[0].stalls) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, costs).await.expect("it comes to this");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_so_much_and_is_ended_while_the_others_go_on() {
    const OTHERS: usize = 5;
    /// What its channel may hold, and what the forward may beside that.
    const CHANNEL: u32 = 1024 * 1024;
    const CLIENT: u64 = 160 * 1024;
    /// A packet that was begun, and the headers of all.
    const PACKETS: u64 = 128 * 1024;

    let pause = Duration::from_secs(10);
    let server = server().forward_target("there", None, echoes_or_floods()).start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    let buffers = BufferLimits::default().memory(CHANNEL).disk(0).pause(pause);
    let way = way(&server).password(SecretString::from("wonderland")).buffers(buffers);
    pool.register("web", way.resolve().unwrap());
    let forward = pool.forward("web", to("there")).await.unwrap();
    // Each has a connection of its own.
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        others.push(connect(&forward).await);
        echoes(others.last_mut().unwrap(), "before").await;
    }
    let of_others = forward.stats().bytes_from_server;
    let mut stalled = small(forward.addresses()[0]).await;
    stalled.write_all(b"flood").await.unwrap();
    // Its connection stands still: all that it may hold is there.
    has_cost(&pool, |stalls| stalls.pauses == 1).await;
    let shown = pool.list().await.remove(0);
    assert_eq!(shown.transports.len(), OTHERS + 1);
    let came = shown.transports.iter().map(|transport| transport.bytes_received).max().unwrap();
    let channel = u64::from(CHANNEL);
    let held = came - (forward.stats().bytes_from_server - of_others);
    assert!((channel..channel + CLIENT + PACKETS).contains(&held), "{held} of {came} bytes are held");
    // The others go on meanwhile, and when it has ended.
    let (mut busy_ones, mut rounds, end) = (JoinSet::new(), Vec::new(), CancellationToken::new());
    for other in others {
        let (count, counted) = watch::channel(0);
        busy_ones.spawn(busy(other, count, end.clone()));
        rounds.push(counted);
    }
    go_on(rounds.clone()).await;
    assert_eq!(pool.stats().await.hosts[0].stalls.overruns, 0);
    has_cost(&pool, |stalls| stalls.overruns == 1).await;
    // Its place is free, though it reads nothing.
    let stats = until(&forward, "it has ended", |stats| stats.ended == 1).await;
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::Overrun), "{error}");
    assert!(
        error.to_string().contains("not read") && error.hint().unwrap().contains("BufferLimits"),
        "{error:?}"
    );
    server_shows(&server, "the others alone", |record| record.channels_open() == OTHERS).await;
    go_on(rounds).await;
    end.cancel();
    let slowest = busy_ones.join_all().await.into_iter().max().unwrap();
    assert!(slowest < pause, "{slowest:?}");
    let stalls = pool.stats().await.hosts[0].stalls;
    assert_eq!((stalls.spills, stalls.pauses, stalls.overruns), (0, 1, 1), "{stalls:?}");
    let stats = until(&forward, "all have ended", |stats| stats.open == 0).await;
    assert_eq!(stats.ended, OTHERS as u64 + 1);
    // What it reads from here on is not all that there was, and does not look like that.
    is_reset(&mut stalled).await;
    echoes(&mut connect(&forward).await, "after").await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_keeps_no_place_when_its_connection_is_lost() {
    let server = server().forward_target("there", None, echoes_or_floods()).start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    let buffers = BufferLimits::default().memory(256 * 1024);
    let way = way(&server).password(SecretString::from("wonderland")).buffers(buffers);
    pool.register("web", way.resolve().unwrap());
    let forward = pool.forward("web", to("there")).await.unwrap();
    let mut other = connect(&forward).await;
    echoes(&mut other, "before").await;
    let mut stalled = small(forward.addresses()[0]).await;
    stalled.write_all(b"flood").await.unwrap();
    has_cost(&pool, |stalls| stalls.spills == 1).await;
    server.cut_all(Cut::Rst);
    let stats = until(&forward, "both have ended", |stats| stats.ended == 2).await;
    let error = stats.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::Disconnected), "{error}");
    is_reset(&mut stalled).await;
    is_reset(&mut other).await;
    echoes(&mut connect(&forward).await, "after").await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}
