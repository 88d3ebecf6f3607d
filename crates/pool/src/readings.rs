//! Readings of the configuration for one name that overlap: what the one that began last has found is what the name means.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that are under way, by their names. Each finds an `F`, or nothing.
pub(crate) struct Readings<F>(Mutex<HashMap<String, OfName<F>>>);

/// Those of one name: it is here as long as one of them is under way.
struct OfName<F> {
    begun: u64,
    under_way: usize,
    /// What the one found that began last of those that are done, with its number.
    found: Option<(u64, F)>,
}

/// One of them, until it is dropped.
pub(crate) struct Reading<'a, F> {
    all: &'a Readings<F>,
    name: &'a str,
    /// One that began later has a higher one.
    number: u64,
}

impl<F> Readings<F> {
    pub(crate) fn begin<'a>(&'a self, name: &'a str) -> Reading<'a, F> {
        let mut names = self.names();
        let of_name = names.entry(name.to_owned()).or_insert(OfName { begun: 0, under_way: 0, found: None });
        of_name.begun += 1;
        of_name.under_way += 1;
        Reading { all: self, name, number: of_name.begun }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, OfName<F>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Default for Readings<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: Clone> Reading<'_, F> {
    /// What one that began later has found already.
    pub(crate) fn overtaken_by(&self) -> Option<F> {
        let names = self.all.names();
        let (number, found) = names.get(self.name)?.found.as_ref()?;
        (*number > self.number).then(|| found.clone())
    }

    /// This one has found something, and was not overtaken: it is kept for those that began before and are not done yet.
    pub(crate) fn has_found(&self, found: &F) {
        let mut names = self.all.names();
        if let Some(of_name) = names.get_mut(self.name).filter(|of_name| of_name.under_way > 1) {
            of_name.found = Some((self.number, found.clone()));
        }
    }
}

impl<F> Drop for Reading<'_, F> {
    fn drop(&mut self) {
        let mut names = self.all.names();
        if let Some(of_name) = names.get_mut(self.name) {
            of_name.under_way = of_name.under_way.saturating_sub(1);
            if of_name.under_way == 0 {
                names.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_last_overtakes_what_began_before_and_is_done_after() {
        let readings = Readings::<u8>::default();
        let [first, second, third] = std::array::from_fn(|_| readings.begin("web"));
        assert_eq!(second.overtaken_by(), None);
        second.has_found(&2);
        drop(second);
        assert_eq!((first.overtaken_by(), third.overtaken_by()), (Some(2), None));
        third.has_found(&3);
        drop(third);
        assert_eq!(first.overtaken_by(), Some(3));
    }

    #[test]
    fn what_finds_nothing_overtakes_nobody_nor_does_another_name_and_nothing_is_kept() {
        let readings = Readings::<u8>::default();
        let first = readings.begin("web");
        drop(readings.begin("web"));
        let [other, more] = std::array::from_fn(|_| readings.begin("db"));
        more.has_found(&1);
        assert_eq!((first.overtaken_by(), other.overtaken_by()), (None, Some(1)));
        drop((first, other, more));
        assert!(readings.names().is_empty());
    }
}
