//! The control of a running server over HTTP, on a port of its own on 127.0.0.1.
//!
//! Whoever has the token may do everything that the process may; nobody else may do anything. A page in a browser
//! cannot have it, and the `Host` header is checked besides, so that a name that was pointed at this machine is no
//! way in.

mod answer;
mod codes;
mod driver;
mod evidence;
mod gate;
mod requests;
mod wait;

use std::sync::Arc;

use rustle_testserver::TestServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Told;
use crate::failure::Failure;

pub(super) use self::codes::Codes;

/// The control of one server.
pub(super) struct Control {
    state: Arc<State>,
}

/// What all requests share.
struct State {
    server: Arc<TestServer>,
    port: u16,
    token: String,
    /// Cancelled by a request to stop.
    told_to_stop: CancellationToken,
    told: Told,
    /// Cancelled when the control ends.
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Control {
    /// Listens from now on.
    ///
    /// # Errors
    /// The port or the token cannot be had.
    ///
    /// # Cancel safety
    /// Nothing is left when this future is dropped.
    pub(super) async fn start(server: &Arc<TestServer>, told: Told) -> Result<Self, Failure> {
        let refused = |error| Failure::io("the control cannot listen on 127.0.0.1", &error);
        let token = super::random_password()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let state = Arc::new(State {
            server: Arc::clone(server),
            port,
            token,
            told_to_stop: CancellationToken::new(),
            told,
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        driver::accept(&state, listener);
        Ok(Self { state })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.state.port)
    }

    pub(super) fn token(&self) -> &str {
        &self.state.token
    }

    /// Resolves when a request has told the server to stop.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn told_to_stop(&self) {
        self.state.told_to_stop.cancelled().await;
    }

    /// Answers what has been asked, and returns when no task is left.
    ///
    /// # Cancel safety
    /// When this future is dropped all ends too, but nobody waits for it.
    pub(super) async fn end(self) {
        self.state.ending.cancel();
        self.state.tasks.close();
        self.state.tasks.wait().await;
    }
}
