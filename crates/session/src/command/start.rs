//! From a [`Command`] to a process: the channel, the requests, and the command line they need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::{Channel, Gone, Request};
use crate::command::{Child, Command, EnvFallback, Input, Reporting, Variable, What, WhenRefused};
use crate::ending::{Ending, ProcessGroup};
use crate::error::{Error, ErrorKind, Result};
use crate::quote;
use crate::session::{AgentLease, ChannelUse, Lease, Session};

/// Opens a channel and starts the command on it.
///
/// # Cancel safety
/// See [`Command::spawn`].
pub(super) async fn spawn(command: Command, purpose: ChannelUse) -> Result<Child> {
    let line = command.command_line()?;
    // Nothing runs on it yet; from the moment the command is asked for, the ending is a process's.
    let lease = command.session.open_session(Ending::Close, purpose).await?;
    let session = lease.session().clone();
    let is_asked = AtomicBool::new(false);
    let starting = start(&command, line, &session, lease, &is_asked);
    let started = session.within_request_timeout("exec", starting).await;
    // Dropped at its deadline, it may have been about to ask.
    started
        .map_err(|error| if is_asked.load(Ordering::Relaxed) { error.with_outcome_unknown() } else { error })
}

async fn start(
    command: &Command,
    line: Option<Vec<u8>>,
    session: &Session,
    mut lease: Lease,
    is_asked: &AtomicBool,
) -> Result<Child> {
    let channel = Arc::clone(lease.channel());
    let agent = lend_agent(command, session, &channel).await?;
    let variables = environment(command, line.is_some(), session, &channel).await?;
    let mut answers = Answers::default();
    if let Some(terminal) = &command.terminal {
        let request = Request::Pty {
            term: &terminal.name,
            columns: terminal.columns,
            rows: terminal.rows,
            modes: &terminal.modes,
        };
        answers.ask(&channel, session, request, "a terminal (pty-req)").await?;
    }
    let mut group = None;
    match (&command.what, line) {
        (What::Subsystem(name), _) => {
            lease.set_ending(Ending::EndOfInput);
            answers
                .ask(&channel, session, Request::Subsystem { name }, &format!("the subsystem {name:?}"))
                .await?;
        }
        (_, Some(line)) => {
            group = reporting_group(command, session)?.map(Arc::new);
            let whole = whole_line(command, &line, &variables.in_line, group.as_deref())?;
            lease.set_ending(Ending::Process(group.clone()));
            let request = Request::Exec { command: &whole };
            answers
                .ask_for_program(&channel, session, request, "to run the command (exec)", is_asked)
                .await?;
        }
        (_, None) => {
            lease.set_ending(Ending::Process(None));
            let request = Request::Shell;
            answers.ask_for_program(&channel, session, request, "a login shell (shell)", is_asked).await?;
        }
    }
    let no_input = matches!(command.stdin, Input::Nothing);
    if no_input && channel.eof().await.is_err() {
        return Err(session.gone_error("exec").await);
    }
    if let Err(error) = answers.check(&channel, session, is_asked).await {
        if error.kind() == ErrorKind::RequestRefused && !is_asked.load(Ordering::Relaxed) {
            // Nothing runs.
            lease.set_ending(Ending::Close);
        }
        return Err(error);
    }
    if command.terminal.is_some() {
        // Only now is it known to have one: without, no end of the channel hangs up on it.
        lease.set_ending(Ending::HangUp);
    }
    let mut child = Child::new(lease, session.clone(), group, command.timeout, command.until);
    if is_asked.load(Ordering::Relaxed) {
        child.is_a_program();
    }
    child.note_variables(variables);
    child.keep_agent(agent);
    if no_input {
        child.input_has_ended();
    }
    Ok(child)
}

async fn send(channel: &Channel, session: &Session, request: Request<'_>) -> Result<()> {
    match channel.request(request).await {
        Ok(()) => Ok(()),
        Err(Gone) => Err(session.gone_error("exec").await),
    }
}

/// Requests on their way, and what each asked for: they are sent together and answered in order.
#[derive(Default)]
struct Answers {
    asked: Vec<String>,
}

impl Answers {
    async fn ask(
        &mut self,
        channel: &Channel,
        session: &Session,
        request: Request<'_>,
        what: &str,
    ) -> Result<()> {
        send(channel, session, request).await?;
        self.asked.push(what.to_owned());
        Ok(())
    }

    /// The last request, after which a program may run there until the server says that none does.
    async fn ask_for_program(
        &mut self,
        channel: &Channel,
        session: &Session,
        request: Request<'_>,
        what: &str,
        is_asked: &AtomicBool,
    ) -> Result<()> {
        is_asked.store(true, Ordering::Relaxed);
        let asked = self.ask(channel, session, request, what).await;
        if asked.is_err() {
            // The connection took no request any more.
            is_asked.store(false, Ordering::Relaxed);
        }
        asked
    }

    async fn check(self, channel: &Channel, session: &Session, is_asked: &AtomicBool) -> Result<()> {
        let last = self.asked.len();
        for (number, what) in (1..).zip(self.asked) {
            match channel.reply().await {
                Some(true) => {}
                Some(false) => {
                    if number == last {
                        // The terminal may be refused, and the program run without.
                        is_asked.store(false, Ordering::Relaxed);
                    }
                    return Err(Error::new(
                        ErrorKind::RequestRefused,
                        "exec",
                        format!("the server refused {what}"),
                    )
                    .at(session.target())
                    .with_hint("the account's rights on the server (forced command, restricted shell, sshd_config) decide this"));
                }
                None => return Err(session.channel_ended_error("exec", channel).await),
            }
        }
        Ok(())
    }
}

/// Asks the server to forward the agent; `None` where it does not, or where nobody wants it.
async fn lend_agent(command: &Command, session: &Session, channel: &Channel) -> Result<Option<AgentLease>> {
    let Some(source) = &command.agent else { return Ok(None) };
    // Taken first: a program may ask before the answer is here.
    let lease = session.lend_agent(source)?;
    send(channel, session, Request::Agent).await?;
    match channel.reply().await {
        Some(agreed) => Ok(lease.answered(agreed)),
        None => Err(session.channel_ended_error("forward agent", channel).await),
    }
}

/// The variables that the server did not accept.
#[derive(Default)]
pub(super) struct NotAccepted {
    /// With their values, for the command line to set.
    pub(super) in_line: Vec<(String, String)>,
    /// Those that were only offered.
    pub(super) left_out: Vec<String>,
}

/// Offers the environment by request.
async fn environment(
    command: &Command,
    has_line: bool,
    session: &Session,
    channel: &Channel,
) -> Result<NotAccepted> {
    let mut not_accepted = NotAccepted::default();
    let mut refused = |variable: &Variable| match variable.refused {
        WhenRefused::Fallback => not_accepted.in_line.push((variable.name.clone(), variable.value.clone())),
        WhenRefused::Nothing => not_accepted.left_out.push(variable.name.clone()),
    };
    let mut asked = Vec::new();
    for variable in &command.environment {
        if session.variable_was_refused(&variable.name) {
            refused(variable);
            continue;
        }
        let request = Request::Environment { name: &variable.name, value: &variable.value };
        send(channel, session, request).await?;
        asked.push(variable);
    }
    for variable in asked {
        match channel.reply().await {
            Some(true) => {}
            Some(false) => {
                session.remember_refused_variable(&variable.name);
                refused(variable);
            }
            None => return Err(session.channel_ended_error("env", channel).await),
        }
    }
    let raw = matches!(command.what, What::Raw(_)) || !has_line;
    let in_line = &not_accepted.in_line;
    if !in_line.is_empty() && (raw || command.fallback == EnvFallback::Fail) {
        let names: Vec<_> = in_line.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::new(
            ErrorKind::RequestRefused,
            "env",
            format!("the server does not accept the environment variables {}", names.join(", ")),
        )
        .at(session.target())
        .with_hint("add them to AcceptEnv in its sshd_config, or run a command line that can set them"));
    }
    Ok(not_accepted)
}

fn reporting_group(command: &Command, session: &Session) -> Result<Option<ProcessGroup>> {
    let wanted = match command.reporting {
        Reporting::Auto => session.ignores_signals(),
        Reporting::ProcessGroup => true,
        Reporting::Nothing => false,
    };
    if !wanted || command.terminal.is_some() || matches!(command.what, What::Raw(_)) {
        return Ok(None);
    }
    let group = ProcessGroup::new().map_err(|error| {
        Error::new(ErrorKind::Io, "exec", "the operating system gave no random bytes")
            .with_source(error.to_string())
    })?;
    Ok(group.prologue(command.shell).is_some().then_some(group))
}

/// The report, the directory, the environment and the command, in the remote shell's language.
fn whole_line(
    command: &Command,
    line: &[u8],
    in_line: &[(String, String)],
    group: Option<&ProcessGroup>,
) -> Result<Vec<u8>> {
    if let What::Raw(_) = command.what {
        if command.directory.is_some() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "exec",
                "a raw command line has no shell that could change the directory",
            ));
        }
        return Ok(line.to_vec());
    }
    let mut whole = Vec::with_capacity(line.len() + 64);
    if let Some(prologue) = group.and_then(|group| group.prologue(command.shell)) {
        whole.extend_from_slice(prologue.as_bytes());
    }
    if let Some(directory) = &command.directory {
        whole.extend(quote::cd_prefix(command.shell, directory).map_err(|error| super::unquotable(&error))?);
    }
    if !in_line.is_empty() {
        whole.extend(quote::env_prefix(command.shell, in_line).map_err(|error| super::unquotable(&error))?);
    }
    whole.extend_from_slice(line);
    Ok(whole)
}
