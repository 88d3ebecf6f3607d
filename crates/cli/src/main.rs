//! `rustle-connect`: what was typed becomes a plan, the plan is carried out, and one printer says what came of it.
//!
//! Data goes to standard output and everything else to standard error. The exit code is that of the remote
//! command, 0 where another task did what it was to do, 255 for failures of this program, and 128 + n when signal n ended it; `--help` says so too.

mod allocator;
mod amounts;
mod args;
mod channel;
mod connect;
mod demo;
mod exec;
mod failure;
mod further;
mod logging;
mod ls_remote;
mod names;
mod password_file;
mod plan;
mod printer;
mod prompt;
mod remote_path;
mod signals;
mod ssh_config;
mod streams;
mod sync;
mod test_connection;
mod test_server;
mod transfer;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::args::Args;
use crate::failure::{FAILED, Failure, Stop};
use crate::plan::Task;
use crate::printer::Printer;
use crate::signals::Signals;

/// How long whoever reads may take for what is left to say when the program is ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long the system may take to store, name or remove a local file that was being finished when a signal came.
const LOCAL_FILES: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse_usage(&error),
    };
    let (output, task) = plan::plan(args, |name| std::env::var_os(name));
    logging::start(output);
    let mut printer = Printer::new(output);
    ExitCode::from(match task {
        Ok(task) => carry_out(&task, &mut printer),
        Err(failure) => conclude_here(Err(failure.into()), &mut printer),
    })
}

/// Carries out the task, says what went wrong, and returns the exit code.
fn carry_out(task: &Task, printer: &mut Printer) -> u8 {
    match task {
        Task::Exec(exec) => {
            one_thread(printer, async |signals, printer| exec::run(exec, signals, printer).await)
        }
        Task::Transfer(plan) => {
            one_thread(printer, async |signals, printer| transfer::run(plan, signals, printer).await)
        }
        Task::Sync(plan) => {
            one_thread(printer, async |signals, printer| sync::run(plan, signals, printer).await)
        }
        Task::List(plan) => {
            one_thread(printer, async |signals, printer| ls_remote::run(plan, signals, printer).await)
        }
        Task::TestConnection(host) => {
            one_thread(printer, async |signals, printer| test_connection::run(host, signals, printer).await)
        }
        Task::SshConfig(host) => conclude_here(ssh_config::run(host, printer), printer),
        Task::Demo => many_threads(printer, async |signals, printer| {
            signals.unless_interrupted(demo::run(printer)).await
        }),
        Task::TestServer(server) => {
            many_threads(printer, async |signals, printer| test_server::run(server, signals, printer).await)
        }
        Task::Completions(shell) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "rustle-connect", &mut script);
            conclude_here(printer.bytes(script).map(|()| 0).map_err(Stop::from), printer)
        }
    }
}

/// One connection is one flow of work: a second thread would only pass it back and forth.
fn one_thread(
    printer: &mut Printer,
    work: impl AsyncFnOnce(&mut Signals, &mut Printer) -> Result<u8, Stop>,
) -> u8 {
    run_on(tokio::runtime::Builder::new_current_thread(), printer, work)
}

/// A server and its client in one process work at the same time.
fn many_threads(
    printer: &mut Printer,
    work: impl AsyncFnOnce(&mut Signals, &mut Printer) -> Result<u8, Stop>,
) -> u8 {
    run_on(tokio::runtime::Builder::new_multi_thread(), printer, work)
}

/// Carries out the work and prints what came of it. One listener hears the signals of the whole time: one that came
/// when the work had just ended would be lost on a second one.
fn run_on(
    mut builder: tokio::runtime::Builder,
    printer: &mut Printer,
    work: impl AsyncFnOnce(&mut Signals, &mut Printer) -> Result<u8, Stop>,
) -> u8 {
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::io("the asynchronous runtime cannot be started", &error);
            return conclude_here(Err(failure.into()), printer);
        }
    };
    let (code, is_midway) = runtime.block_on(async {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(failure) => return (conclude_here(Err(failure.into()), printer), false),
        };
        let result = work(&mut signals, printer).await;
        let is_midway = matches!(result, Err(Stop::Midway(_)));
        (conclude(result, &mut signals, printer).await, is_midway)
    });
    if is_midway {
        runtime.shutdown_timeout(LOCAL_FILES);
    } else {
        // A question that nobody will answer any more must not hold the process.
        runtime.shutdown_background();
    }
    code
}

/// Says what went wrong, waits until everything that was printed is written, and returns the exit code. A signal ends the
/// wait; after one that ended the work already, it is short.
///
/// # Cancel safety
/// Dropped, what is not yet written may be missing.
async fn conclude(result: Result<u8, Stop>, signals: &mut Signals, printer: &mut Printer) -> u8 {
    let result = match result {
        Err(Stop::Quietly(code) | Stop::Midway(code)) => {
            let _ = tokio::time::timeout(LAST_WORDS, printer.settled()).await;
            return code;
        }
        other => other,
    };
    let result = match result {
        // A signal does not undo what is done and told.
        Ok(code) => tokio::select! {
            biased;
            written = printer.settled() => written.map(|()| code).map_err(Stop::from),
            signal = signals.next() => return signal.exit_code(),
        },
        failed => failed,
    };
    let code = told(result, printer);
    tokio::select! {
        biased;
        // What standard output has to do with it is told.
        _ = printer.settled() => code,
        signal = signals.next() => signal.exit_code(),
    }
}

/// The same where there is no runtime: any signal ends the program.
fn conclude_here(result: Result<u8, Stop>, printer: &mut Printer) -> u8 {
    let result = result.and_then(|code| Ok(printer.settled_here().map(|()| code)?));
    let code = told(result, printer);
    // What standard output has to do with it is told.
    let _ = printer.settled_here();
    code
}

/// Says what went wrong, if there is something to say, and returns the exit code.
fn told(result: Result<u8, Stop>, printer: &mut Printer) -> u8 {
    match result {
        Ok(code) | Err(Stop::Quietly(code) | Stop::Midway(code)) => code,
        Err(Stop::Failed(failure)) => {
            printer.failure(&failure);
            FAILED
        }
    }
}

/// Help and version are answers; everything else that the parser says is a refusal.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    let failed = error.print().is_err() || error.use_stderr();
    ExitCode::from(if failed { FAILED } else { 0 })
}
