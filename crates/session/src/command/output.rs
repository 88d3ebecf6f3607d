//! What a finished command leaves: its status, what it wrote, and how long it took.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::base::Exit;
use crate::command::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Input, Until, start};
use crate::ending::Ended;
use crate::error::{Error, ErrorKind, Result};
use crate::session::ChannelUse;

/// What a finished command leaves.
///
/// Output is bytes; [`stdout_text`](Self::stdout_text) shows them to a person.
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> rustle_session::Result<()> {
/// let output = session.output("uname -a").await?;
/// assert!(output.status.success());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Bytes,
    /// What it wrote to standard error.
    pub stderr: Bytes,
    /// From the request for the channel to the end.
    pub duration: Duration,
    /// Set when it was ended from this side.
    pub interruption: Option<Interruption>,
    /// The variables that the server did not accept and that stood in the command line instead.
    pub variables_in_command_line: Vec<String>,
    /// The variables that were only [offered](Command::offer_env), and that the server did not accept.
    pub variables_left_out: Vec<String>,
}

/// Why and how a command was ended from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interruption {
    /// Its [timeout](Command::timeout) passed. What is known of the process afterwards is told along.
    Timeout(Ended),
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(ended) => write!(f, "timed out ({ended})"),
        }
    }
}

impl Output {
    /// Standard output for a person: what is not UTF-8 is shown as U+FFFD.
    #[must_use]
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Standard error for a person: what is not UTF-8 is shown as U+FFFD.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}

/// How a remote process ended (RFC 4254 section 6.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitStatus(Option<Exit>);

impl ExitStatus {
    pub(super) fn from_base(exit: Option<Exit>) -> Self {
        Self(exit)
    }

    /// Whether it ended with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }

    /// Its exit code; `None` when a signal ended it, or the server did not say.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        match &self.0 {
            Some(Exit::Status(code)) => Some(*code),
            _ => None,
        }
    }

    /// The signal that ended it, without `SIG`.
    #[must_use]
    pub fn signal(&self) -> Option<&str> {
        match &self.0 {
            Some(Exit::Signal { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// Whether a signal ended it and left a core dump.
    #[must_use]
    pub fn core_dumped(&self) -> bool {
        matches!(&self.0, Some(Exit::Signal { core_dumped: true, .. }))
    }

    /// The server's text about the signal, often empty.
    #[must_use]
    pub fn signal_message(&self) -> Option<&str> {
        match &self.0 {
            Some(Exit::Signal { message, .. }) => Some(message),
            _ => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(Exit::Status(code)) => write!(f, "exit code {code}"),
            Some(Exit::Signal { name, core_dumped, message }) => {
                write!(f, "signal {name}")?;
                if *core_dumped {
                    f.write_str(" (core dumped)")?;
                }
                if !message.is_empty() {
                    write!(f, ": {message}")?;
                }
                Ok(())
            }
            None => f.write_str("no exit status"),
        }
    }
}

/// A command's last output may come after its exit status: OpenSSH sends the status when it hears of the end, and reads
/// the pipe after that. So long nothing more has to come, though, before that was all,
const QUIET: Duration = Duration::from_millis(50);

/// and so long at most is listened to what was left behind and goes on writing.
const AFTER_EXIT: Duration = Duration::from_millis(200);

/// Runs a command and collects its output.
///
/// # Cancel safety
/// See [`Command::output`].
pub(super) async fn collect(mut command: Command) -> Result<Output> {
    let start = Instant::now();
    let limit = command.output_limit;
    let stdin = match std::mem::replace(&mut command.stdin, Input::Nothing) {
        Input::Bytes(bytes) => {
            command.stdin = Input::Unsaid;
            Some(bytes)
        }
        Input::Unsaid | Input::Nothing => None,
    };
    let purpose = command.lane.map_or(ChannelUse::Collected, ChannelUse::from);
    let mut child = start::spawn(command, purpose).await?;
    let variables_in_command_line = child.variables_in_command_line().to_vec();
    let variables_left_out = child.variables_left_out().to_vec();
    let input = child.take_stdin();
    let mut collected = Collected::new(&mut child, limit);
    let interrupted = {
        let mut feeding = std::pin::pin!(feed(input, stdin));
        let mut fed = false;
        let mut reading = std::pin::pin!(collected.read(&child));
        loop {
            tokio::select! {
                () = &mut feeding, if !fed => fed = true,
                read = &mut reading => break read.map(|()| None)?,
                () = expired(&child) => break Some(Interruption::Timeout(end(&child, reading).await?)),
            }
        }
    };
    Ok(Output {
        status: child.status(),
        stdout: collected.stdout.freeze(),
        stderr: collected.stderr.freeze(),
        duration: start.elapsed(),
        interruption: interrupted,
        variables_in_command_line,
        variables_left_out,
    })
}

/// Writes standard input and closes it; a process that does not read it is no error.
async fn feed(input: Option<ChildStdin>, bytes: Option<Bytes>) {
    let Some(mut input) = input else { return };
    if let Some(bytes) = bytes
        && input.write_bytes(bytes).await.is_err()
    {
        return;
    }
    let _ = input.shutdown().await;
}

async fn expired(child: &Child) {
    match child.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Ends the process while what it still writes is read.
async fn end(child: &Child, mut reading: Pin<&mut impl Future<Output = Result<()>>>) -> Result<Ended> {
    const LAST_WORDS: Duration = Duration::from_millis(200);
    let mut ending = std::pin::pin!(child.end_process());
    let mut read_all = false;
    let ended = loop {
        tokio::select! {
            ended = &mut ending => break ended,
            read = &mut reading, if !read_all => {
                read?;
                read_all = true;
            }
        }
    };
    if !read_all && let Ok(read) = tokio::time::timeout(LAST_WORDS, reading).await {
        read?;
    }
    Ok(ended)
}

struct Collected {
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    stdout: BytesMut,
    stderr: BytesMut,
    limit: u64,
}

impl Collected {
    fn new(child: &mut Child, limit: u64) -> Self {
        Self {
            out: child.take_stdout(),
            err: child.take_stderr(),
            stdout: BytesMut::new(),
            stderr: BytesMut::new(),
            limit,
        }
    }

    /// Reads until the command counts as finished.
    async fn read(&mut self, child: &Child) -> Result<()> {
        let until_exit = child.until() == Until::ExitStatus;
        let (Some(out), Some(err)) = (&mut self.out, &mut self.err) else { return Ok(()) };
        let mut finished = std::pin::pin!(child.finished_by_itself());
        let (mut out_open, mut err_open, mut exited) = (true, true, None);
        while exited.is_none() || out_open || err_open {
            let now = Instant::now();
            let enough = exited.filter(|_| until_exit).map(|at| (now + QUIET).min(at + AFTER_EXIT));
            if enough.is_some_and(|enough| enough <= now) {
                break;
            }
            tokio::select! {
                biased;
                bytes = out.chunk(), if out_open => match bytes {
                    Ok(Some(bytes)) => self.stdout.extend_from_slice(&bytes),
                    Ok(None) => out_open = false,
                    Err(error) => return Err(child.stream_error(error).await),
                },
                bytes = err.chunk(), if err_open => match bytes {
                    Ok(Some(bytes)) => self.stderr.extend_from_slice(&bytes),
                    Ok(None) => err_open = false,
                    Err(error) => return Err(child.stream_error(error).await),
                },
                status = &mut finished, if exited.is_none() => {
                    status?;
                    exited = Some(Instant::now());
                }
                () = tokio::time::sleep_until(enough.unwrap_or(now)), if enough.is_some() => break,
            }
            if (self.stdout.len() + self.stderr.len()) as u64 > self.limit {
                let message =
                    format!("the command wrote more than the {} bytes that may be collected", self.limit);
                let error = Error::new(ErrorKind::Overrun, "exec", message).at(child.target());
                return Err(child.unfinished(error.with_hint(
                    "raise the output limit, or spawn the command and read its output as a stream",
                )));
            }
        }
        Ok(())
    }
}
