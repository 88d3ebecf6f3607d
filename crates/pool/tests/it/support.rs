//! What the tests share: a server, a way to log in to it, and the wait for a server-side fact.

use std::time::Duration;

use rustle_pool::Pool;
use rustle_session::{AgentSource, HostSetup, HostSetupBuilder, SecretString};
use rustle_testserver::{Builder, Record, TestServer, User};

/// A builder with the user that [`setup`] logs in as.
pub(crate) fn server() -> Builder {
    TestServer::builder().user(User::new("alice").password("wonderland")).builtins()
}

/// How the server is reached, without a password.
pub(crate) fn way(server: &TestServer) -> HostSetupBuilder {
    HostSetup::builder("alice@127.0.0.1")
        .without_config_files()
        .port(server.port())
        .agent(AgentSource::None)
        .option("StrictHostKeyChecking=no")
        .option("UserKnownHostsFile=/dev/null")
        .option("PubkeyAuthentication=no")
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
