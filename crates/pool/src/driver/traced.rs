//! What is said of the pool's doings by tracing: the crate's documentation lists the events.
//!
//! Each has the `host`, by its name, and the `connection`, by its number, where there is one.

use std::time::Duration;

use rustle_session::{Error, Session, Stats};

use crate::hosts::{Hosts, Loss};
use crate::policy::event::{ConnectionId, DialFailure, HostId, How, Lane};

/// A login succeeded.
pub(super) fn connected(hosts: &Hosts, host: HostId, connection: ConnectionId, took: Duration) {
    let (name, Some(session)) = (hosts.name(host), hosts.session(connection)) else { return };
    let timings = session.timings();
    tracing::debug!(
        host = name,
        connection = connection.0,
        ?took,
        resolve = ?timings.resolve,
        connect = ?timings.connect,
        handshake = ?timings.handshake,
        authentication = ?session.authentication_time(),
        round_trip = ?session.stats().round_trip,
        "connected"
    );
}

/// A login failed.
pub(super) fn not_connected(name: &str, connection: ConnectionId, failure: DialFailure, error: &Error) {
    tracing::debug!(host = name, connection = connection.0, ?failure, code = error.code(), %error, "not connected");
}

/// A connection is gone.
pub(super) fn gone(hosts: &Hosts, connection: ConnectionId, loss: &Loss, error: &Error) {
    let Stats { bytes_sent, bytes_received, channels_opened, stalls, .. } = loss.carried;
    tracing::debug!(
        host = hosts.name(loss.host),
        connection = connection.0,
        was_wanted = loss.was_wanted,
        age = ?loss.age,
        bytes_sent,
        bytes_received,
        channels_opened,
        spills = stalls.spills,
        pauses = stalls.pauses,
        paused = ?stalls.paused,
        overruns = stalls.overruns,
        %error,
        "the connection is gone"
    );
}

/// Somebody has a place.
pub(super) fn granted(
    hosts: &Hosts,
    host: HostId,
    connection: ConnectionId,
    lane: Lane,
    how: How,
    is_warm: bool,
) {
    let (how, waited) = match how {
        How::Shared => ("shared", Duration::ZERO),
        How::Queued { waited } => ("queued", waited),
        How::Connected { waited } => ("connected", waited),
        How::Folded { waited } => ("folded", waited),
    };
    tracing::debug!(
        host = hosts.name(host),
        connection = connection.0,
        ?lane,
        how,
        ?waited,
        is_warm,
        waiting = hosts.waiting(host),
        "a place is given"
    );
}

/// Somebody has none.
pub(super) fn rejected(hosts: &Hosts, host: HostId, lane: Lane, error: &Error) {
    let waiting = hosts.waiting(host);
    tracing::debug!(host = hosts.name(host), ?lane, waiting, code = error.code(), %error, "no place");
}

/// The server refused a channel, and another place is wanted.
pub(super) fn refused(hosts: &Hosts, host: HostId, connection: ConnectionId, refusal: &Error) {
    tracing::debug!(
        host = hosts.name(host),
        connection = connection.0,
        error = %refusal,
        "the server refused a channel"
    );
}

/// A connection's time to be looked at has come.
pub(super) fn looked_at(name: &str, connection: ConnectionId, session: &Session) {
    let Stats { bytes_sent, bytes_received, channels_open, round_trip, stalls, .. } = session.stats();
    tracing::trace!(
        host = name,
        connection = connection.0,
        bytes_sent,
        bytes_received,
        channels_open,
        ?round_trip,
        spills = stalls.spills,
        pauses = stalls.pauses,
        paused = ?stalls.paused,
        overruns = stalls.overruns,
        key_use = session.key_use(),
        "looked at"
    );
}

/// The server was asked for a sign of life.
pub(super) fn answered(hosts: &Hosts, connection: ConnectionId, took: Duration) {
    let name = hosts.name_of(connection);
    tracing::debug!(host = name, connection = connection.0, ?took, "the server answers");
}

/// It answers late, or again.
pub(super) fn is_late(hosts: &Hosts, connection: ConnectionId, is_late: bool) {
    let (name, connection) = (hosts.name_of(connection), connection.0);
    if is_late {
        tracing::debug!(host = name, connection, "the server answers late");
    } else {
        tracing::debug!(host = name, connection, "the server answers again");
    }
}

/// It does not answer.
pub(super) fn is_silent(hosts: &Hosts, connection: ConnectionId) {
    let (name, connection) = (hosts.name_of(connection), connection.0);
    tracing::debug!(host = name, connection, "the server does not answer: the connection is ended");
}
