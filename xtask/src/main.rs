//! `cargo xtask …`: what CI runs is what a person runs.
//!
//! Each command has a file of its own. `cargo xtask test` needs nothing but Rust; a command that needs more
//! (a real `sshd`, qemu, a cross toolchain, wine) says what it skipped and why, except on CI (`CI=true`),
//! where it installs what is missing and fails when it cannot.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::{Failure, Outcome};
use crate::soak::Scale;

mod apt;
mod bench;
mod chaos;
mod ci;
mod clients;
mod config;
mod cross;
mod demo;
mod dependants;
mod elf;
mod fuzz;
mod interop;
mod libraries;
mod mutants;
mod no_c;
mod outcome;
mod self_test;
mod shell;
mod soak;
mod test;
mod tidy;

/// The chores of this workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build and run every test of the workspace, doc tests included. Needs only Rust.
    Test,
    /// All that CI checks after the tests, step by step, with the seconds of each.
    Ci(ci::Selection),
    /// The rules no compiler knows: tasks with owners, cancel safety, file sizes, dependencies without C.
    Tidy,
    /// Put mistakes of one line into the pool's policy, one at a time: its tests have to catch each.
    Mutants {
        /// Only those with one of these in their names.
        #[arg(value_name = "WORD")]
        words: Vec<String>,
    },
    /// Run the suite against a real OpenSSH `sshd` that it starts itself. Needs root on Linux.
    Interop {
        /// What to compare with OpenSSH instead.
        #[command(subcommand)]
        part: Option<InteropPart>,
    },
    /// Run the embedded server against clients that are not ours, in C, Python and JavaScript. Needs Linux.
    Clients,
    /// Give the readers of the user's files anything: seeds, mutations, and libFuzzer where cargo-fuzz is installed.
    Fuzz,
    /// Use a pool among servers that are cut, silent, down, slow and exchanged. CI takes a minute of it.
    Chaos {
        /// For how long; `RUSTLE_CHAOS_SECONDS`, or ten minutes, if not given.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// Run every test at its full length, those against a real `sshd` too. Takes minutes; not part of CI.
    Soak,
    /// Measure this client against `ssh` and the bare base on an `sshd` that it starts itself. Not part of CI.
    Bench(bench::Selection),
    /// Build the workspace for another target and run its tests there.
    Cross {
        /// Which target.
        target: cross::Target,
        /// Only this package; may be given more than once.
        #[arg(long, short, value_name = "NAME")]
        package: Vec<String>,
    },
}

#[derive(Subcommand)]
enum InteropPart {
    /// What the user's files mean, against `ssh -G` and `ssh-keygen -F`: the corpus and all that is generated.
    Config,
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Test => test::run(Scale::Short),
        Chore::Ci(selection) => ci::run(&selection),
        Chore::Tidy => tidy::run(),
        Chore::Mutants { words } => mutants::run(&words),
        Chore::Interop { part: None } => interop::run(Scale::Short),
        Chore::Interop { part: Some(InteropPart::Config) } => config::run(config::Seed::New),
        Chore::Chaos { seconds } => chaos::run(seconds),
        Chore::Clients => clients::run(),
        Chore::Fuzz => fuzz::run(),
        Chore::Soak => soak::run(),
        Chore::Bench(selection) => bench::run(&selection),
        Chore::Cross { target, package } => cross::run(target, &package),
    };
    report(result)
}

fn report(result: Result<Outcome, Failure>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Skipped(why)) => {
            println!("skipped: {why}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
