//! How many clients there may be, and that nothing is left of those who have gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::{connect, echoes, is_balanced, rest, targets, to, until};
use crate::support::{pool, server_shows, shut_down_and_check};

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
    tokio::io::AsyncReadExt::read_exact(&mut next, &mut back).await.unwrap();
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
