//! Servers that fall silent, connections that are lost and made again, and those that are worn.

use std::time::Duration;

use rustle_pool::{ErrorKind, Pool, Status};
use rustle_session::{ErrorKind as SessionErrorKind, SecretString};
use rustle_testserver::{Cut, Reply};

use crate::support::{
    changes_until, in_fast_motion, pool, pool_with, quiet, server, server_shows, shut_down_and_check, way,
};

fn is_failed(status: &Status) -> bool {
    matches!(status, Status::Failed { .. })
}

#[tokio::test]
async fn each_change_is_told_in_its_order() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let mut events = pool.events();
    let id = pool.connect("web").await.unwrap();
    let connected = changes_until(&mut events, |status| *status == Status::Connected).await;
    assert_eq!(connected, [Status::Connecting, Status::Connected]);
    pool.disconnect(id, Duration::ZERO).await.unwrap();
    assert_eq!(changes_until(&mut events, |_| true).await, [Status::Disconnected]);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again_without_being_asked_for() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let mut events = pool.events();
    let id = pool.connect("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        tokio::time::sleep(Duration::from_secs(11)).await;
        server.cut_all(Cut::Fin);
        let changes = changes_until(&mut events, |status| *status == Status::Connected).await;
        assert_eq!(changes, [Status::Reconnecting { attempt: 1, of: 5 }, Status::Connected]);
    })
    .await;
    let shown = pool.show(id).await.unwrap();
    assert_eq!((shown.transports.len(), shown.transports[0].number), (1, 1));
    assert_eq!(pool.stats().await.hosts[0].losses, 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn attempts_are_counted_and_come_to_an_end() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().attempts(3));
    let mut events = pool.events();
    let id = pool.connect("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        tokio::time::sleep(Duration::from_secs(11)).await;
        server.stop().await.unwrap();
        let mut changes = changes_until(&mut events, is_failed).await;
        let Some(Status::Failed { code, message }) = changes.pop() else { panic!("{changes:?}") };
        assert_eq!(code, "SSH_HOST_UNREACHABLE", "{message}");
        let attempts = (1..=3).map(|attempt| Status::Reconnecting { attempt, of: 3 });
        assert_eq!(changes, attempts.collect::<Vec<_>>());
    })
    .await;
    assert!(is_failed(&pool.show(id).await.unwrap().status));
    pool.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn after_all_attempts_have_failed_the_next_who_asks_begins_with_the_first() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().attempts(2));
    server.pause_listening().await.unwrap();
    let mut events = pool.events();
    for _ in 0..2 {
        let (outcome, mut changes) = tokio::join!(pool.connect("web"), changes_until(&mut events, is_failed));
        assert!(outcome.is_err() && changes.pop().is_some());
        // The second waits until the host may be tried again.
        assert_eq!(changes, [Status::Connecting, Status::Reconnecting { attempt: 2, of: 2 }]);
    }
    server.resume_listening().await.unwrap();
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn nobody_is_asked_again_without_wanting_something() {
    let server = server().start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    let asked = std::sync::Arc::new(Asked::default());
    let prompter: std::sync::Arc<dyn rustle_session::Prompter> = std::sync::Arc::<Asked>::clone(&asked);
    pool.register("web", way(&server).prompter(prompter).resolve().unwrap());
    let mut events = pool.events();
    pool.connect("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        tokio::time::sleep(Duration::from_secs(11)).await;
        server.cut_all(Cut::Fin);
        assert!(is_failed(&changes_until(&mut events, |_| true).await[0]));
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    assert_eq!(
        (asked.0.load(std::sync::atomic::Ordering::Relaxed), server.record().connections_accepted()),
        (1, 1)
    );
    shut_down_and_check(pool, server).await;
}

#[derive(Default)]
struct Asked(std::sync::atomic::AtomicUsize);

impl rustle_session::Prompter for Asked {
    fn ask(
        &self,
        request: rustle_session::PromptRequest,
    ) -> rustle_session::BoxFuture<'_, Result<Vec<SecretString>, rustle_session::PromptError>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answers = request.prompts().iter().map(|_| SecretString::from("wonderland")).collect();
        Box::pin(std::future::ready(Ok(answers)))
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_late_and_then_gone_or_there_again() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    pool.register("web", quiet(&server).resolve().unwrap());
    let mut events = pool.events();
    let id = pool.connect("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        server.stall();
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Degraded]);
        assert!(pool.show(id).await.unwrap().transports[0].is_degraded);
        server.resume();
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Connected]);
        assert!(!pool.show(id).await.unwrap().transports[0].is_degraded);

        server.stall();
        let lost = changes_until(&mut events, |status| matches!(status, Status::Reconnecting { .. })).await;
        assert_eq!(lost, [Status::Degraded, Status::Reconnecting { attempt: 1, of: 5 }]);
        server.resume();
        changes_until(&mut events, |status| *status == Status::Connected).await;
    })
    .await;
    let stats = pool.stats().await;
    assert_eq!((stats.hosts[0].late_answers, stats.hosts[0].losses), (2, 1));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn after_a_change_of_network_who_is_silent_is_gone_at_once() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    pool.network_changed();
    assert!(web.output("hello").await.unwrap().status.success());
    assert_eq!(server.record().connections_accepted(), 1, "one that answers is kept");
    in_fast_motion(async {
        server.stall();
        pool.network_changed();
        let lost = async {
            while pool.stats().await.hosts[0].losses == 0 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), lost).await.unwrap();
        server.resume();
    })
    .await;
    assert!(web.output("hello").await.unwrap().status.success());
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_check_finds_a_silent_server_and_ends_what_leads_there() {
    for is_lost in [false, true] {
        let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
        let pool = pool(&server);
        pool.register("web", quiet(&server).resolve().unwrap());
        let web = pool.get("web").await.unwrap();
        let id = pool.connect("web").await.unwrap();
        assert!(pool.check(id).await.is_ok());
        if is_lost {
            // What is on its way to it comes to nothing, and nobody says so.
            server.cut_all(Cut::Silence);
        } else {
            server.stall();
        }
        let begun = tokio::time::Instant::now();
        in_fast_motion(async {
            let error = pool.check(id).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::Disconnected), "{error}");
            assert!(
                error.is_retryable() && error.hint().is_some() && error.to_string().contains("5 s"),
                "{error:?}"
            );
            let took = begun.elapsed();
            assert!((Duration::from_secs(5)..Duration::from_secs(7)).contains(&took), "{took:?}");
            let ended = async {
                while !pool.show(id).await.unwrap().transports.is_empty() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it is ended");
        })
        .await;
        assert_eq!(pool.stats().await.hosts[0].losses, 1);
        assert_eq!(server.record().connections_accepted(), 1);
        server.resume();
        // Whoever had a session of it has nothing else to do.
        assert_eq!(web.output("hello").await.unwrap().stdout_text(), "hello\n");
        assert_eq!(server.record().connections_accepted(), 2);
        assert!(pool.check(id).await.is_ok());
        drop(web);
        shut_down_and_check(pool, server).await;
    }
}

#[tokio::test]
async fn an_old_connection_takes_nothing_new_and_ends_with_what_is_on_it() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let age = Duration::from_secs(60);
    let pool = pool_with(&server, Pool::builder().max_age(age).probe_every(Duration::from_secs(1)));
    let web = pool.get("web").await.unwrap();
    let sleeper = web.line("sleep 1000").spawn().await.unwrap();
    in_fast_motion(async {
        let ending = async {
            while !pool.list().await[0].transports[0].is_ending {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(2 * age, ending).await.unwrap();
    })
    .await;
    assert!(web.output("hello").await.unwrap().status.success());
    let record = server.record();
    let on =
        |text: &str| record.commands().iter().find(|command| command.text() == text).unwrap().connection();
    assert_ne!(on("hello"), on("sleep 1000"));
    drop(sleeper);
    server_shows(&server, "the old one is gone", |record| record.connections_open() == 1).await;
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn one_that_nobody_uses_is_made_again_once_and_not_for_ever() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let mut events = pool.events();
    pool.connect("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        for accepted in [2, 2, 2] {
            tokio::time::sleep(Duration::from_secs(30)).await;
            server.cut_all(Cut::Fin);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(server.record().connections_accepted(), accepted);
        }
    })
    .await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_is_disconnected_is_not_made_again() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let mut events = pool.events();
    let id = pool.connect("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        tokio::time::sleep(Duration::from_secs(11)).await;
        server.pause_listening().await.unwrap();
        server.cut_all(Cut::Fin);
        changes_until(&mut events, |status| matches!(status, Status::Reconnecting { attempt: 2, .. })).await;
        pool.disconnect(id, Duration::ZERO).await.unwrap();
        changes_until(&mut events, |status| *status == Status::Disconnected).await;
        server.resume_listening().await.unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
    })
    .await;
    assert_eq!(server.record().connections_accepted(), 1);
    assert_eq!(pool.show(id).await.unwrap().status, Status::Disconnected);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_its_user_closes_is_no_loss() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let mut events = pool.events();
    let web = pool.get("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        tokio::time::sleep(Duration::from_secs(11)).await;
        web.close(Duration::from_secs(1)).await;
        assert_eq!(changes_until(&mut events, |_| true).await, [Status::Disconnected]);
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    assert_eq!((pool.stats().await.hosts[0].losses, server.record().connections_accepted()), (0, 1));
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_went_wrong_before_is_not_told_of_what_is_disconnected() {
    let server = server().start().await.unwrap();
    let pool = pool(&server);
    let web = pool.get("web").await.unwrap();
    let (one, other) =
        (web.line("sleep 1000").spawn().await.unwrap(), web.line("sleep 1000").spawn().await.unwrap());
    server.cut_all(Cut::Fin);
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    drop((one, other));
    assert!(web.output("true").await.unwrap().status.success());
    let id = pool.list().await[0].id;
    pool.disconnect(id, Duration::from_secs(5)).await.unwrap();
    assert_eq!(pool.show(id).await.unwrap().status, Status::Disconnected);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn an_old_connection_is_of_use_where_there_can_be_no_other() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let old = Pool::builder().max_age(Duration::from_secs(5)).probe_every(Duration::from_secs(1));
    let pool = pool_with(&server, old.max_connections_per_host(1));
    let web = pool.get("web").await.unwrap();
    let sleeper = web.line("sleep 1000").spawn().await.unwrap();
    in_fast_motion(tokio::time::sleep(Duration::from_secs(30))).await;
    assert!(web.output("hello").await.unwrap().status.success());
    assert_eq!(server.record().connections_accepted(), 1);
    drop(sleeper);
    server_shows(&server, "the old one is gone", |record| record.connections_open() == 0).await;
    assert!(web.output("hello").await.unwrap().status.success());
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_login_that_panics_is_an_error_and_does_not_keep_the_pool() {
    struct Panics;
    impl rustle_session::Prompter for Panics {
        fn ask(
            &self,
            _request: rustle_session::PromptRequest,
        ) -> rustle_session::BoxFuture<'_, Result<Vec<SecretString>, rustle_session::PromptError>> {
            Box::pin(async { panic!("this is part of the test") })
        }
    }
    let server = server().start().await.unwrap();
    let pool = Pool::builder().only_registered().attempts(1).build().unwrap();
    let prompter: std::sync::Arc<dyn rustle_session::Prompter> = std::sync::Arc::new(Panics);
    pool.register("web", way(&server).prompter(prompter).resolve().unwrap());
    let error = pool.get("web").await.unwrap_err();
    assert!(error.to_string().contains("panic"), "{error}");
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn times_without_an_end_are_only_long() {
    let server = server().start().await.unwrap();
    let most = Duration::MAX;
    let builder = Pool::builder().persist(most).probe_every(most).max_age(most).patience(most);
    let pool = pool_with(&server, builder);
    let id = pool.connect("web").await.unwrap();
    let web = pool.session(id).await.unwrap();
    assert!(web.output("true").await.unwrap().status.success());
    drop(web);
    pool.disconnect(id, most).await.unwrap();
    pool.connect("web").await.unwrap();
    pool.shutdown(most).await;
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_server_listens_on_keeps_its_connection() {
    let server = server().tcpip_forward().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().persist(Duration::from_secs(1)));
    let web = pool.get("web").await.unwrap();
    let mut listener = web.listen_tcpip("127.0.0.1", 0).await.unwrap();
    drop(web);
    in_fast_motion(tokio::time::sleep(Duration::from_secs(60))).await;
    assert_eq!(pool.retire_idle().await, 0);
    let visitor = tokio::net::TcpStream::connect(("127.0.0.1", listener.port().unwrap()));
    let (visitor, incoming) = tokio::join!(visitor, listener.accept());
    assert!(visitor.is_ok() && incoming.is_some());
    drop((listener, incoming));
    shut_down_and_check(pool, server).await;
}
