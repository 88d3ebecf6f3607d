//! What a pool shows of its connections, and what is done with them by their ids.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rustle_pool::{Connection, ErrorKind, Pool, Stats, Status};
use rustle_session::{
    BoxFuture, ErrorKind as SessionErrorKind, PromptError, PromptRequest, Prompter, SecretString,
};
use rustle_testserver::{Network, Reply};
use tokio::time::Instant;

use crate::support::{pool, pool_with, server, server_shows, setup, shut_down_and_check, way};

#[tokio::test]
async fn a_connection_shows_what_it_is() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let before = std::time::SystemTime::now();
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    assert!(web.output("hello").await.unwrap().status.success());
    let shown = pool.show(id).await.unwrap();
    assert_eq!((shown.id, shown.name.as_str(), shown.status.clone()), (id, "web", Status::Connected));
    assert_eq!((shown.host.as_str(), shown.port, shown.user.as_str()), ("127.0.0.1", server.port(), "alice"));
    assert_eq!((shown.commands_run, shown.open_channels, shown.transports.len()), (1, 0, 1));
    assert!(shown.bytes_sent > 500 && shown.bytes_received > 500, "{shown:#?}");
    assert!(shown.established_at.unwrap() >= before && shown.last_used >= shown.established_at);
    let transport = &shown.transports[0];
    assert_eq!((transport.method.as_str(), transport.is_degraded), ("password", false));
    assert!(transport.server_version.starts_with("SSH-2.0-"), "{transport:#?}");
    assert!(transport.round_trip > Duration::ZERO);
    assert!(transport.algorithms.as_ref().unwrap().strict_kex);

    let written = serde_json::to_value(&shown).unwrap();
    assert_eq!((&written["status"], &written["user"]), (&"connected".into(), &"alice".into()));
    let read: Connection = serde_json::from_value(written).unwrap();
    assert_eq!((read.id, &read.status, read.commands_run), (id, &Status::Connected, 1));
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_that_leaves_for_another_host_is_shown_as_ending() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections(1));
    pool.register("db", setup(&server));
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    let running = tokio::spawn(async move { web.output("sleep 1000").await });
    server_shows(&server, "a command", |record| record.processes_running() == 1).await;
    assert!(!pool.show(id).await.unwrap().transports[0].is_ending);
    let connecting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.connect("db").await }
    });
    while !pool.show(id).await.unwrap().transports[0].is_ending {
        assert!(!connecting.is_finished(), "there is no room for another");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.abort();
    connecting.await.unwrap().unwrap();
    let shown = pool.show(id).await.unwrap();
    assert_eq!((shown.status, shown.transports.len()), (Status::Disconnected, 0));
    assert_eq!(pool.stats().await.hosts[0].losses, 0);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_that_was_to_leave_for_one_who_goes_away_stays_and_is_shown_so() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections(1));
    pool.register("db", setup(&server));
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    let running = tokio::spawn({
        let web = web.clone();
        async move { web.output("sleep 1000").await }
    });
    server_shows(&server, "a command", |record| record.processes_running() == 1).await;
    let connecting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.connect("db").await }
    });
    let is_shown_as = async |is_ending: bool| {
        while pool.show(id).await.unwrap().transports[0].is_ending != is_ending {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, is_shown_as(true)).await.unwrap();
    connecting.abort();
    tokio::time::timeout(patience, is_shown_as(false)).await.unwrap();
    assert!(web.output("hello").await.unwrap().status.success());
    assert_eq!(server.record().connections_accepted(), 1);
    running.abort();
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_a_name_meant_before_is_forgotten_when_nothing_is_left_of_it() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let before = pool.connect("web").await.unwrap();
    let web = pool.session(before).await.unwrap();
    pool.register("web", setup(&server));
    let now = pool.connect("web").await.unwrap();
    assert_ne!(before, now);
    // It is in use.
    assert!(web.output("hello").await.unwrap().status.success());
    assert_eq!(pool.list().await.len(), 2);
    drop(web);
    pool.disconnect(before, Duration::from_secs(5)).await.unwrap();
    assert_eq!(pool.show(before).await.unwrap_err().kind(), ErrorKind::UnknownConnection);
    let listed = pool.list().await;
    assert_eq!(listed.iter().map(|host| host.id).collect::<Vec<_>>(), [now]);
    shut_down_and_check(pool, server).await;
}

/// Has nobody to ask.
struct Nobody;

impl Prompter for Nobody {
    fn ask(&self, _: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        Box::pin(std::future::ready(Err(PromptError::Unavailable)))
    }
}

#[tokio::test]
async fn a_name_that_is_registered_again_and_again_keeps_the_last_setup_alone() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let mut setups = Vec::new();
    for round in 0..300 {
        let person: Arc<dyn Prompter> = Arc::new(Nobody);
        setups.push(Arc::downgrade(&person));
        let way = way(&server).password(SecretString::from("wonderland"));
        pool.register("web", way.prompter(person).resolve().unwrap());
        if round % 100 == 0 {
            let id = pool.connect("web").await.unwrap();
            pool.disconnect(id, Duration::ZERO).await.unwrap();
        }
    }
    // The pool has heard of the last.
    assert_eq!(pool.list().await.len(), 0);
    assert_eq!(setups.iter().filter(|setup| setup.strong_count() > 0).count(), 1);
    let id = pool.connect("web").await.unwrap();
    assert_eq!(pool.show(id).await.unwrap().status, Status::Connected);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn its_id_outlives_what_is_disconnected() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let id = pool.connect("web").await.unwrap();
    pool.disconnect(id, Duration::from_secs(5)).await.unwrap();
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    let shown = pool.show(id).await.unwrap();
    assert_eq!((shown.status, shown.transports.len()), (Status::Disconnected, 0));
    assert!(shown.bytes_sent > 500, "what it carried is forgotten");
    // Once more, there is nothing to be ended.
    pool.disconnect(id, Duration::from_secs(5)).await.unwrap();
    let error = pool.check(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::NoPlace), "{error}");
    assert_eq!(pool.connect("web").await.unwrap(), id);
    let shown = pool.show(id).await.unwrap();
    assert_eq!((shown.status, shown.transports[0].number), (Status::Connected, 1));
    assert!(pool.check(id).await.unwrap() > Duration::ZERO);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_is_on_a_connection_that_is_ended_has_its_time() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    let mut sleeper = web.line("sleep 1000").spawn().await.unwrap();
    pool.disconnect(id, Duration::from_millis(50)).await.unwrap();
    assert!(sleeper.wait().await.is_err(), "it was cut, and is told as ended");
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn an_id_that_nobody_was_given_is_an_error_of_its_own() {
    let pool = Pool::builder().only_registered().build().unwrap();
    let id = serde_json::from_str("7").unwrap();
    for error in [
        pool.show(id).await.unwrap_err(),
        pool.check(id).await.unwrap_err(),
        pool.session(id).await.unwrap_err(),
        pool.disconnect(id, Duration::ZERO).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::UnknownConnection, "CONNECTION_NOT_FOUND"));
        assert!(error.to_string().contains('7') && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn idle_connections_are_retired_and_counted() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    for name in ["a", "b", "c"] {
        pool.register(name, setup(&server));
        pool.connect(name).await.unwrap();
    }
    let busy = pool.get("b").await.unwrap();
    let sleeper = busy.line("sleep 1000").spawn().await.unwrap();
    assert_eq!(pool.retire_idle().await, 2);
    server_shows(&server, "one connection", |record| record.connections_open() == 1).await;
    assert_eq!(pool.retire_idle().await, 0);
    drop((sleeper, busy));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn many_are_connected_at_once_and_told_as_they_come() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    for name in ["a", "b"] {
        pool.register(name, setup(&server));
    }
    let mut outcomes = Vec::new();
    let mut connected = pool.connect_all(["a", "nobody", "b"]);
    while let Some((name, outcome)) = connected.next().await {
        outcomes.push((name, outcome.map_err(|error| error.kind())));
    }
    // Nothing is asked of anybody to know that a name is unknown.
    assert_eq!(outcomes[0], ("nobody".to_owned(), Err(ErrorKind::UnknownHost)));
    assert!(outcomes[1..].iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert_eq!((outcomes.len(), server.record().connections_accepted()), (3, 2));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_a_pool_has_done_is_counted() {
    let server = server().max_sessions(1).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().max_connections_per_host(1));
    let web = pool.get("web").await.unwrap();
    let (first, second) = tokio::join!(web.output("hello"), web.output("hello"));
    assert!(first.unwrap().status.success() && second.unwrap().status.success());
    let stats = pool.stats().await;
    assert_eq!((stats.connections, stats.connecting, stats.waiting), (1, 0, 0), "{stats:#?}");
    let host = &stats.hosts[0];
    assert_eq!((host.name.as_str(), host.logins.succeeded.count, host.logins.failed), ("web", 1, 0));
    assert_eq!((host.logins.handshake.count, host.logins.authentication.count), (1, 1));
    assert!(host.logins.succeeded.total >= host.logins.handshake.total + host.logins.authentication.total);
    assert!(host.refusals >= 1, "{host:#?}");
    // The one who connected, and two commands, of which one was refused once or more and waited.
    assert_eq!(host.places.connected, 1);
    assert_eq!(host.queue.count, host.places.shared + host.places.queued + host.places.folded + 1);
    assert_eq!(host.queue.count, 3 + host.refusals);
    assert!(host.queue.longest > Duration::ZERO);
    let read: Stats = serde_json::from_value(serde_json::to_value(&stats).unwrap()).unwrap();
    assert_eq!(read.hosts[0].places, host.places);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn figures_are_those_of_the_way_and_of_what_went_over_it() {
    let (way, check) = (Duration::from_millis(80), Duration::from_millis(200));
    let slow = server().network(Network::new().round_trip(way)).auth_delay(check);
    let server = slow.command("bulk", Reply::stdout(vec![b'x'; 300_000])).start().await.unwrap();
    let pool = pool(&server);
    let mut carried = (0, 0);
    for round in 1..=2_u32 {
        let begun = Instant::now();
        let id = pool.connect("web").await.unwrap();
        let took = begun.elapsed();
        let web = pool.session(id).await.unwrap();
        assert_eq!(web.output("bulk").await.unwrap().stdout.len(), 300_000);
        assert!(pool.check(id).await.unwrap() >= way);
        let host = pool.stats().await.hosts.remove(0);
        let steps =
            [host.logins.resolve, host.logins.connect, host.logins.handshake, host.logins.authentication];
        assert_eq!(
            (host.logins.succeeded.count, steps.map(|step| step.count)),
            (round.into(), [round.into(); 4])
        );
        // Nothing of the steps is counted twice, and none is longer than what it is a part of.
        let whole: Duration = steps.iter().map(|step| step.total).sum();
        assert!(whole <= host.logins.succeeded.total, "{host:#?}");
        if round == 1 {
            assert!(host.logins.succeeded.total <= took, "{host:#?}");
        }
        // Keys take a round trip at least, and a password two with the question before it.
        assert!(host.logins.handshake.total >= way * round, "{host:#?}");
        assert!(host.logins.authentication.total >= (2 * way + check) * round, "{host:#?}");
        assert!(host.logins.authentication.longest < host.logins.authentication.total || round == 1);
        // The shortest there was: without what the server took to look at the password, or to send all that.
        let shown = pool.show(id).await.unwrap();
        assert_eq!(host.round_trip, Some(shown.transports[0].round_trip));
        assert!(shown.transports[0].round_trip >= way, "{shown:#?}");
        assert!(shown.transports[0].round_trip < way + check, "{shown:#?}");
        assert!(host.bytes_received >= carried.1 + 300_000 && host.bytes_received < carried.1 + 400_000);
        assert!(host.bytes_sent > carried.0, "{host:#?}");
        assert_eq!((host.bytes_sent, host.bytes_received), (shown.bytes_sent, shown.bytes_received));
        drop(web);
        pool.disconnect(id, Duration::from_secs(5)).await.unwrap();
        // Byte for byte, once nothing is on its way any more.
        let ended = pool.stats().await.hosts.remove(0);
        carried = (ended.bytes_sent, ended.bytes_received);
        assert_eq!(ended.round_trip, None);
        server_shows(&server, "what was sent", |record| {
            (record.bytes_in(), record.bytes_out()) == carried && record.connections_open() == 0
        })
        .await;
    }
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_the_end_nothing_is_shown() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let id = pool.connect("web").await.unwrap();
    let mut events = pool.events();
    pool.shutdown(Duration::from_secs(5)).await;
    assert_eq!(pool.show(id).await.unwrap_err().code(), "POOL_SHUT_DOWN");
    assert!(pool.list().await.is_empty() && pool.stats().await.hosts.is_empty());
    assert_eq!(pool.retire_idle().await, 0);
    // The end of the connection, and then that of all.
    while events.next().await.is_some() {}
    assert!(pool.events().next().await.is_none());
    server.stop().await.unwrap();
}
