//! Whatever is asked of a pool and dropped, wherever it stood, leaves nothing behind, and the pool of use.
//!
//! Each public asynchronous operation is polled n times, n = 0, 1, 2 … until it completes, and then dropped: as soon as it
//! suspends, and again when it was woken and what it waited for is there. Then the pool works on, its counters come to
//! nothing, and so does all that its server and the runtime had for it.

#[path = "../../../session/tests/it/drop_safety/poll.rs"]
mod poll;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use rustle_pool::{ConnectionId, Error, ErrorKind, Forward, ForwardBind, ForwardHandle, Pool};
use rustle_session::{BoxFuture, Child, Session};
use rustle_testserver::{Reply, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use self::poll::{Moment, Polled, poll_times};
use crate::support::{pool, server, server_shows};

const LIST: &str = include_str!("drop_safety.list");

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// What an operation finds.
struct Stage {
    pool: Pool,
    /// The host's, where there is a connection.
    id: Option<ConnectionId>,
    session: Option<Session>,
    forward: Option<ForwardHandle>,
    /// Who has the only session that the server opens on that connection.
    _neighbour: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Connection,
    /// One on which the server opens nothing more.
    FullConnection,
    /// A forward, and a client that is there.
    Forward,
}

struct Operation {
    name: &'static str,
    needs: Needs,
    run: fn(Stage) -> BoxFuture<'static, ()>,
}

/// One line of the table.
macro_rules! operation {
    ($name:literal, $needs:ident, $stage:ident => $run:expr) => {
        Operation {
            name: $name,
            needs: Needs::$needs,
            run: |$stage| {
                Box::pin(async move {
                    $run;
                })
            },
        }
    };
}

fn operations() -> Vec<Operation> {
    vec![
        operation!("Pool::get", Nothing, on => on.pool.get("web").await.unwrap()),
        operation!("Pool::connect", Nothing, on => on.pool.connect("web").await.unwrap()),
        operation!("Pool::session", Connection, on => on.pool.session(on.id.unwrap()).await.unwrap()),
        operation!("Pool::show", Connection, on => on.pool.show(on.id.unwrap()).await.unwrap()),
        operation!("Pool::list", Connection, on => on.pool.list().await),
        operation!("Pool::stats", Connection, on => on.pool.stats().await),
        operation!("Pool::check", Connection, on => on.pool.check(on.id.unwrap()).await.unwrap()),
        operation!("Pool::disconnect", Connection, on => {
            drop(on.session);
            on.pool.disconnect(on.id.unwrap(), LIMIT).await.unwrap()
        }),
        operation!("Pool::retire_idle", Connection, on => on.pool.retire_idle().await),
        operation!("Pool::shutdown", Connection, on => on.pool.shutdown(LIMIT).await),
        operation!("Pool::forward", Nothing, on => {
            // A name has to be looked up; whether there is such a one is the machine's.
            let forward = Forward::local(ForwardBind::tcp("localhost.", 0), ("echo", 80));
            drop(on.pool.forward("web", forward).await)
        }),
        operation!("ForwardHandle::close", Forward, on => on.forward.unwrap().close().await),
        operation!("ForwardHandle::bound", Nothing, on => {
            let forward = Forward::remote(ForwardBind::loopback(0), ("127.0.0.1", 9));
            let forward = on.pool.forward("web", forward).await.unwrap();
            forward.bound().await.unwrap();
            assert!(forward.is_bound());
        }),
        operation!("Events::next", Nothing, on => {
            let mut events = on.pool.events();
            let (told, connected) = tokio::join!(events.next(), on.pool.connect("web"));
            assert!(told.is_some() && connected.is_ok());
        }),
        operation!("Results::next", Nothing, on => {
            let mut results = on.pool.on(["web"; 3]).at_once(2).output("hello");
            while let Some(result) = results.next().await {
                result.outcome.unwrap();
            }
        }),
    ]
}

/// What a session of the pool does goes by the same places; with operations that go other ways than above.
fn by_sessions() -> Vec<Operation> {
    vec![
        operation!("ForwardHandle::close at the server", Nothing, on => {
            let forward = Forward::remote(ForwardBind::loopback(0), ("127.0.0.1", 9)).grace(Duration::ZERO);
            let forward = on.pool.forward("web", forward).await.unwrap();
            forward.bound().await.unwrap();
            forward.close().await
        }),
        operation!("Results::next of work with a timeout", Nothing, on => {
            let hosts = on.pool.on(["web"; 3]).at_once(2).timeout(LIMIT);
            let mut results = hosts.each(async |_, session| session.output("hello").await.map_err(Error::from));
            while let Some(result) = results.next().await {
                assert!(result.outcome.unwrap().status.success());
            }
        }),
        operation!("Pool::connect_all", Nothing, on => on.pool.connect_all(["web"; 3]).count().await),
        operation!("Session::output", Connection, on => on.session.unwrap().output("hello").await.unwrap()),
        operation!("Session::output elsewhere", FullConnection, on => {
            on.session.unwrap().output("hello").await.unwrap()
        }),
        operation!("Command::spawn", Connection, on => {
            let mut child = on.session.unwrap().line("cat").spawn().await.unwrap();
            drop(child.take_stdin());
            assert!(child.wait().await.unwrap().success());
        }),
        operation!("Session::direct_tcpip", Connection, on => {
            let mut echo = on.session.unwrap().direct_tcpip("echo", 80).await.unwrap();
            echo.write_all(b"over there").await.unwrap();
            echo.shutdown().await.unwrap();
            let mut back = Vec::new();
            echo.read_to_end(&mut back).await.unwrap();
            assert_eq!(back, b"over there");
        }),
    ]
}

#[test]
fn the_list_and_the_operations_tried_are_the_same() {
    let listed: BTreeSet<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
    let tried: BTreeSet<&str> = operations().iter().map(|operation| operation.name).collect();
    assert_eq!(listed, tried);
}

#[tokio::test]
async fn operations_of_a_pool_leave_nothing_when_dropped() {
    try_all(&operations()).await;
}

#[tokio::test]
async fn what_a_session_of_a_pool_does_leaves_nothing_when_dropped() {
    try_all(&by_sessions()).await;
}

async fn try_all(operations: &[Operation]) {
    let server = server().forward_target("echo", None, rustle_testserver::Target::echo());
    let server = server.tcpip_forward_scripted().command("hello", Reply::stdout("hello\n"));
    let server = server.max_sessions(1).start().await.unwrap();
    let before = tasks();
    for operation in operations {
        for moment in [Moment::Suspended, Moment::Woken] {
            let (mut polls, mut at_once) = (0, 0);
            loop {
                let what = format!("{}, dropped after {polls} polls when {moment:?}", operation.name);
                let pool = pool(&server);
                let stage = stage(&pool, &server, operation.needs).await;
                let future = (operation.run)(stage);
                let polled = poll_times(future, polls, moment, sleep(LIMIT)).await;
                assert!(!matches!(polled, Polled::NeverWoken { .. }), "{what}: nobody woke it");
                works_on(&pool, &what, operation.name == "Pool::shutdown" && polls > 0).await;
                balances(&pool, &what).await;
                pool.shutdown(LIMIT).await;
                drop(pool);
                server_shows(&server, &format!("nothing left of {what}"), |record| {
                    let started = record.processes_running() + record.forwards_open();
                    record.connections_open() + record.channels_open() + started == 0
                })
                .await;
                let by = Instant::now() + LIMIT;
                while tasks() > before {
                    assert!(Instant::now() < by, "{what}: {} tasks, and {before} before", tasks());
                    sleep(Duration::from_millis(1)).await;
                }
                if polled == Polled::Dropped {
                    polls += 1;
                    continue;
                }
                // Now and then a thread has looked a name up before anybody waited for it.
                at_once += 1;
                assert!(polls > 1 || at_once < 20, "{what}: it never suspends, so that it was never dropped");
                if polls > 1 {
                    break;
                }
            }
        }
    }
    server.stop().await.unwrap();
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn stage(pool: &Pool, server: &TestServer, needs: Needs) -> Stage {
    let mut stage = Stage { pool: pool.clone(), id: None, session: None, forward: None, _neighbour: None };
    if needs == Needs::Nothing {
        return stage;
    }
    stage.id = Some(pool.connect("web").await.unwrap());
    let session = pool.get("web").await.unwrap();
    match needs {
        Needs::Nothing | Needs::Connection => {}
        Needs::FullConnection => {
            stage._neighbour = Some(session.line("sleep 1000").spawn().await.unwrap());
        }
        Needs::Forward => {
            let forward = Forward::local(ForwardBind::loopback(0), ("echo", 80)).grace(Duration::ZERO);
            let forward = pool.forward("web", forward).await.unwrap();
            let client = TcpStream::connect(forward.addresses()[0]).await.unwrap();
            server_shows(server, "a client that is there", |record| record.channels_open() == 1).await;
            drop(client);
            stage.forward = Some(forward);
        }
    }
    stage.session = Some(session);
    stage
}

async fn works_on(pool: &Pool, what: &str, is_over: bool) {
    let works = async { pool.get("web").await?.output("hello").await.map_err(Error::from) };
    match tokio::time::timeout(LIMIT, works).await.unwrap_or_else(|_| panic!("{what}: then it stands still"))
    {
        Ok(output) => assert!(output.status.success() && !is_over, "{what}"),
        Err(error) => assert!(is_over && error.kind() == ErrorKind::ShutDown, "{what}: {error:?}"),
    }
}

/// The counters come to nothing once the connections are ended that nobody uses.
async fn balances(pool: &Pool, what: &str) {
    let by = Instant::now() + LIMIT;
    loop {
        pool.retire_idle().await;
        let stats = pool.stats().await;
        if [stats.waiting, stats.connecting, stats.channels, stats.connections] == [0; 4] {
            return;
        }
        assert!(Instant::now() < by, "{what}: something is left: {stats:#?}");
        sleep(Duration::from_millis(1)).await;
    }
}
