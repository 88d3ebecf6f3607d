//! What those hear who watch, and who come too late to hear all.

use std::time::Duration;

use futures_util::StreamExt;
use rustle_pool::{Change, Event, Events, Pool, Status};

use crate::support::{changes_until, pool_with, server, shut_down_and_check};

/// So many changes are kept for one who does not take them.
const KEPT: usize = 4096;

/// Each is tried once, in vain: two changes.
const HOSTS: usize = 2100;

/// The next change, which is not waited for.
async fn at_once(events: &mut Events) -> Option<Event> {
    tokio::time::timeout(Duration::from_secs(1), events.next()).await.ok().flatten()
}

#[tokio::test]
async fn who_does_not_listen_is_told_how_much_was_missed_and_hears_all_that_came_after() {
    let server = server().start().await.unwrap();
    server.pause_listening().await.unwrap();
    let pool = pool_with(&server, Pool::builder().attempts(1));
    let (mut late, mut listening) = (pool.events(), pool.events());
    let names: Vec<String> = (0..HOSTS).map(|number| format!("web-{number}")).collect();
    let way = crate::support::setup(&server);
    names.iter().for_each(|name| pool.register(name, way.clone()));
    let all = tokio::spawn(async move {
        let (mut all, mut failed): (Vec<Change>, usize) = (Vec::new(), 0);
        while failed < HOSTS {
            let Some(Event::Changed(change)) = listening.next().await else { panic!("it listens") };
            failed += usize::from(matches!(change.status, Status::Failed { .. }));
            all.push(change);
        }
        all
    });
    assert!(pool.connect_all(names).all(async |(_, outcome)| outcome.is_err()).await);
    let all = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap().unwrap();
    let missed = all.len() - KEPT;
    assert_eq!(late.next().await, Some(Event::Missed(missed as u64)));
    for (number, change) in all.into_iter().enumerate().skip(missed) {
        assert_eq!(at_once(&mut late).await, Some(Event::Changed(change)), "change {number}");
    }
    // Nothing is missing from here on.
    server.resume_listening().await.unwrap();
    pool.connect("web").await.unwrap();
    let changes = changes_until(&mut late, |status| *status == Status::Connected).await;
    assert_eq!(changes, [Status::Connecting, Status::Connected]);
    shut_down_and_check(pool, server).await;
}
