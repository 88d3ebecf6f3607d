//! `exec`: one command on one host, with this program's standard streams as its own.

mod collect;
mod driver;
mod far;
mod input;
mod output;
mod stream;
#[cfg(unix)]
#[path = "exec/terminal_unix.rs"]
mod terminal;
#[cfg(windows)]
#[path = "exec/terminal_windows.rs"]
mod terminal;
mod what;

use std::time::Duration;

use rustle_session::{Child, ExitStatus, HostSetup, Session};

use crate::connect;
use crate::failure::{FAILED, Failure, Stop};
use crate::plan::{ExecPlan, Format, Input, Line};
use crate::printer::Printer;
use crate::signals::{Interrupt, Signals};

/// How long a goodbye to the host may keep this program, a ProxyCommand's own end aside: the command has ended by then.
const GOODBYE: Duration = Duration::from_millis(250);

/// How long the end of a command may take that was interrupted while it was started.
const ENDING: Duration = Duration::from_secs(3);

/// Connects, runs the command, and returns the exit code.
///
/// # Cancel safety
/// Dropped, the remote process is ended as a dropped [`Child`] is.
pub(crate) async fn run(plan: &ExecPlan, signals: &mut Signals, printer: &mut Printer) -> Result<u8, Stop> {
    let mut setup =
        connect::settings(&plan.host, plan.line.as_ref().map(Line::text), signals, printer).await?;
    let what = what::decide(plan, setup.run())?;
    let on_terminal = what::on_terminal(plan, setup.run(), &what, printer);
    if on_terminal {
        setup = setup.for_terminal();
    }
    let session = connect::connect(&setup, signals, printer).await?;
    let Some(mut command) = what::command(&what, &setup, &session) else {
        return only_connected(&session, signals).await;
    };
    if what::input(plan, setup.run()) == Input::None {
        command = command.no_stdin();
    }
    let far = terminal::like_ours();
    if on_terminal {
        command = command.terminal(far.terminal());
    }
    if let Some(agent) = setup.lent_agent() {
        command = command.forward_agent(agent.clone());
    }
    let spawning = async { Ok(command.spawn().await?) };
    let child = match signals.unless_interrupted(spawning).await {
        Err(Stop::Quietly(code)) => {
            // The command may run already, and be ended in the background; a second signal does not wait for that.
            tokio::select! {
                _ = session.close(ENDING) => {}
                _ = signals.next() => {}
            }
            return Err(Stop::Quietly(code));
        }
        other => other?,
    };
    note_variables(&setup, &child, printer);
    if setup.lent_agent().is_some() && !child.agent_is_lent() {
        printer.warning(format_args!("the server does not forward the agent: the command runs without it"));
    }
    let code = match printer.format() {
        Format::Human if on_terminal => {
            stream::run_on_terminal(child, &far, signals, session.target(), printer).await
        }
        Format::Human => stream::run(child, signals, session.target(), printer).await,
        Format::Json => collect::run(child, signals, session.target(), printer).await,
    };
    tokio::select! {
        _ = session.close(GOODBYE) => code,
        // The command has ended, and nothing is left to be ended but what carried it, which goes with this program.
        signal = signals.next() => signal.after(code, printer),
    }
}

/// Nothing runs (`SessionType none`): the connection is there until it ends, or this program.
async fn only_connected(session: &Session, signals: &mut Signals) -> Result<u8, Stop> {
    tokio::select! {
        reason = session.closed() => {
            Err(Failure::new("SSH_DISCONNECTED", format!("the connection is gone: {reason}")).at(session.target()).into())
        }
        signal = signals.next() => {
            tokio::select! {
                _ = session.close(GOODBYE) => {}
                _ = signals.next() => {}
            }
            Err(Stop::Quietly(signal.exit_code()))
        }
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

/// What `SetEnv` sets and the command has not got. Of `SendEnv`, which offers what happens to be set here, nothing is said.
fn note_variables(setup: &HostSetup, child: &Child, printer: &mut Printer) {
    let left_out = child.variables_left_out();
    let set = setup.environment().iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> = set.filter(|name| left_out.iter().any(|left_out| left_out == name)).collect();
    if !names.is_empty() {
        printer.warning(format_args!(
            "the server does not accept {} (SetEnv): the command runs without (AcceptEnv in its sshd_config names those \
             that it does)",
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
