//! `cargo xtask ci`: every check after the tests, the cheap ones first, with the seconds of each.
//!
//! The first step that fails ends the run, and the table of the steps so far is printed. A step over its budget
//! lets the rest run, so that one run shows all the times, and fails the whole at the end.

use std::time::Instant;

use clap::Args;

use crate::ci::budget::Budgets;
use crate::ci::table::Table;
use crate::outcome::{Failure, Outcome};
use crate::soak::Scale;
use crate::{chaos, clients, config, cross, demo, dependants, fuzz, interop, mutants, no_c, self_test, tidy};

pub(crate) mod budget;
mod checks;
mod table;

/// Which steps to run: all, unless told otherwise.
#[derive(Args)]
pub(crate) struct Selection {
    /// Run only this step; may be given more than once.
    #[arg(long, value_name = "STEP", value_parser = step_names())]
    only: Vec<String>,
    /// Start at this step.
    #[arg(long, value_name = "STEP", value_parser = step_names(), conflicts_with = "only")]
    from: Option<String>,
}

impl Selection {
    fn steps(&self) -> Vec<&'static Step> {
        let first = self.from.as_deref().and_then(|from| STEPS.iter().position(|step| step.name == from));
        STEPS
            .iter()
            .skip(first.unwrap_or(0))
            .filter(|step| self.only.is_empty() || self.only.iter().any(|name| name == step.name))
            .collect()
    }
}

/// One check of CI.
struct Step {
    name: &'static str,
    shows: &'static str,
    run: fn() -> Result<Outcome, Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "toolchain", shows: "the compiler is the oldest we promise", run: checks::toolchain },
    Step { name: "format", shows: "rustfmt has nothing to change", run: checks::format },
    Step { name: "tidy", shows: "the rules no compiler knows", run: tidy::run },
    Step { name: "clippy", shows: "no lint fires", run: checks::clippy },
    Step { name: "docs", shows: "the docs build without a warning", run: checks::docs },
    Step { name: "deny", shows: "cargo-deny agrees with tidy", run: checks::deny },
    Step {
        name: "mutants",
        shows: "the tests of the pool's policy catch each of its mistakes",
        run: || mutants::run(&[]),
    },
    Step { name: "no-c", shows: "everything builds where no C compiler works", run: no_c::run },
    Step { name: "dependants", shows: "crates outside the workspace can use ours", run: dependants::run },
    Step { name: "self-test", shows: "the AEADs work on CPUs with less", run: self_test::run },
    Step { name: "demo", shows: "the demo holds, in under 30 s", run: demo::run },
    Step { name: "interop", shows: "the suite against a real sshd", run: || interop::run(Scale::Short) },
    Step {
        name: "config",
        shows: "ssh_config and known_hosts files mean what they mean to OpenSSH",
        run: || config::run(config::Seed::Fixed),
    },
    Step { name: "fuzz", shows: "the readers of the user's files take anything", run: fuzz::run },
    Step { name: "chaos", shows: "a pool among failing servers", run: || chaos::run(Some(chaos::SHORT)) },
    Step { name: "clients", shows: "the embedded server against clients not ours", run: clients::run },
    Step {
        name: "cross-musl",
        shows: "static Linux binaries, tested",
        run: || cross::run(cross::Target::Musl, &[]),
    },
    Step {
        name: "cross-windows",
        shows: "Windows binaries, tested",
        run: || cross::run(cross::Target::Windows, &[]),
    },
];

/// Runs the selected steps.
pub(crate) fn run(selection: &Selection) -> Result<Outcome, Failure> {
    let budgets = Budgets::load()?;
    let steps = selection.steps();
    let mut table = Table::default();
    for (index, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", index + 1, steps.len(), step.name, step.shows);
        let started = Instant::now();
        let result = (step.run)();
        let seconds = started.elapsed().as_secs_f64();
        if let Err(failure) = &result {
            eprintln!("error: {failure}");
        }
        let failed = result.is_err();
        table.add(step.name, seconds, budgets.of(step.name)?, result);
        if failed {
            print!("\n{table}");
            return Err(Failure::new(format!(
                "step `{}` failed; run it alone with `cargo xtask ci --only {0}`",
                step.name
            )));
        }
    }
    print!("\n{table}");
    if table.seconds() > budgets.total() {
        return Err(Failure::new(format!(
            "over budget: all steps together took {:.0} s of {:.0} s (xtask/budgets.toml)",
            table.seconds(),
            budgets.total()
        )));
    }
    match table.over_budget().as_slice() {
        [] => Ok(Outcome::Done),
        late => Err(Failure::new(format!("over budget: {} (xtask/budgets.toml)", late.join(", ")))),
    }
}

fn step_names() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(STEPS.iter().map(|step| step.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], from: Option<&str>) -> Vec<&'static str> {
        let only = only.iter().map(|&name| name.to_owned()).collect();
        Selection { only, from: from.map(str::to_owned) }.steps().iter().map(|step| step.name).collect()
    }

    #[test]
    fn all_steps_run_unless_told_otherwise() {
        assert_eq!(names(&[], None).len(), STEPS.len());
    }

    #[test]
    fn steps_can_be_chosen_and_begun_in_the_middle() {
        assert_eq!(names(&["tidy", "docs"], None), ["tidy", "docs"]);
        assert_eq!(names(&[], Some("cross-musl")), ["cross-musl", "cross-windows"]);
    }
}
