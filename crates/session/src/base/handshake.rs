//! From a byte stream to agreed keys and a trusted host: RFC 4253 sections 4 to 8.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Config};
use russh::{Limits, SshId};
use tokio::sync::mpsc;

use crate::algorithms::Algorithms;
use crate::auth::deadline::NetworkClock;
use crate::base::handler::{self, Handler};
use crate::base::shared::{Shared, sanitised};
use crate::base::wire::{Io, Wire, WireControl};
use crate::base::{CloseReason, CutOnDrop, Transport, negotiate};
use crate::error::{Error, ErrorKind, Result};
use crate::options::TransportOptions;

/// So many messages may wait in the base's queue of a channel: more than its account ever lets in (4 GiB at 128
/// bytes each), for the base's loop must never wait for that queue (see [`intake`](super::intake)). The queue
/// grows as it is used.
const QUEUE: usize = 1 << 26;

/// The base's own limits are out of the way: [`negotiate::rekey_limit`] decides, by cipher, and what the transport's
/// options say. Time alone wears no key out, and OpenSSH has no time limit either unless asked for one.
const NO_LIMIT: Limits = Limits {
    rekey_write_limit: usize::MAX,
    rekey_read_limit: usize::MAX,
    rekey_time_limit: Duration::from_secs(10 * 365 * 86_400),
};

/// What the server showed to prove who it is, in wire form.
pub(crate) struct HostKeyQuestion {
    pub(crate) wire: Vec<u8>,
}

/// Exchanges keys with the peer and asks `trusted` about its host key; a no, or an error there, ends it.
///
/// `connect` is what it took to reach the peer, or something before it. The window of the channels is fitted to that and
/// to the time in which the peer says who it is, whichever is longer: nothing on the way can say that for it.
///
/// The clock stands still while `trusted` works, since that may ask a person.
///
/// # Cancel safety
/// Dropped, it closes the stream; the server sees the connection end.
pub(crate) async fn handshake<F, T>(
    io: Box<dyn Io>,
    algorithms: &Algorithms,
    options: &TransportOptions,
    connect: Duration,
    clock: &NetworkClock,
    trusted: F,
) -> Result<Transport>
where
    F: FnOnce(HostKeyQuestion) -> T + Send,
    T: Future<Output = Result<()>> + Send,
{
    let control = WireControl::new();
    let cut = CutOnDrop(Arc::clone(&control));
    let shared = Shared::new(Arc::clone(&control), options);
    let mut wire = Wire::new(io, Arc::clone(&control), options.write_deadline());
    let greeted = clock.run(wire.greet(options.client_version())).await;
    let greeted = match greeted {
        Ok(greeted) => greeted.map_err(|error| explain(&error.into(), &control.preface(), &shared))?,
        Err(_) => return Err(silent(&control.preface(), options.connect_timeout())),
    };
    let (ask, mut asked) = mpsc::channel(1);
    let config = config(algorithms, options, greeted.max(connect))?;
    // Boxed: the base's handshake alone is many kilobytes of future, in everybody's stack otherwise. So is the stream, for which
    // the base has room in several places of its task.
    let (stream, handler) = (Box::new(wire), Handler::new(Arc::clone(&shared), ask));
    let mut connecting = Box::pin(client::connect_stream(config, stream, handler));

    let mut verdict = Ok(());
    let finished = clock
        .run(async {
            let mut trusted = Some(trusted);
            loop {
                tokio::select! {
                    finished = &mut connecting => return finished,
                    Some(question) = asked.recv() => {
                        let handler::HostKeyQuestion { wire, answer } = question;
                        // The base asks once; a second question has nobody to answer it and fails closed.
                        let Some(trusted) = trusted.take() else { continue };
                        let waiting = clock.pause();
                        verdict = trusted(HostKeyQuestion { wire }).await;
                        drop(waiting);
                        let _ = answer.send(verdict.is_ok());
                    }
                }
            }
        })
        .await;
    verdict?;
    match finished {
        Ok(Ok(handle)) => {
            control.known(identification_line(&control.preface()).unwrap_or_default());
            Ok(Transport { handle, shared, cut })
        }
        Ok(Err(error)) => Err(explain(&error, &control.preface(), &shared)),
        Err(_) => Err(silent(&control.preface(), options.connect_timeout())),
    }
}

fn config(algorithms: &Algorithms, options: &TransportOptions, round_trip: Duration) -> Result<Arc<Config>> {
    Ok(Arc::new(Config {
        client_id: SshId::Standard(Cow::Owned(options.client_version().to_owned())),
        limits: NO_LIMIT,
        window_size: options.window_for(round_trip),
        // RFC 4253 section 6.1 asks for 32 KiB; OpenSSH sends no more, and larger packets gain nothing.
        maximum_packet_size: 32 * 1024,
        channel_buffer_size: QUEUE,
        preferred: negotiate::preferred(algorithms)?,
        inactivity_timeout: None,
        keepalive_interval: options.keepalive_interval(),
        keepalive_max: usize::try_from(options.keepalive_max().get()).unwrap_or(usize::MAX),
        anonymous: false,
        nodelay: false,
        ..Config::default()
    }))
}

/// The handshake took too long.
fn silent(preface: &[u8], limit: Duration) -> Error {
    let seconds = limit.as_secs_f32();
    let error = |message| Error::new(ErrorKind::ConnectTimeout, "handshake", message);
    if preface.is_empty() {
        return error(format!("the server accepted the connection and said nothing within {seconds} s"))
            .with_hint(
                "check that this port is an SSH server and not overloaded, or raise the connection timeout",
            );
    }
    error(format!("the handshake did not finish within {seconds} s"))
        .with_hint("the server or the network is slow: raise the connection timeout, or try again")
}

/// What the base's error means to a person, given what the peer said first.
fn explain(error: &russh::Error, preface: &[u8], shared: &Shared) -> Error {
    if let russh::Error::NoCommonAlgo { kind, ours, theirs } = error {
        return negotiate::no_common_algorithm(kind, ours, theirs);
    }
    let reason = shared.reason_seen().unwrap_or_else(|| CloseReason::from_base(error));
    let Some(version) = identification(preface) else {
        return explain_stranger(preface, &reason);
    };
    let protocol = |message: String| Error::new(ErrorKind::Protocol, "handshake", message);
    if !version.starts_with("SSH-2.0-") && !version.starts_with("SSH-1.99-") {
        return protocol(format!("the server speaks {version}, and only SSH 2.0 is supported"))
            .with_hint("SSH 1 is broken beyond repair: the server needs an upgrade");
    }
    match reason {
        CloseReason::Protocol(message) => protocol(format!("the handshake failed: {message}"))
            .with_hint("something between here and the server changes the stream, or the server is damaged"),
        reason => {
            Error::new(ErrorKind::Disconnected, "handshake", format!("the handshake ended early: {reason}"))
                .with_hint("try again; if it stays so, the server's own log says why")
        }
    }
}

/// The peer sent no identification string (RFC 4253 section 4.2).
fn explain_stranger(preface: &[u8], reason: &CloseReason) -> Error {
    let text = sanitised(&String::from_utf8_lossy(preface));
    let first_line: String = text.lines().next().unwrap_or_default().chars().take(120).collect();
    let busy = |message: String| Error::new(ErrorKind::ServerBusy, "handshake", message);
    if text.contains("Exceeded MaxStartups") {
        return busy(format!("the server turned the connection away: {first_line}")).with_hint(
            "too many logins at once: try again in a moment, or raise MaxStartups in its sshd_config",
        );
    }
    if text.contains("Not allowed at this time") {
        return busy(format!("the server turned the connection away: {first_line}"))
            .with_hint("the server penalises this address for earlier failures: wait before trying again");
    }
    if preface.is_empty() {
        return Error::new(
            ErrorKind::Disconnected,
            "handshake",
            format!("the connection ended before the server said anything: {reason}"),
        )
        .with_hint("the server may be overloaded, starting, or block this address; its own log says which");
    }
    Error::new(ErrorKind::Protocol, "handshake", format!("this is not an SSH server; it said {first_line:?}"))
        .with_hint("check host and port")
}

/// The identification line among the first lines of the peer.
pub(super) fn identification(preface: &[u8]) -> Option<String> {
    identification_line(preface)
        .map(|line| sanitised(&String::from_utf8_lossy(line)).chars().take(80).collect())
}

/// Among lines of other kinds, which may come before it.
fn identification_line(preface: &[u8]) -> Option<&[u8]> {
    preface.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"SSH-"))
}
