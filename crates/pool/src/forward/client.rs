//! One client of a forward: what it wants, how it gets there, and its end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustle_session::{
    BoxFuture, ChannelUse, Error as SessionError, ErrorKind as SessionErrorKind, ForwardStream, HostForward,
    Place, Places,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::forward::carry::{Broken, carry};
use crate::forward::near::Near;
use crate::forward::socks::{Reply, Socks, Verdict, Wanted};
use crate::forward::stats::{Client, Counters};
use crate::forward::target::{ForwardTarget, Place as TargetPlace};
use crate::forward::{Limits, Way, after};
use crate::line::{Line, Message};
use crate::policy::event::{ConnectionId, Lane};
use crate::registry::Known;

/// A channel that could not be had, and that may be had later, is asked for again after so long: the pool itself waits longer
/// between logins, and a server that is short of something is not asked in a loop.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The pool tells at a client's deadline what was missing; that is waited for.
const ANSWER: Duration = Duration::from_millis(500);

/// A client that was refused may take so long to read why and to hang up: hung up on with bytes unread, it would see a reset
/// in the place of the answer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is read of a client of SOCKS at once: more than any request has.
const PIECE: usize = 1024;

/// What the clients of one forward share.
pub(super) struct Job {
    pub(super) line: Line,
    pub(super) host: Arc<Known>,
    /// How long the pool has to find a place for what the server listens on.
    pub(super) patience: Duration,
    pub(super) way: Way,
    /// Where clients may be led to who say themselves where they want to go; anywhere if nothing says so.
    pub(super) permits: Option<Arc<HostForward>>,
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
    /// Nobody is connected any more who is not yet.
    pub(super) closing: CancellationToken,
    /// Those that are open end too.
    pub(super) cut: CancellationToken,
}

/// Serves one client until it has gone.
///
/// # Cancel safety
/// Dropped, the client is hung up on and its channel is closed.
pub(super) async fn serve(job: Arc<Job>, mut near: Near, client: Client) {
    let Some((far, early)) = job.led(job.lead(&mut near)).await else { return };
    job.carry(client, near, far, &early, "the next client gets another connection").await;
}

impl Job {
    /// What comes of leading a client to where it wants to go; `None` where it got nowhere, or where nobody is led any more.
    ///
    /// # Cancel safety
    /// As what leads it.
    pub(super) async fn led<T>(&self, leading: impl Future<Output = Result<T, Error>>) -> Option<T> {
        let led = tokio::select! {
            biased;
            () = self.closing.cancelled() => return None,
            led = leading => led,
        };
        match led {
            Ok(led) => Some(led),
            Err(error) => {
                tracing::debug!(host = self.host.name, %error, "a client of a forward got nowhere");
                self.counters.went_wrong(error);
                None
            }
        }
    }

    /// Carries what a client that has got there says and hears, until that ends or is cut. Where the connection to the server is
    /// lost, `then` says what becomes of the next client.
    ///
    /// # Cancel safety
    /// Dropped, both sides are hung up on.
    pub(super) async fn carry(
        &self,
        mut client: Client,
        mut near: Near,
        mut far: ForwardStream,
        early: &[u8],
        then: &'static str,
    ) {
        client.opened();
        let carried = tokio::select! {
            biased;
            () = self.cut.cancelled() => return near.reset(),
            carried = carry(&mut near, &mut far, early, &self.counters) => carried,
        };
        match carried {
            Ok(()) => {}
            Err(Broken::Near(error)) => {
                tracing::debug!(host = self.host.name, %error, "this side of a forward broke off");
            }
            Err(Broken::Far(kind, error)) => {
                near.reset();
                let (what, hint) = match kind {
                    SessionErrorKind::Overrun => (
                        "what came for a client was not read, and its buffers in memory and on disk ran over",
                        "see why the client does not read, or raise the limits of BufferLimits",
                    ),
                    SessionErrorKind::Disconnected => {
                        ("the connection was lost before the end of what came for a client", then)
                    }
                    _ => (
                        "what came for a client could not be kept",
                        "see whether there is room for temporary files",
                    ),
                };
                let why = error.map(|error| format!(": {error}")).unwrap_or_default();
                let message = format!("{}: {what}{why}", self.host.name);
                self.counters.went_wrong(Error::new(ErrorKind::Session(kind), message, hint));
            }
        }
    }

    /// Leads a client to where it wants to go; gives what it has said already to whoever is there.
    async fn lead(&self, near: &mut Near) -> Result<(ForwardStream, Vec<u8>), Error> {
        match &self.way {
            Way::To(target) => Ok((self.channel(target).await?, Vec::new())),
            Way::Asked => {
                let (wanted, early) = self.wish_of(asked(near)).await?;
                let Wanted { version, host, port } = wanted;
                match self.channel(&ForwardTarget::host(host, port)).await {
                    Ok(far) => {
                        near.write_all(&version.answer(Reply::Granted))
                            .await
                            .map_err(|error| gone(&error))?;
                        Ok((far, early))
                    }
                    Err(error) => {
                        hang_up(near, &version.answer(reply(error.kind()))).await;
                        Err(error)
                    }
                }
            }
        }
    }

    /// What a client of SOCKS asks for, if it does in time.
    pub(super) async fn wish_of(
        &self,
        asked: impl Future<Output = Result<(Wanted, Vec<u8>), Error>>,
    ) -> Result<(Wanted, Vec<u8>), Error> {
        let limit = self.limits.handshake;
        timeout(limit, asked).await.unwrap_or_else(|_late| {
            let limit = limit.as_secs_f32();
            Err(complaint(&format!("it did not say within {limit} s where it wants to go")))
        })
    }

    /// A channel to there, as soon as there is one.
    async fn channel(&self, target: &ForwardTarget) -> Result<ForwardStream, Error> {
        let deadline = after(self.limits.park);
        let mut last = None;
        let asking = async {
            loop {
                let mut over = None;
                let error = match self.attempt(target, deadline, &mut over).await {
                    Ok(far) => return Ok(far),
                    Err(error) => error,
                };
                // Nobody knows whether the target does not answer, or the server.
                let is_unanswered = error.kind() == SessionErrorKind::ChannelTimeout;
                if !(may_be_had_later(&error) || is_unanswered && self.is_gone(over).await) {
                    return Err(error);
                }
                let reason = reason(last.take(), error);
                if Instant::now() + ASK_AGAIN >= deadline {
                    return Err(reason);
                }
                self.counters.went_wrong(Error::of_session(reason.clone()));
                last = Some(reason);
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        match timeout_at(deadline + ANSWER, asking).await {
            Ok(had) => had.map_err(Error::of_session),
            Err(_) => Err(Error::new(
                ErrorKind::Session(SessionErrorKind::ChannelTimeout),
                format!(
                    "{}: there was no channel to {target} within {} s",
                    self.host.name,
                    self.limits.park.as_secs_f32()
                ),
                "look whether the server can reach it, or let clients wait for longer (Forward::park)",
            )),
        }
    }

    /// Whether the connection is gone over which nobody answered: it is asked for a sign of life, and where it gives none within
    /// 30 s it ends. Where there was none at all, none is there.
    ///
    /// # Cancel safety
    /// Dropped, it is asked all the same.
    pub(super) async fn is_gone(&self, over: Option<ConnectionId>) -> bool {
        let Some(connection) = over else { return true };
        self.line.ask(|answer| Message::Unanswered { connection, answer }).await == Some(true)
    }

    /// Asks once for a channel; `over` tells over which connection. Where that is lost meanwhile the channel may be asked for over
    /// another, and whoever wonders about the first hears that it is gone.
    async fn attempt(
        &self,
        target: &ForwardTarget,
        deadline: Instant,
        over: &mut Option<ConnectionId>,
    ) -> Result<ForwardStream, SessionError> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let taken = self.line.acquire(&self.host, Lane::Stream, patience).await?;
        *over = Some(taken.connection());
        let session = taken.session().clone();
        let session = session.with_places(Arc::new(Here::new(taken)));
        match target.place() {
            TargetPlace::Host(host, port) => session.direct_tcpip(host, *port).await,
            TargetPlace::Socket(path) => session.direct_streamlocal(path).await,
        }
    }
}

/// The place that is there already, for the one channel that is opened in it.
pub(super) struct Here(Mutex<Option<Box<dyn Place>>>);

impl Here {
    pub(super) fn new(place: impl Place + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(place))))
    }
}

impl Places for Here {
    fn take(&self, _purpose: ChannelUse) -> BoxFuture<'_, Result<Box<dyn Place>, SessionError>> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let place =
            taken.ok_or_else(|| SessionError::no_place("the place is taken already", "ask for another one"));
        Box::pin(std::future::ready(place))
    }
}

/// What a client of SOCKS asks for, and what it said behind that.
pub(super) async fn asked(
    near: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<(Wanted, Vec<u8>), Error> {
    let mut socks = Socks::default();
    let mut piece = [0; PIECE];
    loop {
        match socks.verdict() {
            Verdict::More => match near.read(&mut piece).await {
                Ok(0) => {
                    return Err(complaint("it went away before it said where it wants to go"));
                }
                Ok(read) => socks.push(&piece[..read]),
                Err(error) => return Err(gone(&error)),
            },
            Verdict::Answer(answer) => near.write_all(&answer).await.map_err(|error| gone(&error))?,
            Verdict::Connect(wanted) => return Ok((wanted, socks.rest())),
            Verdict::Refuse { answer, why } => {
                hang_up(near, &answer).await;
                return Err(complaint(why));
            }
        }
    }
}

/// Says the last words, and waits for the client to have read them.
pub(super) async fn hang_up(near: &mut (impl AsyncRead + AsyncWrite + Unpin), words: &[u8]) {
    let said = async {
        near.write_all(words).await?;
        near.shutdown().await?;
        let mut piece = [0; PIECE];
        while near.read(&mut piece).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Whoever is gone, or does not go, needs no more of them.
    let _ = timeout(LAST_WORDS, said).await;
}

/// Whether it is worth to wait for another answer: not where a target was refused, nor where a login was.
fn may_be_had_later(error: &SessionError) -> bool {
    error.is_retryable() && error.kind() != SessionErrorKind::ChannelTarget
}

/// Of two failures the one to be told: that the time is over says less than what was wrong before.
fn reason(before: Option<SessionError>, error: SessionError) -> SessionError {
    match before {
        Some(before) if error.kind() == SessionErrorKind::NoPlace => before,
        _ => error,
    }
}

/// What a client of SOCKS is told about a failure.
fn reply(kind: ErrorKind) -> Reply {
    let ErrorKind::Session(kind) = kind else { return Reply::Failed };
    match kind {
        SessionErrorKind::ChannelTarget => Reply::Refused,
        SessionErrorKind::ChannelProhibited => Reply::NotAllowed,
        SessionErrorKind::ChannelTimeout => Reply::HostUnreachable,
        SessionErrorKind::HostUnreachable
        | SessionErrorKind::ConnectTimeout
        | SessionErrorKind::ServerBusy
        | SessionErrorKind::Disconnected
        | SessionErrorKind::NoPlace => Reply::NetworkUnreachable,
        _ => Reply::Failed,
    }
}

fn complaint(what: &str) -> Error {
    Error::new(
        ErrorKind::Client,
        format!("a client of a forward was refused: {what}"),
        "set the program's proxy to SOCKS 5 (or 4, 4a), without a password",
    )
}

fn gone(error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Client,
        format!("a client of a forward went away before it was connected: {error}"),
        "look in the program that connected for the reason",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_what_kept_it_from_its_target() {
        let told = |kind| reply(ErrorKind::Session(kind));
        assert_eq!(told(SessionErrorKind::ChannelTarget), Reply::Refused);
        assert_eq!(told(SessionErrorKind::ChannelProhibited), Reply::NotAllowed);
        assert_eq!(told(SessionErrorKind::ChannelTimeout), Reply::HostUnreachable);
        assert_eq!(told(SessionErrorKind::HostUnreachable), Reply::NetworkUnreachable);
        assert_eq!(told(SessionErrorKind::AuthenticationFailed), Reply::Failed);
        assert_eq!(reply(ErrorKind::ShutDown), Reply::Failed);
    }

    #[test]
    fn nobody_waits_for_another_answer_after_a_refusal() {
        assert!(may_be_had_later(&SessionError::no_place("web-1: full", "wait")));
        for error in [
            SessionError::never_a_place("web-1: too far", "allow more connections"),
            SessionError::no_more_places("the pool is shut down", "make another"),
            rustle_session::Target::parse("ssh://web-1:notaport").unwrap_err(),
        ] {
            assert!(!may_be_had_later(&error), "{error:?}");
        }
    }

    #[test]
    fn what_was_wrong_is_told_rather_than_that_the_time_is_over() {
        let wrong = || rustle_session::Target::parse("ssh://web-1:notaport").unwrap_err();
        let over = || SessionError::no_place("web-1: the time is over", "wait for longer");
        let told = |before, error| reason(before, error).kind();
        assert_eq!(told(Some(wrong()), over()), wrong().kind());
        assert_eq!(told(Some(over()), wrong()), wrong().kind());
        assert_eq!(told(None, over()), SessionErrorKind::NoPlace);
    }
}
