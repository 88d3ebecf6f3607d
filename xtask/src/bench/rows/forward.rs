//! Rows about a forwarded port, by the program on the pool and by `ssh -L`.

use std::process::Command;

use crate::bench::programs::Programs;
use crate::bench::ratio::median;
use crate::bench::rows::{BYTES, Duel, Side};
use crate::bench::server::free_port;
use crate::bench::tunnel::{Service, Tunnel};
use crate::outcome::Failure;

/// Of small messages: their size, how many there are in a run, and how often either side runs.
const MESSAGE: usize = 64;
const MESSAGES: usize = 10_000;
const RUNS: u32 = 7;

/// 1 GiB through it, its login included.
pub(in crate::bench) fn forward<'a>(programs: &'a Programs<'a>) -> Result<Vec<Duel<'a>>, Failure> {
    let source = Service::Source(BYTES).start()?;
    let of = move |name, make: fn(&Programs<'a>, u16, u16) -> Command| {
        Side::new(name, move || start(|from| make(programs, from, source))?.drain(BYTES))
    };
    let (ours, ssh) =
        (of("bench-pool forward", Programs::pool_forward), of("`ssh -L`", Programs::ssh_forward));
    let drain = of("bench-base drain-forward", |programs, from, to| programs.drain_forward(from, to, BYTES));
    Ok(vec![Duel::new("1 GiB through a forwarded port", ours, ssh).at_best(drain).wall(0.75)])
}

/// What a small message and its answer take.
pub(in crate::bench) fn forward_facts(
    programs: &Programs<'_>,
    tell: &mut dyn FnMut(String),
) -> Result<(), Failure> {
    let echo = Service::Echo.start()?;
    let round_trip = |command: &dyn Fn(u16) -> Command| -> Result<f64, Failure> {
        Ok(median(start(command)?.echo(MESSAGES, MESSAGE)?) * 1e6)
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(round_trip(&|from| programs.pool_forward(from, echo))?);
        theirs.push(round_trip(&|from| programs.ssh_forward(from, echo))?);
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs));
    let (ours, theirs) = (median(ours), median(theirs));
    tell(format!(
        "{MESSAGE} bytes there and back through a forwarded port, median: {ours:.0} µs, `ssh -L` {theirs:.0} µs, \
         {ratio:.2} times that (goal 1.00)"
    ));
    Ok(())
}

/// The client on a port of its own.
fn start(command: impl FnOnce(u16) -> Command) -> Result<Tunnel, Failure> {
    let port = free_port().map_err(|error| Failure::new(format!("no free port: {error}")))?;
    Tunnel::start(command(port), port)
}
