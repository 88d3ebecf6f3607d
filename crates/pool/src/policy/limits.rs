//! What the policy stays within.

use std::time::Duration;

/// The numbers of one pool.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections in all, those that are being made and closed counted.
    pub(crate) connections: usize,
    /// The same, to one host. Where there may be several, the last is kept for short work: of what may stall, each of nine
    /// flows has one for itself.
    pub(crate) connections_per_host: usize,
    /// Logins under way in all. Each takes a socket and, at the server, a process that is not trusted yet.
    pub(crate) dials: usize,
    /// The same, to one host: OpenSSH's `MaxStartups` begins to refuse at 10.
    pub(crate) dials_per_host: usize,
    /// Sessions on a connection as long as its server has refused none: `MaxSessions` of OpenSSH is 10.
    pub(crate) channels: usize,
    /// Forwarded connections on one connection, beside those: each may keep as much in memory as a channel may.
    pub(crate) streams: usize,
    /// Whether a session is opened ahead on each connection for short work, so that a command starts in one round trip. It
    /// takes one of the server's places, and gives it to the next one who wants a session there.
    pub(crate) warm: bool,
    /// Those who may wait, in all; those who had a place and lost it before it was of use wait beside them.
    pub(crate) waiting: usize,
    /// A connection that nobody uses for so long is closed.
    pub(crate) persist: Duration,
    /// The wait before the second attempt to log in; it doubles with each.
    pub(crate) retry_first: Duration,
    /// The longest such wait.
    pub(crate) retry_most: Duration,
    /// Attempts before those who wait are told.
    pub(crate) attempts: u32,
    /// After a login was refused for good (credentials, host key), whoever asks for the host gets the same answer for so long:
    /// many who ask in a loop must not make an account be locked. Where somebody waits on behind the host all the same, the next
    /// attempts come after twice as long each.
    pub(crate) refused: Duration,
    /// After so long without a refusal one more channel than was learned is tried: places come free late. Above zero.
    pub(crate) relearn: Duration,
    /// How long a connection that refused a channel is left alone, unless a place of it comes free. Above zero.
    pub(crate) hold: Duration,
    /// Whoever waits so long for another host's connections has one of them drained, and another one after as long again: what
    /// is on the first may take for ever. What nobody lacks any more stays. Above zero.
    pub(crate) fair: Duration,
}

impl Limits {
    /// Whether what is looked at again is looked at later: at once, it would be again and again.
    pub(super) fn leave_time(&self) -> bool {
        [self.relearn, self.hold, self.fair].iter().all(|time| !time.is_zero())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_host: 10,
            dials: 64,
            dials_per_host: 8,
            channels: 10,
            streams: 64,
            warm: false,
            waiting: 100_000,
            persist: Duration::from_secs(600),
            retry_first: Duration::from_millis(250),
            retry_most: Duration::from_secs(30),
            attempts: 5,
            refused: Duration::from_secs(1),
            relearn: Duration::from_secs(30),
            hold: Duration::from_millis(50),
            fair: Duration::from_secs(1),
        }
    }
}
