//! A command that carries the connection (`ProxyCommand`): its standard streams in place of a socket.

mod driver;
mod shell;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connect::proxy_command::shell::Group;
use crate::error::{Error, ErrorKind};

/// How long a command whose streams ended may take to end itself, so that its end can be told.
const EXIT_WITHIN: Duration = Duration::from_secs(2);

/// A command whose standard input and output are the connection to a host.
///
/// The user's shell runs it as ssh has it: `$SHELL -c 'exec LINE'`, or `%COMSPEC% /c LINE` on Windows. The line is
/// taken as it is; what is put into it must not mean anything to a shell. This crate adds nothing to its environment.
/// It is ended with the connection: its input ends, then comes `SIGHUP`, and `SIGKILL` where that does not help; on
/// Windows the command processor is terminated, and what that started sees its streams end.
///
/// ```
/// use rustle_session::{Connector, ProxyCommand, Target};
///
/// # fn main() -> rustle_session::Result<()> {
/// let command = ProxyCommand::new("nc -X connect -x proxy.example.com:3128 web-1 22")
///     .on_error_line(|line| eprintln!("proxy: {line}"));
/// let connector = Connector::new(Target::parse("deploy@web-1")?).proxy_command(command);
/// # let _ = connector;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ProxyCommand {
    line: String,
    terminal: TerminalUse,
    listener: Arc<Listener>,
}

type Listener = dyn Fn(&str) + Send + Sync;

/// Whether the command may ask a person at this program's terminal.
///
/// ```
/// assert_eq!(rustle_session::TerminalUse::default(), rustle_session::TerminalUse::None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TerminalUse {
    /// It may not. It gets a process group of its own (on Unix), and all of that group is ended with the connection.
    #[default]
    None,
    /// It may, as below ssh: where this program has a terminal, it stays in this program's process group, since no other
    /// may read the terminal. Then `SIGHUP`, `SIGINT` and `SIGQUIT`, which the terminal sends to all of the group, are
    /// ignored in it: what runs on the far side is ended first, and that takes the connection. The command alone is
    /// ended, by `SIGTERM`; what it started sees its streams end. Without a terminal it is as [`None`](Self::None).
    Shared,
}

impl ProxyCommand {
    /// A line for the user's shell.
    pub fn new(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            terminal: TerminalUse::default(),
            listener: Arc::new(|line| tracing::warn!(line, "ProxyCommand")),
        }
    }

    /// Whether it may use the terminal. It may not unless set.
    pub fn terminal(mut self, terminal: TerminalUse) -> Self {
        self.terminal = terminal;
        self
    }

    /// Who gets what it writes to standard error, line by line and at once; control characters have been made visible,
    /// and long lines are cut. A line that stands unfinished for 200 ms, as a question does, is handed over as it is, and
    /// what follows as the next. Without this it is logged as a warning. Called on a thread where it may block: so long
    /// nothing more is read of what the command writes.
    pub fn on_error_line(mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.listener = Arc::new(listener);
        self
    }

    /// Starts it. Must be called on the runtime.
    pub(super) fn start(&self) -> Result<(ProcessStream, Running), Error> {
        let (mut command, own_group) = shell::command(&self.line, self.terminal);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(cannot_start)?;
        let group = Group::of(&child, own_group);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(cannot_start(io::ErrorKind::BrokenPipe.into()));
        };
        let ending = CancellationToken::new();
        let exit = driver::start(child, group, stderr, Arc::clone(&self.listener), ending.clone());
        let running = Running { ending: ending.clone(), exit };
        let stream = ProcessStream { stdin: Some(stdin), stdout, _ending: ending.drop_guard() };
        Ok((stream, running))
    }
}

impl fmt::Debug for ProxyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The line may hold anything.
        f.debug_struct("ProxyCommand").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

fn cannot_start(error: io::Error) -> Error {
    Error::new(ErrorKind::Configuration, "connect", "the shell that runs the ProxyCommand cannot be started")
        .with_source(error)
        .with_hint("SHELL in the environment names it (COMSPEC on Windows)")
}

/// The standard streams of the command. Dropped, it is ended.
pub(super) struct ProcessStream {
    /// None once its end was sent.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    _ending: DropGuard,
}

impl AsyncRead for ProcessStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProcessStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A pipe has no other way to end.
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

/// A command that was started: what tells it to end, and how it did.
#[derive(Clone)]
pub(crate) struct Running {
    ending: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, and what it last wrote to standard error.
    ByItself { status: Option<ExitStatus>, last_line: String },
    /// From here.
    Ended,
}

impl Running {
    pub(crate) fn let_go(&self) {
        self.ending.cancel();
    }

    /// Resolves when it is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ended(&self) {
        // An error is the end of its keeper, and so its own.
        let _ = self.exit.clone().wait_for(Option::is_some).await;
    }

    /// Resolves when it is gone, or the time is over: this or what it takes to end it by force, whichever is longer.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ended_within(&self, grace: Duration) {
        // Past it, a process is left that not even force ends.
        let _ = tokio::time::timeout(grace.max(driver::BY_FORCE), self.ended()).await;
    }

    /// How it ended, if it does so by itself and soon: its streams have ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn exit_soon(&self) -> Option<Exit> {
        let _ = tokio::time::timeout(EXIT_WITHIN, self.ended()).await;
        self.exit.borrow().clone().filter(|exit| *exit != Exit::Ended)
    }

    /// A handshake that failed because the stream ended: a command that ended says why.
    pub(crate) async fn explain(&self, error: Error) -> Error {
        let Some(exit) = self.exit_soon().await else { return error };
        let explained = Error::new(
            exit.kind(),
            "connect",
            format!("the ProxyCommand ended before the server answered: {exit}"),
        );
        let explained = match error.target() {
            Some(target) => explained.at(target),
            None => explained,
        };
        explained.with_source(error).with_hint("run the ProxyCommand by hand, and see what it says")
    }
}

impl Exit {
    fn kind(&self) -> ErrorKind {
        match self {
            // What shells say of a command that is not there, or cannot be run.
            Self::ByItself { status: Some(status), .. } if matches!(status.code(), Some(126 | 127)) => {
                ErrorKind::Configuration
            }
            _ => ErrorKind::HostUnreachable,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByItself { status, last_line } => {
                match status {
                    Some(status) => write!(f, "{status}")?,
                    None => f.write_str("nobody knows how")?,
                }
                if last_line.is_empty() { Ok(()) } else { write!(f, ": {last_line}") }
            }
            Self::Ended => f.write_str("it was ended"),
        }
    }
}
