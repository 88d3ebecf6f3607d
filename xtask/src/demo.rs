//! The README's first command, as a stranger would run it: it must exit with 0 in under 30 seconds.

use std::time::{Duration, Instant};

use crate::outcome::{Failure, Outcome};
use crate::shell;

/// From the start of the program to its end, not counting its build.
const LIMIT: Duration = Duration::from_secs(30);

/// Builds the release binary, then times the demo.
pub(crate) fn run() -> Result<Outcome, Failure> {
    shell::run(shell::cargo().args(["build", "--release"]))?;
    let started = Instant::now();
    shell::run(shell::cargo().args(["run", "--release", "--quiet", "--", "demo"]))?;
    let took = started.elapsed();
    println!("the demo took {:.1} s", took.as_secs_f64());
    if took > LIMIT {
        return Err(Failure::new(format!("the demo took {:.1} s; it may take 30", took.as_secs_f64())));
    }
    Ok(Outcome::Done)
}
