//! What was done, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use rustle_session::ErrorKind;

use crate::chaos::disturb::{KINDS, Kind};
use crate::chaos::users::{WORK, Work};

/// How often each thing ended in each way.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(BTreeMap<(&'static str, &'static str), usize>);

/// It gave what it was to give.
pub(super) const GOOD: &str = "good";

/// It befell a server.
pub(super) const BEFELL: &str = "befell";

impl Tally {
    pub(super) fn count(&mut self, what: &'static str, end: &'static str) {
        *self.0.entry((what, end)).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(key, count)| *self.0.entry(*key).or_default() += count);
    }

    /// Whether it was worth it: each sort of trouble, and each sort of work with success, where there was time for all; some of
    /// both in any case.
    pub(super) fn check(&self, has_time: bool) {
        let troubles = KINDS.map(Kind::name).map(|what| (what, BEFELL));
        let works = WORK.map(Work::name).map(|what| (what, GOOD));
        for all in [&troubles[..], &works] {
            let missing: Vec<_> = all.iter().filter(|one| !self.0.contains_key(one)).collect();
            assert!(missing.is_empty() || !has_time && missing.len() < all.len() / 2, "never: {missing:?}");
        }
        let met_new_key = self.0.keys().any(|(_, end)| *end == ErrorKind::HostKeyChanged.code());
        assert!(met_new_key || !has_time, "nobody met a server that had another key");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((what, end), count) in &self.0 {
            if *what != last {
                write!(f, "{}{what}:", if last.is_empty() { "" } else { "\n" })?;
                last = what;
            }
            write!(f, " {end} {count}")?;
        }
        Ok(())
    }
}
