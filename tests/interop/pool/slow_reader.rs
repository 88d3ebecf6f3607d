//! A reader that sleeps on what comes through a pool, while a server with keepalives of its own keeps asking.

use std::time::Duration;

use rustle_pool::{Pool, PoolBuilder};
use rustle_tests::Bulk;

use super::pool_with;
use crate::slow_reader::Scale;

/// What CI has time for: long enough for the server to give up a connection that does not answer.
const SHORT: Scale = Scale { asleep: Duration::from_secs(15), bulk: Bulk::MIB_256, alive_interval: 1 };

#[test]
fn a_reader_asleep_loses_nothing_and_is_on_a_connection_of_its_own() {
    sleeps(Pool::builder(), 2, Duration::ZERO);
}

#[test]
fn a_reader_asleep_beside_others_loses_nothing_and_holds_them_up_for_two_seconds_at_most() {
    sleeps(Pool::builder().max_connections_per_host(1), 1, Duration::from_secs(2));
}

/// Over so many connections, and the others are held up for so long at the most.
fn sleeps(builder: PoolBuilder, connections: usize, held_up: Duration) {
    SHORT.or_whole().interop(move |scale, interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let server = scale.server(&interop);
        let pool = pool_with(&server, builder);
        let web = pool.get("web").await.unwrap();
        // The machine makes all this output meanwhile, too.
        scale.sleeps(&web, held_up + Duration::from_secs(1)).await;
        let log = server.sshd().log();
        assert_eq!(log.matches("Accepted publickey").count(), connections, "{log}");
        let host = &pool.stats().await.hosts[0];
        assert_eq!((host.losses, host.connections), (0, connections), "{host:#?}");
        assert!(!log.contains("Timeout"), "the server gave a connection up:\n{log}");
        drop(web);
        pool.shutdown(Duration::from_secs(5)).await;
        server.sshd().wait_until_idle().await;
    });
}
