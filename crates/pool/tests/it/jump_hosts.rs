//! Hosts behind others: one login at the host on the way does for all behind it.

use std::time::Duration;

use rustle_pool::{ConnectionId, ErrorKind, Forward, ForwardBind, ForwardHandle, Pool, PoolBuilder, Status};
use rustle_session::{ErrorKind as SessionErrorKind, HostSetup};
use rustle_testserver::{Builder, Cut, Reply, TestServer, User};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{ASKS_NOTHING, place, server_shows};

fn server() -> Builder {
    let server = TestServer::builder().user(User::new("alice").none()).direct_tcpip();
    server.command("hello", Reply::stdout("hello\n")).builtins()
}

/// Three servers, one behind the other.
struct Way {
    bastion: TestServer,
    inner: TestServer,
    web: TestServer,
}

impl Way {
    async fn new() -> Self {
        let [bastion, inner, web] = [(); 3].map(|()| server().start());
        Self { bastion: bastion.await.unwrap(), inner: inner.await.unwrap(), web: web.await.unwrap() }
    }

    /// A pool with twenty names behind the bastion (`near-0`), and as many behind both (`far-0`).
    fn pool(&self, builder: PoolBuilder) -> Pool {
        self.pool_of(builder, 20)
    }

    fn pool_of(&self, builder: PoolBuilder, names: usize) -> Pool {
        let pool = builder.only_registered().build().unwrap();
        for name in (0..names).flat_map(|n| [format!("near-{n}"), format!("far-{n}")]) {
            pool.register(&name, self.setup(&name, &self.bastion));
        }
        pool
    }

    /// A name by a configuration that knows this server as the bastion.
    fn setup(&self, name: &str, bastion: &TestServer) -> HostSetup {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = format!(
            "Host bastion\n{}Host inner\n{}  ProxyJump bastion\nHost near-*\n{web}  ProxyJump bastion\n\
             Host far-*\n{web}  ProxyJump inner\n{ASKS_NOTHING}",
            place(bastion),
            place(&self.inner),
            web = place(&self.web),
        );
        std::fs::write(file.path(), config).unwrap();
        HostSetup::builder(name).config_file(file.path()).resolve().unwrap()
    }

    /// How many connections each has taken in: the bastion, the one behind it, the last.
    fn accepted(&self) -> [usize; 3] {
        [&self.bastion, &self.inner, &self.web].map(|server| server.record().connections_accepted())
    }

    async fn shut_down_and_check(self, pool: Pool) {
        pool.shutdown(Duration::from_secs(5)).await;
        for server in [self.bastion, self.inner, self.web] {
            server_shows(&server, "no connection left", |record| {
                record.connections_open() == 0 && record.channels_open() == 0
            })
            .await;
            server.stop().await.unwrap();
        }
    }
}

/// Runs a command on each at once.
async fn greet(pool: &Pool, names: impl Iterator<Item = String>) {
    let mut callers = JoinSet::new();
    for name in names {
        let pool = pool.clone();
        callers.spawn(async move {
            let web = pool.get(&name).await.unwrap();
            assert_eq!(web.output("hello").await.unwrap().stdout_text(), "hello\n");
        });
    }
    callers.join_all().await;
}

fn all(kind: &str) -> impl Iterator<Item = String> {
    (0..20).map(move |n| format!("{kind}-{n}"))
}

#[tokio::test]
async fn twenty_hosts_behind_one_make_one_login_there() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder());
    greet(&pool, all("near")).await;
    assert_eq!(way.accepted(), [1, 0, 20]);
    let shown = pool.list().await;
    let bastion = shown.iter().find(|host| host.name == "bastion").unwrap();
    assert_eq!((&bastion.status, bastion.open_channels), (&Status::Connected, 20));
    let near: Vec<Option<ConnectionId>> =
        shown.iter().filter(|host| host.name != "bastion").map(|host| host.jump_host).collect();
    assert_eq!(near, [Some(bastion.id); 20]);
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn a_way_through_two_is_there_once_also_where_one_login_at_a_time_is_allowed() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder().max_dials(1));
    greet(&pool, all("far").chain(all("near"))).await;
    assert_eq!(way.accepted(), [1, 1, 40]);
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn hosts_take_turns_where_few_connections_are_allowed_and_the_way_stays() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder().max_connections(4));
    greet(&pool, all("far")).await;
    let [bastion, inner, web] = way.accepted();
    assert!((bastion, inner) == (1, 1) && web >= 20, "{bastion} {inner} {web}");
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn a_name_of_a_host_on_the_way_that_means_two_hosts_is_two_ways() {
    let way = Way::new().await;
    let other = server().start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    pool.register("far-0", way.setup("far-0", &way.bastion));
    pool.register("far-1", way.setup("far-1", &other));
    greet(&pool, all("far").take(2)).await;
    // The last host on both ways has the same name and the same address.
    assert_eq!((way.accepted(), other.record().connections_accepted()), ([1, 2, 2], 1));
    way.shut_down_and_check(pool).await;
    other.stop().await.unwrap();
}

#[tokio::test]
async fn more_hosts_than_one_connection_carries_take_turns_on_it_where_there_is_one_login() {
    let way = Way::new().await;
    let pool = way.pool_of(Pool::builder().one_login().patience(Duration::from_secs(180)), 70);
    greet(&pool, (0..70).map(|n| format!("near-{n}"))).await;
    let [bastion, _, web] = way.accepted();
    assert!(bastion == 1 && web >= 70, "{bastion} {web}");
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn too_few_connections_for_the_way_are_an_answer_at_once() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder().max_connections(2));
    let error = pool.get("far-0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::NoPlace), "{error}");
    assert!(error.to_string().contains("3 connections"), "{error}");
    assert!(!error.is_retryable(), "it will be the same each time");
    assert!(error.hint().unwrap().contains("max_connections"), "{error:?}");
    assert_eq!(way.accepted(), [0, 0, 0]);
    greet(&pool, all("near").take(1)).await;
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn what_is_behind_a_host_is_lost_with_it_and_comes_back_by_another_way() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder());
    let web = pool.get("near-0").await.unwrap();
    let mut sleeping = web.line("sleep 1000").spawn().await.unwrap();
    way.bastion.cut_all(Cut::Rst);
    let error = sleeping.wait().await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::Disconnected, "{error:?}");
    assert!(format!("{error:?}").contains("jump host bastion"), "{error:?}");
    drop((sleeping, web));
    greet(&pool, all("near")).await;
    assert_eq!(way.accepted()[0], 2);
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn a_forward_outlives_the_host_on_its_way_and_of_a_command_nobody_knows_what_became() {
    /// Whoever connects to a server hears what it is.
    async fn is_led(forward: &ForwardHandle) -> TcpStream {
        let mut client = TcpStream::connect(forward.addresses()[0]).await.unwrap();
        let mut said = [0; 8];
        let read = tokio::time::timeout(Duration::from_secs(60), client.read_exact(&mut said)).await;
        read.expect("it is led there").unwrap();
        assert_eq!(&said, b"SSH-2.0-");
        client
    }

    let way = Way::new().await;
    let pool = way.pool(Pool::builder());
    let to = Forward::local(ForwardBind::loopback(0), ("127.0.0.1", way.inner.port()));
    let forward = pool.forward("near-0", to).await.unwrap();
    let client = is_led(&forward).await;
    let web = pool.get("near-0").await.unwrap();
    let running = tokio::spawn(async move { web.output("sleep 1000").await });
    server_shows(&way.web, "a command", |record| record.processes_running() == 1).await;
    way.bastion.cut_all(Cut::Rst);
    assert!(running.await.unwrap().unwrap_err().is_outcome_unknown());
    let ended = async {
        while forward.stats().open > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is hung up on");
    assert!(forward.stats().last_error.is_some());
    drop((client, is_led(&forward).await));
    assert_eq!((forward.stats().accepted, forward.stats().failed), (2, 0));
    assert_eq!(way.accepted()[0], 2);
    forward.close().await;
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn a_host_that_carries_others_is_in_use() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder());
    let web = pool.get("near-0").await.unwrap();
    let sleeping = web.line("sleep 1000").spawn().await.unwrap();
    assert_eq!(pool.retire_idle().await, 0);
    assert!(web.output("hello").await.unwrap().status.success());
    drop((sleeping, web));
    server_shows(&way.web, "no process", |record| record.processes_running() == 0).await;
    server_shows(&way.web, "no channel", |record| record.channels_open() == 0).await;
    // First what is behind it, then the host itself.
    for server in [&way.web, &way.bastion] {
        while server.record().connections_open() > 0 {
            pool.retire_idle().await;
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(way.accepted()[0], 1);
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn whoever_is_not_let_in_on_the_way_is_told_where_and_it_was_asked_once() {
    let mut way = Way::new().await;
    way.bastion.stop().await.unwrap();
    way.bastion = TestServer::builder().user(User::new("bob").none()).start().await.unwrap();
    let pool = way.pool(Pool::builder());
    let mut callers = JoinSet::new();
    for name in all("far") {
        let pool = pool.clone();
        callers.spawn(async move { pool.get(&name).await.unwrap_err() });
    }
    for error in callers.join_all().await {
        assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::AuthenticationFailed), "{error}");
        let told = format!("alice@127.0.0.1:{}: through jump host bastion: ", way.web.port());
        assert!(error.to_string().starts_with(&told), "{error}");
    }
    assert_eq!(way.accepted(), [1, 0, 0]);
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn the_end_of_a_host_on_the_way_waits_for_nothing_that_nobody_uses() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder());
    greet(&pool, all("near").take(3)).await;
    let bastion = pool.list().await.into_iter().find(|host| host.name == "bastion").unwrap().id;
    let ended = pool.disconnect(bastion, Duration::from_secs(600));
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap();
    way.shut_down_and_check(pool).await;
}

#[tokio::test]
async fn the_end_of_a_host_on_the_way_leaves_what_is_on_it_its_time() {
    let way = Way::new().await;
    let pool = way.pool(Pool::builder());
    let web = pool.get("near-0").await.unwrap();
    let mut reading = web.line("cat").spawn().await.unwrap();
    let shown = pool.list().await;
    let bastion = shown.iter().find(|host| host.name == "bastion").unwrap().id;
    let ending = tokio::spawn({
        let pool = pool.clone();
        async move { pool.disconnect(bastion, Duration::from_secs(60)).await }
    });
    while !pool.show(bastion).await.unwrap().transports[0].is_ending {
        tokio::task::yield_now().await;
    }
    // Whoever comes from now on goes another way.
    greet(&pool, all("near").skip(1).take(2)).await;
    assert_eq!(way.accepted(), [2, 0, 3]);
    drop(reading.take_stdin());
    assert!(reading.wait().await.unwrap().success());
    drop((reading, web));
    let near = pool.list().await.into_iter().find(|host| host.name == "near-0").unwrap().id;
    pool.disconnect(near, Duration::from_secs(5)).await.unwrap();
    ending.await.unwrap().unwrap();
    server_shows(&way.bastion, "the other way alone", |record| record.connections_open() == 1).await;
    way.shut_down_and_check(pool).await;
}
