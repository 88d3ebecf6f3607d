//! The seconds each step of CI may take: `xtask/budgets.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::outcome::Failure;
use crate::shell;

/// The file of budgets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    total: f64,
    steps: BTreeMap<String, f64>,
}

impl Budgets {
    pub(crate) fn load() -> Result<Self, Failure> {
        Self::parse(&shell::read(&shell::root().join("xtask/budgets.toml"))?)
    }

    /// What all steps together may take: less than the sum of their budgets, which have room for a slow moment each.
    pub(crate) fn total(&self) -> f64 {
        self.total
    }

    pub(crate) fn of(&self, step: &str) -> Result<f64, Failure> {
        let budget = self.steps.get(step).copied();
        budget.ok_or_else(|| Failure::new(format!("xtask/budgets.toml has no budget for the step `{step}`")))
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let budgets: Self =
            toml::from_str(text).map_err(|error| Failure::new(format!("xtask/budgets.toml: {error}")))?;
        if let Some((step, budget)) = budgets.steps.iter().find(|(_, budget)| **budget > budgets.total) {
            return Err(Failure::new(format!(
                "xtask/budgets.toml: the step `{step}` may take {budget} s, more than the total of {} s",
                budgets.total
            )));
        }
        Ok(budgets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::STEPS;

    #[test]
    fn every_step_has_a_budget_and_every_budget_a_step() {
        let budgets = Budgets::load().unwrap();
        let mut steps: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        steps.push("test");
        steps.sort_unstable();
        assert_eq!(budgets.steps.keys().map(String::as_str).collect::<Vec<_>>(), steps);
        assert!(budgets.total <= 55.0 * 60.0);
    }

    #[test]
    fn a_step_with_more_than_the_total_is_refused() {
        assert!(Budgets::parse("total = 10\n[steps]\na = 11").is_err());
        assert!(Budgets::parse("total = 10\n[steps]\na = 10\nb = 5").is_ok());
    }
}
