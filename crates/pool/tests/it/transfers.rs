//! Files over the connections of a pool.

use std::collections::BTreeSet;

use rustle_pool::Pool;
use rustle_session::{AgentSource, HostSetup, SecretString};
use rustle_sftp::Sftp;
use rustle_testserver::{Builder, Cut, Fault, HostKeyKind, Network, TestServer};

use crate::support::{pool_with, server, server_shows, shut_down_and_check};

/// Bytes that differ from block to block.
fn content(length: usize) -> Vec<u8> {
    (0..length as u64 / 8)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

fn serving(content: &[u8]) -> Builder {
    server().sftp(rustle_testserver::Sftp::memory().file("/there", content.to_vec()))
}

/// A server whose connections carry so much that all are made long before the end of a file.
fn slow(content: &[u8]) -> Builder {
    serving(content).network(Network::new().rate(8_000_000))
}

/// On which connections somebody speaks SFTP.
fn carriers(server: &TestServer) -> BTreeSet<usize> {
    server.record().channels().iter().map(|channel| channel.connection()).collect()
}

#[tokio::test]
async fn a_file_is_striped_over_several_of_the_pool_s_connections() {
    let (bytes, here) = (content(16 << 20), tempfile::tempdir().unwrap());
    let server = slow(&bytes).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder());
    let web = pool.get("web").await.unwrap();
    let sftp = Sftp::open(&web).await.unwrap();
    let (back, channels) = (here.path().join("back"), 3.try_into().unwrap());
    let got = sftp.get("/there", &back).channels(channels).await.unwrap();
    assert_eq!((got.channels, got.losses), (3, 0));
    assert!(std::fs::read(&back).unwrap() == bytes);
    assert_eq!((carriers(&server).len(), server.record().connections_accepted()), (3, 3));
    let put = sftp.put(&back, "/again").channels(channels).atomic().await.unwrap();
    assert_eq!((put.channels, put.losses), (3, 0));
    assert!(sftp.read("/again").await.unwrap() == bytes);
    // All of them are the pool's.
    let stats = pool.stats().await;
    assert_eq!(stats.connections, server.record().connections_accepted());
    assert_eq!(stats.hosts[0].places.folded, 0);
    sftp.close().await;
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn in_one_login_the_channels_of_a_file_share_it() {
    let (bytes, here) = (content(16 << 20), tempfile::tempdir().unwrap());
    let server = slow(&bytes).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().one_login());
    let web = pool.get("web").await.unwrap();
    let sftp = Sftp::open(&web).await.unwrap();
    let back = here.path().join("back");
    let got = sftp.get("/there", &back).channels(3.try_into().unwrap()).await.unwrap();
    assert_eq!((got.channels, server.record().connections_accepted()), (3, 1));
    assert!(std::fs::read(&back).unwrap() == bytes);
    sftp.close().await;
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_transfer_whose_connection_dies_goes_on_over_another_of_the_pool() {
    let (bytes, here) = (content(64 << 20), tempfile::tempdir().unwrap());
    let back = here.path().join("back");
    let get_dies = Fault::cut_after(40 << 20, Cut::Rst).on_connection(1);
    // Whichever carries it: the second, or a third where the channel of before is not yet confirmed closed.
    let put_dies = Fault::cut_after_received(40 << 20, Cut::Fin);
    let server = serving(&bytes).fault(get_dies).fault(put_dies).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder());
    let web = pool.get("web").await.unwrap();
    let sftp = Sftp::open(&web).await.unwrap();
    // By itself it takes more than one where the round trip is long, as on a busy machine: then the loss of one is none.
    let one = 1.try_into().unwrap();
    let got = sftp.get("/there", &back).channels(one).atomic().await.unwrap();
    assert_eq!((got.losses, server.record().connections_accepted()), (1, 2));
    assert!(std::fs::read(&back).unwrap() == bytes);
    // The channel was lost with the connection; the session of the pool was not.
    let sftp = Sftp::open(&web).await.unwrap();
    let put = sftp.put(&back, "/again").channels(one).atomic().await.unwrap();
    assert_eq!(put.losses, 1);
    let sftp = Sftp::open(&web).await.unwrap();
    assert!(sftp.read("/again").await.unwrap() == bytes);
    assert_eq!(pool.stats().await.hosts[0].losses, 2);
    sftp.close().await;
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn connections_of_a_striped_file_that_die_together_are_replaced() {
    let (bytes, here) = (content(32 << 20), tempfile::tempdir().unwrap());
    let back = here.path().join("back");
    let server = slow(&bytes).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder());
    let web = pool.get("web").await.unwrap();
    let sftp = Sftp::open(&web).await.unwrap();
    let restart = async {
        server_shows(&server, "three connections", |record| record.connections_open() == 3).await;
        server_shows(&server, "some of it", |record| record.bytes_out() >= 6 << 20).await;
        server.cut_all(Cut::Rst);
    };
    let channels = 3.try_into().unwrap();
    let get = async { sftp.get("/there", &back).channels(channels).await };
    let (got, ()) = tokio::join!(get, restart);
    assert_eq!(got.unwrap().losses, 1);
    assert!(std::fs::read(&back).unwrap() == bytes);
    drop((sftp, web));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_transfer_does_not_go_on_to_a_host_with_another_key() {
    let (bytes, here) = (content(8 << 20), tempfile::tempdir().unwrap());
    let dies = Fault::cut_after_received(4 << 20, Cut::Rst).on_connection(1);
    let server = serving(b"older").fault(dies).start().await.unwrap();
    let known = here.path().join("known_hosts");
    std::fs::write(&known, server.known_hosts_line()).unwrap();
    let way = HostSetup::builder("alice@127.0.0.1")
        .without_config_files()
        .port(server.port())
        .agent(AgentSource::None)
        .option("StrictHostKeyChecking=yes")
        .option("PubkeyAuthentication=no")
        .option(format!("UserKnownHostsFile={}", known.display()))
        .password(SecretString::from("wonderland"));
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("web", way.resolve().unwrap());
    let web = pool.get("web").await.unwrap();
    let sftp = Sftp::open(&web).await.unwrap();
    server.swap_host_key(HostKeyKind::Ed25519).unwrap();
    std::fs::write(here.path().join("from"), &bytes).unwrap();
    let error = sftp.put(here.path().join("from"), "/there").atomic().await.unwrap_err();
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let codes: Vec<&str> = causes
        .filter_map(|cause| cause.downcast_ref::<rustle_session::Error>().map(|error| error.code()))
        .collect();
    assert_eq!(codes.first(), Some(&"SSH_HOST_KEY_CHANGED"), "{error:?}");
    assert_eq!(server.sftp_content("/there").unwrap(), b"older");
    // The transfer asks once. So does a second channel of it, where the first connection was lost while that was being opened.
    let accepted = server.record().connections_accepted();
    assert!((2..=3).contains(&accepted), "{accepted}");
    drop((sftp, web));
    shut_down_and_check(pool, server).await;
}
