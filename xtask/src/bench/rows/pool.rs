//! Rows about many connections, by the program on the pool.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::bench::far::{Far, Link};
use crate::bench::programs::{Programs, finish};
use crate::bench::ratio::median;
use crate::bench::rows::files::GIGABIT;
use crate::bench::rows::{Duel, Side};
use crate::bench::server::Server;
use crate::outcome::Failure;
use crate::{libraries, shell};

const CONNECTIONS: u32 = 100;
/// Of the memory of idle connections: few, many, and how often each is measured.
const FEW: u32 = 100;
const MANY: u32 = 1000;
const RUNS: u32 = 3;
/// Logins at a time of the base's program, as many as the pool's.
const AT_ONCE: &str = "64";
/// After so many seconds nothing is under way any more.
const REST: &str = "30";
const ROUND_TRIP: std::time::Duration = std::time::Duration::from_millis(100);

/// Connections at once, and commands at once on one connection.
pub(in crate::bench) fn pool<'a>(programs: &'a Programs<'a>) -> Result<Vec<Duel<'a>>, Failure> {
    let ours = |work: &'static [&'static str]| Side::program("bench-pool", move || programs.pool(work));
    let eight = Side::program("bench-pool, 8 at a time", || programs.pool(&["exec", "500", "8"]));
    let one = Side::program("bench-pool, one at a time", || programs.pool(&["exec", "500", "1"]));
    let mut duels = vec![Duel::new("500 commands over one connection of the pool", eight, one).wall(0.5)];
    if let Some(python) = libraries::python()? {
        let asyncssh = Side::program("asyncssh", move || programs.asyncssh(&python, CONNECTIONS));
        let work = "100 connections of the pool from nothing";
        duels.push(Duel::new(work, ours(&["connect", "100"]), asyncssh).wall(0.7));
    }
    Ok(duels)
}

/// What is no race: each a line.
pub(in crate::bench) fn pool_facts(
    server: &Server,
    programs: &Programs<'_>,
    tell: &mut dyn FnMut(String),
) -> Result<(), Failure> {
    let link = Link { round_trip: ROUND_TRIP, bytes_per_second: GIGABIT };
    let far = Far::start(server, "warm", link)?;
    let warm = seconds(programs.over(&far).pool(&["warm", "7"]))?;
    let warm = warm.first().copied().unwrap_or_default() / ROUND_TRIP.as_secs_f64();
    tell(format!(
        "A command that finds a session opened ahead, at 100 ms: {warm:.2} round trips (goal 1.30)"
    ));
    let (mut firsts, mut seconds_of) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        if let [first, second] = *seconds(programs.pool(&["second"]))? {
            firsts.push(first);
            seconds_of.push(second);
        }
    }
    let (first, second) = (median(firsts), median(seconds_of));
    tell(format!(
        "The second command on a host: {:.1} ms after a first of {:.1} ms, {:.1} % less (goal 95 %)",
        second * 1000.0,
        first * 1000.0,
        (1.0 - second / first) * 100.0
    ));
    let begun = Instant::now();
    finish(programs.pool(&["many", "1000", "10"]))?;
    let many = begun.elapsed().as_secs_f64();
    tell(format!("{MANY} connections, 10 commands on each: {many:.1} s, no failure"));
    for _ in 0..RUNS {
        if let [alone, meanwhile, beside, most] = *seconds(programs.pool(&["flows", "5"]))? {
            let (beside_times, meanwhile_times) = (beside / alone, meanwhile / alone);
            let [alone, meanwhile, beside] = [alone, meanwhile, beside].map(|seconds| seconds * 1e3);
            tell(format!(
                "Seven busy flows beside one that nobody reads, 99th percentile: {meanwhile:.2} ms while its 1 GiB comes, \
                 {meanwhile_times:.2} times that of {alone:.2} ms alone, and {beside:.2} ms afterwards, {beside_times:.2} \
                 times that (goal 2); {most} KiB of memory at most"
            ));
        }
    }
    for _ in 0..RUNS {
        let base = |commands: &'static str| {
            slope(move |count| {
                let count = count.to_string();
                programs.base(&["connect", &count, AT_ONCE, "--commands", commands, "--rest", REST])
            })
        };
        let pool = |commands: &'static str| {
            slope(move |count| programs.pool(&["idle", &count.to_string(), commands, REST]))
        };
        tell(format!(
            "Memory of an idle connection, from {FEW} to {MANY}: {:.1} KiB, {:.1} after 10 commands (goal 64); of the base \
             alone {:.1} and {:.1}",
            pool("0")?,
            pool("10")?,
            base("0")?,
            base("10")?
        ));
    }
    Ok(())
}

/// What one connection more takes of a program's memory, which it prints, in KiB.
fn slope(program: impl Fn(u32) -> Command) -> Result<f64, Failure> {
    let of = |count| -> Result<f64, Failure> {
        let printed = seconds(program(count))?;
        printed.first().copied().ok_or_else(|| Failure::new("the program printed no memory"))
    };
    Ok((of(MANY)? - of(FEW)?) / f64::from(MANY - FEW))
}

/// The numbers that it prints, a line each.
fn seconds(mut command: Command) -> Result<Vec<f64>, Failure> {
    let printed = shell::capture_ok(command.stdout(Stdio::piped()))?;
    let numbers: Result<Vec<f64>, _> = printed.lines().map(str::parse).collect();
    numbers
        .map_err(|error| Failure::new(format!("`{}` printed {printed:?}: {error}", shell::shown(&command))))
}
