//! A forward whose clients come in at the server: it is asked to listen again whenever its connection was lost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::{
    BoxFuture, Error as SessionError, ErrorKind as SessionErrorKind, ForwardStream, Incoming,
    Place as ChannelPlace, RemoteListener, Session,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind};
use crate::forward::Way;
use crate::forward::bind::ForwardBind;
use crate::forward::client::{Here, Job, asked, hang_up};
use crate::forward::near::Near;
use crate::forward::socks::{Reply, Wanted};
use crate::forward::stats::Client;
use crate::forward::target::{ForwardTarget, Place};
use crate::policy::event::{ConnectionId, Lane};

/// The first wait after a server refused to listen or did not answer, or after what it listened on was lost soon; it doubles
/// each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest such wait: a port that is taken by a connection that is gone comes free within the server's own time for those.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What was listened on for less was of no use: a server that lets in and hangs up would be asked without an end.
const OF_USE: Duration = Duration::from_secs(10);

/// How it stands with what the server is to listen on.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// Whether it listens now.
    pub(super) is_bound: bool,
    /// On which port, where it is one.
    pub(super) port: Option<u16>,
    /// How often it was asked for more than once.
    pub(super) asked_again: u64,
    /// Why it does not.
    pub(super) error: Option<Error>,
}

/// What a server is to listen on, and when it is asked.
pub(super) struct Wish {
    bind: ForwardBind,
    /// The port that the server chose before: whoever knows it shall find it again.
    chosen: Option<u16>,
    standing: watch::Sender<Standing>,
    was_asked: bool,
    wait: Duration,
    not_before: Instant,
    since: Instant,
}

impl Wish {
    pub(super) fn new(bind: ForwardBind) -> (Self, watch::Receiver<Standing>) {
        let (standing, shown) = watch::channel(Standing::default());
        let now = Instant::now();
        let wish = Self {
            bind,
            chosen: None,
            standing,
            was_asked: false,
            wait: FIRST_WAIT,
            not_before: now,
            since: now,
        };
        (wish, shown)
    }

    /// Asks until the server listens, as long as nobody wants the end of the forward; `None` once that is wanted. A question that
    /// is out then is not broken off: who hears the answer can take back what it grants. Where its connection is lost, it is not
    /// asked anew.
    ///
    /// # Cancel safety
    /// Dropped, what the server listens on later is cancelled.
    pub(super) async fn fulfilled(&mut self, job: &Job) -> Option<RemoteListener> {
        loop {
            job.closing.run_until_cancelled(tokio::time::sleep_until(self.not_before)).await?;
            let again = u64::from(std::mem::replace(&mut self.was_asked, true));
            self.standing.send_modify(|standing| standing.asked_again += again);
            let mut over = None;
            let error = match self.ask(job, &mut over).await {
                Ok(None) => return None,
                // It is granted to be taken back: nobody is told that it listens.
                Ok(Some(listener)) if job.closing.is_cancelled() => return Some(listener),
                Ok(Some(listener)) => {
                    let port = listener.port();
                    if self.bind.leaves_port() {
                        self.chosen = port;
                    }
                    self.since = Instant::now();
                    tracing::debug!(host = job.host.name, bind = %self.bind, port, "the server listens");
                    self.standing.send_modify(|standing| {
                        (standing.is_bound, standing.port, standing.error) = (true, port, None);
                    });
                    return Some(listener);
                }
                Err(error) => error,
            };
            if error.kind() == SessionErrorKind::ChannelTimeout {
                // A server answers such questions in turn (RFC 4254 section 4), so that behind one without an answer none is
                // heard. Where the connection is gone, the next goes over another.
                job.closing.run_until_cancelled(job.is_gone(over)).await?;
            }
            let is_over = !may_be_had_later(&error);
            if self.standing.borrow().error.is_none() {
                // The first time. ssh warns as well.
                tracing::warn!(host = job.host.name, bind = %self.bind, %error, is_over, "the server does not listen");
            } else {
                tracing::debug!(host = job.host.name, bind = %self.bind, %error, is_over, "the server does not listen yet");
            }
            let error = Error::of_session(error);
            job.counters.went_wrong(error.clone());
            self.standing.send_modify(|standing| {
                standing.error = Some(error);
            });
            if is_over {
                // There is nothing to wait for but the end.
                job.closing.cancelled().await;
                return None;
            }
            self.waits();
        }
    }

    /// What was listened on is gone.
    pub(super) fn lost(&mut self) {
        self.standing.send_modify(|standing| (standing.is_bound, standing.port) = (false, None));
        if self.since.elapsed() >= OF_USE {
            (self.wait, self.not_before) = (FIRST_WAIT, Instant::now());
        } else {
            self.waits();
        }
    }

    /// The server is asked no more, and whoever waits for it to listen hears that.
    pub(super) fn given_up(self) {
        self.standing.send_modify(|standing| {
            (standing.is_bound, standing.port, standing.error) = (false, None, None);
        });
    }

    fn waits(&mut self) {
        self.not_before = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Asks once; `over` tells over which connection. `None` where the end was wanted before there was one to ask over.
    async fn ask(
        &mut self,
        job: &Job,
        over: &mut Option<ConnectionId>,
    ) -> Result<Option<RemoteListener>, SessionError> {
        match self.ask_for(job, self.chosen, over).await {
            // Another has the port that it chose before; it may choose again.
            Err(error) if error.kind() == SessionErrorKind::RequestRefused && self.chosen.is_some() => {
                self.chosen = None;
                self.ask_for(job, None, over).await
            }
            asked => asked,
        }
    }

    async fn ask_for(
        &self,
        job: &Job,
        chosen: Option<u16>,
        over: &mut Option<ConnectionId>,
    ) -> Result<Option<RemoteListener>, SessionError> {
        let acquiring = job.line.acquire(&job.host, Lane::Stream, job.patience);
        let Some(taken) = job.closing.run_until_cancelled(acquiring).await.transpose()? else {
            return Ok(None);
        };
        *over = Some(taken.connection());
        let session = taken.session().clone();
        let place = UntilTheEnd { place: Box::new(taken), closing: job.closing.clone() };
        let session = session.with_places(Arc::new(Here::new(place)));
        let listening = match self.bind.at_server() {
            AtServer::Tcp(address, port) => session.listen_tcpip(address, chosen.unwrap_or(port)).await,
            AtServer::Socket(path) => session.listen_streamlocal(path).await,
        };
        listening.map(Some)
    }
}

/// The place of what a server is to listen on: where its connection is lost before there is an answer, another is wanted only as
/// long as nobody wants the end of the forward.
struct UntilTheEnd {
    place: Box<dyn ChannelPlace>,
    closing: CancellationToken,
}

impl ChannelPlace for UntilTheEnd {
    fn session(&self) -> &Session {
        self.place.session()
    }

    fn opened(&mut self) {
        self.place.opened();
    }

    fn another(
        self: Box<Self>,
        error: SessionError,
    ) -> BoxFuture<'static, Result<Box<dyn ChannelPlace>, SessionError>> {
        Box::pin(async move {
            let Self { place, closing } = *self;
            let another = closing.run_until_cancelled(place.another(error.clone())).await;
            let place = another.unwrap_or(Err(error))?;
            Ok(Box::new(Self { place, closing }) as Box<dyn ChannelPlace>)
        })
    }
}

/// Where a server listens, in its own words.
pub(super) enum AtServer<'a> {
    Tcp(&'a str, u16),
    Socket(String),
}

/// Serves one who has connected at the server until they have gone.
///
/// # Cancel safety
/// Dropped, both sides are hung up on.
pub(super) async fn serve(job: Arc<Job>, incoming: Incoming, client: Client) {
    let mut far = incoming.into_stream();
    let Some(near) = job.led(job.lead_here(&mut far)).await else { return };
    job.carry(client, near, far, &[], "the server is asked to listen again, for the next client").await;
}

impl Job {
    /// Connects to what a client at the server wants of this side, and tells it what the client has said already.
    async fn lead_here(&self, far: &mut ForwardStream) -> Result<Near, Error> {
        match &self.way {
            Way::To(target) => self.connect(target).await.map_err(|error| no_target(target, &error)),
            Way::Asked => {
                let (wanted, early) = self.wish_of(asked(far)).await?;
                let Wanted { version, host, port } = wanted;
                if self.permits.as_ref().is_some_and(|forward| !forward.permits(&host, port)) {
                    hang_up(far, &version.answer(Reply::NotAllowed)).await;
                    return Err(not_permitted(&host, port));
                }
                let target = ForwardTarget::host(host, port);
                match self.connect(&target).await {
                    Ok(mut near) => {
                        let told = async {
                            far.write_all(&version.answer(Reply::Granted)).await?;
                            near.write_all(&early).await
                        };
                        told.await.map_err(|error| no_target(&target, &error))?;
                        Ok(near)
                    }
                    Err(error) => {
                        hang_up(far, &version.answer(reply(error.kind()))).await;
                        Err(no_target(&target, &error))
                    }
                }
            }
        }
    }

    async fn connect(&self, target: &ForwardTarget) -> io::Result<Near> {
        let connecting = async {
            match target.place() {
                Place::Host(host, port) => Near::connect(host, *port).await,
                Place::Socket(path) => Near::connect_socket(path).await,
            }
        };
        timeout(self.limits.park, connecting)
            .await
            .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Whether it is worth to ask again: not where a login was refused. A port that is taken comes free, and no answer is none for
/// good.
fn may_be_had_later(error: &SessionError) -> bool {
    error.is_retryable()
        || matches!(error.kind(), SessionErrorKind::RequestRefused | SessionErrorKind::ChannelTimeout)
}

fn not_permitted(host: &str, port: u16) -> Error {
    Error::new(
        ErrorKind::Client,
        format!("a client of a forward may not be led to {host} port {port}"),
        "PermitRemoteOpen in the configuration says where it may",
    )
}

fn no_target(target: &ForwardTarget, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Client,
        format!("a client of a forward could not be connected to {target}: {error}"),
        "see whether something listens there on this side",
    )
}

/// What a client of SOCKS is told about a target here that could not be reached.
fn reply(kind: io::ErrorKind) -> Reply {
    match kind {
        io::ErrorKind::ConnectionRefused => Reply::Refused,
        io::ErrorKind::NetworkUnreachable => Reply::NetworkUnreachable,
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Reply::HostUnreachable,
        _ => Reply::Failed,
    }
}
