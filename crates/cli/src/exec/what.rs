//! What is to run, by what was typed and what the configuration says, and whether on a terminal: as ssh decides.

use std::io::IsTerminal;

use rustle_session::{Command, HostSetup, RunSettings, Session, SessionKind, TerminalWish};

use crate::failure::{Failure, USAGE};
use crate::plan::{ExecPlan, Input, Line};
use crate::printer::Printer;

/// The code of a configuration that does not fit what was typed.
const CONFIG: &str = "SSH_CONFIG_ERROR";

/// What the session is for.
#[derive(Debug)]
pub(super) enum What {
    Run(Line),
    Subsystem(String),
    /// The connection alone.
    Nothing,
}

/// Decides what to run.
///
/// # Errors
/// Where nothing is to run, or two things at once.
pub(super) fn decide(plan: &ExecPlan, run: &RunSettings) -> Result<What, Failure> {
    let refused = |message: &str| Failure::new(CONFIG, message).at(plan.host.destination());
    match (run.session(), plan.line.clone(), run.remote_command()) {
        (_, Some(_), Some(_)) => {
            Err(refused("a command was given, and RemoteCommand of the configuration is another one")
                .hint("leave the command out, or give `-o RemoteCommand=none`"))
        }
        (SessionKind::None, Some(_), None) => {
            Err(refused("a command was given, and SessionType of the configuration says to run none")
                .hint("give `-o SessionType=default`"))
        }
        (SessionKind::None, None, _) => Ok(What::Nothing),
        (SessionKind::Subsystem, Some(line), None) => Ok(What::Subsystem(line.text())),
        (SessionKind::Subsystem, None, _) => Err(refused(
            "SessionType of the configuration asks for a subsystem, and none is named",
        )
        .hint(format!(
            "name it in place of the command: rustle-connect exec {} -- sftp",
            plan.host.destination()
        ))),
        (_, Some(line), None) => Ok(What::Run(line)),
        (_, None, Some(command)) => {
            Ok(What::Run(Line::Shell { shell: plan.shell, line: command.as_bytes().to_vec() }))
        }
        (_, None, None) => {
            let message = "no command was given, and the configuration has no RemoteCommand for the host";
            Err(Failure::new(USAGE, message)
                .at(plan.host.destination())
                .hint(format!("rustle-connect exec {} -- COMMAND", plan.host.destination())))
        }
    }
}

/// What standard input is for: flag before configuration.
pub(super) fn input(plan: &ExecPlan, run: &RunSettings) -> Input {
    match plan.input {
        Input::Forward if run.reads_stdin() => Input::Forward,
        _ => Input::None,
    }
}

/// Whether it runs on a terminal. A command gets one where it is asked for and standard input is one, as with ssh.
pub(super) fn on_terminal(plan: &ExecPlan, run: &RunSettings, what: &What, printer: &mut Printer) -> bool {
    if matches!(what, What::Nothing) {
        return false;
    }
    let typed_at = std::io::stdin().is_terminal() && input(plan, run) == Input::Forward;
    match plan.terminal.unwrap_or(run.terminal()) {
        TerminalWish::Force => true,
        TerminalWish::Yes if typed_at => true,
        TerminalWish::Yes => {
            printer.warning("no terminal is asked for, since standard input is none (-tt asks in any case)");
            false
        }
        _ => false,
    }
}

/// The command for the session, with the variables of the configuration; none where nothing is to run.
pub(super) fn command(what: &What, setup: &HostSetup, session: &Session) -> Option<Command> {
    let mut command = match what {
        What::Run(line) => line_of(line, session),
        What::Subsystem(name) => session.subsystem(name),
        What::Nothing => return None,
    };
    // Offered alone, as by ssh: a command line with more in it would be another one to a forced command, to a shell of
    // another kind, and to whoever looks at the host's processes.
    for (name, value) in setup.run().offered_environment().iter().chain(setup.environment()) {
        command = command.offer_env(name, value);
    }
    Some(command)
}

fn line_of(line: &Line, session: &Session) -> Command {
    match line {
        Line::Shell { shell, line } => session.line(line).shell(*shell),
        Line::Quoted { shell, words } => {
            let mut words = words.iter();
            let program = words.next().map(Vec::as_slice).unwrap_or_default();
            session.command(program).shell(*shell).args(words)
        }
        Line::Raw(line) => session.raw(line),
    }
}
