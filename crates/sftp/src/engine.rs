//! Requests out, answers back: what every operation of the client is made of.

mod opening;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustle_sftp_proto::{
    Answer, Attributes, ExtendedRequest, Extension, Handle, Hello, Opening, Request, ServerLimits, StatusCode,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::{self, Job, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::link::Link;
use crate::options::SftpBuilder;

/// One SFTP channel. Cheap to clone; the channel ends with the last clone and the last file opened on it.
#[derive(Clone)]
pub(crate) struct Engine {
    queue: mpsc::UnboundedSender<Job>,
    shared: Arc<Shared>,
}

/// The same where others are to decide how long the channel is there.
#[derive(Clone)]
pub(crate) struct WeakEngine {
    queue: mpsc::WeakUnboundedSender<Job>,
    shared: Arc<Shared>,
}

/// How far a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Nothing will be asked any more, and all that was is answered.
    Answered,
    Over,
}

/// What the driver and the clones have in common.
pub(crate) struct Shared {
    hello: Hello,
    failure: OnceLock<Failure>,
    /// Read and write sizes that the server takes, once it has answered.
    limits: watch::Sender<Option<ServerLimits>>,
    phase: watch::Sender<Phase>,
    /// Files and directories that are open on this channel.
    handles: AtomicUsize,
}

/// Why a channel is over; each waiter is told.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: Arc<str>,
    pub(crate) hint: Option<Arc<str>>,
    /// This side wanted it.
    is_wanted: bool,
}

/// Who waits for an answer.
pub(crate) enum Waiter {
    /// One who asked once.
    One(oneshot::Sender<Result<Answer, Failure>>),
    /// A flow of many requests, which takes all answers that are here in one go.
    Flow(OfFlow),
}

/// One request of a flow. Dropped without an answer, it tells the flow that there will be none: a flow counts what is
/// under way, and would wait for it.
pub(crate) struct OfFlow {
    answers: Option<mpsc::UnboundedSender<Arrived>>,
    tag: usize,
}

/// An answer to a request of a flow, with the number that the flow gave it.
pub(crate) struct Arrived {
    pub(crate) tag: usize,
    pub(crate) answer: Result<Answer, Failure>,
}

/// An answer that is on its way. Its request has been handed over, whether this is polled or not. Dropped, what it would
/// have opened is closed.
pub(crate) struct Pending {
    answer: oneshot::Receiver<Result<Answer, Failure>>,
    engine: Engine,
}

/// An open file or directory of the server. Dropped, its CLOSE is sent.
pub(crate) struct OpenHandle {
    handle: Handle,
    engine: Engine,
    closed: bool,
}

impl Engine {
    /// Begins the conversation, and the task that carries it on.
    pub(crate) async fn start(mut link: Link, options: &SftpBuilder) -> Result<Self> {
        let opening = Opening::new(options.limits().clone());
        let opened = tokio::time::timeout(options.opening(), opening::open(&mut link, opening)).await;
        let (hello, framer) = match opened {
            Ok(opened) => opened?,
            Err(_) => {
                let text = format!("the server sent no SFTP version within {}", seconds(options.opening()));
                return Err(Error::new(ErrorKind::Timeout, "open", text));
            }
        };
        let asks = hello.supports(Extension::Limits);
        let shared = Arc::new(Shared {
            hello,
            failure: OnceLock::new(),
            limits: watch::Sender::new((!asks).then_some(NO_LIMITS)),
            phase: watch::Sender::new(Phase::Open),
            handles: AtomicUsize::new(0),
        });
        let queue = driver::start(Stream {
            link,
            framer,
            shared: Arc::clone(&shared),
            patience: options.answering(),
        });
        if asks {
            // Behind VERSION there is no round trip to lose: whoever needs the answer waits for it.
            let _ = queue.send(Job::Limits);
        }
        Ok(Self { queue, shared })
    }

    /// Hands a request over; it is sent even if what is returned is never polled, unless that was dropped before.
    pub(crate) fn submit(&self, request: Request) -> Pending {
        let (waiter, answer) = oneshot::channel();
        // Without a driver there is a failure, which the answer's end brings to light.
        let _ = self.queue.send(Job::Ask { request, waiter: Waiter::One(waiter) });
        Pending { answer, engine: self.clone() }
    }

    /// Hands over a request of a flow, whose answer comes with `tag`: exactly one for each, whatever happens. How many
    /// are under way at once is the flow's to bound.
    pub(crate) fn submit_to(&self, answers: &mpsc::UnboundedSender<Arrived>, tag: usize, request: Request) {
        let waiter = Waiter::Flow(OfFlow { answers: Some(answers.clone()), tag });
        if let Err(mpsc::error::SendError(Job::Ask { waiter, .. })) =
            self.queue.send(Job::Ask { request, waiter })
        {
            let _ = waiter.tell(Err(self.shared.failure()));
        }
    }

    /// Hands over a request whose answer nobody wants. It may be called from `Drop`.
    pub(crate) fn tell(&self, request: Request) {
        let _ = self.queue.send(Job::Tell(request));
    }

    /// Asks for a STATUS of OK.
    pub(crate) async fn done(&self, operation: &'static str, request: Request) -> Result<()> {
        self.submit(request).done(operation).await
    }

    /// Opens something.
    pub(crate) async fn handle(&self, operation: &'static str, request: Request) -> Result<OpenHandle> {
        self.submit(request).handle(self, operation).await
    }

    /// Asks for attributes.
    pub(crate) async fn attributes(&self, operation: &'static str, request: Request) -> Result<Attributes> {
        self.submit(request).attributes(operation).await
    }

    /// Asks for one path.
    pub(crate) async fn path(&self, operation: &'static str, request: Request) -> Result<Bytes> {
        self.submit(request).path(operation).await
    }

    /// Asks for the reply of an extension. One that the server does not announce is not asked for.
    pub(crate) async fn extended(&self, operation: &'static str, request: ExtendedRequest) -> Result<Bytes> {
        self.require(operation, &request)?;
        match self.submit(Request::Extended(request)).answer(operation).await? {
            Answer::Extended(body) => Ok(body),
            other => Err(refused(operation, other)),
        }
    }

    /// Asks an extension for a STATUS of OK. One that the server does not announce is not asked for.
    pub(crate) async fn extended_done(
        &self,
        operation: &'static str,
        request: ExtendedRequest,
    ) -> Result<()> {
        self.require(operation, &request)?;
        self.done(operation, Request::Extended(request)).await
    }

    fn require(&self, operation: &'static str, request: &ExtendedRequest) -> Result<()> {
        match request.extension() {
            Some(extension) if !self.has(extension) => Err(Error::new(
                ErrorKind::Unsupported,
                operation,
                format!("the server does not have the extension {extension}"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the server announced the extension in the version that this client speaks.
    pub(crate) fn has(&self, extension: Extension) -> bool {
        self.shared.hello.supports(extension)
    }

    /// What the server announced.
    pub(crate) fn hello(&self) -> &Hello {
        &self.shared.hello
    }

    /// How much the server takes at once: as it says, within what this side reads, and 32 KiB where it says nothing
    /// (draft section 3).
    pub(crate) async fn limits(&self) -> Result<ServerLimits> {
        let mut limits = self.shared.limits.subscribe();
        tokio::select! {
            biased;
            Ok(limits) = limits.wait_for(Option::is_some) => Ok((*limits).unwrap_or(NO_LIMITS)),
            () = self.shared.reaches(Phase::Over) => Err(self.shared.failure().error("limits")),
        }
    }

    /// How many files and directories are open on this channel.
    pub(crate) fn handles(&self) -> usize {
        self.shared.handles.load(Ordering::Relaxed)
    }

    /// How many may be, as far as the server has said by now; 0 where it has not.
    pub(crate) fn max_handles(&self) -> u64 {
        self.shared.limits.borrow().map_or(0, |limits| limits.max_handles)
    }

    /// Resolves when the channel is over.
    pub(crate) async fn ended(&self) {
        self.shared.reaches(Phase::Over).await;
    }

    /// Whether the channel is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    /// Whether it is over, and another one may go on: see [`Failure::is_a_loss`].
    pub(crate) fn is_lost(&self) -> bool {
        self.shared.failure.get().is_some_and(Failure::is_a_loss)
    }

    /// The same channel, which is not kept open for it.
    pub(crate) fn downgrade(&self) -> WeakEngine {
        WeakEngine { queue: self.queue.downgrade(), shared: Arc::clone(&self.shared) }
    }

    /// Resolves when all that was handed over before is answered, and what was opened for somebody who has gone is closed;
    /// or when the channel is over, or the time that last answers have.
    pub(crate) async fn settled(&self) {
        let (waiter, told) = oneshot::channel();
        if self.queue.send(Job::Settle(waiter)).is_ok() {
            let _ = tokio::time::timeout(driver::LAST_ANSWERS, told).await;
        }
    }

    /// Ends the channel: requests that were handed over are still sent and answered.
    pub(crate) fn end(&self) {
        let _ = self.queue.send(Job::End);
    }
}

impl WeakEngine {
    /// As [`Engine::has_ended`].
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    /// As [`Engine::settled`]. A channel that nobody has any more settles by itself.
    pub(crate) async fn settled(&self) {
        match self.queue.upgrade() {
            Some(queue) => Engine { queue, shared: Arc::clone(&self.shared) }.settled().await,
            None => {
                let _ =
                    tokio::time::timeout(driver::LAST_ANSWERS, self.shared.reaches(Phase::Answered)).await;
            }
        }
    }
}

impl Waiter {
    /// Hands the answer over; gives it back when nobody is there any more.
    pub(crate) fn tell(self, answer: Result<Answer, Failure>) -> Result<(), Result<Answer, Failure>> {
        match self {
            Self::One(waiter) => waiter.send(answer),
            Self::Flow(mut flow) => flow.tell(answer),
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::One(waiter) => waiter.is_closed(),
            Self::Flow(flow) => flow.answers.as_ref().is_none_or(mpsc::UnboundedSender::is_closed),
        }
    }
}

impl OfFlow {
    fn tell(&mut self, answer: Result<Answer, Failure>) -> Result<(), Result<Answer, Failure>> {
        let Some(answers) = self.answers.take() else { return Err(answer) };
        let arrived = Arrived { tag: self.tag, answer };
        answers.send(arrived).map_err(|mpsc::error::SendError(arrived)| arrived.answer)
    }
}

impl Drop for OfFlow {
    fn drop(&mut self) {
        let _ = self.tell(Err(Failure::new(ErrorKind::Disconnected, "the SFTP channel ended")));
    }
}

impl Shared {
    /// The first failure stays: later ones follow from it.
    pub(crate) fn fail(&self, failure: Failure) {
        let _ = self.failure.set(failure);
    }

    pub(crate) fn failure(&self) -> Failure {
        self.failure
            .get()
            .cloned()
            .unwrap_or_else(|| Failure::new(ErrorKind::Disconnected, "the SFTP channel is closed"))
    }

    pub(crate) fn set_limits(&self, limits: ServerLimits) {
        self.limits.send_replace(Some(limits));
    }

    /// Nothing will be asked any more, and all that was is answered.
    pub(crate) fn set_answered(&self) {
        self.phase.send_replace(Phase::Answered);
    }

    pub(crate) fn set_ended(&self) {
        self.phase.send_replace(Phase::Over);
    }

    fn has_ended(&self) -> bool {
        *self.phase.borrow() == Phase::Over
    }

    /// Resolves when the channel is as far, or further.
    async fn reaches(&self, phase: Phase) {
        let _ = self.phase.subscribe().wait_for(|reached| *reached >= phase).await;
    }
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Arc<str>>) -> Self {
        Self { kind, message: message.into(), hint: None, is_wanted: false }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Arc<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn wanted(mut self) -> Self {
        self.is_wanted = true;
        self
    }

    /// Whether another channel may go on, on another connection: neither did this side end it, nor does the server break the
    /// protocol.
    pub(crate) fn is_a_loss(&self) -> bool {
        !self.is_wanted && matches!(self.kind, ErrorKind::Disconnected | ErrorKind::Timeout)
    }

    pub(crate) fn error(&self, operation: &'static str) -> Error {
        let error = Error::new(self.kind, operation, &*self.message);
        match &self.hint {
            Some(hint) => error.with_hint(&**hint),
            None => error,
        }
    }
}

impl Pending {
    /// The answer, whatever its kind.
    pub(crate) async fn answer(self, operation: &'static str) -> Result<Answer> {
        self.await.map_err(|failure| failure.error(operation))
    }

    /// A STATUS of OK.
    pub(crate) async fn done(self, operation: &'static str) -> Result<()> {
        match self.answer(operation).await? {
            Answer::Status(status) if status.code() == StatusCode::OK => Ok(()),
            other => Err(refused(operation, other)),
        }
    }

    /// A handle, which closes itself.
    pub(crate) async fn handle(self, engine: &Engine, operation: &'static str) -> Result<OpenHandle> {
        match self.answer(operation).await? {
            Answer::Handle(handle) => {
                engine.shared.handles.fetch_add(1, Ordering::Relaxed);
                Ok(OpenHandle { handle, engine: engine.clone(), closed: false })
            }
            other => Err(refused(operation, other)),
        }
    }

    /// Attributes.
    pub(crate) async fn attributes(self, operation: &'static str) -> Result<Attributes> {
        match self.answer(operation).await? {
            Answer::Attributes(attributes) => Ok(attributes),
            other => Err(refused(operation, other)),
        }
    }

    /// One path.
    pub(crate) async fn path(self, operation: &'static str) -> Result<Bytes> {
        match self.answer(operation).await? {
            Answer::Names(names) => match names.first() {
                Some(entry) => Ok(entry.name().clone()),
                None => Err(Error::new(ErrorKind::Protocol, operation, "the server answered no path")),
            },
            other => Err(refused(operation, other)),
        }
    }
}

impl Future for Pending {
    type Output = Result<Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(answer.unwrap_or_else(|_| Err(self.engine.shared.failure())))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // What comes from here on is closed by the driver; what has come and was not taken, here.
        self.answer.close();
        if let Ok(Ok(Answer::Handle(handle))) = self.answer.try_recv() {
            self.engine.tell(Request::Close { handle });
        }
    }
}

impl OpenHandle {
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Closes it and says how that went: servers that write late say there that they could not.
    pub(crate) async fn close(mut self, operation: &'static str) -> Result<()> {
        self.closed = true;
        self.engine.done(operation, Request::Close { handle: self.handle.clone() }).await
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        self.engine.shared.handles.fetch_sub(1, Ordering::Relaxed);
        if !self.closed {
            self.engine.tell(Request::Close { handle: self.handle.clone() });
        }
    }
}

impl fmt::Debug for OpenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// A STATUS where something else was asked for. The other kinds never come here: the tracking of requests refuses them.
pub(crate) fn refused(operation: &'static str, answer: Answer) -> Error {
    match answer {
        Answer::Status(status) => Error::of_status(operation, status),
        _ => Error::new(ErrorKind::Protocol, operation, "the server answered something else"),
    }
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// What every server takes (draft section 3).
pub(crate) const NO_LIMITS: ServerLimits =
    ServerLimits { max_packet: 34_000, max_read: 32 * 1024, max_write: 32 * 1024, max_handles: 0 };
