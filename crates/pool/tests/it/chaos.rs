//! Servers that are cut, silent, down, slow and exchanged, while many use them: whatever happens, every operation ends by its
//! deadline with what it was to give or an error that says why, and in the end nothing is left.
//!
//! Three seconds of it by default; `RUSTLE_CHAOS_SECONDS` says how many. `RUSTLE_TEST_SEED` repeats what was drawn: who does
//! what on which server, and what happens to each in which order. How these meet is the machine's.

mod disturb;
mod draw;
mod held;
mod tally;
mod users;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustle_pool::{Forward, ForwardBind, ForwardHandle, HostStats, Pool};
use rustle_session::{AgentSource, HostSetup, HostSetupBuilder, SecretString};
use rustle_testserver::{Network, Reply, TestServer};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::disturb::{Disturbed, disturb_until};
use self::draw::Draw;
use self::held::{Held, Memory};
use self::tally::Tally;
use self::users::{User, echo_all};
use crate::support::{server, server_shows, way};

/// Servers, the last of which is known by its key, and has another one now and then.
const SERVERS: usize = 4;
const USERS: usize = 24;

/// How long anybody waits for a place: a server that is silent for a time is silent for longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is left after a time of trouble comes to its end within this.
const QUIET_WITHIN: Duration = Duration::from_secs(60);

/// A time of trouble; then all is well, and it is seen whether anything is left.
const ROUND: u64 = 10;

const LENGTH: &str = "RUSTLE_CHAOS_SECONDS";
const SEED: &str = "RUSTLE_TEST_SEED";

/// In a process of its own, so that what it holds is its own too.
#[test]
fn whatever_happens_every_operation_ends_and_nothing_is_left() {
    const NAME: &str = "chaos::whatever_happens_every_operation_ends_and_nothing_is_left";
    const ALONE: &str = "RUSTLE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(chaos());
    }
    // Who asks for more of it wants to see how it goes.
    let shown = if std::env::var_os(LENGTH).is_some() { Stdio::inherit() } else { Stdio::piped() };
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ALONE, "1")
        .stderr(shown)
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{}\n{said}\n{complained}", ran.status);
}

async fn chaos() {
    let seconds =
        std::env::var(LENGTH).map_or(3, |text| text.parse().expect("RUSTLE_CHAOS_SECONDS is a number"));
    let seed = draw::seed(SEED);
    eprintln!("{SEED}={seed} {LENGTH}={seconds}");
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = echo.local_addr().unwrap().port();
    let echo = tokio::spawn(echo_all(echo));
    let before = Held::now();
    let pool = Pool::builder().only_registered().patience(PATIENCE).persist(Duration::from_millis(500));
    let pool = pool.max_connections(12).max_connections_per_host(4).warm().build().unwrap();
    let (mut all, mut memory) = (Tally::default(), Memory::default());
    for round in 0..(seconds / ROUND).max(1) {
        let length = if seconds < 2 * ROUND { seconds } else { ROUND };
        let seed = seed.wrapping_add(round.wrapping_mul(1_000_003));
        all.add(&trouble(&pool, seed, Duration::from_secs(length), target).await);
        memory.look(round);
    }
    eprintln!("{all}");
    all.check(seconds >= 3 * ROUND);
    pool.shutdown(Duration::from_secs(5)).await;
    drop(pool);
    before.come_back(QUIET_WITHIN).await;
    memory.check();
    echo.abort();
}

/// A time of trouble with servers of its own, and the quiet after it, in which nothing of it is left.
async fn trouble(pool: &Pool, seed: u64, length: Duration, target: u16) -> Tally {
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        let builder =
            server().direct_tcpip().tcpip_forward_scripted().network(Network::new()).max_sessions(4);
        let builder = builder.command("hello", Reply::stdout("hello\n"));
        servers.push(Arc::new(builder.start().await.unwrap()));
    }
    let known = Arc::new(NamedTempFile::new().unwrap());
    std::fs::write(known.path(), servers[SERVERS - 1].known_hosts_line()).unwrap();
    let names: Arc<[String]> = (0..SERVERS).map(|number| format!("web-{number}")).collect();
    let (mut forwards, mut comings) = (Vec::new(), Vec::new());
    for (number, server) in servers.iter().enumerate() {
        let setup = if number == SERVERS - 1 { known_by(server, &known) } else { way(server) };
        let setup = setup.password(SecretString::from("wonderland")).resolve().unwrap();
        pool.register(&names[number], setup);
        let forward = Forward::local(ForwardBind::loopback(0), ("127.0.0.1", target)).park(PATIENCE);
        forwards.push(pool.forward(&names[number], forward).await.unwrap());
        let coming = Forward::remote(ForwardBind::loopback(0), ("127.0.0.1", target));
        comings.push((Arc::clone(server), pool.forward(&names[number], coming).await.unwrap()));
    }
    let (forwards, comings): (Arc<[ForwardHandle]>, _) = (forwards.into(), Arc::new(comings));

    let until = Instant::now() + length;
    let (mut users, mut disturbers) = (JoinSet::new(), JoinSet::new());
    for number in 0..USERS as u64 {
        let user = User {
            pool: pool.clone(),
            names: Arc::clone(&names),
            forwards: Arc::clone(&forwards),
            comings: Arc::clone(&comings),
            target,
            draw: Draw::new(seed, number),
            tally: Tally::default(),
        };
        users.spawn(user.work_until(until));
    }
    for (number, server) in servers.iter().enumerate() {
        let known = (number == SERVERS - 1).then(|| Arc::clone(&known));
        let disturbed = Disturbed { server: Arc::clone(server), known };
        disturbers.spawn(disturb_until(disturbed, until, Draw::new(seed, 1000 + number as u64)));
    }
    let mut tally = Tally::default();
    disturbers.join_all().await.iter().for_each(|one| tally.add(one));
    let worked = timeout(2 * QUIET_WITHIN, users.join_all()).await.expect("somebody still works");
    worked.iter().for_each(|one| tally.add(one));
    let comings = Arc::into_inner(comings).expect("nobody has them any more");
    quiet(pool, &names, &forwards, comings, servers).await;
    tally
}

/// How a server is reached whose key is in a file, and no other will do.
fn known_by(server: &TestServer, known: &NamedTempFile) -> HostSetupBuilder {
    HostSetup::builder("alice@127.0.0.1")
        .without_config_files()
        .port(server.port())
        .agent(AgentSource::None)
        .option("StrictHostKeyChecking=yes")
        .option(format!("UserKnownHostsFile={}", known.path().display()))
        .option("GlobalKnownHostsFile=none")
        .option("PubkeyAuthentication=no")
}

/// Now that all is well, it is for those who ask; and of what was before nothing is left.
async fn quiet(
    pool: &Pool,
    names: &[String],
    forwards: &[ForwardHandle],
    comings: Vec<(Arc<TestServer>, ForwardHandle)>,
    servers: Vec<Arc<TestServer>>,
) {
    for name in names {
        let works = async {
            loop {
                match pool.get(name).await {
                    Ok(session) => return session.output("hello").await.unwrap(),
                    Err(_refused) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let hello = timeout(QUIET_WITHIN, works).await.unwrap_or_else(|_| panic!("{name} does not recover"));
        assert_eq!(hello.stdout_text(), "hello\n");
    }
    for (_server, coming) in comings {
        let counters = coming.stats();
        assert_eq!(
            counters.accepted,
            counters.parked as u64 + counters.open as u64 + counters.ended + counters.failed
        );
        timeout(QUIET_WITHIN, coming.close()).await.expect("it ends");
    }
    let by = Instant::now() + QUIET_WITHIN;
    loop {
        pool.retire_idle().await;
        let stats = pool.stats().await;
        let numbers = [stats.waiting, stats.connecting, stats.channels, stats.connections];
        let shown = |host: &HostStats| host.places.shared + host.places.queued + host.places.connected;
        for host in &stats.hosts {
            assert_eq!(shown(host) + host.places.folded, host.queue.count, "{host:#?}");
        }
        let ended = forwards.iter().map(ForwardHandle::stats).all(|stats| {
            assert_eq!(stats.accepted, stats.parked as u64 + stats.open as u64 + stats.ended + stats.failed);
            stats.parked + stats.open == 0
        });
        if numbers == [0; 4] && ended {
            let lost: u64 = stats.hosts.iter().map(|host| host.losses).sum();
            assert!(lost > 0, "no connection was ever lost");
            break;
        }
        assert!(Instant::now() < by, "something is left: {stats:#?} {forwards:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for server in servers {
        server_shows(&server, "nothing left", |record| {
            let started = record.processes_running() + record.forwards_open();
            record.connections_open() + record.channels_open() + started == 0
        })
        .await;
        Arc::into_inner(server).expect("nobody has it any more").stop().await.unwrap();
    }
}
