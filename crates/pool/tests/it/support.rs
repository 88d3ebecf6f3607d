//! What the tests share: a server, a way to log in to it, and the wait for a server-side fact.

use std::time::Duration;

use rustle_pool::{Event, Events, Pool, Status};
use rustle_session::{AgentSource, HostSetup, HostSetupBuilder, SecretString};
use rustle_testserver::{Builder, Record, TestServer, User};

/// A builder with the user that [`setup`] logs in as.
pub(crate) fn server() -> Builder {
    TestServer::builder().user(User::new("alice").password("wonderland")).builtins()
}

/// How the server is reached, without a password.
pub(crate) fn way(server: &TestServer) -> HostSetupBuilder {
    way_to(server.port())
}

/// The same, where the server is another process's.
pub(crate) fn way_to(port: u16) -> HostSetupBuilder {
    HostSetup::builder("alice@127.0.0.1")
        .without_config_files()
        .port(port)
        .agent(AgentSource::None)
        .option("StrictHostKeyChecking=no")
        .option("UserKnownHostsFile=/dev/null")
        .option("PubkeyAuthentication=no")
}

/// How a configuration file lets everybody in whom a server asks for nothing.
pub(crate) const ASKS_NOTHING: &str = "Host *\n  User alice\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  \
                                       PubkeyAuthentication no\n  IdentityAgent none\n";

/// Where a configuration file says that a server is.
pub(crate) fn place(server: &TestServer) -> String {
    format!("  HostName 127.0.0.1\n  Port {}\n", server.port())
}

pub(crate) fn setup(server: &TestServer) -> HostSetup {
    way(server).password(SecretString::from("wonderland")).resolve().unwrap()
}

/// A pool that knows the server as `web`.
pub(crate) fn pool_with(server: &TestServer, builder: rustle_pool::PoolBuilder) -> Pool {
    let pool = builder.only_registered().build().unwrap();
    pool.register("web", setup(server));
    pool
}

pub(crate) fn pool(server: &TestServer) -> Pool {
    pool_with(server, Pool::builder())
}

/// Waits until the server's record shows something.
pub(crate) async fn server_shows(server: &TestServer, what: &str, shown: impl FnMut(&Record) -> bool) {
    if server.wait_until(shown, Duration::from_secs(60)).await.is_err() {
        panic!("the server never showed: {what}\n{:#?}", server.record());
    }
}

/// Ends the pool, and sees that nothing is left of it at the server.
pub(crate) async fn shut_down_and_check(pool: Pool, server: TestServer) {
    pool.shutdown(Duration::from_secs(5)).await;
    server_shows(&server, "no connection left", |record| {
        record.connections_open() == 0 && record.processes_running() == 0
    })
    .await;
    server.stop().await.unwrap();
}

/// Runs this by a clock that goes a hundred times faster than the machine's.
pub(crate) async fn in_fast_motion<F: Future>(slow: F) -> F::Output {
    let clock = async {
        loop {
            // As long as a thread is blocked, a paused clock does not go by itself.
            let passed = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2)));
            passed.await.unwrap();
            tokio::time::advance(Duration::from_millis(200)).await;
        }
    };
    tokio::time::pause();
    let output = tokio::select! {
        biased;
        output = slow => output,
        () = clock => unreachable!("it goes for ever"),
    };
    tokio::time::resume();
    output
}

/// The changes until this one, which is waited for.
pub(crate) async fn changes_until(events: &mut Events, last: impl Fn(&Status) -> bool) -> Vec<Status> {
    let mut seen = Vec::new();
    let seeing = async {
        loop {
            match events.next().await {
                Some(Event::Changed(change)) => {
                    seen.push(change.status);
                    if seen.last().is_some_and(&last) {
                        return;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), seeing).await.unwrap_or_else(|_| panic!("never came"));
    seen
}
