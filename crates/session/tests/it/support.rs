//! What the tests share: a server, a login, and the wait for a server-side fact.

use std::fmt::Debug;
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
    if server.wait_until(shown, Duration::from_secs(60)).await.is_err() {
        panic!("the server never showed: {what}\n{:#?}", server.record());
    }
}

/// Drops this when the server's fault has struck it, and not before it was seen to wait there.
pub(crate) async fn drop_when_struck<F: Future<Output: Debug>>(server: &TestServer, waiting: F) {
    let struck = async {
        while server.faults_fired() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        ended = waiting => panic!("it did not wait: {ended:?}"),
        struck = tokio::time::timeout(Duration::from_secs(60), struck) => struck.expect("the fault strikes"),
    }
}

/// Runs this by a clock that goes ten times slower than the machine's: real processes get ten times as long for what
/// the code gives them a fixed time for.
#[cfg(unix)]
pub(crate) async fn in_slow_motion<F: Future>(hurried: F) -> F::Output {
    let clock = async {
        loop {
            // As long as a thread is blocked, a paused clock does not go by itself.
            let passed = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10)));
            passed.await.unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    };
    tokio::time::pause();
    let output = tokio::select! {
        biased;
        () = clock => unreachable!("it goes for ever"),
        output = hurried => output,
    };
    tokio::time::resume();
    output
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
