//! `exec`: one command on one host, with this program's standard streams as its own.

mod collect;
mod driver;
mod input;
mod output;
mod own;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use rustle_session::{Child, Command, ExitStatus, Session};

use crate::failure::{FAILED, Failure, Stop};
use crate::plan::{ExecPlan, Format, Input, Line};
use crate::printer::Printer;
use crate::prompt::Person;
use crate::signals::{Interrupt, Signals};

/// How long a goodbye may keep this program: the command has ended by then.
const GOODBYE: Duration = Duration::from_millis(250);

/// Connects, runs the command, and returns the exit code.
///
/// # Cancel safety
/// Dropped, the remote process is ended as a dropped [`Child`] is.
pub(crate) async fn run(plan: &ExecPlan, printer: &mut Printer) -> Result<u8, Stop> {
    let mut signals = Signals::listen()?;
    let person = Arc::new(Person::new(|name| std::env::var_os(name)));
    let setup = plan.host.setup(&person)?;
    for warning in setup.warnings() {
        printer.note(warning);
    }
    let started = async {
        let session = setup.connect().await?;
        let mut command = command(&plan.line, &session);
        for (name, value) in setup.environment() {
            command = command.env(name, value);
        }
        if plan.input == Input::None {
            command = command.no_stdin();
        }
        Ok::<_, Stop>((session, command))
    };
    let (session, command) = unless_interrupted(&mut signals, Box::pin(started)).await?;
    printer.banner(&session.banner());
    let spawning = async { Ok(command.spawn().await?) };
    let child = unless_interrupted(&mut signals, spawning).await?;
    note_variables(&child, printer);
    let code = match printer.format() {
        Format::Human => stream::run(child, &mut signals, session.target(), printer).await,
        Format::Json => collect::run(child, &mut signals, session.target(), printer).await,
    };
    session.close(GOODBYE).await;
    code
}

fn command(line: &Line, session: &Session) -> Command {
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

/// Carries out `work`, unless a signal comes first: then it is dropped, which ends what it began.
async fn unless_interrupted<T>(
    signals: &mut Signals,
    work: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    tokio::select! {
        result = work => result,
        signal = signals.next() => Err(Stop::Quietly(signal.exit_code())),
    }
}

/// Ends the remote process for good; a second signal does not wait for that.
async fn end(child: Child, signals: &mut Signals, why: Interrupt, printer: &mut Printer) -> Stop {
    tokio::select! {
        ended = child.end() => printer.note(format_args!("the remote process: {ended}")),
        _ = signals.next() => {}
    }
    Stop::Quietly(why.exit_code())
}

fn note_variables(child: &Child, printer: &mut Printer) {
    let names = child.variables_in_command_line();
    if !names.is_empty() {
        printer.warning(format_args!(
            "the server does not accept {}: set in the command line, where others on the host may see it",
            names.join(", ")
        ));
    }
}

/// The exit code for a command that ended, as ssh's; what ended otherwise is an error.
fn exit_code(status: &ExitStatus, target: &str) -> Result<u8, Failure> {
    let failed = |message: String| Failure::new("SSH_COMMAND_FAILED", message).at(target);
    match (status.code(), status.signal()) {
        // A code that does not fit is no success, whatever its low byte.
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(FAILED)),
        (None, Some(signal)) => Err(failed(format!("the command was ended by signal {signal}"))),
        (None, None) => Err(failed("the server did not say how the command ended".to_owned())),
    }
}
