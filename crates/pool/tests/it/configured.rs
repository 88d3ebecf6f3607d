//! What a host's configuration says of its connections: forwards that begin with them, and how long they are kept.

use std::sync::Arc;
use std::time::Duration;

use rustle_pool::{ConfiguredForward, Connection, ErrorKind, Pool, PoolBuilder, Status};
use rustle_session::{
    BoxFuture, ErrorKind as SessionErrorKind, HostSetupBuilder, PromptError, PromptRequest, Prompter,
    SecretString,
};
use rustle_testserver::{Builder, Target, TestServer, User};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::Level;

use crate::support::{
    ASKS_NOTHING, changes_until, in_fast_motion, place, server, server_shows, shut_down_and_check, way,
};
use crate::traced::Traced;

fn targets() -> Builder {
    server().forward_target("echo", None, Target::echo()).tcpip_forward_scripted()
}

/// The same, for whoever comes: a configuration file holds no password.
fn open_targets() -> Builder {
    let server = TestServer::builder().user(User::new("alice").none()).builtins();
    server.forward_target("echo", None, Target::echo())
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port()
}

fn with(server: &TestServer, options: &[String]) -> HostSetupBuilder {
    let way = way(server).password(SecretString::from("wonderland")).makes_forwards();
    options.iter().fold(way, |way, option| way.option(option))
}

/// A pool that knows the server as `web`, with these options of its configuration.
fn pool_of(server: &TestServer, builder: PoolBuilder, options: &[String]) -> Pool {
    let pool = builder.only_registered().build().unwrap();
    pool.register("web", with(server, options).resolve().unwrap());
    pool
}

async fn shown(pool: &Pool) -> Connection {
    pool.list().await.into_iter().next().unwrap()
}

async fn echoes(port: u16) {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    client.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

/// What is bound, by its words.
fn bound(forwards: &[ConfiguredForward]) -> Vec<(&str, bool)> {
    forwards.iter().map(|forward| (forward.what.as_str(), forward.is_bound)).collect()
}

#[tokio::test]
async fn all_begin_with_the_first_connection_and_end_with_a_disconnect() {
    let server = targets().start().await.unwrap();
    let (local, proxy) = (free_port().await, free_port().await);
    let options = [
        format!("LocalForward={local} echo:80"),
        format!("DynamicForward=127.0.0.1:{proxy}"),
        format!("RemoteForward=8080 127.0.0.1:{local}"),
    ];
    let pool = pool_of(&server, Pool::builder(), &options);
    assert!(TcpStream::connect(("127.0.0.1", local)).await.is_err(), "nobody has asked for the host");
    let mut id = None;
    for round in 1..=2 {
        // However often it is asked for, they are there once.
        for _ in 0..3 {
            id = Some(pool.connect("web").await.unwrap());
            drop(pool.get("web").await.unwrap());
        }
        server_shows(&server, "that it listens", |record| record.forwards().len() == round).await;
        echoes(local).await;
        // From the server back to here, and over there again.
        let mut client = server.connect_to_forward(8080).await.unwrap();
        client.write_all(b"around").await.unwrap();
        let mut back = [0; 6];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"around");
        let shown = shown(&pool).await;
        let words = [
            (format!("LocalForward localhost:{local} echo:80"), true),
            (format!("DynamicForward 127.0.0.1:{proxy}"), true),
            (format!("RemoteForward localhost:8080 127.0.0.1:{local}"), true),
        ];
        let words = words.each_ref().map(|(what, is_bound)| (what.as_str(), *is_bound));
        assert_eq!(bound(&shown.forwards), words);
        assert_eq!(shown.forwards[2].port, Some(8080));
        drop(client);
        pool.disconnect(id.unwrap(), Duration::from_secs(5)).await.unwrap();
        server_shows(&server, "that it listens no more", |record| record.forwards_open() == 0).await;
        while TcpStream::connect(("127.0.0.1", local)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    assert!(pool.show(id.unwrap()).await.unwrap().forwards.is_empty());
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn they_end_when_the_name_means_another_host() {
    let server = targets().start().await.unwrap();
    let port = free_port().await;
    let pool = pool_of(&server, Pool::builder(), &[format!("LocalForward={port} echo:80")]);
    pool.connect("web").await.unwrap();
    echoes(port).await;
    pool.register("web", with(&server, &[]).resolve().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn those_of_another_host_begin_when_the_old_ones_listen_no_more() {
    let [first, second] = [open_targets().start().await.unwrap(), open_targets().start().await.unwrap()];
    let (port, file) = (free_port().await, tempfile::NamedTempFile::new().unwrap());
    let pool = Pool::builder().config_file(file.path()).build().unwrap();
    let web_is = |server: &TestServer| {
        let web = format!("Host web\n{}  LocalForward {port} echo:80\n", place(server));
        std::fs::write(file.path(), format!("{web}Host other\n{}{ASKS_NOTHING}", place(&second))).unwrap();
    };
    web_is(&first);
    pool.connect("web").await.unwrap();
    echoes(port).await;
    // A host to which there is a connection: nothing is waited for between the old ones and the new.
    let other = pool.connect("other").await.unwrap();
    web_is(&second);
    assert_eq!(pool.connect("web").await.unwrap(), other);
    let shown = pool.show(other).await.unwrap();
    assert_eq!(bound(&shown.forwards), [(format!("LocalForward localhost:{port} echo:80").as_str(), true)]);
    echoes(port).await;
    assert_eq!([&first, &second].map(|server| server.record().channels_opened_total()), [1, 1]);
    // A disconnect ends them, and the next who asks has them again.
    pool.disconnect(other, Duration::from_secs(5)).await.unwrap();
    pool.connect("web").await.unwrap();
    echoes(port).await;
    shut_down_and_check(pool, first).await;
    second.stop().await.unwrap();
}

/// Knows the password, and says it when told to.
struct Slow(Arc<Semaphore>);

impl Prompter for Slow {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        let answers = request.prompts().iter().map(|_| SecretString::from("wonderland")).collect();
        Box::pin(async move {
            drop(self.0.acquire().await);
            Ok(answers)
        })
    }
}

#[tokio::test]
async fn a_login_that_comes_late_brings_nothing_of_what_the_name_meant_before() {
    let [before, now] = [targets().start().await.unwrap(), targets().start().await.unwrap()];
    let (old, new) = (free_port().await, free_port().await);
    let pool = Pool::builder().only_registered().build().unwrap();
    let go = Arc::new(Semaphore::new(0));
    let slow = way(&before).prompter(Arc::new(Slow(Arc::clone(&go)))).makes_forwards();
    pool.register("web", slow.option(format!("LocalForward={old} echo:80")).resolve().unwrap());
    let late = tokio::spawn({
        let pool = pool.clone();
        async move { pool.connect("web").await }
    });
    server_shows(&before, "somebody who logs in", |record| record.connections_accepted() == 1).await;
    pool.register("web", with(&now, &[format!("LocalForward={new} echo:80")]).resolve().unwrap());
    pool.connect("web").await.unwrap();
    go.add_permits(1);
    late.await.unwrap().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", old)).await.is_err(), "the name means another host");
    echoes(new).await;
    shut_down_and_check(pool, now).await;
    before.stop().await.unwrap();
}

#[tokio::test]
async fn a_name_that_nobody_registered_means_what_the_file_says_that_the_pool_was_given() {
    let [first, second] = [open_targets().start().await.unwrap(), open_targets().start().await.unwrap()];
    let file = tempfile::NamedTempFile::new().unwrap();
    let pool = Pool::builder().config_file(file.path()).build().unwrap();
    for server in [&first, &second] {
        std::fs::write(file.path(), format!("Host web\n{}{ASKS_NOTHING}", place(server))).unwrap();
        pool.get("web").await.unwrap();
    }
    assert_eq!([&first, &second].map(|server| server.record().connections_accepted()), [1, 1]);
    file.close().unwrap();
    let error = pool.get("web").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::Configuration), "{error}");
    shut_down_and_check(pool, first).await;
    second.stop().await.unwrap();
}

/// The writing end of this pipe, once somebody reads from it.
#[cfg(unix)]
async fn is_read(pipe: &std::path::Path) -> tokio::net::unix::pipe::Sender {
    let opened = async {
        loop {
            match tokio::net::unix::pipe::OpenOptions::new().open_sender(pipe) {
                Ok(sender) => return sender,
                Err(_nobody) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.expect("somebody reads")
}

#[cfg(unix)]
#[tokio::test]
async fn of_two_readings_at_once_the_one_that_began_last_says_what_a_name_means() {
    let [first, second] = [open_targets().start().await.unwrap(), open_targets().start().await.unwrap()];
    let (file, folder) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Another server, or a mistake.
    for (round, other) in [(1, place(&first)), (2, "  Port 0\n".to_owned())] {
        // What this says is read, and then it takes until nobody has the pipe any more.
        let slow = format!("Match exec \"cat {}\"\nHost web\n{other}{ASKS_NOTHING}", pipe.display());
        std::fs::write(file.path(), slow).unwrap();
        let pool = Pool::builder().config_file(file.path()).build().unwrap();
        let before = tokio::spawn({
            let pool = pool.clone();
            async move { pool.connect("web").await }
        });
        let held = is_read(&pipe).await;
        let port = free_port().await;
        let web = format!("Host web\n{}  LocalForward {port} echo:80\n{ASKS_NOTHING}", place(&second));
        std::fs::write(file.path(), web).unwrap();
        let now = pool.connect("web").await.unwrap();
        drop(held);
        assert_eq!(before.await.unwrap().unwrap(), now);
        assert_eq!([&first, &second].map(|server| server.record().connections_accepted()), [0, round]);
        echoes(port).await;
        pool.shutdown(Duration::from_secs(5)).await;
    }
    for server in [first, second] {
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn one_that_cannot_be_made_is_shown_and_keeps_nobody_from_the_host() {
    let server = targets().start().await.unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let pool = pool_of(&server, Pool::builder(), &[format!("LocalForward=127.0.0.1:{port} echo:80")]);
    assert!(pool.get("web").await.unwrap().output("true").await.unwrap().status.success());
    let shown = shown(&pool).await;
    assert!(!shown.forwards[0].is_bound, "{shown:?}");
    assert!(shown.forwards[0].error.as_ref().unwrap().contains(&port.to_string()), "{shown:?}");
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn one_that_cannot_be_made_is_logged_once_and_what_can_be_is_not() {
    let server = targets().start().await.unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let free = free_port().await;
    let options =
        [format!("LocalForward=127.0.0.1:{port} echo:80"), format!("LocalForward=127.0.0.1:{free} echo:80")];
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("half-forwarded", with(&server, &options).resolve().unwrap());
    let traced = Traced::begin();
    for _ in 0..2 {
        pool.get("half-forwarded").await.unwrap();
    }
    let mut logged = traced.of("half-forwarded");
    logged.retain(|logged| logged.level <= Level::INFO);
    let [logged] = &logged[..] else { panic!("{logged:?}") };
    assert_eq!((logged.level, logged.message.as_str()), (Level::WARN, "a forward is not made"));
    assert_eq!(logged.target, "rustle_pool::forward::configured");
    assert_eq!(logged.fields["forward"], format!("LocalForward 127.0.0.1:{port} echo:80"));
    assert_eq!(logged.fields["origin"], "command line");
    let shown = shown(&pool).await;
    assert_eq!(Some(&logged.fields["error"]), shown.forwards[0].error.as_ref());
    assert!(shown.forwards[1].is_bound, "{shown:?}");
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn where_a_failure_is_to_end_all_it_does_and_names_the_forward() {
    let server = targets().start().await.unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = [format!("LocalForward=127.0.0.1:{port} echo:80"), "ExitOnForwardFailure=yes".to_owned()];
    let pool = pool_of(&server, Pool::builder(), &options);
    for _ in 0..2 {
        let error = pool.connect("web").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Listen, "{error}");
        let told = format!("web: LocalForward 127.0.0.1:{port} echo:80 (command line) cannot be made");
        assert!(error.to_string().starts_with(&told), "{error}");
    }
    // It is tried anew each time.
    drop(taken);
    pool.connect("web").await.unwrap();
    echoes(port).await;
    // One that the server refuses.
    let options = ["RemoteForward=8080 127.0.0.1:1", "ExitOnForwardFailure=yes"].map(str::to_owned);
    let strict = self::server().start().await.unwrap();
    pool.register("strict", with(&strict, &options).resolve().unwrap());
    let error = pool.get("strict").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::RequestRefused), "{error}");
    assert!(error.to_string().contains("RemoteForward localhost:8080"), "{error}");
    shut_down_and_check(pool, server).await;
    strict.stop().await.unwrap();
}

#[tokio::test]
async fn there_are_none_where_they_are_cleared_or_left_out() {
    let server = targets().start().await.unwrap();
    let port = free_port().await;
    let forward = format!("LocalForward={port} echo:80");
    let cleared = [forward.clone(), "ClearAllForwardings=yes".to_owned()];
    let pools = [
        pool_of(&server, Pool::builder(), &cleared),
        pool_of(&server, Pool::builder().without_configured_forwards(), &[forward]),
    ];
    for pool in pools {
        pool.connect("web").await.unwrap();
        assert!(shown(&pool).await.forwards.is_empty());
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
        pool.shutdown(Duration::from_secs(5)).await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_proxy_at_the_server_leads_to_where_it_may_alone() {
    let server = targets().start().await.unwrap();
    let target = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = target.local_addr().unwrap().port();
    let options = ["RemoteForward=1080".to_owned(), format!("PermitRemoteOpen=127.0.0.1:{port}")];
    let pool = pool_of(&server, Pool::builder(), &options);
    pool.connect("web").await.unwrap();
    server_shows(&server, "that it listens", |record| record.forwards_open() == 1).await;
    for (wanted, code) in [(port, 0), (port ^ 1, 2)] {
        let mut client = server.connect_to_forward(1080).await.unwrap();
        let [high, low] = wanted.to_be_bytes();
        client.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..4], [5, 0, 5, code]);
    }
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_as_long_as_the_configuration_says() {
    let server = targets().start().await.unwrap();
    let shared = "ControlMaster=auto".to_owned();
    let persist = |time: &str| format!("ControlPersist={time}");
    let pool = Pool::builder().only_registered().persist(Duration::from_secs(60)).build().unwrap();
    for (name, options) in [
        ("short", vec![shared.clone(), persist("10")]),
        // Without a master it means nothing, nor does that nothing is left behind.
        ("usual", vec![persist("10")]),
        ("none", vec![shared.clone(), persist("no")]),
        ("for-ever", vec![shared, persist("yes")]),
    ] {
        pool.register(name, with(&server, &options).resolve().unwrap());
        pool.connect(name).await.unwrap();
    }
    assert_eq!(server.record().connections_accepted(), 4);
    let alive = async || {
        let all = pool.list().await.into_iter();
        all.filter(|host| host.status == Status::Connected).map(|host| host.name).collect::<Vec<_>>()
    };
    let mut events = pool.events();
    in_fast_motion(async {
        changes_until(&mut events, |status| *status == Status::Disconnected).await;
        assert_eq!(alive().await, ["usual", "none", "for-ever"]);
        for _ in 0..2 {
            changes_until(&mut events, |status| *status == Status::Disconnected).await;
        }
        assert_eq!(alive().await, ["for-ever"]);
        // Longer than the pool itself would keep it.
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(alive().await, ["for-ever"]);
    })
    .await;
    shut_down_and_check(pool, server).await;
}
