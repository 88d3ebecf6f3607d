//! The demo's steps as a table for people, and as values for programs.

use std::time::Duration;

use serde::Serialize;

use super::Shown;
use crate::printer::{BAD, BOLD, DIM, GOOD};

#[derive(Serialize)]
pub(super) struct Table {
    server: String,
    held: bool,
    steps: Vec<Row>,
}

#[derive(Serialize)]
pub(super) struct Row {
    step: &'static str,
    proves: &'static str,
    held: bool,
    ms: f64,
    shown: Option<String>,
}

impl Table {
    pub(super) fn new(server: String) -> Self {
        Self { server, held: true, steps: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.held &= row.held;
        self.steps.push(row);
    }

    pub(super) fn heading(&self) -> String {
        format!(
            "{BOLD}An SSH server of our own on {}, reached over a real socket{BOLD:#}\n\
             {DIM}It has a new host key; none of your keys, passwords and files are used.{DIM:#}",
            self.server
        )
    }

    pub(super) fn end(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        let count = self.steps.len();
        if self.held {
            format!("{GOOD}All {count} steps held{GOOD:#} in {seconds:.1} s.")
        } else {
            format!("{BAD}Step {count} did not hold.{BAD:#}")
        }
    }
}

impl Row {
    pub(super) fn new(step: &'static str, proves: &'static str, took: Duration, shown: &Shown) -> Self {
        Self {
            step,
            proves,
            held: shown.is_ok(),
            ms: took.as_secs_f64() * 1000.0,
            shown: shown.as_ref().ok().cloned(),
        }
    }

    /// Two lines: what is proved, and what was seen.
    pub(super) fn line(&self) -> String {
        let (style, state) = if self.held { (GOOD, "ok    ") } else { (BAD, "failed") };
        let (step, proves, ms) = (self.step, self.proves, self.ms);
        let first =
            format!("  {style}{state}{style:#}  {BOLD}{step:<16}{BOLD:#}  {proves:<62}  {ms:>8.1} ms");
        match &self.shown {
            Some(shown) => format!("{first}\n  {DIM}        {:<16}  {shown}{DIM:#}", ""),
            None => first,
        }
    }
}
