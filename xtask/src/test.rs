//! `cargo xtask test`: every test of the workspace, and at the end one line that a person can trust.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::ci::budget::Budgets;
use crate::outcome::{Failure, Outcome};
use crate::soak::Scale;
use crate::{apt, shell};

/// What hosts without SFTP are made of in the tests of files: BusyBox's programs, two login shells, and `scp`.
const PACKAGES: [&str; 4] = ["busybox-static", "fish", "tcsh", "openssh-client"];

/// By which the test harnesses are told how many tests run at a time.
pub(crate) const THREADS: &str = "RUST_TEST_THREADS";

/// How many tests run at a time, unless the caller has said it: three for each core, since most of them wait for a timer or
/// for the other end of a connection.
pub(crate) fn threads() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    env::var(THREADS).unwrap_or_else(|_| (3 * cores).to_string())
}

/// Builds and runs all of it. On CI the budget for the tests holds too.
pub(crate) fn run(scale: Scale) -> Result<Outcome, Failure> {
    if cfg!(target_os = "linux") {
        for package in apt::ensure(&PACKAGES)? {
            println!(
                "not here as a Debian package: {package}; tests that need it say that they are left out"
            );
        }
    }
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut tests = shell::cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]).env(THREADS, threads());
    let ended = stream(scale.tell(&mut tests), |line| tally.read(line))?;
    let seconds = started.elapsed().as_secs_f64();

    println!("\n{} in {seconds:.0} s", tally.summary());
    for name in &tally.failed_names {
        println!("  failed: {name}");
    }
    if !ended {
        return Err(Failure::new("`cargo test` failed; what failed to build or to hold is shown above"));
    }
    if tally.passed == 0 {
        return Err(Failure::new("no test ran at all"));
    }
    let budget = Budgets::load()?.of("test")?;
    if shell::on_ci() && scale == Scale::Short && seconds > budget {
        return Err(Failure::new(format!("the tests took {seconds:.0} s, their budget is {budget:.0} s")));
    }
    Ok(Outcome::Done)
}

/// Runs some of the tests, which all have to pass; gives back how many did.
pub(crate) fn passed(command: &mut Command) -> Result<usize, Failure> {
    let mut tally = Tally::default();
    match stream(command, |line| tally.read(line))? {
        true => Ok(tally.passed),
        false => Err(Failure::new(format!("`{}` failed", shell::shown(command)))),
    }
}

/// Runs the command, shows its standard output line by line and hands each line on. True when it exits with 0.
fn stream(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool, Failure> {
    println!("$ {}", shell::shown(command));
    let lost = |error| Failure::new(format!("`{}`: {error}", shell::shown(&shell::cargo())));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(lost)?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(lost)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            each(&line);
        }
    }
    Ok(child.wait().map_err(lost)?.success())
}

/// What the test harnesses said.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    failed_names: Vec<String>,
}

impl Tally {
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.ignored += number_before(result, " ignored");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failed_names.push(name.to_owned());
        }
    }

    fn summary(&self) -> String {
        format!("{} tests passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    before.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test parse::it_holds ... ok",
            "test parse::it_breaks ... FAILED",
            "test result: FAILED. 11 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.05s",
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            tally.read(line);
        }
        assert_eq!(tally.summary(), "41 tests passed, 1 failed, 2 ignored");
        assert_eq!(tally.failed_names, ["parse::it_breaks"]);
    }
}
