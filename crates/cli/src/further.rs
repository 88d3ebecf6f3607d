//! More connections to the host of a transfer, where they ask nobody anything.
//!
//! One connection is the work of one processor on each side, and of one process of the server's. A second one shares it.
//! It logs in with what let the first one in, trusts the key that the first one was shown and no other, and is made beside
//! the transfer: where it is refused, the transfer goes on without it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustle_session::{
    BoxFuture, Connector, Credentials, HostKeyOffer, HostSetup, HostTrust, PinnedHostKey, Session,
};
use rustle_sftp::{Transfer, TreeTransfer};
use tokio::sync::OnceCell;

use crate::prompt::Person;

/// The connections that a transfer may have beside its first.
pub(crate) struct Further(Vec<Arc<Another>>);

struct Another {
    connector: Connector,
    credentials: Credentials,
    session: OnceCell<Session>,
    /// It is tried once: a host that refuses logins may count them.
    has_failed: AtomicBool,
}

impl Further {
    /// None beside the first.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// So many in all as were `wanted`; without a wish two, where the second asks nobody and the host is near: a long link
    /// is slower than one processor.
    pub(crate) fn of(
        session: &Session,
        setup: &HostSetup,
        person: &Person,
        wanted: Option<NonZeroUsize>,
    ) -> Self {
        let login = Login {
            is_direct: setup.connector().dials(),
            was_asked: person.was_asked(),
            methods: session.method(),
            took: session.authentication_time(),
            round_trip: session.stats().round_trip,
        };
        let more = wanted.map_or_else(|| login.worth(), NonZeroUsize::get) - 1;
        let pinned = session.host_key().and_then(|key| PinnedHostKey::new(&key.fingerprint()).ok());
        let Some(pinned) = pinned.filter(|_| more > 0) else { return Self::none() };
        // Whatever it is that would be asked, on a jump host too: the transfer is under way.
        person.leave_alone();
        let trust = SameKey { known: setup.host_trust(), pinned };
        let connector = setup.connector().clone().host_trust(trust);
        let credentials = setup.credentials().clone().batch_mode();
        let another = || Another {
            connector: connector.clone(),
            credentials: credentials.clone(),
            session: OnceCell::new(),
            has_failed: AtomicBool::new(false),
        };
        Self((0..more).map(|_| Arc::new(another())).collect())
    }

    /// The same transfer, over these connections too where its file is worth it.
    pub(crate) fn carry(&self, transfer: Transfer) -> Transfer {
        self.may_be_made().fold(transfer, |transfer, another| {
            transfer.also_connecting(async move { another.session().await })
        })
    }

    /// The same for a directory.
    pub(crate) fn carry_tree(&self, transfer: TreeTransfer) -> TreeTransfer {
        self.may_be_made().fold(transfer, |transfer, another| {
            transfer.also_connecting(async move { another.session().await })
        })
    }

    fn may_be_made(&self) -> impl Iterator<Item = Arc<Another>> {
        self.0.iter().filter(|another| !another.has_failed.load(Ordering::Relaxed)).cloned()
    }

    /// # Cancel safety
    /// Dropped, those that are left are closed in the background.
    pub(crate) async fn close(&self, grace: Duration) {
        for session in self.0.iter().filter_map(|another| another.session.get()) {
            session.close(grace).await;
        }
    }
}

impl Another {
    async fn session(&self) -> rustle_session::Result<Session> {
        let connecting = async || -> rustle_session::Result<Session> {
            Ok(self.connector.connect().await?.authenticate(&self.credentials).await?)
        };
        let made = self.session.get_or_try_init(connecting).await.cloned();
        self.has_failed.store(made.is_err(), Ordering::Relaxed);
        made
    }
}

/// Trusts the key of the first connection, asked for as it was there, and writes nothing down.
struct SameKey {
    known: Arc<dyn HostTrust>,
    pinned: PinnedHostKey,
}

impl HostTrust for SameKey {
    fn known_algorithms<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Vec<String>> {
        self.known.known_algorithms(host, port)
    }

    fn check<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, rustle_session::Result<()>> {
        self.pinned.check(offer)
    }
}

/// How the first login went.
#[derive(Clone, Copy)]
struct Login<'a> {
    is_direct: bool,
    /// A person was.
    was_asked: bool,
    methods: &'a str,
    took: Duration,
    round_trip: Duration,
}

impl Login<'_> {
    /// How many connections are right where nobody said.
    fn worth(self) -> usize {
        if self.is_direct && self.asked_nobody() && self.round_trip <= NEAR { 2 } else { 1 }
    }

    /// A security key's touch and an agent's question show only in the time that they take. A code is good for one login,
    /// and who asks for it is keyboard-interactive.
    fn asked_nobody(self) -> bool {
        let silent = |method: &str| matches!(method, "publickey" | "password" | "none");
        !self.was_asked && self.methods.split(',').all(silent) && self.took <= WITHOUT_A_PERSON
    }
}

/// A login on a network like that, with an account database behind it, is quicker; nobody touches a key so soon.
const WITHOUT_A_PERSON: Duration = Duration::from_millis(400);

/// Of one network: what is further away has less to give than one connection can carry.
const NEAR: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_connection_is_made_by_itself_only_where_it_asks_nobody_and_the_host_is_near() {
        let near = Login {
            is_direct: true,
            was_asked: false,
            methods: "publickey",
            took: Duration::from_millis(20),
            round_trip: Duration::from_micros(200),
        };
        assert_eq!(near.worth(), 2);
        assert_eq!(Login { methods: "publickey,password", ..near }.worth(), 2);
        for one in [
            Login { is_direct: false, ..near },
            Login { was_asked: true, ..near },
            Login { methods: "publickey,keyboard-interactive", ..near },
            Login { took: Duration::from_millis(900), ..near },
            Login { round_trip: Duration::from_millis(30), ..near },
        ] {
            assert_eq!(one.worth(), 1, "{} {:?} {:?}", one.methods, one.took, one.round_trip);
        }
    }
}
