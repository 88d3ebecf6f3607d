//! Setting up a server.

mod commands;
pub(crate) mod forwarding;
mod identity;
mod limits;

use std::{collections::HashSet, sync::Arc};

use russh::Preferred;

use crate::{
    algorithms::{Algorithms, RawOffer},
    auth::Accounts,
    error::{Error, ErrorKind},
    fault::{Fault, Faults},
    keys::{HostKeyKind, HostKeySource},
    network::Network,
    raw::RawPeer,
    server::{Settings, TestServer},
    user::User,
};

pub(crate) use limits::Limits;

/// How a [`TestServer`] is to be; see [`TestServer::builder`].
#[must_use]
pub struct Builder {
    users: Vec<User>,
    host_keys: Vec<HostKeySource>,
    algorithms: Algorithms,
    faults: Vec<Fault>,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            users: Vec::new(),
            host_keys: Vec::new(),
            algorithms: Algorithms::new(),
            faults: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// Someone who may log in. Two of one name are an error of [`start`](Self::start).
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// The window the server grants to each channel, in bytes. OpenSSH's 2 MiB otherwise.
    pub fn window(mut self, bytes: u32) -> Self {
        self.settings.window = bytes;
        self
    }

    /// Starts a new key exchange each time so many bytes have been sent, or received, since the last.
    ///
    /// The base rekeys by these numbers only and not on demand. A number smaller than a transfer has it in the middle of
    /// that, and 1 has a storm: a new key exchange after each burst of messages. Counting begins at the login; with a
    /// script of the raw peer, at the first key exchange. 1 GiB otherwise, the most that RFC 4253 section 9 recommends;
    /// with `usize::MAX` the server never begins one. A client may begin one at any time.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().rekey_after(1 << 20); // each MiB either way
    /// ```
    pub fn rekey_after(mut self, bytes: usize) -> Self {
        self.settings.rekey_after = bytes;
        self
    }

    /// Does this wrong.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Puts every connection behind this network.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::{Network, TestServer};
    ///
    /// let builder = TestServer::builder().network(Network::new().round_trip(Duration::from_millis(80)));
    /// ```
    pub fn network(mut self, network: Network) -> Self {
        self.settings.network = Some(network);
        self
    }

    /// The seed for all that is random here: the network's jitter and loss, and whom `max_startups` drops. Otherwise that of the environment variable
    /// `RUSTLE_TEST_SEED`, or a new one, which [`TestServer::seed`] tells and a failing wait or drop prints.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().seed(42);
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Speaks SSH by the [raw peer](RawPeer), this crate's own and able to do everything wrong, in place of the `russh`
    /// crate's server half. What this builder says of users, commands, faults and the network holds for it too.
    ///
    /// ```
    /// use rustle_testserver::{Damage, Fault, RawPeer, TestServer, User, message};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let server = TestServer::builder()
    ///     .user(User::new("alice").password("wonderland"))
    ///     .builtins()
    ///     .raw_peer(RawPeer::new())
    ///     .fault(Fault::frozen_window(64 * 1024))
    ///     .fault(Fault::message(message::CHANNEL_SUCCESS, Damage::duplicated()).once())
    ///     .start()
    ///     .await?;
    ///
    /// // … the client under test uploads more than 64 KiB, and should say that it is stuck …
    ///
    /// server.expect_unfired();
    /// server.stop().await?;
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn raw_peer(mut self, peer: RawPeer) -> Self {
        self.settings.raw_peer = Some(peer.anew());
        self
    }

    /// Starts the server on 127.0.0.1, on a port of the system's choice.
    ///
    /// # Errors
    /// The setting makes no sense, a key cannot be read, or the port or the temporary directory cannot be had.
    ///
    /// # Cancel safety
    /// Nothing is left when this future is dropped.
    pub async fn start(mut self) -> Result<TestServer, Error> {
        if cfg!(not(unix)) && self.settings.shell {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "shell() needs a Unix with /bin/sh; use builtins() or command() in tests for this platform",
            ));
        }
        if let Some(setting) = self.needs_unix_sockets().filter(|_| cfg!(not(unix))) {
            return Err(Error::new(ErrorKind::Unsupported, format!("{setting} needs a Unix")));
        }
        if self.host_keys.is_empty() {
            self.host_keys.push(HostKeySource::Generated(HostKeyKind::Ed25519));
        }
        self.check_personality()?;
        self.check_names()?;
        let accounts = self.users.into_iter().map(User::compile).collect::<Result<_, _>>()?;
        let (preferred, raw_offer) = match self.settings.raw_peer {
            Some(_) => (Preferred::default(), self.algorithms.to_raw_offer()?),
            None => (self.algorithms.to_preferred()?, RawOffer::default()),
        };
        let faults = Faults::default();
        for fault in self.faults {
            faults.add(fault);
        }
        TestServer::launch(
            self.settings,
            Accounts::new(accounts),
            preferred,
            raw_offer,
            self.host_keys,
            Arc::new(faults),
        )
        .await
    }

    /// Of two users with one name the second could never log in.
    fn check_names(&self) -> Result<(), Error> {
        let mut known = HashSet::new();
        match self.users.iter().find(|user| !known.insert(user.name())) {
            Some(twice) => Err(Error::new(
                ErrorKind::Configuration,
                format!("two users are called {:?}; say all about one in one place", twice.name()),
            )),
            None => Ok(()),
        }
    }

    /// What was asked for must be something that the personality asked for can do.
    fn check_personality(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Configuration, message));
        if self.settings.raw_peer.is_none() {
            return match self.faults.iter().find(|fault| fault.needs_raw_peer()) {
                Some(fault) => refuse(format!(
                    "only the raw peer can do this: {fault}; give the builder raw_peer(RawPeer::new())"
                )),
                None => Ok(()),
            };
        }
        let cannot = if self.wants_forwards() {
            "forwards nothing; leave out direct_tcpip() and all else about forwards"
        } else if self.settings.limits.client_alive.is_some() {
            "asks no client whether it is alive; leave out client_alive()"
        } else if self.settings.host_certificate.is_some() {
            "shows no certificate; leave out host_certificate()"
        } else {
            return Ok(());
        };
        refuse(format!("the raw peer {cannot}, or raw_peer()"))
    }
}
