//! A running remote process: its streams, its end, and the means to end it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::base::{Channel, End, Gone, Stream, Writer};
use crate::command::Until;
use crate::command::output::ExitStatus;
use crate::command::start::NotAccepted;
use crate::ending::{Ended, Ending, ProcessGroup, Reading};
use crate::error::{Error, ErrorKind, Result};
use crate::session::{AgentLease, EofOnDrop, Lease, Session};

/// A running remote process.
///
/// Dropped, it is ended: by a `signal` request, then by its process group (see
/// [`Reporting`](crate::Reporting)), then its channel is closed; that goes on in the background and keeps the
/// connection open for at most a few seconds. Keep the child for as long as its streams are read.
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> rustle_session::Result<()> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut child = session.command("sort").spawn().await?;
/// let mut stdin = child.take_stdin().expect("taken once");
/// stdin.write_all(b"b\na\n").await.expect("sort reads all");
/// stdin.shutdown().await.expect("end of input");
/// let mut sorted = String::new();
/// child.take_stdout().expect("taken once").read_to_string(&mut sorted).await.expect("UTF-8");
/// assert!(child.wait().await?.success());
/// # Ok(())
/// # }
/// ```
pub struct Child {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    group: Option<Arc<ProcessGroup>>,
    until: Until,
    deadline: Option<Instant>,
    variables_in_command_line: Vec<String>,
    variables_left_out: Vec<String>,
    agent: Option<AgentLease>,
    is_program: bool,
    lease: Lease,
    session: Session,
}

/// Standard input of a remote process.
///
/// Writing waits for the server's window; once the process has closed its end, or is gone, writing fails with
/// [`io::ErrorKind::BrokenPipe`]. `shutdown` sends the end of input; dropping it does as well.
pub struct ChildStdin {
    writer: Writer,
    lease: Option<EofOnDrop>,
}

/// Standard output of a remote process, or what a terminal shows.
///
/// Dropped before its end, the process is ended when it next writes, as `SIGPIPE` would locally.
pub struct ChildStdout {
    channel: Arc<Channel>,
    left: Bytes,
}

/// Standard error of a remote process. Dropped before its end, the rest of it is thrown away.
pub struct ChildStderr {
    channel: Arc<Channel>,
    group: Option<Arc<ProcessGroup>>,
    left: Bytes,
}

impl Child {
    pub(super) fn new(
        lease: Lease,
        session: Session,
        group: Option<Arc<ProcessGroup>>,
        timeout: Option<Duration>,
        until: Until,
    ) -> Self {
        let channel = lease.channel();
        let stdin = ChildStdin { writer: channel.writer(), lease: Some(session.eof_on_drop(channel)) };
        let stdout = ChildStdout { channel: Arc::clone(channel), left: Bytes::new() };
        let stderr = ChildStderr { channel: Arc::clone(channel), group: group.clone(), left: Bytes::new() };
        session.end_when_orphaned(&lease, Ending::Process(group.clone()));
        Self {
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            group,
            until,
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            variables_in_command_line: Vec::new(),
            variables_left_out: Vec::new(),
            agent: None,
            is_program: false,
            lease,
            session,
        }
    }

    /// It is no subsystem, but does what it was asked for by itself, once.
    pub(super) fn is_a_program(&mut self) {
        self.is_program = true;
    }

    /// An error that came after it was asked for, and before it was known how it ended.
    pub(super) fn unfinished(&self, error: Error) -> Error {
        if self.is_program { error.with_outcome_unknown() } else { error }
    }

    /// Standard input; `None` when it was taken before, or with [`no_stdin`](crate::Command::no_stdin).
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Its end was sent with the command.
    pub(super) fn input_has_ended(&mut self) {
        if let Some(ChildStdin { lease: Some(eof), .. }) = self.stdin.take() {
            eof.sent();
        }
    }

    /// Lends the agent for as long as the child is here.
    pub(super) fn keep_agent(&mut self, agent: Option<AgentLease>) {
        self.agent = agent;
    }

    /// Whether the server took the agent that [`Command::forward_agent`](crate::Command::forward_agent) lends.
    #[must_use]
    pub fn agent_is_lent(&self) -> bool {
        self.agent.is_some()
    }

    /// Standard output; `None` when it was taken before.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Standard error; `None` when it was taken before.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// The variables that the server did not accept and that stand in the command line instead.
    #[must_use]
    pub fn variables_in_command_line(&self) -> &[String] {
        &self.variables_in_command_line
    }

    /// The variables that were [offered](crate::Command::offer_env) and that the server did not accept.
    #[must_use]
    pub fn variables_left_out(&self) -> &[String] {
        &self.variables_left_out
    }

    pub(super) fn note_variables(&mut self, not_accepted: NotAccepted) {
        self.variables_in_command_line = not_accepted.in_line.into_iter().map(|(name, _)| name).collect();
        self.variables_left_out = not_accepted.left_out;
    }

    /// The number of its channel, as it stands in this crate's log lines.
    #[must_use]
    pub fn channel_number(&self) -> u32 {
        self.lease.channel().number()
    }

    /// Waits for the end of the process, by default until the server closes the channel.
    ///
    /// Standard input, if still here, is closed first. Output whose stream was not taken is thrown
    /// away; that of a stream taken and not read is kept within the limits of
    /// [`BufferLimits`](crate::BufferLimits). With a
    /// [timeout](crate::Command::timeout), the process is ended then, and its status says how.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the connection ends first, [`ErrorKind::ChannelClosed`] when this side closed the
    /// channel, because the reader of its output went away, and no status had come, [`ErrorKind::Overrun`] when its output was not read and
    /// ran over, [`ErrorKind::ChannelTimeout`] when its timeout passed and no end of it was seen. Of a program each of them says
    /// that its [outcome is unknown](Error::is_outcome_unknown).
    ///
    /// # Cancel safety
    /// Safe: the process goes on, and it may be waited for again.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        drop(self.stdin.take());
        // Output that was not taken is not going to be read, which is no reason to end the process.
        if let Some(stdout) = self.stdout.take() {
            stdout.discard();
        }
        drop(self.stderr.take());
        self.finished().await
    }

    /// Waits without touching the streams.
    pub(super) async fn finished(&self) -> Result<ExitStatus> {
        let Some(deadline) = self.deadline else { return self.ended().await };
        match tokio::time::timeout_at(deadline, self.ended()).await {
            Ok(status) => status,
            Err(_) => {
                let ended = self.end_process().await;
                if ended == Ended::Confirmed {
                    return Ok(self.status());
                }
                let message = format!("the command did not finish in time: {ended}");
                let error = Error::new(ErrorKind::ChannelTimeout, "exec", message);
                Err(self.unfinished(error.at(self.session.target())))
            }
        }
    }

    /// Waits for the end of the process alone, whatever its timeout.
    pub(super) async fn finished_by_itself(&self) -> Result<ExitStatus> {
        self.ended().await
    }

    /// What a failed read means: the connection's own reason says more than the stream's.
    pub(super) async fn stream_error(&self, error: io::Error) -> Error {
        let ended = self.session.channel_ended_error("exec", self.lease.channel()).await;
        self.unfinished(ended.with_source(error))
    }

    pub(super) fn target(&self) -> &str {
        self.session.target()
    }

    async fn ended(&self) -> Result<ExitStatus> {
        let channel = self.lease.channel();
        if self.until == Until::ExitStatus && channel.exit().await.is_some() {
            return Ok(self.status());
        }
        match channel.ended().await {
            End::Closed => Ok(self.status()),
            // Closed here, when a reader went away: without a status nobody knows how it ended, or whether.
            End::Released if channel.intake().exit_seen().is_some() => Ok(self.status()),
            End::Released | End::Lost | End::Overrun => {
                Err(self.unfinished(self.session.channel_ended_error("exec", channel).await))
            }
        }
    }

    /// How it ended as far as the server has told.
    pub(super) fn status(&self) -> ExitStatus {
        ExitStatus::from_base(self.lease.channel().intake().exit_seen())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn until(&self) -> Until {
        self.until
    }

    /// Sends a signal by its name without `SIG`, such as `TERM` or `USR1` (RFC 4254 section 6.9).
    ///
    /// Servers do not say whether they delivered it, and OpenSSH delivers none for root.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the connection is gone.
    ///
    /// # Cancel safety
    /// The request is sent whole or not at all.
    pub async fn signal(&self, name: &str) -> Result<()> {
        match self.lease.channel().signal(name).await {
            Ok(()) => Ok(()),
            Err(Gone) => Err(self.session.gone_error("signal").await),
        }
    }

    /// Tells the process the new size of its terminal, in characters.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the connection is gone.
    ///
    /// # Cancel safety
    /// The request is sent whole or not at all.
    pub async fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        match self.lease.channel().resize(columns, rows).await {
            Ok(()) => Ok(()),
            Err(Gone) => Err(self.session.gone_error("window-change").await),
        }
    }

    /// Ends the process as the drop of a command does, and says what is known of it afterwards: `TERM`, its process group
    /// where that is known, and `KILL`. A subsystem or a terminal, which a drop ends by the end of its input or by closing,
    /// is sent the signals as well, and gets the rest when the `Child` is gone.
    ///
    /// Takes at most a few seconds; a process that ends on its first signal takes one round trip.
    ///
    /// # Cancel safety
    /// Dropped, the ending goes on in the background.
    pub async fn end(self) -> Ended {
        // A stream that was not taken has no other reader, and the report of the process group may be on it.
        let reading = if self.stderr.is_some() { Reading::ForReport } else { Reading::Elsewhere };
        self.session.orphans().end_process(self.lease.channel(), self.group.as_deref(), reading).await
    }

    pub(super) async fn end_process(&self) -> Ended {
        self.session
            .orphans()
            .end_process(self.lease.channel(), self.group.as_deref(), Reading::Elsewhere)
            .await
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("target", &self.session.target())
            .field("channel", &self.channel_number())
            .finish_non_exhaustive()
    }
}

impl ChildStdin {
    /// Writes all of it without copying, as the server's window allows.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when the process no longer reads, or the connection is gone.
    ///
    /// # Cancel safety
    /// Not safe: an unknown part has been written.
    pub async fn write_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        self.writer.channel().send(bytes).await.map_err(|_| broken_pipe())
    }
}

fn broken_pipe() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the remote process no longer reads its standard input")
}

impl AsyncWrite for ChildStdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.writer).poll_shutdown(cx))?;
        if let Some(eof) = self.lease.take() {
            eof.sent();
        }
        Poll::Ready(Ok(()))
    }
}

impl ChildStdout {
    /// Dropped, but for the end of the process that follows a drop: said first, since output comes at any moment.
    fn discard(self) {
        self.channel.intake().discard_output();
    }

    /// The next bytes as they arrived, without copying; `None` at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionAborted`] when the connection or the channel was lost before the end.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if !self.left.is_empty() {
            return Ok(Some(std::mem::take(&mut self.left)));
        }
        let bytes = self.channel.data(Stream::Out).await?;
        checked_end(&self.channel, bytes)
    }

    /// Adds all bytes that have arrived to `into`, up to about `limit`, waiting until there are some; gives their
    /// number, 0 at the end. For whoever hands them on in one go: fewer wake-ups than piece by piece.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionAborted`] when the connection or the channel was lost before the end.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub async fn chunks(&mut self, into: &mut Vec<Bytes>, limit: usize) -> io::Result<usize> {
        if !self.left.is_empty() {
            into.push(std::mem::take(&mut self.left));
            return Ok(into.last().map_or(0, Bytes::len));
        }
        let bytes = self.channel.all_data(Stream::Out, into, limit).await?;
        if bytes == 0 {
            checked_end(&self.channel, None)?;
        }
        Ok(bytes)
    }
}

impl ChildStderr {
    /// The next bytes as they arrived, without copying; `None` at the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionAborted`] when the connection or the channel was lost before the end.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if !self.left.is_empty() {
            return Ok(Some(std::mem::take(&mut self.left)));
        }
        let bytes = match &self.group {
            Some(group) => group.stderr(&self.channel).await?,
            None => self.channel.data(Stream::Err).await?,
        };
        checked_end(&self.channel, bytes)
    }
}

impl AsyncRead for ChildStdout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.left.is_empty() {
            let bytes = ready!(this.channel.intake().poll_data(Stream::Out, cx))?;
            this.left = checked_end(&this.channel, bytes)?.unwrap_or_default();
        }
        hand_over(&mut this.left, buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ChildStderr {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.left.is_empty() {
            let bytes = match &this.group {
                Some(group) => ready!(group.poll_stderr(&this.channel, cx))?,
                None => ready!(this.channel.intake().poll_data(Stream::Err, cx))?,
            };
            this.left = checked_end(&this.channel, bytes)?.unwrap_or_default();
        }
        hand_over(&mut this.left, buf);
        Poll::Ready(Ok(()))
    }
}

fn hand_over(left: &mut Bytes, buf: &mut ReadBuf<'_>) {
    let part = left.len().min(buf.remaining());
    buf.put_slice(&left[..part]);
    left.advance(part);
}

/// The end of a stream is an end only if the channel said so; a lost connection is no end of file.
pub(crate) fn checked_end(channel: &Channel, bytes: Option<Bytes>) -> io::Result<Option<Bytes>> {
    if bytes.is_some() {
        return Ok(bytes);
    }
    match channel.intake().end_seen() {
        // All that there was to say was said before.
        Some(End::Lost) if channel.intake().eof_seen() => Ok(None),
        Some(End::Lost) => Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the connection was lost before the end of the stream",
        )),
        Some(End::Overrun) => Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the stream was not read and its buffers ran over",
        )),
        Some(End::Closed | End::Released) | None => Ok(None),
    }
}

impl Drop for ChildStdout {
    fn drop(&mut self) {
        self.channel.intake().drop_stream(Stream::Out);
    }
}

impl Drop for ChildStderr {
    fn drop(&mut self) {
        match &self.group {
            // The report of the process group may be still to be read, by whoever ends the process.
            Some(group) => group.drop_stderr(&self.channel),
            None => self.channel.intake().drop_stream(Stream::Err),
        }
    }
}
