//! What the tests share: a server, a login, and the wait for a server-side fact.

use std::time::Duration;

use rustle_session::{
    Connector, Credentials, PinnedHostKey, SecretString, Session, Target, TransportOptions,
};
use rustle_testserver::{Builder, Record, TestServer, User};

/// A builder with the user that [`login`] logs in as.
pub(crate) fn server() -> Builder {
    TestServer::builder().user(User::new("alice").password("wonderland")).builtins()
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new()
        .password(SecretString::from("wonderland"))
        .without_default_keys()
        .agent(rustle_session::AgentSource::None)
}

/// A connector that trusts exactly this server.
pub(crate) fn connector(server: &TestServer) -> Connector {
    let target = Target::new("127.0.0.1").and_then(|target| target.with_user("alice")).unwrap();
    let target = target.with_port(server.port()).unwrap();
    Connector::new(target).host_trust(PinnedHostKey::new(&server.host_key_fingerprint()).unwrap())
}

/// Logs in over TCP.
pub(crate) async fn login(server: &TestServer) -> Session {
    login_with(server, TransportOptions::default()).await
}

pub(crate) async fn login_with(server: &TestServer, options: TransportOptions) -> Session {
    connector(server).transport(options).connect().await.unwrap().authenticate(&credentials()).await.unwrap()
}

/// Logs in over an in-memory stream, for paused time.
pub(crate) async fn login_in_memory(server: &TestServer, options: TransportOptions) -> Session {
    let connector = connector(server).transport(options);
    connector.connect_over(server.duplex()).await.unwrap().authenticate(&credentials()).await.unwrap()
}

/// Waits until the server's record shows something.
pub(crate) async fn server_shows(server: &TestServer, what: &str, shown: impl FnMut(&Record) -> bool) {
    if server.wait_until(shown, Duration::from_secs(10)).await.is_err() {
        panic!("the server never showed: {what}\n{:#?}", server.record());
    }
}

/// Closes the session and checks that nothing is left of it, here or there.
pub(crate) async fn close_and_check(session: Session, server: TestServer) {
    session.close(Duration::from_secs(5)).await;
    drop(session);
    server_shows(&server, "no connection left", |record| {
        record.connections_open() == 0 && record.processes_running() == 0
    })
    .await;
    server.stop().await.unwrap();
}
