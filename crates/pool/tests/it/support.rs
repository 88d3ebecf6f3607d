//! What the tests share: a server, a way to log in to it, and the wait for a server-side fact.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustle_pool::{Event, Events, Pool, Status};
use rustle_session::{
    AgentSource, BoxFuture, HostSetup, HostSetupBuilder, PromptError, PromptRequest, Prompter, SecretString,
};
use rustle_testserver::{Builder, Record, TestServer, User};
use tokio::task::JoinSet;

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

/// A way whose own keepalives are off: only the pool looks.
pub(crate) fn quiet(server: &TestServer) -> HostSetupBuilder {
    let way = way(server).option("ServerAliveInterval=0").option("TCPKeepAlive=no");
    way.password(SecretString::from("wonderland"))
}

/// How a configuration file lets everybody in whom a server asks for nothing.
pub(crate) const ASKS_NOTHING: &str = "Host *\n  User alice\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  \
                                       PubkeyAuthentication no\n  IdentityAgent none\n";

/// Where a configuration file says that a server is.
pub(crate) fn place(server: &TestServer) -> String {
    format!("  HostName 127.0.0.1\n  Port {}\n", server.port())
}

/// A login may take long on a busy machine, and longer [in fast motion](in_fast_motion).
pub(crate) fn setup(server: &TestServer) -> HostSetup {
    let way = way(server).connect_timeout(Duration::from_secs(600));
    way.password(SecretString::from("wonderland")).resolve().unwrap()
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

/// Somebody who types what servers ask for, and who is counted.
pub(crate) struct Person {
    says: Mutex<Box<dyn Iterator<Item = String> + Send>>,
    asked: AtomicUsize,
}

impl Person {
    /// Says these, each to one question, and then nothing more.
    pub(crate) fn new(says: impl Iterator<Item = String> + Send + 'static) -> Arc<Self> {
        Arc::new(Self { says: Mutex::new(Box::new(says)), asked: AtomicUsize::default() })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// A pool that knows the server as `web`, and has this person to ask.
    pub(crate) fn pool(self: &Arc<Self>, server: &TestServer) -> Pool {
        let prompter: Arc<dyn Prompter> = Arc::<Self>::clone(self);
        let pool = Pool::builder().only_registered().build().unwrap();
        pool.register("web", way(server).prompter(prompter).resolve().unwrap());
        pool
    }
}

impl Prompter for Person {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut says = self.says.lock().unwrap();
        let answers = request.prompts().iter().map(|_| says.next().map(SecretString::from));
        let said: Option<Vec<SecretString>> = answers.collect();
        Box::pin(async move {
            // Long enough that all who come meanwhile have to wait for it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            said.ok_or(PromptError::Cancelled)
        })
    }
}

/// Twenty callers at once, each with a command `hello` and a flow that would have a connection of its own where that asks nobody
/// anything.
pub(crate) async fn twenty(pool: &Pool) {
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        callers.spawn(async move {
            let web = pool.get("web").await.unwrap();
            assert!(web.output("hello").await.unwrap().status.success());
            let mut child = web.line("hello").spawn().await.unwrap();
            assert!(child.wait().await.unwrap().success());
        });
    }
    callers.join_all().await;
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
