//! Commands: what to run, where, with which environment, and for how long.

mod child;
mod output;
mod start;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::auth::AgentSource;
use crate::error::{Error, ErrorKind, Result};
use crate::quote::{self, Shell};
use crate::session::{ChannelUse, Lane, Session};

pub(crate) use crate::command::child::checked_end;
pub use crate::command::child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use crate::command::output::{ExitStatus, Interruption, Output};

/// Output collected by [`Command::output`] unless set otherwise: more is a stream's work, see
/// [`Command::spawn`].
const OUTPUT_LIMIT: u64 = 256 * 1024 * 1024;

/// A command to run on a host, built by value.
///
/// Made by [`Session::command`] (a program with arguments, each quoted for the remote shell),
/// [`Session::line`] (a line for the remote shell) or [`Session::raw`] (exactly these bytes).
///
/// ```no_run
/// # async fn example(session: rustle_session::Session) -> rustle_session::Result<()> {
/// use std::time::Duration;
///
/// let output = session
///     .command("cargo")
///     .args(["build", "--message", "it's done"])
///     .env("RUST_LOG", "info")
///     .dir("/srv/app")
///     .timeout(Duration::from_secs(300))
///     .output()
///     .await?;
/// println!("{}: {}", output.status, output.stdout_text());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a command does nothing until it is spawned"]
pub struct Command {
    session: Session,
    what: What,
    shell: Shell,
    environment: Vec<Variable>,
    fallback: EnvFallback,
    directory: Option<Vec<u8>>,
    terminal: Option<Terminal>,
    agent: Option<AgentSource>,
    timeout: Option<Duration>,
    until: Until,
    reporting: Reporting,
    stdin: Input,
    output_limit: u64,
    /// By how it is read, unless somebody says so.
    lane: Option<Lane>,
}

/// A variable, and what becomes of it where the server does not accept it.
#[derive(Clone)]
struct Variable {
    name: String,
    value: String,
    refused: WhenRefused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenRefused {
    /// As the command's [`EnvFallback`] says.
    Fallback,
    /// It is left out.
    Nothing,
}

/// What standard input gets.
#[derive(Clone)]
enum Input {
    /// A child's is written by its owner, a collected command's is empty.
    Unsaid,
    /// Nothing: its end is sent together with the command.
    Nothing,
    /// These bytes, when output is collected.
    Bytes(Bytes),
}

/// What a channel is asked to start.
#[derive(Clone)]
enum What {
    /// A program and its arguments, quoted for the shell.
    Arguments(Vec<Vec<u8>>),
    /// A line in the shell's language.
    Line(Vec<u8>),
    /// These bytes and nothing else.
    Raw(Vec<u8>),
    /// The login shell itself.
    Shell,
    /// A subsystem by name (RFC 4254 section 6.5).
    Subsystem(String),
}

/// When a command counts as finished.
///
/// ```
/// assert_eq!(rustle_session::Until::default(), rustle_session::Until::Close);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Until {
    /// When the server closes the channel, as ssh waits: the process has ended and nobody holds its output.
    #[default]
    Close,
    /// When the process has ended; processes it left behind are not waited for. Servers may tell of the end before they
    /// have sent the last output, so [`output`](Command::output) listens on until the streams end, or have been quiet
    /// for 50 ms, for 200 ms at most.
    ExitStatus,
}

/// What to do about variables that the server does not accept (its `AcceptEnv`).
///
/// ```
/// assert_eq!(rustle_session::EnvFallback::default(), rustle_session::EnvFallback::CommandLine);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EnvFallback {
    /// Set them in the command line, where other users of the host may see them while it starts. Which ones is
    /// told by [`Child::variables_in_command_line`] and [`Output::variables_in_command_line`].
    #[default]
    CommandLine,
    /// Do not run the command.
    Fail,
}

/// Whether a command reports its process group first, so that it can be ended on every server.
///
/// A process is ended by `signal` requests, and some servers ignore those without a word: OpenSSH does for
/// root, and for forced commands. With the report, a second channel runs `kill` for the whole group. It costs
/// one built-in `printf` of the remote shell in front of the command line, and 40 bytes of standard error,
/// which are taken out again. It needs a Unix [shell](Command::shell), and is never used with a terminal (closing
/// it hangs up), for raw lines and for subsystems.
///
/// ```
/// assert_eq!(rustle_session::Reporting::default(), rustle_session::Reporting::Auto);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reporting {
    /// Only where it is known to be needed: for root on OpenSSH. Elsewhere the command line is sent as it is.
    #[default]
    Auto,
    /// Always.
    ProcessGroup,
    /// Never.
    Nothing,
}

/// A terminal to run a command on (RFC 4254 section 6.2).
///
/// ```
/// use rustle_session::Terminal;
///
/// // No echo (mode 53, RFC 4254 section 8).
/// let terminal = Terminal::new("xterm-256color", 120, 40).mode(53, 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Terminal {
    name: String,
    columns: u32,
    rows: u32,
    modes: Vec<(u8, u32)>,
}

impl Terminal {
    /// A terminal of this type (`TERM`) and size in characters.
    pub fn new(name: impl Into<String>, columns: u32, rows: u32) -> Self {
        Self { name: name.into(), columns, rows, modes: Vec::new() }
    }

    /// Sets a terminal mode by its code in RFC 4254 section 8; codes the RFC does not name are left out.
    pub fn mode(mut self, code: u8, value: u32) -> Self {
        self.modes.push((code, value));
        self
    }
}

impl Command {
    fn new(session: &Session, what: What) -> Self {
        Self {
            session: session.clone(),
            what,
            shell: Shell::Posix,
            environment: Vec::new(),
            fallback: EnvFallback::default(),
            directory: None,
            terminal: None,
            agent: None,
            timeout: None,
            until: Until::default(),
            reporting: Reporting::default(),
            stdin: Input::Unsaid,
            output_limit: OUTPUT_LIMIT,
            lane: None,
        }
    }

    pub(crate) fn program(session: &Session, program: &[u8]) -> Self {
        Self::new(session, What::Arguments(vec![program.to_vec()]))
    }

    pub(crate) fn line(session: &Session, line: &[u8]) -> Self {
        Self::new(session, What::Line(line.to_vec()))
    }

    pub(crate) fn raw(session: &Session, line: &[u8]) -> Self {
        Self::new(session, What::Raw(line.to_vec()))
    }

    pub(crate) fn login_shell(session: &Session) -> Self {
        Self::new(session, What::Shell)
    }

    pub(crate) fn subsystem(session: &Session, name: &str) -> Self {
        Self::new(session, What::Subsystem(name.to_owned()))
    }

    /// Adds one argument, quoted so that the program gets exactly these bytes. On a line of the shell's own
    /// language it is appended the same way.
    pub fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        match &mut self.what {
            What::Arguments(arguments) => arguments.push(argument.as_ref().to_vec()),
            What::Line(line) => match quote::quote(self.shell, argument.as_ref()) {
                Ok(quoted) => {
                    line.push(b' ');
                    line.extend_from_slice(&quoted);
                }
                // Said when the line is put together: NUL cannot be quoted there either.
                Err(_) => line.extend_from_slice(&[b' ', 0]),
            },
            What::Raw(line) => {
                line.push(b' ');
                line.extend_from_slice(argument.as_ref());
            }
            What::Shell | What::Subsystem(_) => {}
        }
        self
    }

    /// Adds several arguments; see [`Command::arg`].
    pub fn args<A: AsRef<[u8]>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    /// The shell that reads the command line at the far end; POSIX `sh` unless set. Set it before adding
    /// arguments to a line.
    pub fn shell(mut self, shell: Shell) -> Self {
        self.shell = shell;
        self
    }

    /// Sets an environment variable: by request where the server accepts it, else as
    /// [`env_fallback`](Self::env_fallback) says. Asking costs one round trip, once per name and connection.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value, refused) = (name.into(), value.into(), WhenRefused::Fallback);
        self.environment.push(Variable { name, value, refused });
        self
    }

    /// Offers an environment variable: set where the server accepts it, left out where it does not, as with ssh's
    /// `SendEnv` and `SetEnv`; [`Child::variables_left_out`] tells which. Asking costs what it costs in [`env`](Self::env).
    pub fn offer_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value, refused) = (name.into(), value.into(), WhenRefused::Nothing);
        self.environment.push(Variable { name, value, refused });
        self
    }

    /// What to do about variables the server does not accept; by default they go into the command line.
    pub fn env_fallback(mut self, fallback: EnvFallback) -> Self {
        self.fallback = fallback;
        self
    }

    /// The directory to run in; a relative one starts at the login directory.
    pub fn dir(mut self, directory: impl AsRef<[u8]>) -> Self {
        self.directory = Some(directory.as_ref().to_vec());
        self
    }

    /// Runs it on a terminal. Standard error then arrives with standard output.
    pub fn terminal(mut self, terminal: Terminal) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Lends it an agent (`ssh -A`, `ForwardAgent`): while it runs, programs on the host can list the agent's keys and
    /// have it sign, as the command's `SSH_AUTH_SOCK`; nothing else is passed on, neither keys to add nor libraries to load.
    /// It ends with the [`Child`]. Whoever rules that host can use the keys for that long, though
    /// never copy them; keys that `ssh-add -h` restricts to some hosts work for those alone.
    ///
    /// Where the server does not allow it the command runs without ([`Child::agent_is_lent`]), as with ssh.
    pub fn forward_agent(mut self, agent: AgentSource) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Ends the command after this long; what it wrote until then is kept. None unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// When the command counts as finished; when the channel closes, unless set.
    pub fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }

    /// Whether it reports its process group; see [`Reporting`].
    pub fn reporting(mut self, reporting: Reporting) -> Self {
        self.reporting = reporting;
        self
    }

    /// What [`output`](Self::output) writes to standard input before it closes it; nothing unless set.
    pub fn stdin(mut self, bytes: impl Into<Bytes>) -> Self {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    /// Gives it an empty standard input, as `ssh -n` does: its end is sent together with the command, and
    /// [`Child::take_stdin`] gives none. [`output`](Self::output) does that unless it is told what to write.
    pub fn no_stdin(mut self) -> Self {
        self.stdin = Input::Nothing;
        self
    }

    /// The most that [`output`](Self::output) collects of both streams together, in bytes; 256 MiB unless set.
    pub fn output_limit(mut self, bytes: u64) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Beside whom it is where a pool chooses the connection. Unless set, what is collected ([`output`](Self::output)) is
    /// [shared](Lane::Shared): it is always read at once; and what is [spawned](Self::spawn) is [isolated](Lane::Isolated), since
    /// nobody knows its reader. Set it where that is known: a spawned command whose output is little, or always read at once,
    /// needs no connection of its own; one that is collected and writes for minutes may be better apart from short ones, which
    /// wait behind its data. On a session without a pool it does nothing.
    ///
    /// ```
    /// # async fn example(session: rustle_session::Session) -> rustle_session::Result<()> {
    /// use rustle_session::Lane;
    ///
    /// let mut bell = session.line("read -r line; echo done").lane(Lane::Shared).spawn().await?;
    /// # Ok(()) }
    /// ```
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    /// Starts it, with its three streams to read and write while it runs.
    ///
    /// # Errors
    /// [`ErrorKind::ChannelLimit`] and its neighbours when the server opens no channel,
    /// [`ErrorKind::RequestRefused`] when it refuses to run the command, [`ErrorKind::Disconnected`]. Where the server was asked
    /// and did not answer, the [outcome is unknown](Error::is_outcome_unknown).
    ///
    /// # Cancel safety
    /// Dropped, the channel is closed; if the command was started already, it is ended as
    /// [`Child`] ends when dropped.
    pub async fn spawn(self) -> Result<Child> {
        let purpose = self.lane.map_or(ChannelUse::Streamed, ChannelUse::from);
        start::spawn(self, purpose).await
    }

    /// Runs it and collects what it writes.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn); [`ErrorKind::Overrun`] when it writes more than the
    /// [limit](Self::output_limit); [`ErrorKind::Disconnected`] when the connection ends first. An exit code
    /// other than 0 and a timeout are no errors but part of the [`Output`]. What became of a command that was begun is
    /// [unknown](Error::is_outcome_unknown) with any of them.
    ///
    /// # Cancel safety
    /// Dropped, the remote process is ended as [`Child`] ends when dropped; the output is lost.
    pub async fn output(self) -> Result<Output> {
        output::collect(self).await
    }

    /// The line for the `exec` request, without what the environment and the report add.
    fn command_line(&self) -> Result<Option<Vec<u8>>> {
        let line = match &self.what {
            What::Arguments(arguments) => {
                quote::join(self.shell, arguments).map_err(|error| unquotable(&error))?
            }
            What::Line(line) => line.clone(),
            What::Raw(line) => return Ok(Some(line.clone())),
            What::Shell | What::Subsystem(_) => return Ok(None),
        };
        if line.contains(&0) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "exec",
                "a command line cannot contain a NUL byte: no shell could read past it",
            ));
        }
        Ok(Some(line))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and variables may hold secrets; what they are called may not.
        f.debug_struct("Command")
            .field("shell", &self.shell)
            .field("variables", &self.environment.iter().map(|variable| &variable.name).collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

fn unquotable(error: &quote::QuoteError) -> Error {
    Error::new(ErrorKind::Configuration, "exec", format!("the command cannot be quoted: {error}"))
        .with_hint("pass such data on standard input, or use a raw command line")
}
