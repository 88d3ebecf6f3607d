//! The trust that is in force, watched: what was shown, and how long the verdict took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustle_session::{AnnouncedKeys, BoxFuture, HostKeyOffer, HostTrust, Result};

/// What the host showed.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) algorithm: String,
    pub(super) fingerprint: String,
    pub(super) took: Duration,
}

#[derive(Clone)]
pub(super) struct Watched {
    inner: Arc<dyn HostTrust>,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn HostTrust>) -> Self {
        Self { inner, seen: Arc::default() }
    }

    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl HostTrust for Watched {
    fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>> {
        self.inner.known_algorithms(host, port)
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let started = Instant::now();
            let verdict = self.inner.check(offer).await;
            let seen = Seen {
                algorithm: offer.algorithm().to_owned(),
                fingerprint: offer.fingerprint(),
                took: started.elapsed(),
            };
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            verdict
        })
    }

    fn announced<'a>(&'a self, offer: &'a HostKeyOffer, keys: &'a AnnouncedKeys) -> BoxFuture<'a, ()> {
        self.inner.announced(offer, keys)
    }
}
