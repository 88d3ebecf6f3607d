//! What the policy is told, and what it wants done.

use std::time::{Duration, Instant};

/// Everything that connections are shared by: host, port, user, credentials, way there, trust, algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostId(pub(crate) u64);

/// One connection, from the decision to dial it to its end. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// One who wants a channel, from asking to the place at the server being free again. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaiterId(pub(crate) u64);

/// What a channel is for, as far as it concerns others on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lane {
    /// A session (a command, SFTP) whose output is always taken at once: any number share a connection.
    Shared,
    /// A session whose reader may stall: it is kept from the others where that can be.
    Isolated,
    /// A forwarded connection, whose reader may stall as well. It takes none of the server's sessions.
    Stream,
    /// No channel: a connection is to be there. It takes no place, and is over when it is granted.
    Bare,
}

impl Lane {
    pub(super) const ALL: [Self; 4] = [Self::Shared, Self::Isolated, Self::Stream, Self::Bare];

    pub(super) fn may_stall(self) -> bool {
        matches!(self, Self::Isolated | Self::Stream)
    }

    /// Whether the server's limit of sessions is for it.
    pub(crate) fn is_session(self) -> bool {
        matches!(self, Self::Shared | Self::Isolated)
    }
}

/// How often one may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logins {
    /// Not known before the first login has succeeded: until then there is one at a time.
    Unknown,
    /// Nobody is asked: as often as wanted.
    Many,
    /// Somebody is asked, or a code works once: one connection, for all.
    One,
}

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody wants a channel.
    Acquire { waiter: WaiterId, host: HostId, lane: Lane, logins: Logins, deadline: Instant },
    /// The host is reached through another one.
    Behind { host: HostId, jump: HostId },
    /// An idle connection to the host is kept for so long.
    Keeps { host: HostId, time: Duration },
    /// Nobody waits for it any more. A place that was granted stays taken until it is told that it is free.
    Cancel { waiter: WaiterId },
    /// The server confirmed the channel.
    Opened { waiter: WaiterId, connection: ConnectionId },
    /// The server has no place for another session on this connection, or has one in a moment. To a forwarded connection it is a
    /// reason like any other, and who asked is told.
    Refused { waiter: WaiterId, connection: ConnectionId },
    /// The channel's place at the server is free again.
    Released { waiter: WaiterId, connection: ConnectionId },
    /// A login succeeded.
    Dialed { connection: ConnectionId, logins: Logins },
    /// A login failed, or was given up; nothing is left of it.
    DialFailed { connection: ConnectionId, failure: DialFailure },
    /// The connection is gone.
    Lost { connection: ConnectionId },
    /// The session that was opened ahead is there.
    Warmed { connection: ConnectionId },
    /// It was refused, or the server ended it.
    Cooled { connection: ConnectionId },
    /// The server answers late, or not at all.
    Degraded { connection: ConnectionId },
    /// It answers again.
    Recovered { connection: ConnectionId },
    /// Its keys or its age are near their limit.
    Worn { connection: ConnectionId },
    /// Somebody wants it ended: what is on it has until then.
    Disconnect { connection: ConnectionId, by: Instant },
    /// What is idle is to be closed now.
    RetireIdle,
    /// The machine's network changed: all are to be asked whether they are still there.
    NetworkChanged,
    /// The end: what is open has until then.
    Shutdown { by: Instant },
    /// Time has passed.
    Tick,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialFailure {
    /// The network, or a server that was slow: it may be better later.
    Transient,
    /// The server has too many logins at once.
    Busy,
    /// This machine has no more sockets or files.
    Shortage,
    /// It will not be better by itself: refused credentials, another host key, an unknown name.
    Final,
    /// As it was told to.
    Abandoned,
}

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Log in, through the connection that carries it where there is one. Answered by [`Event::Dialed`] or
    /// [`Event::DialFailed`].
    Dial { connection: ConnectionId, host: HostId, attempt: u32, carrier: Option<ConnectionId> },
    /// Nothing but to be told: after this one failed, the host is dialed again at this time at the earliest, if anybody waits.
    Retry { host: HostId, after: ConnectionId, at: Instant },
    /// Give up a login. Answered by [`Event::DialFailed`], or by [`Event::Dialed`] where it was too late: then it is closed.
    Abandon { connection: ConnectionId },
    /// Open the channel on this connection; nothing where it is [`Lane::Bare`]. Answered by [`Event::Opened`] and, at its end, [`Event::Released`]; or by one of
    /// [`Event::Refused`] and [`Event::Released`]; or by nothing but the connection's loss. Nobody uses the channel before
    /// [`Event::Opened`] was told: when a connection is lost before that, the one who waits has its turn again, on the
    /// understanding that nothing was begun.
    Grant { waiter: WaiterId, connection: ConnectionId, how: How, is_warm: bool },
    /// Open a session ahead, for the next one who wants one on this connection: whose grant says `is_warm` takes it instead of
    /// opening one. Answered by [`Event::Warmed`] or [`Event::Cooled`]. It ends with its connection, and counts as nothing
    /// that is on it.
    Warm { connection: ConnectionId },
    /// Tell the one who waits that there will be none.
    Reject { waiter: WaiterId, why: Rejection },
    /// Nothing but to be told: nothing new goes on the connection from now on, and it ends when nothing is on it; unless it is
    /// recalled before.
    Drain { connection: ConnectionId },
    /// Nothing but to be told: nobody lacks the place of the connection any more, and it is as if it had not been drained.
    Recall { connection: ConnectionId },
    /// Close a connection that nothing is on. Answered by [`Event::Lost`].
    Close { connection: ConnectionId, why: Closing },
    /// End a connection now, with whatever is on it. Answered by [`Event::Lost`].
    Cut { connection: ConnectionId },
    /// Ask the server for a sign of life.
    Probe { connection: ConnectionId },
    /// Nothing is left.
    Stopped,
}

/// How a channel came by its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// There was room at once.
    Shared,
    /// It waited for room on a connection that was there.
    Queued { waited: Duration },
    /// It waited for a connection to be made.
    Connected { waited: Duration },
    /// It is on one connection with others that it should be kept from, since there can be no other.
    Folded { waited: Duration },
}

/// Why there is no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The time is over, and this is what was missing.
    Deadline(Missing),
    /// The time is over, and this was missing to a host on the way.
    DeadlineOnTheWay(HostId, Missing),
    /// It takes so many connections to have one to the host, and fewer are allowed.
    TooFar(usize),
    /// The connection that was dialed for it, or to a host on the way, which failed or was lost before anything came of it;
    /// or one that was refused for good a moment ago.
    Dial(ConnectionId),
    /// The server allows no channel at all.
    NoSessions,
    /// Too many wait already.
    Crowded,
    ShuttingDown,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A login that was under way.
    Login,
    /// The next attempt to log in.
    Retry,
    /// The number of connections to the host is at its limit, and they are full.
    HostLimit,
    /// There is the one connection that there may be, since a login asks somebody, and it is full.
    OneLogin,
    /// The number of connections is at its limit.
    TotalLimit,
    /// This machine has no more sockets or files.
    Shortage,
    /// Logins are at their limit.
    DialLimit,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Nobody used it for its persist time.
    Idle,
    /// Nobody used it, and idle ones were to be retired.
    Retired,
    /// Another host needs its place.
    Evicted,
    /// Its keys or its age were near their limit.
    Worn,
    /// Somebody wanted it.
    Asked,
    /// It came too late for anybody.
    Unwanted,
    ShuttingDown,
}
