//! The limits an `sshd` puts on its clients, by the names in sshd_config(5), and one that the base makes necessary.

use std::time::Duration;

use super::Builder;
use crate::startups::MaxStartups;

/// What `sshd` would take from its configuration, and what it needs no limit for.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_startups: Option<MaxStartups>,
    pub(crate) max_startups_text: String,
    pub(crate) max_auth_tries: Option<usize>,
    pub(crate) login_grace: Option<Duration>,
    pub(crate) client_alive: Option<ClientAlive>,
    /// In bytes.
    pub(crate) max_unread: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAlive {
    pub(crate) interval: Duration,
    pub(crate) count: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_startups: None,
            max_startups_text: "Not allowed at this time".to_owned(),
            max_auth_tries: None,
            login_grace: None,
            client_alive: None,
            max_unread: 1 << 30,
        }
    }
}

impl Builder {
    /// At most so many session channels at once on a connection, as OpenSSH's `MaxSessions`. No limit otherwise.
    pub fn max_sessions(mut self, n: usize) -> Self {
        self.settings.max_sessions = Some(n);
        self
    }

    /// After so many refused attempts on a connection (the probe by `none` included), the next one is answered by a
    /// disconnect, code 14, whatever it shows: the base's own rule. No limit otherwise. For OpenSSH's rule, see
    /// [`max_auth_tries`](Self::max_auth_tries).
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().auth_attempts(3);
    /// ```
    pub fn auth_attempts(mut self, n: usize) -> Self {
        self.settings.auth_attempts = n;
        self
    }

    /// Waits this long before each answer to an attempt to authenticate.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::TestServer;
    ///
    /// let builder = TestServer::builder().auth_delay(Duration::from_secs(2)); // as pam_faildelay
    /// ```
    pub fn auth_delay(mut self, delay: Duration) -> Self {
        self.settings.auth_delay = delay;
        self
    }

    /// Turns connections away at the door while too many others have not logged in yet, as OpenSSH's `MaxStartups`:
    /// with `start` of them, a new one is dropped with a probability of `rate` per cent, which grows evenly to certainty
    /// at `full`. No limit otherwise.
    ///
    /// Whoever is dropped hears "Not allowed at this time", as from OpenSSH since 9.8 (before, and from
    /// [`max_startups_text`](Self::max_startups_text), "Exceeded MaxStartups"), instead of the identification line. The
    /// chances come from the server's seed. `rate` above 100 counts as 100, `full` below `start` as `start`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::TestServer;
    ///
    /// let as_sshd_by_default = TestServer::builder()
    ///     .max_startups(10, 30, 100)
    ///     .max_auth_tries(6)
    ///     .login_grace(Duration::from_secs(120))
    ///     .max_sessions(10);
    /// let one_at_a_time = TestServer::builder().max_startups(1, 100, 1).max_startups_text("Exceeded MaxStartups");
    /// let watches_its_clients = TestServer::builder().client_alive(Duration::from_secs(15), 3);
    /// ```
    pub fn max_startups(mut self, start: usize, rate: u8, full: usize) -> Self {
        self.settings.limits.max_startups =
            Some(MaxStartups { start, rate: rate.min(100), full: full.max(start) });
        self
    }

    /// What [`max_startups`](Self::max_startups) says to those it drops, without the end of the line.
    pub fn max_startups_text(mut self, text: impl Into<String>) -> Self {
        self.settings.limits.max_startups_text = text.into();
        self
    }

    /// Ends a connection at its n-th failed attempt to authenticate by a disconnect (code 2, "Too many authentication
    /// failures"), as OpenSSH's `MaxAuthTries`: a first attempt by `none` and partial successes are free. No limit
    /// otherwise.
    ///
    /// Where `sshd` sends the disconnect in the place of the last failure, the base sends that failure first: a client
    /// with nothing left to try may leave before it reads the goodbye.
    pub fn max_auth_tries(mut self, n: usize) -> Self {
        self.settings.limits.max_auth_tries = Some(n.max(1));
        self
    }

    /// Ends a connection without a word when nobody has logged in on it for so long, as OpenSSH's `LoginGraceTime`
    /// (without the up to four seconds more that it adds at random). No limit otherwise.
    pub fn login_grace(mut self, time: Duration) -> Self {
        self.settings.limits.login_grace = Some(time);
        self
    }

    /// Asks a client that has been silent for so long whether it lives, and ends the connection without a word when
    /// `count` such requests in a row have stayed without any sign of it, as OpenSSH's `ClientAliveInterval` and
    /// `ClientAliveCountMax`. With a count of 0 it asks and never ends. Asks nobody otherwise.
    ///
    /// `sshd` begins to ask after the login, the base after the key exchange.
    pub fn client_alive(mut self, interval: Duration, count: usize) -> Self {
        self.settings.limits.client_alive = Some(ClientAlive { interval, count });
        self
    }

    /// How much of what a client sends on a channel may wait to be read, in bytes: by a command, by an SFTP session that
    /// cannot send its replies, by the target of a forward. 1 GiB otherwise.
    ///
    /// `sshd` withholds the window from such a client. The base grants it as data arrives, so that no other channel of
    /// the connection has to wait; 8 MiB of a channel stay in memory, the rest goes to temporary files. Where there is
    /// more than this, nothing is read from the channel for up to 10 s, and then little from its connection; if there is
    /// still no room, the channel is closed. The [raw peer](Self::raw_peer) closes it at once.
    ///
    /// ```
    /// use rustle_testserver::TestServer;
    ///
    /// let small = TestServer::builder().max_unread(1 << 20);
    /// ```
    pub fn max_unread(mut self, bytes: u64) -> Self {
        self.settings.limits.max_unread = bytes;
        self
    }
}
