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
mod standard_error;
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
    let result = task.map_err(Stop::from).and_then(|task| carry_out(&task, &mut printer));
    let code = match result {
        Ok(code) => code,
        Err(Stop::Failed(failure)) => {
            printer.failure(&failure);
            FAILED
        }
        Err(Stop::Quietly(code) | Stop::Midway(code)) => code,
    };
    ExitCode::from(code)
}

fn carry_out(task: &Task, printer: &mut Printer) -> Result<u8, Stop> {
    match task {
        Task::Exec(exec) => one_thread(exec::run(exec, printer)),
        Task::Transfer(plan) => one_thread(transfer::run(plan, printer)),
        Task::Sync(plan) => one_thread(sync::run(plan, printer)),
        Task::List(plan) => one_thread(ls_remote::run(plan, printer)),
        Task::TestConnection(host) => one_thread(test_connection::run(host, printer)),
        Task::SshConfig(host) => ssh_config::run(host, printer),
        Task::Demo => many_threads(demo::run(printer)),
        Task::TestServer(server) => many_threads(test_server::run(server, printer)),
        Task::Completions(shell) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "rustle-connect", &mut script);
            printer.bytes(&script)?;
            Ok(0)
        }
    }
}

/// One connection is one flow of work: a second thread would only pass it back and forth.
fn one_thread<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    run_on(tokio::runtime::Builder::new_current_thread(), work)
}

/// A server and its client in one process work at the same time.
fn many_threads<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    run_on(tokio::runtime::Builder::new_multi_thread(), work)
}

fn run_on<T>(
    mut builder: tokio::runtime::Builder,
    work: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the asynchronous runtime cannot be started", &error))?;
    let result = runtime.block_on(work);
    match result {
        Err(Stop::Midway(_)) => runtime.shutdown_timeout(LOCAL_FILES),
        // A question that nobody will answer any more must not hold the process.
        _ => runtime.shutdown_background(),
    }
    result
}

/// Help and version are answers; everything else that the parser says is a refusal.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    let failed = error.print().is_err() || error.use_stderr();
    ExitCode::from(if failed { FAILED } else { 0 })
}
