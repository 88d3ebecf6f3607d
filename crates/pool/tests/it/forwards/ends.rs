//! How forwards end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustle_pool::{ErrorKind, ForwardHandle, Pool};
use rustle_testserver::TestServer;
use tokio::net::{TcpListener, TcpStream};

use super::{LIMIT, connect, echoes, is_balanced, is_reset, rest, targets, to, until};
use crate::support::{pool, server_shows, shut_down_and_check};

const LONG: Duration = Duration::from_secs(600);

/// A forward that somebody uses.
struct Used {
    server: TestServer,
    pool: Pool,
    forward: ForwardHandle,
    address: SocketAddr,
    client: TcpStream,
}

impl Used {
    async fn with_grace(grace: Duration) -> Self {
        let server = targets().start().await.unwrap();
        let pool = pool(&server);
        let forward = pool.forward("web", to("echo").grace(grace)).await.unwrap();
        let (address, mut client) = (forward.addresses()[0], connect(&forward).await);
        echoes(&mut client, "before").await;
        Self { server, pool, forward, address, client }
    }
}

/// Waits until somebody else may listen where this forward did.
async fn is_free(address: SocketAddr) {
    let begun = Instant::now();
    while TcpListener::bind(address).await.is_err() {
        assert!(begun.elapsed() < LIMIT, "{address} is still taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_dropped_forward_frees_its_port_and_lets_those_who_are_there_finish() {
    let Used { server, pool, forward, address, mut client } = Used::with_grace(LONG).await;
    drop(forward);
    is_free(address).await;
    echoes(&mut client, "after").await;
    drop(client);
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_closed_forward_has_ended_and_who_goes_on_for_too_long_is_cut() {
    let Used { server, pool, forward, address, mut client } =
        Used::with_grace(Duration::from_millis(100)).await;
    let begun = Instant::now();
    forward.close().await;
    assert!(begun.elapsed() >= Duration::from_millis(100), "it had its grace");
    assert!(TcpStream::connect(address).await.is_err());
    is_reset(&mut client).await;
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_closed_forward_does_not_wait_for_those_who_are_parked() {
    let server = targets().start().await.unwrap();
    server.pause_listening().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo").grace(LONG).park(LONG)).await.unwrap();
    let mut client = connect(&forward).await;
    until(&forward, "one is parked", |stats| stats.parked == 1).await;
    tokio::time::timeout(LIMIT, forward.close()).await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    shut_down_and_check(pool, server).await;
}

/// A pool's end with a client that is open and one that says nothing more.
async fn ends_with_its_pool(forward: &ForwardHandle, address: SocketAddr) {
    assert!(TcpStream::connect(address).await.is_err());
    let stats = forward.stats();
    assert!(stats.open == 0 && stats.parked == 0 && is_balanced(&stats), "{stats:?}");
}

#[tokio::test]
async fn the_end_of_a_pool_is_that_of_its_forwards() {
    let Used { server, pool, forward, address, mut client } = Used::with_grace(LONG).await;
    let finishes = async {
        is_free(address).await;
        echoes(&mut client, "while it ends").await;
        drop(client);
    };
    let begun = Instant::now();
    tokio::join!(pool.shutdown(LONG), finishes);
    assert!(begun.elapsed() < LIMIT, "it ended with its last client");
    ends_with_its_pool(&forward, address).await;
    let error = pool.forward("web", to("echo")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::ShutDown, "POOL_SHUT_DOWN"), "{error}");
    drop(forward);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn the_end_of_a_pool_waits_for_no_client_for_longer_than_it_said() {
    let Used { server, pool, forward, address, mut client } = Used::with_grace(LONG).await;
    tokio::time::timeout(LIMIT, pool.shutdown(Duration::from_millis(100))).await.unwrap();
    is_reset(&mut client).await;
    ends_with_its_pool(&forward, address).await;
    tokio::time::timeout(LIMIT, forward.close()).await.unwrap();
    shut_down_and_check(pool, server).await;
}
