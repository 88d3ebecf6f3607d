//! Many logins over a network that is slow now and then, to a server that hangs up now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustle_pool::Pool;
use rustle_testserver::{Cut, Fault, Network, Phase};
use tokio::task::JoinSet;

use crate::support::{server, setup, shut_down_and_check};

const AT_ONCE: usize = 20;

/// How many logins, and how many connections of a hundred are cut before the server has said anything.
struct Scale {
    logins: usize,
    cut: usize,
}

/// What CI has time for; more are cut, so that some are.
const SHORT: Scale = Scale { logins: 100, cut: 5 };

/// With `RUSTLE_SOAK=1`: some six minutes.
const WHOLE: Scale = Scale { logins: 10_000, cut: 1 };

#[tokio::test]
async fn logins_that_are_cut_before_the_banner_are_tried_again() {
    let scale = if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { WHOLE } else { SHORT };
    // Up to 200 ms there and back.
    let network = Network::new().round_trip(Duration::from_millis(1)).jitter(Duration::from_millis(100));
    let mut server = server().network(network);
    let step = 100 / scale.cut;
    let cuts = scale.logins / step;
    for cut in 0..cuts {
        server = server.fault(Fault::cut(Phase::Accept, Cut::Rst).on_connection(cut * step + step / 2));
    }
    let server = server.start().await.unwrap();
    println!("the server's seed: {}", server.seed());
    let pool = Pool::builder().only_registered().max_dials(AT_ONCE).build().unwrap();
    let (begun, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let name = format!("host-{worker}");
        pool.register(&name, setup(&server));
        let (pool, begun, failed) = (pool.clone(), Arc::clone(&begun), Arc::clone(&failed));
        workers.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < scale.logins {
                match pool.connect(&name).await {
                    Ok(id) => pool.disconnect(id, Duration::ZERO).await.unwrap(),
                    Err(error) => {
                        println!("{name}: {error}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
    }
    workers.join_all().await;
    let failed = failed.load(Ordering::Relaxed);
    assert!(failed * 1000 <= scale.logins, "{failed} of {} logins failed", scale.logins);
    assert_eq!(server.faults_fired(), cuts);
    let stats = pool.stats().await;
    let count =
        |of: fn(&rustle_pool::Logins) -> u64| stats.hosts.iter().map(|host| of(&host.logins)).sum::<u64>();
    // Each that was cut was tried again, and no other.
    assert_eq!((count(|one| one.failed), count(|one| one.retries)), (cuts as u64, cuts as u64));
    assert_eq!(server.record().connections_accepted(), scale.logins + cuts);
    shut_down_and_check(pool, server).await;
}
