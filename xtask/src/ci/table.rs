//! The table at the end of a CI run: each step, its seconds, its budget, how it ended.

use std::fmt;

use crate::outcome::{Failure, Outcome};

/// The rows so far.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

struct Row {
    name: &'static str,
    seconds: f64,
    budget: f64,
    result: Result<Outcome, Failure>,
}

impl Table {
    pub(super) fn add(
        &mut self,
        name: &'static str,
        seconds: f64,
        budget: f64,
        result: Result<Outcome, Failure>,
    ) {
        self.0.push(Row { name, seconds, budget, result });
    }

    /// What all steps took together.
    pub(super) fn seconds(&self) -> f64 {
        self.0.iter().map(|row| row.seconds).sum()
    }

    /// The steps that took longer than they may.
    pub(super) fn over_budget(&self) -> Vec<&'static str> {
        self.0.iter().filter(|row| row.is_late()).map(|row| row.name).collect()
    }
}

impl Row {
    fn is_late(&self) -> bool {
        self.seconds > self.budget
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16}{:>9}{:>9}  ended", "step", "seconds", "budget")?;
        for row in &self.0 {
            write!(f, "{:<16}{:>9.1}{:>9.0}  ", row.name, row.seconds, row.budget)?;
            match &row.result {
                Err(_) => writeln!(f, "FAILED")?,
                Ok(_) if row.is_late() => writeln!(f, "OVER BUDGET")?,
                Ok(Outcome::Done) => writeln!(f, "ok")?,
                Ok(Outcome::Skipped(why)) => writeln!(f, "skipped: {why}")?,
            }
        }
        let sum: f64 = self.0.iter().map(|row| row.seconds).sum();
        writeln!(f, "{:<16}{sum:>9.1}", "together")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_over_its_budget_is_named() {
        let mut table = Table::default();
        table.add("quick", 1.0, 2.0, Ok(Outcome::Done));
        table.add("slow", 3.0, 2.0, Ok(Outcome::Done));
        assert_eq!(table.over_budget(), ["slow"]);
    }

    #[test]
    fn the_table_says_how_each_step_ended() {
        let mut table = Table::default();
        table.add("a", 1.25, 5.0, Ok(Outcome::Done));
        table.add("b", 0.0, 5.0, Ok(Outcome::Skipped("no sshd".into())));
        table.add("c", 6.0, 5.0, Err(Failure::new("x")));
        let text = table.to_string();
        let ends: Vec<&str> =
            text.lines().skip(1).map(|line| line.get(34..).unwrap_or_default().trim()).collect();
        assert_eq!(ends, ["ok", "skipped: no sshd", "FAILED", ""]);
        assert!(text.ends_with("together              7.2\n"), "{text}");
    }
}
