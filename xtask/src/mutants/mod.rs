//! `cargo xtask mutants`: whether the tests of the pool's policy would notice a mistake.
//!
//! `crates/pool/mutants.toml` lists mistakes of one line, each with the invariant that it breaks. A copy of the policy gets
//! one at a time, and its tests have to fail. Each invariant that docs/architecture.md names has at least one.

use std::time::Instant;

use crate::mutants::copy::{Copy, Tests};
use crate::mutants::list::{List, Mutant};
use crate::outcome::{Failure, Outcome};

mod copy;
mod list;

/// Tries all mutants, or those whose names have one of these words in them.
pub(crate) fn run(words: &[String]) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let list = List::load()?;
    let chosen = list.with(words);
    if chosen.is_empty() {
        return Err(Failure::new(format!("no mutant has `{}` in its name", words.join("` or `"))));
    }
    let copy = Copy::make()?;
    let program = copy.build()?;
    let program =
        program.map_err(|errors| Failure::new(format!("the policy does not build alone:\n{errors}")))?;
    match copy.test(&program)? {
        Tests::Passed => {}
        tests => return Err(Failure::new(format!("as it is, without a mistake: {tests}"))),
    }
    let mut faults = Vec::new();
    for mutant in &chosen {
        let begun = Instant::now();
        let verdict = try_out(&copy, mutant)?;
        let word = if verdict.is_fault { "FAULT " } else { "caught" };
        let seconds = begun.elapsed().as_secs_f64();
        println!("{word} {seconds:>5.1} s  {}: {} ({})", mutant.breaks, mutant.name, verdict.text);
        if verdict.is_fault {
            faults.push(format!("`{}`: {}", mutant.name, verdict.text));
        }
    }
    let invariants = list.invariants().len();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} of {} mutants caught, {invariants} invariants, {seconds:.0} s",
        chosen.len() - faults.len(),
        chosen.len()
    );
    if faults.is_empty() {
        return Ok(Outcome::Done);
    }
    Err(Failure::new(format!("{} mutant(s) to see to:\n  {}", faults.len(), faults.join("\n  "))))
}

struct Verdict {
    is_fault: bool,
    text: String,
}

fn try_out(copy: &Copy, mutant: &Mutant) -> Result<Verdict, Failure> {
    let fault = |text: String| Verdict { is_fault: true, text };
    let mutated = match mutant.apply(&copy.original(&mutant.file)?) {
        Ok(mutated) => mutated,
        Err(why) => return Ok(fault(why)),
    };
    copy.write(&mutant.file, &mutated)?;
    let built = copy.build();
    copy.restore(&mutant.file)?;
    match built? {
        Ok(program) => Ok(judge(copy.test(&program)?, mutant.hangs)),
        Err(errors) => Ok(fault(format!("does not compile:\n{errors}"))),
    }
}

fn judge(tests: Tests, may_hang: bool) -> Verdict {
    let is_fault = match &tests {
        Tests::Failed { .. } => false,
        Tests::Hung => !may_hang,
        Tests::Passed | Tests::Broke { .. } => true,
    };
    let text = match tests {
        Tests::Passed => "survived: no test fails".to_owned(),
        tests => tests.to_string(),
    };
    Verdict { is_fault, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_caught_by_a_test_that_fails_and_by_a_hang_only_where_it_may() {
        assert!(!judge(Tests::Failed { first: "a".into() }, false).is_fault);
        assert!(judge(Tests::Passed, false).is_fault && judge(Tests::Passed, true).is_fault);
        assert!(judge(Tests::Broke { how: "signal".into() }, true).is_fault);
        assert!(judge(Tests::Hung, false).is_fault);
        assert!(!judge(Tests::Hung, true).is_fault);
    }
}
