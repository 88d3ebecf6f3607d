//! A session channel: what its messages mean for the command that runs on it.

use std::sync::{Arc, Mutex, PoisonError};

use russh::{
    ChannelMsg, ChannelReadHalf, ChannelWriteHalf,
    server::{Handle, Msg},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    builder::forwarding::Grant,
    builtin,
    call::{Call, Output, SignalFeed, Signals, Stream, X11Request},
    command::Answer,
    connection::{Connection, Reached, SessionSlot},
    exit::{Exit, Signal},
    fault::{Ending, Phase},
    forward::open::Opener,
    input::Input,
    line::Line,
    pipe::{self, Stdin, StdinFeed},
    record::{CommandKind, Pty, Started, TerminalSize},
    sftp,
};
#[cfg(unix)]
use crate::{
    forward::agent::AgentSocket,
    process::{Process, Shell},
};

/// What a session channel has been asked to run.
pub(crate) struct Start {
    pub(crate) kind: CommandKind,
    pub(crate) text: Vec<u8>,
    pub(crate) user: String,
    /// What the client has set.
    pub(crate) set: Vec<(String, String)>,
    /// That and what the server sets.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) pty: Option<Pty>,
    pub(crate) agent: Grant,
    pub(crate) x11: Option<X11Request>,
    pub(crate) program: Program,
}

/// What answers.
pub(crate) enum Program {
    Scripted(Answer),
    Builtin(Vec<Vec<u8>>),
    /// A real shell; with a command line, or reading its commands from standard input.
    Shell(Option<Vec<u8>>),
    Sftp,
    NotFound,
}

pub(crate) struct SessionChannel {
    pub(crate) connection: Arc<Connection>,
    pub(crate) number: usize,
    pub(crate) handle: Handle,
    pub(crate) read: ChannelReadHalf,
    pub(crate) write: ChannelWriteHalf<Msg>,
    pub(crate) start: oneshot::Receiver<Start>,
    pub(crate) slot: Arc<SessionSlot>,
}

impl SessionChannel {
    /// Serves the channel until it is closed by either side, or the connection is gone.
    pub(crate) async fn serve(self) {
        let Self { connection, number, handle, mut read, write, start, slot } = self;
        let (feed, stdin) = pipe::stdin();
        let (notices, signals) = Signals::channel();
        let hangup = CancellationToken::new();
        let runner = Runner {
            connection: Arc::clone(&connection),
            channel: number,
            line: Line::Base { handle, write: Arc::new(write) },
            hangup: hangup.clone(),
            slot: Mutex::new(Some(slot)),
        };
        let run = async {
            tokio::select! {
                // A command that was asked for is started, though the client has left again.
                biased;
                Ok(start) = start => runner.run(start, stdin, signals).await,
                () = hangup.cancelled() => {}
            }
        };
        tokio::pin!(run);
        tokio::select! {
            biased;
            () = &mut run => {}
            () = listen(&connection, number, &mut read, &feed, &notices) => {
                feed.end();
                hangup.cancel();
                run.await;
                if feed.is_lost() {
                    runner.leave();
                    if matches!(connection.reach_settled(Phase::Close).await, Reached::Go) {
                        runner.line.close().await;
                    }
                }
            }
        }
        runner.leave();
        connection.shared.keeper.channel_closed(number);
    }
}

/// Passes on what the client sends, until it closes the channel or is gone.
async fn listen(
    connection: &Connection,
    number: usize,
    read: &mut ChannelReadHalf,
    feed: &StdinFeed,
    signals: &SignalFeed,
) {
    let keeper = &connection.shared.keeper;
    let mut input = Input { connection, number, stream: "stdin", read, feed };
    while let Some(message) = input.next().await {
        match message {
            ChannelMsg::Signal { signal } => {
                let signal = Signal::from_wire(&signal);
                keeper.signal(number, signal.clone());
                signals.signal(signal);
            }
            ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                let size = TerminalSize {
                    columns: col_width,
                    rows: row_height,
                    pixel_width: pix_width,
                    pixel_height: pix_height,
                };
                keeper.window_change(number, size);
                signals.resize(size);
            }
            // The other messages come to the handler as requests to answer.
            _ => {}
        }
    }
}

/// Runs what a session channel has been asked for.
pub(crate) struct Runner {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: usize,
    pub(crate) line: Line,
    /// Cancelled when the client has closed the channel or is gone.
    pub(crate) hangup: CancellationToken,
    /// Its place among the sessions of the connection, until it closes.
    pub(crate) slot: Mutex<Option<Arc<SessionSlot>>>,
}

impl Runner {
    /// Runs it to its end and closes the channel, unless the client does that first.
    pub(crate) async fn run(&self, start: Start, stdin: Stdin, signals: Signals) {
        let keeper = &self.connection.shared.keeper;
        let command = keeper.started(&Started {
            connection: self.connection.number,
            channel: self.channel,
            what: start.kind,
            text: &start.text,
            env: &start.set,
            pty: start.pty.as_ref(),
        });
        let mut call = Call {
            command: start.text,
            user: start.user,
            env: start.env,
            pty: start.pty,
            stdin,
            stdout: self.output(Stream::Stdout),
            stderr: self.output(Stream::Stderr),
            signals,
            x11: start.x11,
            opener: self.opener(),
        };
        self.make_noise(&mut call).await;
        self.program(start.program, call, start.agent, command).await;
        keeper.gone(command);
        if !self.hangup.is_cancelled() {
            self.close().await;
        }
    }

    /// What the login shell's start-up files print before they let the command run.
    async fn make_noise(&self, call: &mut Call) {
        let (stdout, stderr) = self.connection.shared.startup_noise(call.user());
        let noise = async {
            if !stdout.is_empty() {
                call.stdout.send(stdout).await?;
            }
            if !stderr.is_empty() {
                call.stderr.send(stderr).await?;
            }
            std::io::Result::Ok(())
        };
        tokio::select! {
            biased;
            // A connection that is gone needs no noise; the program finds that out by itself.
            _ = noise => {}
            () = self.hangup.cancelled() => {}
        }
    }

    async fn program(&self, program: Program, call: Call, agent: Grant, command: usize) {
        match program {
            Program::Scripted(answer) => {
                let name = format!("the answer to {:?}", String::from_utf8_lossy(call.command()));
                let played = async {
                    let exit = self.connection.shared.panics.caught(&name, answer.play(call)).await;
                    exit.unwrap_or(Exit::Silent)
                };
                self.answer(played, command).await;
            }
            Program::Builtin(words) => self.answer(builtin::run(words, call), command).await,
            Program::NotFound => self.answer(not_found(call), command).await,
            Program::Shell(line) => self.shell(line.as_deref(), call, agent, command).await,
            Program::Sftp => {
                let exit = match &self.connection.shared.sftp {
                    Some(server) => {
                        sftp::serve(server, &self.connection, self.channel, call, &self.hangup).await
                    }
                    None => Exit::Code(127),
                };
                self.report(command, &exit).await;
            }
        }
    }

    async fn answer(&self, answer: impl Future<Output = Exit>, command: usize) {
        tokio::select! {
            biased;
            exit = answer => self.report(command, &exit).await,
            () = self.hangup.cancelled() => {}
        }
    }

    #[cfg(unix)]
    async fn shell(&self, line: Option<&[u8]>, mut call: Call, agent: Grant, command: usize) {
        let agent = match agent {
            Grant::Granted => AgentSocket::new()
                .inspect_err(|error| tracing::warn!(%error, "no socket for the client's agent"))
                .ok(),
            Grant::Refused => None,
        };
        if let Some(agent) = &agent {
            call.env.push(("SSH_AUTH_SOCK".to_owned(), agent.path().to_string_lossy().into_owned()));
        }
        let shell = Shell { command: line, directory: self.connection.shared.directory.path() };
        match Process::spawn(&shell, &call) {
            Ok(process) => {
                self.connection.shared.keeper.process(command, process.id());
                let (exited, exit) = oneshot::channel();
                let report = async {
                    if let Ok(exit) = exit.await {
                        self.report(command, &exit).await;
                    }
                };
                let ran = async { tokio::join!(process.run(call, &self.hangup, exited), report) };
                let opener = self.opener();
                let asked = async {
                    match &agent {
                        Some(agent) => agent.serve(&opener).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    ((), ()) = ran => {}
                    never = asked => match never {},
                }
            }
            Err(error) => {
                let failed = async {
                    drop(call.stderr.send(format!("the test server cannot start /bin/sh: {error}\n")).await);
                    Exit::Code(126)
                };
                self.answer(failed, command).await;
            }
        }
    }

    #[cfg(not(unix))]
    async fn shell(&self, _line: Option<&[u8]>, call: Call, _agent: Grant, command: usize) {
        self.answer(not_found(call), command).await;
    }

    /// Records how a command ended, and tells the client. Nobody is told once the client has hung up: what ended then
    /// was ended by that.
    async fn report(&self, command: usize, exit: &Exit) {
        if self.hangup.is_cancelled() {
            return;
        }
        self.connection.shared.keeper.exited(command, exit);
        // Where nothing is said, nothing can be left out.
        if *exit != Exit::Silent && !self.connection.omits(Ending::ExitStatus) {
            self.line.exit(exit).await;
        }
    }

    async fn close(&self) {
        if !matches!(self.connection.reach_settled(Phase::Close).await, Reached::Go) {
            return;
        }
        if !self.connection.omits(Ending::Eof) {
            self.line.eof().await;
        }
        if self.connection.omits(Ending::Close) {
            // The channel stays open until the client closes it, or is gone.
            self.hangup.cancelled().await;
        } else {
            // Before the client knows, who may ask for another at once.
            self.leave();
            self.line.close().await;
        }
    }

    /// Gives the channel's place to another.
    pub(crate) fn leave(&self) {
        drop(self.slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn opener(&self) -> Opener {
        let handle = match &self.line {
            Line::Base { handle, .. } => Some(handle.clone()),
            Line::Raw(_) => None,
        };
        Opener { connection: Arc::clone(&self.connection), handle }
    }

    fn output(&self, stream: Stream) -> Output {
        Output::new(Arc::clone(&self.connection), self.channel, self.line.clone(), stream)
    }
}

/// As a shell says it.
async fn not_found(mut call: Call) -> Exit {
    let name = String::from_utf8_lossy(call.command()).into_owned();
    drop(call.stderr.send(format!("{name}: command not found (the test server was not told of it)\n")).await);
    Exit::Code(127)
}
