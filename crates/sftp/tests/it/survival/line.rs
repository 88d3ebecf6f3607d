//! Connections to one server, of which the next is made when the one before is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustle_session::{BoxFuture, ChannelUse, Connector, Credentials, Place, Places, Session};
use rustle_testserver::TestServer;
use tokio::sync::{Notify, watch};

use crate::support::{OnlyOn, way_to};

/// Makes a connection when the one before is gone.
pub(super) struct Line {
    connector: Connector,
    credentials: Credentials,
    session: tokio::sync::Mutex<Option<Session>>,
    made: AtomicUsize,
    /// Whether there is a way to the server.
    pub(super) is_there: watch::Sender<bool>,
    /// Somebody waits for that.
    pub(super) waits: Notify,
}

impl Line {
    pub(super) fn to(server: &TestServer) -> Arc<Self> {
        let (connector, credentials) = way_to(server.port(), &server.host_key_fingerprint());
        let (session, made) = (tokio::sync::Mutex::default(), AtomicUsize::new(0));
        let (is_there, waits) = (watch::Sender::new(true), Notify::new());
        Arc::new(Self { connector, credentials, session, made, is_there, waits })
    }

    pub(super) async fn connection(&self) -> rustle_session::Result<Session> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| session.is_open()) {
            return Ok(session.clone());
        }
        if !*self.is_there.borrow() {
            self.waits.notify_one();
            let _ = self.is_there.subscribe().wait_for(|is_there| *is_there).await;
        }
        let made = self.connector.connect().await?.authenticate(&self.credentials).await?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(session.insert(made).clone())
    }

    pub(super) async fn session(self: &Arc<Self>) -> Session {
        let places: Arc<dyn Places> = Arc::<Self>::clone(self);
        self.connection().await.unwrap().with_places(places)
    }

    pub(super) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

impl Places for Line {
    fn take(&self, _purpose: ChannelUse) -> BoxFuture<'_, rustle_session::Result<Box<dyn Place>>> {
        Box::pin(async move {
            let place: Box<dyn Place> = Box::new(OnlyOn(self.connection().await?));
            Ok(place)
        })
    }
}
