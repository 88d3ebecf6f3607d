//! What `cargo xtask clients` prepared, and the frame of every test that needs it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustle_testserver::TestServer;

/// What one command or a short conversation may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// What moving 256 MiB several times may take on a busy machine.
pub(crate) const LONG_LIMIT: Duration = Duration::from_secs(200);

/// What `cargo xtask clients` prepared on this machine. OpenSSH's tools are always there then.
pub(crate) struct Prepared {
    python: Option<PathBuf>,
    node_modules: Option<PathBuf>,
}

/// Runs a test with the clients; where they were not prepared, it says so and passes.
pub(crate) fn clients(limit: Duration, test: impl AsyncFnOnce(Prepared)) {
    if env::var_os("RUSTLE_CLIENTS").is_none_or(|value| value != "1") {
        println!(
            "skipped: it needs clients that are not ours; `cargo xtask clients` prepares them and runs it"
        );
        return;
    }
    let prepared = Prepared {
        python: env::var_os("RUSTLE_CLIENTS_PYTHON").map(PathBuf::from),
        node_modules: env::var_os("RUSTLE_CLIENTS_NODE_MODULES").map(PathBuf::from),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(limit, Box::pin(test(prepared))).await });
    assert!(ended.is_ok(), "the test did not end within {} s", limit.as_secs());
}

impl Prepared {
    /// A Python that has asyncssh and paramiko. Where there is none, says so.
    pub(crate) fn python(&self) -> Option<&Path> {
        if self.python.is_none() {
            println!("skipped: no Python with asyncssh and paramiko");
        }
        self.python.as_deref()
    }

    /// A folder in which Node.js finds ssh2. Where there is none, says so.
    pub(crate) fn node_modules(&self) -> Option<&Path> {
        if self.node_modules.is_none() {
            println!("skipped: no Node.js with ssh2");
        }
        self.node_modules.as_deref()
    }
}

/// Waits until the clients' connections have ended, and stops the server: nothing may be left of them.
pub(crate) async fn finish(server: TestServer) {
    server.wait_until(|record| record.connections_open() == 0, LIMIT).await.unwrap();
    let record = server.record();
    assert_eq!((record.channels_open(), record.processes_running()), (0, 0), "{record}");
    server.stop().await.unwrap();
}
