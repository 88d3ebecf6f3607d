//! What the tests share: a server with files, a login, and a client.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rustle_session::{
    AgentSource, BoxFuture, Connector, Credentials, PinnedHostKey, Place, SecretString, Session, Target,
};
use rustle_sftp::Sftp;
use rustle_testserver::{Builder, TestServer, User};

/// The ways in which a file is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Get,
    PutInPlace,
    PutAtomic,
}

pub(crate) const WAYS: [Way; 3] = [Way::Get, Way::PutInPlace, Way::PutAtomic];

/// A server with these files and the user that [`login`] logs in as.
pub(crate) async fn serve(files: rustle_testserver::Sftp) -> TestServer {
    serve_with(TestServer::builder().sftp(files)).await
}

pub(crate) async fn serve_with(builder: Builder) -> TestServer {
    builder.user(User::new("alice").password("wonderland")).start().await.unwrap()
}

/// How the user of [`serve`] logs in at the server with this port and the fingerprint of this key.
pub(crate) fn way_to(port: u16, key: &str) -> (Connector, Credentials) {
    let target = Target::new("127.0.0.1").and_then(|target| target.with_user("alice")).unwrap();
    let connector = Connector::new(target.with_port(port).unwrap());
    let credentials = Credentials::new()
        .password(SecretString::from("wonderland"))
        .without_default_keys()
        .agent(AgentSource::None);
    (connector.host_trust(PinnedHostKey::new(key).unwrap()), credentials)
}

/// Logs in over an in-memory stream: neither sockets nor real time.
pub(crate) async fn login(server: &TestServer) -> Session {
    let (connector, credentials) = way_to(server.port(), &server.host_key_fingerprint());
    connector.connect_over(server.duplex()).await.unwrap().authenticate(&credentials).await.unwrap()
}

pub(crate) async fn open(server: &TestServer) -> Sftp {
    Sftp::open(&login(server).await).await.unwrap()
}

/// Ends the client and the server, and checks that nothing is left open.
pub(crate) async fn finish(sftp: Sftp, server: TestServer) {
    // Behind an answer, whatever was opened for somebody who did not wait has been closed.
    sftp.home().await.unwrap();
    no_handles(&server).await;
    sftp.close().await;
    server.assert_no_handles_open();
    server.stop().await.unwrap();
}

/// Waits until the server has no open handle, and checks that no session ended with one.
pub(crate) async fn no_handles(server: &TestServer) {
    let none = server.wait_until(|record| record.handles_open() == 0, Duration::from_secs(60)).await;
    assert!(none.is_ok(), "{:#?}", server.record());
    server.assert_no_handles_open();
}

/// When a future is dropped that was polled so many times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As soon as it suspends.
    Suspended,
    /// When it would be polled again.
    Woken,
}

/// Polls it so many times; says whether it completed.
pub(crate) async fn dropped<T>(future: impl Future<Output = T>, polls: usize, when: When) -> bool {
    let mut future = pin!(future);
    let mut done = 0;
    poll_fn(|cx| {
        if done == polls {
            return Poll::Ready(false);
        }
        done += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if done == polls && when == When::Suspended => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs a test that is ignored otherwise, in a process of somebody for whom permissions count: for root they do not.
#[cfg(unix)]
pub(crate) fn passes_as_an_ordinary_user(name: &str) {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--ignored"]).current_dir("/");
    if std::fs::metadata("/proc/self").map_or(0, |own| own.uid()) == 0 {
        child.uid(NOBODY).gid(NOBODY);
    }
    let output = child.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("1 passed"), "{said}");
}

/// The place of one channel on this connection and on no other.
pub(crate) struct OnlyOn(pub(crate) Session);

impl Place for OnlyOn {
    fn session(&self) -> &Session {
        &self.0
    }

    fn opened(&mut self) {}

    fn another(
        self: Box<Self>,
        error: rustle_session::Error,
    ) -> BoxFuture<'static, rustle_session::Result<Box<dyn Place>>> {
        Box::pin(std::future::ready(Err(error)))
    }
}
