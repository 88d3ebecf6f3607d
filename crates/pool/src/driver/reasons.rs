//! Why there is no connection or no place, in words.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustle_session::{Error, ErrorKind};
use tokio::time::Instant;

use crate::hosts::Hosts;
use crate::line::shut_down;
use crate::policy::event::{ConnectionId, DialFailure, HostId, Missing, Rejection};

/// Why there was no connection is told to those who come this much later at the latest.
const KEPT: Duration = Duration::from_secs(60);

/// Why connections could not be made, or were lost.
#[derive(Debug, Default)]
pub(super) struct Reasons(HashMap<ConnectionId, Reason>);

/// Why one connection could not be made, or was lost.
#[derive(Debug)]
struct Reason {
    host: Option<HostId>,
    error: Error,
    since: Instant,
}

impl Reasons {
    pub(super) fn remember(&mut self, connection: ConnectionId, host: Option<HostId>, error: Error) {
        let now = Instant::now();
        self.0.retain(|_, reason| now - reason.since < KEPT);
        self.0.entry(connection).or_insert(Reason { host, error, since: now });
    }

    /// What one is told who waited for the host.
    pub(super) fn rejection(&self, hosts: &Hosts, id: HostId, why: Rejection) -> Error {
        let host = hosts.name(id);
        match why {
            Rejection::Dial(connection) => match self.0.get(&connection) {
                Some(Reason { host: Some(other), error, .. }) if *other != id => {
                    error.clone().on_the_way(hosts.name(*other), &hosts.target(id))
                }
                Some(reason) => reason.error.clone(),
                None => Error::no_place(format!("{host}: there is no connection"), "try again"),
            },
            Rejection::Deadline(missing) => missed(host, missing),
            Rejection::DeadlineOnTheWay(jump, missing) => {
                missed(&format!("{host}: its jump host {}", hosts.name(jump)), missing)
            }
            Rejection::TooFar(needed) => Error::never_a_place(
                format!(
                    "{host}: it takes {needed} connections to reach it, those to its jump hosts among them, and fewer are \
                     allowed in all"
                ),
                format!("allow {needed} connections at least (max_connections)"),
            ),
            Rejection::NoSessions => Error::never_a_place(
                format!("{host}: the server opens no session at all"),
                "its MaxSessions may be 0: such a server forwards connections and runs nothing",
            ),
            Rejection::Crowded => Error::no_place(
                format!("{host}: too many wait for connections already"),
                "begin less at once",
            ),
            Rejection::ShuttingDown => shut_down(),
        }
    }
}

/// What somebody waited for in vain.
fn missed(host: &str, missing: Missing) -> Error {
    let (what, hint) = match missing {
        Missing::Login => ("the login took too long", "allow more patience, or see why the server is slow"),
        Missing::Retry => (
            "no login has succeeded, and the next attempt was still to come",
            "see whether the host can be reached, or allow more patience",
        ),
        Missing::HostLimit => (
            "all connections to the host that are allowed are full",
            "allow more connections to a host (max_connections_per_host), or wait for longer",
        ),
        Missing::OneLogin => (
            "the one connection to the host is full, and another login would ask somebody again",
            "begin less at once, or wait for longer",
        ),
        Missing::TotalLimit => (
            "all connections that are allowed are in use",
            "allow more connections (max_connections), or wait for longer",
        ),
        Missing::Shortage => (
            "this machine has no more sockets or files for connections",
            "allow the process more open files (RLIMIT_NOFILE, ulimit -n)",
        ),
        Missing::DialLimit => (
            "all logins at once that are allowed are under way",
            "allow more logins at once (max_dials), or wait for longer",
        ),
    };
    Error::no_place(format!("{host}: {what}"), hint)
}

/// What a failed login says of the next one.
pub(super) fn failure_of(error: &Error) -> DialFailure {
    match error.kind() {
        _ if is_shortage(error) => DialFailure::Shortage,
        ErrorKind::ServerBusy => DialFailure::Busy,
        kind if kind.is_retryable() => DialFailure::Transient,
        _ => DialFailure::Final,
    }
}

/// Whether this machine had no descriptor for it.
fn is_shortage(error: &Error) -> bool {
    // EMFILE and ENFILE; WSAEMFILE.
    const NONE_LEFT: &[i32] = if cfg!(windows) { &[10024] } else { &[24, 23] };
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some_and(|code| NONE_LEFT.contains(&code))
        {
            return true;
        }
        next = error.source();
    }
    false
}
