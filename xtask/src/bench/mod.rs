//! `cargo xtask bench`: this client against `ssh`, `ssh -S`, `sftp` and the bare base, on one `sshd` that it starts itself.
//!
//! Only ratios from one run count, so each of our programs takes turns with each peer, and what is reported is the
//! median of the pairs' ratios with its spread. The base's program is built and measured in each run, never quoted.
//! Beside them stands the floor, below which no client gets here: the server's own CPU time spread over the cores, or,
//! for a single stream, the time of a client that takes the same bytes from the socket and does nothing with them. The
//! table goes to docs/benchmarks.md. No ratio fails anything.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::bench::programs::Programs;
use crate::bench::rows::Duel;
use crate::bench::server::Server;
use crate::outcome::{Failure, Outcome};
use crate::shell;

mod embedded;
mod far;
mod machine;
mod measure;
mod programs;
mod ratio;
mod rows;
mod server;
mod tunnel;

/// What to measure, and how often.
#[derive(Args)]
pub(crate) struct Selection {
    /// Only these rows; all unless given.
    rows: Vec<Row>,
    /// Pairs of runs, ours and the peer's in turn.
    #[arg(long, default_value = "7", value_name = "COUNT")]
    pairs: NonZeroU32,
    /// Of these rows, only lines of the table with this in their work or their program, such as "puts 1 GiB".
    #[arg(long, default_value = "", value_name = "TEXT")]
    matching: String,
}

/// A kind of work.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// 100 connections from nothing.
    Connect,
    /// 500 commands over one connection.
    Exec,
    /// 1 GiB of a command's standard output.
    Pipe,
    /// 1 GiB over SFTP from and to the test server.
    TestServer,
    /// 1 GiB and 2000 small files over SFTP by the program that is shipped.
    Sftp,
    /// The same at 100 ms and 1 Gb/s, and at 50 ms.
    Far,
    /// Many connections through the pool, and commands on them.
    Pool,
    /// 1 GiB and small messages through a forwarded port.
    Forward,
}

/// Measures the selected rows and prints the table.
pub(crate) fn run(selection: &Selection) -> Result<Outcome, Failure> {
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::Skipped("the benchmarks run on Linux only".into()));
    }
    let Some(sshd) = shell::find_program("sshd") else {
        return Ok(Outcome::Skipped("no sshd on this machine (Debian's package is openssh-server)".into()));
    };
    let target = build()?;
    let machine = machine::describe()?;
    let server = Server::start(&sshd)?;
    let programs = Programs::new(&server, &target);

    let is_selected = |row: &Row| selection.rows.is_empty() || selection.rows.contains(row);
    let mut text = format!("{machine}\n\n{}", rows::HEADING);
    for row in Row::value_variants() {
        if is_selected(row) {
            for duel in row.prepare(&server, &programs)? {
                if !duel.title().contains(&selection.matching) {
                    continue;
                }
                println!("{}", duel.title());
                let line = duel.fight(&server, machine.cores(), selection.pairs)?;
                println!("{line}");
                writeln!(text, "{line}").map_err(|error| Failure::new(error.to_string()))?;
            }
        }
    }
    for row in Row::value_variants().iter().filter(|row| is_selected(row) && selection.matching.is_empty()) {
        row.facts(&server, &programs, &mut |fact| {
            println!("{fact}");
            text.extend(["\n", &fact, "\n"]);
        })?;
    }
    println!("\n{} pairs each, load before {}\n\n{text}", selection.pairs, machine.load());
    Ok(Outcome::Done)
}

impl Row {
    fn prepare<'a>(self, server: &'a Server, programs: &'a Programs<'a>) -> Result<Vec<Duel<'a>>, Failure> {
        match self {
            Self::Connect => Ok(rows::connect(programs)),
            Self::Exec => Ok(rows::exec(programs)),
            Self::Pipe => rows::pipe(server, programs),
            Self::TestServer => rows::test_server(server, programs),
            Self::Sftp => rows::sftp(server, programs),
            Self::Far => rows::far(server, programs),
            Self::Pool => rows::pool(programs),
            Self::Forward => rows::forward(programs),
        }
    }

    /// Tells what is measured and is no race.
    fn facts(
        self,
        server: &Server,
        programs: &Programs<'_>,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), Failure> {
        match self {
            Self::Pool => rows::pool_facts(server, programs, tell),
            Self::Forward => rows::forward_facts(programs, tell),
            _ => Ok(()),
        }
    }
}

/// Builds the programs as they are shipped; gives the folder they are in.
fn build() -> Result<PathBuf, Failure> {
    let mut cargo = shell::cargo();
    shell::run(cargo.args(["build", "--release", "-p", "rustle-connect", "-p", "bench-base"]))?;
    let mut cargo = shell::cargo();
    let json = shell::capture_ok(cargo.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&json).map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    let folder = folder.ok_or_else(|| Failure::new("cargo metadata names no target_directory"))?;
    Ok(PathBuf::from(folder).join("release"))
}
