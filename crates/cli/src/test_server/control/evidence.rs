//! The record as JSON.
//!
//! Written out here, and not derived from the library's types: it is a promise to tests in other languages, and has
//! to stay as it is where those types change.

use rustle_testserver::{
    AuthAttempt, AuthOutcome, ChannelKind, ChannelRecord, CommandKind, CommandRecord, ConnectionRecord, Cut,
    End, Exit, FaultReport, ForwardPlace, ForwardRecord, ForwardState, Pty, Record, TerminalSize,
};
use serde::Serialize;
use serde_json::{Value, json};

/// A whole record.
#[derive(Serialize)]
pub(super) struct Evidence {
    connections: Vec<Value>,
    auth_attempts: Vec<Value>,
    channels: Vec<Value>,
    commands: Vec<Value>,
    forwards: Vec<Value>,
    global_requests: Vec<String>,
    connections_open: usize,
    channels_open: usize,
    channels_refused: usize,
    channels_refused_by_client: usize,
    forwards_open: usize,
    running: usize,
    eofs: usize,
    closes: usize,
    bytes_in: u64,
    bytes_out: u64,
}

/// A fault, and how often it has struck.
#[derive(Serialize)]
pub(super) struct FaultEvidence {
    description: String,
    fired: usize,
}

impl Evidence {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            connections: numbered(record.connections(), connection),
            auth_attempts: record.auth_attempts().iter().map(attempt).collect(),
            channels: numbered(record.channels(), channel),
            commands: numbered(record.commands(), command),
            forwards: record.forwards().iter().map(forward).collect(),
            global_requests: record.global_requests().to_vec(),
            connections_open: record.connections_open(),
            channels_open: record.channels_open(),
            channels_refused: record.channels_refused(),
            channels_refused_by_client: record.channels_refused_by_client(),
            forwards_open: record.forwards_open(),
            running: record.processes_running(),
            eofs: record.eofs(),
            closes: record.closes(),
            bytes_in: record.bytes_in(),
            bytes_out: record.bytes_out(),
        }
    }
}

impl FaultEvidence {
    pub(super) fn of(fault: &FaultReport) -> Self {
        Self { description: fault.description().to_owned(), fired: fault.fired() }
    }
}

/// Connections, channels and commands are counted from 1.
fn numbered<T>(list: &[T], write: fn(usize, &T) -> Value) -> Vec<Value> {
    list.iter().enumerate().map(|(index, item)| write(index + 1, item)).collect()
}

fn connection(number: usize, connection: &ConnectionRecord) -> Value {
    json!({
        "number": number,
        "user": connection.user(),
        "client": connection.client(),
        "bytes_in": connection.bytes_in(),
        "bytes_out": connection.bytes_out(),
        "ended": connection.ended().map(end),
    })
}

fn end(end: &End) -> Value {
    match end {
        End::Client => json!({ "by": "client" }),
        End::Cut(how) => json!({ "by": "cut", "how": cut(*how) }),
        End::Disconnected(reason) => json!({ "by": "disconnect", "reason": reason.code() }),
        End::TurnedAway => json!({ "by": "turned_away" }),
        End::LoginGrace => json!({ "by": "login_grace" }),
        End::Unresponsive => json!({ "by": "unresponsive" }),
        End::Stopped => json!({ "by": "stop" }),
        End::Broken(why) => json!({ "by": "error", "why": why }),
        other => json!({ "by": "other", "why": format!("{other:?}") }),
    }
}

fn cut(how: Cut) -> &'static str {
    match how {
        Cut::Fin => "fin",
        Cut::Rst => "rst",
        Cut::Silence => "silence",
        _ => "other",
    }
}

fn attempt(attempt: &AuthAttempt) -> Value {
    json!({
        "connection": attempt.connection(),
        "user": attempt.user(),
        "method": attempt.method().as_str(),
        "outcome": match attempt.outcome() {
            AuthOutcome::Accepted => "accepted",
            AuthOutcome::Partial => "partial",
            AuthOutcome::KeyWelcome => "key_welcome",
            AuthOutcome::Asked => "asked",
            AuthOutcome::Refused => "refused",
            AuthOutcome::Replayed => "replayed",
            AuthOutcome::Expired => "expired",
            AuthOutcome::Locked => "locked",
            _ => "other",
        },
    })
}

fn channel(number: usize, channel: &ChannelRecord) -> Value {
    json!({
        "number": number,
        "connection": channel.connection(),
        "kind": match channel.kind() {
            ChannelKind::Session => json!({ "type": "session" }),
            ChannelKind::DirectTcpip(host, port) => {
                json!({ "type": "direct-tcpip", "host": host, "port": port })
            }
            ChannelKind::DirectStreamlocal(path) => {
                json!({ "type": "direct-streamlocal@openssh.com", "path": path })
            }
            ChannelKind::ForwardedTcpip(address, port) => {
                json!({ "type": "forwarded-tcpip", "host": address, "port": port })
            }
            ChannelKind::ForwardedStreamlocal(path) => {
                json!({ "type": "forwarded-streamlocal@openssh.com", "path": path })
            }
            ChannelKind::Agent => json!({ "type": "auth-agent@openssh.com" }),
            ChannelKind::X11 => json!({ "type": "x11" }),
            other => json!({ "type": "other", "what": format!("{other:?}") }),
        },
        "open": channel.is_open(),
        "signals": channel.signals().iter().map(|signal| signal.name()).collect::<Vec<_>>(),
        "window_changes": channel.window_changes().iter().copied().map(size).collect::<Vec<_>>(),
        "refused_requests": channel.refused_requests(),
        "granted_requests": channel.granted_requests(),
    })
}

fn forward(forward: &ForwardRecord) -> Value {
    let (host, asked, path) = match forward.place() {
        ForwardPlace::Tcpip(host, port) => (Some(host), Some(port), None),
        ForwardPlace::Streamlocal(path) => (None, None, Some(path)),
        _ => (None, None, None),
    };
    json!({
        "connection": forward.connection(),
        "host": host,
        "port_asked": asked,
        "path": path,
        "port": forward.port(),
        "state": match forward.state() {
            ForwardState::Refused => "refused",
            ForwardState::Listening => "listening",
            ForwardState::Ended => "ended",
            _ => "other",
        },
    })
}

fn command(number: usize, command: &CommandRecord) -> Value {
    json!({
        "number": number,
        "connection": command.connection(),
        "channel": command.channel(),
        "kind": match command.kind() {
            CommandKind::Exec => "exec",
            CommandKind::Shell => "shell",
            CommandKind::Subsystem => "subsystem",
            _ => "other",
        },
        "text": command.text(),
        "env": command.env(),
        "pty": command.pty().map(pty),
        "pid": command.pid(),
        "running": command.is_running(),
        "exit": command.exit().map(exit),
    })
}

fn exit(exit: &Exit) -> Value {
    match exit {
        Exit::Code(code) => json!({ "code": code }),
        Exit::Signal { signal, message } => json!({ "signal": signal.name(), "message": message }),
        Exit::Silent => json!({ "silent": true }),
        other => json!({ "other": other.to_string() }),
    }
}

fn pty(pty: &Pty) -> Value {
    json!({ "term": pty.term(), "size": size(pty.size()), "modes": pty.modes() })
}

fn size(size: TerminalSize) -> Value {
    json!({
        "columns": size.columns,
        "rows": size.rows,
        "pixel_width": size.pixel_width,
        "pixel_height": size.pixel_height,
    })
}

#[cfg(test)]
mod tests {
    use rustle_testserver::DisconnectReason;

    use super::*;

    #[test]
    fn each_end_of_a_connection_has_its_own_name() {
        let ends = [
            (End::Client, json!({ "by": "client" })),
            (End::Cut(Cut::Rst), json!({ "by": "cut", "how": "rst" })),
            (End::Disconnected(DisconnectReason::ByApplication), json!({ "by": "disconnect", "reason": 11 })),
            (End::TurnedAway, json!({ "by": "turned_away" })),
            (End::LoginGrace, json!({ "by": "login_grace" })),
            (End::Unresponsive, json!({ "by": "unresponsive" })),
            (End::Stopped, json!({ "by": "stop" })),
            (End::Broken("why".to_owned()), json!({ "by": "error", "why": "why" })),
        ];
        for (how, written) in ends {
            assert_eq!(end(&how), written);
        }
    }
}
