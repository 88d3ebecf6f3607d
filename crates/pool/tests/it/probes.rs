//! How often connections are looked at, what is found then, and what follows.

use std::time::Duration;

use rustle_pool::{Pool, Status};
use rustle_testserver::Reply;
use tokio::time::Instant;

use crate::support::{
    changes_until, in_fast_motion, pool_with, quiet, server, server_shows, shut_down_and_check,
};

/// What the clock of fast motion may be late by.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_silent_server_is_late_5_s_after_it_was_asked_and_gone_after_25_s_more() {
    for every in [1, 10, 60].map(Duration::from_secs) {
        let server = server().start().await.unwrap();
        let pool = pool_with(&server, Pool::builder().probe_every(every));
        pool.register("web", quiet(&server).resolve().unwrap());
        let mut events = pool.events();
        pool.connect("web").await.unwrap();
        changes_until(&mut events, |status| *status == Status::Connected).await;
        in_fast_motion(async {
            server.stall();
            let begun = Instant::now();
            assert_eq!(changes_until(&mut events, |_| true).await, [Status::Degraded]);
            let late = begun.elapsed();
            // The first look takes what came with the login for a sign of life.
            let at_least = every + Duration::from_secs(5) - Duration::from_secs(1);
            assert!(
                late >= at_least && late <= 2 * every + Duration::from_secs(5) + SLACK,
                "{every:?}: {late:?}"
            );
            let begun = Instant::now();
            assert!(matches!(changes_until(&mut events, |_| true).await[..], [Status::Reconnecting { .. }]));
            let gone = begun.elapsed();
            assert!(gone >= Duration::from_secs(24) && gone <= Duration::from_secs(25) + SLACK, "{gone:?}");
            server.resume();
        })
        .await;
        shut_down_and_check(pool, server).await;
    }
}

#[tokio::test]
async fn one_that_nobody_uses_is_asked_at_every_other_look_since_an_answer_is_a_sign_of_life() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().probe_every(Duration::from_secs(10)));
    pool.register("web", quiet(&server).resolve().unwrap());
    pool.connect("web").await.unwrap();
    let mut questions = Vec::new();
    in_fast_motion(async {
        let (begun, mut before) = (Instant::now(), server.record().bytes_in());
        while begun.elapsed() < Duration::from_secs(210) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = server.record().bytes_in();
            if now != before {
                questions.push((begun.elapsed().as_secs(), now - before));
                before = now;
            }
        }
    })
    .await;
    // One packet each, after 20 s, 40 s and so on.
    assert!((9..=11).contains(&questions.len()), "{questions:?}");
    assert!(questions.iter().all(|(_, bytes)| *bytes < 100), "{questions:?}");
    let gaps = questions.windows(2).map(|two| two[1].0 - two[0].0);
    assert!(gaps.clone().all(|gap| (15..=25).contains(&gap)), "{questions:?}");
    assert_eq!(pool.stats().await.hosts[0].late_answers, 0);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_whose_keys_are_old_takes_nothing_new_before_they_are_renewed() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().probe_every(Duration::from_secs(1)));
    pool.register("web", quiet(&server).option("RekeyLimit=default 200s").resolve().unwrap());
    let begun = Instant::now();
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    let sleeper = web.line("sleep 1000").spawn().await.unwrap();
    let worn = in_fast_motion(async {
        let ending = async {
            while !pool.show(id).await.unwrap().transports[0].is_ending {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(400), ending).await.unwrap();
        begun.elapsed()
    })
    .await;
    // Nine tenths of the time are over.
    assert!(worn >= Duration::from_secs(179) && worn <= Duration::from_secs(190), "{worn:?}");
    assert_eq!(web.stats().rekeys, 0);
    // What is on it stays, and what is new goes elsewhere.
    assert_eq!(server.record().processes_running(), 1);
    assert!(web.output("hello").await.unwrap().status.success());
    let record = server.record();
    let on = |text: &str| record.command(text).unwrap().connection();
    assert_eq!([on("sleep 1000"), on("hello")], [1, 2]);
    let shown = pool.show(id).await.unwrap().transports;
    assert_eq!(shown.iter().map(|one| one.is_ending).collect::<Vec<_>>(), [true, false]);
    drop(sleeper);
    server_shows(&server, "the worn one is gone", |record| record.connections_open() == 1).await;
    assert_eq!(pool.stats().await.hosts[0].losses, 0);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_whose_keys_have_carried_nearly_all_they_may_is_replaced_for_the_next() {
    let bulk = |bytes: usize| Reply::stdout(vec![b'x'; bytes]);
    let server = server().command("half", bulk(500_000)).command("more", bulk(480_000));
    let server = server.command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().probe_every(Duration::from_secs(1)));
    pool.register("web", quiet(&server).option("RekeyLimit=1M").resolve().unwrap());
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    assert_eq!(web.output("half").await.unwrap().stdout.len(), 500_000);
    in_fast_motion(tokio::time::sleep(Duration::from_secs(20))).await;
    let shown = pool.show(id).await.unwrap().transports;
    assert_eq!((shown.len(), shown[0].is_ending), (1, false), "half of it is not near the limit");
    assert_eq!(web.output("more").await.unwrap().stdout.len(), 480_000);
    in_fast_motion(server_shows(&server, "no connection", |record| record.connections_open() == 0)).await;
    assert_eq!(web.stats().rekeys, 0, "it stood still for new keys");
    assert_eq!(pool.show(id).await.unwrap().status, Status::Disconnected);
    assert!(web.output("hello").await.unwrap().status.success());
    let record = server.record();
    assert_eq!(record.commands().iter().map(|one| one.connection()).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(pool.stats().await.hosts[0].losses, 0);
    drop(web);
    shut_down_and_check(pool, server).await;
}
